"""Writing: what was decided becomes rows, in batches.

Owns the order of a flush - the journal, with what the brakes keep, then the queue - and with it the
promise that a chunk is given up only after its deliveries are on record. The writer sleeps
while there is nothing to write: the first record wakes it, and 20 ms later it writes all that came
in. A slow flush closes the gate: pushes that are not on record when the process dies may be sent
again, under the same ids, so their number must not grow.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from gateway.core.attempts import Failed, Key
from gateway.core.clocks import Clocks
from gateway.core.drawn import Drawn
from gateway.core.model import Item, Record, Removal
from gateway.core.pace import Pace
from gateway.core.prune import Brake
from gateway.core.states import DeliveryState
from gateway.errors import DevicesUncounted, StoreUnavailable
from gateway.events import (
    BrakeTripped,
    DeliveriesSettled,
    DevicesRemoved,
    ItemsEnded,
    Observer,
    StoreFailed,
)
from gateway.ports import Recorded
from gateway.relay.device_counts import DeviceCounts
from gateway.relay.gate import Gate
from gateway.relay.lane import Lane
from gateway.relay.leases import Leases
from gateway.relay.order import Order
from gateway.relay.ports import RelayPorts
from gateway.relay.retrying import until_stored
from gateway.relay.work import Work
from providers.contract import Address

T = TypeVar("T")

_UNSENT = frozenset(
    (
        DeliveryState.NO_DEVICE,
        DeliveryState.EXPIRED,
        DeliveryState.CANCELLED,
        DeliveryState.HELD_OUT,
    )
)


@dataclass(slots=True)
class Batch:
    """The records to write. Removals, dead letters and `others` name records by their index.

    `waiting` are the records of deliveries that are left for later, with their chunks. Records that
    have ended may be journaled before the others (`is_ended_recorded`). `delivered`
    has, by (app, provider), the age of each delivered push's event; all other records are the
    `others`. `drawn` is what the lot made of reminders. Everything comes in by methods, which call
    `grown` to wake the writer.
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
    failed: dict[Key, Failed] = field(default_factory=dict)
    drawn: list[Drawn] = field(default_factory=list)
    is_ended_recorded: bool = False

    def __bool__(self) -> bool:
        return bool(self.records or self.waiting or self.finished or self.failed or self.drawn)

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

    def fail(self, failed: Failed) -> None:
        """Take an attempt that failed."""
        key = failed[:3]
        self.failed[key] = failed.before(self.failed.get(key))
        self.grown()

    def draw(self, rows: Iterable[Drawn]) -> None:
        """Take what the lot made of reminders, with the records of those that are held back."""
        self.drawn += rows
        self.grown()

    def finish(self, work: Work) -> None:
        """Take a chunk that has no delivery open any more."""
        self.finished.append(work)
        self.grown()


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
        order: Order,
        gate: Gate,
        observer: Observer,
        clocks: Clocks,
        pace: Pace,
    ) -> None:
        self._journal = ports.journal
        self._queue = ports.queue
        self._registry = ports.registry
        self._device_counts = device_counts
        self._leases = leases
        self._order = order
        self.gate = gate
        self._observer = observer
        self._clocks = clocks
        self._pace = pace
        self._wanted = asyncio.Event()
        self._large = asyncio.Event()
        self._flushing = asyncio.Lock()
        self.batch = Batch(self._grown)

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
        """Write the batch: first the journal, then the queue.

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
        recorded = await self._recorded(batch)
        self._device_counts.took_out(recorded.went)
        if self._order.holds:
            waiting = [record for record, _ in batch.waiting]
            await self._order.ended([*batch.records, *waiting])
        if batch.finished or batch.environments:
            open_ = dict.fromkeys(batch.finished)
            await self._until_stored(lambda: self._settle_finished(open_, batch))
        self._report(batch, {index for index, _, _ in batch.removals}.difference(recorded.gone))
        self._report_removed(recorded.went)

    async def _recorded(self, batch: Batch) -> Recorded:
        """Journal the batch, once the store takes it; tells which brakes went on by that."""
        try:
            recorded = await self._until_stored(partial(self._record, batch, counted=False))
        except DevicesUncounted:
            # The count may be older than the registrations of the last seconds.
            await self._until_stored(self._device_counts.count)
            recorded = await self._until_stored(partial(self._record, batch, counted=True))
        for lane in dict.fromkeys(lane for _, _, lane in batch.removals):
            if (told := recorded.tripped.get((lane.app, lane.vendor))) is not None:
                wanted, found = told
                lane.brake_tripped()
                self._observer(BrakeTripped(lane.app, lane.vendor, wanted, found.devices))
        return recorded

    async def _record(self, batch: Batch, *, counted: bool) -> Recorded:
        """Journal the batch, once. Of a chunk that another process may have no delivery is
        journaled that waits: the chunk may have ended by then, and nobody would end the delivery.
        So the leases are proven anew each time, as an outage may outlast them; and where they are
        rows beside the journal's, they are looked at in the transaction."""
        try:
            await self._leases.prove(dict.fromkeys(work for _, work in batch.waiting))
        except StoreUnavailable:
            await self._record_ended(batch)
            raise
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
        brakes = {
            (lane.app, lane.vendor): Brake(
                lane.brake_rule,
                self._device_counts.active(lane.vendor, lane.app),
                counted,
                self._clocks.wall,
            )
            for _, _, lane in batch.removals
        }
        removals = [(index, removal) for index, removal, _ in batch.removals]
        failed = list(batch.failed.values())
        return await self._journal.record(
            records, removals, batch.dead, done, brakes, under, failed, batch.drawn
        )

    async def _record_ended(self, batch: Batch) -> None:
        """Journal, once, what has ended in any case, while nobody can say whose the rest is: for
        who takes over these chunks must not send it again. What comes with a removal or a dead
        letter waits for it."""
        if batch.is_ended_recorded:
            return
        bound = {index for index, _, _ in batch.removals} | {index for index, _ in batch.dead}
        ended = [
            record
            for index, record in enumerate(batch.records)
            if record.state.is_terminal and index not in bound
        ]
        if ended:
            await self._journal.record(ended, [], [], [], {}, [], [], batch.drawn)
            batch.is_ended_recorded = True

    async def _until_stored(self, step: Callable[[], Awaitable[T]]) -> T:
        """Repeat a step until the store takes it."""

        def refused(error: BaseException | None) -> None:
            self.gate.close()
            self._observer(StoreFailed("journal", str(error)))

        return await until_stored(step, refused=refused)

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
            if record.state in _UNSENT:
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
