"""A database thread that ends, for whatever reason, fails all jobs and says so."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import StoreEnded, StoreUnavailable
from gateway.store.sqlite import SqliteDatabase, engine
from gateway.store.sqlite.database import open_database
from gateway.store.sqlite.engine import ThreadEngine
from gateway.store.sqlite.opening import open_connections


class Failing(sqlite3.Connection):
    """A connection that raises what it is told to, at the statements that it is told."""

    raises: BaseException | None = None
    at: tuple[str, ...] = ()

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        if self.raises is not None and sql.startswith(self.at):
            raise self.raises
        return super().execute(sql, parameters)


class Rig:
    """A database on an engine whose connections can fail."""

    def __init__(self, path: Path) -> None:
        def connect() -> Failing:
            return sqlite3.connect(
                path, isolation_level=None, check_same_thread=False, factory=Failing
            )

        opened = open_connections(path)
        self.writing, self.reading, self.searching = connect(), (connect(), connect()), connect()
        self.writing.execute("CREATE TABLE things (name)")
        # only now: with the last connection the log would go that the file was opened with
        for one in (*opened.reading, opened.writing, opened.searching):
            one.close()
        failing = replace(
            opened, writing=self.writing, reading=self.reading, searching=self.searching
        )
        self.engine = ThreadEngine(failing)
        self.database = SqliteDatabase(self.engine)
        self.ended: list[StoreEnded] = []
        self.database.on_end(self.ended.append)

    async def add(self, name: str) -> None:
        await self.database.write(
            lambda connection: connection.execute("INSERT INTO things VALUES (?)", (name,))
        )

    async def names(self) -> list[str]:
        found = await self.database.read(
            lambda connection: connection.execute("SELECT name FROM things").fetchall()
        )
        return [name for (name,) in found]


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    made = Rig(tmp_path / "inkpush.db")
    yield made
    async with asyncio.timeout(30):
        await made.database.aclose()


async def eventually(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110  # threads set no event of the loop
            await asyncio.sleep(0.001)


ENDS = [MemoryError(), SystemExit(1), KeyboardInterrupt(), RuntimeError("out of order")]


@pytest.mark.parametrize("error", ENDS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("who", ["writing", "reading", "searching"])
async def test_whatever_ends_a_thread_fails_every_job_and_is_told(
    rig: Rig, who: str, error: BaseException
) -> None:
    """ROLLBACK is where nothing is left to catch it."""
    await rig.add("before")
    found = getattr(rig, who)
    for connection in found if isinstance(found, tuple) else [found]:
        connection.raises, connection.at = error, ("ROLLBACK",)

    def broken(connection: sqlite3.Connection) -> None:
        connection.execute("SELECT 1")
        raise ValueError

    database = rig.database
    ask = {"writing": database.write, "reading": database.read, "searching": database.search}[who]
    jobs = [asyncio.ensure_future(ask(broken)) for _ in range(5)]
    jobs += [asyncio.ensure_future(rig.add("beside")) for _ in range(3)]
    async with asyncio.timeout(30):
        results = await asyncio.gather(*jobs, return_exceptions=True)
    assert any(isinstance(result, StoreEnded) for result in results)
    assert all(isinstance(one, StoreEnded | ValueError | None) for one in results)
    await eventually(lambda: rig.ended)
    (*_, ended) = rig.ended
    assert type(ended.__cause__) is type(error)
    assert "sqlite-" in ended.thread
    assert type(error).__name__ in str(ended)
    # and nothing that is asked later waits for ever
    for late in (rig.add("later"), rig.names()):
        with pytest.raises(StoreUnavailable):
            async with asyncio.timeout(30):
                await late
    assert rig.database.standstill(1e9)


@pytest.mark.parametrize("at", ["BEGIN", "COMMIT", "SAVEPOINT", "RELEASE", "INSERT"])
async def test_memory_that_runs_out_in_a_write_undoes_it_and_the_next_works(
    rig: Rig, at: str
) -> None:
    await rig.add("before")
    rig.writing.raises, rig.writing.at = MemoryError(), (at,)
    jobs = [asyncio.ensure_future(rig.add(f"{n}")) for n in range(4)]
    async with asyncio.timeout(30):
        results = await asyncio.gather(*jobs, return_exceptions=True)
    failed = [one for one in results if one is not None]
    assert all(type(one) is StoreUnavailable for one in failed)
    if at not in ("SAVEPOINT", "RELEASE"):  # a write that is alone needs none
        assert len(failed) == 4
    rig.writing.raises = None
    await rig.add("after")
    names = await rig.names()
    assert (names[0], names[-1]) == ("before", "after")
    assert len(names) == 2 + results.count(None)
    assert not rig.ended


OUT_OF_MEMORY = """
import asyncio, contextlib, sys
from pathlib import Path
from gateway.errors import StoreUnavailable
from gateway.store.sqlite import open_database

