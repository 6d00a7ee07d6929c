"""One request and what is done about it, between the wire and a vendor.

Owns the vocabulary that lets vendors be tested and served without knowing the protocol below.
Refuses to know sockets, HTTP/2 and vendors.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol

Headers = tuple[tuple[bytes, bytes], ...]

Act = Literal["reply", "hang", "reset", "goaway_after", "goaway_before", "drop"]
"""What happens to the stream; `goaway_after` replies first, `goaway_before` never does."""


@dataclass(frozen=True, slots=True)
class Request:
    """A complete request. Header names are lower case; `repeated` names those seen twice.

    `body_size` is what was sent; of a body that is far too large only the beginning is kept.
    """

    method: bytes
    path: str
    headers: dict[bytes, bytes]
    body: bytes
    body_size: int
    repeated: frozenset[bytes] = frozenset()


@dataclass(frozen=True, slots=True)
class Reply:
    """A complete response."""

    status: int
    headers: Headers = ()
    body: bytes = b""


@dataclass(slots=True)
class Handling:
    """What is done about a request, `delay_s` from now.

    `stream_limit` is announced with the reply. `authenticated`: the sender proved who it is,
    which is what APNs opens its connection for.
    """

    reply: Reply
    act: Act = "reply"
    delay_s: float = 0.0
    reset_code: int = 0
    reason: str = ""
    stream_limit: int | None = None
    authenticated: bool = False


@dataclass(slots=True)
class Session:
    """What a vendor remembers of one connection: the provider tokens it showed, and when."""

    tokens: dict[bytes, float] = field(default_factory=dict)


class Vendor(Protocol):
    """A push service behind a listener."""

    @property
    def stream_limit(self) -> int:
        """SETTINGS_MAX_CONCURRENT_STREAMS once the sender is known."""

    @property
    def first_stream_limit(self) -> int:
        """SETTINGS_MAX_CONCURRENT_STREAMS of a new connection."""

    @property
    def receive_window(self) -> int:
        """Bytes of bodies that a sender may have under way on one connection."""

    def handle(self, request: Request, session: Session) -> Handling:
        """Judge a request, record it, and say what to do. Never raises for bad input."""
