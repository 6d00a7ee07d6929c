"""What the audit table promises: a row for every act, in the transaction that does it."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pytest

from gateway.core.audit import Actor, Row, What, words_for
from gateway.core.model import Event, Profile, UserRef
from gateway.core.states import DeliveryState, DeviceState
from gateway.errors import StoreError
from gateway.ports import ApiKey
from gateway.store.postgres import PostgresStore
from gateway.store.sqlite.store import SqliteStore
from tests.kit.build import ALICE, NOW, item
from tests.kit.stores import (
    SECRET,
    Handle,
    accept,
    batch,
    hold_back,
    record,
    register,
    registration,
    removal,
)

BACKEND = Actor("shop (key 0a1b2c3d)", "api", "192.0.2.7")
MARY = UserRef(user_id="mary")
LATER = NOW + 1.0

Doing = Callable[[Handle, Any], Awaitable[object]]


@dataclass(frozen=True)
class Case:
    """An act: what is there before, what is done, and what the row says of it."""

    what: What
    thing: str
    do: Doing
    prepare: Callable[[Handle], Awaitable[object]] | None = None
    affected: int = 1
    about: UserRef | None = None
    #: the same act where it changes nothing
    idle: Doing | None = None


async def _key(handle: Handle) -> None:
    await handle.keys.add(ApiKey("k1", "shop", frozenset({"admin"}), NOW), b"d" * 32)


async def _held(handle: Handle) -> None:
    await handle.lanes.hold("agent", "fcm", "ios", by="operator", reason="?", now=NOW)


async def _braked(handle: Handle) -> None:
    device = await register(handle)
    await hold_back(handle, [removal(device)])


async def _dead(handle: Handle) -> None:
    await accept(handle, "msg_1", 2)
    (claim,) = await handle.queue.claim(limit=1, lease_s=60, now=NOW)
    records = [record(index=index, state=DeliveryState.DEAD) for index in range(2)]
    await handle.journal.record(records, [], [(0, item(0)), (1, item(1))], [("msg_1", 0)])
    await handle.queue.settle(claim, [])


async def _quarantined(handle: Handle) -> None:
    bad = Event("msg_bad", "", "quarantined", NOW, reason="?", body=b"{")
    assert await handle.queue.accept(bad, [])


async def _phone(handle: Handle) -> None:
    await register(handle)


async def _pruned(handle: Handle) -> None:
    device = await register(handle)
    line = record("msg_proof", 0, device.id, state=DeliveryState.PRUNED)
    await handle.journal.record([line], [(0, removal(device, DeviceState.PRUNED))])


async def _replayed(handle: Handle, act: Any, event_id: str = "msg_bad") -> None:
    event, chunks = batch(event_id, 2)
    await handle.queue.replay_event(event, chunks, act=act)


def _registers(**changed: Any) -> Doing:
    async def do(handle: Handle, act: Any) -> None:
        asked = registration(**changed)
        await handle.registry.register(asked, proven=None, now=LATER, act=act)

    return do


CASES = {
    "a key is made": Case(
        "keys.create",
        "k1",
        lambda handle, act: handle.keys.add(
            ApiKey("k1", "shop", frozenset({"admin"}), NOW), b"d" * 32, act=act
        ),
    ),
    "a key is revoked": Case(
        "keys.revoke",
        "k1",
        lambda handle, act: handle.keys.revoke("k1", now=NOW, act=act),
        _key,
        idle=lambda handle, act: handle.keys.revoke("k2", now=NOW, act=act),
    ),
    "a lane is paused": Case(
        "lanes.pause",
        "agent/fcm",
        lambda handle, act: handle.lanes.hold(
            "agent", "fcm", "", by="operator", reason="", now=NOW, act=act
        ),
    ),
    "a part is paused": Case(
        "lanes.pause",
        "agent/fcm/ios",
        lambda handle, act: handle.lanes.hold(
            "agent", "fcm", "ios", by="operator", reason="", now=NOW, act=act
        ),
    ),
    "a part is resumed": Case(
        "lanes.resume",
        "agent/fcm/ios",
        lambda handle, act: handle.lanes.resume(
            "agent", "fcm", "ios", by="operator", now=NOW, act=act
        ),
        _held,
        idle=lambda handle, act: handle.lanes.resume(
            "agent", "fcm", "web", by="operator", now=NOW, act=act
        ),
    ),
    "a brake is released": Case(
        "lanes.release",
        "agent/fcm",
        lambda handle, act: handle.lanes.release("agent", "fcm", now=NOW, act=act),
        _braked,
        idle=lambda handle, act: handle.lanes.release("agent", "apns", now=NOW, act=act),
    ),
    "what a brake held back is kept": Case(
        "lanes.discard",
        "agent/fcm",
        lambda handle, act: handle.lanes.release("agent", "fcm", now=NOW, discard=True, act=act),
        _braked,
        affected=0,
    ),
    "dead letters are dropped": Case(
        "dead.drop",
        "all",
        lambda handle, act: handle.journal.drop_dead(None, act=act),
        _dead,
        affected=2,
        idle=lambda handle, act: handle.journal.drop_dead([99], act=act),
    ),
    "dead letters are replayed": Case(
        "dead.replay",
        "all",
        lambda handle, act: handle.queue.replay_dead(None, now=NOW, max_age_s=60, act=act),
        _dead,
        affected=2,
        idle=lambda handle, act: handle.queue.replay_dead([99], now=NOW, max_age_s=60, act=act),
    ),
    "an event is read again": Case(
        "events.replay",
        "msg_bad",
        _replayed,
        _quarantined,
        affected=2,
        idle=lambda handle, act: _replayed(handle, act, "msg_gone"),
    ),
    "a push is sent": Case(
        "notifications.send",
        "cli:1",
        lambda handle, act: handle.queue.accept(*batch("cli:1", 2), act=act),
        affected=2,
    ),
    "a phone is registered": Case("devices.register", "phone", _registers(), about=MARY, idle=None),
    "a phone gets another address": Case(
        "devices.register",
        "phone",
        _registers(address="address-2"),
        _phone,
        about=MARY,
        idle=_registers(),
    ),
    "a phone gets another user": Case(
        "devices.register", "phone", _registers(user_id="otis"), _phone, about=UserRef("otis")
    ),
    "a pruned phone comes back": Case(
        "devices.register", "phone", _registers(), _pruned, about=MARY
    ),
    "a phone's user wants no notifications": Case(
        "devices.register",
        "phone",
        _registers(profile=Profile(notifications="denied")),
        _phone,
        about=MARY,
        idle=_registers(profile=Profile(app_version="2.0", locale="de", notifications=None)),
    ),
    "a phone's user is to be measured no more": Case(
        "devices.register",
        "phone",
        _registers(profile=Profile(measure="denied")),
        _phone,
        about=MARY,
    ),
    "a push is sent to one person": Case(
        "notifications.send",
        "cli:2",
        lambda handle, act: handle.queue.accept(
            *batch("cli:2", 1), act=act and replace(act, about=MARY)
        ),
        about=MARY,
    ),
    "phones are imported, some of which are known": Case(
        "devices.import",
        "",
        lambda handle, act: handle.registry.register_many(
            [
                registration(seen_at=NOW),
                registration("b", "2", seen_at=NOW),
                registration("c", "3", seen_at=NOW),
                registration("c", "4", seen_at=NOW + 1),
            ],
            now=NOW + 1,
            act=act,
        ),
        _phone,
        affected=3,
        idle=lambda handle, act: handle.registry.register_many(
            [registration(seen_at=NOW), registration(seen_at=NOW)], now=NOW, act=act
        ),
    ),
    "phones are imported": Case(
        "devices.import",
        "",
        lambda handle, act: handle.registry.register_many(
            [registration("a", "1", seen_at=NOW), registration("b", "2", seen_at=NOW)],
            now=NOW,
            act=act,
        ),
        affected=2,
        idle=lambda handle, act: handle.registry.register_many([], now=NOW, act=act),
    ),
    "a phone is forgotten": Case(
        "devices.forget",
        "phone",
        lambda handle, act: handle.registry.forget("phone", proven=None, now=NOW, act=act),
        _phone,
        about=MARY,
        idle=lambda handle, act: handle.registry.forget("none", proven=None, now=NOW, act=act),
    ),
    "a user is erased": Case(
        "users.erase",
        "",
        lambda handle, act: handle.registry.erase(MARY, now=NOW, act=act),
        _phone,
        about=MARY,
    ),
    "the clock is accepted": Case(
        "clock.accept", "+3600 s", lambda handle, act: handle.audit.note(act)
    ),
}
"""A row for each thing that somebody does through a port."""


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_an_act_leaves_a_row_that_says_who_what_when_from_where_and_why(
    handle: Handle, replica: Handle, case: Case
) -> None:
    if case.prepare is not None:
        await case.prepare(handle)
    act = BACKEND.does(case.what, case.thing, at=LATER)
    await case.do(handle, replace(act, reason="it was asked"))
    (row,) = await replica.audit.page(limit=10)
    assert (row.at, row.who, row.what, row.object) == (LATER, BACKEND.who, case.what, case.thing)
    assert (row.origin, row.remote, row.reason) == ("api", "192.0.2.7", "it was asked")
    assert row.affected == case.affected
    assert (row.user_word, row.custom_word) == words_for(case.about, SECRET)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_nobodys_act_leaves_no_row(handle: Handle, case: Case) -> None:
    if case.what == "clock.accept":
        return
    if case.prepare is not None:
        await case.prepare(handle)
    await case.do(handle, None)
    assert await handle.audit.page(limit=10) == []


IDLE = {name: case for name, case in CASES.items() if case.idle is not None}


@pytest.mark.parametrize("case", IDLE.values(), ids=IDLE)
async def test_what_changes_nothing_leaves_no_row(handle: Handle, case: Case) -> None:
    if case.prepare is not None:
        await case.prepare(handle)
    assert case.idle is not None
    await case.idle(handle, BACKEND.does(case.what, case.thing, at=LATER))
    assert await handle.audit.page(limit=10) == []


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_no_act_without_its_row(handle: Handle, case: Case) -> None:
    """Where the row cannot be written, nothing is done."""
    if case.prepare is not None:
        await case.prepare(handle)
    before = await _all_there_is(handle)
    async with _no_rows(handle):
        with pytest.raises((StoreError, sqlite3.Error)):
            await case.do(handle, BACKEND.does(case.what, case.thing, at=LATER))
    assert await _all_there_is(handle) == before


@asynccontextmanager
async def _no_rows(handle: Handle) -> AsyncIterator[None]:
    """The audit table takes nothing."""
    store = handle.store
    if isinstance(store, SqliteStore):
        refuse = "CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'full'); END"
        await store.database.write(lambda connection: connection.execute(refuse).rowcount)
        yield
        return
    assert isinstance(store, PostgresStore)
    change = "ALTER TABLE audit {} CONSTRAINT no_rows {}"
    refuse = change.format("ADD", "CHECK (false) NOT VALID")
    await store.database.write(lambda session: session.statement(refuse))
    try:
        yield
    finally:
        # the next test has the same database
        again = change.format("DROP", "")
        await store.database.write(lambda session: session.statement(again))


async def _all_there_is(handle: Handle) -> Any:
    """What an act could change."""
    devices = [device async for page in handle.registry.export() for device in page]
    events = await handle.journal.events(limit=10)
    letters = await handle.journal.dead(limit=10)
    return (
        devices,
        [(one.event_id, one.status) for one in events],
        [one.id for one in letters],
        [replace(one, waiting=0) for one in await handle.lanes.all()],
        await handle.keys.all(),
        await handle.store.erasures.waiting(),
    )


# --- one act, one row -------------------------------------------------------------------------


async def test_an_act_of_several_transactions_has_one_row(handle: Handle) -> None:
    act = ALICE.does("devices.import", at=NOW)
    for number in range(3):
        asked = [registration(f"phone-{number}", f"address-{number}", seen_at=NOW)]
        await handle.registry.register_many(asked, now=NOW, act=act)
    (row,) = await handle.audit.page(limit=10)
    assert row.affected == 3


async def test_an_event_that_is_known_was_not_sent(handle: Handle) -> None:
    act = ALICE.does("notifications.send", "cli:1", at=NOW)
    await handle.queue.accept(*batch("cli:1", 1), act=act)
    again = ALICE.does("notifications.send", "cli:1", at=LATER)
    assert not await handle.queue.accept(*batch("cli:1", 1), act=again)
    assert [row.at for row in await handle.audit.page(limit=10)] == [NOW]


async def test_texts_that_a_store_cannot_hold_are_told_without_what_it_cannot(
    handle: Handle,
) -> None:
    who = Actor("a\0l\x1b[31mice", "cli", reason="why\0\ud800\n" + "x" * 2_000)
    await handle.audit.note(who.does("lanes.pause", "agent\0" + "y" * 1_000, at=NOW))
    (row,) = await handle.audit.page(limit=10)
    assert row.who == "a l [31mice"
    assert row.reason.startswith("why")
    assert len(row.reason) == 1_000
    assert len(row.object) == 600
    assert row.reason.isprintable()


# --- looking ----------------------------------------------------------------------------------


async def fill(handle: Handle) -> None:
    for number, (actor, what, thing) in enumerate(
        [
            (ALICE, "lanes.pause", "agent/fcm"),
            (BACKEND, "devices.forget", "phone"),
            (ALICE, "keys.revoke", "0a1b2c3d"),
            (ALICE, "lanes.resume", "agent/fcm"),
        ]
    ):
        at = NOW + number
        await handle.audit.note(actor.does(what, thing, at=at))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, [3, 2, 1, 0]),
        ({"limit": 2}, [3, 2]),
        ({"limit": 2, "before": NOW + 2}, [1, 0]),
        ({"since": NOW + 2}, [3, 2]),
        ({"since": NOW + 1, "before": NOW + 3}, [2, 1]),
        ({"who": "alice"}, [3, 2, 0]),
        ({"who": "0a1b2c3d"}, [1]),
        ({"who": "%"}, []),
        ({"what": "lanes"}, [3, 0]),
        ({"what": "lanes.pause"}, [0]),
        ({"what": "agent/fcm"}, [3, 0]),
        ({"what": "0a1b2c3d"}, [2]),
        ({"what": "revoke", "who": "shop"}, []),
        ({"what": "\0"}, []),
    ],
)
async def test_rows_are_found_newest_first_by_time_who_and_what(
    handle: Handle, asked: dict[str, Any], found: list[int]
) -> None:
    await fill(handle)
    rows = await handle.audit.page(**{"limit": 10, **asked})
    assert [round(row.at - NOW) for row in rows] == found


async def test_pages_that_follow_each_other_leave_out_nothing_of_the_same_time(
    handle: Handle,
) -> None:
    lanes = [f"agent/{number}" for number in range(7)]
    for at in (NOW, NOW + 0.0001, NOW + 1):
        for lane in lanes:
            await handle.audit.note(BACKEND.does("lanes.pause", lane, at=at))
    for since, before, count in ((0.0, None, 21), (NOW + 0.0001, None, 14), (0.0, NOW + 1, 14)):
        seen: list[Row] = []
        ask = partial(handle.audit.page, limit=4, since=since, before=before)
        while rows := await ask(after=seen[-1] if seen else None):
            seen += rows
        assert len(seen) == len(set(seen)) == count
        assert seen == sorted(seen, reverse=True)


async def test_what_backends_do_all_day_can_be_left_out(handle: Handle) -> None:
    await handle.audit.note(ALICE.does("lanes.pause", "agent/fcm", at=NOW))
    await handle.audit.note(BACKEND.does("users.erase", at=NOW + 1))
    await handle.audit.note(BACKEND.does("devices.register", "phone", at=NOW + 2, routine=True))
    found = [row.what for row in await handle.audit.page(limit=9, people=True)]
    assert found == ["users.erase", "lanes.pause"]


async def test_pages_that_follow_each_other_leave_nothing_out(handle: Handle) -> None:
    await fill(handle)
    seen: list[float] = []
    before = None
    while rows := await handle.audit.page(limit=1, before=before):
        seen += [row.at for row in rows]
        before = rows[-1].at
    assert seen == [NOW + 3, NOW + 2, NOW + 1, NOW]


# --- people -----------------------------------------------------------------------------------


async def test_a_persons_rows_are_found_by_either_id_and_hold_neither(handle: Handle) -> None:
    both = {"user_id": "mary", "custom_id": "staff-7"}
    act = BACKEND.does("devices.register", "phone", at=NOW)
    await handle.registry.register(registration(**both), proven=None, now=NOW, act=act)
    other = BACKEND.does("devices.register", "other", at=NOW)
    asked = registration("other", "address-2", user_id="otis")
    await handle.registry.register(asked, proven=None, now=NOW, act=other)
    for user in (MARY, UserRef(custom_id="staff-7"), UserRef(**both)):
        (row,) = await handle.audit.page(limit=10, user=user)
        assert row.object == "phone"
        assert "mary" not in str(row)
        assert "staff-7" not in str(row)
    # the same word as the other kind of id is another person
    assert await handle.audit.page(limit=10, user=UserRef(custom_id="mary")) == []
    assert await handle.audit.page(limit=10, user=UserRef(user_id="nobody")) == []


async def test_an_erase_leaves_who_did_what_and_takes_what_names_the_person(
    handle: Handle,
) -> None:
    for number, phone in enumerate(("phone-1", "phone-2")):
        asked = registration(phone, phone)
        act = BACKEND.does("devices.register", phone, at=NOW)
        await handle.registry.register(asked, proven=None, now=NOW, act=act)
        why = replace(ALICE, reason=f"mary asked, {number} maryland")
        told = why.does("devices.forget", phone, at=NOW + 1)
        await handle.registry.forget(phone, proven=None, now=NOW + 1, act=told)
    hers = replace(ALICE, reason="as mary said").does("lanes.pause", "agent/fcm", at=NOW + 2)
    await handle.audit.note(hers)
    erase = replace(ALICE, reason="letter of mary").does("users.erase", at=NOW + 3)
    await handle.registry.erase(MARY, now=NOW + 3, act=erase)

    rows = await handle.audit.page(limit=10)
    assert len(rows) == 6
    told_of = await handle.audit.page(limit=10, user=MARY)
    assert [row.what for row in told_of] == ["users.erase", *["devices.forget"] * 2] + [
        "devices.register"
    ] * 2
    assert all(row.object.startswith("#") for row in told_of[1:])
    # the same phone has the same word, so that what was done to it can be followed
    assert len({row.object for row in told_of[1:]}) == 2
    assert "phone" not in str(rows)
    assert "mary," not in str(rows)
    reasons = {row.reason for row in rows}
    assert reasons == {
        "",
        "(erased) asked, 0 maryland",
        "(erased) asked, 1 maryland",
        "as (erased) said",
        "letter of (erased)",
    }


@pytest.mark.parametrize("by", [MARY, UserRef(custom_id="staff-7"), UserRef("mary", "staff-7")])
async def test_an_erase_takes_an_installation_from_rows_about_the_other_id_as_well(
    handle: Handle, by: UserRef
) -> None:
    """It was registered under one id first, and the other came with a later registration."""
    for number, ids in enumerate([{"custom_id": "staff-7"}, {"user_id": "mary"}]):
        act = BACKEND.does("devices.register", "phone", at=NOW + number)
        both = {"user_id": "mary", "custom_id": "staff-7"} if number else ids
        asked = registration("phone", f"address-{number}", **both)
        await handle.registry.register(asked, proven=None, now=NOW + number, act=act)
    stranger = BACKEND.does("devices.register", "other", at=NOW)
    asked = registration("other", "address-9", user_id="otis")
    await handle.registry.register(asked, proven=None, now=NOW, act=stranger)
    await handle.registry.erase(by, now=NOW + 2, act=ALICE.does("users.erase", at=NOW + 2))
    rows = await handle.audit.page(limit=10)
    assert len(rows) == 4
    assert [row.object for row in rows if not row.object.startswith("#")] == ["", "other"]


@pytest.mark.parametrize("part", ["", "ios"])
async def test_an_erase_takes_the_ids_out_of_why_a_lane_is_paused(
    handle: Handle, replica: Handle, part: str
) -> None:
    both = UserRef("mary", "staff-7")
    reason = "mary (staff-7) gets all twice, maryland too"
    for app in ("agent", "other"):
        await handle.lanes.hold(app, "fcm", part, by="operator", reason=reason, now=NOW)
    await handle.lanes.hold("agent", "apns", part, by="operator", reason="quota", now=NOW)
    await handle.registry.erase(both, now=NOW)
    found = {
        row.reason or row.part(part).reason: row.held or row.part(part).held
        for row in await replica.lanes.all()
    }
    assert found == {
        "(erased) ((erased)) gets all twice, maryland too": "operator",
        "quota": "operator",
    }
    # what is written of her before the erase is done
    late = "was that mary?"
    await handle.lanes.hold("agent", "fcm", part, by="operator", reason=late, now=NOW)
    (asked,) = await handle.store.erasures.take("job", now=NOW, until=NOW + 60)
    await handle.store.erasures.unname(asked)
    assert "mary?" not in str(await replica.lanes.all())


async def test_what_is_written_of_a_person_during_their_erase_goes_before_it_is_done(
    handle: Handle,
) -> None:
    await handle.registry.erase(MARY, now=NOW)
    late = replace(ALICE, reason="was that mary?").does("lanes.pause", "agent/fcm", at=NOW)
    await handle.audit.note(late)
    (asked,) = await handle.store.erasures.take("job", now=NOW, until=NOW + 60)
    await handle.store.erasures.unname(asked)
    (row,) = await handle.audit.page(limit=10)
    assert row.reason == "was that (erased)?"


async def test_an_erase_leaves_the_rows_of_others(handle: Handle) -> None:
    for user, phone in (("mary", "phone-1"), ("otis", "phone-2")):
        act = BACKEND.does("devices.register", phone, at=NOW)
        asked = registration(phone, phone, user_id=user)
        await handle.registry.register(asked, proven=None, now=NOW, act=act)
    await handle.registry.erase(MARY, now=NOW + 1)
    (row,) = await handle.audit.page(limit=10, user=UserRef(user_id="otis"))
    assert row.object == "phone-2"


async def test_a_person_may_be_erased_again_after_the_same_things_at_the_same_time(
    handle: Handle,
) -> None:
    """What could make two rows one."""
    for _ in range(2):
        act = BACKEND.does("devices.register", "phone", at=NOW)
        await handle.registry.register(registration(), proven=None, now=NOW, act=act)
        await handle.registry.erase(MARY, now=NOW, act=ALICE.does("users.erase", at=NOW))
    rows = await handle.audit.page(limit=10, user=MARY)
    assert sorted((row.what, row.affected) for row in rows) == [
        ("devices.register", 2),
        ("users.erase", 2),
    ]


async def test_an_installation_of_several_users_has_a_row_for_each(handle: Handle) -> None:
    await register(handle, user_id="mary")
    await register(handle, "phone", "address-2", app="other", user_id="otis")
    act = ALICE.does("devices.forget", "phone", at=NOW)
    await handle.registry.forget("phone", proven=None, now=NOW, act=act)
    assert len(await handle.audit.page(limit=10)) == 2
    for user in ("mary", "otis"):
        await handle.registry.erase(UserRef(user_id=user), now=NOW + 1)
    assert "phone" not in str(await handle.audit.page(limit=10))


# --- retention --------------------------------------------------------------------------------


async def test_rows_are_deleted_in_their_time_and_those_of_every_day_sooner(
    handle: Handle,
) -> None:
    for number in range(4):
        at = NOW + number
        await handle.audit.note(ALICE.does("lanes.pause", "agent/fcm", at=at))
        await handle.audit.note(BACKEND.does("devices.register", "phone", at=at, routine=True))
    assert await handle.audit.purge(before=NOW + 1, routine_before=NOW + 3) == 4
    left = [(row.what, row.at - NOW) for row in await handle.audit.page(limit=10)]
    assert left == [
        ("devices.register", 3),
        ("lanes.pause", 3),
        ("lanes.pause", 2),
        ("lanes.pause", 1),
    ]
    assert await handle.audit.purge(before=NOW + 9, routine_before=NOW) == 3
    assert [row.what for row in await handle.audit.page(limit=10)] == ["devices.register"]
