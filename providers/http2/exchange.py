"""A request and how it can end, between the protocol and its callers.

Owns the closed set of ends. Refuses to know frames, sockets and vendors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

NEVER_SENT_S = 10.0
"""Seconds until a request that could not be sent in time may be tried again."""


class Request:
    """A request on one stream.

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
    """A complete answer. With a status 200 no header is read but the `Date`, and that only when
    somebody is curious; of a huge body only the start."""

    status: int
    body: bytes = b""
    headers: dict[bytes, bytes] = field(default_factory=dict)

    def header(self, name: bytes) -> str | None:
        """A header as text; None where there is none."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")


@dataclass(frozen=True, slots=True)
class NotProcessed:
    """The peer certainly did not act on the request: it may be sent again in `retry_after` seconds.

    0 means at once. Sending again is up to the caller; nothing is repeated here.
    """

    reason: str
    retry_after: float = 0.0


NOT_STARTED = NotProcessed("NotStarted")
"""The request waited for longer than it may before it starts; see `Push.start_by`."""


@dataclass(frozen=True, slots=True)
class Lost:
    """There will be no answer, and the peer may have acted on the request."""

    reason: str


End = Response | NotProcessed | Lost
Ends = list[tuple[Request, End]]


class Channel(Protocol):
    """The client's side of one connection without a socket: bytes in, bytes and ends out.

    Promise: every request given to `open` has exactly one end, from `receive`, `expire` or `lose`.
    Times are any clock's seconds.
    """

    draining: bool
    """It takes no new requests; open ones may still end."""

    peer_reads: bool
    """Whether what is sent leaves; whoever owns the transport says so."""

    @property
    def answered(self) -> bool:
        """Whether the peer has answered a request, so that it serves this sender."""

    @property
    def room(self) -> int:
        """How many requests may be opened now."""

    @property
    def in_flight(self) -> int:
        """How many requests wait for their end."""

    @property
    def next_deadline(self) -> float | None:
        """The deadline of the oldest request."""

    def open(self, requests: Sequence[Request], deadline: float) -> None:
        """Send requests, at most `room`; deadlines never go back."""

    def receive(self, data: bytes) -> Ends:
        """Take bytes from the peer; after a violation every open request has ended."""

    def expire(self, now: float) -> Ends:
        """Give up requests past their deadline; drain if nothing gets through any more."""

    def lose(self, reason: str) -> Ends:
        """The connection is gone: end every open request."""

    def be_curious(self) -> None:
        """Read the `Date` of the next success, as of the first on this connection."""

    def ping(self) -> None:
        """Ask for a sign of life, if the protocol can."""

    def close(self) -> None:
        """Announce the end of the connection, if the protocol can."""

    def data_to_send(self) -> bytes:
        """The bytes that are due to go out."""
