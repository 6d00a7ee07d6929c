"""A database that is not what it was: on PostgreSQL, and behind a queue that is ahead of it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import asyncpg
import pytest

from gateway.app.doubts import AHEAD_S, look, stop_pruning
from gateway.app.storage import Stores
from gateway.core.clocks import Wall
from gateway.errors import DatabaseRefused, SchemaMismatch, StoreUnavailable
from gateway.events import GatewayEvent, Lifecycle
from gateway.ports import LaneRow
from gateway.queue.nats import newest_event
from gateway.store.postgres import open_postgres
from tests.kit.build import NOW
from tests.kit.nats_cluster import running_cluster
from tests.kit.postgres import databases
from tests.kit.stores import (
    BACKENDS,
    Handle,
    accept,
    batch,
    fresh_secret,
    jetstream_queue,
    leftover,
)
from tests.kit.streams import STREAMS


async def tell(url: str, *statements: str) -> list[str]:
    """Do to a database what another program does; returns its tables."""
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
        rows = await connection.fetch(
            "SELECT schemaname || '.' || tablename FROM pg_tables "
            "WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1"
        )
    finally:
        await connection.close()
    return [name for (name,) in rows]


OTHERS = {
    "a table": ("CREATE TABLE contacts (x int)",),
    "a name like ours": ("CREATE TABLE devices (x int)",),
    "Rails": (
        "CREATE TABLE schema_migrations (version varchar PRIMARY KEY)",
        "INSERT INTO schema_migrations VALUES ('20260101120000')",
        "CREATE TABLE users (x int)",
    ),
    "Ecto": (
        "CREATE TABLE schema_migrations (version bigint PRIMARY KEY, inserted_at timestamp)",
        "CREATE TABLE devices (x int)",
        "CREATE TABLE events (x int)",
    ),
}


@pytest.mark.parametrize("statements", OTHERS.values(), ids=OTHERS)
async def test_another_applications_database_is_refused_and_not_changed(
    statements: tuple[str, ...],
) -> None:
    url = await databases().create(empty=True)
    before = await tell(url, *statements)
    for _ in range(2):
        with pytest.raises(DatabaseRefused, match="another application's"):
            await open_postgres(url, fresh=fresh_secret)
    assert await tell(url) == before


async def test_a_schema_of_its_own_beside_another_application_is_taken() -> None:
    url = await databases().create(empty=True)
    await tell(url, *OTHERS["Rails"], "CREATE SCHEMA inkpush")
    mine = f"{url}?options=-csearch_path%3Dinkpush"
    store = await open_postgres(mine, fresh=fresh_secret)
    assert store.is_new
    await store.aclose()
    assert "inkpush.devices" in await tell(url)


async def test_a_new_database_is_made_only_where_none_is_expected() -> None:
    url = await databases().create(empty=True)
    with pytest.raises(DatabaseRefused, match="existing"):
        await open_postgres(url, may_make=False)
    assert await tell(url) == []
    for is_new in (True, False):
        store = await open_postgres(url, may_make=is_new)
        assert store.is_new is is_new
        await store.aclose()


async def test_a_newer_schema_is_told_and_nothing_is_changed() -> None:
    url = await databases().create()
    before = await tell(url, "INSERT INTO schema_migrations (version) VALUES (999)")
    with pytest.raises(SchemaMismatch, match=r"has schema 999, .* install the newer version"):
        await open_postgres(url)
    assert await tell(url) == before


@pytest.mark.parametrize("backend", ["sqlite", "postgres"])
@pytest.mark.parametrize(("ahead", "doubted"), [(0, False), (AHEAD_S, False), (AHEAD_S + 1, True)])
async def test_dates_of_the_future_turn_every_brake_on_and_are_told_once(
    tmp_path: Path, backend: str, ahead: float, doubted: bool
) -> None:
    told: list[GatewayEvent] = []
    async with BACKENDS[backend].open(tmp_path, lambda: NOW) as handle:
        stores = Stores(handle.store, handle.queue, "here", "")
        await handle.lanes.report([LaneRow("agent", "fcm"), LaneRow("agent", "apns")])
        await accept(handle, at=NOW + ahead)
        for _ in range(2):
            found = await stop_pruning(stores, [], now=Wall(NOW), observer=told.append)
            assert [doubt.what for doubt in found] == ["future"] * doubted
        assert [row.brake_at is not None for row in await handle.lanes.all()] == [doubted] * 2
        assert len(told) == doubted
        for row in await handle.lanes.all():
            await handle.lanes.release(row.app, row.provider, now=NOW + 1)
        # a brake of later is no reason to doubt
        await handle.lanes.trip_brake("agent", "fcm", now=NOW + 2)
        assert await stop_pruning(stores, [], now=Wall(NOW), observer=told.append) == []
    match told:
        case [Lifecycle("database_doubted", detail)]:
            assert "dates of the future" in detail
        case _:
            assert not told


@pytest.mark.parametrize("backend", ["sqlite", "postgres"])
@pytest.mark.parametrize("fails_at", [0, 1])
async def test_a_failure_between_the_brakes_loses_no_protection(
    tmp_path: Path, backend: str, fails_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[GatewayEvent] = []
    async with BACKENDS[backend].open(tmp_path, lambda: NOW) as handle:
        stores = Stores(handle.store, handle.queue, "here", "")
        await handle.lanes.report([LaneRow("agent", "fcm"), LaneRow("agent", "apns")])
        await accept(handle, at=NOW + 9_000)
        trip, calls = handle.lanes.trip_brake, 0

        async def fails(app: str, provider: str, *, now: float) -> None:
            nonlocal calls
            if calls == fails_at:
                raise StoreUnavailable("the test cut the cable")
            calls += 1
            await trip(app, provider, now=now)

        with monkeypatch.context() as cut:
            cut.setattr(handle.lanes, "trip_brake", fails)
            with pytest.raises(StoreUnavailable):
                await stop_pruning(stores, [], now=Wall(NOW), observer=told.append)
        # the next start
        assert await stop_pruning(stores, [], now=Wall(NOW + 5), observer=told.append)
        assert all(row.brake_at is not None for row in await handle.lanes.all())
        assert len(told) == 1


async def test_a_queue_ahead_of_the_journal_is_told(tmp_path: Path) -> None:
    """PostgreSQL was restored to a time before the newest chunk."""
    running_cluster()
    async with (
        databases().using(tmp_path) as url,
        STREAMS.using(tmp_path, 60.0) as spec,
    ):
        store = await open_postgres(url, fresh=fresh_secret)
        queue = jetstream_queue(store, spec, clock=lambda: NOW)
        await queue.start()
        stores = Stores(
            store, queue, "here", "", newest_queued=partial(newest_event, queue._link, spec)
        )
        assert await look(stores, now=Wall(NOW)) == []
        await accept(Handle(store, queue), "msg_known", at=NOW)
        assert await look(stores, now=Wall(NOW)) == []
        _, chunks = batch("msg_of_after", at=NOW)
        await queue._stream.publish(chunks)
        (doubt,) = await look(stores, now=Wall(NOW))
        assert (doubt.what, doubt.value) == ("queue", "msg_of_after")
        # a replay may outlive its event
        await queue._stream.publish([replace(leftover("msg_long_ago"), number=-1)])
        assert await look(stores, now=Wall(NOW)) == []
        await queue.aclose()
        await store.aclose()
