"""Connections in memory: two joined transports of asyncio, and a way of bytes between them.

Owns what kernels and cables do: bytes take time and arrive in order, in pieces cut anywhere; a
reader that is slow makes the writer wait; and a way can stall, break, or swallow what goes by it.
Refuses to know what the bytes mean. A transport of a process runs in the context of that process,
so that it dies and stands still with it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextvars import Context
from functools import partial
from random import Random
from typing import Any, Literal

from providers.http2.dial import CLOSE_S
from tests.simulation.loop import OWNER, Loop, Process

Direction = Literal["out", "in", "both"]
"""From the gateway to the vendor, the other way, or both."""

_CUT = 0.2
"""Share of the writes that arrive in more pieces than one."""
_NEXT_S = 1e-6
"""A piece arrives this much after the one before it, at least."""
_END = b""
"""The piece that stands for the end of the file."""


class Agreed:
    """Stands in for a TLS object: both sides agreed on HTTP/2."""

    @staticmethod
    def selected_alpn_protocol() -> str:
        return "h2"


class End(asyncio.Transport):
    """One end of a pipe, and the way of its bytes to the other.

    `room` is how many bytes may be on that way; what is more waits in the write buffer. As with TLS
    in asyncio, an end that closes is gone after `CLOSE_S` whatever still waits.
    """

    peer: End

    def __init__(
        self, loop: Loop, lots: Random, context: Context, wait_s: tuple[float, float], room: int
    ) -> None:
        super().__init__()
        self._loop = loop
        self._lots = lots
        self._wait_s = wait_s
        self._room = room
        self._high = room
        self.context = context
        self._owner: Process | None = context.get(OWNER)
        self.protocol: asyncio.Protocol | None = None
        self.tls: Agreed | None = None
        self.on_lost: Callable[[], None] = lambda: None
        self._buffer = bytearray()
        self._flying = 0
        self._way: deque[bytes] = deque()
        self._due = 0
        self.arrives_at = 0.0
        #: what goes by this way is lost, and nobody is told
        self.swallows = False
        #: what goes by this way waits
        self.stalled = False
        self._closing = False
        self.lost = False
        #: it ended out of order: what it had to say was lost
        self.failed = False
        self._paused = False

    # --- asyncio's interface ------------------------------------------------------------------

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self.tls if name == "ssl_object" and self.tls is not None else default

    def is_closing(self) -> bool:
        return self._closing

    def get_write_buffer_size(self) -> int:
        return len(self._buffer)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._closing or not self._acts or not data:
            return
        self._buffer += data
        self._leave()
        if len(self._buffer) > self._high and not self._paused and self.protocol is not None:
            self._paused = True
            self.protocol.pause_writing()

    def close(self) -> None:
        if self._closing or not self._acts:
            return
        self._closing = True
        if self._buffer:
            self._loop.call_later(CLOSE_S, self._gone, None, context=self.context)
        else:
            self._loop.call_soon(self._gone, None, context=self.context)

    def abort(self) -> None:
        self._fail(None)

    # --- what the network does ----------------------------------------------------------------

    def fail_later(self, seconds: float, error: Exception) -> None:
        """This end learns in some time that the connection is broken."""
        at = self._loop.time() + seconds
        self._loop.come_at(at, partial(self._fail, error), context=self.context)

    def hang_up(self) -> None:
        """The kernel closes the socket of a dead process: what was not on its way is lost."""
        self._buffer.clear()
        self._closing = self.lost = True
        self._fly(_END)

    def flow(self) -> None:
        """What waited arrives."""
        self.stalled = False
        self._loop.call_soon(self._deliver, context=self.peer.context)

    def wait(self) -> float:
        """How long the next piece takes."""
        low, high = self._wait_s
        return low + (high - low) * self._lots.random() ** 2

    # --- inside -------------------------------------------------------------------------------

    @property
    def _acts(self) -> bool:
        """Whether its process lives: one that was just killed may still be in a callback."""
        return not self.lost and (self._owner is None or self._owner.alive)

    def _leave(self) -> None:
        """Put on the way what there is room for."""
        buffer, lots = self._buffer, self._lots
        while buffer and (size := min(len(buffer), self._room - self._flying)) > 0:
            if size > 1 and lots.random() < _CUT:
                size = 1 + int(lots.random() * (size - 1))
            self._fly(bytes(buffer[:size]))
            del buffer[:size]

    def _fly(self, piece: bytes) -> None:
        at = max(self.arrives_at + _NEXT_S, self._loop.time() + self.wait())
        self.arrives_at = at
        self._flying += len(piece)
        self._way.append(piece)
        self._loop.come_at(at, self._arrive, context=self.peer.context)

    def _arrive(self) -> None:
        """A piece is there, in the peer's context: the oldest one, whatever was to come first."""
        self._due += 1
        self._deliver()

    def _deliver(self) -> None:
        while self._due and not self.stalled:
            self._due -= 1
            piece = self._way.popleft()
            if self.swallows:
                continue  # nobody acknowledges it, so it goes on taking room
            self._flying -= len(piece)
            self.peer._take(piece)
        if self._buffer and not self.swallows:
            self._loop.call_soon(self._go_on, context=self.context)

    def _take(self, piece: bytes) -> None:
        if self._closing or self.protocol is None:
            return
        if piece:
            self.protocol.data_received(piece)
        elif not self.protocol.eof_received():
            self.close()

    def _go_on(self) -> None:
        """There is room on the way again."""
        if self.lost:
            return
        self._leave()
        if self._closing:
            if not self._buffer:
                self._gone(None)
        elif self._paused and len(self._buffer) <= self._high // 4 and self.protocol is not None:
            self._paused = False
            self.protocol.resume_writing()

    def _fail(self, error: Exception | None) -> None:
        if self.lost or not self._acts:
            return
        self._closing = self.failed = True
        self._buffer.clear()
        self._loop.call_soon(self._gone, error, context=self.context)

    def _gone(self, error: Exception | None) -> None:
        """The last that a protocol hears; the peer reads to the end of what is on its way."""
        if self.lost:
            return
        self.lost = True
        self.failed = self.failed or bool(self._buffer)
        self._buffer.clear()
        if error is None:
            self._fly(_END)
        self.on_lost()
        if self.protocol is not None:
            self.protocol.connection_lost(error)


