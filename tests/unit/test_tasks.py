"""Ending background tasks, also one that lost a cancellation."""

from __future__ import annotations

import asyncio

from gateway.tasks import end


async def test_a_loop_that_lost_a_cancellation_ends() -> None:
    lost = 0

    async def loop() -> None:
        nonlocal lost
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                if lost:
                    raise
                lost += 1

    task = asyncio.create_task(loop())
    await asyncio.sleep(0)
    await end(task)
    assert task.cancelled()
    assert lost == 1


async def test_what_has_ended_or_never_began_needs_no_end() -> None:
    async def fails() -> None:
        raise ValueError

    task = asyncio.create_task(fails())
    await asyncio.wait([task])
    await end(task)
    await end(None)
    assert isinstance(task.exception(), ValueError)
