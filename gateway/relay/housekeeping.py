"""Housekeeping: the periodic duties, which any process may do.

Carries people's decisions from the store to the lanes, and reports from the lanes to the store;
deletes rows whose retention period is over. Several processes may do all of it at once without
harm.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from gateway.core.clocks import Clocks
from gateway.core.pace import Pace
from gateway.errors import StoreUnavailable
from gateway.events import Observer, StoreFailed
from gateway.ports import Audit, Journal, LaneRow, Lanes, Registry
from gateway.relay.lane import Lane


@dataclass(frozen=True, slots=True)
class Keep:
    """How long rows are kept, in seconds: what happened, pruned devices, what is remembered of
    devices that went, and who did what."""

    journal_s: float
    pruned_s: float
    forgotten_s: float
    audit_s: float


class Housekeeping:
    """Runs the periodic duties of one process."""

    def __init__(
        self,
        *,
        registry: Registry,
        journal: Journal,
        lane_store: Lanes,
        audit: Audit,
        lanes: Mapping[str, Lane],
        observer: Observer,
        clocks: Clocks,
        pace: Pace,
        keep: Keep,
    ) -> None:
        self._registry = registry
        self._journal = journal
        self._lane_store = lane_store
        self._audit = audit
        self._lanes = lanes
        self._observer = observer
        self._wall = clocks.wall
        self._doubted = clocks.doubted
        self._pace = pace
        self._keep = keep

    async def take_over(self, lane: Lane) -> None:
        """Start a lane that is new in this process from its stored state, before it sends."""
        rows = {(row.app, row.provider): row for row in await self._lane_store.all()}
        row = rows.get((lane.app, lane.vendor))
        if row is not None:
            # The credentials may have been fixed while no relay ran: try them again.
            await self._lift(lane, [part.part for part in row.parts if _is_ours(part.held)])
            if _is_ours(row.held):
                await self._lift(lane, [""])
            lane.begin(row)

    async def hand_over(self) -> None:
        """Lift the holds of this process, which ends.

        Its successor may have other credentials. Another relay that holds the part as well stores
        its hold again.
        """
        for lane in self._lanes.values():
            held = [name for name, part in lane.parts.items() if part.hold is not None]
            try:
                await self._lift(lane, held)
            except StoreUnavailable as error:
                self._observer(StoreFailed("lane state", str(error)))

    async def run(self) -> None:
        """Do every duty at its interval until cancelled."""
        async with asyncio.TaskGroup() as duties:
            duties.create_task(self._every(self._pace.follow_s, "lane state", self.follow))
            duties.create_task(self._every(self._pace.purge_s, "retention", self.purge))
            duties.create_task(self._every(self._pace.fade_s, "lane health", self._fade))

    async def follow(self) -> None:
        """Report the lanes to the store, then apply what people decided about them."""
        await self._lane_store.report([lane.row() for lane in self._lanes.values()])
        # Taken before the store is read: a brake that it lists no more was released.
        braked = {lane for lane in self._lanes.values() if lane.braked}
        known = {(row.app, row.provider): row for row in await self._lane_store.all()}
        for lane in list(self._lanes.values()):
            row = known.get((lane.app, lane.vendor), LaneRow(lane.app, lane.vendor))
            lane.follow(row, was_braked=lane in braked)

    async def purge(self) -> None:
        """Delete rows whose retention period is over: none while the time is doubted."""
        if self._doubted():
            return
        now = self._wall()
        await self._journal.purge(before=now - self._keep.journal_s)
        await self._registry.purge(pruned_before=now - self._keep.pruned_s)
        await self._registry.purge_forgotten(before=now - self._keep.forgotten_s)
        await self._audit.purge(
            before=now - self._keep.audit_s, routine_before=now - self._keep.journal_s
        )

    # --- inside -------------------------------------------------------------------------------

    async def _lift(self, lane: Lane, parts: list[str]) -> None:
        for part in parts:
            now = self._wall()
            await self._lane_store.resume(lane.app, lane.vendor, part, by="relay", now=now)

    async def _fade(self) -> None:
        for lane in self._lanes.values():
            lane.fade()

    async def _every(self, seconds: float, what: str, duty: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(seconds)
            try:
                await duty()
            except StoreUnavailable as error:
                self._observer(StoreFailed(what, str(error)))


def _is_ours(held: str) -> bool:
    """Whether a relay wrote it, not a person."""
    return held == "misconfigured"
