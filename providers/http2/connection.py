"""The client's side of one HTTP/2 connection, without a socket and without a clock.

Owns the reading of frames and their effect on the connection; `streams` ends the requests,
`sending` writes frames. Refuses to know what is asked and who moves the bytes. Source: RFC 9113; a
violation of it by the peer ends the connection with the right error code, and never the process.

Made for many small, similar requests: all that may be opened are opened in one pass and leave as
one write, and only the parts of an answer that are needed are read.
"""

from __future__ import annotations

from collections.abc import Sequence

from providers.http2 import frames
from providers.http2.exchange import Ends, NotProcessed, Request, Response
from providers.http2.frames import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEAD_SIZE,
    HEADERS,
    PADDED,
    PING,
    PRIORITISED,
    SETTINGS,
    Violation,
    expect,
    unpack_head,
    unpadded,
)
from providers.http2.headers import STATUS_200, ConstantFields, PartialBlock
from providers.http2.sending import Sender
from providers.http2.streams import OK, Streams

FIRST_STREAMS = 1
"""Streams before the peer's SETTINGS say how many: APNs allows one to an unknown sender."""

MOST_STREAMS = 1_000
"""Maximum concurrent streams on one connection, even if the peer allows more."""

RECEIVE_WINDOW = 2**24
"""Bytes of answers that the peer may have in flight on the connection."""

_MOST_CONTROL = 1_000
"""Maximum PING and SETTINGS frames answered per read; more is treated as a flood."""

_MOST_OWED = 65_536
"""Bytes of such answers that may wait for a peer that does not read; more is a flood, too."""

_MOST_REFUSALS = 3
"""Streams refused in a row, although the peer allows them, before the connection drains."""

_LAST_REQUEST = frames.LARGEST_ID - 2 * MOST_STREAMS
_MASK = 0x7FFF_FFFF
_HELLO = (
    frames.PREFACE
    + frames.settings({frames.HEADER_TABLE_SIZE: 0, frames.ENABLE_PUSH: 0})
    + frames.window_update(0, RECEIVE_WINDOW - frames.DEFAULT_WINDOW)
)


