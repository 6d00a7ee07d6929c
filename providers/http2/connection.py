"""The client's side of one HTTP/2 connection, without a socket and without a clock.

Owns streams and what each comes to: answered, surely not processed, or lost. Refuses to know what
is asked and who moves the bytes. Source: RFC 9113; a violation of it by the peer ends the
connection with the right error code, and never the process.

Made for many small requests that look alike: all that may be opened are opened in one pass and
leave as one write, and of an answer nothing is read that nobody needs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from providers.http2 import frames
from providers.http2.exchange import (
    NEVER_SENT_S,
    REFUSED_S,
    End,
    Ends,
    Lost,
    NotProcessed,
    Request,
    Response,
)
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
    pack_head,
    unpack_head,
)
from providers.http2.headers import (
    STATUS_200,
    TABLE_IS_EMPTY,
    BadHeaders,
    ConstantFields,
    HeaderReader,
    Surroundings,
)

FIRST_STREAMS = 1
"""Streams before the peer's SETTINGS say how many: APNs allows one to whom it does not know."""

MOST_STREAMS = 1_000
"""Streams at once on one connection, whatever the peer allows."""

RECEIVE_WINDOW = 2**24
"""Bytes of answers that the peer may have under way on the connection."""

LARGEST_ANSWER = 32_768
"""Bytes of a body that are read; half a stream's window, which is never opened again."""

_MOST_UNSENT = 8
"""Bodies that wait for a window before no more are begun."""

_LARGEST_BLOCK = 65_536
_MOST_FRAGMENTS = 64
_MOST_CONTROL = 1_000
"""Frames of the peer's in one read that want an answer of their own: more is a flood."""

_LAST_REQUEST = frames.LARGEST_ID - 2 * MOST_STREAMS
_MASK = 0x7FFF_FFFF
_MOST_REFUSALS = 3
"""Refused streams in a row, within what the peer allows, before the connection drains."""

_OK = Response(200)
_HELLO = (
    frames.PREFACE
    + frames.settings({frames.HEADER_TABLE_SIZE: 0, frames.ENABLE_PUSH: 0})
    + frames.window_update(0, RECEIVE_WINDOW - frames.DEFAULT_WINDOW)
)


class _Violation(Exception):
    """The peer broke the protocol."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class _Unsent:
    """A body that waits for a window; `window` is the stream's own, and may be negative."""

    __slots__ = ("rest", "window")

    def __init__(self, rest: bytes, window: int) -> None:
        self.rest = rest
        self.window = window


class _Block:
    """A header block of which more is to come."""

    __slots__ = ("ends_stream", "parts", "size", "stream_id")

    def __init__(self, stream_id: int, *, ends_stream: bool, first: bytes) -> None:
        self.stream_id = stream_id
        self.ends_stream = ends_stream
        self.parts = [first]
        self.size = len(first)


