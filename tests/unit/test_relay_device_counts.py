"""How often devices are counted: in proportion to what it costs."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from gateway.core.clocks import Clocks, Unsure
from gateway.core.pace import Pace
from gateway.errors import StoreUnavailable
from gateway.events import GatewayEvent, StoreFailed
from gateway.ports import Audience, Registry
from gateway.relay.device_counts import AudienceCounts, DeviceCounts
from tests.kit.clocks import monotonic, wall
from tests.kit.gateway import eventually

LANE = ("fcm", "agent")
ACTIVE = (*LANE, "active")


class Slow:
    """A registry that takes its time to count, by the test's clock."""

    def __init__(self) -> None:
        self.now, self.takes_s, self.counted = 1_000.0, 0.0, 0
        self.devices = 7
        self.failing = False

    async def count(self) -> dict[tuple[str, str, str], int]:
        self.counted += 1
        self.now += self.takes_s
        if self.failing:
            raise StoreUnavailable("no answer")
        return {ACTIVE: self.devices}

    async def audience(self, *, now: float) -> Audience:
        return Audience({}, {("agent", "1d"): int(now)})


def device_counts_of(
    registry: Slow, told: list[GatewayEvent], every_s: float = Pace().device_counts_s
) -> DeviceCounts:
    return DeviceCounts(
        cast("Registry", registry),
        observer=told.append,
        monotonic=monotonic(lambda: registry.now),
        every_s=every_s,
    )


@pytest.mark.parametrize(("takes_s", "rest_s"), [(0.0, 10.0), (0.2, 10.0), (2.0, 98.0)])
async def test_counting_takes_two_percent_of_the_time_at_most(
    takes_s: float, rest_s: float
) -> None:
    registry = Slow()
    registry.takes_s = takes_s
    device_counts = device_counts_of(registry, [])
    await device_counts.count()
    assert device_counts.rest_s == pytest.approx(rest_s)


async def test_a_count_that_fails_is_told_of_costs_as_much_and_keeps_the_last_one() -> None:
    registry, told = Slow(), list[GatewayEvent]()
    device_counts = device_counts_of(registry, told, every_s=0.001)
    await device_counts.count()
    registry.failing = True
    running = asyncio.create_task(device_counts.run())
    await eventually("told", lambda: len(told) > 1)
    registry.failing, registry.devices = False, 8
    await eventually("counted", lambda: device_counts.active(*LANE) == 8)
    assert isinstance(told[0], StoreFailed)
    registry.failing, registry.takes_s = True, 60.0
    count = len(told)
    await eventually("told again", lambda: len(told) > count)
    running.cancel()
    assert device_counts.active(*LANE) == 8
    assert device_counts.rest_s == pytest.approx(60.0 * 49)


async def test_who_counted_at_its_start_does_not_count_again_at_once() -> None:
    registry = Slow()
    device_counts = device_counts_of(registry, [])
    await device_counts.count()
    running = asyncio.create_task(device_counts.run())
    await asyncio.sleep(0)
    running.cancel()
    assert registry.counted == 1


def test_nothing_is_known_before_the_first_count() -> None:
    assert device_counts_of(Slow(), []).active(*LANE) == 0


async def test_nobody_is_counted_as_seen_or_silent_while_the_time_is_doubted() -> None:
    registry, told = Slow(), list[Audience]()
    doubts: list[Unsure] = [Unsure(0.0)]
    counts = AudienceCounts(
        cast("Registry", registry),
        told=told.append,
        observer=list[GatewayEvent]().append,
        clocks=Clocks(
            wall(lambda: 5_000.0),
            monotonic(lambda: registry.now),
            lambda: doubts[0] if doubts else None,
        ),
        every_s=60.0,
    )
    await counts.count()
    assert told == []
    doubts.clear()
    await counts.count()
    assert told == [Audience({}, {("agent", "1d"): 5_000})]
