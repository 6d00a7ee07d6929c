"""The database does not know where its work runs: the same one works without a thread."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from functools import partial
from itertools import count

import pytest

from gateway.errors import SchemaMismatch, StoreUnavailable
from gateway.store.sqlite import SqliteDatabase, SqliteStore
from gateway.store.sqlite.jobs import GROUP
from gateway.store.sqlite.opening import migrate
from tests.kit.build import NOW
from tests.kit.engines import LoopEngine, in_memory
from tests.kit.stores import Handle, accept, batch, register, sqlite_queue


@pytest.fixture
def engine() -> LoopEngine:
    return LoopEngine(in_memory())


@pytest.fixture
async def handle(engine: LoopEngine) -> AsyncIterator[Handle]:
    store = SqliteStore(SqliteDatabase(engine), max_per_user=20)
    names = (f"name-{number}" for number in count())
    queue = sqlite_queue(store, clock=lambda: NOW, new_id=partial(next, names))
    yield Handle(store, queue)
    await store.aclose()


async def test_store_and_queue_work_on_the_loop_alone(handle: Handle) -> None:
    before = threading.active_count()
    await register(handle, "phone-1", "address-1", user_id="mary")
    await accept(handle, "msg_1")
    (claim,) = await handle.queue.claim(limit=10, lease_s=60.0, now=NOW)
    (found,) = await handle.registry.targets([entry.item for entry in claim.chunk.items])
    assert [target.address.value for target in found] == ["address-1"]
    assert await handle.queue.settle(claim, [])
    assert (await handle.queue.depth()).notifications == 0
    assert claim.lease_id == "name-0-1"
    assert threading.active_count() == before


async def test_what_is_asked_at_once_shares_commits_in_the_order_it_came(
    handle: Handle, engine: LoopEngine
) -> None:
    engine.groups.clear()
    names = [f"msg_{number:03}" for number in range(GROUP + 6)]
    await asyncio.gather(*(handle.queue.accept(*batch(name)) for name in names))
    assert engine.groups == [GROUP, 6]
    claims = await handle.queue.claim(limit=100, lease_s=60.0, now=NOW)
    assert [claim.chunk.event_id for claim in claims] == names


async def test_one_that_fails_takes_nothing_of_its_group_along(engine: LoopEngine) -> None:
    database = SqliteDatabase(engine)
    queue = sqlite_queue(SqliteStore(database, max_per_user=20), clock=lambda: NOW)

    def fail(connection: sqlite3.Connection) -> None:
        connection.execute("DELETE FROM queue")
        connection.execute("SELECT no_such_function()")

    results = await asyncio.gather(
        queue.accept(*batch("msg_1")),
        database.write(fail),
        queue.accept(*batch("msg_2")),
        return_exceptions=True,
    )
    assert engine.groups == [3]
    assert [type(result) for result in results] == [bool, StoreUnavailable, bool]
    assert (await queue.depth()).notifications == 2
    await database.aclose()


async def test_a_closed_database_asks_its_engine_nothing(engine: LoopEngine) -> None:
    database = SqliteDatabase(engine)
    await database.aclose()
    with pytest.raises(StoreUnavailable):
        await database.write(lambda connection: connection.execute("SELECT 1"))
    assert engine.groups == []


def test_a_database_that_is_open_already_gets_the_schema_once() -> None:
    connection = in_memory()
    before = connection.execute("SELECT name, sql FROM sqlite_master").fetchall()
    migrate(connection, "memory")
    assert connection.execute("SELECT name, sql FROM sqlite_master").fetchall() == before
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    connection.execute(f"PRAGMA user_version = {version + 1}")
    with pytest.raises(SchemaMismatch, match="memory has schema"):
        migrate(connection, "memory")
    assert not connection.in_transaction
    connection.close()
