"""The SQLite file: one thread that writes, two that read, and commits that are shared.

Owns connections, transactions, migrations and the translation of SQLite's errors. Knows no table.

Writes that arrive while a commit is on its way to the disk wait together and become durable with
one fsync (group commit): each runs under a savepoint of its own, so one that fails takes nothing
along. WAL with `synchronous=FULL`: a commit that returned survives a power cut.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from tenacity import retry, retry_if_exception, stop_after_delay, wait_random

from gateway.errors import GatewayError, SchemaMismatch, StoreUnavailable
from gateway.store.queries import load_migrations, load_queries
from gateway.store.sqlite.bulk import write_rows

T = TypeVar("T")

_READERS = 2
_BUSY_TIMEOUT_S = 5
_SETTINGS = (
    f"busy_timeout = {_BUSY_TIMEOUT_S * 1000}",  # another process may be at its own commit
    "journal_mode = WAL",
    "synchronous = FULL",
    "cache_size = -32768",  # KiB
    "wal_autocheckpoint = 4000",  # pages
)
_READING = ("query_only = ON",)
#: writes that may share one commit: enough to spread an fsync, few enough to answer soon
_GROUP = 64


def _is_busy(error: BaseException) -> bool:
    primary_code = 0xFF
    return (
        isinstance(error, sqlite3.OperationalError)
        and error.sqlite_errorcode & primary_code == sqlite3.SQLITE_BUSY
    )


class _Job:
    """A piece of work for a database thread, and the future its caller awaits.

    `alone`: it is one query, which needs no transaction.
    """

    __slots__ = ("alone", "error", "future", "loop", "result", "work")

    def __init__(
        self,
        work: Callable[[sqlite3.Connection], Any],
        loop: asyncio.AbstractEventLoop,
        *,
        alone: bool,
    ) -> None:
        self.work = work
        self.alone = alone
        self.loop = loop
        self.future: asyncio.Future[Any] = loop.create_future()
        self.result: Any = None
        self.error: BaseException | None = None

    def resolve(self) -> None:
        if self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


def too_new(path: Path, version: int, latest: int) -> SchemaMismatch:
    """A file that a later version of Inkpush has worked on."""
    return SchemaMismatch(
        f"{path} has schema {version}, this Inkpush knows {latest}: "
        "install the newer version again."
    )


class SqliteDatabase:
    """Runs work on the SQLite file; as `gateway.queue.databases.Database`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sql = load_queries("sqlite")
        self._writes: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._reads: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._closed = False

    async def open(self) -> None:
        """Create or migrate the file and start the threads."""
        writing, *reading = await asyncio.to_thread(self._prepare)
        self._threads = [
            threading.Thread(target=self._write_loop, args=(writing,), name="sqlite-writer")
        ]
        self._threads += [
            threading.Thread(target=self._read_loop, args=(one,), name=f"sqlite-reader-{number}")
            for number, one in enumerate(reading)
        ]
        for thread in self._threads:
            thread.start()

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` in a transaction; returns its result once it is durable.

        Raises `StoreUnavailable` when nothing was changed, or whatever `GatewayError` the work
        raises, with its changes undone.
        """
        return await self._submit(self._writes, work)

    def write_rows(
        self, connection: sqlite3.Connection, query: str, rows: Sequence[tuple[Any, ...]]
    ) -> None:
        """Run a named query that says `VALUES (?, ...)` for all rows: see `bulk`."""
        write_rows(connection, self.sql[query], rows)

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` on one snapshot of the data, beside any writing."""
        return await self._submit(self._reads, work)

    async def rows(self, query: str, parameters: Mapping[str, Any]) -> list[Any]:
        """All rows of one named query: a snapshot by itself, without a transaction around it."""
        sql = self.sql[query]
        return await self._submit(
            self._reads,
            lambda connection: connection.execute(sql, parameters).fetchall(),
            alone=True,
        )

    async def aclose(self) -> None:
        """Finish what was asked, then close the file."""
        if not self._closed:
            self._closed = True
            self._writes.put(None)
            for _ in range(_READERS):
                self._reads.put(None)
        for thread in self._threads:
            await asyncio.to_thread(thread.join)

    async def _submit(
        self,
        jobs: queue.SimpleQueue[_Job | None],
        work: Callable[[sqlite3.Connection], T],
        *,
        alone: bool = False,
    ) -> T:
        if self._closed or not self._threads:
            raise StoreUnavailable("The database is closed.")
        job = _Job(work, asyncio.get_running_loop(), alone=alone)
        jobs.put(job)
        result: T = await job.future
        return result

    # --- in the threads -----------------------------------------------------------------------

    @retry(
        # Switching to WAL does not wait for another process at the same, as all else does.
        retry=retry_if_exception(_is_busy),
        wait=wait_random(0.01, 0.05),
        stop=stop_after_delay(_BUSY_TIMEOUT_S),
        reraise=True,
    )
    def _connect(self, *, read_only: bool = False) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        try:
            for setting in (*_SETTINGS, *(_READING if read_only else ())):
                connection.execute(f"PRAGMA {setting}")
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def _prepare(self) -> list[sqlite3.Connection]:
        """Migrate, then open what the threads will work with: what fails, fails here."""
        connections: list[sqlite3.Connection] = []
        try:
            # It holds device addresses: for its owner alone. The files beside it take its mode.
            self.path.touch(mode=0o600)
            self._migrate()
            connections.append(self._connect())
            connections.extend(self._connect(read_only=True) for _ in range(_READERS))
        except (sqlite3.Error, OSError) as error:
            for connection in connections:
                connection.close()
            raise StoreUnavailable(f"{self.path} cannot be opened: {error}") from error
        return connections

    def _migrate(self) -> None:
        migrations = load_migrations("sqlite")
        latest = migrations[-1][0]
        with contextlib.closing(self._connect()) as connection:
            connection.execute("BEGIN IMMEDIATE")
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version > latest:
                raise too_new(self.path, version, latest)
            for number, script in migrations:
                if number > version:
                    _run_script(connection, script)
            connection.execute(f"PRAGMA user_version = {latest}")
            connection.execute("COMMIT")

    def _read_loop(self, connection: sqlite3.Connection) -> None:
        with contextlib.closing(connection):
            while (job := self._reads.get()) is not None:
                _read_snapshot(connection, job)
                _resolve([job])

    def _write_loop(self, connection: sqlite3.Connection) -> None:
        with contextlib.closing(connection):
            while (first := self._writes.get()) is not None:
                jobs = [first]
                last = False
                while len(jobs) < _GROUP:
                    try:
                        job = self._writes.get_nowait()
                    except queue.Empty:
                        break
                    if job is None:
                        last = True
                        break
                    jobs.append(job)
                _write_group(connection, jobs)
                _resolve(jobs)
                if last:
                    return


def _read_snapshot(connection: sqlite3.Connection, job: _Job) -> None:
    """Run the job in one transaction: its queries see the same data, whatever is written."""
    try:
        if not job.alone:
            connection.execute("BEGIN")
        job.result = job.work(connection)
    except BaseException as error:  # noqa: BLE001  # the caller gets it
        job.error = _translated(error)
    finally:
        if connection.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")


def _write_group(connection: sqlite3.Connection, jobs: list[_Job]) -> None:
    """Run the jobs in one transaction; what fails is undone alone, a failed commit fails all."""
    try:
        connection.execute("BEGIN IMMEDIATE")
        if len(jobs) > 1:
            for job in jobs:
                _write_beside_others(connection, job)
        elif not _write_alone(connection, jobs[0]):
            return
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        if connection.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
        for job in jobs:
            job.error = job.error or _translated(error)


def _write_alone(connection: sqlite3.Connection, job: _Job) -> bool:
    """Run a job without a savepoint: the transaction is its own. False: all of it was undone."""
    try:
        job.result = job.work(connection)
        return True
    except BaseException as error:  # noqa: BLE001  # the caller gets it
        job.error = _translated(error)
        # A full disk has ended the transaction already.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        return False


def _write_beside_others(connection: sqlite3.Connection, job: _Job) -> None:
    connection.execute("SAVEPOINT job")
    try:
        job.result = job.work(connection)
    except BaseException as error:  # noqa: BLE001  # the caller gets it
        job.error = _translated(error)
        # A full disk ends the whole transaction: then there is nothing to go back to.
        connection.execute("ROLLBACK TO job")
    connection.execute("RELEASE job")


def _resolve(jobs: list[_Job]) -> None:
    """Wake the callers; one wake-up for all that share a loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[_Job]] = {}
    for job in jobs:
        by_loop.setdefault(job.loop, []).append(job)
    for loop, waiting in by_loop.items():
        # A loop that was closed has nobody left who waits.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(_wake, waiting)


def _wake(jobs: list[_Job]) -> None:
    for job in jobs:
        job.resolve()


def _translated(error: BaseException) -> BaseException:
    if isinstance(error, GatewayError) or not isinstance(error, sqlite3.Error):
        return error
    unavailable = StoreUnavailable(f"The database did not do it: {error}")
    unavailable.__cause__ = error
    return unavailable


def _run_script(connection: sqlite3.Connection, script: str) -> None:
    """Run a migration inside the open transaction (`executescript` would commit it)."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            connection.execute(statement)
            statement = ""
