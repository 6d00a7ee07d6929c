"""The server side of one HTTP/2 connection: one protocol object, no task per request.

Owns streams, flow control in both directions, the stream limit and the ways a connection can
misbehave on purpose. Refuses to know what a request means: a `Vendor` judges it.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter, deque
from functools import lru_cache
from typing import assert_never, cast

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RemoteSettingsChanged,
    RequestReceived,
    StreamEnded,
    StreamReset,
    WindowUpdated,
)
from h2.exceptions import ProtocolError, StreamClosedError
from hpack import NeverIndexedHeaderTuple
from hyperframe.frame import GoAwayFrame, SettingsFrame

from providers.sandbox.exchange import Handling, Reply, Request, Session, Vendor

MAX_BODY_BYTES = 65_536
"""More than any vendor takes, so that a body that is too large still gets the vendor's answer."""

DEFAULT_WINDOW = 65_535
"""What a sender may have under way before it is told more (RFC 9113, 6.9.2)."""

_CREDIT_AT = 32_768
"""Received bytes after which the window of the connection is opened again: half of the default."""

_CONFIGURATION = H2Configuration(
    client_side=False,
    header_encoding=None,
    # What leaves here is written by this package, in lower case and in order, and of what arrives
    # `_is_well_formed` checks all that a sender can get wrong: h2's checks cost a quarter of the
    # throughput.
    validate_inbound_headers=False,
    normalize_inbound_headers=False,
    validate_outbound_headers=False,
    normalize_outbound_headers=False,
)


class _Frames(H2Connection):
    """h2 without its own count of streams.

    h2 counts by walking over all streams at every request, and kills the connection of a sender
    that opens one too many, where the vendors only refuse that stream.
    """

    _sweep_at = 512

    @property
    def open_inbound_streams(self) -> int:
        if len(self.streams) >= self._sweep_at:
            # The walk is also what forgets closed streams.
            self._sweep_at = 2 * super().open_inbound_streams + 512
        return 0


class _Incoming:
    """A request of which more is to come."""

    __slots__ = ("chunks", "headers", "size")

    def __init__(self, headers: list[tuple[bytes, bytes]]) -> None:
        self.headers = headers
        self.chunks: list[bytes] = []
        self.size = 0


