"""A phone that is off for days wakes to what `collapse` promises; late retries are overtaken.

The phones are the sandbox's, whose vendors keep what they promise, and no more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest

from gateway.core.cancelling import written
from gateway.core.model import Profile
from gateway.core.newer import NEWER_SENT
from gateway.devices.cancelling import cancel_event
from gateway.ports import Cancelling
from providers.contract import Platform
from providers.sandbox import Answer
from providers.sandbox.phonebook import PhoneChange
from tests.integration.test_relay_on_nats import on_nats
from tests.kit.audience import Phone, notification
from tests.kit.gateway import eventually
from tests.kit.relay_rig import DAY_S, RelayRig, Running

DAYS_S = 3 * DAY_S
PATHS = ("/learning", "/courses/1", "/courses/2")
MODES = ("delivery", "path", "user", "none")
OFF, ON = PhoneChange(state="off"), PhoneChange(state="on")


@dataclass(frozen=True)
class Handset:
    """A kind of phone, and how many of twelve reminders for three paths it wakes to, by mode."""

    phone: Phone
    can: str | None
    shown: dict[str, int]


KINDS = {
    # the system's own message: Google keeps the newest, whatever its key
    "android": Handset(Phone("fcm", 1, 1), None, {"delivery": 1, "path": 1, "user": 1, "none": 1}),
    # the app's own: four keys are kept; all, where there is no key
    "android, data": Handset(
        Phone("fcm", 1, 1), "data_messages", {"delivery": 4, "path": 3, "user": 1, "none": 12}
    ),
    # Apple keeps one, for each app
    "ios": Handset(Phone("apns", 1, 1), None, {"delivery": 1, "path": 1, "user": 1, "none": 1}),
    "ios by fcm": Handset(
        Phone("fcm", 1, 1, runs_on=Platform.IOS),
        "data_messages",
        {"delivery": 1, "path": 1, "user": 1, "none": 1},
    ),
    # a browser's push service keeps the newest of each topic
    "web": Handset(
        Phone("fcm", 1, 1, runs_on=Platform.WEB),
        None,
        {"delivery": 12, "path": 3, "user": 1, "none": 12},
    ),
    "web, data": Handset(
        Phone("fcm", 1, 1, runs_on=Platform.WEB),
        "data_messages",
        {"delivery": 12, "path": 3, "user": 1, "none": 12},
    ),
}


def settings(mode: str) -> dict[str, Any]:
    keeps = {"vendor_ttl_s": 4 * 86_400}
    return {
        "collapse": mode,
        "relay": {"max_age_s": DAYS_S * 2},
        "fcm": {"rate_per_s": 0, **keeps},
        "apns": keeps,
    }


async def register(running: Running, phone: Phone, can: str | None = None) -> None:
    asked = replace(phone.registration(), profile=Profile(can=can))
    await running.stores.registry.register(asked, proven=None, now=running.clock())


def reminder(number: int, path: str | None = None) -> dict[str, Any]:
    return {**notification(1, f"reminder {number}"), "path": path or PATHS[number % len(PATHS)]}


async def remind(running: Running, numbers: Sequence[int], path: str | None = None) -> None:
    """Events of one reminder each, in this order, some hours apart."""
    for number in numbers:
        await running.queue(f"msg_{number}", [reminder(number, path)], max_age_s=2 * DAYS_S)
        running.clock.ahead_s += 6 * 3600.0
        assert await running.settled(f"msg_{number}") == {"delivered": 1}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", KINDS)
async def test_a_phone_off_for_three_days_wakes_to_what_collapse_promises(
    rig: RelayRig, kind: str, mode: str
) -> None:
    handset = KINDS[kind]
    phone, platform = handset.phone, handset.phone.platform
    if phone.provider == "fcm":
        rig.sandbox.change_phone(phone.address, PhoneChange(platform=platform.value))
    rig.sandbox.change_phone(phone.address, OFF)
    async with rig.running(**settings(mode)) as running:
        await register(running, phone, handset.can)
        await remind(running, range(12))
        rig.sandbox.change_phone(phone.address, ON)
    titles = [push.title for push in rig.shown_by(phone)]

    assert len(titles) == handset.shown[mode]
    # what is shown is the newest for its place, or person; only of four keys the vendor draws lots
    if mode == "path" and len(titles) == 3:
        assert sorted(titles) == sorted(f"reminder {number}" for number in (9, 10, 11))
    elif len(titles) == 1:
        assert titles == ["reminder 11"]


@pytest.mark.parametrize("mode", MODES)
async def test_a_phone_that_is_on_shows_the_newest_of_each_key(rig: RelayRig, mode: str) -> None:
    phone = Phone("fcm", 1, 1)
    rig.sandbox.change_phone(phone.address, PhoneChange(platform="android"))
    async with rig.running(**settings(mode)) as running:
        await register(running, phone)
        await remind(running, range(6))

    shown = [push.title for push in rig.shown_by(phone)]
    newest = {"path": 3, "user": 1}.get(mode, 6)
    assert shown == [f"reminder {number}" for number in range(6 - newest, 6)]


async def test_twelve_at_once_go_one_after_the_other(rig: RelayRig) -> None:
    """Each waits for the end of the one before, not for its second. One that comes to its turn late
    is overtaken."""
    phone = Phone("fcm", 1, 1)
    async with rig.running(**settings("user")) as running:
        await register(running, phone)
        for number in range(12):
            await running.queue(f"msg_{number}", [reminder(number)])
        started = asyncio.get_running_loop().time()
        for number in range(12):
            assert await running.settled(f"msg_{number}") in ({"delivered": 1}, {"cancelled": 1})
        assert await running.states("msg_11") == {"delivered": 1}
        assert asyncio.get_running_loop().time() - started < 8

    sent = [int(push.title.split()[-1]) for push in rig.sent_to(phone)]
    assert sent == sorted(sent)
    assert [push.title for push in rig.shown_by(phone)] == ["reminder 11"]


# --- a retry that comes late ----------------------------------------------------------------------


async def overtaken(rig: RelayRig, running: Running, phone: Phone, *, name: str = "old") -> None:
    """What an older event comes to after a newer one was started: it ends, and nothing is sent."""
    assert await running.settled(name) == {"cancelled": 1}
    (row,) = await running.rows(name)
    assert (row.state, row.reason) == ("cancelled", NEWER_SENT)
    assert [push.title for push in rig.shown_by(phone)] == ["reminder 1"]


@pytest.mark.parametrize(
    "answer",
    [Answer.unavailable(), Answer.unavailable(retry_after=20), Answer.throttled(retry_after=20)],
    ids=["503", "503 with Retry-After", "429 of the device"],
)
@pytest.mark.parametrize("mode", ["path", "user"])
@pytest.mark.parametrize("transport", ["native", "sdk"])
async def test_a_late_retry_never_takes_a_newer_ones_place(
    rig: RelayRig, mode: str, answer: Answer, transport: str
) -> None:
    phone = Phone("fcm", 1, 1)
    rig.sandbox.script(phone.address, answer, Answer.ok())
    given = settings(mode)
    given["fcm"]["transport"] = transport
    async with rig.running(**given) as running:
        await register(running, phone)
        await running.queue("old", [reminder(0, "/learning")])
        await rig.arrived(phone)
        await eventually("it is on record", lambda: is_pending(running, "old"))
        running.clock.ahead_s += 30.0
        # the device's back-off is over for both; whoever comes first, the newer one stays
        await running.queue("new", [reminder(1, "/learning")])
        assert await running.settled("new") == {"delivered": 1}
        running.clock.ahead_s += 3600.0
        running.gateway.wake()
        states = await running.settled("old")
        titles = [push.title for push in rig.sent_to(phone) if push.accepted]
        assert titles in (["reminder 1"], ["reminder 0", "reminder 1"])
        assert states == ({"cancelled": 1} if len(titles) == 1 else {"delivered": 1})
        assert [push.title for push in rig.shown_by(phone)] == ["reminder 1"]


async def is_pending(running: Running, event_id: str) -> bool:
    return [row.state for row in await running.rows(event_id)] == ["pending"]


@pytest.mark.parametrize("mode", ["path", "user"])
async def test_what_waited_in_a_queue_is_overtaken_by_what_was_started(
    rig: RelayRig, mode: str
) -> None:
    phone = Phone("fcm", 1, 1)
    rig.sandbox.script(phone.address, Answer.unavailable(), Answer.ok())
    async with rig.running(**settings(mode)) as running:
        await register(running, phone)
        await running.queue("old", [reminder(0, "/learning")])
        await eventually("it is on record", lambda: is_pending(running, "old"))
        await running.queue("new", [reminder(1, "/learning")])
        assert await running.settled("new") == {"delivered": 1}
        running.clock.ahead_s += 3600.0
        running.gateway.wake()
        await overtaken(rig, running, phone)


@pytest.mark.parametrize("mode", ["delivery", "none"])
async def test_where_pushes_replace_only_their_repeats_nothing_is_overtaken_or_written(
    rig: RelayRig, mode: str
) -> None:
    phone = Phone("fcm", 1, 1)
    rig.sandbox.script(phone.address, Answer.unavailable(), Answer.ok())
    async with rig.running(**settings(mode)) as running:
        await register(running, phone)
        await running.queue("old", [reminder(0, "/learning")])
        await eventually("it is on record", lambda: is_pending(running, "old"))
        await running.queue("new", [reminder(1, "/learning")])
        assert await running.settled("new") == {"delivered": 1}
        running.clock.ahead_s += 3600.0
        running.gateway.wake()
        assert await running.settled("old") == {"delivered": 1}
        assert rig.sql("SELECT count(*) FROM starts") == [(0,)]


async def test_a_part_that_was_paused_sends_in_the_order_of_events(rig: RelayRig) -> None:
    """The older one came first and waited; nothing is said of it before a newer one was started."""
    phone = Phone("fcm", 1, 1)
    async with rig.running(**settings("path")) as running:
        await register(running, phone)
        now = running.clock()
        await running.stores.lanes.hold("demo", "fcm", "", by="operator", reason="x", now=now)
        await eventually("it is paused", lambda: running.is_paused("fcm"))
        await running.queue("old", [reminder(0, "/learning")])
        await running.queue("new", [reminder(1, "/learning")])
        await eventually("it waits", lambda: is_pending(running, "new"))
        assert rig.sql("SELECT count(*) FROM starts") == [(0,)]
        await running.stores.lanes.resume("demo", "fcm", "", by="operator", now=now)
        assert await running.settled("new") == {"delivered": 1}
        assert await running.settled("old") in ({"delivered": 1}, {"cancelled": 1})
    assert [push.title for push in rig.shown_by(phone)] == ["reminder 1"]


async def test_a_held_part_still_probes_with_pushes_that_have_a_key(rig: RelayRig) -> None:
    """Each asks for leave before it starts, the probe too."""
    wrong = Answer.status(403)
    phones = [Phone("fcm", number, number) for number in range(1, 4)]
    for phone in phones:
        rig.sandbox.script(phone.address, wrong, Answer.ok())
    async with rig.running(**settings("user") | {"relay": {"probe_s": 0.2}}) as running:
        for phone in phones:
            await register(running, phone)
        for phone in phones:
            await running.queue(f"m{phone.number}", [notification(phone.owner)])
        for phone in phones:
            assert await running.settled(f"m{phone.number}") == {"delivered": 1}


async def test_items_without_a_path_replace_nothing_in_the_mode_path(rig: RelayRig) -> None:
    phone = Phone("fcm", 1, 1)
    async with rig.running(**settings("path")) as running:
        await register(running, phone)
        for number in range(3):
            one = {**reminder(number), "path": None}
            await running.queue(f"msg_{number}", [one])
            assert await running.settled(f"msg_{number}") == {"delivered": 1}
        assert rig.sql("SELECT count(*) FROM starts") == [(0,)]
    assert len(rig.shown_by(phone)) == 3


async def test_two_people_and_two_phones_have_keys_of_their_own(rig: RelayRig) -> None:
    phones = [Phone("fcm", 1, 1), Phone("fcm", 2, 2), Phone("fcm", 3, 2)]
    async with rig.running(**settings("user")) as running:
        for phone in phones:
            await register(running, phone)
        await running.queue("m", [notification(1), notification(2)])
        assert await running.settled("m") == {"delivered": 3}
    keys = {push.headers["collapse_key"] for push in rig.sandbox.pushes}
    assert len(keys) == 3
    assert not any("own-" in key or "ink-" in key or len(key) > 64 for key in keys)


async def test_the_mode_is_taken_over_by_a_reload(rig: RelayRig) -> None:
    phone = Phone("fcm", 1, 1)
    async with rig.running(**settings("delivery")) as running:
        await register(running, phone)
        await remind(running, [0])
        await running.reload(rig.settings(**settings("user")))
        await remind(running, [1, 2])
        assert rig.sql("SELECT count(*) FROM starts") == [(1,)]
    assert [push.title for push in rig.shown_by(phone)] == ["reminder 0", "reminder 2"]


# --- several relays -------------------------------------------------------------------------------


@pytest.mark.parametrize("queue", ["store", "nats"])
async def test_two_relays_start_nothing_old_after_something_new(
    shared_rig: RelayRig, queue: str
) -> None:
    """Forty people, four reminders each for one place, of which each may fail at first."""
    rig, people = shared_rig, [Phone("fcm", number, number) for number in range(1, 41)]
    given = settings("path") | ({"queue": on_nats()} if queue == "nats" else {})
    for phone in people:
        answers = [Answer.unavailable(), Answer.ok()] * 4 if phone.number % 2 else [Answer.ok()]
        rig.sandbox.script(phone.address, *answers)
    async with rig.running(**given) as first, rig.running(**given) as second:
        for phone in people:
            await register(first, phone)
        for number in range(4):
            items = [{**notification(one.owner), "title": f"reminder {number}"} for one in people]
            await (first, second)[number % 2].queue(f"msg_{number}", items)
        while not await all_settled(first, 4):
            first.clock.ahead_s += 15.0
            for each in (first, second):
                each.gateway.wake()
            await asyncio.sleep(0.2)
        cancelled = 0
        for number in range(4):
            rows = await first.rows(f"msg_{number}")
            assert {row.state for row in rows} <= {"delivered", "cancelled"}
            cancelled += sum(row.state == "cancelled" for row in rows)
    for phone in people:
        started = [int(push.title[-1]) for push in rig.sent_to(phone)]
        assert started == sorted(started), f"an older one came after a newer one: {started}"
        assert [push.title for push in rig.shown_by(phone)] == ["reminder 3"]
    assert cancelled <= 4 * len(people)


async def all_settled(running: Running, events: int) -> bool:
    for number in range(events):
        summary = await running.stores.journal.event(f"msg_{number}")
        if summary is None or not summary.settled:
            return False
    return True


async def test_a_replayed_dead_letter_takes_no_newer_ones_place(rig: RelayRig) -> None:
    phone = Phone("fcm", 1, 1)
    rig.sandbox.script(phone.address, Answer.unavailable(), Answer.ok())
    given = settings("path") | {"relay": {"max_attempts": 1}}
    async with rig.running(**given) as running:
        await register(running, phone)
        await running.queue("old", [reminder(0, "/learning")])
        assert await running.settled("old") == {"dead": 1}
        await running.queue("new", [reminder(1, "/learning")])
        assert await running.settled("new") == {"delivered": 1}
        await running.stores.queue.replay_dead(None, now=running.clock(), max_age_s=DAY_S)
        running.gateway.wake()
        await eventually("it ended", lambda: is_cancelled(running, "old"))
        await overtaken(rig, running, phone)


async def is_cancelled(running: Running, event_id: str) -> bool:
    return [row.state for row in await running.rows(event_id)] == ["cancelled"]


@pytest.mark.parametrize("is_overtaken", [True, False])
@pytest.mark.parametrize("mode", ["path", "user"])
async def test_a_correction_is_as_old_as_what_it_corrects(
    rig: RelayRig, mode: str, is_overtaken: bool
) -> None:
    """It replaces that on the phone, and not a newer one that has taken its place."""
    phone = Phone("fcm", 1, 1)
    async with rig.running(**settings(mode)) as running:
        await register(running, phone)
        await remind(running, range(2 if is_overtaken else 1), "/learning")
        asked = Cancelling(
            at=running.clock(), max_age_s=2 * DAYS_S, replacement=written({"title": "right"})
        )
        stores = running.stores
        assert await cancel_event(stores.store.cancels, stores.queue, "msg_0", asked)

        async def ended() -> bool:
            summary = await stores.journal.event("msg_0:r1")
            return summary is not None and summary.settled

        await eventually("the correction ended", ended)
        (row,) = await running.rows("msg_0:r1")
    assert row.state == ("cancelled" if is_overtaken else "delivered")
    shown = [push.title for push in rig.shown_by(phone)]
    assert shown == (["reminder 1"] if is_overtaken else ["right"])
