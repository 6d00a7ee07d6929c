"""Asking the consumer for messages: a request that stays open until there is one.

Owns that no message is forgotten: one that arrives when nobody waits for it any more goes back at
once; else it would stay leased to nobody until the lease ends.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import orjson
from nats.aio.msg import Msg

from gateway.errors import StoreUnavailable
from gateway.queue.nats.link import ANSWER_S, Link

_NS = 1_000_000_000
#: seconds by which the answer to an open request may be late
_LATE_S = 1.0
#: seconds for which the inbox of a timed-out request is kept, for late messages
_KEEP_S = 10.0
_NOTHING = ("404", "408")


class _Silent(StoreUnavailable):
    """A request was not answered in time."""


@dataclass(slots=True, eq=False)
class _Inbox:
    """Receives answers to one request at a time, because a message does not name its request.

    After a timeout a new inbox is used; late messages on the old one are returned to the stream.
    """

    subject: str
    give_back: Callable[[Msg], None]
    wanted: int = 0
    asked: int = 0
    status: str = ""
    given_up_at: float | None = None
    messages: list[Msg] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def complete(self) -> bool:
        return bool(self.status) or len(self.messages) >= self.wanted

    async def receive(self, message: Msg) -> None:
        if not message.reply:
            if message.subject == f"{self.subject}.{self.asked}":
                self.status = (message.headers or {}).get("Status", "none")
                self.changed.set()
        elif len(self.messages) < self.wanted:
            self.messages.append(message)
            self.changed.set()
        else:
            self.give_back(message)

    def give_up(self, now: float) -> None:
        """Return all messages, those that came and those still to come."""
        self.given_up_at = now
        self.wanted = 0
        for message in self.messages:
            self.give_back(message)
        self.messages.clear()


class Puller:
    """Pulls from one consumer. `give_back` gets the messages that came too late."""

    def __init__(self, link: Link, consumer: str, *, give_back: Callable[[Msg], None]) -> None:
        self._link = link
        self._subject = f"$JS.API.CONSUMER.MSG.NEXT.{consumer}"
        self._info = f"$JS.API.CONSUMER.INFO.{consumer}"
        self._give_back = give_back
        self._inbox: _Inbox | None = None
        self._old: deque[_Inbox] = deque()
        self._pulling = asyncio.Lock()

    async def ready_now(self, limit: int) -> list[Msg]:
        """At most `limit` messages that are due now."""
        async with self._pulling:
            return await self._pull(limit, {"batch": limit, "no_wait": True}, ANSWER_S)

    async def next_one(self, within_s: float) -> list[Msg]:
        """The next message, as soon as there is one; none when the time is over."""
        asked = {"batch": 1, "expires": max(1, round(within_s * _NS))}
        async with self._pulling:
            try:
                return await self._pull(1, asked, within_s + _LATE_S)
            except _Silent:
                # Not every expired request gets a notice: check that the consumer is still there.
                await self._link.ask(self._info)
                return []

    async def _pull(self, wanted: int, asked: object, within_s: float) -> list[Msg]:
        inbox = await self._open_inbox()
        inbox.wanted, inbox.status = wanted, ""
        inbox.asked += 1
        try:
            async with asyncio.timeout(within_s):
                reply = f"{inbox.subject}.{inbox.asked}"
                await self._link.say(self._subject, orjson.dumps(asked), reply=reply)
                while not inbox.complete:
                    await inbox.changed.wait()
                    inbox.changed.clear()
        except BaseException as error:
            inbox.give_up(asyncio.get_running_loop().time())
            if isinstance(error, TimeoutError):
                text = "NATS does not answer: the consumer is silent."
                raise _Silent(text) from None
            raise
        messages, inbox.messages, inbox.wanted = inbox.messages, [], 0
        if not messages and inbox.status not in _NOTHING:
            raise StoreUnavailable(f"the consumer cannot answer now (status {inbox.status}).")
        return messages

    async def _open_inbox(self) -> _Inbox:
        inbox = self._inbox
        if inbox is not None and inbox.given_up_at is None:
            return inbox
        if inbox is not None:
            self._old.append(inbox)
        now = asyncio.get_running_loop().time()
        while self._old and now - (self._old[0].given_up_at or now) > _KEEP_S:
            await self._link.ignore(f"{self._old.popleft().subject}.*")
        inbox = self._inbox = _Inbox(self._link.inbox(), self._give_back)
        await self._link.listen(f"{inbox.subject}.*", inbox.receive)
        return inbox
