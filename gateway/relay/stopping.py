"""Stopping what was cancelled, or is done already: what waits of it ends soon, wherever it waits.

Owns which events this process knows as cancelled, and what it knows as done. That nothing of them
starts does not rest on it: each look-up asks for itself (`lookups`, `dispatcher`). This is so that
what waits ends at once, and that what was put back meanwhile is not left to its due time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

from gateway.core.cancelling import Cancel
from gateway.core.clocks import Clocks
from gateway.core.suppressing import Done
from gateway.errors import StoreUnavailable
from gateway.events import Observer, StoreFailed
from gateway.ports import Cancels
from gateway.relay.lane import Lane
from gateway.relay.ports import RelayPorts
from gateway.relay.work import Delivery

#: how long after its cancellation something of an event may be put back by who has not heard of it,
#: in seconds: as long as verdicts may take, and clocks may differ
_RECENT_S = 600.0
#: by so much the clocks of those who take events in may differ, in seconds
_APART_S = 10.0


class Stops:
    """See the module. `known` are the events, shared with who puts deliveries back; `stopped` gets
    what waited in `lanes`, and why it ends; `correct` queues a correction once it can be."""

    def __init__(
        self,
        ports: RelayPorts,
        cancels: Cancels,
        lanes: Mapping[str, Lane],
        *,
        known: set[str],
        stopped: Callable[..., None],
        correct: Callable[[Cancel], Awaitable[None]],
        observer: Observer,
        clocks: Clocks,
        every_s: float,
    ) -> None:
        self._cancels = cancels
        self._queue = ports.queue
        self._lanes = lanes
        self._known = known
        self._superseding = ports.superseding
        self._done: dict[Done, None] = {}
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

    def learn_done(self, done: Sequence[Done]) -> list[str]:
        """This is done: reminders of it that wait in memory end. Returns the events that are new
        here."""
        new: dict[str, list[Done]] = {}
        for row in done:
            if row not in self._done:
                new.setdefault(row.path, []).append(row)
        self._done = dict.fromkeys(done)
        if not new:
            return []

        def why_not(one: Delivery) -> str | None:
            return self._superseding.judge(one.item, one.work.chunk.first_seen, new)

        for lane in self._lanes.values():
            for part in lane.parts.values():
                reasons: dict[str, list[Delivery]] = {}
                for one in part.take_out(lambda one: why_not(one) is not None):
                    reasons.setdefault(why_not(one) or "", []).append(one)
                for why, deliveries in reasons.items():
                    self._stopped(deliveries, why)
        return [row.event_id for rows in new.values() for row in rows]

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
        if self._superseding.is_on:
            now = self._clocks.wall()
            since = now - self._every_s - _APART_S
            new = self.learn_done(await self._superseding.recent(since=since))
            if new and self._queue.in_store:
                await self._superseding.hasten(new, now=now)
