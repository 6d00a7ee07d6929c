"""Writing: what was decided becomes rows, in batches.

Owns the order of a flush - what the brakes hold back, then the journal, then the queue - and with
it the promise that a chunk is given up only after its deliveries are on record. The writer sleeps
while there is nothing to write: the first record wakes it, and 20 ms later it writes all that came
in. A slow flush closes the gate: pushes that are not on record when the process dies may be sent
again, under the same ids, so their number must not grow.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from gateway.core.clocks import Clocks
from gateway.core.model import Item, Record, Removal
from gateway.core.pace import Pace
from gateway.core.states import DeliveryState, DeviceState
from gateway.events import (
    BrakeTripped,
    DeliveriesSettled,
    DevicesRemoved,
    ItemsEnded,
    Observer,
    StoreFailed,
)
from gateway.relay.device_counts import DeviceCounts
from gateway.relay.gate import Gate
from gateway.relay.lane import Lane
from gateway.relay.leases import Leases
from gateway.relay.ports import RelayPorts
from gateway.relay.retrying import until_stored
from gateway.relay.work import Work
from providers.contract import Address

T = TypeVar("T")

#: how many devices taken out lately are remembered; more than a brake allows in its window
_TAKEN_OUT = 100_000


@dataclass(slots=True)
class Batch:
    """The records to write. Removals, dead letters and `others` name records by their index.

    `waiting` are the records of deliveries that are left for later, with their chunks. `delivered`
    has, by (app, provider), the age of each delivered push's event; all other records are the
    `others`. Everything comes in by methods, which call `grown` to wake the writer.
    """

    grown: Callable[[], None]
    records: list[Record] = field(default_factory=list)
    waiting: list[tuple[Record, Work]] = field(default_factory=list)
    removals: list[tuple[int, Removal, Lane]] = field(default_factory=list)
    dead: list[tuple[int, Item]] = field(default_factory=list)
    finished: list[Work] = field(default_factory=list)
    others: list[int] = field(default_factory=list)
    delivered: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    environments: dict[int, Address] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.records or self.waiting or self.finished)

    @property
    def size(self) -> int:
        """How many records it has."""
        return len(self.records) + len(self.waiting)

    def ages_of(self, lane: Lane) -> list[float]:
        """The ages of this lane's delivered pushes in this batch, to append to."""
        return self.delivered.setdefault((lane.app, lane.vendor), [])

    def deliver(self, record: Record) -> None:
        """Take the record of a delivery that succeeded."""
        self.records.append(record)
        self.grown()

    def add(self, record: Record) -> int:
        """Take a record of anything but a delivery that succeeded; returns its index."""
        index = len(self.records)
        self.records.append(record)
        self.others.append(index)
        self.grown()
        return index

    def wait(self, record: Record, work: Work) -> None:
        """Take the record of a delivery that is left for later."""
        self.waiting.append((record, work))
        self.grown()

    def finish(self, work: Work) -> None:
        """Take a chunk that has no delivery open any more."""
        self.finished.append(work)
        self.grown()

    def removals_by_lane(self) -> dict[Lane, dict[int, list[tuple[int, Removal]]]]:
        """The removals of each lane, by device: several pushes may prove the same one dead."""
        by_lane: dict[Lane, dict[int, list[tuple[int, Removal]]]] = {}
        for index, removal, lane in self.removals:
            by_device = by_lane.setdefault(lane, {})
            by_device.setdefault(removal.device_id, []).append((index, removal))
        return by_lane


