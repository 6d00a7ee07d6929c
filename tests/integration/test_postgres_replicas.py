"""Several processes on one PostgreSQL: they start, claim, write, tidy and wake each other."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from gateway.core.model import Claim, Event, Profile, UserRef, day_of
from gateway.core.receipts import Key, Kind, Told
from gateway.core.rows import arriving
from gateway.core.states import DeliveryState
from gateway.core.stored import NEWEST, OLDEST
from gateway.errors import SchemaMismatch
from gateway.ports import LaneRow, Progress
from gateway.queue.in_postgres import PostgresQueue
from gateway.store.postgres import PostgresStore, open_postgres
from gateway.store.queries import load_migrations
from tests.kit.build import NOW, item
from tests.kit.gateway import eventually
from tests.kit.postgres import databases
from tests.kit.stores import (
    BACKENDS,
    SECRET,
    Handle,
    accept,
    batch,
    fresh_secret,
    leftover,
    postgres_queue,
    record,
    register,
    registration,
    removal,
)

TODAY = day_of(NOW)
DAY_S = 86_400.0
LATEST = load_migrations("postgres")[-1][0]


@asynccontextmanager
async def replicas(folder: Path, count: int) -> AsyncIterator[list[Handle]]:
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(databases().using(folder))
        yield [await stack.enter_async_context(opened(url)) for _ in range(count)]


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Handle]:
    store = await open_postgres(url, fresh=fresh_secret)
    try:
        await store.secret(SECRET)
        yield Handle(store, postgres_queue(store, clock=lambda: NOW))
    finally:
        await store.aclose()


def store_of(handle: Handle) -> PostgresStore:
    assert isinstance(handle.store, PostgresStore)
    return handle.store


async def sql(url: str, *statements: str) -> list[asyncpg.Record]:
    """Run statements; the rows of the last."""
    connection = await asyncpg.connect(url)
    try:
        for statement in statements[:-1]:
            await connection.execute(statement)
        rows: list[asyncpg.Record] = await connection.fetch(statements[-1])
        return rows
    finally:
        await connection.close()


async def days(handle: Handle) -> list[int]:
    return [row[0] for row in await store_of(handle).database.rows("partition_days")]


# --- schemas --------------------------------------------------------------------------------------


async def test_replicas_that_start_together_migrate_once() -> None:
    url = await databases().create(empty=True)
    stores = await asyncio.gather(*(open_postgres(url) for _ in range(8)))
    await asyncio.gather(*(store.ping() for store in stores))
    for store in stores:
        await store.aclose()
    applied = await sql(url, "SELECT version FROM schema_migrations ORDER BY version")
    assert [row[0] for row in applied] == [number for number, _ in load_migrations("postgres")]


async def test_a_schema_one_version_ahead_is_worked_on_so_that_replicas_upgrade_in_turn() -> None:
    url = await databases().create()
    async with opened(url) as handle:
        await _exercise(handle, "before")
        # what a migration may do, while this version has its statements prepared
        tables = "devices events deliveries dead_letters queue lanes api_keys replicas chunks_done"
        await sql(
            url,
            *(f"ALTER TABLE {one} ADD COLUMN of_later text DEFAULT 'x'" for one in tables.split()),
            f"INSERT INTO schema_migrations (version) VALUES ({LATEST + 1})",
            "SELECT 1",
        )
        await _exercise(handle, "after")
        async with opened(url) as started_later:
            await _exercise(started_later, "later")


async def _exercise(handle: Handle, name: str) -> None:
    """Read and write every table."""
    device = await register(handle, name, name, user_id=name)
    await handle.registry.register_many([registration(f"{name}-2", f"{name}-2")], now=NOW)
    assert [one.id for one in await handle.registry.devices_of(UserRef(user_id=name))] == [
        device.id
    ]
    (found,) = await handle.registry.targets([item(user_id=name)])
    assert [target.device_id for target in found] == [device.id]
    await accept(handle, name, items=[item(user_id=name)])
    (claim,) = await handle.queue.claim(limit=9, lease_s=60.0, now=NOW)
    line = record(name, device_id=device.id, state=DeliveryState.DEAD, user_id=name, day=TODAY)
    await handle.journal.record([line], [], dead=[(0, item(user_id=name))], done=[(name, 0)])
    assert await handle.queue.extend([claim], lease_s=60.0, now=NOW) == set()
    assert await handle.queue.settle(claim, [])
    assert await handle.journal.items_of(name) == [line]
    assert await handle.journal.deliveries_of(UserRef(user_id=name), limit=9) == [line]
    assert [event.event_id for event in await handle.journal.events(limit=1)] != []
    summary = await handle.journal.event(name)
    assert summary is not None
    assert summary.settled
    (letter,) = await handle.journal.dead(limit=9, event_id=name)
    assert await handle.queue.replay_dead([letter.id], now=NOW, max_age_s=60.0) == 1
    (claim,) = await handle.queue.claim(limit=9, lease_s=60.0, now=NOW)
    assert claim.chunk.day == TODAY
    assert await handle.queue.settle(claim, [])
    await handle.lanes.report([LaneRow("agent", "fcm", seen_at=NOW)])
    assert await handle.lanes.all() == [LaneRow("agent", "fcm", seen_at=NOW)]
    assert await handle.store.replicas.beat("a", "relay", now=NOW) == 1
    await handle.registry.erase(UserRef(user_id=name), now=NOW)


async def test_a_schema_two_versions_ahead_is_refused_and_left_alone() -> None:
    url = await databases().create()
    ahead = f"INSERT INTO schema_migrations (version) VALUES ({LATEST + 2})"
    await sql(url, ahead, "SELECT 1")
    with pytest.raises(SchemaMismatch, match=str(LATEST + 2)):
        await open_postgres(url)


async def test_a_migration_that_fails_leaves_nothing_of_itself() -> None:
    url = await databases().create(empty=True)
    await sql(url, "CREATE VIEW api_keys AS SELECT 1 AS of_somebody_else", "SELECT 1")
    with pytest.raises(Exception, match="api_keys"):
        await open_postgres(url)
    assert await sql(url, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'") == []


# --- the queue ------------------------------------------------------------------------------------


async def test_eight_replicas_that_claim_at_once_never_get_the_same_chunk(tmp_path: Path) -> None:
    async with replicas(tmp_path, 8) as handles:
        chunks = [leftover(f"msg_{n}") for n in range(400)]
        await handles[0].queue.publish(chunks)
        taken: list[Claim] = []

        async def work(handle: Handle) -> None:
            while claims := await handle.queue.claim(limit=3, lease_s=60.0, now=NOW):
                taken.extend(claims)
                for claim in claims[::2]:
                    assert await handle.queue.settle(claim, [])

        await asyncio.gather(*(work(handle) for handle in handles for _ in range(2)))
        assert sorted(claim.chunk.event_id for claim in taken) == sorted(
            chunk.event_id for chunk in chunks
        )
        assert {claim.tries for claim in taken} == {1}


async def test_a_lease_that_two_prolong_and_claim_at_once_has_one_holder(tmp_path: Path) -> None:
    """Its time is over: either the holder keeps it, or another one has it, never both."""
    async with replicas(tmp_path, 4) as handles:
        first, *others = handles
        for number in range(20):
            await first.queue.publish([leftover(f"msg_{number}")])
            (held,) = await first.queue.claim(limit=1, lease_s=1.0, now=NOW)
            lost, *claims = await asyncio.gather(
                first.queue.extend([held], lease_s=60.0, now=NOW + 2),
                *(one.queue.claim(limit=1, lease_s=60.0, now=NOW + 2) for one in others),
            )
            assert isinstance(lost, set)
            assert sum(map(len, claims)) == len(lost)


async def test_a_letter_that_two_replicas_replay_is_queued_once(tmp_path: Path) -> None:
    async with replicas(tmp_path, 4) as handles:
        lines = [record("msg_1", n, state=DeliveryState.DEAD) for n in range(3)]
        items = [(n, batch(items=3)[1][0].items[n].item) for n in range(3)]
        await handles[0].journal.record(lines, [], dead=items)
        answers = await asyncio.gather(
            *(one.queue.replay_dead(None, now=NOW, max_age_s=60.0) for one in handles)
        )
        assert sorted(answers) == [0, 0, 0, 3]
        assert (await handles[0].queue.depth()).notifications == 3


async def test_many_letters_are_replayed_some_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transaction for all of them would not end in time."""
    monkeypatch.setattr("gateway.queue.in_postgres._LETTERS", 4)
    async with replicas(tmp_path, 1) as (handle,):
        lines = [record("msg_1", n, state=DeliveryState.DEAD) for n in range(10)]
        items = [(n, batch(items=10)[1][0].items[n].item) for n in range(10)]
        await handle.journal.record(lines, [], dead=items)
        assert await handle.queue.replay_dead(None, now=NOW, max_age_s=60.0) == 10
        assert (await handle.queue.depth()).notifications == 10
        assert await handle.queue.replay_dead(None, now=NOW, max_age_s=60.0) == 0