class Http2Connection(asyncio.Protocol):
    """Serves one vendor to one sender. `open_connections` is where it enters and leaves itself."""

    def __init__(self, vendor: Vendor, open_connections: dict[Http2Connection, None]) -> None:
        self.session = Session()
        self._vendor = vendor
        self._siblings = open_connections
        self._limit = vendor.first_stream_limit
        self._known = False
        self._h2 = _Frames(_CONFIGURATION)
        self._incoming: dict[int, _Incoming] = {}
        self._open: set[int] = set()
        self._unsent: deque[tuple[int, bytes]] = deque()
        self._credit = 0
        self._last_stream: int | None = None
        self._flush_due = False
        self._closed = False

    # --- asyncio.Protocol ---------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not checked with isinstance: uvloop's transports are of no class of asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        self._loop = asyncio.get_running_loop()
        self._siblings[self] = None
        self._h2.initiate_connection()
        # h2's own first SETTINGS frame is replaced by one with the limit that is kept here.
        self._h2.data_to_send()
        self._transport.write(_settings_frame(self._limit))
        if self._vendor.receive_window > DEFAULT_WINDOW:
            self._h2.increment_flow_control_window(self._vendor.receive_window - DEFAULT_WINDOW)
        self._flush()

    def data_received(self, data: bytes) -> None:
        try:
            for event in self._h2.receive_data(data):
                self._on_event(event)
            if self._credit >= _CREDIT_AT:
                self._h2.increment_flow_control_window(self._credit)
                self._credit = 0
        except ProtocolError:
            self._finish()
        else:
            self._flush()
            self._close_when_drained()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._closed = True
        self._siblings.pop(self, None)
        self._open.clear()
        self._incoming.clear()
        self._unsent.clear()

    # --- what arrives -------------------------------------------------------------------------

    def _on_event(self, event: Event) -> None:
        if self._closed:
            # What came behind the push that ended the connection was never seen.
            return
        match event:
            case RequestReceived(stream_id=int(stream_id), headers=list(headers)):
                self._on_request(stream_id, headers)
            case DataReceived(stream_id=int(stream_id), data=bytes(chunk)):
                self._on_data(stream_id, chunk, event.flow_controlled_length or 0)
            case StreamEnded(stream_id=int(stream_id)):
                incoming = self._incoming.pop(stream_id, None)
                if incoming is not None:
                    self._on_complete(stream_id, incoming)
            case StreamReset(stream_id=int(stream_id)):
                self._incoming.pop(stream_id, None)
                self._open.discard(stream_id)
            case WindowUpdated() | RemoteSettingsChanged():
                self._send_unsent()
            case ConnectionTerminated():
                self._finish()
            case _:
                pass

    def _on_request(self, stream_id: int, headers: list[tuple[bytes, bytes]]) -> None:
        if self._last_stream is not None and stream_id > self._last_stream:
            return
        if not _is_well_formed(headers):
            self._h2.reset_stream(stream_id, ErrorCodes.PROTOCOL_ERROR)
            return
        if len(self._open) >= self._limit:
            self._h2.reset_stream(stream_id, ErrorCodes.REFUSED_STREAM)
            return
        self._open.add(stream_id)
        self._incoming[stream_id] = _Incoming(headers)

    def _on_data(self, stream_id: int, chunk: bytes, credit: int) -> None:
        self._credit += credit
        incoming = self._incoming.get(stream_id)
        if incoming is None:
            return
        incoming.size += len(chunk)
        if incoming.size <= MAX_BODY_BYTES:
            incoming.chunks.append(chunk)
        if credit and incoming.size > _CREDIT_AT:
            self._reopen_stream(stream_id, credit)

    def _reopen_stream(self, stream_id: int, credit: int) -> None:
        try:
            self._h2.increment_flow_control_window(credit, stream_id)
        except StreamClosedError:
            return

    def _on_complete(self, stream_id: int, incoming: _Incoming) -> None:
        handling = self._vendor.handle(_request(incoming), self.session)
        if handling.delay_s > 0:
            self._loop.call_later(handling.delay_s, self._play_late, stream_id, handling)
        else:
            self._play(stream_id, handling)

    # --- what is done about it ----------------------------------------------------------------

    def _play_late(self, stream_id: int, handling: Handling) -> None:
        if self._closed:
            return
        try:
            self._play(stream_id, handling)
        except ProtocolError:
            self._finish()
            return
        if not self._flush_due:
            # Answers that fall due together leave together.
            self._flush_due = True
            self._loop.call_soon(self._flush_late)

    def _flush_late(self) -> None:
        self._flush_due = False
        self._flush()
        self._close_when_drained()

    def _play(self, stream_id: int, handling: Handling) -> None:
        if stream_id not in self._open:
            return
        match handling.act:
            case "reply":
                self._reply(stream_id, handling)
            case "hang":
                pass
            case "reset":
                self._open.discard(stream_id)
                self._h2.reset_stream(stream_id, handling.reset_code)
            case "goaway_after":
                self._reply(stream_id, handling)
                self.go_away(stream_id, handling.reason)
            case "goaway_before":
                self.go_away(max(stream_id - 2, 0), handling.reason)
            case "drop":
                self.drop()
            case _:
                assert_never(handling.act)

    def _reply(self, stream_id: int, handling: Handling) -> None:
        self._open.discard(stream_id)
        try:
            self._send(stream_id, handling.reply)
        except StreamClosedError:
            # The sender gave this stream up within the bytes that were just read.
            return
        if handling.authenticated and not self._known:
            self._known = True
            if self._limit != self._vendor.stream_limit:
                self.set_stream_limit(self._vendor.stream_limit)
        if handling.stream_limit is not None:
            self.set_stream_limit(handling.stream_limit)

    def _send(self, stream_id: int, reply: Reply) -> None:
        headers = [(b":status", b"%d" % reply.status)]
        headers.extend(NeverIndexedHeaderTuple(name, value) for name, value in reply.headers)
        self._h2.send_headers(stream_id, headers, end_stream=not reply.body)
        if not reply.body:
            return
        if self._unsent or len(reply.body) > self._room(stream_id):
            self._unsent.append((stream_id, reply.body))
            self._send_unsent()
        else:
            self._h2.send_data(stream_id, reply.body, end_stream=True)

    def _room(self, stream_id: int) -> int:
        return min(self._h2.local_flow_control_window(stream_id), self._h2.max_outbound_frame_size)

    def _send_unsent(self) -> None:
        """Send what the sender's windows allow; a body waits for its own stream's window too."""
        for _ in range(len(self._unsent)):
            stream_id, body = self._unsent.popleft()
            try:
                while body and (room := self._room(stream_id)) > 0:
                    part, body = body[:room], body[room:]
                    self._h2.send_data(stream_id, part, end_stream=not body)
            except StreamClosedError:
                continue
            if body:
                self._unsent.append((stream_id, body))

    # --- the connection as a whole ------------------------------------------------------------

    def set_stream_limit(self, streams: int) -> None:
        """Announce and keep a new SETTINGS_MAX_CONCURRENT_STREAMS."""
        self._limit = streams
        self._flush()
        self._transport.write(_settings_frame(streams))

    def go_away(self, last_stream: int | None = None, reason: str = "Shutdown") -> None:
        """Send GOAWAY; streams up to `last_stream` are still answered, then the connection ends.

        None: everything that has arrived. (h2 cannot do this: it ends with the frame it sends.)
        """
        if self._last_stream is not None or self._closed:
            return
        if last_stream is None:
            last_stream = self._h2.highest_inbound_stream_id
        self._last_stream = last_stream
        self._open = {stream_id for stream_id in self._open if stream_id <= last_stream}
        self._flush()
        frame = GoAwayFrame(
            0, last_stream_id=last_stream, additional_data=b'{"reason":"%s"}' % reason.encode()
        )
        self._transport.write(frame.serialize())
        self._close_when_drained()

    def drop(self) -> None:
        """Cut the connection without a word."""
        self._closed = True
        self._transport.abort()

    def _finish(self) -> None:
        """Say what h2 still has to say (its GOAWAY after a protocol error) and close."""
        self._flush()
        self._closed = True
        self._transport.close()

    def _flush(self) -> None:
        data = self._h2.data_to_send()
        if data and not self._closed:
            self._transport.write(data)

    def _close_when_drained(self) -> None:
        if self._last_stream is not None and not self._open and not self._unsent:
            self._finish()


