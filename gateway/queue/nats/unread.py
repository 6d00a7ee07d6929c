"""Unreadable messages: which chunk one is, which others hold its deliveries, how it ends."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace

from nats.aio.msg import Msg

from gateway.core.stored import Unreadable
from gateway.errors import StoreUnavailable
from gateway.ports import Aside, Held, Journal
from gateway.queue.asides import Asides, held_by
from gateway.queue.nats.coding import aside_of, chunk_in
from gateway.queue.nats.link import Link
from gateway.queue.nats.publishing import Stream

#: how many of the newest events are searched for that of a message which does not name it
_EVENTS = 10_000


class Unread:
    """Takes such messages out of the stream. `leave` sends one back for this many seconds."""

    def __init__(
        self,
        link: Link,
        stream: Stream,
        journal: Journal,
        asides: Asides,
        *,
        leave: Callable[[Msg, float], None],
    ) -> None:
        self._link = link
        self._stream = stream
        self._journal = journal
        self._asides = asides
        self._leave = leave

    async def take(self, message: Msg, error: Unreadable) -> None:
        """Put a message aside, or leave it to a replica that reads it. Never raises."""

        async def held(whole: bool) -> Held:
            others = await self._stream.beside(message.subject, whole=whole)
            return held_by(chunk.items for chunk in others)

        async def leave(seconds: float) -> None:
            self._leave(message, seconds)

        aside = aside_of(message.metadata.sequence.stream, message.data, error)
        if not aside.event_id:
            with contextlib.suppress(StoreUnavailable):
                aside = await self._recognised(message, aside)
        await self._asides.take(
            aside,
            held=held,
            end=lambda: self._link.ask(message.reply, b"+TERM"),
            leave=leave,
        )

    async def _recognised(self, message: Msg, aside: Aside) -> Aside:
        """Complete an aside from the message's subject, which names the event by a hash."""
        events = await self._journal.events(limit=_EVENTS, status="accepted")
        rest = message.subject.partition(".")[2]
        event_id, number = chunk_in(rest, (event.event_id for event in events))
        return replace(aside, event_id=event_id, number=number)
