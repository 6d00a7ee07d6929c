"""The acts on connections, which tier B alone knows: in tier A they do nothing.

Owns the catalogue of what goes wrong between a transport and a vendor. `nth` names a connection of
its place, counted from the oldest open one; `new`: connections that are made later do so, too.
`seconds` None: for good, though the vendor is in good health.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.simulation.native import Endpoint, server_of
from tests.simulation.network import Door
from tests.simulation.pipes import Direction, Pipe
from tests.simulation.stand_ins import ServerConnection

if TYPE_CHECKING:
    from tests.simulation.world import World


class WireActs:
    """See the module."""

    def __init__(self, world: World) -> None:
        self._wires = world.wires
        self._count = world.trace.count
        self._wires_calm = False

    def wires_are_calm(self) -> None:
        """The faults are over."""
        self._wires_calm = True
        if self._wires is not None:
            self._wires.calm()

    # --- ways -----------------------------------------------------------------------------------

    def reset(self, place: str, nth: int) -> None:
        """A connection breaks, and both sides learn of it."""
        if (pipe := self._pipe(place, nth, "reset")) is not None:
            pipe.reset()

    def swallow(self, place: str, nth: int, direction: Direction, for_good: bool = False) -> None:
        """A connection loses what goes by it, both ways or one, until it is reset."""
        if (pipe := self._pipe(place, nth, f"swallow {direction}")) is not None:
            pipe.swallow(direction)
            pipe.stays = for_good

    def stall(self, place: str, nth: int, direction: Direction, seconds: float) -> None:
        """Bytes wait for a while."""
        if (pipe := self._pipe(place, nth, f"stall {direction}")) is not None:
            pipe.stall(direction)
            self._end_later(seconds, pipe.flow)

    def door(self, place: str, how: Door, seconds: float) -> None:
        """Nobody can connect, or not soon."""
        wires = self._wires
        if wires is not None:
            wires.network.doors[place] = how
            self._count(f"fault: door {how}")
            self._end_later(seconds, wires.network.doors.pop, place, None)

    # --- servers --------------------------------------------------------------------------------

    def go_away(self, place: str, nth: int, seconds: float | None = None) -> None:
        """GOAWAY: what was not judged never will be. With `seconds` a graceful one, which says the
        last stream so much later."""
        how = "goaway" if seconds is None else "graceful goaway"
        if (server := self._server(place, nth, how)) is None:
            return
        if seconds is None:
            server.leave()
        else:
            server.shut_down(seconds)

    def limit(
        self, place: str, nth: int, streams: int, seconds: float | None, new: bool = False
    ) -> None:
        """A connection allows this many streams."""
        wires = self._wires
        if wires is not None and new:
            wires.services[place].settings.stream_limit = streams
        if (server := self._server(place, nth, f"{streams} streams")) is not None:
            server.stays = seconds is None
            server.set_stream_limit(streams)
            self._behave_later(seconds, place, server)

    def narrow(self, place: str, nth: int, window: int, seconds: float | None) -> None:
        """Streams get a window of this many bytes, and no more."""
        if (server := self._server(place, nth, "narrow")) is not None:
            server.stays = seconds is None
            server.narrow(window)
            self._behave_later(seconds, place, server)

    def withhold(self, place: str, nth: int, seconds: float | None) -> None:
        """The window of a connection is given no credit."""
        if (server := self._server(place, nth, "withhold")) is not None:
            server.stays = seconds is None
            server.withhold()
            self._behave_later(seconds, place, server)

    def refuse_streams(self, place: str, nth: int, seconds: float) -> None:
        """A connection refuses all streams."""
        if (server := self._server(place, nth, "refuse streams")) is not None:
            server.refuses = True
            self._behave_later(seconds, place, server)

    def reset_streams(self, place: str, code: int, share: float, seconds: float) -> None:
        """Streams are reset with a code once they are judged, instead of an answer."""
        wires = self._wires
        if wires is not None:
            wires.services[place].resets = code, share
            self._count("fault: reset streams")

            def end() -> None:
                wires.services[place].resets = 0, 0.0

            self._end_later(seconds, end)

    def tokens(self, how: Endpoint, seconds: float, expire: bool = False) -> None:
        """The token endpoint is away, ill, silent or refuses; `expire`: and all access tokens are
        worthless."""
        wires = self._wires
        if wires is not None:
            wires.endpoint = how
            if expire:
                wires.expire_tokens()
            self._count(f"fault: tokens {how}")

            def end() -> None:
                wires.endpoint = "well"

            self._end_later(seconds, end)

    # --- inside ---------------------------------------------------------------------------------

    def _pipe(self, place: str, nth: int, what: str) -> Pipe | None:
        pipes = [] if self._wires is None else self._wires.network.to(place)
        if not pipes:
            return None
        self._count(f"fault: {what}")
        return pipes[nth % len(pipes)]

    def _server(self, place: str, nth: int, what: str) -> ServerConnection | None:
        pipe = self._pipe(place, nth, what)
        return None if pipe is None else server_of(pipe)

    def _behave_later(self, seconds: float | None, place: str, server: ServerConnection) -> None:
        wires = self._wires

        def end() -> None:
            if wires is not None:
                wires.restore(place)
            server.behave()

        if seconds is not None:
            self._end_later(seconds, end)

    def _end_later(self, seconds: float, end: Any, *args: Any) -> None:
        def due() -> None:
            if not self._wires_calm:
                end(*args)

        if self._wires is not None:
            self._wires.later(seconds, due)