async def test_what_one_replica_accepts_wakes_the_others(tmp_path: Path) -> None:
    async with replicas(tmp_path, 3) as (ingest, *relays), AsyncExitStack() as stack:
        heard = [0, 0]

        def listener(place: int) -> None:
            heard[place] += 1

        for place, relay in enumerate(relays):
            wake = lambda place=place: listener(place)  # noqa: E731
            await stack.enter_async_context(store_of(relay).wakeups.listening(wake))
        await eventually("they listen", lambda: min(heard) >= 1)  # told so once at the start
        before = heard.copy()
        for n in range(50):
            await accept(ingest, f"msg_{n}")
        await eventually(
            "they heard", lambda: all(n > m for n, m in zip(heard, before, strict=True))
        )
        # one wake-up stands for many events
        assert max(heard) - max(before) < 50


async def test_what_is_due_later_wakes_nobody(tmp_path: Path) -> None:
    async with replicas(tmp_path, 1) as (handle,):
        heard: list[int] = []
        async with store_of(handle).wakeups.listening(lambda: heard.append(1)):
            await eventually("it listens", lambda: len(heard) == 1)
            await handle.queue.publish([leftover(due_at=NOW + 60)])
            await handle.queue.publish([leftover()])
            await eventually("it heard", lambda: len(heard) == 2)