class Pipe:
    """A connection of a process (`who`) to a vendor's `place`."""

    def __init__(self, number: int, who: str, place: str, near: End, far: End) -> None:
        self.number = number
        self.who = who
        self.place = place
        self.near = near
        self.far = far
        #: it loses bytes for good, though the vendor is in good health
        self.stays = False
        near.peer, far.peer = far, near

    def __repr__(self) -> str:
        return f"connection {self.number}"

    @property
    def is_open(self) -> bool:
        """Whether the vendor's side still is one."""
        return not self.far.is_closing()

    def reset(self) -> None:
        """Both sides learn that it is broken; what was on its way is lost."""
        self.swallow("both")
        for end in (self.near, self.far):
            end.fail_later(end.wait(), ConnectionResetError())

    def swallow(self, direction: Direction) -> None:
        """What goes this way is lost from now on, and nobody is told."""
        for end in self._ends(direction):
            end.swallows = True

    def stall(self, direction: Direction) -> None:
        """What goes this way waits, until `flow`."""
        for end in self._ends(direction):
            end.stalled = True

    def flow(self) -> None:
        """What waited arrives."""
        for end in self._ends("both"):
            if end.stalled:
                end.flow()

    @property
    def is_sound(self) -> bool:
        """Whether it has lost nothing."""
        return not (self.swallows or self.near.failed or self.far.failed)

    @property
    def swallows(self) -> bool:
        """Whether it loses bytes."""
        return self.near.swallows or self.far.swallows

    def _ends(self, direction: Direction) -> list[End]:
        return [
            end
            for end, name in ((self.near, "out"), (self.far, "in"))
            if direction in (name, "both")
        ]


def join(
    loop: Loop, pipe: Pipe, serve: Callable[[Pipe], asyncio.Protocol], connected: Callable[[], None]
) -> None:
    """Connect both ends: the vendor's first, then the process', which `connected` makes."""

    def accepted() -> None:
        if pipe.far.is_closing():
            return
        protocol = pipe.far.protocol = serve(pipe)
        protocol.connection_made(pipe.far)

    there = pipe.near.wait()
    back = there + pipe.far.wait()
    pipe.near.arrives_at = pipe.far.arrives_at = loop.time() + back
    loop.call_later(there, accepted, context=pipe.far.context)
    loop.call_later(back, connected, context=pipe.near.context)
