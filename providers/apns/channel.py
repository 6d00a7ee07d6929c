"""The client's side of one HTTP/2 connection to APNs, without a socket.

Owns streams: how many may be open, what each was answered, and which were surely not processed.
Refuses to know pushes, time and who moves the bytes. It exists because aioapns 4.0 acknowledges no
DATA, ignores RST_STREAM and empty bodies, and re-sends everything on GOAWAY; see the README.

h2 takes no frame after a GOAWAY, yet APNs goes on answering what it had accepted. So GOAWAY is
taken out of the bytes before h2 sees them (RFC 9113, 6.8).
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    DataReceived,
    Event,
    RemoteSettingsChanged,
    ResponseReceived,
    StreamEnded,
    StreamReset,
)
from h2.exceptions import FrameTooLargeError, ProtocolError, StreamClosedError
from hpack import NeverIndexedHeaderTuple
from hyperframe.exceptions import InvalidDataError, InvalidFrameError

from providers.apns.desk import Answer

FIRST_STREAMS = 1
"""Streams before the peer's SETTINGS say how many: APNs allows one to whom it does not know."""

LARGEST_REQUEST = 4096
"""Bytes of flow-control window that a new stream must find: the most a push can take."""

_LARGEST_ANSWER = 65_536
_LAST_STREAM = 2**31 - 1
_LARGEST_FRAME = 16_384
_HEADER = 9
_GOAWAY = 7
_SECRET_NAMES = frozenset({":path", "authorization"})


@dataclass(frozen=True, slots=True)
class NotProcessed:
    """The request was surely not acted upon: it may be sent again, in `retry_after` seconds."""

    reason: str
    retry_after: float


@dataclass(frozen=True, slots=True)
class Lost:
    """There will be no answer, and the push may have been taken."""

    reason: str


End = Answer | NotProcessed | Lost


class CannotOpen(Exception):
    """This connection can open no stream any more."""


@dataclass(slots=True)
class _Stream:
    headers: dict[bytes, bytes] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)


