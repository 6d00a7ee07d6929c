"""Storing holds: what the relay found wrong with a part, for people and for the next start.

Owns that the latest hold is stored last. Storing happens in the background: no push depends on it,
and after an outage of the store housekeeping repeats it.
"""

from __future__ import annotations

import asyncio

from gateway.core.clocks import WallClock
from gateway.errors import StoreUnavailable
from gateway.events import Observer, StoreFailed
from gateway.ports import Lanes
from gateway.relay.part import Part


class Holds:
    """Stores the hold of a part, or its end, whenever one of them changes."""

    def __init__(self, lanes: Lanes, *, observer: Observer, wall: WallClock) -> None:
        self._lanes = lanes
        self._observer = observer
        self._wall = wall
        self._changed: dict[Part, None] = {}
        self._writing: asyncio.Task[None] | None = None

    def changed(self, part: Part) -> None:
        """A part was held or resumed: store that soon."""
        self._changed[part] = None
        if self._writing is None:
            self._writing = asyncio.get_running_loop().create_task(self._write())

    async def aclose(self) -> None:
        """Finish storing."""
        if self._writing is not None:
            await self._writing

    async def _write(self) -> None:
        try:
            while self._changed:
                part = next(iter(self._changed))
                del self._changed[part]
                await self._say(part)
        except StoreUnavailable as error:
            self._observer(StoreFailed("lane state", str(error)))
        finally:
            self._writing = None

    async def _say(self, part: Part) -> None:
        now, hold = self._wall(), part.hold
        if hold is None:
            await self._lanes.resume(part.app, part.vendor, part.name, by="relay", now=now)
        else:
            await self._lanes.hold(
                part.app,
                part.vendor,
                part.name,
                by="misconfigured",
                reason=hold.reason,
                hint=hold.hint,
                now=hold.since,
            )
