"""The open streams of a connection, and how each ends: answered, not processed, or lost.

Owns the promise that every request has exactly one end. Refuses to know frames and windows.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import takewhile

from providers.http2 import frames
from providers.http2.exchange import (
    NEVER_SENT_S,
    End,
    Ends,
    Lost,
    NotProcessed,
    Request,
    Response,
)
from providers.http2.headers import (
    STATUS_200,
    TABLE_IS_EMPTY,
    BadHeaders,
    HeaderReader,
    Malformed,
)
from providers.http2.sending import Sender

LARGEST_ANSWER = 32_768
"""How many bytes of a body are read: half a stream's window, which is never widened."""

OK = Response(200)
"""The most frequent answer, shared: nobody may change it."""


class Streams:
    """Requests by stream. `refusals` counts streams refused in a row."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender
        self._reader = HeaderReader()
        #: oldest first, because ids only rise
        self.open: dict[int, Request] = {}
        #: answers whose headers have come and whose body has not ended
        self.answers: dict[int, Response] = {}
        #: (the first stream that is not under it, deadline), both rising
        self._deadlines: deque[tuple[int, float]] = deque()
        self.answered = False
        self.refusals = 0
        #: the headers of the next success are read, too
        self.is_curious = True

    @property
    def next_deadline(self) -> float | None:
        """The deadline of the oldest request."""
        oldest = next(iter(self.open), None)
        if oldest is None:
            self._deadlines.clear()
            return None
        while self._deadlines[0][0] <= oldest:
            self._deadlines.popleft()
        return self._deadlines[0][1]

    def add(self, requests: Sequence[Request], first: int, deadline: float) -> int:
        """Open streams from `first` on; returns the first id after them."""
        after = first + 2 * len(requests)
        self.open.update(zip(range(first, after, 2), requests, strict=True))
        self._deadlines.append((after, deadline))
        return after

    # --- what the peer says of one stream ---------------------------------------------------------

    def head(self, stream_id: int, block: bytes, ends_stream: bool, ends: Ends) -> None:
        """A complete header block."""
        if stream_id not in self.open:
            return  # each block stands alone, so one that nobody waits for need not be read
        if stream_id in self.answers:
            self._trailers(stream_id, ends_stream, ends)
            return
        if block[:1] == bytes([TABLE_IS_EMPTY]):
            block = block[1:]
        if block[:1] == bytes([STATUS_200]):
            answer = Response(200, headers=self._date_in(block) if self.is_curious else {})
        else:
            try:
                status, headers = self._reader.read(block)
            except BadHeaders:
                raise frames.Violation(frames.COMPRESSION_ERROR) from None
            except Malformed:
                self._break(stream_id, ends)
                return
            if status < 200:
                if status < 100 or ends_stream:
                    self._break(stream_id, ends)
                return  # the real answer is still to come
            answer = Response(status, headers=headers)
        if ends_stream:
            self.finish(stream_id, answer, ends)
        else:
            self.answers[stream_id] = answer

    def _date_in(self, block: bytes) -> dict[bytes, bytes]:
        """The `Date` of a success, if it can be read; nothing else of it matters."""
        self.is_curious = False
        try:
            _, headers = self._reader.read(block)
        except (BadHeaders, Malformed):
            return {}
        return {name: value for name, value in headers.items() if name == b"date"}

    def body(self, stream_id: int, content: bytes, ends_stream: bool, ends: Ends) -> None:
        """A part of a body."""
        if stream_id not in self.open:
            return  # given up, or answered already
        answer = self.answers.get(stream_id)
        if answer is None:
            self._break(stream_id, ends)
            return
        answer.body += content
        if ends_stream:
            del self.answers[stream_id]
            self.finish(stream_id, answer, ends)
        elif len(answer.body) >= LARGEST_ANSWER:
            # enough to judge the answer; the stream's window ends here
            ends.append((self.open[stream_id], answer))
            self.answered = True
            self.refusals = 0
            self.abandon(stream_id, frames.CANCEL)

    def reset(self, stream_id: int, code: int, ends: Ends) -> None:
        """The peer ends a stream."""
        request = self.open.pop(stream_id, None)
        if request is None:
            return
        self.answers.pop(stream_id, None)
        cut = self._sender.forget(stream_id)
        if code == frames.REFUSED_STREAM:
            ends.append((request, NotProcessed("StreamRefused")))
            self.refusals += 1
        elif cut:
            ends.append((request, NotProcessed("StreamReset")))
        else:
            ends.append((request, Lost("StreamReset")))

    def finish(self, stream_id: int, answer: Response, ends: Ends) -> None:
        """A complete answer. One that came before its whole request ends the request too.

        One whose body is not as long as it says is malformed (RFC 9113, 8.1.1).
        """
        length = answer.headers.get(b"content-length") if answer.headers else None
        if length is not None and not (length.isdigit() and int(length) == len(answer.body)):
            self._break(stream_id, ends)
            return
        ends.append((self.open[stream_id], answer))
        self.answered = True
        self.refusals = 0
        if self._sender.is_cut(stream_id):
            self.abandon(stream_id, frames.CANCEL)
        else:
            del self.open[stream_id]

    def abandon(self, stream_id: int, code: int) -> None:
        """Forget a stream and tell the peer."""
        del self.open[stream_id]
        self.answers.pop(stream_id, None)
        self._sender.forget(stream_id)
        self._sender.out.append(frames.rst_stream(stream_id, code))

    # --- what ends many ---------------------------------------------------------------------------

    def go_away(self, last: int, ends: Ends) -> None:
        """Streams above the last id were never looked at; the others may still be answered."""
        above = list(takewhile(lambda stream_id: stream_id > last, reversed(self.open)))
        for late in reversed(above):
            ends.append((self.open.pop(late), NotProcessed("GoAway")))
            self.answers.pop(late, None)
            self._sender.forget(late)

    def expire(self, now: float) -> Ends:
        """Give up requests past their deadline: reset their streams, and ignore late answers."""
        ends: Ends = []
        while self._deadlines and self._deadlines[0][1] <= now:
            first_spared, _ = self._deadlines.popleft()
            while (stream_id := next(iter(self.open), first_spared)) < first_spared:
                cut = self._sender.is_cut(stream_id)
                end: End = NotProcessed("Timeout", NEVER_SENT_S) if cut else Lost("Timeout")
                ends.append((self.open[stream_id], end))
                self.abandon(stream_id, frames.CANCEL)
        return ends

    def lose(self, reason: str) -> Ends:
        """The connection is gone: end every open request."""
        # nobody can have acted on a request that did not leave in full
        lost, cut = Lost(reason), NotProcessed(reason)
        ends: Ends = [
            (request, cut if self._sender.is_cut(stream_id) else lost)
            for stream_id, request in self.open.items()
        ]
        self.open.clear()
        self.answers.clear()
        self._deadlines.clear()
        self._sender.forget_all()
        return ends

    # --- inside -----------------------------------------------------------------------------------

    def _trailers(self, stream_id: int, ends_stream: bool, ends: Ends) -> None:
        """A second block ends the stream, or breaks the protocol; its content is ignored."""
        answer = self.answers.pop(stream_id)
        if ends_stream:
            self.finish(stream_id, answer, ends)
        else:
            self._break(stream_id, ends)

    def _break(self, stream_id: int, ends: Ends) -> None:
        """The peer broke the rules of one stream: end that one, the others go on."""
        ends.append((self.open[stream_id], Lost("ProtocolError")))
        self.abandon(stream_id, frames.PROTOCOL_ERROR)