async def test_a_listener_that_was_cut_off_listens_again(tmp_path: Path) -> None:
    async with replicas(tmp_path, 1) as (handle,):
        heard: list[int] = []
        async with store_of(handle).wakeups.listening(lambda: heard.append(1)):
            await eventually("it listens", lambda: len(heard) == 1)
            await sql(
                store_of(handle).database.url,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND backend_type = 'client backend' "
                "AND pid <> pg_backend_pid()",
            )
            await eventually("it looks again", lambda: len(heard) == 2)


# --- the journal by days --------------------------------------------------------------------------


async def test_replicas_that_meet_a_new_day_at_once_make_it_once(tmp_path: Path) -> None:
    async with replicas(tmp_path, 6) as handles:
        await asyncio.gather(
            *(
                handle.journal.record(
                    [record(f"msg_{n}", day=TODAY + 1000 + n % 2, index=k) for k in range(5)], []
                )
                for n, handle in enumerate(handles)
            )
        )
        assert {TODAY + 1000, TODAY + 1001} <= set(await days(handles[0]))
        for n in range(6):
            assert len(await handles[0].journal.items_of(f"msg_{n}")) == 5


async def test_a_day_that_another_replica_dropped_is_made_again(tmp_path: Path) -> None:
    async with replicas(tmp_path, 2) as (one, other):
        await one.journal.record([record("msg_1", day=TODAY - 3)], [])
        assert await other.journal.purge(before=NOW) == 1
        assert TODAY - 3 not in await days(other)
        await one.journal.record([record("msg_2", day=TODAY - 3)], [])
        assert await one.journal.progress("msg_2", [0], day=TODAY - 3) == {
            (0, 1): Progress(DeliveryState.DELIVERED, 1)
        }


async def test_a_day_goes_when_it_is_over_and_nothing_of_it_is_queued(tmp_path: Path) -> None:
    async with replicas(tmp_path, 1) as (handle,):
        written = (TODAY - 3, TODAY - 2, TODAY - 1, TODAY)
        for day in written:
            await handle.journal.record([record(f"msg_{day}", day=day)], [])
        await handle.queue.publish([leftover(f"msg_{TODAY - 2}", day=TODAY - 2)])
        # eight o'clock: yesterday began less than 48 hours ago
        assert await handle.journal.purge(before=NOW - DAY_S) == 1
        assert set(written) & set(await days(handle)) == {TODAY - 2, TODAY - 1, TODAY}
        (claim,) = await handle.queue.claim(limit=1, lease_s=60.0, now=NOW)
        await handle.queue.settle(claim, [])
        assert await handle.journal.purge(before=NOW - DAY_S) == 1
        assert set(written) & set(await days(handle)) == {TODAY - 1, TODAY}


