"""Getting chunks into the stream, each once, and knowing what is in it.

A publish is done when a quorum of the stream's nodes has it on disk. A message whose subject waits
in the stream already counts as published. So does one with the id of another that came within the
duplicate window, which the broker remembers beyond a purge: what may have been lost goes without.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import orjson
from nats.aio.msg import Msg

from gateway.core.clocks import MonotonicClock
from gateway.core.model import Chunk
from gateway.core.stored import Forms, Unreadable
from gateway.errors import StoreUnavailable
from gateway.ports import Depth, Held
from gateway.queue.asides import held_by
from gateway.queue.nats.coding import (
    Message,
    TooLarge,
    chunk_of,
    chunk_subject,
    event_subject,
    head_of,
    items_in,
    messages_of,
    size_of,
)
from gateway.queue.nats.holding import not_held
from gateway.queue.nats.link import ApiError, Link
from gateway.queue.nats.stream import MAX_MESSAGES, StreamSpec

_STORE_FAILED = 10077
_NO_MESSAGE = 10037
#: the last tenth of the stream is reserved for leftovers: without room for them no chunk can end
_FULL = 0.9
#: the depth is exact up to this many messages; beyond, it is an estimate
_COUNTED = 1_000
#: of a message: its first line; and its subject, headers and the record around it
_HEAD_BYTES, _AROUND_BYTES = 180, 270
#: of a notification: assumed until one was seen, and the least, because shared values stand once
_USUAL_BYTES, _LEAST_BYTES = 160.0, 4.0
_ROUNDS = 5
_LOOK_S = 1.0


class Stream:
    """The stream of waiting chunks: publishing to it, and looking into it."""

    def __init__(
        self, link: Link, spec: StreamSpec, *, forms: Forms, monotonic: MonotonicClock
    ) -> None:
        self._link = link
        self._forms = forms
        self._spec = spec
        self._monotonic = monotonic
        self._looked_at = float("-inf")
        self._full = False
        self._learned_bytes: float | None = None
        self._lonely_bytes: float | None = None
        self._first: tuple[int, float] | None = None

    async def publish(self, chunks: Iterable[Chunk], *, again: bool = False) -> None:
        """Publish chunks; returns when the quorum has all of them. Raises StoreUnavailable: some
        may be in the stream, and publishing all of them again is safe. `again`: they may have been
        here before, and are published unless they wait; the journal knows what of them has ended.
        """
        messages = [message for chunk in chunks for message in self._messages(chunk)]
        if again:
            messages = [replace(message, id="") for message in messages]
        outcomes = await asyncio.gather(*map(self._publish, messages), return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome

    async def bury(self, message: Msg, reason: str) -> None:
        """Move a message to the dead stream: first in there, which its quorum confirms, then out of
        here."""
        headers = {
            "Nats-Msg-Id": f"{self._spec.name}:{message.metadata.sequence.stream}",
            "Inkpush-Reason": reason,
            "Inkpush-Subject": message.subject,
        }
        subject = f"{self._spec.dead}.{message.subject.removeprefix(f'{self._spec.name}.')}"
        answer = orjson.loads(await self._link.ask(subject, message.data, headers))
        if "error" in answer:
            text = answer["error"].get("description", "no reason given")
            raise StoreUnavailable(f"{self._spec.dead} does not take a message ({text}).")
        await self._link.ask(message.reply, b"+TERM")

    async def check_room(self) -> None:
        """Raise StoreUnavailable when the stream has no room for new events."""
        if self._monotonic() - self._looked_at > _LOOK_S:
            await self._state()
        if self._full:
            raise StoreUnavailable(
                "the JetStream stream is nearly full; what is left of it is for retries"
            )

    async def depth(self) -> Depth:
        """Exact up to 1 000 messages; beyond, an estimate by the stream's bytes, because a message
        has 1 to 256 notifications and other processes may publish other sizes than this one."""
        state = await self._state()
        messages: int = state["messages"]
        if messages == 0:
            return Depth(0, None)
        first_seen = await self._first_seen(state["first_seq"])
        if messages <= _COUNTED:
            count = sum(map(size_of, await self._subjects(f"{self._spec.name}.>")))
        else:
            each = self._learned_bytes or _USUAL_BYTES
            # one notification comes with every message, whose size is known if one was seen
            lonely = self._lonely_bytes or _HEAD_BYTES + each
            more = state["bytes"] - messages * (lonely + _AROUND_BYTES)
            count = messages + max(0, round(more / each))
        return Depth(count, first_seen)

    async def not_held(self, own: str, chunk: Chunk, postponed: Sequence[Chunk]) -> list[Chunk]:
        """Those earlier leftovers of a chunk that no other message holds. `own` is its subject."""
        return not_held(chunk, postponed, await self._others(own, chunk_subject(chunk)))

    async def beside(self, own: str, *, whole: bool) -> list[Chunk]:
        """The other messages that may hold deliveries of the unreadable one with this subject:
        those of the same chunk number, and replays, which have no number. `whole`: all of its
        event."""
        event, number = [*own.removeprefix(f"{self._spec.name}.").split("."), ""][:2]
        if whole or number == "replay" or not number:
            return await self._others(own, event)
        found = await self._others(own, f"{event}.{number}")
        return found + await self._others(own, f"{event}.replay")

    async def held_of(self, event_id: str) -> Held:
        """What the messages of an event hold, but for replays. One that is settled meanwhile, after
        its leftovers were published, holds nothing that is dead."""
        found = []
        for subject in await self._subjects(f"{self._spec.name}.{event_subject(event_id)}.>"):
            data = None if ".replay." in subject else await self._get({"last_by_subj": subject})
            if data is not None:
                with contextlib.suppress(Unreadable):
                    found.append(chunk_of(head_of(data), data).items)
        return held_by(found)

    async def texts_of(self, event_id: str) -> list[bytes]:
        """The items of all messages of an event, also of those that cannot be read; those of the
        dead stream go, for no process will take them up again."""
        found = []
        event = event_subject(event_id)
        await self._api(
            f"STREAM.PURGE.{self._spec.dead}", {"filter": f"{self._spec.dead}.{event}.>"}
        )
        for subject in await self._subjects(f"{self._spec.name}.{event}.>"):
            data = await self._get({"last_by_subj": subject})
            if data is not None:
                found.append(items_in(data))
        return found

    # --- inside ---------------------------------------------------------------------------------

    def _messages(self, chunk: Chunk) -> list[Message]:
        try:
            limit = self._link.max_payload
            messages = list(messages_of(chunk, form=self._forms.writes, max_payload=limit))
        except TooLarge as error:
            text = "a notification is larger than NATS takes: raise max_payload of its servers"
            raise StoreUnavailable(text) from error
        for message in messages:
            self._learn(len(message.data), message.size)
        return messages

    async def _publish(self, message: Message) -> None:
        subject = f"{self._spec.name}.{message.subject}"
        headers = {"Nats-Msg-Id": message.id} if message.id else None
        answer = orjson.loads(await self._link.ask(subject, message.data, headers))
        error = answer.get("error")
        if error is None:
            return
        text = str(error.get("description", ""))
        if error.get("err_code") == _STORE_FAILED and "per subject" in text:
            return
        raise StoreUnavailable(f"JetStream did not store a chunk ({text or 'no reason given'}).")

    async def _state(self) -> dict[str, Any]:
        state: dict[str, Any] = (await self._api(f"STREAM.INFO.{self._spec.name}"))["state"]
        self._looked_at = self._monotonic()
        self._full = (
            state["messages"] >= MAX_MESSAGES * _FULL
            or state["bytes"] >= self._spec.max_bytes * _FULL
        )
        return state

    async def _subjects(self, filter_: str) -> list[str]:
        asked = {"subjects_filter": filter_}
        found = await self._api(f"STREAM.INFO.{self._spec.name}", asked)
        return list(found["state"].get("subjects") or ())

    async def _first_seen(self, sequence: int) -> float | None:
        """Since when the first message waits. Leftovers are older than their place in the stream
        says, by their own wait at most."""
        if self._first is None or self._first[0] != sequence:
            found = await self._get({"seq": sequence})
            if found is None:
                return None
            try:
                chunk = chunk_of(head_of(found), found)
            except Unreadable:
                return None
            self._first = sequence, chunk.first_seen
            self._learn(len(found), len(chunk.items))
        return self._first[1]

    def _learn(self, size: int, notifications: int) -> None:
        """How long a notification is, from a message that has several; and a message of one."""
        if notifications > 1:
            each = max(_LEAST_BYTES, (size - _HEAD_BYTES) / notifications)
            known = each if self._learned_bytes is None else self._learned_bytes
            self._learned_bytes = known + (each - known) * 0.1
        elif notifications == 1:
            known = size if self._lonely_bytes is None else self._lonely_bytes
            self._lonely_bytes = known + (size - known) * 0.1

    async def _others(self, own: str, under: str) -> list[Chunk]:
        """The other messages under a part of the stream's subjects: those of an original chunk hold
        its deliveries."""
        for _ in range(_ROUNDS):
            found: list[Chunk] = []
            subjects = await self._subjects(f"{self._spec.name}.{under}.>")
            for subject in subjects:
                if subject == own:
                    continue
                data = await self._get({"last_by_subj": subject})
                if data is None:
                    break  # it was settled meanwhile, after its leftovers were published
                try:
                    found.append(chunk_of(head_of(data), data))
                except Unreadable:
                    continue
            else:
                return found
        raise StoreUnavailable("the chunk's leftovers are on the move; look again")

    async def _get(self, which: object) -> bytes | None:
        try:
            found = await self._link.api(f"STREAM.MSG.GET.{self._spec.name}", which)
        except ApiError as error:
            if error.code == _NO_MESSAGE:
                return None
            raise StoreUnavailable(f"JetStream refused ({error}).") from error
        return base64.b64decode(found["message"].get("data", ""))

    async def _api(self, call: str, asked: object = None) -> dict[str, Any]:
        try:
            return await self._link.api(call, asked)
        except ApiError as error:
            raise StoreUnavailable(f"JetStream refused ({error}).") from error


async def newest_event(link: Link, spec: StreamSpec) -> str | None:
    """The event of the newest chunk that waits; None where there is none, it cannot be read, or it
    is a replay, which may outlive its event."""
    asked = {"last_by_subj": f"{spec.name}.>"}
    try:
        answer = await link.api(f"STREAM.MSG.GET.{spec.name}", asked)
        chunk = head_of(base64.b64decode(answer["message"].get("data", ""))).chunk
    except (ApiError, Unreadable):
        return None
    return chunk.event_id if chunk.number >= 0 else None
