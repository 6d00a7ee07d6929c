"""PostgreSQL: a pool of connections, transactions whose end is known, and their time limits.

Owns connections, retries, deadlines and the translation of failures. Knows no table.

Every answer is waited for a limited time: a connection that is held open without bytes ends in
`StoreUnavailable`. A write whose work was undone, for whatever passing reason, is done again. One
whose COMMIT got no answer is asked for by the name of its transaction, on another connection: it
counts as done only if it is, and as undone only if it is. A write that says what shall be needs no
name: doing it again does no harm.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar
from zlib import crc32

import asyncpg
from tenacity import AsyncRetrying, retry_if_exception, stop_after_delay, wait_random_exponential

from gateway.core.audit import Act
from gateway.core.erased import Erased
from gateway.errors import GatewayError, StoreUnavailable
from gateway.store.chaining import id_hash
from gateway.store.postgres.audit import note
from gateway.store.postgres.connections import (
    CONNECT_S,
    SERVER,
    STATEMENT_S,
    Connection,
    leave_as_is,
)
from gateway.store.postgres.erased import HASHES, erased_from
from gateway.store.postgres.failures import FOREIGN, is_broken, is_passing, translated
from gateway.store.queries import load_queries

T = TypeVar("T")

CONNECTIONS = 10
"""How many a process has at most, beside the one that listens."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How long a call may take, retries and all, and one statement of it; `setting` tells the
    server, whose own limit is for usual calls."""

    whole_s: float
    statement_s: float
    setting: str = ""


QUICK = Pace(whole_s=5.0, statement_s=STATEMENT_S)
"""For nearly all; a statement leaves time to ask what became of a COMMIT."""
SLOW = Pace(whole_s=120.0, statement_s=60.0, setting="; SET LOCAL statement_timeout = 60000")
"""For what goes through whole tables, or writes very much."""
PATIENT = Pace(whole_s=3600.0, statement_s=3600.0, setting="; SET LOCAL statement_timeout = 0")
"""For migrations, which may build an index, or wait for another replica that does."""
LOCK_WAIT = "SET LOCAL lock_timeout = 2000"
"""For a change that needs a table for itself: while it waits, so do all who come after it."""
#: how long passing failures are met by trying again: a fail-over takes longer, a restart does not
_RETRY_S = 1.5
_IDLE_S = 600.0
_LOCKS = 0x1A4B
"""Namespace of the advisory locks that are named after ids."""
_BUCKETS = 256


class Session:
    """A transaction, or a part of one, as the tables' modules see it: named queries, each answered
    within the time that this transaction has for one."""

    __slots__ = ("_connection", "_sql", "_timeout_s")

    def __init__(self, connection: Any, sql: Mapping[str, str], timeout_s: float) -> None:
        self._connection = connection
        self._sql = sql
        self._timeout_s = timeout_s

    async def rows(self, query: str, *values: Any) -> list[Any]:
        """All rows of a query."""
        found: list[Any] = await self._connection.fetch(
            self._sql[query], *values, timeout=self._timeout_s
        )
        return found

    async def row(self, query: str, *values: Any) -> Any:
        """The first row of a query, or None."""
        return await self._connection.fetchrow(self._sql[query], *values, timeout=self._timeout_s)

    async def run(self, query: str, *values: Any) -> int:
        """Run a query; returns how many rows it wrote."""
        return await self.statement(self._sql[query], *values)

    async def erased_from(self, event_ids: Collection[str]) -> Erased | None:
        """Who was erased since these events came in; None, nearly always: nobody. Exact for a
        transaction that has written before: see `erasure.settled`."""
        return await erased_from(self, event_ids)

    async def note(self, act: Act | None, *, count: int) -> None:
        """Write the row of an act, if it is one."""
        await note(self, act, count=count)

    async def copy(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Append rows to a table, by COPY: a fifth of what it takes to insert them."""
        await self._connection.copy_records_to_table(
            table, columns=columns, records=rows, timeout=self._timeout_s
        )

    async def pages(
        self, table: str, columns: Sequence[str], rows: int
    ) -> AsyncIterator[list[Any]]:
        """Read a table whole, so many rows at a time, in no order."""
        # named after the table: a FETCH is prepared once, for the columns that it had then
        cursor = f"pages_of_{table}"
        select = f"SELECT {', '.join(columns)} FROM {table}"  # noqa: S608  # names of ours
        await self.statement(f"DECLARE {cursor} NO SCROLL CURSOR FOR {select}")
        fetch = f"FETCH {rows:d} FROM {cursor}"
        while found := await self._connection.fetch(fetch, timeout=self._timeout_s):
            yield found

    async def statement(self, text: str, *values: Any) -> int:
        """Run SQL that has no name; without values it may be several statements."""
        status: str = await self._connection.execute(text, *values, timeout=self._timeout_s)
        count = status.rpartition(" ")[2]
        return int(count) if count.isdecimal() else 0


