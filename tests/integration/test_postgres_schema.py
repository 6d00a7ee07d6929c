"""What others drop in the database while a gateway runs: noticed, told, made if nothing is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import asyncpg
import pytest

from gateway.core.model import day_of
from gateway.core.pace import Pace
from gateway.errors import StoreUnavailable
from gateway.ports import Standing
from gateway.store.postgres import PostgresStore, migrating, open_postgres
from gateway.store.postgres.partitions import make_partition
from gateway.store.postgres.schema import schema
from gateway.store.queries import load_migrations
from tests.kit.audience import androids
from tests.kit.commands import Workplace
from tests.kit.gateway import eventually
from tests.kit.postgres import databases
from tests.kit.relay_rig import RelayRig, Running

SOON = Pace(schema_s=0.1)


@dataclass
class Site:
    rig: RelayRig
    connection: Any

    def running(self) -> Any:
        return self.rig.gateway(self.rig.settings(), SOON)

    async def sql(self, text: str) -> Any:
        return await self.connection.fetch(text)

    async def relations(self) -> set[str]:
        rows = await self.sql(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace "
            "AND relkind IN ('r', 'p', 'i', 'I') AND relname !~ '_d[0-9]+'"
        )
        return {row[0] for row in rows}


@pytest.fixture
async def site(shared_rig: RelayRig) -> AsyncIterator[Site]:
    connection = await asyncpg.connect(shared_rig.store_url)
    yield Site(shared_rig, connection)
    await connection.close()


async def told(running: Running) -> dict[str, str]:
    """What /readyz says is not well."""
    found = {name: await probe() for name, probe in running.gateway.probes().items()}
    standing: dict[str, Standing] = running.gateway.gauges.lane_states()
    reasons = {name: one.reason for name, one in standing.items()}
    return {name: reason for name, reason in (found | reasons).items() if reason}


async def test_the_schema_is_what_the_migrations_come_to(site: Site) -> None:
    async with site.running():
        there = await site.relations()
    beside = ("schema_migrations", "store_copy")  # the second is `store copy`'s own
    there -= {name + key for name in beside for key in ("", "_pkey")}
    whole = schema()
    assert there == whole.tables.keys() | whole.indexes.keys() | whole.keys.keys()


@pytest.mark.parametrize("index", sorted(schema().indexes))
async def test_an_index_that_is_dropped_is_built_again(site: Site, index: str) -> None:
    async with site.running():
        before = await site.sql(f"SELECT pg_get_indexdef('{index}'::regclass)")
        await site.sql(f"DROP INDEX {index}")

        async def is_back() -> bool:
            return index in await site.relations()

        await eventually("it is there", is_back)
        assert await site.sql(f"SELECT pg_get_indexdef('{index}'::regclass)") == before


@pytest.mark.parametrize("table", ["pulse", "replicas", "server_life", "trial"])
async def test_a_table_that_holds_nothing_that_lasts_is_made_again(site: Site, table: str) -> None:
    phones = androids(range(3))
    columns = (
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute "
        f"WHERE attrelid = '{table}'::regclass AND attnum > 0 ORDER BY attnum"
    )
    async with site.running() as running:
        before = await site.sql(columns)
        await site.sql(f"DROP TABLE {table}")

        async def is_well() -> bool:
            return table in await site.relations() and await told(running) == {}

        await eventually("it is well", is_well)
        assert await site.sql(columns) == before
        await running.register(*phones)
        await running.queue_for("msg_1", phones)
        assert await running.settled("msg_1") == {"delivered": 3}


@pytest.mark.parametrize("act", ["DROP TABLE {}", "ALTER TABLE deliveries DETACH PARTITION {}"])
async def test_a_day_that_is_gone_is_made_or_attached_again(site: Site, act: str) -> None:
    phones = androids(range(3))
    async with site.running() as running:
        await running.register(*phones)
        await running.queue_for("msg_1", phones)
        assert await running.settled("msg_1") == {"delivered": 3}
        await site.sql(act.format(f"deliveries_d{day_of(running.clock())}"))
        await running.queue_for("msg_2", phones)
        assert await running.settled("msg_2") == {"delivered": 3}
        kept = {"delivered": 3} if "DETACH" in act else {"pending": 3}
        assert await running.states("msg_1") == kept


@pytest.mark.parametrize("table", ["devices", "events", "queue", "deliveries", "lanes"])
async def test_a_table_of_what_lasts_is_asked_for_until_a_person_makes_it(
    site: Site, table: str
) -> None:
    folder = site.rig.folder / "place"
    folder.mkdir()
    place = Workplace.make(folder)
    place.variables["INKPUSH_STORE__URL"] = site.rig.store_url
    async with site.running() as running:
        await site.sql(f"DROP TABLE {table} CASCADE")

        async def is_told() -> bool:
            found = (await told(running)).get("store", "")
            return f"table {table}" in found and "inkpush migrate --missing" in found

        await eventually("it is told", is_told)
        with pytest.raises(StoreUnavailable, match="inkpush migrate --missing"):
            await open_postgres(site.rig.store_url)
        made = place.run("migrate", "--missing")
        assert made.status == 0, made.err
        assert table in made.out

        async def is_well() -> bool:
            return await told(running) == {}

        await eventually("it is well", is_well)
        phones = androids(range(3))
        await running.register(*phones)
        await running.queue_for("msg_1", phones)
        assert await running.settled("msg_1") == {"delivered": 3}


@dataclass
class Database:
    """A database of its own, and somebody else who works on it."""

    url: str
    connection: Any

    async def sql(self, *texts: str) -> Any:
        """Run statements; the rows of the last."""
        return [await self.connection.fetch(text) for text in texts][-1]

    async def tables_in(self, schema: str) -> list[str]:
        found = await self.sql(f"SELECT tablename FROM pg_tables WHERE schemaname = '{schema}'")
        return [row[0] for row in found]


@pytest.fixture
async def database() -> AsyncIterator[Database]:
    url = await databases().create()
    connection = await asyncpg.connect(url, server_settings={"application_name": "pg_dump"})
    yield Database(url, connection)
    await connection.close()


def about_indexes(store: PostgresStore) -> str:
    """What /readyz says of them; "": nothing."""
    standing = store.schema.standing
    return "" if standing is None else standing.reason


async def test_a_migration_that_has_to_wait_holds_up_nobody_and_says_for_whom(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = load_migrations("postgres")
    more = (known[-1][0] + 1, "ALTER TABLE lanes ADD COLUMN more integer")
    monkeypatch.setattr(migrating, "load_migrations", lambda _dialect: [*known, more])
    monkeypatch.setattr(migrating, "_PAUSE_S", 0.5)
    waits: list[str] = []
    await database.sql("BEGIN", "SELECT count(*) FROM lanes", "SELECT pg_sleep(1.1)")
    opening = asyncio.create_task(open_postgres(database.url, waits=waits.append))
    relay = await asyncpg.connect(database.url)
    for _ in range(2):
        told = len(waits)
        await eventually("it is told", lambda told=told: len(waits) > told)
        # as every statement of a relay
        await relay.fetch("UPDATE lanes SET seen_at = 0", timeout=3.0)
    assert "pg_dump (process " in waits[0]
    assert not opening.done()
    await database.sql("COMMIT")
    await (await opening).aclose()
    await relay.fetch("SELECT more FROM lanes")
    await relay.close()


async def test_an_index_whose_table_somebody_has_locked_is_built_later(database: Database) -> None:
    store = await open_postgres(database.url)
    await database.sql("DROP INDEX events_received")
    await database.sql("BEGIN", "LOCK TABLE events IN ROW EXCLUSIVE MODE", "SELECT pg_sleep(1.1)")
    async with asyncio.timeout(60.0):
        await store.schema.look()
    assert "events_received" in about_indexes(store)
    assert "pg_dump (process " in about_indexes(store)
    await database.sql("COMMIT")
    await store.schema.look()
    assert about_indexes(store) == ""
    await store.aclose()


async def test_an_index_that_is_half_built_is_told_and_left_to_a_person(database: Database) -> None:
    """Somebody may be building it, with CREATE INDEX CONCURRENTLY."""
    store = await open_postgres(database.url)
    half = "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'events_received'::regclass"
    there = "SELECT oid, indisvalid FROM pg_class JOIN pg_index ON oid = indexrelid"
    there += " WHERE relname = 'events_received'"
    await database.sql(half)
    before = await database.sql(there)
    await store.schema.look()
    assert await database.sql(there) == before
    assert "half built" in about_indexes(store)
    assert await store.schema.make_missing() == ["events_received"]
    ((_, is_valid),) = await database.sql(there)
    assert is_valid
    await store.schema.look()
    assert about_indexes(store) == ""
    await store.aclose()


async def test_a_schema_that_comes_before_ours_in_the_search_path_changes_nothing(
    database: Database,
) -> None:
    """PostgreSQL looks into the schema that is named after the user first, once there is one."""
    store = await open_postgres(database.url)
    ((user,),) = await database.sql("SELECT current_user")
    day = 20_000
    await store.database.write(partial(make_partition, day=day))
    await database.sql(f'CREATE SCHEMA "{user}"')
    await database.sql(f"ALTER TABLE deliveries DETACH PARTITION deliveries_d{day}")
    await store.database.renew()
    for missing in (day, day + 1):
        await store.database.write(partial(make_partition, day=missing))
    await store.schema.look()
    assert (store.schema.refusal, store.schema.standing) == (None, None)
    assert await database.tables_in(user) == []
    assert f"deliveries_d{day + 1}" in await database.tables_in("public")
    await database.sql("DROP TABLE pulse")
    with pytest.raises(StoreUnavailable, match=r"in the schema public, .* search_path"):
        await store.schema.make_missing()
    await store.schema.look()
    assert await database.tables_in(user) == []
    assert "pulse" in (store.schema.refusal or "")
    await store.aclose()


async def test_a_listener_that_is_cut_off_is_told_and_listens_again(site: Site) -> None:
    async with site.running() as running:
        wakeups = running.stores.store.wakeups

        async def hears() -> bool:
            return wakeups.trouble is None

        heard: list[str] = []
        kill = (
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND query LIKE '%pg_notify%' "
            "AND pid <> pg_backend_pid()"
        )

        async def is_cut() -> bool:
            return len(await site.sql(kill)) > 0

        await eventually("it listened, and is cut off", is_cut)

        def is_told() -> bool:
            heard.extend(
                one.reason
                for part, one in running.gateway.gauges.lane_states().items()
                if part == "queue/wakeups"
            )
            return bool(heard)

        await eventually("it is told", is_told)
        assert "LISTEN" in heard[0]
        await eventually("it hears again", hears)


async def test_a_listener_that_hears_nothing_is_told(site: Site) -> None:
    """As behind a pooler that gives each statement another connection."""
    async with site.running() as running:
        wakeups = running.stores.store.wakeups
        wakeups._database.sql = dict(wakeups._database.sql) | {
            "announce": "SELECT 1 WHERE $1::text <> ''"
        }

        async def is_told() -> bool:
            return "session mode" in (await told(running)).get("queue/wakeups", "")

        await eventually("it is told", is_told)
