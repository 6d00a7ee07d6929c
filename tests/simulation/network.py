"""The network between gateways and vendors: who is connected to what, and whether one can connect.

Owns the pipes of a history, and what becomes of them when a process dies. Refuses to know what is
spoken on them.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections import Counter
from collections.abc import Callable
from contextvars import Context
from typing import Literal, TypeVar

from providers.http2.dial import DIAL_S
from tests.simulation.chance import Chance
from tests.simulation.loop import OWNER, Loop, Process
from tests.simulation.pipes import Agreed, End, Pipe, join
from tests.simulation.plan import Sizes
from tests.simulation.trace import Trace

P = TypeVar("P", bound=asyncio.Protocol)

Door = Literal["open", "refuses", "silent", "slow"]
"""What becomes of a new connection. `silent`: no answer to the attempt, ever."""

_SLOW_S = 5.0


class Network:
    """See the module. `context` is the world's."""

    def __init__(
        self, loop: Loop, context: Context, chance: Chance, sizes: Sizes, trace: Trace
    ) -> None:
        self._loop = loop
        self._context = context
        self._chance = chance
        self._sizes = sizes
        self._trace = trace
        self._numbers: Counter[str] = Counter()
        self._made = 0
        #: in the order in which they were made
        self.pipes: dict[Pipe, Process | None] = {}
        #: process and place -> when a connection was last lost
        self._lost_at: dict[tuple[str, str], float] = {}
        self._ever: dict[tuple[str, str], list[Pipe]] = {}
        #: place -> what becomes of new connections to it
        self.doors: dict[str, Door] = {}

    def to(self, place: str) -> list[Pipe]:
        """The open connections to a place, oldest first."""
        return [pipe for pipe in self.pipes if pipe.place == place and pipe.is_open]

    def held(self, place: str) -> list[Pipe]:
        """The connections to a place that a process takes for open: of one that loses bytes it is
        not told that the vendor closed it."""
        return [pipe for pipe in self.pipes if pipe.place == place and not pipe.near.is_closing()]

    def is_sound(self, who: str, place: str) -> bool:
        """Whether no connection of a process to a place ever lost anything."""
        return all(pipe.is_sound for pipe in self._ever.get((who, place), ()))

    def lost_at(self, who: str, place: str) -> float:
        """When a process last lost a connection to a place."""
        return self._lost_at.get((who, place), float("-inf"))

    def calm(self) -> None:
        """All ways work again: what waited arrives, and what lost bytes is reset, if it does not do
        so for good."""
        self.doors.clear()
        for pipe in list(self.pipes):
            if pipe.stays:
                continue
            if pipe.swallows:
                pipe.reset()
            else:
                pipe.flow()

    def died(self, process: Process) -> None:
        """The kernel closes the connections of a dead process, in its own time."""
        for pipe in [pipe for pipe, owner in self.pipes.items() if owner is process]:
            if self._chance.turn("death") < 0.5:
                pipe.near.hang_up()
            else:
                pipe.near.lost = True
                pipe.far.fail_later(pipe.far.wait(), ConnectionResetError())

    async def dial(
        self,
        who: str,
        place: str,
        protocol: Callable[[], P],
        serve: Callable[[Pipe], asyncio.Protocol],
    ) -> P:
        """Connect a process to a place. Raises OSError, also when it takes too long."""
        async with asyncio.timeout(DIAL_S):
            door = self.doors.get(place, "open")
            low, high = self._sizes.network_s
            wait = self._chance.between(low, high, "door", who, self._numbers[who])
            match door:
                case "refuses":
                    self._trace.count("wire: refused")
                    self._numbers[who] += 1
                    await asyncio.sleep(wait)
                    raise ConnectionRefusedError
                case "silent":
                    self._trace.count("wire: no answer to a connection")
                    await asyncio.sleep(2 * DIAL_S)
                case "slow":
                    await asyncio.sleep(wait / high * _SLOW_S)
                case "open":
                    pass
            return await self._connect(who, place, protocol, serve)

    async def _connect(
        self,
        who: str,
        place: str,
        protocol: Callable[[], P],
        serve: Callable[[Pipe], asyncio.Protocol],
    ) -> P:
        made: asyncio.Future[P] = self._loop.create_future()
        pipe = self._pipe(who, place)

        def connected() -> None:
            if made.done():
                return
            if pipe.near.lost:
                made.set_exception(ConnectionResetError())
                return
            mine = protocol()
            pipe.near.protocol = mine
            mine.connection_made(pipe.near)
            made.set_result(mine)

        join(self._loop, pipe, serve, connected)
        try:
            return await made
        except BaseException:
            pipe.near.abort()
            raise

    def _pipe(self, who: str, place: str) -> Pipe:
        number = self._numbers[who]
        self._numbers[who] += 1
        lots = self._chance.stream(f"pipe {who} {number}")
        wait_s, room = self._sizes.network_s, self._sizes.socket_bytes
        process = OWNER.get()
        near = End(self._loop, lots, contextvars.copy_context(), wait_s, room)
        far = End(self._loop, lots, self._context.copy(), wait_s, room)
        near.tls = Agreed()
        self._made += 1
        pipe = Pipe(self._made, who, place, near, far)
        self.pipes[pipe] = process
        self._ever.setdefault((who, place), []).append(pipe)
        near.on_lost = far.on_lost = lambda: self._closed(pipe)
        self._trace.add(who, "connects", place, pipe)
        return pipe

    def _closed(self, pipe: Pipe) -> None:
        """One end is gone; what it said last may still be on its way."""
        if pipe.near.lost:
            self._lost_at[pipe.who, pipe.place] = self._loop.time()
        if pipe.near.lost and pipe.far.lost:
            self.pipes.pop(pipe, None)
            self._trace.add(pipe.who, "is cut off", pipe.place, pipe)