Work = Callable[[Session], Awaitable[T]]


class _EndUnknown(Exception):
    """COMMIT got no answer: `error` came instead."""

    def __init__(self, name: str, life: str, result: Any, error: BaseException) -> None:
        super().__init__(name)
        self.name = name
        self.life = life
        self.result = result
        self.error = error


def buckets(ids: Sequence[str | None]) -> list[int]:
    """Locks that stand for these ids, in the order in which they are taken. Few, for the server has
    room for some thousand: two ids may share one, and then wait for each other without need."""
    return sorted({crc32(one.encode()) % _BUCKETS for one in ids if one is not None})


_CRASHED = "The database went down while it wrote, and cannot tell whether it did."


class PostgresDatabase:
    """Runs work on a PostgreSQL database; as `gateway.queue.databases.SharedDatabase`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.sql = load_queries("postgres")
        self.unready = asyncio.Event()
        """Set when a connection has ended, or one came back that was not ready."""
        self._pool: Any = None

    async def open(self) -> None:
        """Make the pool; it connects when it is asked."""
        self._pool = await asyncpg.create_pool(
            self.url,
            min_size=0,
            max_size=CONNECTIONS,
            max_inactive_connection_lifetime=_IDLE_S,
            max_cached_statement_lifetime=0,  # to prepare one again is a round trip
            timeout=CONNECT_S,
            command_timeout=QUICK.statement_s,
            server_settings=SERVER,
            init=self._introduce,
            connection_class=Connection,
            reset=leave_as_is,
        )

    async def rows(self, query: str, *values: Any) -> list[Any]:
        """All rows of one named query that may be run twice: it reads, or says what shall be."""
        sql = self.sql[query]

        async def once() -> list[Any]:
            async with self._connection() as connection:
                found: list[Any] = await connection.fetch(sql, *values)
                return found

        return await _within(QUICK, once)

    async def row_or_again(self, query: str, *values: Any) -> tuple[Any, bool]:
        """The row of such a query, and whether it was asked again, because an answer was lost."""
        sql, asked = self.sql[query], 0

        async def once() -> Any:
            nonlocal asked
            async with self._connection() as connection:
                asked += 1
                return await connection.fetchrow(sql, *values)

        row = await _within(QUICK, once)
        return row, asked > 1

    async def has_learnt(self, event_id: str) -> bool:
        """Whether a learning event is kept by now, or was erased."""
        ((is_kept, secret),) = await self.rows("learning_had", event_id, HASHES)
        if is_kept or secret is None:
            return bool(is_kept)
        return bool(await self.rows("learning_hashes", [id_hash(secret, event_id)]))

    async def read(self, work: Work[T], *, pace: Pace = QUICK) -> T:
        """Run `work(session)` on one snapshot of the data."""

        async def once() -> T:
            async with self._connection() as connection:
                begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
                await connection.execute(begin + pace.setting)
                result = await work(Session(connection, self.sql, pace.statement_s))
                await connection.execute("COMMIT")
                return result

        return await _within(pace, once)

    async def write(
        self,
        work: Work[T],
        *,
        locks: Sequence[int] = (),
        pace: Pace = QUICK,
        repeatable: bool = False,
    ) -> T:
        """Run `work(session)` in a transaction; returns its result once it is durable.

        The work may be run several times: it must do nothing but ask and tell the database.
        `locks` (of `buckets`) are held until the end, so that works that share one follow each
        other. `repeatable` says that it may be done again also when it stands already, which saves
        a round trip: what became of its COMMIT is never asked. Raises `StoreUnavailable`, or
        whatever `GatewayError` the work raises, with its changes undone; where the database stays
        away after COMMIT was said, nobody can tell.
        """

        async def once() -> T:
            try:
                return await self._transaction(work, locks, pace, repeatable)
            except _EndUnknown as lost:
                if await self._is_committed(lost):
                    result: T = lost.result
                    return result
                raise lost.error from lost

        return await _within(pace, once)

    @property
    def free(self) -> tuple[int, int]:
        """How many connections there could be more, and how many nobody uses."""
        pool = self._pool
        return CONNECTIONS - pool.get_size(), pool.get_idle_size()

    async def make_ready(self, queries: Sequence[str]) -> None:
        """Let a connection that is free answer these in one round trip each. Raises
        StoreUnavailable."""
        try:
            async with self._connection() as connection:
                await connection.make_ready(self.sql, queries)
        except FOREIGN as error:
            raise translated(error) from error

    async def renew(self) -> None:
        """Connect anew from here on: the schema is another one."""
        await self._pool.expire_connections()

    async def aclose(self) -> None:
        """Let go of all connections; what is under way ends in `StoreUnavailable`."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        try:
            async with asyncio.timeout(QUICK.whole_s):
                await pool.close()
        except FOREIGN:
            pool.terminate()

    # --- inside -------------------------------------------------------------------------------

    async def _introduce(self, connection: Any) -> None:
        """Meet a new connection, in one round trip."""
        connection.add_termination_listener(lambda _connection: self.unready.set())
        await connection.execute(self.sql["wait_for_the_disk"])

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Any]:
        """A connection of the pool. One that was left in the middle of something is cut."""
        pool = self._pool
        if pool is None:
            raise StoreUnavailable("The database is closed.")
        connection = await pool.acquire()
        was_ready = connection.is_ready
        try:
            yield connection
        except BaseException as error:
            # asyncpg takes a connection that broke out of our hands itself
            with contextlib.suppress(asyncpg.InterfaceError):
                if is_broken(error) or connection.is_in_transaction():
                    connection.terminate()
            raise
        finally:
            if not was_ready:
                self.unready.set()
            await pool.release(connection)

    async def _transaction(
        self, work: Work[T], locks: Sequence[int], pace: Pace, repeatable: bool
    ) -> T:
        async with self._connection() as connection:
            if connection.life is None:
                await connection.learn_life(self.sql)
            await connection.execute("BEGIN" + pace.setting)
            session = Session(connection, self.sql, pace.statement_s)
            name, life = None, connection.life
            if locks:
                name = (await session.row("transaction_locks", _LOCKS, locks))[0]
            elif not repeatable:
                name = (await session.row("transaction_name"))[0]
            try:
                result = await work(session)
            except (GatewayError, asyncpg.PostgresError):
                await connection.execute("ROLLBACK")
                raise
            try:
                await connection.execute("COMMIT")
            except FOREIGN as error:
                if name is None:
                    raise
                raise _EndUnknown(name, life, result, error) from error
            return result

    async def _is_committed(self, lost: _EndUnknown) -> bool:
        """Whether a transaction stands. Asked until there is an answer, or until time is over.

        Not of a server that crashed, or another one that took over: they may have given the name
        to a transaction of after. Raises StoreUnavailable then, for nobody can tell.
        """
        while True:
            try:
                async with self._connection() as connection:
                    if connection.life is None:
                        await connection.learn_life(self.sql)
                    if not lost.life or connection.life != lost.life:
                        raise StoreUnavailable(_CRASHED) from lost.error
                    status = await connection.fetchval(self.sql["transaction_end"], lost.name)
                if status == "committed":
                    return True
                if status == "aborted":
                    return False
            except FOREIGN as error:
                if not is_passing(error):
                    raise
            # its server process has not heard of the lost connection yet, or the server is away
            await asyncio.sleep(0.05)


async def _within(pace: Pace, step: Callable[[], Awaitable[T]]) -> T:
    """Do a step within its time, and again while it fails for a passing reason."""
    try:
        async with asyncio.timeout(pace.whole_s):
            try:
                return await step()  # what nearly always happens: tenacity takes 30 us to do it
            except FOREIGN as error:
                if not is_passing(error):
                    raise
            return await _again(step)
    except FOREIGN as error:
        raise translated(error) from error


async def _again(step: Callable[[], Awaitable[T]]) -> T:
    async def attempt() -> T:
        return await step()

    patiently = AsyncRetrying(
        retry=retry_if_exception(is_passing),
        wait=wait_random_exponential(multiplier=0.02, max=0.3),
        stop=stop_after_delay(_RETRY_S),
        reraise=True,
    )
    return await patiently(attempt)
