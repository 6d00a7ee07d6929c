"""The SQLite file: commits that are shared, snapshots that are whole, an end that is orderly."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import InstallationOwned, StoreUnavailable
from gateway.store.sqlite import SqliteDatabase, open_database

Work = Callable[[sqlite3.Connection], Any]


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[SqliteDatabase]:
    opened = await open_database(tmp_path / "inkpush.db")
    await opened.write(
        lambda c: c.execute("CREATE TABLE notes (name TEXT UNIQUE, text BLOB)").close()
    )
    yield opened
    await opened.aclose()


def note(name: str, text: bytes = b"") -> Work:
    return lambda c: c.execute("INSERT INTO notes VALUES (?, ?)", (name, text)).rowcount


async def names(database: SqliteDatabase) -> list[str]:
    rows = await database.read(
        lambda c: c.execute("SELECT name FROM notes ORDER BY name").fetchall()
    )
    return [name for (name,) in rows]


class Blocked:
    """Keeps the writing thread busy, so that what is asked meanwhile becomes one group."""

    def __init__(self, database: SqliteDatabase) -> None:
        self.database = database
        self.go = threading.Event()
        self.began = asyncio.Event()
        self.statements: list[str] = []

    async def __aenter__(self) -> Blocked:
        loop = asyncio.get_running_loop()

        def wait(connection: sqlite3.Connection) -> None:
            connection.set_trace_callback(self.statements.append)
            loop.call_soon_threadsafe(self.began.set)
            self.go.wait(30)

        self.waiting = asyncio.ensure_future(self.database.write(wait))
        await self.began.wait()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.go.set()
        await self.waiting


async def together(database: SqliteDatabase, *works: Work) -> tuple[list[Any], list[str]]:
    """Do the works in one group. Returns their results or errors, and the SQL of it all."""
    async with Blocked(database) as blocked:
        asked = [asyncio.ensure_future(database.write(work)) for work in works]
        await asyncio.sleep(0)
    return await asyncio.gather(*asked, return_exceptions=True), blocked.statements


# --- shared commits -----------------------------------------------------------------------------


async def test_writes_that_arrive_together_share_one_commit(database: SqliteDatabase) -> None:
    results, statements = await together(database, *(note(f"n{i:02}") for i in range(20)))
    assert results == [1] * 20
    assert await names(database) == [f"n{i:02}" for i in range(20)]
    # the blocker's own commit, and one for all the others
    assert statements.count("COMMIT") == 2


def fails_half_way(error: Exception) -> Work:
    def work(connection: sqlite3.Connection) -> None:
        note("half")(connection)
        raise error

    return work


async def test_a_domain_error_undoes_its_own_changes_alone(database: SqliteDatabase) -> None:
    error = InstallationOwned()
    results, statements = await together(
        database, note("before"), fails_half_way(error), note("after")
    )
    assert results == [1, error, 1]
    assert await names(database) == ["after", "before"]
    assert statements.count("COMMIT") == 2


async def test_a_write_that_is_alone_and_fails_leaves_nothing_and_the_next_one_goes(
    database: SqliteDatabase,
) -> None:
    with pytest.raises(InstallationOwned):
        await database.write(fails_half_way(InstallationOwned()))
    with pytest.raises(StoreUnavailable):
        await database.write(fails_half_way(sqlite3.OperationalError("disk I/O error")))
    assert await names(database) == []
    assert await database.write(note("after")) == 1
    assert await names(database) == ["after"]


async def test_a_write_whose_transaction_ended_under_it_is_not_called_durable(
    database: SqliteDatabase,
) -> None:
    def loses_it(connection: sqlite3.Connection) -> None:
        note("lost")(connection)
        connection.execute("ROLLBACK")

    with pytest.raises(StoreUnavailable):
        await database.write(loses_it)
    assert await database.write(note("after")) == 1
    assert await names(database) == ["after"]


async def test_an_error_of_the_database_undoes_its_own_changes_alone(
    database: SqliteDatabase,
) -> None:
    def twice(connection: sqlite3.Connection) -> None:
        note("half")(connection)
        note("before")(connection)

    results, _ = await together(database, note("before"), twice, note("after"))
    assert isinstance(results[1], StoreUnavailable)
    assert isinstance(results[1].__cause__, sqlite3.IntegrityError)
    assert [results[0], results[2]] == [1, 1]
    assert await names(database) == ["after", "before"]


async def test_a_mistake_of_ours_reaches_its_caller_and_nobody_else(
    database: SqliteDatabase,
) -> None:
    error = KeyError("a mistake")
    results, _ = await together(database, note("before"), fails_half_way(error), note("after"))
    assert results == [1, error, 1]
    assert await names(database) == ["after", "before"]


async def test_a_caller_who_stops_waiting_does_not_stop_the_others(
    database: SqliteDatabase,
) -> None:
    async with Blocked(database):
        impatient = asyncio.ensure_future(database.write(note("impatient")))
        patient = asyncio.ensure_future(database.write(note("patient")))
        await asyncio.sleep(0)
        impatient.cancel()
    assert await patient == 1
    assert impatient.cancelled()
    assert "patient" in await names(database)


async def test_more_writes_than_a_group_takes_are_all_done(database: SqliteDatabase) -> None:
    results, statements = await together(database, *(note(f"n{i}") for i in range(200)))
    assert results == [1] * 200
    assert 2 < statements.count("COMMIT") < 20


async def test_a_write_that_does_not_fit_fails_and_says_so_and_the_next_one_goes(
    database: SqliteDatabase,
) -> None:
    """SQLite may end the whole transaction then: whoever was told of success must be there."""

    def limit(connection: sqlite3.Connection, spare: int = 4) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages + spare}").fetchone()

    await database.write(limit)
    works = [note("small-1"), note("large", bytes(1_000_000)), note("small-2")]
    results, _ = await together(database, *works)
    assert isinstance(results[1], StoreUnavailable)
    done = [
        name for name, r in zip(("small-1", "large", "small-2"), results, strict=True) if r == 1
    ]
    assert await names(database) == done
    assert all(result == 1 or isinstance(result, StoreUnavailable) for result in results)
    await database.write(lambda c: c.execute("PRAGMA max_page_count = 1000000").fetchone())
    assert await database.write(note("large", bytes(1_000_000))) == 1


# --- reading ------------------------------------------------------------------------------------


async def test_a_read_sees_one_snapshot_whatever_is_written_meanwhile(
    database: SqliteDatabase,
) -> None:
    began, go = threading.Event(), threading.Event()

    def count_twice(connection: sqlite3.Connection) -> list[int]:
        count = "SELECT count(*) FROM notes"
        first = connection.execute(count).fetchone()[0]
        began.set()
        go.wait(30)
        return [first, connection.execute(count).fetchone()[0]]

    reading = asyncio.ensure_future(database.read(count_twice))
    await asyncio.to_thread(began.wait, 30)
    await database.write(note("meanwhile"))
    go.set()
    assert await reading == [0, 0]
    assert await names(database) == ["meanwhile"]


async def test_one_query_takes_no_transaction_and_leaves_none_open(
    database: SqliteDatabase,
) -> None:
    # an open snapshot would keep the write-ahead log from starting over
    depth = [(0, None)]
    assert await database.rows("queue_depth", {}) == depth
    assert await database.read(lambda connection: connection.in_transaction) is True
    open_after = await asyncio.gather(*(database.rows("queue_depth", {}) for _ in range(8)))
    assert open_after == [depth] * 8
    busy, *_ = await database.write(_checkpointed)
    assert busy == 0


def _checkpointed(connection: sqlite3.Connection) -> tuple[int, int, int]:
    """Let the log start over, outside the transaction; 1 first when a reader is in the way."""
    connection.execute("COMMIT")
    row: tuple[int, int, int] = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    connection.execute("BEGIN IMMEDIATE")
    return row


async def test_a_read_cannot_write(database: SqliteDatabase) -> None:
    with pytest.raises(StoreUnavailable):
        await database.read(note("sneaked in"))
    assert await names(database) == []


async def test_a_read_that_failed_leaves_the_reader_usable(database: SqliteDatabase) -> None:
    def fail(connection: sqlite3.Connection) -> None:
        connection.execute("SELECT * FROM notes")
        raise InstallationOwned

    for _ in range(5):
        with pytest.raises(InstallationOwned):
            await database.read(fail)
    await database.write(note("one"))
    assert await names(database) == ["one"]


# --- settings and the end -----------------------------------------------------------------------


async def test_a_commit_reaches_the_disk_before_it_returns(database: SqliteDatabase) -> None:
    """A power cut is not for a test to make; these two settings are what survives one."""

    def settings(connection: sqlite3.Connection) -> tuple[str, int]:
        mode = connection.execute("PRAGMA journal_mode").fetchone()[0]
        return mode, connection.execute("PRAGMA synchronous").fetchone()[0]

    full = 2
    assert await database.write(settings) == ("wal", full)


def database_threads() -> list[str]:
    return [one.name for one in threading.enumerate() if one.name.startswith("sqlite-")]


async def test_closing_finishes_what_was_asked_and_leaves_no_thread(tmp_path: Path) -> None:
    database = await open_database(tmp_path / "inkpush.db")
    assert database_threads()
    await database.write(lambda c: c.execute("CREATE TABLE notes (name, text)").close())
    asked = [asyncio.ensure_future(database.write(note(f"n{i}"))) for i in range(150)]
    counted = asyncio.ensure_future(database.read(lambda c: c.execute("SELECT 1").fetchone()[0]))
    await asyncio.sleep(0)
    await database.aclose()
    assert await asyncio.gather(*asked) == [1] * 150
    assert await counted == 1
    assert database_threads() == []


async def test_a_closed_database_is_unavailable_and_may_be_closed_again(tmp_path: Path) -> None:
    database = await open_database(tmp_path / "inkpush.db")
    await asyncio.gather(database.aclose(), database.aclose())
    await database.aclose()
    with pytest.raises(StoreUnavailable):
        await database.write(note("too late"))
    with pytest.raises(StoreUnavailable):
        await database.read(note("too late"))
