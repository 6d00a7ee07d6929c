"""What every store promises of counted days."""

from __future__ import annotations

import asyncio

from gateway.core.effect_way import Cell, Counted, Pushed, Sums
from gateway.core.model import Profile, day_of
from gateway.core.receipts import Key, Kind, Told
from gateway.core.states import DeliveryState
from gateway.ports.effect import WAY, Mark, Phones, SentEvent
from tests.kit.build import NOW, item
from tests.kit.stores import Handle, accept, record, register

DAY = 86_400.0
TODAY = day_of(NOW)
ANDROID = Cell("agent", "android", "learnink")
NOWHERE = Cell("", "", "learnink")


def mark(day: int = 0, *, settled: bool = False) -> Mark:
    return Mark(NOW + day * DAY, NOW + (day + 1) * DAY, NOW + (day + 2) * DAY, settled)


def counted(shown: int = 30, opened: int = 5, **more: int) -> Counted:
    reasons = {(NOWHERE, "no_device"): 40, (ANDROID, "expired"): 20}
    return Counted({ANDROID: Sums(100, 80, 60, shown, opened), NOWHERE: Sums(40)}, reasons)


async def test_a_day_is_kept_and_read_as_it_was_counted(handle: Handle) -> None:
    effects = handle.store.effects
    phones = [Phones("agent", "android", 3, 0, 120, 7, 40)]
    await effects.keep(mark(), {"": counted(), "spring": Counted({ANDROID: Sums(9)}, {})}, phones)
    way = await effects.way(NOW, NOW + DAY)
    assert way.marks == [mark()]
    assert way.by_day == {NOW: counted()}
    spring = await effects.way(NOW, NOW + DAY, experiment="spring")
    assert spring.by_day == {NOW: Counted({ANDROID: Sums(9)}, {})}
    assert await effects.phones_between(NOW, NOW + DAY) == [(NOW, phones[0])]


async def test_only_days_that_lie_within_are_read(handle: Handle) -> None:
    effects = handle.store.effects
    for day in range(4):
        await effects.keep(mark(day), {"": counted()}, [])
    way = await effects.way(NOW + 1, NOW + 3 * DAY)
    assert [one.begins for one in way.marks] == [NOW + DAY, NOW + 2 * DAY]
    assert sorted(way.by_day) == [NOW + DAY, NOW + 2 * DAY]


async def test_a_day_that_is_counted_anew_keeps_its_people_and_may_show_more(
    handle: Handle, replica: Handle
) -> None:
    effects = handle.store.effects
    await effects.keep(mark(), {"": counted()}, [])
    later = Counted({ANDROID: Sums(99, 79, 59, 41, 3), Cell("new", "ios", "learnink"): Sums(1)}, {})
    await replica.store.effects.keep(mark(settled=True), {"": later}, [])
    way = await effects.way(NOW, NOW + DAY)
    assert way.marks == [mark(settled=True)]
    assert way.by_day[NOW] == counted(shown=41)


async def test_two_who_count_a_day_at_once_leave_one_count(handle: Handle, replica: Handle) -> None:
    other = Counted({NOWHERE: Sums(7)}, {})
    await asyncio.gather(
        handle.store.effects.keep(mark(), {"": counted()}, []),
        replica.store.effects.keep(mark(), {"": other}, []),
    )
    found = (await handle.store.effects.way(NOW, NOW + DAY)).by_day[NOW]
    assert found in (counted(), other)


async def test_which_day_is_next_and_which_are_counted_anew(handle: Handle) -> None:
    effects = handle.store.effects
    assert await effects.last(WAY) is None
    assert await effects.first_event_at() is None
    await accept(handle, "msg_1", [item()])
    assert await effects.first_event_at() == NOW
    await effects.keep(mark(0), {}, [])
    await effects.keep(mark(1), {}, [])
    assert await effects.last(WAY) == mark(1)
    await effects.keep(mark(0, settled=True), {}, [])
    assert await effects.unsettled(WAY) == [mark(1)]


async def test_events_come_in_pages_and_their_deliveries_in_parts(handle: Handle) -> None:
    effects = handle.store.effects
    profile = Profile(measure="granted", can="displayed opened")
    phone = await register(handle, "phone", "address", user_id="mary", profile=profile)
    people = [item(0, user_id="mary"), item(1, user_id="zoe"), item(2, user_id="mary")]
    await accept(handle, "msg_1", people)
    await accept(handle, "msg_2", [item()])
    gone = {"app": "", "provider": "", "reason": "no reason"}
    lines = [
        record("msg_1", 0, phone.id, user_id="mary", day=TODAY),
        record("msg_1", 1, 0, state=DeliveryState.NO_DEVICE, user_id="zoe", day=TODAY, **gone),
        record("msg_1", 2, phone.id, state=DeliveryState.EXPIRED, user_id="mary", day=TODAY),
    ]
    await handle.journal.record(lines, [])
    key = Key("msg_1", 0, phone.id, TODAY, "granted")
    told = [Told(key, kind, NOW + 9, 1.0, even=True) for kind in (Kind.DISPLAYED, Kind.OPENED)]
    await handle.store.receipts.keep(told, rule="opt_in")

    first = await effects.events(NOW, NOW + 1, after=(NOW, ""), limit=1)
    assert first == [SentEvent(NOW, "msg_1", "learnink", 3)]
    rest = await effects.events(NOW, NOW + 1, after=first[0][:2], limit=5)
    assert [event.event_id for event in rest] == ["msg_2"]
    assert await effects.events(NOW - 9, NOW, after=(0, ""), limit=5) == []

    pushed = await effects.pushed([*first, *rest], low=0, high=1)
    assert [(one.event_id, one.index, one.state) for one in pushed] == [
        ("msg_1", 0, "delivered"),
        ("msg_1", 1, "no_device"),
    ]
    kinds = sorted((pushed[0].told or "").split(","))
    assert pushed[0]._replace(told=None) == Pushed(
        "msg_1",
        0,
        phone.id,
        "delivered",
        "",
        "mary",
        None,
        "agent",
        "android",
        "mary",
        None,
        "granted",
        "displayed opened",
        None,
    )
    assert kinds == ["displayed", "opened"]
    assert (pushed[1].platform, pushed[1].can, pushed[1].told) == (None, None, None)
    assert [one.index for one in await effects.pushed(first, low=2, high=9)] == [2]


async def test_phones_are_counted_as_they_came_and_as_they_are(handle: Handle) -> None:
    muted = Profile(notifications="denied")
    await register(handle, "old", "address-1", user_id="mary", now=NOW - 9 * DAY)
    await register(handle, "new", "address-2", user_id="zoe", profile=muted, now=NOW + 5)
    found = await handle.store.effects.phones(NOW, NOW + DAY, silent_before=NOW - DAY)
    assert found == [Phones("agent", "android", 1, 0, 2, 1, 1)]
