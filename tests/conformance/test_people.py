"""What is known of one person: what waits for them, and all that is held of them.

A person is planted in every table there is. Every table that then holds their ids has to be in the
document, and every other table has a reason why it holds nobody; a new table fails the test until
it is in one of the two lists.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any

import asyncpg
import pytest

from gateway.app.holdings import collect
from gateway.app.storage import Stores
from gateway.app.vendors import VENDORS
from gateway.core.attempts import Failed, line
from gateway.core.audit import Actor
from gateway.core.cancelling import CANCELLED
from gateway.core.drawn import What
from gateway.core.erased import words_of
from gateway.core.hashes import person_words
from gateway.core.hooks import Hook, Plan
from gateway.core.instants import to_iso
from gateway.core.learnt import Learnt
from gateway.core.model import Event, Item, Profile, Rejection, UserRef, day_of
from gateway.core.receipts import Key, Kind, Told
from gateway.core.seen import Asking
from gateway.core.states import DeliveryState
from gateway.core.suppressing import Done
from gateway.core.why import Waits
from gateway.errors import StoreUnavailable
from gateway.ops.waiting import WaitingLookup, waiting_record
from gateway.ports import Aside, Depth
from gateway.ports.cancels import Cancelling
from gateway.ports.starts import Start
from gateway.queue.nats import JetStreamQueue
from gateway.store.postgres import PostgresStore
from gateway.store.sqlite.store import SqliteStore
from tests.kit.build import NOW, item
from tests.kit.experiments import drawn, kept, outcome, word
from tests.kit.people import HOLDING, NOBODY
from tests.kit.planting import change
from tests.kit.stores import (
    SECRET,
    Handle,
    accept,
    erase,
    hold_back,
    record,
    register,
    removal,
)

USER, CUSTOM = "user-of-mary-7f3a", "custom-of-mary-7f3a"
MARY = UserRef(USER, CUSTOM)
PEOPLE = [MARY]
ELSE = "zoe"
DAY = day_of(NOW)


async def looked(handle: Handle, people: list[UserRef] = PEOPLE) -> set[tuple[str, int]]:
    """What waits for these people, by event and index."""
    found = await WaitingLookup(handle.store.people, handle.queue, look_s=10.0).of(people)
    assert found.waits is None
    return {(one.event_id, one.index) for one in found.found}


def body_of(*entries: Mapping[str, Any]) -> bytes:
    return json.dumps({"data": {"notifications": list(entries)}}).encode()


async def queue_for(
    handle: Handle, event_id: str, *people: UserRef, **changed: Any
) -> list[dict[str, Any]]:
    """Accept an event with a notification for each of them."""
    items = [
        Item(index, "Hi", "secret text", None, one.user_id, one.custom_id)
        for index, one in enumerate(people)
    ]
    entries = [
        {"title": "Hi", "body": "secret text", "user_id": one.user_id, "custom_id": one.custom_id}
        for one in people
    ]
    await accept(handle, event_id, items, body=body_of(*entries), **changed)
    return entries


# --- what waits -----------------------------------------------------------------------------------


async def test_what_was_not_fanned_out_is_found_by_either_id(handle: Handle) -> None:
    people = [UserRef(ELSE), UserRef(USER), UserRef(None, CUSTOM), UserRef(USER, CUSTOM)]
    await queue_for(handle, "msg_1", *people)
    await queue_for(handle, "msg_2", UserRef(ELSE))
    await queue_for(handle, "msg_3", MARY)
    both = {("msg_1", 1), ("msg_1", 2), ("msg_1", 3), ("msg_3", 0)}
    assert await looked(handle) == both
    assert await looked(handle, [UserRef(USER)]) == both - {("msg_1", 2)}
    assert await looked(handle, [UserRef(None, CUSTOM)]) == both - {("msg_1", 1)}
    # an id of one kind is none of the other
    assert await looked(handle, [UserRef(CUSTOM, USER)]) == set()


async def test_what_the_journal_tells_of_and_what_was_rejected_does_not_wait(
    handle: Handle,
) -> None:
    rejected = (Rejection(2, "title and body are both empty"),)
    people = [MARY, MARY, MARY]
    await queue_for(handle, "msg_1", *people, rejections=rejected)
    line_ = record("msg_1", 0, 7, user_id=USER, state=DeliveryState.PENDING, day=DAY)
    await handle.journal.record([line_], [])
    assert await looked(handle) == {("msg_1", 1)}


async def test_what_is_settled_does_not_wait(handle: Handle) -> None:
    await queue_for(handle, "msg_1", MARY)
    (claim,) = await handle.queue.claim(limit=1, lease_s=60.0, now=NOW)
    # in work, and not journaled yet
    assert await looked(handle) == {("msg_1", 0)}
    await handle.journal.record([record("msg_1", 0, 7, day=DAY)], [], done=[("msg_1", 0)])
    await handle.queue.settle(claim, [])
    assert await looked(handle) == set()


async def test_what_is_for_somebody_who_was_erased_does_not_wait(handle: Handle) -> None:
    await queue_for(handle, "msg_1", MARY, UserRef(ELSE))
    # at once, before any name is gone
    await handle.registry.erase(MARY, now=NOW + 1.0)
    assert await looked(handle) == set()
    await erase(handle, MARY, now=NOW + 2.0)
    assert await looked(handle) == set()
    assert await looked(handle, [UserRef(ELSE)]) == {("msg_1", 1)}


async def test_ids_are_found_however_they_are_written(handle: Handle) -> None:
    odd = UserRef('mary "Ü" \\ / 7', None)
    items = [Item(0, "t", "b", None, odd.user_id, None)]
    for number, text in enumerate(
        (
            json.dumps(odd.user_id),
            json.dumps(odd.user_id, ensure_ascii=False),
            json.dumps(odd.user_id).replace("/", "\\/"),
        )
    ):
        body = f'{{"data":{{"notifications":[{{"user_id": {text}}}]}}}}'.encode()
        await accept(handle, f"msg_{number}", items, body=body)
    assert await looked(handle, [odd]) == {("msg_0", 0), ("msg_1", 0), ("msg_2", 0)}


@pytest.mark.needs("sees the queue")
async def test_an_event_without_a_body_is_looked_for_in_its_chunks(handle: Handle) -> None:
    items = [item(0, user_id=USER), item(1, user_id=ELSE)]
    await accept(handle, "msg_1", items, body=b"")
    assert await looked(handle) == {("msg_1", 0)}


@pytest.mark.parametrize("events", [0, 3])
async def test_what_could_not_be_looked_through_in_time_is_counted(
    handle: Handle, events: int
) -> None:
    for number in range(events):
        await queue_for(handle, f"msg_{number}", UserRef(ELSE), UserRef(ELSE))
    lookup = WaitingLookup(handle.store.people, handle.queue, look_s=0.0)
    waits = (await lookup.of(PEOPLE)).waits
    if not events:
        assert waits is None
        return
    assert waits is not None
    assert (waits.notifications, waits.events) == (2 * events, events)
    assert waits.since == pytest.approx(NOW, abs=5e8)


async def test_a_queue_that_cannot_be_asked_is_no_empty_queue(
    handle: Handle, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away() -> Depth:
        raise StoreUnavailable("the broker is away")

    monkeypatch.setattr(handle.queue, "depth", away)
    found = await WaitingLookup(handle.store.people, handle.queue).of(PEOPLE)
    assert found.waits == Waits(None, None, None)


async def test_what_waits_of_a_cancelled_event_is_cancelled(handle: Handle) -> None:
    for event_id in ("msg_1", "msg_2"):
        await queue_for(handle, event_id, MARY)
    await handle.store.cancels.cancel("msg_1", Cancelling(NOW, 3_600.0))
    found = await WaitingLookup(handle.store.people, handle.queue, look_s=10.0).of(PEOPLE)
    told = {one.event_id: waiting_record(one) for one in found.found}
    assert told["msg_1"].state is DeliveryState.CANCELLED
    assert told["msg_1"].reason == CANCELLED
    assert told["msg_2"].state is DeliveryState.PENDING


async def test_searches_follow_one_another(handle: Handle) -> None:
    await queue_for(handle, "msg_1", MARY)
    running = most = 0
    people = handle.store.people
    ask = people.waiting

    async def counted(*args: Any, **kwargs: Any) -> Any:
        nonlocal running, most
        running += 1
        most = max(most, running)
        try:
            return await ask(*args, **kwargs)
        finally:
            running -= 1

    lookup = WaitingLookup(people, handle.queue, look_s=10.0)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(people, "waiting", counted)
        found = await asyncio.gather(*(lookup.of(PEOPLE) for _ in range(5)))
    assert most == 1
    assert all(one.waits is None and len(one.found) == 1 for one in found)


# --- all that is held -----------------------------------------------------------------------------


async def plant_experiments(handle: Handle) -> None:
    """In one held back and got something else, left out of another one; exempt since."""
    for name in ("spring", "autumn"):
        assert await handle.store.experiments.begin(kept(experiment=name))
    reminder = item(0, title="Held", user_id=USER, custom_id=CUSTOM)
    await handle.journal.record(
        [],
        [],
        drawn=[
            drawn(What.HELD, USER, item=reminder, since=NOW - 70.0),
            drawn(What.ALSO, USER),
            drawn(What.LEFT_OUT, USER, experiment="autumn"),
        ],
    )
    await handle.store.experiments.exempt([word(USER)], is_exempt=True, at=NOW)


async def plant_everywhere(handle: Handle) -> None:
    """Leave a person's traces in every table, as life would."""
    # somebody of these ids was erased before, came back, and had another phone that went
    await queue_for(handle, "msg_before", MARY, at=NOW - 500.0)
    await erase(handle, MARY, now=NOW - 400.0)
    await handle.registry.erase(UserRef(USER), now=NOW - 390.0)
    for asked in await handle.store.erasures.take("job", now=NOW - 380.0, until=NOW - 370.0):
        await handle.store.erasures.erase("msg_before", asked, now=NOW - 380.0, follow=True)
    given: dict[str, Any] = {"user_id": USER, "custom_id": CUSTOM, "now": NOW - 300.0}
    await register(handle, "phone-gone", "address-gone", **given)
    clerk = Actor("clerk@desk", "cli", reason=f"asked by {USER}")
    act = clerk.does("devices.forget", "phone-gone", at=NOW - 200.0)
    await handle.registry.forget("phone-gone", proven=None, now=NOW - 200.0, act=act)
    device = await register(handle, "phone-mary", "address-mary", **given)
    await hold_back(handle, [removal(device)], now=NOW - 90.0)
    start = Start(device.id, "a key", "msg_taken", NOW - 80.0, "holder")
    await handle.store.starts.ask([start], now=NOW, latest=NOW + 60.0, for_s=1.0)
    await plant_experiments(handle)
    await change(handle, outcome(USER, "user.course.completed", NOW - 60.0, what="algebra"))
    # a push that failed, was taken, and was opened
    await queue_for(handle, "msg_taken", UserRef(ELSE), MARY)
    taken = record("msg_taken", 1, device.id, user_id=USER, custom_id=CUSTOM, day=DAY)
    failed = Failed("msg_taken", 1, device.id, 1, line(NOW - 80.0, "throttled", "QUOTA"), USER)
    await handle.journal.record([taken], [], failed=[failed])
    told = Told(Key("msg_taken", 1, device.id, DAY, "granted"), Kind.OPENED, NOW, 1.0, True)
    await handle.store.receipts.keep([told], rule="opt_out")
    # a dead letter, and one that nobody could read
    dead = record("msg_dead", 0, device.id, state=DeliveryState.DEAD, user_id=USER, day=DAY)
    letter = Item(0, "Dead", "secret text", "/x", USER, CUSTOM)
    await accept(handle, "msg_dead", [letter], body=body_of({"user_id": USER, "title": "Dead"}))
    await handle.journal.record([dead], [], [(0, letter)])
    await accept(handle, "msg_raw", [item(0, user_id=ELSE)], body=b"{}")

    async def nobody_holds(_all: bool) -> set[tuple[int, int | None]]:
        return set()

    raw = b'9 {"user_id": "%s"}' % USER.encode()
    aside = Aside(1, "msg_raw", 0, raw, 9, "too new")
    await handle.journal.put_aside(aside, nobody_holds, now=NOW, chunk_items=256)
    # what waits, what was not understood, a rejected item, a learning event
    await queue_for(handle, "msg_waits", MARY, UserRef(ELSE))
    odd = json.dumps({"data": {"notifications": {"a": {"user_id": USER, "name": "Mary"}}}})
    learnt = {"type": "user.course.completed", "data": {"user": {"id": USER}, "course": "7"}}
    rejected = body_of({"user_id": ELSE, "title": "x"}, {"user_id": USER, "title": ""})
    for event in (
        Event(
            "msg_odd", "notifications.sent", "quarantined", NOW, body=odd.encode(), people=(USER,)
        ),
        Event("msg_no_json", "", "quarantined", NOW, body=f'"{USER}" {{'.encode(), people=(USER,)),
        Event(
            "msg_learnt",
            "user.course.completed",
            "ignored",
            NOW,
            body=json.dumps(learnt).encode(),
            people=(USER,),
            done=(
                Done("msg_learnt", "/7", "learnink", *words_of(USER, None, SECRET), NOW, 60.0, NOW),
            ),
            learnt=Learnt(USER, CUSTOM, "7", salt=b"s" * 32),
        ),
        Event(
            "msg_rejected",
            "notifications.sent",
            "accepted",
            NOW,
            rejections=(Rejection(1, "title and body are both empty"),),
            body=rejected,
            people=(USER,),
        ),
    ):
        await handle.queue.accept(event, [])
    await handle.store.learning.chain(
        now=NOW, limit=9, salt=lambda: b"s" * 32, outcomes=["user.course.completed"]
    )
    # named by nothing but a field beside the batch
    beside = {"data": {"notifications": [{"user_id": ELSE}], "sender": {"custom_id": CUSTOM}}}
    await accept(handle, "msg_beside", [item(0, user_id=ELSE)], body=json.dumps(beside).encode())
    # a hook was told of them, and did not take it
    hooks = handle.store.hooks
    hooks.learn(Plan([Hook("crm", ("delivery.settled",), identify=True)]))
    settled = record("msg_taken", 2, device.id, user_id=USER, custom_id=CUSTOM, day=DAY)
    await handle.journal.record([settled], [])
    assert (
        await hooks.take("crm", "me", now=NOW, until=NOW + 9, name="msg_hook", busy=()) is not None
    )
    # people write of people
    act = clerk.does("hooks.pause", "hook/crm", at=NOW - 10.0)
    await hooks.hold("crm", by="operator", reason=f"{CUSTOM} complained", now=NOW - 10.0, act=act)
    for part in ("", "android"):
        reason = f"{CUSTOM} complained"
        act = clerk.does("lanes.pause", "agent/fcm", at=NOW - 10.0)
        await handle.lanes.hold(
            "agent", "fcm", part, by="operator", reason=reason, now=NOW - 10.0, act=act
        )


