"""Settling: the one place that carries decisions out.

Verdicts come in by callback, are decided at once, and are written in batches: the journal first,
then the queue. What is journaled as terminal is never sent again; what is in the buffer when the
process dies may be, under the same ids. The buffer is flushed at least every 100 ms.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import TypeVar, assert_never

from gateway.core.model import Item, Record, Remainder, Removal
from gateway.core.retry import (
    Dead,
    Decision,
    Done,
    Expire,
    PauseLane,
    Prune,
    Quarantine,
    Refuse,
    RetryAt,
    Snooze,
    Standing,
    decide,
)
from gateway.core.states import DeliveryState, DeviceState
from gateway.errors import StoreUnavailable
from gateway.events import (
    AttemptsFinished,
    BrakeTripped,
    DeliveriesSettled,
    DevicesRemoved,
    ItemsEnded,
    LaneHeld,
    LaneResumed,
    Observer,
    StoreFailed,
)
from gateway.ports import Clock, Journal, Lanes, Queue, Registry
from gateway.relay.lane import Lane
from gateway.relay.patience import insist
from gateway.relay.work import Delivery, Work
from providers.contract import (
    Delivered,
    Environment,
    Misconfigured,
    Push,
    Unavailable,
    Verdict,
    address_hash,
)

T = TypeVar("T")

FLUSH_S = 0.05
_FLUSH_ROWS = 512


@dataclass(slots=True)
class _Batch:
    """What waits to be written."""

    records: list[Record] = field(default_factory=list)
    removals: list[tuple[int, Removal, Lane]] = field(default_factory=list)
    dead: list[tuple[int, Item]] = field(default_factory=list)
    finished: list[Work] = field(default_factory=list)
    ages: dict[int, float] = field(default_factory=dict)
    environments: dict[int, Environment] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.records or self.finished)


class Settler:
    """Turns verdicts into journal rows, removals, leftovers and lane holds."""

    def __init__(
        self,
        *,
        journal: Journal,
        queue: Queue,
        registry: Registry,
        lane_book: Lanes,
        observer: Observer,
        clock: Clock,
        monotonic: Clock,
        max_attempts: int,
        random: Random | None = None,
    ) -> None:
        self._journal = journal
        self._queue = queue
        self._registry = registry
        self._lane_book = lane_book
        self._observer = observer
        self._clock = clock
        self._monotonic = monotonic
        self._max_attempts = max_attempts
        self._random = random or Random()  # noqa: S311  # jitter, not secrets
        self._batch = _Batch()
        self._due = asyncio.Event()
        self._flushing = asyncio.Lock()
        self._background: set[asyncio.Task[None]] = set()
        self._devices: Counter[tuple[str, str]] = Counter()
        #: called when a chunk is finished, and with False/True when the journal stops or goes on
        self.on_finished: Callable[[Work], None] = lambda work: None
        self.on_gate: Callable[[bool], None] = lambda open_: None

    # --- what comes in ------------------------------------------------------------------------

    def verdicts(self, lane: Lane, verdicts: Sequence[tuple[Push, Verdict]]) -> None:
        """Decide about every verdict of a lane, at once."""
        now, monotonic = self._clock(), self._monotonic()
        counts: Counter[str] = Counter()
        seconds: list[float] = []
        for push, verdict in verdicts:
            delivery: Delivery = push.context
            counts[verdict.label] += 1
            seconds.append(monotonic - delivery.started)
            self._decide(lane, delivery, verdict, now)
        lane.health.count(len(verdicts), len(verdicts) - counts[Delivered.label])
        self._observer(AttemptsFinished(lane.app, lane.kind, counts, seconds))

    def returned(
        self, lane: Lane, deliveries: Sequence[Delivery], reason: str, due_at: float | None
    ) -> None:
        """Take back deliveries that were not sent; they spend no attempt."""
        now = self._clock()
        for delivery in deliveries:
            if delivery.work.lost:
                continue
            if delivery.deadline <= now:
                self._end(delivery, DeliveryState.EXPIRED, reason or "too old", now)
            else:
                self._leave(delivery, now, reason, due_at=due_at or now, journal=bool(reason))

    def begin(self, work: Work, records: Sequence[Record]) -> None:
        """Take a chunk whose fan-out ended some of its items without a push."""
        self._batch.records.extend(records)
        if work.open == 0:
            self._finish(work)

    def bury(self, work: Work, records: Sequence[Record]) -> None:
        """Give up a chunk: what is not settled of it becomes dead letters."""
        items = {entry.item.index: entry.item for entry in work.chunk.items}
        for record in records:
            self._batch.dead.append((len(self._batch.records), items[record.index]))
            reason = "no process could finish its chunk"
            self._batch.records.append(replace(record, state=DeliveryState.DEAD, reason=reason))
        self._finish(work)

    # --- decisions ----------------------------------------------------------------------------

    def _decide(self, lane: Lane, delivery: Delivery, verdict: Verdict, now: float) -> None:
        delivery.attempts += 1
        standing = Standing(
            provider=lane.kind,
            attempts=delivery.attempts,
            deadline=delivery.deadline,
            seen_at=delivery.target.seen_at,
            flipped=delivery.flipped,
        )
        decision = decide(
            verdict,
            standing,
            max_attempts=self._max_attempts,
            now=now,
            dice=self._random.random(),
        )
        self._tell_breaker(lane, verdict, decision)
        # Whoever has the chunk now decides about it, but what was delivered is worth knowing.
        if not delivery.work.lost or isinstance(decision, Done):
            self._carry_out(lane, delivery, decision, now)

    def _tell_breaker(self, lane: Lane, verdict: Verdict, decision: Decision) -> None:
        if isinstance(decision, PauseLane):
            self._hold(lane, decision)
        elif isinstance(verdict, Misconfigured | Unavailable):
            lane.breaker.unclear(self._monotonic())
        elif lane.breaker.answered():
            lane.reason = lane.hint = ""
            self._spawn(self._resume(lane))

    def _carry_out(self, lane: Lane, delivery: Delivery, decision: Decision, now: float) -> None:
        match decision:
            case Done(vendor_id=vendor_id):
                if delivery.flipped:
                    environment = delivery.target.address.environment.other
                    self._batch.environments[delivery.target.device_id] = environment
                self._batch.ages[len(self._batch.records)] = (
                    now - delivery.work.chunk.first_seen
                )
                self._end(delivery, DeliveryState.DELIVERED, "", now, vendor_id)
            case Refuse(reason=reason):
                self._end(delivery, DeliveryState.REFUSED, reason, now)
            case Expire(reason=reason):
                self._end(delivery, DeliveryState.EXPIRED, reason, now)
            case Dead(reason=reason):
                self._batch.dead.append((len(self._batch.records), delivery.item))
                self._end(delivery, DeliveryState.DEAD, reason, now)
            case Prune(reason=reason):
                self._remove(lane, delivery, reason, now, prune=True)
            case Quarantine(reason=reason):
                self._remove(lane, delivery, reason, now, prune=False)
            case RetryAt(at=at, reason=reason, flipped=flipped):
                delivery.flipped = flipped
                if at <= now:
                    lane.again(delivery)
                else:
                    self._leave(delivery, now, reason, due_at=at)
            case Snooze(at=at, reason=reason, scope=scope):
                delivery.attempts -= 1
                if scope == "lane":
                    lane.quiet(self._monotonic() + (at - now))
                else:
                    lane.quiet_device(delivery.target.device_id, at)
                self._leave(delivery, now, reason, due_at=at)
            case PauseLane(reason=reason):
                delivery.attempts -= 1
                self._leave(delivery, now, reason, due_at=now)
            case _:
                assert_never(decision)

    def _end(
        self,
        delivery: Delivery,
        state: DeliveryState,
        reason: str,
        now: float,
        vendor_id: str = "",
    ) -> None:
        self._batch.records.append(_record(delivery, state, reason, now, vendor_id))
        self._close(delivery)

    def _leave(
        self,
        delivery: Delivery,
        now: float,
        reason: str,
        *,
        due_at: float,
        journal: bool = True,
    ) -> None:
        """Leave a delivery for later; the journal says why, unless nothing happened to it."""
        if journal:
            self._batch.records.append(
                _record(delivery, DeliveryState.PENDING, reason, now, next_at=due_at)
            )
        remainder = Remainder(delivery.target.device_id, delivery.attempts, delivery.flipped)
        delivery.work.leave(delivery.item, remainder, lane=delivery.lane, due_at=due_at)
        self._close(delivery)

    def _remove(
        self, lane: Lane, delivery: Delivery, reason: str, now: float, *, prune: bool
    ) -> None:
        """Order a removal; the flush asks the brake. A quarantined device's push was refused."""
        target = delivery.target
        removal = Removal(
            device_id=target.device_id,
            address=target.address.value,
            seen_at=target.seen_at,
            app=target.app,
            provider=target.provider,
            to=DeviceState.PRUNED if prune else DeviceState.QUARANTINED,
            reason=reason,
        )
        self._batch.removals.append((len(self._batch.records), removal, lane))
        state = DeliveryState.PRUNED if prune else DeliveryState.REFUSED
        self._end(delivery, state, reason, now)

    def _close(self, delivery: Delivery) -> None:
        work = delivery.work
        work.open -= 1
        if work.open == 0:
            self._finish(work)
        if len(self._batch.records) >= _FLUSH_ROWS:
            self._due.set()

    def _finish(self, work: Work) -> None:
        if not work.lost:
            self._batch.finished.append(work)

    # --- lanes --------------------------------------------------------------------------------

    def _hold(self, lane: Lane, decision: PauseLane) -> None:
        first = not lane.breaker.held
        if not lane.breaker.hold(self._monotonic()):
            return
        lane.reason, lane.hint = decision.reason, decision.hint
        lane.give_back_all(decision.reason)
        if first:
            self._observer(
                LaneHeld(lane.app, lane.kind, "misconfigured", decision.reason, decision.hint)
            )
        self._spawn(
            self._lane_book.hold(
                lane.app,
                lane.kind,
                by="misconfigured",
                reason=decision.reason,
                hint=decision.hint,
                now=self._clock(),
            )
        )

    async def _resume(self, lane: Lane) -> None:
        self._observer(LaneResumed(lane.app, lane.kind))
        await self._lane_book.resume(lane.app, lane.kind, by="relay")

    def _spawn(self, work: Awaitable[None]) -> None:
        """Write a lane's state beside the flow: what is sent does not depend on it."""

        async def guarded() -> None:
            try:
                await work
            except StoreUnavailable as error:
                self._observer(StoreFailed("lane state", str(error)))

        task = asyncio.get_running_loop().create_task(guarded())
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    # --- writing ------------------------------------------------------------------------------

    async def run(self) -> None:
        """Flush every 50 ms, or sooner when much has come in. Ends by cancellation."""
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
            if self._batch:
                batch, self._batch = self._batch, _Batch()
                await self._write(batch)

    async def _write(self, batch: _Batch) -> None:
        if self._would_trip(batch):
            # The count may be older than the registrations of the last seconds.
            await self._insist(self.count_devices)
        removals, held_back, tripped = self._ask_brakes(batch)
        for lane in tripped:
            await self._insist(
                lambda lane=lane: self._lane_book.trip_brake(  # type: ignore[misc]
                    lane.app, lane.kind, now=self._clock()
                )
            )
        if held_back:
            await self._insist(lambda: self._lane_book.hold_back(held_back))
        done = [
            (work.chunk.event_id, work.chunk.number)
            for work in batch.finished
            if work.chunk.number >= 0
        ]
        gone = await self._insist(
            lambda: self._journal.record(batch.records, removals, batch.dead, done)
        )
        if batch.finished or batch.environments:
            await self._insist(lambda: self._settle_finished(batch))
        self._report(batch, removals, gone)
        for work in batch.finished:
            self.on_finished(work)

    async def count_devices(self) -> None:
        """Count the active devices of each lane: the brakes work with their share."""
        counts: Counter[tuple[str, str]] = Counter()
        for (provider, app, state), count in (await self._registry.count()).items():
            if state == DeviceState.ACTIVE:
                counts[(provider, app)] += count
        self._devices = counts

    async def _insist(self, step: Callable[[], Awaitable[T]]) -> T:
        """Do a step until the store takes it."""
        failed = False

        def refused(error: BaseException | None) -> None:
            nonlocal failed
            failed = True
            self.on_gate(False)
            self._observer(StoreFailed("journal", str(error)))

        result = await insist(step, refused=refused)
        if failed:
            self.on_gate(True)
        return result

    async def _settle_finished(self, batch: _Batch) -> None:
        settles = [
            self._queue.settle(work.claim, work.leftover_chunks()) for work in batch.finished
        ]
        environments = [
            self._registry.remember_environment(device_id, environment)
            for device_id, environment in batch.environments.items()
        ]
        await asyncio.gather(*settles, *environments)

    def _would_trip(self, batch: _Batch) -> bool:
        wanted = Counter(lane for _, _, lane in batch.removals)
        now = self._monotonic()
        return any(
            lane.brake.would_trip(count, devices=self._devices_of(lane), now=now)
            for lane, count in wanted.items()
        )

    def _devices_of(self, lane: Lane) -> int:
        return self._devices[(lane.kind.value, lane.app)]

    def _ask_brakes(
        self, batch: _Batch
    ) -> tuple[list[tuple[int, Removal]], list[Removal], list[Lane]]:
        """Let the brakes decide: removals that go, those kept for a person, lanes that tripped."""
        admitted: list[tuple[int, Removal]] = []
        held_back: list[Removal] = []
        tripped: list[Lane] = []
        now = self._monotonic()
        by_lane: dict[Lane, list[tuple[int, Removal]]] = {}
        for index, removal, lane in batch.removals:
            by_lane.setdefault(lane, []).append((index, removal))
        for lane, orders in by_lane.items():
            devices = self._devices_of(lane)
            was_on = lane.brake.on
            count = lane.brake.admit(len(orders), devices=devices, now=now)
            admitted += orders[:count]
            for index, removal in orders[count:]:
                held_back.append(removal)
                if removal.to is DeviceState.PRUNED:
                    batch.records[index] = _kept(batch.records[index])
            if lane.brake.on and not was_on:
                tripped.append(lane)
                self._observer(BrakeTripped(lane.app, lane.kind, len(orders), devices))
        return admitted, held_back, tripped

    # --- telling ------------------------------------------------------------------------------

    def _report(
        self, batch: _Batch, removals: list[tuple[int, Removal]], gone: set[int]
    ) -> None:
        spared = {index for index, _ in removals if index not in gone}
        outcomes: dict[tuple[str, str], Counter[str]] = {}
        ages: dict[tuple[str, str], list[float]] = {}
        ended: Counter[str] = Counter()
        for index, record in enumerate(batch.records):
            if not record.state.is_terminal:
                continue
            if record.state in (DeliveryState.NO_DEVICE, DeliveryState.EXPIRED):
                ended[record.state.value] += 1
            if not record.app:
                continue
            lane = (record.app, record.provider)
            state = DeliveryState.REFUSED if index in spared else record.state
            outcomes.setdefault(lane, Counter())[state.value] += 1
            if index in batch.ages:
                ages.setdefault(lane, []).append(batch.ages[index])
        for (app, provider), counts in outcomes.items():
            lane_ages = ages.get((app, provider), [])
            self._observer(DeliveriesSettled(app, provider, counts, lane_ages))
        for result, count in ended.items():
            self._observer(ItemsEnded(result, count))
        self._report_removed([removal for index, removal in removals if index in gone])

    def _report_removed(self, removed: Sequence[Removal]) -> None:
        groups: dict[tuple[str, str, str], Counter[str]] = {}
        for removal in removed:
            key = (removal.app, removal.provider.value, removal.to.value)
            groups.setdefault(key, Counter())[removal.reason] += 1
        for (app, provider, state), reasons in groups.items():
            self._observer(DevicesRemoved(app, provider, state, reasons))


def _record(
    delivery: Delivery,
    state: DeliveryState,
    reason: str,
    now: float,
    vendor_id: str = "",
    next_at: float | None = None,
) -> Record:
    item, target = delivery.item, delivery.target
    return Record(
        event_id=delivery.work.chunk.event_id,
        index=item.index,
        device_id=target.device_id,
        state=state,
        attempts=delivery.attempts,
        at=now,
        user_id=item.user_id or target.user_id,
        custom_id=item.custom_id or target.custom_id,
        app=target.app,
        provider=target.provider.value,
        address_hash=address_hash(target.address.value),
        reason=reason,
        vendor_id=vendor_id,
        next_at=next_at,
    )


def _kept(record: Record) -> Record:
    """The record of a delivery whose device would have been pruned, had the brake not been on."""
    reason = f"{record.reason}; the prune brake keeps the device"
    return replace(record, state=DeliveryState.REFUSED, reason=reason)
