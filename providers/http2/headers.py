"""Header blocks (HPACK, RFC 7541): fields that are the same in every request are coded once.

Owns the coding of request headers and the reading of response headers. Refuses to know their
meaning. The first request of a connection puts the constant fields into the peer's table; after it
each is one index byte. All other fields are literals that enter no table, where device tokens and
credentials would be of no use (Apple advises the same for `:path` and `authorization`).

This side announces a table of size 0, so that response blocks can be read without state: a block
that begins with 0x88 is status 200, and most responses are only that.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from hpack import Decoder, HPACKDecodingError
from hpack.table import HeaderTable

from providers.http2 import frames

STATUS_200 = 0x88
"""The first byte of a block whose status is 200."""

TABLE_IS_EMPTY = 0x20
"""The first byte of a block that sets the sender's table to size 0."""

_LARGEST_BLOCK = 65_536
_MOST_PARTS = 64
_ENTRY_OVERHEAD = 32
_STATIC: dict[tuple[bytes, bytes], int] = {}
_STATIC_NAMES: dict[bytes, int] = {}
for _index, _pair in enumerate(HeaderTable.STATIC_TABLE, start=1):
    _STATIC.setdefault(_pair, _index)
    _STATIC_NAMES.setdefault(_pair[0], _index)


def read_literals(coded: bytes) -> list[tuple[str, str]]:
    """The fields that `literal` coded."""
    return [(name.decode(), value.decode()) for name, value in _decode(Decoder(), coded)]


# RFC 9113, 8.2.1 and 8.2.2; a name with a colon is a pseudo-field in the wrong place, or unknown
_NAME = re.compile(rb"[!-9;-@\[-~]+")
_VALUE = re.compile(rb"(?![ \t])[^\0\r\n]*(?<![ \t])")
_OF_HTTP1 = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"}
)


class BadHeaders(Exception):
    """A header block that cannot be read."""


class Malformed(Exception):
    """A header block that can be read, and that no response may have."""


def literal(name: str, value: str, *, secret: bool = False) -> bytes:
    """A field that enters no table; `secret`: it must not enter one on a later hop either."""
    return _literal(0x10 if secret else 0x00, 4, name.encode(), value.encode())


def literal_name(name: str, *, secret: bool = False) -> bytes:
    """The beginning of a literal; `short_string` of its value follows."""
    return literal(name, "", secret=secret)[:-1]


def literal_after(name: bytes, value: bytes) -> bytes:
    """A literal whose `literal_name` is at hand."""
    if len(value) < 0x7F:
        return b"%b%c%b" % (name, len(value), value)
    return name + _string(value)


def short_string(value: bytes) -> bytes:
    """A string of less than 127 bytes, without Huffman coding, whose CPU costs more than bytes."""
    return b"%c%b" % (len(value), value)


Around = tuple[bytes, bytes]
"""The bytes before and after a request's own fields in its block."""


class ConstantFields:
    """The fields that all requests of a connection share, coded for each situation.

    `first` puts them into the peer's table, `later` refers to them there; `plain` is for a peer
    whose table has less room than `size`. Pseudo-headers come before a request's own fields,
    because these may begin with `:path`; the others come after them.
    """

    def __init__(self, fields: Iterable[tuple[str, str]]) -> None:
        pairs = [(name.encode(), value.encode()) for name, value in fields]
        inserted = [pair for pair in pairs if pair not in _STATIC]
        self.size = sum(len(name) + len(value) + _ENTRY_OVERHEAD for name, value in inserted)
        # the newest entry has the lowest index
        newest = len(HeaderTable.STATIC_TABLE) + len(inserted)
        place = {pair: newest - number for number, pair in enumerate(inserted)}

        def around(code: Callable[[bytes, bytes], bytes]) -> Around:
            coded = [_indexed(_STATIC[pair]) if pair in _STATIC else code(*pair) for pair in pairs]
            pseudo = sum(name.startswith(b":") for name, _ in pairs)
            return b"".join(coded[:pseudo]), b"".join(coded[pseudo:])

        self.first = around(lambda name, value: _literal(0x40, 6, name, value))
        self.later = around(lambda name, value: _indexed(place[name, value]))
        self.plain = around(lambda name, value: _literal(0x00, 4, name, value))