async def all_rows(handle: Handle) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table."""
    if isinstance(handle.store, SqliteStore):
        database = handle.store.database

        def work(connection: Any) -> dict[str, list[tuple[Any, ...]]]:
            names = connection.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
            ).fetchall()
            return {
                name: connection.execute(f"SELECT * FROM {name}").fetchall() for (name,) in names
            }

        return await database.read(work)
    assert isinstance(handle.store, PostgresStore)
    connection = await asyncpg.connect(handle.store.database.url)
    try:
        names = await connection.fetch(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' "
            "AND table_type = 'BASE TABLE' AND table_name NOT LIKE 'deliveries\\_d%'"
        )
        return {
            name: [tuple(row) for row in await connection.fetch(f"SELECT * FROM {name}")]
            for (name,) in names
        }
    finally:
        await connection.close()


async def held(handle: Handle, user: UserRef = MARY) -> dict[str, Any]:
    stores = Stores(handle.store, handle.queue, "", "")
    return await collect(
        stores, user, asking=Asking({"agent": "opened"}, "opt_out"), vendors=VENDORS, search_s=None
    )


Shown = Callable[[dict[str, Any]], Any]

#: where each table that holds people is found in the document
SHOWN: dict[str, Shown] = {
    "devices": lambda found: found["devices"][0]["address"] == "address-mary",
    "deliveries": lambda found: "msg_taken" in _events(found["deliveries"]),
    "receipts": lambda found: any(one["receipts"] for one in found["deliveries"]),
    "failed_attempts": lambda found: any(one["failed_attempts"] for one in found["deliveries"]),
    "queue": lambda found: "msg_waits" in _events(found["deliveries"]),
    "events": lambda found: (
        {
            "msg_taken",
            "msg_dead",
            "msg_waits",
            "msg_odd",
            "msg_no_json",
            "msg_learnt",
            "msg_rejected",
            "msg_beside",
        }
        <= _events(found["events"])
    ),
    "learning": lambda found: "msg_learnt" in _events(found["events"]),
    "learning_outcomes": lambda found: "msg_learnt" in _events(found["events"]),
    "event_people": lambda found: "msg_learnt" in _events(found["events"]),
    "dead_letters": lambda found: (
        found["dead_letters"][0]["title"] == "Dead"
        and "msg_raw" in _events(found["named_elsewhere"])
    ),
    "held_removals": lambda found: found["removals_held_back"][0]["reason"] == "UNREGISTERED",
    "forgotten": lambda found: (
        all("keyed hash" in one["what"] for one in found["keyed_hashes"])
        and len(found["keyed_hashes"]) >= 3
    ),
    "starts": lambda found: any("started last" in one["what"] for one in found["keyed_hashes"]),
    "suppressions": lambda found: any("msg_learnt" in one["what"] for one in found["keyed_hashes"]),
    "erasures": lambda found: len(found["erasures"]) >= 1,
    "audit": lambda found: (
        (
            any(one["what"] == "devices.forget" for one in found["audit"])
            and any(one["what"] == "lanes.pause" for one in found["named_in_reasons"]) is False
        )
        or found["named_in_reasons"]
    ),
    "experiment_members": lambda found: found["experiments"][0]["held_back"],
    "experiment_also": lambda found: found["experiments"][0]["also_got"],
    "experiment_left_out": lambda found: (
        [one["experiment"] for one in found["experiments_left_out"]] == ["autumn"]
    ),
    "experiment_exempt": lambda found: found["experiments_exempt_since"] == to_iso(NOW),
    "experiment_held": lambda found: (
        [(one["title"], one["until"]) for one in found["reminders_held_back"]]
        == [("Held", to_iso(NOW))]
    ),
    "erased_events": lambda found: found["erasures"],
    "lanes": lambda found: "agent/fcm" in {one["object"] for one in found["named_in_reasons"]},
    "hooks": lambda found: "hook/crm" in {one["object"] for one in found["named_in_reasons"]},
    "hook_batches": lambda found: found["hooks"] == [{"hook": "crm", "waiting": 1}],
    "hook_told": lambda found: found["hooks"][0]["hook"] == "crm",
    "lane_parts": lambda found: (
        "agent/fcm/android" in {one["object"] for one in found["named_in_reasons"]}
    ),
}


def _events(rows: list[dict[str, Any]]) -> set[str]:
    return {one["event_id"] for one in rows}


async def test_all_that_is_held_of_a_person_is_in_the_document(handle: Handle) -> None:
    await plant_everywhere(handle)
    tables = await all_rows(handle)
    assert SHOWN.keys() == HOLDING
    assert tables.keys() <= HOLDING | NOBODY.keys()
    names = [USER, CUSTOM, "phone-mary", "address-mary", *words_of(USER, CUSTOM, SECRET)]
    names += person_words(SECRET, USER, CUSTOM)
    naming = {
        table
        for table, rows in tables.items()
        if any(one in _text(cell) for row in rows for cell in row for one in names)
    }
    assert naming <= SHOWN.keys()
    found = await held(handle)
    assert found["complete"]
    empty = {table for table in SHOWN if table in tables and not tables[table]}
    assert empty <= ({"queue"} if isinstance(handle.queue, JetStreamQueue) else set())
    missing = {table for table, shown in SHOWN.items() if table in tables and not shown(found)}
    assert missing == set()


def _text(cell: Any) -> str:
    return cell.decode("utf-8", "replace") if isinstance(cell, bytes) else str(cell)


async def test_what_events_say_of_others_is_not_in_the_document(handle: Handle) -> None:
    await plant_everywhere(handle)
    document = json.dumps(await held(handle))
    assert ELSE not in document
    (odd,) = [one for one in (await held(handle))["events"] if one["event_id"] == "msg_odd"]
    assert odd["parts"] == [
        {"where": "data.notifications.a", "value": {"user_id": USER, "name": "Mary"}}
    ]


async def test_a_forbidding_is_kept_as_a_hash_and_is_in_the_document(handle: Handle) -> None:
    device = await register(
        handle, "phone", "address", user_id=USER, profile=Profile(measure="denied"), now=NOW - 50.0
    )
    line = record("msg_1", 0, device.id, user_id=USER, day=DAY)
    await queue_for(handle, "msg_1", UserRef(USER))
    await handle.journal.record([line], [])
    before = await held(handle, UserRef(USER))
    await register(handle, "phone", "address", user_id=ELSE, now=NOW - 40.0)
    after = await held(handle, UserRef(USER))
    assert before["keyed_hashes"] == []
    assert any("forbade" in one["what"] for one in after["keyed_hashes"])
    assert (await held(handle, UserRef("nobody")))["keyed_hashes"] == []


async def test_starts_of_a_phones_former_user_are_not_in_the_document(handle: Handle) -> None:
    await register(handle, "phone", "address", user_id=USER, now=NOW - 50.0)
    device = await register(handle, "phone", "address", user_id=ELSE, now=NOW - 40.0)
    for key, at in (("theirs", NOW - 45.0), ("mine", NOW - 30.0)):
        start = Start(device.id, key, f"msg_{key}", at, "holder")
        await handle.store.starts.ask([start], now=NOW, latest=NOW + 60.0, for_s=1.0)
    found = await held(handle, UserRef(ELSE))
    assert [one["at"] for one in found["keyed_hashes"]] == [to_iso(NOW - 30.0)]


async def test_of_a_learning_event_what_was_learnt_is_in_the_document(handle: Handle) -> None:
    await plant_everywhere(handle)
    (learnt,) = [one for one in (await held(handle))["events"] if one["event_id"] == "msg_learnt"]
    assert [part["value"]["data"]["course"] for part in learnt["parts"]] == ["7"]


async def test_after_an_erase_only_what_says_that_it_was_is_held(handle: Handle) -> None:
    await plant_everywhere(handle)
    await erase(handle, MARY, now=NOW + 10.0)
    found = await held(handle)
    for name in ("devices", "dead_letters", "removals_held_back", "named_in_reasons", "hooks"):
        assert found[name] == [], name
    assert found["deliveries"] == []
    for name in ("experiments", "experiments_left_out", "reminders_held_back", "outcomes"):
        assert found[name] == [], name
    assert found["experiments_exempt_since"] is None
    assert all("keyed hash" in one["what"] for one in found["keyed_hashes"])
    assert found["erasures"]
    if not isinstance(handle.queue, JetStreamQueue):
        assert found["events"] == []
        assert USER not in json.dumps(found["audit"])


async def test_nothing_is_held_of_a_stranger(handle: Handle) -> None:
    await plant_everywhere(handle)
    found = await held(handle, UserRef("nobody", "nobody"))
    lists = {name: rows for name, rows in found.items() if isinstance(rows, list)}
    assert all(rows == [] for rows in lists.values())
