"""The desk of an operator: commands, each a process of its own on the same store.

Owns that a command is repeated until the store takes it, as a person would.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from gateway.app.vendors import VENDORS
from gateway.core.cancelling import written
from gateway.core.clocks import Wall
from gateway.core.model import lane_name
from gateway.core.states import DeviceState
from gateway.devices.cancelling import cancel_event
from gateway.devices.records import BadRecord, record_of, registration_of
from gateway.errors import StoreUnavailable
from gateway.ports import Cancelling
from gateway.queue.in_store import InStoreQueue
from gateway.store.sqlite.database import SqliteDatabase
from gateway.store.sqlite.store import SqliteStore
from tests.kit.stores import fresh_secret
from tests.simulation.disk import DiskEngine
from tests.simulation.doors import APP, APPS
from tests.simulation.gateways import pace_of
from tests.simulation.invariants.corrections import corrected_text
from tests.simulation.loop import Process

if TYPE_CHECKING:
    from tests.simulation.world import World


class Desk:
    """One command. Its clock is right."""

    def __init__(self, world: World, name: str) -> None:
        self._world = world
        self._name = name
        engine = DiskEngine(world.disk, Process(f"command {name}"))
        self._store = SqliteStore(
            SqliteDatabase(engine),
            max_per_user=world.plan.sizes.most_devices,
            fresh=fresh_secret,
        )
        self._queue = InStoreQueue(
            self._store.database,
            journal=self._store.journal,
            clock=self._now,
            new_id=lambda: f"command-{name}-{world.loop.time()}",
            observer=lambda _event: None,
            pace=pace_of(world.plan.sizes),
        )

    async def run(self, what: Callable[[Desk], Awaitable[object]]) -> None:
        """Do it, again and again until it is done."""
        while True:
            try:
                done = await what(self)
            except StoreUnavailable:
                await asyncio.sleep(1.0)
            else:
                self._world.trace.add("operator", self._name, done)
                return

    async def pause(self, provider: str) -> None:
        """`lanes pause`."""
        await self._store.lanes.hold(
            APP, provider, "", by="operator", reason="maintenance", hint="", now=self._now()
        )
        self._world.findings.pausing(lane_name(APP, provider))

    async def resume(self, provider: str) -> None:
        """`lanes resume`."""
        lane = lane_name(APP, provider)
        self._world.findings.resuming(lane)
        await self._store.lanes.resume(APP, provider, "", by="operator", now=self._now())
        self._world.findings.resumed(lane)

    async def release(self, provider: str) -> None:
        """`lanes release`."""
        lane = lane_name(APP, provider)
        self._world.findings.releasing(lane)
        await self._store.lanes.release(APP, provider, now=self._now())
        self._world.findings.released(lane)

    async def replay(self) -> int:
        """`dead replay`."""
        now = self._now()
        max_age_s = self._world.plan.sizes.max_age_s
        replayed = await self._queue.replay_dead(None, now=now, max_age_s=max_age_s)
        self._world.findings.replayed(max_age_s)
        return replayed

    async def cancel(self, event_id: str, *, corrected: bool) -> bool:
        """`events cancel`, perhaps with a correction. False: the event is not known yet."""
        truth = self._world.truth
        batch = truth.batches.get(event_id)
        if batch is None:
            return False
        if batch.cancel_asked_at is None:
            batch.cancel_asked_at = truth.now
        replacement = written({"title": corrected_text(event_id)}) if corrected else None
        asked = Cancelling(self._now(), self._world.plan.sizes.max_age_s, replacement)
        done = await cancel_event(self._store.cancels, self._queue, event_id, asked)
        if done is not None and batch.cancelled_at is None:
            batch.cancelled_at = truth.now
            self._world.trace.count("an event was cancelled")
        return done is not None

    async def export(self, records: list[Mapping[str, Any]]) -> int:
        """`devices export`."""
        records.clear()
        async for page in self._store.registry.export(state=DeviceState.ACTIVE):
            records += [record_of(device, VENDORS) for device in page]
        return len(records)

    async def restore(self, records: Sequence[Mapping[str, Any]]) -> int:
        """`devices import` of that file."""
        asked = []
        for record in records:
            with suppress(BadRecord):  # of a row that a later version wrote
                asked.append(registration_of(record, vendors=VENDORS, apps=APPS))
        done = await self._store.registry.register_many(asked, now=self._now())
        if done.newer:
            self._world.trace.count("an import met what is newer")
        return len(done.newer)

    def _now(self) -> Wall:
        return Wall(self._world.truth.wall(self._world.truth.now))
