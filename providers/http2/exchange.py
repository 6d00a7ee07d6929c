"""A request and how it can end, between the protocol and whoever sends.

Owns the closed set of ends. Refuses to know frames, sockets and vendors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

NEVER_SENT_S = 10.0
"""Until what could not be sent in time is tried again."""


class Request:
    """What goes out on one stream.

    `fields` are the header fields beyond the constant ones, coded by `headers.literal`, `:path`
    first if it is one of them. `context` belongs to the caller.
    """

    __slots__ = ("body", "context", "fields")

    def __init__(self, fields: bytes, body: bytes, context: Any) -> None:
        self.fields = fields
        self.body = body
        self.context = context


@dataclass(slots=True)
class Response:
    """A complete answer. Of a status 200 no header is read; of a huge body only the beginning."""

    status: int
    body: bytes = b""
    headers: dict[bytes, bytes] = field(default_factory=dict)

    def header(self, name: bytes) -> str | None:
        """A header as text; None where there is none."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")


@dataclass(frozen=True, slots=True)
class NotProcessed:
    """The request was surely not acted upon: it may be sent again, in `retry_after` seconds.

    0 means at once, which is up to the caller: here nothing is repeated.
    """

    reason: str
    retry_after: float = 0.0


@dataclass(frozen=True, slots=True)
class Lost:
    """There will be no answer, and the request may have been acted upon."""

    reason: str


End = Response | NotProcessed | Lost
Ends = list[tuple[Request, End]]


class Channel(Protocol):
    """The client's side of one connection without a socket: bytes in, bytes and ends out.

    Promise: every request given to `open` comes to exactly one end, by `receive`, `expire` or
    `lose`. Times are any clock's seconds.
    """

    draining: bool
    """It takes no new request; what is open may still end."""

    @property
    def answered(self) -> bool:
        """Whether the peer has answered a request: it serves this sender."""

    @property
    def room(self) -> int:
        """How many requests may be opened now."""

    @property
    def in_flight(self) -> int:
        """How many requests wait for their end."""

    @property
    def next_deadline(self) -> float | None:
        """When the oldest request has to have ended."""

    def open(self, requests: Sequence[Request], deadline: float) -> None:
        """Send requests, at most `room`; deadlines never go back."""

    def receive(self, data: bytes) -> Ends:
        """Take bytes from the peer; after a violation everything open has come to its end."""

    def expire(self, now: float) -> Ends:
        """Give up what is over its deadline."""

    def lose(self, reason: str) -> Ends:
        """The connection is gone: the end of everything open."""

    def ping(self) -> None:
        """Ask for a sign of life, where the protocol can."""

    def close(self) -> None:
        """Say goodbye."""

    def data_to_send(self) -> bytes:
        """The bytes that are due to go out."""
