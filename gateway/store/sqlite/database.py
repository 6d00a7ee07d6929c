"""The SQLite database as those see it who know its tables: write, read, named queries.

Owns the queries, and that nothing is asked of what is closed. Knows no table, and no thread: work
is done by an `Engine`.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from gateway.core.audit import Act
from gateway.core.erased import Erased
from gateway.errors import StoreUnavailable
from gateway.store.queries import load_queries
from gateway.store.sqlite.audit import note
from gateway.store.sqlite.bulk import write_rows
from gateway.store.sqlite.engine import Ended, Engine, Kind, ThreadEngine
from gateway.store.sqlite.erased import erased_from
from gateway.store.sqlite.had import has_learnt
from gateway.store.sqlite.holding import Holder
from gateway.store.sqlite.jobs import Job
from gateway.store.sqlite.opening import Connections, open_connections

T = TypeVar("T")


class SqliteDatabase:
    """Runs work on a SQLite database; as `gateway.queue.databases.Database`."""

    def __init__(self, engine: Engine, opened: Connections | None = None) -> None:
        self.sql = load_queries("sqlite")
        self.opened = opened
        """What was found where this was opened; None for a database in memory."""
        self._engine = engine
        self._closed = False

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` in a transaction; returns its result once it is durable.

        Raises `StoreUnavailable` when nothing was changed, or whatever `GatewayError` the work
        raises, with its changes undone.
        """
        return await self._submit(work, "write")

    def write_rows(
        self, connection: sqlite3.Connection, query: str, rows: Sequence[tuple[Any, ...]]
    ) -> None:
        """Run a named query that says `VALUES (?, ...)` for all rows: see `bulk`."""
        write_rows(connection, self.sql[query], rows)

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` on one snapshot of the data, beside any writing."""
        return await self._submit(work, "read")

    async def search(self, work: Callable[[sqlite3.Connection], T], *, alone: bool = False) -> T:
        """The same for work that reads much: nobody waits behind it. `alone`: it needs no
        snapshot."""
        return await self._submit(work, "search", alone=alone)

    def erased_from(
        self, connection: sqlite3.Connection, event_ids: Collection[str]
    ) -> Erased | None:
        """Who was erased since these events came in; None, nearly always: nobody."""
        return erased_from(connection, self.sql, event_ids)

    def has_learnt(self, connection: sqlite3.Connection, event_id: str) -> bool:
        """Whether a learning event is kept by now, or was erased."""
        return has_learnt(connection, self.sql, event_id)

    def note(self, connection: sqlite3.Connection, act: Act | None, *, count: int) -> None:
        """Write the row of an act, if it is one, in the transaction that carries it out."""
        note(connection, self.sql, act, count=count)

    async def rows(self, query: str, parameters: Mapping[str, Any]) -> list[Any]:
        """All rows of one named query: a snapshot by itself, without a transaction around it."""
        sql = self.sql[query]
        return await self._submit(
            lambda connection: connection.execute(sql, parameters).fetchall(), "read", alone=True
        )

    def standstill(self, limit_s: float) -> str:
        """What has not moved for so long although there is work for it; "" when all moves."""
        return self._engine.standstill(limit_s)

    def on_end(self, told: Ended) -> None:
        """Have it told when nothing is done any more, though nobody closed."""
        self._engine.on_end(told)

    async def aclose(self) -> None:
        """Finish what was asked, then close the file."""
        self._closed = True
        await self._engine.aclose()
        if self.opened is not None:
            self.opened.file.close()

    async def _submit(
        self, work: Callable[[sqlite3.Connection], T], kind: Kind, *, alone: bool = False
    ) -> T:
        if self._closed:
            raise StoreUnavailable("The database is closed.")
        job = Job(work, alone=alone)
        self._engine.submit(job, kind)
        result: T = await job.future
        return result


async def open_database(
    path: Path, *, may_make: bool = True, holder: Holder | None = None
) -> SqliteDatabase:
    """Create or migrate the file, and start the threads that work on it. With a `holder` it is the
    only relay on the file; without `may_make` there must be a database."""
    opened = await asyncio.to_thread(open_connections, path, may_make=may_make, holder=holder)
    return SqliteDatabase(ThreadEngine(opened), opened)
