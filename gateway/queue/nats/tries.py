"""The record of a chunk's earlier claims: a mark in a stream of its own.

JetStream counts deliveries, but a message that was sent back unread - not due yet, its lane closed
- was not claimed. Messages that this process sent back are subtracted; those of others are not
known. So a few deliveries are allowed without a mark; nearly all chunks have no more. Beyond them
each claim is recorded before the chunk is handed out, and only recorded claims count: a chunk that
others postponed a thousand times is no suspect.
"""

from __future__ import annotations

import base64
from typing import Any

import orjson

from gateway.core.suspects import Past
from gateway.errors import StoreUnavailable
from gateway.queue.nats.leases import Postponed
from gateway.queue.nats.link import ApiError, Link
from gateway.queue.nats.stream import StreamSpec

UNWRITTEN = 4
"""Deliveries that are allowed without a mark."""
_NO_MESSAGE = 10037


class Tries:
    """The marks of messages, by their sequence in the stream."""

    def __init__(self, link: Link, spec: StreamSpec) -> None:
        self._link = link
        self._stream = spec.tries
        self.postponed = Postponed()

    def unmarked(self, sequence: int, deliveries: int) -> int:
        """Deliveries that this process cannot explain other than by a claim."""
        return max(1, deliveries - self.postponed.of(sequence))

    async def past(self, sequence: int, deliveries: int) -> Past | None:
        """The record of earlier claims. None: too few deliveries to ask for or record it."""
        if self.unmarked(sequence, deliveries) <= UNWRITTEN:
            return None
        asked = {"last_by_subj": f"{self._stream}.{sequence}"}
        try:
            found = await self._link.api(f"STREAM.MSG.GET.{self._stream}", asked)
        except ApiError as error:
            if error.code == _NO_MESSAGE:
                return Past()
            raise StoreUnavailable(f"JetStream refused ({error}).") from error
        return _read(base64.b64decode(found["message"].get("data", "")))

    async def mark(self, sequence: int, past: Past) -> None:
        """Store the record; returns when the quorum has it."""
        await self._link.ask(f"{self._stream}.{sequence}", orjson.dumps(past._asdict()))


def _read(data: bytes) -> Past:
    """Read a mark. The previous version's is a number of tries. Anything else counts as no tries,
    because a chunk is innocent until proven guilty."""
    try:
        told: Any = orjson.loads(data)
        if isinstance(told, int):
            return Past(tries=told)
        return Past(
            tries=int(told["tries"]),
            lone_ends=int(told["lone_ends"]),
            alone=bool(told["alone"]),
            claimed_at=float(told["claimed_at"]),
        )
    except (ValueError, LookupError, TypeError):
        return Past()
