"""What a timekeeper tells its own gateway: that the machine was paused, and that a duty broke."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from unittest.mock import AsyncMock, call

import pytest

from gateway.app import timekeeping
from gateway.app.timekeeping import Timekeeper
from gateway.core.clocks import Clocks, Monotonic, Wall
from gateway.ports import ClockRow, Times
from tests.kit.build import NOW


@dataclass
class Machine:
    wall: float = NOW
    monotonic: float = 1_000.0

    def keeper(self) -> Timekeeper:
        return Timekeeper(Clocks(lambda: Wall(self.wall), lambda: Monotonic(self.monotonic)))


def no_rows(broken: str = "") -> AsyncMock:
    """The port `gateway.ports.Times`, empty; one method of it raises what nobody foresaw."""
    times = AsyncMock(spec=Times)
    times.all.return_value = []
    times.newest.return_value = None
    if broken:
        getattr(times, broken).side_effect = RuntimeError(broken)
    return times


@pytest.mark.parametrize("confirmed", [True, False])
@pytest.mark.parametrize("by", [172_800.0, 3_600.0, 61.0, -3_600.0])
def test_a_clock_that_was_moved_on_its_own_may_be_of_a_machine_that_was_paused(
    by: float, confirmed: bool
) -> None:
    machine, paused = Machine(), []
    keeper = machine.keeper()
    keeper.paused.append(lambda: paused.append(machine.wall))
    if confirmed:
        keeper.told("one", NOW, NOW + 1.0)
    for _ in range(5):
        machine.wall += 1.0
        machine.monotonic += 1.0
        keeper.look()
    assert paused == []
    machine.wall += by
    keeper.look()
    assert paused == [machine.wall]
    keeper.look()
    assert len(paused) == 1


async def nobody() -> None:
    """Nobody is asked."""


async def broken() -> None:
    raise RuntimeError("ask")


@pytest.mark.parametrize(
    ("ask", "times", "look", "fault"),
    [
        (broken, no_rows(), True, "ask"),
        (nobody, no_rows("report"), True, "report"),
        (nobody, no_rows("rouse"), True, "rouse"),
        (nobody, no_rows(), False, "look"),
    ],
    ids=["asking", "reporting", "rousing", "looking"],
)
async def test_a_duty_that_breaks_ends_the_gateway(
    monkeypatch: pytest.MonkeyPatch,
    ask: Callable[[], Awaitable[None]],
    times: AsyncMock,
    look: bool,
    fault: str,
) -> None:
    monkeypatch.setattr(timekeeping, "LOOK_S", 0.01)
    monkeypatch.setattr(timekeeping, "_ASK_AFTER_S", 0.0)
    keeper = Machine().keeper()

    def fails() -> None:
        raise RuntimeError("look")

    if not look:
        monkeypatch.setattr(keeper, "look", fails)
    failed: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
    await keeper.start(times, "here", ask=ask, observer=lambda _: None, failed=failed.set_result)
    async with asyncio.timeout(10.0):
        assert str(await failed) == fault
    await keeper.stop()


@pytest.mark.parametrize("known", ["before the start", "after it"])
async def test_a_date_of_the_future_is_put_right_before_anything_goes_on(
    monkeypatch: pytest.MonkeyPatch, known: str
) -> None:
    monkeypatch.setattr(timekeeping, "LOOK_S", 0.01)
    machine, times = Machine(), no_rows()
    moved: list[float] = []
    times.newest.return_value = NOW + 172_800.0
    recalled, goes_on = asyncio.Event(), asyncio.Event()

    async def recall(**_values: object) -> None:
        recalled.set()
        await goes_on.wait()

    times.recall.side_effect = recall
    keeper = machine.keeper()
    keeper.listeners.append(moved.append)
    if known == "before the start":
        keeper.told("one", NOW, NOW + 1.0)
    machine.wall += 30.0
    machine.monotonic += 30.0
    await keeper.start(
        times, "here", ask=nobody, observer=lambda _: None, failed=lambda _error: None
    )
    if known == "after it":
        doubt = keeper.doubt()
        assert doubt is not None
        assert not doubt.settling
        await asyncio.sleep(0.05)
        assert not recalled.is_set()
        keeper.told("one", machine.wall, machine.wall + 1.0)
        assert moved == [0.0]  # what is in hand has dates of before
    async with asyncio.timeout(10.0):
        await recalled.wait()
        doubt = keeper.doubt()
        assert doubt is not None
        assert doubt.settling
        goes_on.set()
        while keeper.doubt() is not None:  # noqa: ASYNC110  # the keeper has no event for it
            await asyncio.sleep(0.01)
    ((_, told),) = times.recall.call_args_list
    assert (told["now"], told["began"]) == (NOW + 30.0, NOW)
    assert [row.since for row in told["wrong"]] == [None]
    await keeper.stop()


@pytest.mark.parametrize("known", ["before the start", "after it"])
@pytest.mark.parametrize(("ahead", "is_wrong"), [(172_800.0, True), (61.0, True), (30.0, False)])
async def test_who_told_a_time_of_the_future_ended_while_its_clock_was_wrong(
    monkeypatch: pytest.MonkeyPatch, ahead: float, is_wrong: bool, known: str
) -> None:
    monkeypatch.setattr(timekeeping, "LOOK_S", 0.01)
    machine, times = Machine(), no_rows()
    moved: list[float] = []
    killed = ClockRow("killed", NOW + ahead, doubt="unconfirmed", since=NOW + ahead - 1.0)
    times.all.return_value = [killed, ClockRow("before", NOW - 5.0)]
    keeper = machine.keeper()
    keeper.listeners.append(moved.append)
    if known == "before the start":
        keeper.told("one", NOW, NOW + 1.0)
    await keeper.start(
        times, "here", ask=nobody, observer=lambda _: None, failed=lambda _error: None
    )
    if known == "after it":
        await asyncio.sleep(0.05)
        times.recall.assert_not_called()
        keeper.told("one", NOW, NOW + 1.0)
        assert moved == [0.0] * is_wrong  # what is in hand has due times of before
    async with asyncio.timeout(10.0):
        while keeper.doubt() is not None or not times.recall.called:  # noqa: ASYNC110  # no event
            await asyncio.sleep(0.01)
    ((_, told),) = times.recall.call_args_list
    assert told["wrong"] == [killed] * is_wrong
    assert times.leave.call_args_list == [call("killed")] * is_wrong
    await keeper.stop()


@pytest.mark.parametrize("confirmed", [True, False])
async def test_what_a_clock_told_that_nobody_confirmed_stays_at_the_end(confirmed: bool) -> None:
    times, keeper = no_rows(), Machine().keeper()
    if confirmed:
        keeper.told("one", NOW, NOW + 1.0)
    await keeper.start(
        times, "here", ask=nobody, observer=lambda _: None, failed=lambda _error: None
    )
    await keeper.stop()
    assert times.leave.called == confirmed
