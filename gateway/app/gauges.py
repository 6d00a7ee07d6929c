"""Measurements that no event counts: queue, lanes, devices; and whether each part is ready."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping

from gateway.app.storage import Stores
from gateway.app.storing import Storing
from gateway.core.clocks import WallClock
from gateway.errors import StoreUnavailable
from gateway.hooks.standing import lane_of, standing_of
from gateway.observe.metrics import Metrics
from gateway.ports import Depth, Standing, quiet
from gateway.relay.device_counts import DeviceCounts
from gateway.relay.lane import Lane

Probe = Callable[[], Awaitable[str | None]]


class Gauges:
    """Measures queue, lanes and registry for metrics, health and the webhook's high-water mark.

    `waiting` tells of what waits for a person: sources that this process does not know, a database
    in doubt; `storing` what could not be stored lately. `offset` is how far the gateway's time is
    ahead of the machine's clock.
    """

    def __init__(
        self,
        stores: Stores,
        device_counts: DeviceCounts,
        metrics: Metrics,
        lanes: Mapping[str, Lane],
        *,
        waiting: Callable[[], Mapping[str, Standing]],
        storing: Storing,
        clock: WallClock,
        offset: Callable[[], float],
        every_s: float,
    ) -> None:
        self._storing = storing
        self._stores = stores
        self._device_counts = device_counts
        self._metrics = metrics
        self._lanes = lanes
        self._waiting = waiting
        self._clock = clock
        self._offset = offset
        self._every_s = every_s
        self._hooks: Mapping[str, Standing] = {}
        self._depth = Depth(0, None)
        self._accepted_since = 0

    @property
    def backlog(self) -> int:
        """Notifications that wait: those of the last look, plus those accepted since."""
        return self._depth.notifications + self._accepted_since

    def accepted(self, notifications: int) -> None:
        """This process made this many notifications durable."""
        self._accepted_since += notifications

    async def run(self) -> None:
        """Look at the queue every `every_s` until cancelled; an outage keeps the last look."""
        while True:
            with contextlib.suppress(StoreUnavailable):  # the probes of /readyz report it
                await self._look_at_queue()
                await self._look_at_hooks()
            await asyncio.sleep(self._every_s)

    async def refresh(self) -> None:
        """Bring the metrics up to date, for a scrape."""
        now = self._clock()
        self._metrics.set_clock(self._offset())
        await self._look_at_queue()
        self._metrics.set_queue(self._depth, now=now)
        self._metrics.set_devices(self._device_counts.counts)
        inflight: Counter[str] = Counter()
        for lane in self._lanes.values():
            transport = lane.transport
            inflight[lane.vendor] += transport.in_flight
            self._metrics.set_lane(
                lane.app,
                lane.vendor,
                connections=transport.connections,
                rate_per_s=lane.rate,
                credential=transport.credential,
            )
        self._metrics.set_inflight(inflight)
        parts = [part for lane in self._lanes.values() for part in lane.parts.values()]
        self._metrics.set_failing(
            {(part.app, part.vendor, part.name) for part in parts if part.failing}
        )
        self._metrics.set_lane_rows(await self._stores.lanes.all())
        hooks = self._stores.store.hooks
        if hooks.plan.hooks:
            self._metrics.hooks.set(await hooks.counts(), now=now)

    def probes(self) -> dict[str, Probe]:
        """The probes of /readyz for parts that the gateway cannot do without: each answers None,
        or what is wrong and what to do."""
        return {"store": self._store_answers, "queue": self._queue_answers}

    def lane_states(self) -> dict[str, Standing]:
        """The standing of this process' lanes and parts that do not simply send, of sources whose
        events wait here, and of what the database lacks and can do without."""
        now, states = self._clock(), {**self._waiting(), **self._hooks}
        states |= {part: one for part, one in self._stores.troubles().items() if part != "store"}
        for lane in self._lanes.values():
            if lane.quiet_for_s > 0:
                states[lane.name] = quiet(lane.name, lane.quiet_reason, now + lane.quiet_for_s)
            for part in lane.parts.values():
                cause = part.cause
                if part.state != "open" and cause is not None:
                    states[part.path] = Standing(part.state, cause.reason, cause.hint, cause.since)
        return states

    async def _look_at_queue(self) -> None:
        self._depth = await self._stores.queue.depth()
        self._accepted_since = 0

    async def _look_at_hooks(self) -> None:
        """How hooks stand, for any process may have changed that."""
        hooks = self._stores.store.hooks
        known = hooks.plan.hooks
        rows = await hooks.rows() if known else []
        standings = {lane_of(row.id): standing_of(row) for row in rows if row.id in known}
        self._hooks = {name: one for name, one in standings.items() if one.state != "open"}

    async def _store_answers(self) -> str | None:
        try:
            await self._stores.store.ping()
        except StoreUnavailable as error:
            return f"{error} {self._stores.advice}"
        if (trouble := self._stores.troubles().get("store")) is not None:
            return trouble.reason
        if (failure := self._storing.failure) is not None:
            return f"{failure} {self._stores.advice}"
        return None

    async def _queue_answers(self) -> str | None:
        try:
            await self._stores.queue.depth()
        except StoreUnavailable as error:
            return str(error)
        return None