class Surroundings:
    """The constant fields around the next request's own, for the peer's table as it is now.

    `now` is for the next request, `later` for all after it.
    """

    def __init__(self, constant: ConstantFields) -> None:
        self._constant = constant
        self._table = frames.DEFAULT_TABLE
        fits = constant.size <= self._table
        self.now = constant.first if fits else constant.plain
        self.later = constant.later if fits else constant.plain

    def limit_table(self, size: int) -> None:
        """The peer keeps a table of `size` bytes at most: acknowledge it, and stay within it.

        A table that may grow again stays as small as it was: it is large enough, or not used.
        """
        if size >= self._table:
            return
        self._table = size
        if self._constant.size > size:
            self.later = before, after = self._constant.plain
        elif self.now == self.later:
            before, after = self.later
        else:
            before, after = self._constant.first
        self.now = _integer(0x20, 5, size) + before, after


class PartialBlock:
    """An incomplete response block."""

    def __init__(self, stream_id: int, *, ends_stream: bool, first: bytes) -> None:
        self.stream_id = stream_id
        self.ends_stream = ends_stream
        self.size = len(first)
        self._parts = [first]

    def add(self, part: bytes) -> None:
        """Take the next part; a block without an end is a violation."""
        self._parts.append(part)
        self.size += len(part)
        if self.size > _LARGEST_BLOCK or len(self._parts) > _MOST_PARTS:
            raise frames.Violation(frames.ENHANCE_YOUR_CALM)

    def whole(self) -> bytes:
        """The complete block."""
        return b"".join(self._parts)


class HeaderReader:
    """Reads response blocks, each by itself, because the peer may keep no table."""

    def __init__(self) -> None:
        self._decoder = Decoder()
        self._decoder.header_table_size = 0
        self._decoder.max_allowed_table_size = 0

    def read(self, block: bytes) -> tuple[int, dict[bytes, bytes]]:
        """The status and the other fields, the last of each name.

        Raises BadHeaders for what is no block, and Malformed for one that no response may have
        (RFC 9113, 8.1.1): nobody's words prove anything then.
        """
        try:
            pairs = _decode(self._decoder, block)
        except HPACKDecodingError as error:
            raise BadHeaders(type(error).__name__) from None
        except (IndexError, ValueError) as error:  # the library raises these on malformed bytes
            raise BadHeaders(type(error).__name__) from None
        if not pairs or pairs[0][0] != b":status" or not _is_status(pairs[0][1]):
            raise Malformed
        fields = dict(pairs[1:])
        if not all(_NAME.fullmatch(name) and name not in _OF_HTTP1 for name in fields):
            raise Malformed
        if not all(_VALUE.fullmatch(value) for value in fields.values()):
            raise Malformed
        return int(pairs[0][1]), fields


def _is_status(value: bytes) -> bool:
    return len(value) == 3 and value.isdigit()


def _decode(decoder: Decoder, block: bytes) -> list[tuple[bytes, bytes]]:
    return [(bytes(name), bytes(value)) for name, value in decoder.decode(block, raw=True)]


def _literal(pattern: int, prefix: int, name: bytes, value: bytes) -> bytes:
    index = _STATIC_NAMES.get(name)
    head = _integer(pattern, prefix, index) if index else bytes([pattern]) + _string(name)
    return head + _string(value)


def _indexed(index: int) -> bytes:
    return _integer(0x80, 7, index)


def _string(value: bytes) -> bytes:
    return _integer(0x00, 7, len(value)) + value


def _integer(pattern: int, prefix: int, value: int) -> bytes:
    """An integer (RFC 7541, 5.1) whose first byte has the pattern above `prefix` bits."""
    most = (1 << prefix) - 1
    if value < most:
        return bytes([pattern | value])
    out = bytearray([pattern | most])
    value -= most
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