async def main():
    database = await open_database(Path(sys.argv[1]))
    ended = []
    database.on_end(ended.append)
    await database.write(lambda one: one.execute("CREATE TABLE things (name)"))
    with contextlib.suppress(StoreUnavailable):  # the limit may hold for this statement already
        await database.search(lambda one: one.execute("PRAGMA hard_heap_limit = " + sys.argv[2]))
    add = lambda one: one.execute("INSERT INTO things VALUES (?)", ("x" * 4_000_000,))
    look = lambda one: one.execute("SELECT count(*), sum(length(name)) FROM things").fetchone()
    for ask, work in ((database.write, add), (database.read, look), (database.write, add)):
        jobs = [asyncio.ensure_future(ask(work)) for _ in range(4)]
        results = await asyncio.gather(*jobs, return_exceptions=True)
        assert all(isinstance(one, StoreUnavailable | tuple) for one in results if one), results
    await database.aclose()

asyncio.run(main())
"""


@pytest.mark.parametrize("limit", [20_000, 200_000, 2_000_000])
def test_a_real_lack_of_sqlites_memory_hangs_nobody(tmp_path: Path, limit: int) -> None:
    """In a process of its own, for the limit holds for all of SQLite in it, and stays."""
    done = subprocess.run(
        [sys.executable, "-c", OUT_OF_MEMORY, tmp_path / "inkpush.db", str(limit)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


async def test_a_job_that_does_not_move_is_a_standstill_until_it_does(rig: Rig) -> None:
    go_on, begun = threading.Event(), threading.Event()

    def stuck(_connection: sqlite3.Connection) -> None:
        begun.set()
        go_on.wait()

    for number, ask in enumerate((rig.database.write, rig.database.search, rig.database.read)):
        go_on.clear()
        begun.clear()
        # both readers, so that nobody takes up what waits either
        jobs = [asyncio.ensure_future(ask(stuck)) for _ in range(1 + number // 2)]
        await eventually(begun.is_set)
        assert rig.database.standstill(30) == ""
        await eventually(lambda: rig.database.standstill(0.05))
        assert "has not moved" in rig.database.standstill(0.01)
        go_on.set()
        await asyncio.gather(*jobs)
        assert rig.database.standstill(30) == ""


async def test_a_job_that_nobody_takes_up_is_a_standstill(rig: Rig) -> None:
    """A thread that was ended from outside, as debuggers can, tells nobody."""
    worker = rig.engine._workers[0]
    worker.line.put(None)  # stands for it
    await eventually(lambda: not rig.engine._threads[0].is_alive())
    waiting = asyncio.ensure_future(rig.add("never"))
    await eventually(lambda: "taken up" in rig.database.standstill(0.05))
    waiting.cancel()


async def test_a_query_that_takes_long_moves(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = 0
    moves = engine._Worker.moves

    def counted(worker: engine._Worker) -> None:
        nonlocal looks
        looks += 1
        moves(worker)

    for worker in rig.engine._workers:
        monkeypatch.setattr(type(worker), "moves", counted)
        worker.connection.set_progress_handler(worker.moves, engine._STEPS)
    count = "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 2000000) "
    await rig.database.search(lambda one: one.execute(count + "SELECT sum(i) FROM n").fetchone())
    assert looks > 5


async def test_no_log_is_left_behind(tmp_path: Path) -> None:
    """The last connection to close moves the log into the file; of two that close at once, each
    left it to the other."""
    for _ in range(60):
        database = await open_database(tmp_path / "inkpush.db")
        await asyncio.gather(
            *(database.read(lambda one: one.execute("SELECT 1")) for _ in range(4))
        )
        await database.aclose()
        assert "inkpush.db-wal" not in os.listdir(tmp_path)  # noqa: PTH208  # of an async test