class Writer:
    """Writes `batch` when it is due.

    It calls a chunk's `ended` once the chunk is settled or lost, and closes `gate` while it cannot
    write.
    """

    def __init__(
        self,
        *,
        ports: RelayPorts,
        device_counts: DeviceCounts,
        leases: Leases,
        gate: Gate,
        observer: Observer,
        clocks: Clocks,
        pace: Pace,
    ) -> None:
        self._journal = ports.journal
        self._queue = ports.queue
        self._registry = ports.registry
        self._lane_store = ports.lanes
        self._device_counts = device_counts
        self._leases = leases
        self.gate = gate
        self._observer = observer
        self._clocks = clocks
        self._pace = pace
        self._wanted = asyncio.Event()
        self._large = asyncio.Event()
        self._flushing = asyncio.Lock()
        #: (device, registration) of what was taken out lately, oldest first
        self._taken_out: dict[tuple[int, float], None] = {}
        self._relays = 1
        self.batch = Batch(self._grown)

    def share(self, relays: int) -> None:
        """This many processes relay: each has an equal part of what a brake allows."""
        self._relays = relays

    def _grown(self) -> None:
        """Something was added to the batch: wake up, and write at once if the batch is large."""
        self._wanted.set()
        if self.batch.size >= self._pace.flush_rows:
            self._large.set()

    async def run(self) -> None:
        """Flush 20 ms after the first record came in, or sooner if the batch has become large.

        Sleeps while there is nothing to write. Ends by cancellation.
        """
        while True:
            await self._wanted.wait()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pace.flush_s):
                    await self._large.wait()
            # Cleared before the flush: a record that comes in during it wakes the writer again.
            self._wanted.clear()
            self._large.clear()
            await self.flush()

    async def flush(self) -> None:
        """Write the batch: first what the brakes hold back, then the journal, then the queue.

        Each step is repeated until the store takes it, which is safe because rows are upserts and a
        settled chunk stays settled. Meanwhile the lanes start nothing that cannot be journaled.
        """
        async with self._flushing:
            if not self.batch:
                return
            batch, self.batch = self.batch, Batch(self._grown)
            closing = asyncio.get_running_loop().call_later(self._pace.slow_s, self.gate.close)
            try:
                await self._write(batch)
            finally:
                closing.cancel()
            self.gate.open()

    async def _write(self, batch: Batch) -> None:
        gone_before = self._part_known(batch)
        if self._would_trip(batch):
            # The count may be older than the registrations of the last seconds.
            await self._until_stored(self._device_counts.count)
        removals, held_back, tripped = self._ask_brakes(batch)
        for lane in tripped:
            await self._until_stored(partial(self._trip, lane))
        if held_back:
            await self._until_stored(lambda: self._lane_store.hold_back(held_back))
        gone = await self._until_stored(partial(self._record, batch, [*gone_before, *removals]))
        removed = {removal.device_id: removal for index, removal in removals if index in gone}
        self._device_counts.took_out(removed.values())
        self._remember(removed.values())
        if batch.finished or batch.environments:
            open_ = dict.fromkeys(batch.finished)
            await self._until_stored(lambda: self._settle_finished(open_, batch))
        self._report(batch, {index for index, _ in [*gone_before, *removals]} - gone)
        self._report_removed(removed.values())

    async def _record(self, batch: Batch, removals: Sequence[tuple[int, Removal]]) -> set[int]:
        """Journal the batch, once. Of a chunk that another process may have no delivery is
        journaled that waits: the chunk may have ended by then, and nobody would end the delivery.
        So the leases are proven anew each time, as an outage may outlast them; and where they are
        rows beside the journal's, they are looked at in the transaction."""
        await self._leases.prove(dict.fromkeys(work for _, work in batch.waiting))
        waiting = [(record, work) for record, work in batch.waiting if not work.lost]
        records, under = batch.records, []
        if self._queue.in_store:
            under = [(record, work.lease) for record, work in waiting]
        else:
            records = records + [record for record, _ in waiting]
        done = [
            (work.chunk.event_id, work.chunk.number)
            for work in batch.finished
            if work.chunk.number >= 0 and not work.lost
        ]
        return await self._journal.record(records, removals, batch.dead, done, under)

    def _part_known(self, batch: Batch) -> list[tuple[int, Removal]]:
        """Take devices out of the batch that were removed already: a brake counts a device once,
        however many of its notifications were on their way."""
        known = [
            (index, removal)
            for index, removal, _ in batch.removals
            if (removal.device_id, removal.seen_at) in self._taken_out
        ]
        indexes = {index for index, _ in known}
        batch.removals = [order for order in batch.removals if order[0] not in indexes]
        return known

    def _remember(self, removed: Iterable[Removal]) -> None:
        for removal in removed:
            self._taken_out[removal.device_id, removal.seen_at] = None
        while len(self._taken_out) > _TAKEN_OUT:
            del self._taken_out[next(iter(self._taken_out))]

    async def _until_stored(self, step: Callable[[], Awaitable[T]]) -> T:
        """Repeat a step until the store takes it."""

        def refused(error: BaseException | None) -> None:
            self.gate.close()
            self._observer(StoreFailed("journal", str(error)))

        return await until_stored(step, refused=refused)

    async def _trip(self, lane: Lane) -> None:
        await self._lane_store.trip_brake(lane.app, lane.vendor, now=self._clocks.wall())
        lane.brake_written()

    async def _settle_finished(self, open_: dict[Work, None], batch: Batch) -> None:
        """Settle the chunks that are still `open_`, and write what else the batch has."""
        settles = [self._settle(work, open_) for work in list(open_)]
        environments = [
            self._registry.remember_environment(device_id, address.value, address.environment)
            for device_id, address in batch.environments.items()
        ]
        await asyncio.gather(*settles, *environments)

    async def _settle(self, work: Work, open_: dict[Work, None]) -> None:
        while not work.lost:
            claim = work.claim
            await self._queue.settle(
                claim,
                list(work.chunks_of(work.leftovers)),
                list(work.chunks_of(work.postponed)),
            )
            if work.claim is claim:
                break
            # Its lease ended meanwhile, and this process claimed it again: settle that claim.
        open_.pop(work, None)
        work.ended(work)

    def _would_trip(self, batch: Batch) -> bool:
        now = self._clocks.monotonic()
        return any(
            lane.brake.would_trip(len(orders), devices=self._devices_of(lane, now), now=now)
            for lane, orders in batch.removals_by_lane().items()
        )

    def _devices_of(self, lane: Lane, now: float) -> int:
        """The lane's devices before the brake's window took some: else the threshold shrinks."""
        devices = self._device_counts.active(lane.vendor, lane.app)
        return devices // self._relays + lane.brake.gone(now)

    def _ask_brakes(
        self, batch: Batch
    ) -> tuple[list[tuple[int, Removal]], list[Removal], list[Lane]]:
        """Let the brakes decide: removals that go, those held back, lanes that tripped."""
        admitted: list[tuple[int, Removal]] = []
        held_back: list[Removal] = []
        tripped: list[Lane] = []
        now = self._clocks.monotonic()
        for lane, orders in batch.removals_by_lane().items():
            devices = self._devices_of(lane, now)
            was_on = lane.brake.on
            count = lane.brake.admit(len(orders), devices=devices, now=now)
            for place, same_device in enumerate(orders.values()):
                if place < count:
                    admitted += same_device
                    continue
                held_back.append(same_device[0][1])
                for index, removal in same_device:
                    if removal.to is DeviceState.PRUNED:
                        batch.records[index] = _kept(batch.records[index])
            if lane.brake.on and not was_on:
                tripped.append(lane)
                self._observer(BrakeTripped(lane.app, lane.vendor, len(orders), devices))
        return admitted, held_back, tripped

    # --- reporting ----------------------------------------------------------------------------

    def _report(self, batch: Batch, spared: set[int]) -> None:
        outcomes: dict[tuple[str, str], Counter[str]] = {
            lane: Counter({DeliveryState.DELIVERED.value: len(ages)})
            for lane, ages in batch.delivered.items()
            if ages
        }
        ended: Counter[str] = Counter()
        for index in batch.others:
            record = batch.records[index]
            if not record.state.is_terminal:
                continue
            if record.state in (DeliveryState.NO_DEVICE, DeliveryState.EXPIRED):
                ended[record.state.value] += 1
            if not record.app:
                continue
            lane = (record.app, record.provider)
            state = DeliveryState.REFUSED if index in spared else record.state
            outcomes.setdefault(lane, Counter())[state.value] += 1
        for (app, provider), counts in outcomes.items():
            ages = batch.delivered.get((app, provider), [])
            self._observer(DeliveriesSettled(app, provider, counts, ages))
        for result, count in ended.items():
            self._observer(ItemsEnded(result, count))

    def _report_removed(self, removed: Iterable[Removal]) -> None:
        groups: dict[tuple[str, str, str], Counter[str]] = {}
        for removal in removed:
            key = (removal.app, removal.provider, removal.to.value)
            groups.setdefault(key, Counter())[removal.reason] += 1
        for (app, provider, state), reasons in groups.items():
            self._observer(DevicesRemoved(app, provider, state, reasons))


def _kept(record: Record) -> Record:
    """The record of a delivery whose device would have been pruned, had the brake not been on."""
    reason = f"{record.reason}; the prune brake keeps the device"
    return record._replace(state=DeliveryState.REFUSED, reason=reason)
