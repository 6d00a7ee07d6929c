"""The other side of `providers.http2.connection`, frame by frame: as right or as wrong as asked.

What arrives is made with `frames.frame`, of any kind and content; what the connection sends is
read by hyperframe, which knows nothing of our own coding.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

from hpack import Encoder
from hyperframe.frame import Frame

from providers.http2 import frames
from providers.http2.connection import Connection
from providers.http2.exchange import End, Ends, Request
from providers.http2.headers import ConstantFields, literal

CONSTANT = (
    (":method", "POST"),
    (":scheme", "https"),
    (":authority", "vendor.test"),
    ("apns-topic", "com.learnink.app"),
    ("apns-push-type", "alert"),
)
OK = b"\x88"
"""A header block: status 200 and nothing else."""


def request(name: object = "a", body: bytes = b"{}") -> Request:
    """A request whose context is its name."""
    return Request(literal(":path", f"/3/device/{name}"), body, name)


def requests(count: int, body: bytes = b"{}") -> list[Request]:
    """Requests named 1, 3, 5 and so on: after the streams they go out on, when they are first."""
    return [request(stream_id, body) for stream_id in range(1, 2 * count, 2)]


def connected(settings: dict[int, int] | None = None) -> Connection:
    """A connection whose peer has said these settings, and which has nothing left to send."""
    connection = Connection(ConstantFields(CONSTANT))
    assert connection.receive(frames.settings(settings or {})) == []
    connection.data_to_send()
    return connection


def opened(
    count: int = 1, settings: dict[int, int] | None = None, body: bytes = b"{}"
) -> Connection:
    """A connection with so many requests under way, of which all bytes have left."""
    connection = connected(settings)
    connection.open(requests(count, body), deadline=100.0)
    connection.data_to_send()
    return connection


def named(ends: Ends) -> dict[Any, End]:
    """The ends by the names of their requests, of which none comes twice."""
    by_name = {request.context: end for request, end in ends}
    assert len(by_name) == len(ends)
    return by_name


def parsed(data: bytes) -> list[Frame]:
    """What a client sent after its preface."""
    view, found = memoryview(data), []
    while view:
        frame, length = Frame.parse_frame_header(view[:9])
        frame.parse_body(view[9 : 9 + length])
        found.append(frame)
        view = view[9 + length :]
    return found


def sent(connection: Connection) -> list[Frame]:
    """The frames that the connection wants to send now."""
    return parsed(connection.data_to_send().removeprefix(frames.PREFACE))


def block(*fields: tuple[str, str]) -> bytes:
    """A header block of a peer that keeps no table."""
    encoder = Encoder()
    encoder.header_table_size = 0
    return bytes(encoder.encode(fields))


def headers(stream_id: int, fragment: bytes = OK, flags: int = 0x5) -> bytes:
    """A HEADERS frame; whole and the end of its stream unless `flags` says otherwise."""
    return frames.frame(frames.HEADERS, flags, stream_id, fragment)


def data(stream_id: int, content: bytes = b"", flags: int = 0x1) -> bytes:
    """A DATA frame; the end of its stream unless `flags` says otherwise."""
    return frames.frame(frames.DATA, flags, stream_id, content)


def goaway(last: int, code: int = 0) -> bytes:
    """A GOAWAY frame of a server's."""
    return frames.frame(frames.GOAWAY, 0, 0, last.to_bytes(4, "big") + code.to_bytes(4, "big"))


def pieces(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    """The bytes, cut at these places."""
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[start:end] for start, end in pairwise(places)]
