"""`inkpush store copy`: from SQLite to PostgreSQL, whole, once, and told when it is not."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from gateway.app import copy_store
from gateway.app.copying import Copied
from gateway.app.storage import sole_relay
from gateway.core.attempts import Failed, line
from gateway.core.drawn import What
from gateway.core.effect_standing import Entered
from gateway.core.effect_way import Cell, Counted, Sums
from gateway.core.hooks import Hook, Plan
from gateway.core.learnt import Learnt
from gateway.core.model import Event, Item, Removal, UserRef, day_of
from gateway.core.prune import Brake, BrakeRule
from gateway.core.receipts import Key, Kind, Told
from gateway.core.states import DeliveryState, DeviceState
from gateway.core.suppressing import Done
from gateway.errors import StoreError
from gateway.ports import ApiKey, Cancelling, Imported, Start
from gateway.ports.effect import Mark, Phones
from gateway.store import copying
from gateway.store.copying import TABLES, Checksum, Table
from gateway.store.postgres import open_postgres
from gateway.store.postgres.arrivals import PostgresArrivals
from gateway.store.queries import load_queries
from gateway.store.sqlite import open_sqlite
from tests.kit.build import ALICE, NOW, item
from tests.kit.clocks import wall
from tests.kit.commands import INKPUSH, Workplace
from tests.kit.experiments import drawn, kept, member, outcome, word
from tests.kit.planting import TOO_NEW, change, plant
from tests.kit.postgres import databases
from tests.kit.stores import (
    BACKENDS,
    Handle,
    accept,
    batch,
    record,
    register,
    registration,
)

PASSWORD = "hush-hush"
DAY_S = 86_400.0
EVENTS = 3
RECEIPTS = 19 * len(Kind)
LEARNT = 3
#: deliveries of each event
RECORDS = 40
DEVICES = 25
#: about processes and servers, not data: heartbeats, what a health check writes, whether the
#: server crashed, which schema there is, how far a copy is, what people were told of it
NOT_COPIED = {
    "replicas",
    "clocks",
    "pulse",
    "server_life",
    "schema_migrations",
    "store_copy",
    "doubts",
    "streams",
    "trial",
}


@contextmanager
def silent(_what: str, _total: int) -> Iterator[Any]:
    yield lambda _done: None


copy = partial(copy_store, queued=True, live=False, progress=silent, actor=ALICE)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "inkpush.db"


@pytest.fixture
async def target(tmp_path: Path) -> AsyncIterator[str]:
    """An empty database."""
    async with databases().using(tmp_path) as url:
        yield url


@asynccontextmanager
async def sqlite(folder: Path) -> AsyncIterator[Handle]:
    async with BACKENDS["sqlite"].open(folder, lambda: NOW) as handle:
        yield handle


@pytest.fixture
async def filled(file: Path) -> Path:
    """A store with rows in every table, of several days."""
    async with sqlite(file.parent) as source:
        await fill(source)
    return file


async def fill_chain(source: Handle) -> None:
    """Learning events, of which the oldest day is over."""
    for age in range(LEARNT):
        learnt = Event(
            f"msg_learnt_{age}",
            "user.course.completed",
            "ignored",
            NOW - (LEARNT - 1 - age) * DAY_S,
            body=b'{"n": 0}',
            learnt=Learnt("mary", None, "course", salt=b"s" * 32),
        )
        await source.queue.accept(learnt, [])
    chained = await source.store.learning.chain(
        now=NOW, limit=LEARNT, salt=lambda: b"s" * 32, outcomes=["user.course.completed"]
    )
    assert chained.entries == LEARNT
    assert len(await source.store.learning.retain(before=NOW - DAY_S)) == 1


async def experiment(source: Handle) -> None:
    """One that is on: somebody is held, got something else, and somebody is exempt."""
    assert await source.store.experiments.begin(kept())
    await source.journal.record([], [], drawn=[drawn(what, what.value) for what in What])
    await source.store.experiments.exempt([word("exempt")], is_exempt=True, at=NOW)


async def fill(source: Handle) -> None:
    source.store.hooks.learn(Plan([Hook("crm", ("device.pruned",))]))
    for number in range(DEVICES):
        await register(source, f"phone-{number}", f"address-{number}", user_id=f"user-{number}")
    # the largest id is gone, and must not come back
    act = ALICE.does("devices.forget", f"phone-{DEVICES - 1}", at=NOW)
    await source.registry.forget(f"phone-{DEVICES - 1}", proven=None, now=NOW, act=act)
    for number in range(2):
        await source.audit.note(ALICE.does("lanes.pause", "agent/fcm", at=NOW + number))
    await register(source, "phone-0", "address-new", user_id="another", now=NOW + 1)
    await source.keys.add(ApiKey("k1", "backend", frozenset({"admin"}), NOW), b"d" * 32)
    await source.store.secret(b"s" * 32)
    await source.lanes.hold("agent", "fcm", "", by="operator", reason="quota", now=NOW)
    await source.lanes.hold("agent", "fcm", "ios", by="misconfigured", reason="no key", now=NOW)
    # one of two dead ones goes, and the brake keeps the other
    brakes = {
        ("agent", "fcm"): Brake(BrakeRule(0.0, 1), DEVICES, counted=True, clock=wall(lambda: NOW))
    }
    removals = [
        (
            number,
            Removal(number + 1, f"address-{number}", NOW, "agent", "fcm", DeviceState.PRUNED, "X"),
        )
        for number in (1, 2)
    ]
    for number in range(EVENTS):
        at = NOW - number * DAY_S
        event_id = f"msg_{number}"
        await accept(source, event_id, 600, at=at, body=b'{"n": %d}' % number)
        records = [
            record(event_id, index, index % DEVICES, day=day_of(at), at=NOW)
            for index in range(RECORDS)
        ]
        records[0] = records[0]._replace(state=DeliveryState.DEAD, reason="GONE\0")
        dead = [(0, Item(0, "Hi\0", "Mary", None, "mary", None))]
        tried = [Failed(event_id, 0, 0, 1, line(NOW, "unavailable", "GONE"))]
        done = [(event_id, 0)]
        await source.journal.record(records, removals, dead, done, brakes, failed=tried)
        (claim,) = await source.queue.claim(limit=1, lease_s=60, now=NOW)
        await source.queue.settle(claim, [])
        told = [
            Told(Key(event_id, index, index % DEVICES, day_of(at), "granted"), kind, NOW, 1.0, True)
            for index in range(1, 1 + RECEIPTS // len(Kind))
            for kind in Kind
        ]
        await source.store.receipts.keep(told, rule="opt_out")
    batch = await source.store.hooks.take(
        "crm", "me", now=NOW, until=NOW + 60, name="msg_hook", busy=()
    )
    assert batch is not None
    leave = [Start(number, f"key {number}", "msg_0", NOW, "relay/x") for number in range(1, 4)]
    await source.starts.ask(leave, now=NOW, latest=NOW, for_s=1.0)
    correction = Cancelling(NOW, DAY_S, replacement='{"title": "Another"}')
    assert await source.store.cancels.cancel("msg_0", correction) is not None
    cell = Cell("agent", "android", "learnink")
    day = Mark(NOW, NOW + DAY_S, NOW + 2 * DAY_S, settled=False)
    counted = Counted({cell: Sums(40, 20)}, {(cell, "expired"): 20})
    phones = [Phones("agent", "android", 1, 0, 9, 0, 0)]
    await source.store.effects.keep(day, {"": counted}, phones)
    entered = Entered(NOW, NOW + DAY_S, "agent", "android", True, 30, 9, 9, 0, 0, 0, 0)
    await source.store.effects.keep_entered("spring", day, [entered])
    await source.store.effects.keep_terms("spring", "{}")
    await experiment(source)
    await change(source, member("spring", "mary"))
    await change(source, outcome("mary", "done", NOW))
    erased = UserRef(user_id="somebody")
    await source.registry.erase(erased, now=NOW)
    for asked in await source.store.erasures.take("job", now=NOW, until=NOW + 60):
        await source.store.erasures.erase("msg_gone", asked, now=NOW, follow=True)
    quarantined = Event(
        "msg_bad",
        "",
        "quarantined",
        NOW,
        reason="?",
        body=b"\xff{",
        people=("user-1",),
    )
    said = Done("msg_bad", "/a", "learnink", "a word", "", NOW, 60.0, NOW)
    quarantined = replace(quarantined, done=(said,))
    await source.queue.accept(quarantined, [])
    await fill_chain(source)


async def everything(url: str) -> dict[str, list[tuple[Any, ...]]]:
    connection = await asyncpg.connect(url)
    try:
        return {
            table.name: sorted(
                (tuple(row) for row in await connection.fetch(f"SELECT * FROM {table.name}")),
                key=repr,
            )
            for table in TABLES
        }
    finally:
        await connection.close()


def in_the_file(file: Path, sql: str) -> list[Any]:
    with closing(sqlite3.connect(file)) as connection, connection:
        return connection.execute(sql).fetchall()


# --- what is copied ----------------------------------------------------------------------------


async def test_every_column_of_every_table_is_copied(target: str) -> None:
    connection = await asyncpg.connect(target)
    try:
        rows = await connection.fetch(
            "SELECT table_name, column_name FROM information_schema.columns "
            "WHERE table_schema = 'public' AND table_name NOT LIKE 'deliveries\\_d%'"
        )
    finally:
        await connection.close()
    columns: dict[str, set[str]] = {}
    for table, column in rows:
        columns.setdefault(table, set()).add(column)
    assert columns.keys() - NOT_COPIED == {table.name for table in TABLES}
    queries = load_queries("sqlite")
    for table in TABLES:
        missing = {one for one in columns[table.name] if one not in queries[f"copy_{table.name}"]}
        assert missing == set(), table.name


async def test_all_tables_are_the_same_afterwards(filled: Path, target: str) -> None:
    copied = await copy(filled, target)
    assert (copied.before, copied.resumed) == (False, False)
    counts = {one.table: one.rows for one in copied.tables}
    assert counts == {
        "devices": DEVICES - 1,
        "api_keys": 1,
        "secrets": 1,
        "forgotten": 4,
        "erasures": 1,
        "erased_events": 1,
        "event_people": 1,
        "cancelled": 1,
        "suppressions": 1,
        "audit": 3,
        "hooks": 1,
        "hook_told": 1,
        "hook_batches": 1,
        "lanes": 1,
        "lane_parts": 1,
        "brake_window": 1,
        "held_removals": 1,
        "starts": 3,
        "effect_marks": 2,
        "effect_days": 1,
        "effect_reasons": 1,
        "effect_phones": 2,
        "effect_terms": 1,
        "effect_outcomes": 1,
        "experiments": 1,
        "experiment_members": 3,
        "experiment_left_out": 1,
        "experiment_also": 1,
        "experiment_exempt": 1,
        "experiment_held": 1,
        "events": EVENTS + 1 + LEARNT,
        "learning": LEARNT - 1,
        "learning_chain": 1,
        "learning_seals": LEARNT - 2,
        "learning_days": 1,
        "learning_outcomes": LEARNT - 1,
        "chunks_done": EVENTS,
        "deliveries": EVENTS * RECORDS,
        "failed_attempts": EVENTS,
        "receipts": EVENTS * RECEIPTS,
        "dead_letters": EVENTS,
        "queue": EVENTS * 2,
    }
    assert {one.table: one.copied for one in copied.tables} == counts
    found = await everything(target)
    # who copied is in the copy alone
    counts["audit"] += 1
    assert {table: len(rows) for table, rows in found.items()} == counts
    (act,) = [row for row in found["audit"] if row[2] == "store.copy"]
    assert act[1:4] == (ALICE.who, "store.copy", str(filled))
    assert (act[6], act[9]) == (sum(counts.values()) - 1, ALICE.reason)
    assert len(in_the_file(filled, "SELECT * FROM audit")) == counts["audit"] - 1
    assert (await copy(filled, target)).before
    assert len((await everything(target))["audit"]) == counts["audit"]
    assert [bytes(row[1]) for row in found["api_keys"]] == [b"d" * 32]
    assert {row[10] for row in found["events"]} == {b'{"n": 0}', b'{"n": 1}', b'{"n": 2}', b"\xff{"}
    # what PostgreSQL cannot hold is dropped from texts, as when it is written there
    assert {row[9] for row in found["dead_letters"]} == {"Hi"}


async def test_what_speaks_against_a_chunk_comes_along(filled: Path, target: str) -> None:
    in_the_file(filled, "UPDATE queue SET tries = 5, lone_ends = 3, alone = 1, claimed_at = 7.5")
    await copy(filled, target)
    connection = await asyncpg.connect(target)
    try:
        rows = await connection.fetch("SELECT tries, lone_ends, alone, claimed_at FROM queue")
    finally:
        await connection.close()
    assert {tuple(row) for row in rows} == {(5, 3, 1, 7.5)}


async def test_what_was_put_aside_is_copied_with_its_bytes_and_its_form(
    file: Path, target: str
) -> None:
    async with sqlite(file.parent) as source:
        event, chunks = batch(items=2)
        await source.queue.accept(event, [])
        await plant(source, chunks[0], TOO_NEW)
        assert await source.queue.claim(limit=9, lease_s=60, now=NOW) == []
        full = item()._replace(source="learnink", occurred_at=NOW)
        dead = record(state=DeliveryState.DEAD, day=day_of(NOW))
        await source.journal.record([dead], [], [(0, full)])
        before = await source.journal.dead(limit=9)
    await copy(file, target)
    store = await open_postgres(target)
    try:
        assert await store.journal.dead(limit=9) == before
        assert {(one.raw, one.form) for one in before} == {(None, None), (TOO_NEW, 3)}
        assert full in {one.item for one in before}
    finally:
        await store.aclose()


async def test_what_went_is_remembered_in_the_copy(filled: Path, target: str) -> None:
    """By the same secret: an old file brings nothing back there either."""
    await copy(filled, target)
    last = DEVICES - 1
    old = [
        registration(f"phone-{last}", f"address-{last}", user_id=f"user-{last}", seen_at=NOW),
        registration("phone-0", "address-0", user_id="user-0", seen_at=NOW),
        registration("unheard-of", "address-0", user_id="user-0", seen_at=NOW),
    ]
    store = await open_postgres(target)
    try:
        done = await store.registry.register_many(old, now=NOW + 9)
        assert done == Imported(0, 0, newer=(0, 1, 2))
        (device,) = await store.registry.devices_of(UserRef(user_id="another"))
        assert device.user_changed_at == NOW + 1
    finally:
        await store.aclose()


async def test_both_stores_answer_the_same(filled: Path, target: str) -> None:
    await copy(filled, target)
    store = await open_postgres(target)
    try:
        async with sqlite(filled.parent) as source:
            items = [item(index, user_id=f"user-{index}") for index in range(DEVICES)]
            for user in ("user-3", f"user-{DEVICES - 1}"):
                devices = await store.registry.devices_of(UserRef(user_id=user))
                assert devices == await source.registry.devices_of(UserRef(user_id=user))
            assert await store.registry.targets(items) == await source.registry.targets(items)
            assert await store.lanes.all() == await source.lanes.all()
            assert await store.keys.find(b"d" * 32) == await source.keys.find(b"d" * 32)
            for number in range(EVENTS):
                key = f"msg_{number}"
                assert await store.journal.event(key) == await source.journal.event(key)
                day = day_of(NOW - number * DAY_S)
                progress = await store.journal.progress(key, range(RECORDS), day=day)
                assert progress == await source.journal.progress(key, range(RECORDS), day=day)
                assert len(progress) == RECORDS
            mary = UserRef(user_id="mary")
            assert len(await store.journal.deliveries_of(mary, limit=999)) == EVENTS * RECORDS
    finally:
        await store.aclose()


async def test_a_journal_of_before_days_were_kept_goes_by_its_events(
    filled: Path, target: str
) -> None:
    in_the_file(filled, "UPDATE deliveries SET day = 0")
    in_the_file(filled, "DELETE FROM events WHERE event_id = 'msg_2'")
    await copy(filled, target)
    days = {row[0]: row[-1] for row in (await everything(target))["deliveries"]}
    today = day_of(NOW)
    # the event of the last one is gone: its rows were written today
    assert days == {"msg_0": today, "msg_1": today - 1, "msg_2": today}


async def test_a_registration_afterwards_gets_an_id_that_was_never_given(
    filled: Path, target: str
) -> None:
    await copy(filled, target)
    store = await open_postgres(target)
    try:
        asked = registration("phone-new", "address-new")
        fresh = (await store.registry.register(asked, proven=None, now=NOW)).device
    finally:
        await store.aclose()
    assert fresh.id == DEVICES + 1


async def test_an_empty_store_is_copied_too(file: Path) -> None:
    target = await databases().create(empty=True)
    await (await open_sqlite(file)).aclose()
    assert (await copy(file, target)).rows == 0
    store = await open_postgres(target)
    try:
        asked = registration()
        assert (await store.registry.register(asked, proven=None, now=NOW)).device.id == 1
    finally:
        await store.aclose()


# --- interrupted -------------------------------------------------------------------------------


class Interrupted(Exception):
    pass


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "_PAGE_ROWS", 1)
    monkeypatch.setattr("gateway.store.sqlite.snapshot._STEP", 7)


@pytest.mark.parametrize("table", [one.name for one in TABLES])
@pytest.mark.parametrize("when", ["before", "after"])
async def test_an_interrupted_copy_goes_on_where_it_stopped(
    filled: Path,
    target: str,
    table: str,
    when: str,
    small_pages: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    add = PostgresArrivals.add
    pages = 0

    async def stop_in_the_middle(
        self: PostgresArrivals, of: Table, columns: Any, rows: Any
    ) -> None:
        nonlocal pages
        if of.name != table:
            return await add(self, of, columns, rows)
        pages += 1
        if pages == 2 and when == "before":
            raise Interrupted
        await add(self, of, columns, rows)
        if when == "after":
            raise Interrupted
        return None

    with monkeypatch.context() as patched:
        patched.setattr(PostgresArrivals, "add", stop_in_the_middle)
        if pages_of(filled, table) > 1 or when == "after":
            with pytest.raises(Interrupted):
                await copy(filled, target)
        else:
            patched.undo()
    there = {name: len(rows) for name, rows in (await everything(target)).items()}
    copied = await copy(filled, target)
    assert copied.resumed is (sum(there.values()) > 0)
    for one in copied.tables:
        assert one.copied == one.rows - there[one.table]
    # a third time there is nothing to do
    again = await copy(filled, target)
    assert again.before
    assert again.verified_at == pytest.approx(copied.verified_at)


def pages_of(file: Path, table: str) -> int:
    ((rows,),) = in_the_file(file, f"SELECT count(*) FROM {table}")
    bulky = next(one for one in TABLES if one.name == table).bulk is not None
    return int(rows if bulky else -(-rows // 7))


async def copy_but_not_verify(file: Path, target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_args: Any) -> None:
        raise Interrupted

    with monkeypatch.context() as patched:
        patched.setattr(PostgresArrivals, "checksum", refuse)
        with pytest.raises(Interrupted):
            await copy(file, target)


async def test_a_copy_that_goes_on_takes_what_was_added_meanwhile(
    filled: Path, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await copy_but_not_verify(filled, target, monkeypatch)
    async with sqlite(filled.parent) as source:
        device = await register(source, "phone-late", "address-late", user_id="late")
    copied = await copy(filled, target)
    assert {one.table: one.copied for one in copied.tables if one.copied} == {"devices": 1}
    store = await open_postgres(target)
    try:
        assert await store.registry.devices_of(UserRef(user_id="late")) == [device]
    finally:
        await store.aclose()


async def test_what_was_changed_meanwhile_is_told_by_its_table(
    filled: Path, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await copy_but_not_verify(filled, target, monkeypatch)
    in_the_file(filled, "UPDATE devices SET address = 'other' WHERE id = 1")
    in_the_file(filled, "DELETE FROM dead_letters WHERE id = 1")
    with pytest.raises(StoreError) as told:
        await copy(filled, target)
    assert f"devices: not all of the {DEVICES - 1} rows are the same" in str(told.value)
    assert "dead_letters: 2 rows in the source, 3 in the copy" in str(told.value)
    assert "events:" not in str(told.value)


# --- refused -----------------------------------------------------------------------------------


async def test_a_target_with_rows_of_its_own_is_refused(filled: Path, target: str) -> None:
    store = await open_postgres(target)
    try:
        await store.registry.register(registration(), proven=None, now=NOW)
    finally:
        await store.aclose()
    with pytest.raises(StoreError, match=r"rows that are not of this source \(devices\)"):
        await copy(filled, target)


async def test_a_target_with_the_copy_of_another_file_is_refused(
    filled: Path, target: str, tmp_path: Path
) -> None:
    await copy(filled, target)
    other = tmp_path / "other"
    other.mkdir()
    async with sqlite(other):
        pass
    with pytest.raises(StoreError, match=r"holds a copy of .*inkpush.db, not of "):
        await copy(other / "inkpush.db", target)


async def test_what_somebody_else_writes_meanwhile_is_noticed(
    filled: Path, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = PostgresArrivals.begin

    async def begin_beside_another(self: PostgresArrivals) -> float | None:
        verified_at = await begin(self)
        store = await open_postgres(target)
        try:
            await store.registry.register(registration(), proven=None, now=NOW)
        finally:
            await store.aclose()
        return verified_at

    monkeypatch.setattr(PostgresArrivals, "begin", begin_beside_another)
    with pytest.raises(StoreError, match=r"not of this source \(devices\)"):
        await copy(filled, target)


async def test_of_two_copies_at_once_one_gives_way(
    filled: Path, target: str, small_pages: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = PostgresArrivals.begin
    others: list[Copied] = []

    async def begin_beside_another(self: PostgresArrivals) -> float | None:
        verified_at = await begin(self)
        monkeypatch.setattr(PostgresArrivals, "begin", begin)
        others.append(await copy(filled, target, live=True))
        return verified_at

    monkeypatch.setattr(PostgresArrivals, "begin", begin_beside_another)
    with pytest.raises(StoreError, match="Another copy into this database is under way"):
        await copy(filled, target)
    assert others[0].rows > 0


async def test_a_gateway_on_the_target_is_noticed(filled: Path, target: str) -> None:
    store = await open_postgres(target)
    try:
        await store.replicas.beat("pod-1", "relay", now=NOW)
    finally:
        await store.aclose()
    with pytest.raises(StoreError, match="A gateway runs on the target"):
        await copy(filled, target)


async def test_a_relay_on_the_source_is_noticed_unless_it_may_be_there(
    filled: Path, target: str
) -> None:
    with sole_relay(filled):
        with pytest.raises(StoreError, match=r"A relay works on .*--live"):
            await copy(filled, target)
        assert (await copy(filled, target, live=True)).rows > 0


async def test_no_relay_starts_on_the_source_meanwhile(
    filled: Path, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def look(*_args: Any) -> Checksum:
        with pytest.raises(Exception, match="another relay works on"), sole_relay(filled):
            pass
        raise Interrupted

    monkeypatch.setattr(PostgresArrivals, "checksum", look)
    with pytest.raises(Interrupted):
        await copy(filled, target)


async def test_beside_a_relay_one_moment_is_copied(
    filled: Path, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    add = PostgresArrivals.add

    async def add_beside_a_writer(self: PostgresArrivals, table: Table, *rest: Any) -> None:
        in_the_file(filled, "UPDATE devices SET last_seen_at = last_seen_at + 1")
        in_the_file(filled, "DELETE FROM queue WHERE id = (SELECT max(id) FROM queue)")
        await add(self, table, *rest)

    monkeypatch.setattr(PostgresArrivals, "add", add_beside_a_writer)
    counts = {one.table: one.rows for one in (await copy(filled, target, live=True)).tables}
    assert counts["queue"] == EVENTS * 2


async def test_chunks_do_not_go_to_a_database_that_is_no_queue(filled: Path, target: str) -> None:
    with pytest.raises(StoreError, match=r"6 chunks wait in the queue .* copied to"):
        await copy(filled, target, queued=False)
    in_the_file(filled, "DELETE FROM queue")
    assert (await copy(filled, target, queued=False)).rows > 0


async def test_a_name_that_postgresql_cannot_hold_is_told(filled: Path, target: str) -> None:
    in_the_file(filled, "UPDATE devices SET user_id = 'a' || char(0) || 'b' WHERE id = 7")
    with pytest.raises(StoreError, match=r"devices: a row has a NUL .* key is \(7,\)"):
        await copy(filled, target)


# --- the command -------------------------------------------------------------------------------


@pytest.fixture
def place(tmp_path: Path, filled: Path) -> Workplace:
    return Workplace.make(tmp_path)


def secret(url: str) -> str:
    return url.replace("inkpush@", f"inkpush:{PASSWORD}@")


def test_a_copy_tells_each_table_and_no_password(place: Workplace, target: str) -> None:
    arguments = ("store", "copy", "--from", "sqlite:///inkpush.db", "--to", secret(target))
    done = place.run(*arguments)
    assert done.status == 0, done.err
    assert PASSWORD not in done.out + done.err
    assert "deliveries" in done.out
    assert "rows copied and verified" in done.out
    again = place.run(*arguments)
    assert again.status == 0
    assert "Nothing to do" in again.out
    assert PASSWORD not in again.out + again.err


def test_either_side_is_the_configured_one_if_nothing_is_said(
    place: Workplace, target: str
) -> None:
    first = place.run("store", "copy", "--to", target, "--json")
    assert first.status == 0, first.err
    assert first.json["tables"][0] == {
        "table": "devices",
        "rows": DEVICES - 1,
        "copied": DEVICES - 1,
        "checksum": first.json["tables"][0]["checksum"],
    }
    place.variables["INKPUSH_STORE__URL"] = target
    again = place.run("store", "copy", "--from", "sqlite:///inkpush.db", "--json")
    assert (again.status, again.json["before"]) == (0, True)
    assert again.json["verified_at"] == first.json["verified_at"]


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        ((), 2, "--to is missing"),
        (("--to", "mysql://root:hush-hush@host/x"), 2, "--to: is not a database address"),
        (("--to", "sqlite:///other.db"), 2, "to PostgreSQL only"),
        (("--from", "postgresql://a:hush-hush@b/c", "--to", "postgresql://b/c"), 2, "SQLite only"),
        (("--to", "postgresql://inkpush:hush-hush@127.0.0.1:1/x"), 1, "Run the same command"),
        (("--from", "sqlite:///none.db", "--to", "postgresql://b/c"), 1, "no such file"),
        (("--from", "sqlite:///inkpush.toml", "--to", "postgresql://b/c"), 1, "cannot be read"),
        (("--from", "sqlite:///empty.db", "--to", "postgresql://b/c"), 1, "not a database of Ink"),
        (("--from", "sqlite:///old.db", "--to", "postgresql://b/c"), 1, "inkpush migrate"),
        (("--from", "sqlite:///new.db", "--to", "postgresql://b/c"), 1, "newer version"),
    ],
)
def test_what_cannot_work_is_told_without_a_trace_and_without_a_password(
    place: Workplace, arguments: tuple[str, ...], status: int, told: str
) -> None:
    for name, version in (("empty", 0), ("old", 1), ("new", 999)):
        in_the_file(place.folder / f"{name}.db", f"PRAGMA user_version = {version}")
    done = place.run("store", "copy", *arguments)
    assert (done.status, told in done.err) == (status, True), done.err
    assert "Traceback" not in done.err
    assert PASSWORD not in done.err
    assert not (place.folder / "none.db").exists()
    assert not (place.folder / "none.db.relay.lock").exists()


async def test_a_killed_copy_goes_on_and_nothing_serves_what_it_left(
    place: Workplace, target: str
) -> None:
    """Killed in the middle of the journal, which is many pages here."""
    many = 100_000
    in_the_file(
        place.folder / "inkpush.db",
        "WITH RECURSIVE numbers(i) AS "
        f"(SELECT 1 UNION ALL SELECT i + 1 FROM numbers WHERE i < {many}) "
        "INSERT INTO deliveries SELECT 'msg_many', i, 1, 'delivered', 1, 1000.0, 'mary', NULL, "
        "'agent', 'fcm', '', '', '', NULL, 0, 9 FROM numbers",
    )
    process = await asyncio.create_subprocess_exec(
        INKPUSH, "store", "copy", "--to", target, cwd=place.folder,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    while process.returncode is None and await rows_so_far(target) == 0:
        pass
    if process.returncode is None:
        process.kill()
    await process.wait()
    there = await rows_so_far(target)
    assert 0 < there < many
    place.variables["INKPUSH_STORE__URL"] = target
    refused = place.run("lanes", "list")
    assert (refused.status, "is not complete" in refused.err) == (2, True), refused.err
    assert "Traceback" not in refused.err
    del place.variables["INKPUSH_STORE__URL"]
    done = place.run("store", "copy", "--to", target, "--json")
    assert done.status == 0, done.err
    assert done.json["resumed"]
    journal = next(one for one in done.json["tables"] if one["table"] == "deliveries")
    assert journal["rows"] == many + EVENTS * RECORDS
    assert journal["copied"] == journal["rows"] - there


async def rows_so_far(target: str) -> int:
    """Rows of the journal that were committed."""
    connection = await asyncpg.connect(target)
    try:
        if await connection.fetchval("SELECT to_regclass('store_copy')") is None:
            return 0
        query = "SELECT rows FROM store_copy WHERE name = 'deliveries'"
        return await connection.fetchval(query) or 0
    finally:
        await connection.close()
