"""Housekeeping: what has to be done from time to time, whoever does it.

Follows the lanes' lasting state (a person's hold, a released brake), tells it how the lanes fare,
and deletes what the retention period is over for. All of it may be done by several processes
without harm.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from gateway.errors import StoreUnavailable
from gateway.events import BrakeReleased, LaneHeld, LaneResumed, Observer, StoreFailed
from gateway.ports import Clock, Journal, LaneRow, Lanes, Registry
from gateway.relay.lane import Lane

_FOLLOW_S = 1.0
_PURGE_S = 3600.0
_FADE_S = 60.0


class Housekeeping:
    """Runs the periodic duties of one process."""

    def __init__(
        self,
        *,
        registry: Registry,
        journal: Journal,
        lane_book: Lanes,
        lanes: Mapping[str, Lane],
        observer: Observer,
        clock: Clock,
        retention_s: float,
        keep_pruned_s: float,
    ) -> None:
        self._registry = registry
        self._journal = journal
        self._lane_book = lane_book
        self._lanes = lanes
        self._observer = observer
        self._clock = clock
        self._retention_s = retention_s
        self._keep_pruned_s = keep_pruned_s

    async def take_over(self, lane: Lane) -> None:
        """Take over what the store knows of a lane that is new in this process, before it sends."""
        for row in await self._lane_book.all():
            if (row.app, row.provider) != (lane.app, lane.kind):
                continue
            if row.held == "misconfigured":
                # Credentials may have been mended while nobody looked: try them anew.
                await self._lane_book.resume(lane.app, lane.kind, by="relay")
            self._follow_hold(lane, row)
            lane.brake.on = lane.brake_known = row.brake_at is not None

    async def hand_over(self) -> None:
        """Take back what this process alone may have found wrong: it ends, the others go on.

        Its successor may have other credentials; who still holds the lane as well finds out anew.
        """
        for lane in self._lanes.values():
            if lane.breaker.held:
                try:
                    await self._lane_book.resume(lane.app, lane.kind, by="relay")
                except StoreUnavailable as error:
                    self._observer(StoreFailed("lane state", str(error)))

    async def run(self) -> None:
        """Do every duty at its interval until cancelled."""
        async with asyncio.TaskGroup() as duties:
            duties.create_task(self._every(_FOLLOW_S, "lane state", self.follow))
            duties.create_task(self._every(_PURGE_S, "retention", self.purge))
            duties.create_task(self._every(_FADE_S, "lane health", self._fade))

    async def follow(self) -> None:
        """Report the lanes, then do what a person decided about them."""
        now = self._clock()
        await self._lane_book.report(
            [
                LaneRow(
                    app=lane.app,
                    provider=lane.kind,
                    # what all have together; each has the same part
                    rate=lane.rate() * lane.limiter.replicas,
                    errors=lane.health.errors,
                    waiting=len(lane.backlog),
                    seen_at=now,
                )
                for lane in self._lanes.values()
            ]
        )
        # What the store knew before it is read: only then does its silence mean a release.
        braked = {lane for lane in self._lanes.values() if lane.brake_known}
        for lane in self._follow(await self._lane_book.all(), braked):
            # What was held back until this process heard of the release goes now.
            await self._lane_book.release(lane.app, lane.kind, now=now)

    async def purge(self) -> None:
        """Delete what is over its retention period."""
        now = self._clock()
        await self._journal.purge(before=now - self._retention_s)
        await self._registry.purge(pruned_before=now - self._keep_pruned_s)

    # --- inside -------------------------------------------------------------------------------

    def _follow(self, rows: list[LaneRow], braked: set[Lane]) -> list[Lane]:
        """Do what the rows say. Returns the lanes whose brake a person has released."""
        released: list[Lane] = []
        known = {f"{row.app}/{row.provider}": row for row in rows}
        for name, lane in self._lanes.items():
            row = known.get(name, LaneRow(lane.app, lane.kind))
            self._follow_hold(lane, row)
            if row.brake_at is not None:
                lane.brake.on = lane.brake_known = True
            elif lane in braked:
                lane.brake.release()
                lane.brake_known = False
                released.append(lane)
                self._observer(BrakeReleased(lane.app, lane.kind))
        return released

    def _follow_hold(self, lane: Lane, row: LaneRow) -> None:
        wanted = row.held == "operator"
        if wanted and not lane.operator_hold:
            lane.operator_hold = True
            lane.reason, lane.hint = row.reason, row.hint
            lane.give_back_all(row.reason or "held by an operator")
            self._observer(LaneHeld(lane.app, lane.kind, "operator", row.reason, row.hint))
        elif lane.operator_hold and not wanted:
            lane.operator_hold = False
            lane.reason = lane.hint = ""
            self._observer(LaneResumed(lane.app, lane.kind))
            lane.pump()
        if lane.breaker.held and row.held == "":
            lane.breaker.probe_now()

    async def _fade(self) -> None:
        for lane in self._lanes.values():
            lane.health.fade()

    async def _every(self, seconds: float, what: str, duty: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(seconds)
            try:
                await duty()
            except StoreUnavailable as error:
                self._observer(StoreFailed(what, str(error)))