async def test_the_days_to_come_are_made_ahead_by_housekeeping(tmp_path: Path) -> None:
    async with replicas(tmp_path, 2) as handles:
        await asyncio.gather(*(one.journal.purge(before=0.0) for one in handles))
        ((today,),) = await store_of(handles[0]).database.rows("partition_today")
        assert {today, today + 1} <= set(await days(handles[0]))


async def test_replicas_that_purge_at_once_delete_each_row_once(tmp_path: Path) -> None:
    async with replicas(tmp_path, 3) as handles:
        for n in range(20):
            await accept(handles[0], f"msg_{n}", 0, at=NOW - 5 * DAY_S)
            lines = [record(f"msg_{n}", k, day=TODAY - 5) for k in range(10)]
            await handles[0].journal.record(lines, [], done=[(f"msg_{n}", 0)])
        counts = await asyncio.gather(*(one.journal.purge(before=NOW) for one in handles))
        assert sum(counts) == 20 * (1 + 1 + 10)


async def test_replicas_that_write_the_same_deliveries_at_once_leave_the_first_end(
    tmp_path: Path,
) -> None:
    """In any order of the rows: they wait for each other in one direction."""
    async with replicas(tmp_path, 4) as handles:
        ends = [DeliveryState.DELIVERED, DeliveryState.REFUSED, DeliveryState.EXPIRED]

        async def write(place: int) -> None:
            lines = [record(index=n, state=ends[place % 3], day=TODAY) for n in range(200)]
            for _ in range(5):
                lines.reverse()
                await handles[place].journal.record(lines, [], done=[("msg_1", n) for n in (1, 0)])

        await asyncio.gather(*(write(place) for place in range(4)))
        lines = await handles[0].journal.items_of("msg_1")
        assert len(lines) == 200
        assert len({line.state for line in lines}) == 1


async def test_replicas_that_prune_and_register_at_once_agree(tmp_path: Path) -> None:
    """A registration that came first spares the device, one that came later revives it."""
    async with replicas(tmp_path, 3) as (relay, other, api):
        for number in range(15):
            device = await register(api, f"p-{number}", f"a-{number}", user_id=f"u-{number}")
            proof = removal(device)
            lines = [record(f"msg_{number}", device_id=device.id, state=DeliveryState.PRUNED)]
            await asyncio.gather(
                relay.journal.record(lines, [(0, proof)]),
                other.journal.record([lines[0]._replace(index=1)], [(0, proof)]),
                api.registry.register(
                    registration(f"p-{number}", f"a-{number}", user_id=f"u-{number}"),
                    proven=None,
                    now=NOW + 1,
                ),
            )
            (now,) = await api.registry.devices_of(UserRef(user_id=f"u-{number}"))
            assert now.state.value == "active"
            assert now.id == device.id


async def test_a_record_of_one_batch_keeps_to_whom_the_first_word_was_said(tmp_path: Path) -> None:
    async with replicas(tmp_path, 1) as (handle,):
        first = record(state=DeliveryState.PENDING, user_id="mary", app="agent")
        last = record(state=DeliveryState.EXPIRED, user_id=None, app="", provider="", attempts=3)
        await handle.journal.record([first, last, last._replace(attempts=9)], [])
        (line,) = await handle.journal.items_of("msg_1")
        assert line == last._replace(user_id="mary", app="agent", provider="fcm")


# --- heartbeats -----------------------------------------------------------------------------------


async def test_a_heartbeat_counts_the_relays_that_live(tmp_path: Path) -> None:
    async with replicas(tmp_path, 1) as (handle,):
        beats = handle.store.replicas
        assert await beats.beat("a", "all", now=NOW) == 1
        assert await beats.beat("b", "relay", now=NOW + 9_999) == 2  # whatever its clock says
        assert await beats.beat("c", "ingest", now=NOW) == 2
        assert await beats.beat("a", "all", now=NOW) == 2
        await beats.leave("b")
        assert await beats.beat("c", "ingest", now=NOW) == 1