class Channel:
    """One connection. Bytes go in by `receive` and out by `data_to_send`."""

    def __init__(self) -> None:
        self._h2 = H2Connection(H2Configuration(client_side=True, header_encoding=None))
        self._streams: dict[int, _Stream] = {}
        self._splitter = _Splitter()
        self._settled = False
        self.draining = False
        self.answered = False

    @property
    def open_streams(self) -> int:
        """How many requests wait for their end."""
        return len(self._streams)

    @property
    def limit(self) -> int:
        """How many streams the peer allows at once."""
        if not self._settled:
            return FIRST_STREAMS
        return int(self._h2.remote_settings.max_concurrent_streams)

    @property
    def room(self) -> int:
        """How many more requests may be opened now; 0 or less: none."""
        window = self._h2.outbound_flow_control_window
        if self.draining or min(window, self._stream_window) < LARGEST_REQUEST:
            return 0
        return self.limit - len(self._streams)

    def start(self) -> None:
        """Write the connection preface."""
        self._h2.initiate_connection()

    def open(self, headers: Iterable[tuple[str, str]], body: bytes) -> int:
        """Send a complete request; the caller made sure of `room`. Returns the stream's id.

        Device token and authorization are never put into a header table, as Apple advises.
        Raises CannotOpen, and is `draining` from then on, when the connection takes no more.
        """
        if self.draining:
            raise CannotOpen
        fields = [
            NeverIndexedHeaderTuple(name, value) if name in _SECRET_NAMES else (name, value)
            for name, value in headers
        ]
        try:
            stream_id = self._h2.get_next_available_stream_id()
            self._h2.send_headers(stream_id, fields)
            self._h2.send_data(stream_id, body, end_stream=True)
        except ProtocolError as error:
            self.draining = True
            raise CannotOpen from error
        self._streams[stream_id] = _Stream()
        return stream_id

    def abandon(self, stream_id: int) -> None:
        """Stop waiting for an answer; a late one is ignored."""
        if self._streams.pop(stream_id, None) is not None:
            # closed: its end had come together with what made the caller give up
            with suppress(StreamClosedError):
                self._h2.reset_stream(stream_id, ErrorCodes.CANCEL)

    def ping(self) -> None:
        """Ask for a sign of life."""
        self._h2.ping(b"inkpush.")

    def close(self) -> None:
        """Say goodbye."""
        self.draining = True
        with suppress(ProtocolError):
            self._h2.close_connection()

    def data_to_send(self) -> bytes:
        """The bytes that are due to go out."""
        return self._h2.data_to_send()

    def receive(self, data: bytes) -> list[tuple[int, End]]:
        """Take bytes from the peer; returns the requests that came to their end.

        After a violation of the protocol all of them have, and the channel is `draining`.
        """
        ends: list[tuple[int, End]] = []
        try:
            for piece in self._splitter.split(data):
                if isinstance(piece, int):
                    ends += self._going_away(last_stream_id=piece)
                    continue
                for event in self._h2.receive_data(piece):
                    self._handle(event, ends)
        except (ProtocolError, InvalidFrameError, InvalidDataError):
            ends += self.lose("ProtocolError")
        return ends

    def lose(self, reason: str) -> list[tuple[int, End]]:
        """The connection is gone: the end of everything that waits."""
        self.draining = True
        ends: list[tuple[int, End]] = [(stream_id, Lost(reason)) for stream_id in self._streams]
        self._streams.clear()
        return ends

    @property
    def _stream_window(self) -> int:
        return int(self._h2.remote_settings.initial_window_size)

    def _handle(self, event: Event, ends: list[tuple[int, End]]) -> None:
        match event:
            case ResponseReceived():
                if stream := self._streams.get(_id(event.stream_id)):
                    stream.headers = {bytes(name): bytes(value) for name, value in event.headers}
            case DataReceived():
                self._take_data(event)
            case StreamEnded():
                stream_id = _id(event.stream_id)
                if stream := self._streams.pop(stream_id, None):
                    self.answered = True
                    ends.append((stream_id, _answer(stream)))
            case StreamReset():
                stream_id = _id(event.stream_id)
                if self._streams.pop(stream_id, None) is not None:
                    ends.append((stream_id, _reset(event.error_code)))
            case RemoteSettingsChanged():
                self._settled = True
            case _:
                pass  # windows, acknowledgements and pings, which h2 answers itself

    def _take_data(self, event: DataReceived) -> None:
        stream_id = _id(event.stream_id)
        # Without this the peer may send 65 535 bytes in all, and then never answers again.
        self._h2.acknowledge_received_data(event.flow_controlled_length or 0, stream_id)
        stream = self._streams.get(stream_id)
        if stream is not None and len(stream.body) < _LARGEST_ANSWER:
            stream.body += event.data or b""

    def _going_away(self, last_stream_id: int) -> list[tuple[int, End]]:
        self.draining = True
        late = [stream_id for stream_id in self._streams if stream_id > last_stream_id]
        for stream_id in late:
            del self._streams[stream_id]
        return [(stream_id, NotProcessed("GoAway", 0.0)) for stream_id in late]


class _Splitter:
    """Cuts the peer's bytes into whole frames for h2 and the last stream ids of GOAWAYs."""

    def __init__(self) -> None:
        self._rest = b""

    def split(self, data: bytes) -> list[bytes | int]:
        data = self._rest + data
        pieces: list[bytes | int] = []
        start = at = 0
        while len(data) - at >= _HEADER:
            size = int.from_bytes(data[at : at + 3])
            if size > _LARGEST_FRAME:
                # h2 would wait for the whole of it; an answer in HTTP/1.1 begins with 4 MB
                raise FrameTooLargeError
            end = at + _HEADER + size
            if end > len(data):
                break
            if data[at + 3] == _GOAWAY:
                if start < at:
                    pieces.append(data[start:at])
                payload = data[at + _HEADER : end]
                pieces.append(int.from_bytes(payload[:4]) & _LAST_STREAM)
                start = end
            at = end
        if start < at:
            pieces.append(data[start:at])
        self._rest = data[at:]
        return pieces


def _id(stream_id: int | None) -> int:
    return stream_id or 0


def _answer(stream: _Stream) -> Answer:
    headers = stream.headers
    status = headers.get(b":status", b"")
    retry_after = headers.get(b"retry-after")
    return Answer(
        int(status) if status.isdigit() else 0,
        bytes(stream.body),
        headers.get(b"apns-id", b"").decode("latin-1"),
        None if retry_after is None else retry_after.decode("latin-1"),
    )


def _reset(code: ErrorCodes | int | None) -> End:
    if code == ErrorCodes.REFUSED_STREAM:
        return NotProcessed("StreamRefused", 1.0)
    return Lost("StreamReset")