class Connection:
    """One connection; `providers.http2.exchange.Channel` says what it promises."""

    def __init__(self, constant: ConstantFields) -> None:
        self.draining = False
        self.peer_reads = True
        self.error: int | None = None
        self._sender = Sender(constant, _HELLO)
        self._out = self._sender.out
        self._streams = Streams(self._sender)
        self._rest = b""
        self._greeted = False
        self._closed = False
        self._block: PartialBlock | None = None
        self._next_id = 1
        self._limit = FIRST_STREAMS
        self._last_stream_id = frames.LARGEST_ID
        self._received = 0
        self._control = 0
        self._owed = 0

    @property
    def answered(self) -> bool:
        """The peer has answered a request."""
        return self._streams.answered

    @property
    def room(self) -> int:
        """How many requests may be opened now."""
        if self.draining or self._sender.is_stuck:
            return 0
        return max(0, self._limit - len(self._streams.open))

    @property
    def in_flight(self) -> int:
        return len(self._streams.open)

    @property
    def next_deadline(self) -> float | None:
        """The deadline of the oldest request."""
        return self._streams.next_deadline

    def open(self, requests: Sequence[Request], deadline: float) -> None:
        """Send requests, at most `room`; deadlines never go back."""
        first, self._next_id = self._next_id, self._streams.add(requests, self._next_id, deadline)
        self._sender.send(requests, first)
        if self._next_id > _LAST_REQUEST:
            self.draining = True

    def receive(self, data: bytes) -> Ends:
        """Take bytes from the peer; returns the requests that ended.

        After a violation of the protocol all of them have ended, and there is a GOAWAY to send.
        """
        ends: Ends = []
        if self._closed:
            return ends
        self._control = 0
        try:
            self._read(self._rest + data if self._rest else data, ends)
            if self._received >= RECEIVE_WINDOW // 2:
                self._out.append(frames.window_update(0, self._received))
                self._received = 0
        except Violation as violation:
            self.error = violation.code
            self._out.append(frames.goaway(violation.code))
            ends += self.lose("ProtocolError")
        return ends

    def expire(self, now: float) -> Ends:
        """Give up requests past their deadline: reset their streams, and ignore late answers.

        If the peer ended nothing that was sent after them either, it drains: it may not read, or
        credit no window, or be gone.
        """
        waiting = self._streams.open
        oldest = next(iter(waiting), self._next_id)
        nothing_ended = len(waiting) == (self._next_id - oldest) // 2
        ends = self._streams.expire(now)
        if ends and nothing_ended:
            self.draining = True
        return ends

    def lose(self, reason: str) -> Ends:
        """The connection is gone: end every open request."""
        self.draining = self._closed = True
        return self._streams.lose(reason)

    def be_curious(self) -> None:
        self._streams.is_curious = True

    def ping(self) -> None:
        """Ask for a sign of life."""
        self._out.append(frames.frame(PING, 0, 0, b"inkpush."))

    def close(self) -> None:
        """Send a GOAWAY and drain."""
        if not self._closed:
            self.draining = True
            self._out.append(frames.goaway(frames.NO_ERROR))

    def data_to_send(self) -> bytes:
        """The bytes that are due to go out."""
        data = b"".join(self._out)
        self._out.clear()
        return data

    # --- reading --------------------------------------------------------------------------------

    def _read(self, data: bytes, ends: Ends) -> None:
        streams, answers, finish = self._streams.open, self._streams.answers, self._streams.finish
        at, size = 0, len(data)
        while size - at >= HEAD_SIZE:
            head, flags, stream_id = unpack_head(data, at)
            length, kind = head >> 8, head & 0xFF
            start = at + HEAD_SIZE
            if length > frames.DEFAULT_FRAME:
                raise Violation(frames.FRAME_SIZE_ERROR)
            if start + length > size:
                break
            at = start + length
            stream_id &= _MASK
            # The two frames of nearly all answers come first, in their plain forms only. They are
            # a violation while a header block of the peer is incomplete.
            if (
                kind == HEADERS
                and length
                and data[start] == STATUS_200
                and not self._streams.is_curious
                and stream_id in streams
                and flags & (END_HEADERS | PADDED | PRIORITISED) == END_HEADERS
                and stream_id not in answers
                and self._block is None
                and self._greeted
            ):
                if flags & END_STREAM:
                    finish(stream_id, OK, ends)
                else:
                    answers[stream_id] = Response(200)
            elif (
                kind == DATA
                and flags & (END_STREAM | PADDED) == END_STREAM
                and stream_id in answers
                and self._block is None
            ):
                self._received += length
                if self._received > RECEIVE_WINDOW:
                    raise Violation(frames.FLOW_CONTROL_ERROR)
                answer = answers.pop(stream_id)
                answer.body += data[start:at]
                finish(stream_id, answer, ends)
            else:
                self._read_frame(kind, flags, stream_id, data[start:at], ends)
        self._rest = data[at:]

    def _read_frame(
        self, kind: int, flags: int, stream_id: int, payload: bytes, ends: Ends
    ) -> None:
        if not self._greeted and (kind != SETTINGS or flags & frames.ACK):
            raise Violation(frames.PROTOCOL_ERROR)
        if self._block is not None and (kind != CONTINUATION or stream_id != self._block.stream_id):
            raise Violation(frames.PROTOCOL_ERROR)
        match kind:
            case frames.DATA:
                self._expect_known(stream_id)
                self._take_window(len(payload))
                content, ends_stream = unpadded(payload, flags), bool(flags & END_STREAM)
                self._streams.body(stream_id, content, ends_stream, ends)
            case frames.HEADERS:
                self._on_headers(flags, stream_id, payload, ends)
            case frames.CONTINUATION:
                self._on_continuation(flags, payload, ends)
            case frames.RST_STREAM:
                self._on_reset(stream_id, payload, ends)
            case frames.SETTINGS:
                self._on_settings(flags, stream_id, payload)
            case frames.WINDOW_UPDATE:
                self._on_window_update(stream_id, payload, ends)
            case frames.PING:
                self._on_ping(flags, stream_id, payload)
            case frames.GOAWAY:
                self._on_goaway(stream_id, payload, ends)
            case frames.PRIORITY:
                expect(len(payload) == 5, frames.FRAME_SIZE_ERROR)
                expect(stream_id != 0)
            case frames.PUSH_PROMISE:
                raise Violation(frames.PROTOCOL_ERROR)  # switched off in our SETTINGS
            case _:
                pass  # RFC 9113, 5.5: unknown types are ignored

    def _on_headers(self, flags: int, stream_id: int, payload: bytes, ends: Ends) -> None:
        self._expect_known(stream_id)
        fragment = unpadded(payload, flags)
        if flags & PRIORITISED:
            expect(len(fragment) >= 5, frames.FRAME_SIZE_ERROR)
            fragment = fragment[5:]
        ends_stream = bool(flags & END_STREAM)
        if flags & END_HEADERS:
            self._streams.head(stream_id, fragment, ends_stream, ends)
        else:
            self._block = PartialBlock(stream_id, ends_stream=ends_stream, first=fragment)

    def _on_continuation(self, flags: int, payload: bytes, ends: Ends) -> None:
        block = self._block
        if block is None:
            raise Violation(frames.PROTOCOL_ERROR)
        block.add(payload)
        if flags & END_HEADERS:
            self._block = None
            self._streams.head(block.stream_id, block.whole(), block.ends_stream, ends)

    def _on_reset(self, stream_id: int, payload: bytes, ends: Ends) -> None:
        expect(len(payload) == 4, frames.FRAME_SIZE_ERROR)
        self._expect_known(stream_id)
        self._streams.reset(stream_id, frames.read_number(payload), ends)
        if self._streams.refusals >= _MOST_REFUSALS:
            self.draining = True

    def _on_settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        expect(stream_id == 0)
        if flags & frames.ACK:
            expect(not payload, frames.FRAME_SIZE_ERROR)
            return
        expect(len(payload) % 6 == 0, frames.FRAME_SIZE_ERROR)
        if not self._greeted:
            self._greeted = True
            self._limit = MOST_STREAMS
        self._streams.refusals = 0
        window: int | None = None
        for name, value in frames.read_settings(payload):
            if name == frames.INITIAL_WINDOW_SIZE:
                expect(value <= frames.LARGEST_WINDOW, frames.FLOW_CONTROL_ERROR)
                window = value
            else:
                self._on_setting(name, value)
        self._answer_control(frames.frame(SETTINGS, frames.ACK, 0))
        if window is not None:  # of several in one frame the last counts
            self._sender.set_stream_window(window)

    def _on_setting(self, name: int, value: int) -> None:
        match name:
            case frames.HEADER_TABLE_SIZE:
                self._sender.limit_table(value)
            case frames.ENABLE_PUSH:
                expect(value == 0)
            case frames.MAX_CONCURRENT_STREAMS:
                self._limit = min(value, MOST_STREAMS)
            case frames.MAX_FRAME_SIZE:
                expect(frames.DEFAULT_FRAME <= value <= frames.LARGEST_FRAME)
                self._sender.largest_frame = value
            case _:
                pass

    def _on_window_update(self, stream_id: int, payload: bytes, ends: Ends) -> None:
        expect(len(payload) == 4, frames.FRAME_SIZE_ERROR)
        increment = frames.read_number(payload) & _MASK
        if stream_id == 0:
            expect(increment != 0)
            self._sender.widen(increment)
            return
        self._expect_known(stream_id)
        if not self._sender.is_cut(stream_id):
            return
        if increment == 0 or not self._sender.widen_stream(stream_id, increment):
            ends.append((self._streams.open[stream_id], NotProcessed("ProtocolError")))
            code = frames.FLOW_CONTROL_ERROR if increment else frames.PROTOCOL_ERROR
            self._streams.abandon(stream_id, code)

    def _on_ping(self, flags: int, stream_id: int, payload: bytes) -> None:
        expect(stream_id == 0)
        expect(len(payload) == 8, frames.FRAME_SIZE_ERROR)
        if not flags & frames.ACK:
            self._answer_control(frames.frame(PING, frames.ACK, 0, payload))

    def _on_goaway(self, stream_id: int, payload: bytes, ends: Ends) -> None:
        expect(stream_id == 0)
        expect(len(payload) >= 8, frames.FRAME_SIZE_ERROR)
        last = frames.read_number(payload) & _MASK
        expect(last <= self._last_stream_id)
        self._last_stream_id = last
        self.draining = True
        self._streams.go_away(last, ends)

    # --- inside ---------------------------------------------------------------------------------

    def _expect_known(self, stream_id: int) -> None:
        """A frame may only name a stream that this side has opened."""
        expect(stream_id % 2 == 1 and stream_id < self._next_id)

    def _take_window(self, size: int) -> None:
        """Count what the peer sent against the window it was given."""
        self._received += size
        expect(self._received <= RECEIVE_WINDOW, frames.FLOW_CONTROL_ERROR)

    def _answer_control(self, answer: bytes) -> None:
        """Answer a control frame, unless the peer floods us with them."""
        self._control += 1
        self._owed = 0 if self.peer_reads else self._owed + len(answer)
        expect(self._control <= _MOST_CONTROL, frames.ENHANCE_YOUR_CALM)
        expect(self._owed <= _MOST_OWED, frames.ENHANCE_YOUR_CALM)
        self._out.append(answer)