async def test_a_replica_that_fell_silent_is_not_counted_and_later_forgotten(
    tmp_path: Path,
) -> None:
    async with replicas(tmp_path, 1) as (handle,):
        url = store_of(handle).database.url
        for name in ("a", "b", "c"):
            await handle.store.replicas.beat(name, "relay", now=NOW)
        await sql(
            url,
            "UPDATE replicas SET seen_at = now() - interval '16 s' WHERE replica = 'b'",
            "UPDATE replicas SET seen_at = now() - interval '2 h' WHERE replica = 'c'",
        )
        assert await handle.store.replicas.beat("a", "relay", now=NOW) == 1
        rows = await sql(url, "SELECT replica FROM replicas ORDER BY replica")
        assert [row[0] for row in rows] == ["a", "b"]


async def test_the_oldest_that_was_seen_within_a_minute_says_what_is_written(
    tmp_path: Path,
) -> None:
    async with replicas(tmp_path, 2) as (handle, other):
        url = store_of(handle).database.url
        beats, forms = handle.store.replicas, handle.store.replicas.forms
        assert forms.writes == NEWEST
        await beats.beat("a", "all", now=NOW)
        ((reads, writes),) = await sql(url, "SELECT reads, writes FROM replicas")
        assert (reads, writes) == (NEWEST, NEWEST)
        # as the release before has it, which knows no forms
        before = "INSERT INTO replicas (replica, role, seen_at) VALUES ('old', 'ingest', now())"
        await sql(url, before, "SELECT 1")
        await beats.beat("a", "all", now=NOW)
        await other.store.replicas.look()
        assert (forms.writes, other.store.replicas.forms.writes) == (OLDEST, OLDEST)
        await beats.beat("a", "all", now=NOW)
        ((writes,),) = await sql(url, "SELECT writes FROM replicas WHERE replica = 'a'")
        assert writes == OLDEST
        for silent, form in ((58, OLDEST), (62, NEWEST)):
            aged = f"UPDATE replicas SET seen_at = now() - interval '{silent} s'"
            await sql(url, f"{aged} WHERE replica = 'old'", "SELECT 1")
            await beats.beat("a", "all", now=NOW)
            assert forms.writes == form
        # one that leaves in order is waited for no longer
        await sql(url, "UPDATE replicas SET seen_at = now()", "SELECT 1")
        await beats.beat("a", "all", now=NOW)
        assert forms.writes == OLDEST
        await beats.leave("old")
        await beats.beat("a", "all", now=NOW)
        assert forms.writes == NEWEST


# --- imports --------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(12))
async def test_an_import_in_bulk_does_what_one_after_the_other_would(
    tmp_path: Path, seed: int
) -> None:
    """SQLite takes them one after the other."""
    rng = random.Random(seed)
    batches = [
        [
            registration(
                f"phone-{rng.randrange(12)}",
                f"address-{rng.randrange(12)}",
                app=rng.choice(["agent", "learner"]),
                user_id=rng.choice([None, *(f"user-{n}" for n in range(6))]),
                custom_id=f"custom-{rng.randrange(6)}",
                old_address=rng.choice([None, None, f"address-{rng.randrange(12)}"]),
                seen_at=rng.choice([None, 0.0, NOW - 9, NOW + 1, NOW + 3]),
            )
            for _ in range(rng.randrange(1, 9))
        ]
        for _ in range(6)
    ]
    gone = [(f"phone-{rng.randrange(12)}", f"custom-{rng.randrange(6)}") for _ in batches]
    forced = [rng.random() < 0.3 for _ in batches]
    told = []
    for backend in ("sqlite", "postgres"):
        async with BACKENDS[backend].open(tmp_path, lambda: NOW) as handle:
            counts = []
            for n, batch in enumerate(batches):
                done = await handle.registry.register_many(batch, now=NOW + n, force=forced[n])
                counts.append(done)
                phone, person = gone[n]
                await handle.registry.forget(phone, proven=None, now=NOW + n)
                if n % 2:
                    await handle.registry.erase(UserRef(custom_id=person), now=NOW + n)
            devices = [
                replace(device, id=0) async for page in handle.registry.export() for device in page
            ]
        told.append((counts, sorted(devices, key=lambda one: (one.installation_id, one.app))))
    assert told[0] == told[1]