def _settings_frame(streams: int) -> bytes:
    settings = {SettingsFrame.MAX_CONCURRENT_STREAMS: streams}
    return bytes(SettingsFrame(0, settings=settings).serialize())


_PSEUDO = frozenset({b":method", b":scheme", b":path", b":authority"})
_NEEDED_PSEUDO = frozenset({b":method", b":scheme", b":path"})
_FORBIDDEN = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"}
)
_NAME = re.compile(rb":?[!#$%&'*+\-.^_`|~0-9a-z]+\Z")


@lru_cache(maxsize=1024)
def _is_good_name(name: bytes) -> bool:
    return name not in _FORBIDDEN and _NAME.match(name) is not None


def _is_well_formed(headers: list[tuple[bytes, bytes]]) -> bool:
    """Lower-case names, pseudo-headers first and once, nothing of HTTP/1.1 (RFC 9113, 8.2, 8.3)."""
    pseudo = [name for name, _ in headers if name[:1] == b":"]
    first = headers[: len(pseudo)]
    return (
        _NEEDED_PSEUDO <= set(pseudo) <= _PSEUDO
        and len(set(pseudo)) == len(pseudo)
        and all(name[:1] == b":" for name, _ in first)
        and all(_is_good_name(name) for name, _ in headers)
    )


def _request(incoming: _Incoming) -> Request:
    headers = dict(incoming.headers)
    repeated: frozenset[bytes] = frozenset()
    if len(headers) != len(incoming.headers):
        counts = Counter(name for name, _ in incoming.headers)
        repeated = frozenset(name for name, count in counts.items() if count > 1)
    return Request(
        method=headers.get(b":method", b""),
        path=headers.get(b":path", b"").decode("latin-1"),
        headers=headers,
        body=b"".join(incoming.chunks),
        repeated=repeated,
        body_size=incoming.size,
    )
