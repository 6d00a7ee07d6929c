"""Stopping cancelled events: what waits of them ends soon, wherever it waits.

Owns which events this process knows as cancelled. That nothing of them starts does not rest on it:
each look-up asks for itself (`lookups`, `dispatcher`). This is so that what waits ends at once, and
that what was put back meanwhile is not left to its due time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

from gateway.core.cancelling import Cancel
from gateway.core.clocks import Clocks
from gateway.errors import StoreUnavailable
from gateway.events import Observer, StoreFailed
from gateway.ports import Cancels, Queue
from gateway.relay.lane import Lane
from gateway.relay.work import Delivery

#: how long after its cancellation something of an event may be put back by who has not heard of it,
#: in seconds: as long as verdicts may take, and clocks may differ
_RECENT_S = 600.0


class Stops:
    """See the module. `known` are the events, shared with who puts deliveries back; `stopped` gets
    what waited in `lanes`; `correct` queues a correction once it can be."""

    def __init__(
        self,
        cancels: Cancels,
        queue: Queue,
        lanes: Mapping[str, Lane],
        *,
        known: set[str],
        stopped: Callable[[Sequence[Delivery]], None],
        correct: Callable[[Cancel], Awaitable[None]],
        observer: Observer,
        clocks: Clocks,
        every_s: float,
    ) -> None:
        self._cancels = cancels
        self._queue = queue
        self._lanes = lanes
        self._known = known
        self._stopped = stopped
        self._correct = correct
        self._observer = observer
        self._clocks = clocks
        self._every_s = every_s

    def learn(self, event_ids: Collection[str]) -> None:
        """These events are cancelled: what waits of them in memory ends."""
        new = {one for one in event_ids if one not in self._known}
        if not new:
            return
        self._known |= new
        for lane in self._lanes.values():
            for part in lane.parts.values():
                self._stopped(part.take_out(lambda one: one.work.chunk.event_id in new))

    async def run(self) -> None:
        """Look for what others cancelled, until cancelled."""
        while True:
            try:
                await self.look()
            except StoreUnavailable as error:
                self._observer(StoreFailed("cancelled events", str(error)))
            await asyncio.sleep(self._every_s)

    async def look(self) -> None:
        """Learn of what was cancelled lately, and see that all of it ends."""
        recent = await self._cancels.recent(since=self._clocks.wall() - _RECENT_S)
        ids = {one.event_id for one in recent}
        self.learn(ids)
        if self._known:
            self._known &= ids
            await self._queue.hasten(ids)
        for one in recent:
            if one.replacement is not None:
                await self._correct(one)
