"""What the writer promises: it sleeps while there is nothing to write, and forgets nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from itertools import count
from typing import Any, cast

import pytest

from gateway.core.model import Claim, Record, Removal, day_of
from gateway.core.pace import Pace
from gateway.core.states import DeliveryState
from gateway.errors import StoreUnavailable
from gateway.ports import Journal, Lanes, LeaseRef, Queue, Recorded, Registry, Starts
from gateway.relay.collapsing import Collapsing
from gateway.relay.device_counts import DeviceCounts
from gateway.relay.gate import Gate
from gateway.relay.lane import Lane
from gateway.relay.leases import Leases
from gateway.relay.order import Order
from gateway.relay.ports import RelayPorts
from gateway.relay.reaching import Reaching
from gateway.relay.work import Work
from gateway.relay.write import Batch, Writer
from tests.kit.build import NOW, chunk, item
from tests.kit.clocks import both
from tests.kit.gateway import eventually

AT_ONCE = Pace(flush_s=0.0)
NEVER = Pace(flush_s=3_600.0, flush_rows=3, slow_s=3_600.0)


class Store:
    """Journal and queue as far as the writer uses them; `answers` is whether it is answered."""

    def __init__(self) -> None:
        self.answers = asyncio.Event()
        self.answers.set()
        self.in_store = True
        self.asked = 0
        self.records: list[Record] = []
        self.done: list[tuple[str, int]] = []
        self.settled: list[int] = []
        self.lost: set[int] = set()
        self.proves = True
        self.fails: Callable[[], None] | None = None

    async def record(
        self,
        records: Sequence[Record],
        _removals: object,
        _dead: object,
        done: Sequence[tuple[str, int]],
        _brakes: object,
        waiting: Sequence[tuple[Record, LeaseRef]],
        _failed: object = (),
        _drawn: object = (),
    ) -> Recorded:
        self.asked += 1
        await self.answers.wait()
        if self.fails is not None:
            fails, self.fails = self.fails, None
            fails()
            raise StoreUnavailable("the test cut the cable")
        self.records += [*records, *(record for record, _ in waiting)]
        self.done += done
        return Recorded()

    async def extend(self, claims: Sequence[Claim], *, lease_s: float, now: float) -> set[int]:
        assert lease_s > 0
        assert now > 0
        if not self.proves:
            raise StoreUnavailable("the test cut the cable")
        return {claim.queue_id for claim in claims} & self.lost

    async def settle(self, claim: Claim, _leftovers: object, _again: object) -> bool:
        self.settled.append(claim.queue_id)
        return True


def record(index: int) -> Record:
    return Record("msg_1", index, 1, DeliveryState.DELIVERED, 1, NOW, day=day_of(NOW))


def pending(index: int) -> Record:
    return record(index)._replace(state=DeliveryState.PENDING, next_at=NOW + 60)


def work(number: int, ended: Callable[[Work], None] = lambda _work: None) -> Work:
    return Work(Claim(number, "lease", chunk([item(0)]), 1), float("inf"), 0.0, ended)


class Rig:
    def __init__(self, pace: Pace) -> None:
        self.store = Store()
        lanes: dict[str, Lane] = {}
        clocks = both(partial(next, count(1.0)))  # every look is a second later
        self.gate = Gate(lanes, monotonic=clocks.monotonic)
        store: Any = self.store
        self.leases = Leases(
            cast("Queue", store),
            lanes=lanes,
            gate=self.gate,
            wake=lambda: None,
            observer=lambda _event: None,
            clocks=clocks,
            lease_s=60.0,
            pace=pace,
        )
        registry = cast("Registry", store)
        self.writer = Writer(
            ports=RelayPorts(
                registry,
                cast("Journal", store),
                cast("Queue", store),
                cast("Lanes", store),
                frozenset(),
                cast("Reaching", None),
                collapsing := Collapsing({}),
            ),
            order=Order(
                cast("Starts", store),
                lanes,
                collapsing=collapsing,
                overtaken=lambda _deliveries: None,
                name="a test",
                observer=lambda _event: None,
                clocks=clocks,
            ),
            device_counts=DeviceCounts(
                registry,
                observer=lambda _event: None,
                monotonic=clocks.monotonic,
                every_s=pace.device_counts_s,
            ),
            leases=self.leases,
            gate=self.gate,
            observer=lambda _event: None,
            clocks=clocks,
            pace=pace,
        )

    def take(self, number: int, *, proven_until: float) -> Work:
        """A chunk of its own under a lease, with a push on its way."""
        what = chunk([item(number)], event_id=f"msg_{number}")
        work = self.leases.take(Claim(number, "lease", what, 1), proven_until)
        assert work is not None
        work.open = 1
        return work


@asynccontextmanager
async def running(pace: Pace) -> AsyncIterator[Rig]:
    rig = Rig(pace)
    task = asyncio.get_running_loop().create_task(rig.writer.run())
    try:
        yield rig
    finally:
        task.cancel()
        await asyncio.wait([task])


class CountingLoop(asyncio.SelectorEventLoop):
    """A loop that counts the timers that are set on it."""

    timers = 0

    def call_at(self, when: float, *what: Any, **how: Any) -> asyncio.TimerHandle:  # type: ignore[override]  # whatever it is
        self.timers += 1
        return super().call_at(when, *what, **how)


def test_while_there_is_nothing_to_write_no_timer_is_set() -> None:
    async def idle() -> None:
        async with running(AT_ONCE) as rig:
            for _ in range(100):
                await asyncio.sleep(0)
            assert rig.store.asked == 0

    loop = CountingLoop()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(idle())
        assert loop.timers == 0


@pytest.mark.parametrize(
    "come_in",
    [
        lambda batch: batch.deliver(record(0)),
        lambda batch: batch.add(record(0)),
        lambda batch: batch.finish(work(1)),
    ],
)
async def test_whatever_comes_in_wakes_it(come_in: Callable[[Batch], object]) -> None:
    async with running(AT_ONCE) as rig:
        for _ in range(3):
            rig.store.asked = 0
            come_in(rig.writer.batch)
            await eventually("it is written", lambda: rig.store.asked == 1)


async def test_what_is_large_does_not_wait_for_its_time() -> None:
    async with running(NEVER) as rig:
        for index in range(NEVER.flush_rows):
            assert rig.store.records == []
            rig.writer.batch.deliver(record(index))
            await asyncio.sleep(0)
        await eventually("it is written", lambda: len(rig.store.records) == NEVER.flush_rows)


async def test_what_comes_in_while_the_store_is_slow_is_written_as_well() -> None:
    async with running(AT_ONCE) as rig:
        rig.store.answers.clear()
        rig.writer.batch.deliver(record(0))
        await eventually("the store is asked", lambda: rig.store.asked == 1)
        rig.writer.batch.deliver(record(1))
        rig.store.answers.set()
        await eventually("both are written", lambda: len(rig.store.records) == 2)


async def test_a_slow_store_closes_the_gate_and_its_answer_opens_it() -> None:
    async with running(Pace(flush_s=0.0, slow_s=0.0)) as rig:
        assert rig.gate.closed_s == 0.0
        rig.store.answers.clear()
        rig.writer.batch.deliver(record(0))
        await eventually("it is closed", lambda: rig.gate.closed_s > 0.0)
        passing = asyncio.get_running_loop().create_task(rig.gate.passed())
        await asyncio.sleep(0)
        assert not passing.done()
        rig.store.answers.set()
        await passing
        assert rig.gate.closed_s == 0.0


async def test_a_chunk_hears_that_it_is_settled_once_its_records_are_kept() -> None:
    heard: list[tuple[int, int]] = []
    async with running(AT_ONCE) as rig:
        rig.writer.batch.deliver(record(0))
        rig.writer.batch.finish(
            work(7, lambda one: heard.append((one.claim.queue_id, len(rig.store.records))))
        )
        await eventually("it hears", lambda: heard == [(7, 1)])
        assert rig.store.settled == [7]


LONG_AGO, FOR_EVER = 0.0, float("inf")


async def test_what_waits_is_written_under_a_proven_lease_alone() -> None:
    """Another relay may have ended the chunk, and nobody would end a row that waits."""
    async with running(AT_ONCE) as rig:
        proven = rig.take(1, proven_until=FOR_EVER)
        renewed = rig.take(2, proven_until=LONG_AGO)
        stolen = rig.take(3, proven_until=LONG_AGO)
        dropped = rig.take(4, proven_until=FOR_EVER)
        rig.leases.drop(dropped)
        rig.store.lost = {3}
        batch = rig.writer.batch
        for index, one in enumerate([proven, renewed, stolen, dropped], start=1):
            batch.wait(pending(index), one)
        batch.add(record(5))
        await eventually("it is written", lambda: rig.store.asked == 1)
        assert rig.store.records == [record(5), pending(1), pending(2)]
        assert (renewed.lost, stolen.lost) == (False, True)


async def test_what_waits_is_not_written_while_nobody_can_say_whose_it_is() -> None:
    async with running(AT_ONCE) as rig:
        rig.store.proves = False
        rig.writer.batch.wait(pending(1), rig.take(1, proven_until=LONG_AGO))
        await eventually("the lanes are stopped", lambda: rig.gate.closed_s > 0.0)
        assert rig.store.records == []
        rig.store.proves = True
        await eventually("it is written", lambda: rig.store.records == [pending(1)])


async def test_what_has_ended_is_written_while_nobody_can_say_whose_the_rest_is() -> None:
    """Who takes over these chunks must not send it again."""
    async with running(AT_ONCE) as rig:
        rig.store.proves = False
        batch, lane = rig.writer.batch, cast("Lane", None)
        batch.deliver(record(0))
        batch.add(pending(2))
        batch.dead.append((batch.add(record(3)), item(3)))
        batch.removals.append((batch.add(record(4)), cast("Removal", None), lane))
        batch.wait(pending(1), rig.take(1, proven_until=LONG_AGO))
        batch.finish(work(7))
        await eventually("it is written", lambda: rig.store.records == [record(0)])
        await eventually("the lanes are stopped", lambda: rig.gate.closed_s > 3.0)
        assert (rig.store.records, rig.store.done, rig.store.asked) == ([record(0)], [], 1)
        batch.removals.clear()
        rig.store.proves = True
        await eventually("all is written", lambda: rig.store.asked == 2)
        assert rig.store.records[1:] == [record(0), pending(2), record(3), record(4), pending(1)]
        assert rig.store.done == [("msg_1", 0)]


async def test_what_waits_is_not_written_after_an_outage_that_outlasted_its_lease() -> None:
    async with running(AT_ONCE) as rig:
        stolen = rig.take(1, proven_until=FOR_EVER)

        def others_take_it() -> None:
            stolen.proven_until, rig.store.lost = LONG_AGO, {1}

        rig.store.fails = others_take_it
        rig.writer.batch.wait(pending(1), stolen)
        rig.writer.batch.add(record(2))
        await eventually("it is written", lambda: rig.store.asked == 2)
        assert rig.store.records == [record(2)]
        assert stolen.lost


async def test_what_waits_alone_wakes_the_writer_and_counts_as_large() -> None:
    async with running(NEVER) as rig:
        one = rig.take(1, proven_until=FOR_EVER)
        for index in range(NEVER.flush_rows):
            rig.writer.batch.wait(pending(index), one)
        await eventually("it is written", lambda: len(rig.store.records) == NEVER.flush_rows)


async def test_a_lost_chunk_is_neither_done_nor_settled_and_hears_that_its_records_are_kept() -> (
    None
):
    """Its new owner settles it; here those wait that must not begin before it has ended."""
    heard: list[tuple[int, int]] = []

    def ended(one: Work) -> None:
        heard.append((one.claim.queue_id, len(rig.store.records)))

    async with running(AT_ONCE) as rig:
        lost, kept = work(7, ended), work(8, ended)
        lost.lose()
        rig.writer.batch.deliver(record(0))
        for one in (lost, kept):
            rig.writer.batch.finish(one)
        await eventually("both hear", lambda: len(heard) == 2)
        assert heard == [(7, 1), (8, 1)]
        assert rig.store.settled == [8]
        assert rig.store.done == [("msg_1", 0)]


async def test_a_chunk_that_is_found_lost_as_it_ends_is_not_settled() -> None:
    async with running(AT_ONCE) as rig:
        one = rig.take(1, proven_until=LONG_AGO)
        one.open, one.finished = 0, True
        rig.store.lost = {1}
        rig.writer.batch.wait(pending(1), one)
        rig.writer.batch.finish(one)
        await eventually("it is written", lambda: rig.store.asked == 1)
        await eventually("it has ended", lambda: not rig.leases._leaving)
        assert (rig.store.records, rig.store.done, rig.store.settled) == ([], [], [])
        assert rig.leases.works == {}
