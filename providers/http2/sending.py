"""The sending side of a connection: header blocks, and bodies as the peer's windows allow.

Owns the send windows (RFC 9113, 5.2 and 6.9). Refuses to know answers.
"""

from __future__ import annotations

from collections.abc import Sequence

from providers.http2 import frames
from providers.http2.exchange import Request
from providers.http2.frames import DATA, END_HEADERS, END_STREAM, HEADERS, expect, pack_head
from providers.http2.headers import ConstantFields, Surroundings

_MOST_UNSENT = 8
"""Waiting bodies at which no more requests are begun."""


class _Unsent:
    """A body that waits for a window; `window` is its stream's, which may be negative."""

    __slots__ = ("rest", "window")

    def __init__(self, rest: bytes, window: int) -> None:
        self.rest = rest
        self.window = window


class Sender:
    """Makes frames to send. `out` holds those that are due to be written."""

    def __init__(self, constant: ConstantFields, hello: bytes) -> None:
        self.out: list[bytes] = [hello]
        self.largest_frame = frames.DEFAULT_FRAME
        self._around = Surroundings(constant)
        self._window = frames.DEFAULT_WINDOW
        self._stream_window = frames.DEFAULT_WINDOW
        self._unsent: dict[int, _Unsent] = {}

    @property
    def is_stuck(self) -> bool:
        """Whether more bodies would only wait for their windows."""
        return self._window <= 0 or len(self._unsent) >= _MOST_UNSENT

    def send(self, requests: Sequence[Request], stream_id: int) -> None:
        """Send requests on streams from this one on, in one pass."""
        out, window = self.out, self._window
        (before, after), (before_later, after_later) = self._around.now, self._around.later
        largest_frame = self.largest_frame
        largest_body = min(self._stream_window, largest_frame)
        for request in requests:
            block = before + request.fields + after
            before, after = before_later, after_later
            body = request.body
            size = len(body)
            if len(block) <= largest_frame:
                out.append(pack_head(len(block) << 8 | HEADERS, END_HEADERS, stream_id))
                out.append(block)
            else:
                self._send_long_block(stream_id, block)
            if size <= largest_body and size <= window:
                window -= size
                out.append(pack_head(size << 8 | DATA, END_STREAM, stream_id))
                out.append(body)
            else:
                self._unsent[stream_id] = _Unsent(body, self._stream_window)
            stream_id += 2
        self._around.now = before, after
        self._window = window
        if self._unsent:
            self._send_unsent()

    def is_cut(self, stream_id: int) -> bool:
        """Whether a stream's request has not left in full, so that nobody can have acted on it."""
        return stream_id in self._unsent

    def forget(self, stream_id: int) -> bool:
        """Send no more of a stream. True when its request had not left in full."""
        return self._unsent.pop(stream_id, None) is not None

    def forget_all(self) -> None:
        """Send no more of any stream."""
        self._unsent.clear()

    def limit_table(self, size: int) -> None:
        """The peer's table of header fields holds this many bytes at most."""
        self._around.limit_table(size)

    def set_stream_window(self, size: int) -> None:
        """Every stream's window changes with the setting, and may become negative."""
        change, self._stream_window = size - self._stream_window, size
        if not change:
            return
        for unsent in self._unsent.values():
            unsent.window += change
            expect(unsent.window <= frames.LARGEST_WINDOW, frames.FLOW_CONTROL_ERROR)
        if change > 0:
            self._send_unsent()

    def widen(self, increment: int) -> None:
        """The connection's window grows."""
        was_shut = self._window == 0
        self._window += increment
        expect(self._window <= frames.LARGEST_WINDOW, frames.FLOW_CONTROL_ERROR)
        if was_shut:  # only then a body waits for it
            self._send_unsent()

    def widen_stream(self, stream_id: int, increment: int) -> bool:
        """A stream's window grows. False if it grows larger than a window may be."""
        unsent = self._unsent.get(stream_id)
        if unsent is None:
            return True
        unsent.window += increment
        if unsent.window > frames.LARGEST_WINDOW:
            return False
        self._send_rest(stream_id, unsent)
        return True

    def _send_unsent(self) -> None:
        """Send bodies as far as the windows allow now, oldest first."""
        for stream_id in tuple(self._unsent):
            if self._window <= 0:
                break
            unsent = self._unsent[stream_id]
            if unsent.window > 0:
                self._send_rest(stream_id, unsent)

    def _send_rest(self, stream_id: int, unsent: _Unsent) -> None:
        """Send one body as far as the windows allow; a waiting body is never empty."""
        while (size := min(len(unsent.rest), unsent.window, self._window, self.largest_frame)) > 0:
            part, unsent.rest = unsent.rest[:size], unsent.rest[size:]
            unsent.window -= size
            self._window -= size
            self.out.append(frames.frame(DATA, 0 if unsent.rest else END_STREAM, stream_id, part))
        if not unsent.rest:
            del self._unsent[stream_id]

    def _send_long_block(self, stream_id: int, block: bytes) -> None:
        """A header block that takes more than one frame."""
        step = self.largest_frame
        for start in range(0, len(block), step):
            kind = frames.CONTINUATION if start else HEADERS
            flags = END_HEADERS if start + step >= len(block) else 0
            part = block[start : start + step]
            self.out.append(frames.frame(kind, flags, stream_id, part))
