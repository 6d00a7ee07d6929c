"""A server that does right: h2 decides what a client may do, and raises where it does not.

It notes at which byte of what it sends each stream comes to its end, so that a test knows what a
client that has read so far must have made of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RequestReceived,
    StreamEnded,
    StreamReset,
)
from h2.settings import ChangedSetting, SettingCodes
from hyperframe.frame import WindowUpdateFrame

from providers.http2 import frames
from providers.http2.exchange import Response
from providers.http2.streams import LARGEST_ANSWER
from tests.kit.http2_peer import goaway, parsed

NOTHING_YET = 2**31 - 1


class _H2(H2Connection):
    """h2, that binds a client to settings at the right byte.

    On its own it takes every acknowledgement for one of all settings that it has sent: so the first
    is left out here, and from then on each frame must hold every setting that ever changes. And of
    a new frame size it takes note at its next read only.
    """

    acknowledged = 0

    def _local_settings_acked(self) -> dict[SettingCodes | int, ChangedSetting]:
        self.acknowledged += 1
        changes = {} if self.acknowledged == 1 else super()._local_settings_acked()
        self.incoming_buffer.max_frame_size = self.max_inbound_frame_size
        return changes


@dataclass(slots=True)
class Incoming:
    """A request as the server sees it, and the answer as far as it has been sent."""

    fields: list[tuple[bytes, bytes]]
    body: bytearray = field(default_factory=bytearray)
    complete: bool = False
    processed: bool = False
    answer: Response | None = None


@dataclass(frozen=True, slots=True)
class Mark:
    """Behind byte `offset` of what the server sent: this has been said."""

    offset: int
    what: Literal["answer", "reset", "goaway", "limit", "window"]
    stream_id: int = 0
    number: int = 0
    answer: Response | None = None


class Server:
    """One connection's other end. `sent` is all that it ever sent, `marks` what that means."""

    def __init__(self) -> None:
        self._h2 = _H2(H2Configuration(client_side=False, header_encoding=None))
        self.sent = bytearray()
        self.marks: list[Mark] = []
        self.seen: dict[int, Incoming] = {}
        self.open: dict[int, Incoming] = {}
        self.last = NOTHING_YET
        self.resets: list[int] = []
        self._granted = frames.DEFAULT_WINDOW
        self._h2.initiate_connection()
        self._leave(Mark(0, "limit", number=100))

    def _leave(self, mark: Mark | None = None) -> None:
        self.sent += self._h2.data_to_send()
        if mark is not None:
            at = len(self.sent)
            self.marks.append(Mark(at, mark.what, mark.stream_id, mark.number, mark.answer))

    # --- what arrives -------------------------------------------------------------------------

    def receive(self, data: bytes) -> None:
        """Raises what h2 has to complain of."""
        for event in self._h2.receive_data(data):
            self._on_event(event)
        # h2 gives back by itself what came on streams that are no more
        answers = self._h2.data_to_send()
        for frame in parsed(answers):
            self.sent += frame.serialize()
            if isinstance(frame, WindowUpdateFrame) and frame.stream_id == 0:
                self._leave(Mark(0, "window", number=frame.window_increment))

    def _on_event(self, event: Event) -> None:
        match event:
            case RequestReceived(stream_id=int(stream_id), headers=list(headers)):
                fields = [(bytes(name), bytes(value)) for name, value in headers]
                self.open[stream_id] = self.seen[stream_id] = Incoming(fields)
            case DataReceived(stream_id=int(stream_id), data=bytes(chunk)):
                self.seen[stream_id].body += chunk
            case StreamEnded(stream_id=int(stream_id)):
                self.seen[stream_id].complete = True
            case StreamReset(stream_id=int(stream_id)):
                self.resets.append(int(event.error_code or 0))
                self.open.pop(stream_id, None)
            case ConnectionTerminated():
                raise AssertionError("the client went away")
            case _:
                pass

    @property
    def alive(self) -> list[int]:
        """The streams that it may still do something about."""
        return [stream_id for stream_id in self.open if stream_id <= self.last]

    @property
    def answerable(self) -> list[int]:
        """Processed requests, and incomplete ones, whose answer has not been sent in full."""
        return [n for n in self.alive if self.open[n].processed or not self.open[n].complete]

    # --- what is done about it ----------------------------------------------------------------

    def process(self, most: int = 10_000) -> None:
        """Act upon complete requests: from here on they were neither refused nor never seen."""
        for stream_id in self.alive:
            incoming = self.open[stream_id]
            if most > 0 and incoming.complete and not incoming.processed:
                incoming.processed = True
                most -= 1

    def inform(self, stream_id: int, status: int) -> None:
        """Say something before the answer."""
        if self.open[stream_id].answer is None:
            fields = [(":status", str(status)), ("link", "</a>")]
            self._h2.send_headers(stream_id, fields)
            self._leave()

    def answer(
        self, stream_id: int, status: int, fields: Iterable[tuple[str, str]] = (), *, end: bool
    ) -> None:
        """The beginning of an answer, or all of it."""
        fields = list(fields)
        read = {} if status == 200 else {name.encode(): value.encode() for name, value in fields}
        self.open[stream_id].answer = answer = Response(status, b"", read)
        self._h2.send_headers(stream_id, [(":status", str(status)), *fields], end_stream=end)
        self._leave(Mark(0, "answer", stream_id, answer=answer) if end else None)
        if end:
            del self.open[stream_id]

    def more(self, stream_id: int, content: bytes, padding: int | None, *, end: bool) -> None:
        """A piece of the answer's body."""
        answer = self.open[stream_id].answer
        assert answer is not None
        if self._h2.local_flow_control_window(stream_id) < len(content) + 1 + (padding or 0):
            return
        self._h2.send_data(stream_id, content, end_stream=end, pad_length=padding)
        answer.body += content
        told = end or len(answer.body) >= LARGEST_ANSWER
        so_far = Response(answer.status, answer.body, answer.headers)
        self._leave(Mark(0, "answer", stream_id, answer=so_far) if told else None)
        if end:
            del self.open[stream_id]

    def trail(self, stream_id: int) -> None:
        """End an answer with trailers."""
        answer = self.open.pop(stream_id).answer
        assert answer is not None
        self._h2.send_headers(stream_id, [("x-checksum", "1")], end_stream=True)
        self._leave(Mark(0, "answer", stream_id, answer=answer))

    def reset(self, stream_id: int, code: int) -> None:
        """End a stream; a processed one can no longer be refused."""
        incoming = self.open.pop(stream_id)
        if code == frames.REFUSED_STREAM and (incoming.processed or incoming.answer):
            code = frames.CANCEL
        self._h2.reset_stream(stream_id, code)
        self._leave(Mark(0, "reset", stream_id, code))

    def go_away(self, wanted: int, code: int) -> None:
        """Draw the line as near to `wanted` as is true."""
        begun = [n for n, incoming in self.seen.items() if incoming.processed or incoming.answer]
        self.last = min(self.last, max(wanted, *begun, 0))
        self.say(goaway(self.last, code), Mark(0, "goaway", number=self.last))

    # --- the connection -----------------------------------------------------------------------

    def change(self, *, streams: int, window: int, frame: int, table: int) -> None:
        """New settings, which bind the client once it has acknowledged them."""
        self._h2.update_settings(
            {
                SettingCodes.MAX_CONCURRENT_STREAMS: streams,
                SettingCodes.INITIAL_WINDOW_SIZE: window,
                SettingCodes.MAX_FRAME_SIZE: frame,
                SettingCodes.HEADER_TABLE_SIZE: table,
            }
        )
        self._leave(Mark(0, "limit", number=streams))

    def grant(self, size: int) -> None:
        """Let the client send more on the connection."""
        if self._granted + size < 2**30:
            self._granted += size
            self._h2.increment_flow_control_window(size)
            self._leave(Mark(0, "window", number=size))

    def grant_stream(self, stream_id: int, size: int) -> None:
        """Let the client send more on a stream."""
        if not self.open[stream_id].complete:
            self._h2.increment_flow_control_window(size, stream_id)
            self._leave()

    def ping(self) -> None:
        """Ask for a sign of life."""
        self._h2.ping(b"are you?")
        self._leave()

    def say(self, data: bytes, mark: Mark | None = None) -> None:
        """Send a frame that h2 would not."""
        self.sent += data
        self._leave(mark)
