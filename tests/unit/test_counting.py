"""When days are counted, and in what slices the journal is read."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from gateway.app.counting import DayCounter, people_words, slices
from gateway.core.effect_way import Cell, Sums
from gateway.core.model import Profile, day_of
from gateway.core.pace import Pace
from gateway.core.receipts import Key, Kind, Told
from gateway.core.seen import Asking
from gateway.core.states import DeliveryState
from gateway.ports.effect import WAY, SentEvent
from tests.kit.build import NOW, item
from tests.kit.clocks import both
from tests.kit.stores import BACKENDS, SECRET, Handle, accept, record, register

DAY = 86_400.0
MIDNIGHT = NOW - NOW % DAY
ANDROID = Cell("agent", "android", "learnink")


class Time:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = NOW
        self.zone: tzinfo = UTC


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
async def handle(tmp_path: Path) -> AsyncIterator[Handle]:
    async with BACKENDS["sqlite"].open(tmp_path, lambda: NOW) as opened:
        yield opened


def counter(handle: Handle, time: Time, most_people: int = 1000) -> DayCounter:
    return DayCounter(
        handle.store.effects,
        named=people_words(SECRET),
        source=lambda: (Asking({"agent": "opened"}, "opt_in"), time.zone),
        observer=lambda _event: None,
        clocks=both(lambda: time.now),
        pace=Pace(),
        most_people=most_people,
    )


async def a_day(
    handle: Handle, people: int = 50, *, at: float = NOW, name: str = "msg"
) -> list[int]:
    """A push to each of these people, half of whom have an app that tells."""
    await accept(
        handle, name, [item(n, user_id=f"user-{n}") for n in range(people)], received_at=at
    )
    ids = []
    for n in range(people):
        profile = Profile(measure="granted", can="displayed opened") if n % 2 else Profile()
        phone = await register(
            handle, f"phone-{n}", f"address-{n}", user_id=f"user-{n}", profile=profile, now=at
        )
        ids.append(phone.id)
    lines = [
        record(name, n, one, user_id=f"user-{n}", day=day_of(at), at=at)
        for n, one in enumerate(ids)
    ]
    lines[0] = lines[0]._replace(state=DeliveryState.EXPIRED, reason="too old")
    await handle.journal.record(lines, [])
    return ids


async def opened(handle: Handle, ids: list[int], numbers: range, *, name: str = "msg") -> None:
    keys = [Key(name, n, ids[n], day_of(NOW), "granted") for n in numbers]
    told = [Told(key, Kind.OPENED, NOW + 9, 1.0, even=True) for key in keys]
    await handle.store.receipts.keep(told, rule="opt_in")


async def way(handle: Handle) -> list[tuple[float, dict[Cell, Sums]]]:
    found = await handle.store.effects.way(0, NOW + 100 * DAY)
    return [(day, dict(counted.cells)) for day, counted in sorted(found.by_day.items())]


async def test_a_day_is_counted_a_day_after_it_ended(handle: Handle, time: Time) -> None:
    ids = await a_day(handle)
    await opened(handle, ids, range(1, 9, 2))
    counting = counter(handle, time)
    time.now = MIDNIGHT + 2 * DAY - 1
    await counting.count_due()
    assert await way(handle) == []
    time.now = MIDNIGHT + 2 * DAY
    await counting.count_due()
    assert await way(handle) == [(MIDNIGHT, {ANDROID: Sums(50, 49, 25, 4, 4)})]
    mark = await handle.store.effects.last(WAY)
    assert mark is not None
    assert (mark.begins, mark.ends, mark.settled) == (MIDNIGHT, MIDNIGHT + DAY, False)


async def test_what_phones_tell_late_is_counted_at_night_until_the_day_is_settled(
    handle: Handle, time: Time
) -> None:
    ids = await a_day(handle)
    counting = counter(handle, time)
    time.now = MIDNIGHT + 2 * DAY
    await counting.count_due()
    await opened(handle, ids, range(1, 5, 2))
    time.now += DAY - 1
    await counting.count_due()
    assert (await way(handle))[0][1][ANDROID].opened == 0
    time.now += 1
    await counting.count_due()
    assert (await way(handle))[0][1][ANDROID].opened == 2
    time.now += DAY
    await counting.count_due()
    assert [one.begins for one in await handle.store.effects.unsettled(WAY)] == [
        MIDNIGHT + DAY,
        MIDNIGHT + 2 * DAY,
    ]
    await opened(handle, ids, range(1, 9, 2))
    time.now += DAY
    await counting.count_due()
    assert (await way(handle))[0][1][ANDROID].opened == 2


async def test_days_follow_each_other_also_those_without_a_push(handle: Handle, time: Time) -> None:
    await a_day(handle, 30)
    await a_day(handle, 40, at=NOW + 2 * DAY, name="later")
    time.now = MIDNIGHT + 5 * DAY
    await counter(handle, time).count_due()
    found = await handle.store.effects.way(0, NOW + 100 * DAY)
    assert [mark.begins for mark in found.marks] == [MIDNIGHT + n * DAY for n in range(4)]
    assert [(day, cells[ANDROID].people) for day, cells in await way(handle)] == [
        (MIDNIGHT, 30),
        (MIDNIGHT + 2 * DAY, 40),
    ]


async def test_a_new_zone_leaves_what_was_counted_and_no_gap(handle: Handle, time: Time) -> None:
    await a_day(handle, 30)
    counting = counter(handle, time)
    time.now = MIDNIGHT + 2 * DAY
    await counting.count_due()
    time.zone = ZoneInfo("Africa/Nairobi")
    time.now += 2 * DAY
    await counting.count_due()
    marks = (await handle.store.effects.way(0, NOW + 100 * DAY)).marks
    assert [mark.ends - mark.begins for mark in marks] == [DAY, DAY - 3 * 3600, DAY]
    assert [one.ends for one in marks[:-1]] == [one.begins for one in marks[1:]]


async def test_a_day_with_many_people_is_counted_in_passes(handle: Handle, time: Time) -> None:
    ids = await a_day(handle)
    await opened(handle, ids, range(1, 9, 2))
    time.now = MIDNIGHT + 2 * DAY
    await counter(handle, time, most_people=7).count_due()
    assert await way(handle) == [(MIDNIGHT, {ANDROID: Sums(50, 49, 25, 4, 4)})]
    found = await handle.store.effects.way(0, NOW + 100 * DAY)
    assert found.by_day[MIDNIGHT].reasons == {(ANDROID, "expired"): 1}


async def test_nothing_is_counted_where_nothing_ever_came(handle: Handle, time: Time) -> None:
    time.now += 9 * DAY
    await counter(handle, time).count_due()
    assert await handle.store.effects.last(WAY) is None


def test_small_events_are_read_together_and_large_ones_in_parts() -> None:
    page = [SentEvent(0, str(n), "learnink", items) for n, items in enumerate((200, 300, 50, 1100))]
    read = [([event.event_id for event in events], low, high) for events, low, high in slices(page)]
    assert read == [
        (["0", "1"], 0, 512),
        (["3"], 0, 511),
        (["3"], 512, 1023),
        (["3"], 1024, 1535),
        (["2"], 0, 512),
    ]