class Connection:
    """One connection; `providers.http2.exchange.Channel` says what it promises."""

    def __init__(self, constant: ConstantFields) -> None:
        self.draining = False
        self.answered = False
        self.error: int | None = None
        self._around = Surroundings(constant)
        self._reader = HeaderReader()
        self._out: list[bytes] = [_HELLO]
        self._rest = b""
        self._greeted = False
        self._closed = False
        # requests by stream, oldest first: ids only rise
        self._streams: dict[int, Request] = {}
        # answers whose headers have come and whose body has not ended
        self._answers: dict[int, Response] = {}
        self._unsent: dict[int, _Unsent] = {}
        # (the first stream that is not under it, deadline), both rising
        self._deadlines: deque[tuple[int, float]] = deque()
        self._block: _Block | None = None
        self._next_id = 1
        self._limit = FIRST_STREAMS
        self._window = frames.DEFAULT_WINDOW
        self._stream_window = frames.DEFAULT_WINDOW
        self._largest_frame = frames.DEFAULT_FRAME
        self._last_stream_id = frames.LARGEST_ID
        self._received = 0
        self._control = 0
        self._refusals = 0

    @property
    def room(self) -> int:
        """How many requests may be opened now."""
        if self.draining or self._window <= 0 or len(self._unsent) >= _MOST_UNSENT:
            return 0
        room = self._limit - len(self._streams)
        return max(0, room)

    @property
    def in_flight(self) -> int:
        return len(self._streams)

    @property
    def next_deadline(self) -> float | None:
        """When the oldest request has to have ended."""
        oldest = next(iter(self._streams), None)
        if oldest is None:
            self._deadlines.clear()
            return None
        while self._deadlines[0][0] <= oldest:
            self._deadlines.popleft()
        return self._deadlines[0][1]

    def open(self, requests: Sequence[Request], deadline: float) -> None:
        """Send requests, at most `room`; deadlines never go back."""
        out, streams, stream_id = self._out, self._streams, self._next_id
        (before, after), (before_later, after_later) = self._around.now, self._around.later
        window = self._window
        largest_body = 0 if self._unsent else min(self._stream_window, self._largest_frame)
        for request in requests:
            block = before + request.fields + after
            before, after = before_later, after_later
            body = request.body
            size = len(body)
            streams[stream_id] = request
            if len(block) > self._largest_frame:
                self._send_long_block(stream_id, block)
            else:
                out.append(pack_head(len(block) << 8 | HEADERS, END_HEADERS, stream_id))
                out.append(block)
            if size <= largest_body and size <= window:
                window -= size
                out.append(pack_head(size << 8 | DATA, END_STREAM, stream_id))
                out.append(body)
            else:
                self._unsent[stream_id] = _Unsent(body, self._stream_window)
            stream_id += 2
        self._around.now = before, after
        self._window = window
        self._next_id = stream_id
        self._deadlines.append((stream_id, deadline))
        if stream_id > _LAST_REQUEST:
            self.draining = True
        if self._unsent:
            self._send_unsent()

    def receive(self, data: bytes) -> Ends:
        """Take bytes from the peer; returns the requests that came to their end.

        After a violation of the protocol all of them have, and there is a GOAWAY to send.
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
        except _Violation as violation:
            self.error = violation.code
            self._out.append(frames.goaway(violation.code))
            ends += self.lose("ProtocolError")
        return ends

    def expire(self, now: float) -> Ends:
        """Give up what is over its deadline: the peer is told, and a late answer is ignored."""
        ends: Ends = []
        while self._deadlines and self._deadlines[0][1] <= now:
            first_spared, _ = self._deadlines.popleft()
            while (stream_id := next(iter(self._streams), first_spared)) < first_spared:
                unsent = stream_id in self._unsent
                end: End = NotProcessed("Timeout", NEVER_SENT_S) if unsent else Lost("Timeout")
                ends.append((self._streams[stream_id], end))
                self._abandon(stream_id, frames.CANCEL)
        return ends

    def lose(self, reason: str) -> Ends:
        """The connection is gone: the end of everything that waits."""
        self.draining = self._closed = True
        # a request that did not leave in full can not have been acted upon
        lost, cut = Lost(reason), NotProcessed(reason, None)
        ends: Ends = [
            (request, cut if stream_id in self._unsent else lost)
            for stream_id, request in self._streams.items()
        ]
        for waiting in (self._streams, self._answers, self._unsent, self._deadlines):
            waiting.clear()
        return ends

    def ping(self) -> None:
        """Ask for a sign of life."""
        self._out.append(frames.frame(PING, 0, 0, b"inkpush."))

    def close(self) -> None:
        """Say goodbye."""
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
        streams, answers = self._streams, self._answers
        at, size = 0, len(data)
        while size - at >= HEAD_SIZE:
            head, flags, stream_id = unpack_head(data, at)
            length, kind = head >> 8, head & 0xFF
            start = at + HEAD_SIZE
            if length > frames.DEFAULT_FRAME:
                raise _Violation(frames.FRAME_SIZE_ERROR)
            if start + length > size:
                break
            at = start + length
            stream_id &= _MASK
            # The two frames that nearly all answers are made of come first, and only in their
            # plain forms. A block of the peer's that is not complete makes them a violation.
            if (
                kind == HEADERS
                and length
                and data[start] == STATUS_200
                and stream_id in streams
                and flags & (END_HEADERS | PADDED | PRIORITISED) == END_HEADERS
                and stream_id not in answers
                and self._block is None
                and self._greeted
            ):
                if flags & END_STREAM:
                    self._finish(stream_id, _OK, ends)
                else:
                    answers[stream_id] = Response(200)
            elif (
                kind == DATA
                and flags & (END_STREAM | PADDED) == END_STREAM
                and stream_id in answers
                and self._block is None
            ):
                self._take_window(length)
                answer = answers.pop(stream_id)
                answer.body += data[start:at]
                self._finish(stream_id, answer, ends)
            else:
                self._read_frame(kind, flags, stream_id, data[start:at], ends)
        self._rest = data[at:]

    def _read_frame(
        self, kind: int, flags: int, stream_id: int, payload: bytes, ends: Ends
    ) -> None:
        if not self._greeted and (kind != SETTINGS or flags & frames.ACK):
            raise _Violation(frames.PROTOCOL_ERROR)
        if self._block is not None and (kind != CONTINUATION or stream_id != self._block.stream_id):
            raise _Violation(frames.PROTOCOL_ERROR)
        match kind:
            case frames.DATA:
                self._on_data(flags, stream_id, payload, ends)
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
                _expect(len(payload) == 5, frames.FRAME_SIZE_ERROR)
                _expect(stream_id != 0)
            case frames.PUSH_PROMISE:
                raise _Violation(frames.PROTOCOL_ERROR)  # switched off in our SETTINGS
            case _:
                pass  # RFC 9113, 5.5: unknown types are ignored

    def _on_data(self, flags: int, stream_id: int, payload: bytes, ends: Ends) -> None:
        self._expect_known(stream_id)
        self._take_window(len(payload))
        content = _unpadded(payload, flags)
        if stream_id not in self._streams:
            return  # given up, or answered already
        answer = self._answers.get(stream_id)
        if answer is None:
            self._break(stream_id, ends)
            return
        answer.body += content
        if flags & END_STREAM:
            del self._answers[stream_id]
            self._finish(stream_id, answer, ends)
        elif len(answer.body) >= LARGEST_ANSWER:
            # enough to judge by; the stream's window ends here
            ends.append((self._streams[stream_id], answer))
            self.answered = True
            self._abandon(stream_id, frames.CANCEL)

    def _on_headers(self, flags: int, stream_id: int, payload: bytes, ends: Ends) -> None:
        self._expect_known(stream_id)
        fragment = _unpadded(payload, flags)
        if flags & PRIORITISED:
            _expect(len(fragment) >= 5, frames.FRAME_SIZE_ERROR)
            fragment = fragment[5:]
        ends_stream = bool(flags & END_STREAM)
        if flags & END_HEADERS:
            self._on_block(stream_id, fragment, ends_stream, ends)
        else:
            self._block = _Block(stream_id, ends_stream=ends_stream, first=fragment)

    def _on_continuation(self, flags: int, payload: bytes, ends: Ends) -> None:
        block = self._block
        if block is None:
            raise _Violation(frames.PROTOCOL_ERROR)
        block.parts.append(payload)
        block.size += len(payload)
        if block.size > _LARGEST_BLOCK or len(block.parts) > _MOST_FRAGMENTS:
            raise _Violation(frames.ENHANCE_YOUR_CALM)
        if flags & END_HEADERS:
            self._block = None
            self._on_block(block.stream_id, b"".join(block.parts), block.ends_stream, ends)

    def _on_block(self, stream_id: int, block: bytes, ends_stream: bool, ends: Ends) -> None:
        if stream_id not in self._streams:
            return  # blocks stand alone: one that nobody waits for need not be read
        if stream_id in self._answers:
            self._on_trailers(stream_id, ends_stream, ends)
            return
        if block[:1] == bytes([TABLE_IS_EMPTY]):
            block = block[1:]
        if block[:1] == bytes([STATUS_200]):
            answer = Response(200)
        else:
            try:
                status, headers = self._reader.read(block)
            except BadHeaders:
                raise _Violation(frames.COMPRESSION_ERROR) from None
            if status < 200:
                if status < 100 or ends_stream:
                    self._break(stream_id, ends)
                return  # the real answer is still to come
            answer = Response(status, headers=headers)
        if ends_stream:
            self._finish(stream_id, answer, ends)
        else:
            self._answers[stream_id] = answer

    def _on_trailers(self, stream_id: int, ends_stream: bool, ends: Ends) -> None:
        """A second block ends the stream, or breaks the protocol; what is in it says nothing."""
        answer = self._answers.pop(stream_id)
        if ends_stream:
            self._finish(stream_id, answer, ends)
        else:
            self._break(stream_id, ends)

    def _on_reset(self, stream_id: int, payload: bytes, ends: Ends) -> None:
        _expect(len(payload) == 4, frames.FRAME_SIZE_ERROR)
        self._expect_known(stream_id)
        request = self._streams.pop(stream_id, None)
        if request is None:
            return
        self._answers.pop(stream_id, None)
        cut = self._unsent.pop(stream_id, None) is not None
        if frames.read_number(payload) == frames.REFUSED_STREAM:
            ends.append((request, NotProcessed("StreamRefused", REFUSED_S)))
            self._refusals += 1
            if self._refusals >= _MOST_REFUSALS:
                self.draining = True
        elif cut:
            ends.append((request, NotProcessed("StreamReset", None)))
        else:
            ends.append((request, Lost("StreamReset")))

    def _on_settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        _expect(stream_id == 0)
        if flags & frames.ACK:
            _expect(not payload, frames.FRAME_SIZE_ERROR)
            return
        _expect(len(payload) % 6 == 0, frames.FRAME_SIZE_ERROR)
        if not self._greeted:
            self._greeted = True
            self._limit = MOST_STREAMS
        self._refusals = 0
        for name, value in frames.read_settings(payload):
            self._on_setting(name, value)
        self._answer_control(frames.frame(SETTINGS, frames.ACK, 0))
        self._send_unsent()

    def _on_setting(self, name: int, value: int) -> None:
        match name:
            case frames.HEADER_TABLE_SIZE:
                self._around.limit_table(value)
            case frames.ENABLE_PUSH:
                _expect(value == 0)
            case frames.MAX_CONCURRENT_STREAMS:
                self._limit = min(value, MOST_STREAMS)
            case frames.INITIAL_WINDOW_SIZE:
                _expect(value <= frames.LARGEST_WINDOW, frames.FLOW_CONTROL_ERROR)
                change = value - self._stream_window
                self._stream_window = value
                for unsent in self._unsent.values():
                    unsent.window += change
                    _expect(unsent.window <= frames.LARGEST_WINDOW, frames.FLOW_CONTROL_ERROR)
            case frames.MAX_FRAME_SIZE:
                _expect(frames.DEFAULT_FRAME <= value <= frames.LARGEST_FRAME)
                self._largest_frame = value
            case _:
                pass

    def _on_window_update(self, stream_id: int, payload: bytes, ends: Ends) -> None:
        _expect(len(payload) == 4, frames.FRAME_SIZE_ERROR)
        increment = frames.read_number(payload) & _MASK
        if stream_id == 0:
            _expect(increment != 0)
            self._window += increment
            _expect(self._window <= frames.LARGEST_WINDOW, frames.FLOW_CONTROL_ERROR)
            self._send_unsent()
            return
        self._expect_known(stream_id)
        unsent = self._unsent.get(stream_id)
        if unsent is None:
            return
        unsent.window += increment
        if increment == 0 or unsent.window > frames.LARGEST_WINDOW:
            ends.append((self._streams[stream_id], NotProcessed("ProtocolError", None)))
            code = frames.FLOW_CONTROL_ERROR if increment else frames.PROTOCOL_ERROR
            self._abandon(stream_id, code)
            return
        self._send_unsent()

    def _on_ping(self, flags: int, stream_id: int, payload: bytes) -> None:
        _expect(stream_id == 0)
        _expect(len(payload) == 8, frames.FRAME_SIZE_ERROR)
        if not flags & frames.ACK:
            self._answer_control(frames.frame(PING, frames.ACK, 0, payload))

    def _on_goaway(self, stream_id: int, payload: bytes, ends: Ends) -> None:
        """What is above the last stream id was never looked at; the rest may still be answered."""
        _expect(stream_id == 0)
        _expect(len(payload) >= 8, frames.FRAME_SIZE_ERROR)
        last = frames.read_number(payload) & _MASK
        _expect(last <= self._last_stream_id)
        self._last_stream_id = last
        self.draining = True
        for late in [late for late in self._streams if late > last]:
            ends.append((self._streams.pop(late), NotProcessed("GoAway", 0.0)))
            self._answers.pop(late, None)
            self._unsent.pop(late, None)

    # --- streams --------------------------------------------------------------------------------

    def _finish(self, stream_id: int, answer: Response, ends: Ends) -> None:
        """A complete answer. One that came before its whole request ends the request too."""
        ends.append((self._streams[stream_id], answer))
        self.answered = True
        self._refusals = 0
        if stream_id in self._unsent:
            self._abandon(stream_id, frames.CANCEL)
        else:
            del self._streams[stream_id]

    def _break(self, stream_id: int, ends: Ends) -> None:
        """The peer broke the rules of one stream: the others go on."""
        ends.append((self._streams[stream_id], Lost("ProtocolError")))
        self._abandon(stream_id, frames.PROTOCOL_ERROR)

    def _abandon(self, stream_id: int, code: int) -> None:
        """Forget a stream and tell the peer."""
        del self._streams[stream_id]
        self._answers.pop(stream_id, None)
        self._unsent.pop(stream_id, None)
        self._out.append(frames.rst_stream(stream_id, code))

    def _expect_known(self, stream_id: int) -> None:
        """Only streams that were opened from here can be spoken of."""
        _expect(stream_id % 2 == 1 and stream_id < self._next_id)

    # --- windows --------------------------------------------------------------------------------

    def _take_window(self, size: int) -> None:
        """Count what the peer sent against the window it was given."""
        self._received += size
        _expect(self._received <= RECEIVE_WINDOW, frames.FLOW_CONTROL_ERROR)

    def _send_unsent(self) -> None:
        """Send what the windows allow now, oldest first."""
        for stream_id, unsent in list(self._unsent.items()):
            while True:
                size = min(len(unsent.rest), unsent.window, self._window, self._largest_frame)
                if size < 0 or (size == 0 and unsent.rest):
                    break
                part, unsent.rest = unsent.rest[:size], unsent.rest[size:]
                unsent.window -= size
                self._window -= size
                flags = 0 if unsent.rest else END_STREAM
                self._out.append(frames.frame(DATA, flags, stream_id, part))
                if flags:
                    del self._unsent[stream_id]
                    break

    def _send_long_block(self, stream_id: int, block: bytes) -> None:
        """A header block that takes more than one frame."""
        step = self._largest_frame
        for start in range(0, len(block), step):
            kind = CONTINUATION if start else HEADERS
            flags = END_HEADERS if start + step >= len(block) else 0
            part = block[start : start + step]
            self._out.append(frames.frame(kind, flags, stream_id, part))

    def _answer_control(self, answer: bytes) -> None:
        """Answer a frame that wants it, unless the peer floods us with them."""
        self._control += 1
        _expect(self._control <= _MOST_CONTROL, frames.ENHANCE_YOUR_CALM)
        self._out.append(answer)


def _expect(condition: bool, code: int = frames.PROTOCOL_ERROR) -> None:
    """End the connection unless the peer keeps this rule."""
    if not condition:
        raise _Violation(code)


def _unpadded(payload: bytes, flags: int) -> bytes:
    if not flags & PADDED:
        return payload
    _expect(bool(payload), frames.FRAME_SIZE_ERROR)
    padding = payload[0]
    _expect(padding < len(payload))
    return payload[1 : len(payload) - padding]
