"""HTTP/2 frames as bytes: their numbers, and those that a client writes. Pure.

Source: RFC 9113, sections 4, 6 and 7. Refuses to know streams and connections.
"""

from __future__ import annotations

import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA = 0x0
HEADERS = 0x1
PRIORITY = 0x2
RST_STREAM = 0x3
SETTINGS = 0x4
PUSH_PROMISE = 0x5
PING = 0x6
GOAWAY = 0x7
WINDOW_UPDATE = 0x8
CONTINUATION = 0x9

ACK = 0x1
END_STREAM = 0x1
END_HEADERS = 0x4
PADDED = 0x8
PRIORITISED = 0x20

HEADER_TABLE_SIZE = 0x1
ENABLE_PUSH = 0x2
MAX_CONCURRENT_STREAMS = 0x3
INITIAL_WINDOW_SIZE = 0x4
MAX_FRAME_SIZE = 0x5

NO_ERROR = 0x0
PROTOCOL_ERROR = 0x1
FLOW_CONTROL_ERROR = 0x3
FRAME_SIZE_ERROR = 0x6
REFUSED_STREAM = 0x7
CANCEL = 0x8
COMPRESSION_ERROR = 0x9
ENHANCE_YOUR_CALM = 0xB

HEAD_SIZE = 9
DEFAULT_WINDOW = 65_535
DEFAULT_TABLE = 4_096
DEFAULT_FRAME = 16_384
LARGEST_FRAME = 2**24 - 1
LARGEST_WINDOW = 2**31 - 1
LARGEST_ID = 2**31 - 1

#: of a frame's head: length and type as one number, flags, stream id
_HEAD = struct.Struct(">IBI")
_PAIR = struct.Struct(">HI")
_NUMBER = struct.Struct(">I")

pack_head = _HEAD.pack
"""The head of a frame: `pack_head(length << 8 | type, flags, stream_id)`."""

unpack_head = _HEAD.unpack_from
"""What `pack_head` packed, from a buffer and an offset."""


class Violation(Exception):
    """The peer broke the protocol: the connection ends with this error code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def expect(condition: bool, code: int = PROTOCOL_ERROR) -> None:
    """End the connection unless the peer keeps this rule."""
    if not condition:
        raise Violation(code)


def frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    """A whole frame."""
    return pack_head(len(payload) << 8 | kind, flags, stream_id) + payload


def settings(values: dict[int, int]) -> bytes:
    """A SETTINGS frame."""
    return frame(SETTINGS, 0, 0, b"".join(_PAIR.pack(*pair) for pair in values.items()))


def read_settings(payload: bytes) -> list[tuple[int, int]]:
    """The (setting, value) pairs of a SETTINGS payload, whose length is a multiple of six."""
    return [_PAIR.unpack_from(payload, at) for at in range(0, len(payload), _PAIR.size)]


def window_update(stream_id: int, increment: int) -> bytes:
    """A WINDOW_UPDATE frame."""
    return frame(WINDOW_UPDATE, 0, stream_id, _NUMBER.pack(increment))


def rst_stream(stream_id: int, code: int) -> bytes:
    """A RST_STREAM frame."""
    return frame(RST_STREAM, 0, stream_id, _NUMBER.pack(code))


def goaway(code: int) -> bytes:
    """A client's GOAWAY frame; its last stream is 0, because the server opens no streams."""
    return frame(GOAWAY, 0, 0, _NUMBER.pack(0) + _NUMBER.pack(code))


def read_number(payload: bytes, at: int = 0) -> int:
    """An unsigned 32-bit number."""
    number: int = _NUMBER.unpack_from(payload, at)[0]
    return number


def unpadded(payload: bytes, flags: int) -> bytes:
    """The payload of DATA or HEADERS without its padding."""
    if not flags & PADDED:
        return payload
    expect(bool(payload), FRAME_SIZE_ERROR)
    padding = payload[0]
    expect(padding < len(payload))
    return payload[1 : len(payload) - padding]