@pytest.mark.parametrize("address", ["address", "newer"], ids=["as it is", "moved"])
async def test_an_import_beside_logouts_brings_none_of_them_back(
    tmp_path: Path, address: str
) -> None:
    """Whether it meets the row or what is left of it: the last word is the logout's."""
    async with replicas(tmp_path, 2) as (importing, other):
        for turn in range(4):
            phones = [f"phone-{turn}-{n}" for n in range(30)]
            for phone in phones:
                await register(importing, phone, f"address-{phone}", user_id=phone, now=NOW)
            lines = [
                registration(phone, f"{address}-{phone}", user_id=phone, seen_at=NOW + 1)
                for phone in phones
            ]
            await asyncio.gather(
                importing.registry.register_many(lines, now=NOW + 2),
                *(other.registry.forget(phone, proven=None, now=NOW + 2) for phone in phones),
                *(
                    other.registry.erase(UserRef(user_id=phone), now=NOW + 2)
                    for phone in phones[::5]
                ),
            )
        assert await importing.registry.count() == {}


async def test_what_a_process_claimed_comes_out_at_once_when_it_ends_in_order(
    tmp_path: Path,
) -> None:
    async with replicas(tmp_path, 2) as (ending, other):
        for n in range(6):
            await accept(ending, f"msg_{n}")
        assert isinstance(ending.queue, PostgresQueue)
        held = await other.queue.claim(limit=1, lease_s=120, now=NOW)
        await ending.queue.claim(limit=2, lease_s=120, now=NOW)
        # an end in the middle of a claim, which nobody hears of
        unheard = asyncio.create_task(ending.queue.claim(limit=2, lease_s=120, now=NOW))
        await asyncio.sleep(0)
        unheard.cancel()
        await asyncio.wait([unheard])
        await ending.queue.let_go()
        claims = await other.queue.claim(limit=9, lease_s=120, now=NOW)
        assert len(held) == 1
        assert len(claims) == 5
        assert {claim.tries for claim in claims} == {1}


@pytest.mark.parametrize("of", ["the queue", "the journal"])
@pytest.mark.parametrize("own", [True, False])
async def test_an_event_whose_first_answer_was_lost_is_no_duplicate_of_itself(
    tmp_path: Path, of: str, own: bool
) -> None:
    """The second attempt may begin before the first has ended: it waits for its row, but does not
    see it."""
    async with replicas(tmp_path, 1) as (handle,):
        event, chunks = batch()
        store = handle.store
        assert isinstance(store, PostgresStore)
        database = store.database
        values = arriving(event if own else replace(event, received_at=NOW - 1), NEWEST)
        once = database.row_or_again

        async def again(query: str, *values: Any) -> tuple[Any, bool]:
            return (await once(query, *values))[0], True

        database.row_or_again = again  # type: ignore[method-assign]  # the first answer is lost
        first = await asyncpg.connect(database.url)
        await first.execute("BEGIN")
        await first.fetch(database.sql["event_insert"], *values)
        if of == "the queue":
            second = asyncio.create_task(handle.queue.accept(event, chunks))
        else:
            second = asyncio.create_task(_begins(store, event))

        async def waits() -> bool:
            waiting = "SELECT 1 FROM pg_locks WHERE NOT granted"
            return len(await sql(database.url, waiting)) > 0

        await eventually("it waits", waits)
        await first.execute("COMMIT")
        await first.close()
        assert await second is own


async def _begins(store: PostgresStore, event: Event) -> bool:
    return await store.journal.begin(event) is None


async def test_a_receipt_that_comes_beside_a_no_is_not_kept(tmp_path: Path) -> None:
    async with replicas(tmp_path, 1) as (handle,):
        assert isinstance(handle.store, PostgresStore)
        device = await register(handle, "phone", "address", profile=Profile(measure="granted"))
        await accept(handle, "msg_1", [item()])
        await handle.journal.record([record("msg_1", 0, device.id, day=TODAY)], [])
        told = Told(Key("msg_1", 0, device.id, TODAY, "granted"), Kind.OPENED, NOW, 1.0, even=True)
        saying = await asyncpg.connect(handle.store.database.url)
        try:
            transaction = saying.transaction()
            await transaction.start()
            await saying.execute("UPDATE devices SET measure = 'denied'")
            keeping = asyncio.create_task(handle.store.receipts.keep([told], rule="opt_in"))

            async def waits() -> bool:
                asked = "SELECT EXISTS (SELECT 1 FROM pg_locks WHERE NOT granted)"
                return keeping.done() or await saying.fetchval(asked)

            await eventually("the receipt waits for what is being said", waits)
            await transaction.commit()
            (kept,) = await keeping
        finally:
            await saying.close()
        assert kept.refusal == "not_measured"
        assert (await handle.store.receipts.of([record("msg_1", 0, device.id)])).rows == []
