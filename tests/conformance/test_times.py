"""What every store keeps of clocks, and what it puts right when the time is known."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.core.model import Chunk, UserRef
from gateway.ports import PERSON, ClockRow
from gateway.ports.times import KEEP_S
from gateway.store.postgres.store import PostgresStore
from tests.kit.audience import Phone
from tests.kit.build import NOW
from tests.kit.stores import Handle, accept, batch

DAY_S = 86_400.0


async def test_each_process_has_one_row(handle: Handle) -> None:
    times = handle.store.times
    await times.report(ClockRow("b", NOW, -3_600.0, "", "the database is -3600 s from it"))
    await times.report(ClockRow("a", NOW, 0.0, "stepped"))
    await times.report(ClockRow("a", NOW + 1))
    await times.report(ClockRow(PERSON, NOW + 2))
    assert [row.name for row in await times.all()] == ["a", PERSON, "b"]
    assert (await times.all())[0] == ClockRow("a", NOW + 1)
    await times.leave("b")
    assert [row.name for row in await times.all()] == ["a", PERSON]


async def test_what_was_told_a_day_ago_is_dropped(handle: Handle) -> None:
    times = handle.store.times
    await times.report(ClockRow("gone", NOW))
    await times.report(ClockRow("here", NOW + KEEP_S + 1))
    assert [row.name for row in await times.all()] == ["here"]


async def test_a_clock_that_was_contradicted_is_told_of_for_years(handle: Handle) -> None:
    """It showed 1970, and the next one shows the truth."""
    times = handle.store.times
    wrong = ClockRow("gone", 1_000.0, 0.0, "contradicted", "the sender of webhooks", 900.0)
    await times.report(wrong)
    await times.report(ClockRow("doubted", 1_000.0, 0.0, "unconfirmed", "", 900.0))
    await times.report(ClockRow("here", NOW))
    assert await times.all() == [wrong, ClockRow("here", NOW)]


async def claimed(handle: Handle, now: float) -> list[Chunk]:
    claims = await handle.queue.claim(limit=100, lease_s=handle.lease_s, now=now)
    return [claim.chunk for claim in claims]


@pytest.mark.needs("sees the queue")
async def test_what_was_put_off_for_longer_than_it_is_fresh_is_due_when_the_time_is_known(
    handle: Handle,
) -> None:
    await accept(handle, "msg_1")
    (claim,) = await handle.queue.claim(limit=1, lease_s=handle.lease_s, now=NOW)
    put_off = replace(claim.chunk, due_at=NOW + 30 * DAY_S)
    assert await handle.queue.settle(claim, [put_off])
    assert await claimed(handle, NOW + 60) == []
    await handle.store.times.recall(now=NOW + 60, began=NOW + 30)
    (chunk,) = await claimed(handle, NOW + 60)
    assert chunk.deadline == claim.chunk.deadline


@pytest.mark.needs("sees the queue")
async def test_what_came_in_the_future_came_now_when_the_time_is_known(handle: Handle) -> None:
    event, chunks = batch("msg_1")
    ahead = 2 * DAY_S
    moved = [
        replace(
            chunk,
            first_seen=chunk.first_seen + ahead,
            deadline=chunk.deadline + ahead,
            due_at=chunk.due_at + ahead,
        )
        for chunk in chunks
    ]
    await handle.queue.accept(event, moved)
    assert await claimed(handle, NOW + 60) == []
    await handle.store.times.recall(now=NOW + 60, began=NOW + 30)
    (chunk,) = await claimed(handle, NOW + 60)
    life = chunks[0].deadline - chunks[0].first_seen
    assert (chunk.first_seen, chunk.deadline) == (NOW + 60, NOW + 60 + life)


async def test_the_newest_date_is_told_where_a_clock_may_have_been_ahead(handle: Handle) -> None:
    times, has_a_clock = handle.store.times, isinstance(handle.store, PostgresStore)
    newest: list[float | None] = [await times.newest()]
    await handle.queue.accept(*batch("msg_1"))
    newest.append(await times.newest())
    await handle.registry.erase(UserRef("somebody"), now=NOW + 1)
    newest.append(await times.newest())
    phone = Phone("fcm", 1, 1)
    await handle.registry.register(phone.registration(), proven=None, now=NOW)
    await handle.registry.forget(phone.installation, proven=None, now=NOW + 2)
    newest.append(await times.newest())
    dates = [None, NOW, NOW + 1, NOW + 2]
    assert newest == ([None] * 4 if has_a_clock else dates)


@pytest.mark.parametrize("behind", [3_600.0, 100 * DAY_S])
async def test_what_came_in_the_future_does_not_wait_for_the_clock_to_be_set(
    handle: Handle, behind: float
) -> None:
    event, chunks = batch("msg_1")
    await handle.queue.accept(event, chunks)
    now = NOW - behind
    await handle.store.times.rouse(now=now)
    has_a_clock = isinstance(handle.store, PostgresStore)  # and compares due times with its own
    (chunk,) = await claimed(handle, NOW if has_a_clock else now)
    assert (chunk.first_seen, chunk.deadline) == (chunks[0].first_seen, chunks[0].deadline)
