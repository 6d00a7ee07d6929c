"""The loop of histories: time that jumps, processes that are killed and stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any

import pytest

from tests.simulation import loop as loops
from tests.simulation.loop import Loop, Process, StuckError


def new_loop() -> Loop:
    return Loop(Random(1))  # type: ignore[abstract]


def run(main: Callable[[Loop], Coroutine[Any, Any, None]]) -> Loop:
    loop = new_loop()
    try:
        loop.run(main(loop), until=lambda: False)
    finally:
        loop.end()
    return loop


def test_waiting_takes_no_time() -> None:
    async def main(loop: Loop) -> None:
        await asyncio.sleep(86_400)
        assert 86_400 <= loop.time() < 86_401

    run(main)


def test_a_killed_process_runs_nothing_any_more_not_even_its_cleanup() -> None:
    told: list[str] = []

    async def victim() -> None:
        try:
            told.append("began")
            await asyncio.sleep(1)
            told.append("went on")
        finally:
            told.append("cleaned up")

    async def main(loop: Loop) -> None:
        process = Process("victim")
        loop.create_task(victim(), context=process.context)
        await asyncio.sleep(0.5)
        loop.kill(process)
        await asyncio.sleep(5)
        assert told == ["began"]

    run(main)


def test_what_a_dead_process_had_scheduled_is_dropped_with_its_children() -> None:
    told: list[str] = []

    async def child() -> None:
        await asyncio.sleep(1)
        told.append("child")

    async def parent(loop: Loop) -> None:
        loop.call_later(1, told.append, "timer")
        await loop.create_task(child())

    async def main(loop: Loop) -> None:
        process = Process("parent")
        loop.create_task(parent(loop), context=process.context)
        await asyncio.sleep(0.5)
        loop.kill(process)
        await asyncio.sleep(5)

    run(main)
    assert told == []


def test_a_stopped_process_stands_still_and_goes_on_in_order() -> None:
    told: list[tuple[str, float]] = []

    async def ticking(loop: Loop) -> None:
        for name in ("one", "two", "three"):
            await asyncio.sleep(1)
            told.append((name, round(loop.time())))

    async def main(loop: Loop) -> None:
        process = Process("ticking")
        loop.create_task(ticking(loop), context=process.context)
        await asyncio.sleep(1.5)
        loop.freeze(process)
        await asyncio.sleep(10)
        loop.thaw(process)
        await asyncio.sleep(5)

    run(main)
    assert told == [("one", 1), ("two", 12), ("three", 13)]


def test_what_came_to_a_stopped_process_is_unread_until_it_is_read_and_its_timers_wait() -> None:
    told: list[str] = []

    async def main(loop: Loop) -> None:
        process = Process("reading")

        def read() -> None:
            told.append("read")

        def expire() -> None:
            told.append("expired")

        process.context.run(loop.call_later, 2, expire)
        loop.come_at(5, read, context=process.context)
        await asyncio.sleep(1)
        loop.freeze(process)
        await asyncio.sleep(10)
        loop.thaw(process)
        assert len(process.unread) == 1
        await asyncio.sleep(1)
        assert not process.unread

    run(main)
    assert told == ["read", "expired"]


def test_a_process_can_be_killed_at_any_of_its_steps() -> None:
    steps: list[int] = []

    async def walking() -> None:
        while True:
            steps.append(len(steps))
            await asyncio.sleep(0)

    async def main(loop: Loop) -> None:
        process = Process("walking")
        loop.create_task(walking(), context=process.context)
        loop.kill_after(process, 6, lambda: loop.kill(process))
        await asyncio.sleep(1)

    run(main)
    assert len(steps) == 7


def test_ready_callbacks_run_in_the_order_they_came() -> None:
    told: list[int] = []

    async def main(loop: Loop) -> None:
        for number in range(50):
            loop.call_soon(told.append, number)
        await asyncio.sleep(0.1)

    run(main)
    assert told == list(range(50))


def test_what_is_due_at_one_moment_comes_in_an_order_by_lot() -> None:
    told: list[int] = []

    async def main(loop: Loop) -> None:
        for number in range(50):
            loop.call_at(1.0, told.append, number)
        await asyncio.sleep(2)

    run(main)
    assert sorted(told) == list(range(50)) != told


def test_a_history_in_which_nothing_is_due_is_stuck() -> None:
    async def main(_loop: Loop) -> None:
        await asyncio.Event().wait()

    with pytest.raises(StuckError, match="nothing is due"):
        run(main)


def test_a_history_that_goes_round_in_circles_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops, "MOST_STEPS", 1000)

    async def main(loop: Loop) -> None:
        def again() -> None:
            loop.call_soon(again)

        again()
        await asyncio.Event().wait()

    with pytest.raises(StuckError, match="more than 1000 steps"):
        run(main)


def test_an_exception_in_a_callback_is_told_with_its_process() -> None:
    faults: list[tuple[str, str]] = []

    def broken() -> None:
        raise ValueError("no")

    async def main(loop: Loop) -> None:
        loop.on_fault = lambda owner, what: faults.append((str(owner), repr(what["exception"])))
        process = Process("broken")
        loop.call_soon(broken, context=process.context)
        await asyncio.sleep(0.1)

    run(main)
    assert faults == [("<broken>", "ValueError('no')")]
