"""Writing: what was decided becomes rows, in batches.

Owns the order of a flush - what the brakes keep, then the journal, then the queue - and with it
the promise that a chunk is given up only after its deliveries are on record. The buffer is
flushed every 20 ms, and a flush that takes long closes the gate: what is not on record when the
process dies may be sent again, under the same ids, and so it must not grow.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from gateway.core.model import Item, Record, Removal
from gateway.core.states import DeliveryState, DeviceState
from gateway.events import (
    BrakeTripped,
    DeliveriesSettled,
    DevicesRemoved,
    ItemsEnded,
    Observer,
    StoreFailed,
)
from gateway.ports import Clock, Journal, Lanes, Queue, Registry
from gateway.relay.census import Census
from gateway.relay.lane import Lane
from gateway.relay.patience import insist
from gateway.relay.work import Work
from providers.contract import Address

T = TypeVar("T")

FLUSH_S = 0.02
_FLUSH_ROWS = 512
#: a flush that takes longer stops the lanes until it is done, in seconds
SLOW_S = 0.25
#: devices taken out lately that are remembered; more than a brake lets go in its window
_TAKEN_OUT = 100_000


@dataclass(slots=True)
class Batch:
    """What waits to be written. Removals, dead letters and `others` name records by their index.

    `delivered` has, by (app, provider), how old each delivered one's event was; the records of all
    else are the `others`.
    """

    records: list[Record] = field(default_factory=list)
    removals: list[tuple[int, Removal, Lane]] = field(default_factory=list)
    dead: list[tuple[int, Item]] = field(default_factory=list)
    finished: list[Work] = field(default_factory=list)
    others: list[int] = field(default_factory=list)
    delivered: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    environments: dict[int, Address] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.records or self.finished)

    def ages_of(self, lane: Lane) -> list[float]:
        """How old each delivered push of this lane was, as far as this batch knows; to add to."""
        return self.delivered.setdefault((lane.app, lane.kind), [])

    def add(self, record: Record) -> int:
        """Take a record of anything but a delivery that succeeded; returns its index."""
        index = len(self.records)
        self.records.append(record)
        self.others.append(index)
        return index

    def removals_by_lane(self) -> dict[Lane, dict[int, list[tuple[int, Removal]]]]:
        """The removals of each lane, by device: several pushes may prove the same one dead."""
        by_lane: dict[Lane, dict[int, list[tuple[int, Removal]]]] = {}
        for index, removal, lane in self.removals:
            by_device = by_lane.setdefault(lane, {})
            by_device.setdefault(removal.device_id, []).append((index, removal))
        return by_lane


def _nobody_listens(_what: object) -> None:
    """What happens until the dispatcher listens."""


class Writer:
    """Writes `batch` when its time has come. `lane_book` is the lanes' lasting state."""

    def __init__(
        self,
        *,
        journal: Journal,
        queue: Queue,
        registry: Registry,
        census: Census,
        lane_book: Lanes,
        observer: Observer,
        clock: Clock,
        monotonic: Clock,
    ) -> None:
        self._journal = journal
        self._queue = queue
        self._registry = registry
        self._census = census
        self._lane_book = lane_book
        self._observer = observer
        self._clock = clock
        self._monotonic = monotonic
        self._due = asyncio.Event()
        self._flushing = asyncio.Lock()
        #: (device, registration) of what was taken out lately, oldest first
        self._taken_out: dict[tuple[int, float], None] = {}
        self._gate_closed = False
        #: how many processes relay: each may let go its part of what a brake allows
        self.relays = 1
        self.batch = Batch()
        #: called when a chunk is finished, and with False/True when the journal stops or goes on
        self.on_finished: Callable[[Work], None] = _nobody_listens
        self.on_gate: Callable[[bool], None] = _nobody_listens

    def grown(self) -> None:
        """Something was added to the batch: write early when it has become large."""
        if len(self.batch.records) >= _FLUSH_ROWS:
            self._due.set()

    async def run(self) -> None:
        """Flush every 20 ms, or sooner when much has come in. Ends by cancellation."""
        while True:
            try:
                async with asyncio.timeout(FLUSH_S):
                    await self._due.wait()
            except TimeoutError:
                pass
            self._due.clear()
            await self.flush()

    async def flush(self) -> None:
        """Write what has come in: first what the brakes keep, then the journal, then the queue.

        Each step is repeated until the store takes it, for rows are upserts and a settled chunk
        stays settled; meanwhile the lanes start nothing that could not be journaled.
        """
        async with self._flushing:
            if not self.batch:
                return
            batch, self.batch = self.batch, Batch()
            patience = asyncio.get_running_loop().call_later(SLOW_S, self._close_gate)
            try:
                await self._write(batch)
            finally:
                patience.cancel()
            if self._gate_closed:
                self._gate_closed = False
                self.on_gate(True)

    def _close_gate(self) -> None:
        if not self._gate_closed:
            self._gate_closed = True
            self.on_gate(False)

    async def _write(self, batch: Batch) -> None:
        gone_before = self._part_known(batch)
        if self._would_trip(batch):
            # The count may be older than the registrations of the last seconds.
            await self._insist(self._census.count)
        removals, held_back, tripped = self._ask_brakes(batch)
        for lane in tripped:
            await self._insist(partial(self._trip, lane))
        if held_back:
            await self._insist(lambda: self._lane_book.hold_back(held_back))
        done = [
            (work.chunk.event_id, work.chunk.number)
            for work in batch.finished
            if work.chunk.number >= 0
        ]
        gone = await self._insist(
            lambda: self._journal.record(batch.records, [*gone_before, *removals], batch.dead, done)
        )
        removed = {removal.device_id: removal for index, removal in removals if index in gone}
        self._census.took_out(removed.values())
        self._remember(removed.values())
        if batch.finished or batch.environments:
            open_ = dict.fromkeys(batch.finished)
            await self._insist(lambda: self._settle_finished(open_, batch))
        self._report(batch, {index for index, _ in [*gone_before, *removals]} - gone)
        self._report_removed(removed.values())

    def _part_known(self, batch: Batch) -> list[tuple[int, Removal]]:
        """Take out of the batch what was removed already: a brake counts a device once, however
        many notifications it had on their way."""
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

    async def _insist(self, step: Callable[[], Awaitable[T]]) -> T:
        """Do a step until the store takes it."""

        def refused(error: BaseException | None) -> None:
            self._close_gate()
            self._observer(StoreFailed("journal", str(error)))

        return await insist(step, refused=refused)

    async def _trip(self, lane: Lane) -> None:
        await self._lane_book.trip_brake(lane.app, lane.kind, now=self._clock())
        lane.brake_known = True

    async def _settle_finished(self, open_: dict[Work, None], batch: Batch) -> None:
        """Settle the chunks that are still `open_`, and write what else the batch has."""
        settles = [self._settle(work, open_) for work in list(open_)]
        environments = [
            self._registry.remember_environment(device_id, address.value, address.environment)
            for device_id, address in batch.environments.items()
        ]
        await asyncio.gather(*settles, *environments)

    async def _settle(self, work: Work, open_: dict[Work, None]) -> None:
        while True:
            claim = work.claim
            await self._queue.settle(
                claim,
                list(work.chunks_of(work.leftovers)),
                list(work.chunks_of(work.again)),
            )
            if work.claim is claim:
                break
            # Meanwhile its lease had ended, and it came to this process again: under that one now.
        open_.pop(work, None)
        self.on_finished(work)

    def _would_trip(self, batch: Batch) -> bool:
        now = self._monotonic()
        return any(
            lane.brake.would_trip(len(orders), devices=self._devices_of(lane, now), now=now)
            for lane, orders in batch.removals_by_lane().items()
        )

    def _devices_of(self, lane: Lane, now: float) -> int:
        """The lane's devices before the brake's window took some, or the threshold would shrink."""
        devices = self._census.active(lane.kind, lane.app)
        return devices // self.relays + lane.brake.gone(now)

    def _ask_brakes(
        self, batch: Batch
    ) -> tuple[list[tuple[int, Removal]], list[Removal], list[Lane]]:
        """Let the brakes decide: removals that go, those kept for a person, lanes that tripped."""
        admitted: list[tuple[int, Removal]] = []
        held_back: list[Removal] = []
        tripped: list[Lane] = []
        now = self._monotonic()
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
                self._observer(BrakeTripped(lane.app, lane.kind, len(orders), devices))
        return admitted, held_back, tripped

    # --- telling ------------------------------------------------------------------------------

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
