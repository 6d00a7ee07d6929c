"""What the writer promises: it sleeps while there is nothing to write, and forgets nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from itertools import count
from typing import Any, cast

import pytest

from gateway.core.model import Claim, Record, day_of
from gateway.core.pace import Pace
from gateway.core.states import DeliveryState
from gateway.ports import Journal, Lanes, Queue, Registry
from gateway.relay.device_counts import DeviceCounts
from gateway.relay.gate import Gate
from gateway.relay.lane import Lane
from gateway.relay.leases import Leases
from gateway.relay.ports import RelayPorts
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
        self.asked = 0
        self.records: list[Record] = []
        self.settled: list[int] = []

    async def record(
        self, records: Sequence[Record], _removals: object, _dead: object, _done: object
    ) -> set[int]:
        self.asked += 1
        await self.answers.wait()
        self.records += records
        return set()

    async def settle(self, claim: Claim, _leftovers: object, _again: object) -> bool:
        self.settled.append(claim.queue_id)
        return True


def record(index: int) -> Record:
    return Record("msg_1", index, 1, DeliveryState.DELIVERED, 1, NOW, day=day_of(NOW))


def work(number: int, ended: Callable[[Work], None] = lambda _work: None) -> Work:
    return Work(Claim(number, "lease", chunk([item(0)]), 1), float("inf"), 0.0, ended)


class Rig:
    def __init__(self, pace: Pace) -> None:
        self.store = Store()
        lanes: dict[str, Lane] = {}
        clocks = both(partial(next, count(1.0)))  # every look is a second later
        self.gate = Gate(lanes, monotonic=clocks.monotonic)
        store: Any = self.store
        registry = cast("Registry", store)
        self.writer = Writer(
            ports=RelayPorts(
                registry,
                cast("Journal", store),
                cast("Queue", store),
                cast("Lanes", store),
                frozenset(),
            ),
            device_counts=DeviceCounts(
                registry,
                observer=lambda _event: None,
                monotonic=clocks.monotonic,
                every_s=pace.device_counts_s,
            ),
            leases=Leases(
                cast("Queue", store),
                lanes=lanes,
                gate=self.gate,
                wake=lambda: None,
                observer=lambda _event: None,
                clocks=clocks,
                lease_s=60.0,
                pace=pace,
            ),
            gate=self.gate,
            observer=lambda _event: None,
            clocks=clocks,
            pace=pace,
        )


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
