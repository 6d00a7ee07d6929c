"""The SQLite store as a whole."""

from __future__ import annotations

import sqlite3
from functools import partial
from pathlib import Path

from gateway.core.hashes import Fresh
from gateway.core.stored import Forms
from gateway.core.words import Words
from gateway.store.sqlite import memory
from gateway.store.sqlite.audit_rows import SqliteAudit
from gateway.store.sqlite.cancels import SqliteCancels
from gateway.store.sqlite.database import SqliteDatabase, open_database
from gateway.store.sqlite.doubts import SqliteDoubts
from gateway.store.sqlite.effect import SqliteEffects
from gateway.store.sqlite.erased import kept_secret
from gateway.store.sqlite.erasure import SqliteErasures
from gateway.store.sqlite.experiments import SqliteExperiments
from gateway.store.sqlite.holding import Holder
from gateway.store.sqlite.hooks import SqliteHooks
from gateway.store.sqlite.journal import SqliteJournal
from gateway.store.sqlite.keys import SqliteKeys
from gateway.store.sqlite.lanes import SqliteLanes
from gateway.store.sqlite.learning import SqliteLearning
from gateway.store.sqlite.people import SqlitePeople
from gateway.store.sqlite.receipts import SqliteReceipts
from gateway.store.sqlite.registry import SqliteRegistry
from gateway.store.sqlite.starts import SqliteStarts
from gateway.store.sqlite.suppressions import SqliteSuppressions
from gateway.store.sqlite.tapping import Taps
from gateway.store.sqlite.times import SqliteTimes
from gateway.store.trial import trial_data


class SqliteStore:
    """The port `gateway.ports.Store`; `database` is for the queue that lives in the same file.

    `fresh` makes 32 random bytes, which become the secret where there is none yet, once one is
    needed; without it nothing can be forgotten, and no words are made.
    """

    def __init__(
        self, database: SqliteDatabase, *, max_per_user: int, fresh: Fresh | None = None
    ) -> None:
        self.database = database
        self._fresh = fresh
        self._made: Words | None = None
        taps = Taps()
        self.hooks = SqliteHooks(database, taps)
        self.registry = SqliteRegistry(
            database, max_per_user=max_per_user, fresh=fresh, words=self._words, taps=taps
        )
        self.replicas = SoleReplica()
        self.journal = SqliteJournal(database, self.replicas.forms, taps)
        self.receipts = SqliteReceipts(database, taps)
        self.effects = SqliteEffects(database)
        self.learning = SqliteLearning(database)
        self.people = SqlitePeople(database)
        self.cancels = SqliteCancels(database)
        self.suppressions = SqliteSuppressions(database)
        self.experiments = SqliteExperiments(database)
        self.erasures = SqliteErasures(database)
        self.lanes = SqliteLanes(database, taps)
        self.starts = SqliteStarts(database)
        self.keys = SqliteKeys(database)
        self.audit = SqliteAudit(database)
        self.doubts = SqliteDoubts(database)
        self.times = SqliteTimes(database)

    async def secret(self, fresh: bytes) -> bytes:
        known = await self.database.read(partial(kept_secret, sql=self.database.sql))
        if known is None:
            work = partial(memory.secret, sql=self.database.sql, fresh=lambda: fresh)
            known = await self.database.write(work)
        return known

    async def _words(self) -> Words | None:
        if self._made is None and self._fresh is not None:
            self._made = Words(await self.secret(self._fresh()))
        return self._made

    async def ping(self) -> None:
        """Really writes, for a full disk shows in nothing less."""
        await self.database.read(lambda connection: connection.execute("SELECT 1").fetchone())
        await self.database.write(_touch)

    async def trial(self) -> None:
        data = (trial_data(),)
        write, end = self.database.sql["trial_write"], self.database.sql["trial_end"]
        await self.database.write(lambda connection: connection.execute(write, data).rowcount)
        await self.database.write(lambda connection: connection.execute(end).rowcount)

    async def aclose(self) -> None:
        await self.database.aclose()


class SoleReplica:
    """The port `gateway.ports.Replicas`: one relay works on a file, so the newest form is written
    at once. An older release does not open a file with this one's schema."""

    def __init__(self) -> None:
        self.forms = Forms()
        self.time: float | None = None

    async def beat(self, replica: str, role: str, *, now: float) -> int:  # noqa: ARG002  # nobody else
        return 1

    async def look(self) -> None:
        """There is nobody else to look for."""

    async def leave(self, replica: str) -> None:
        """Nobody is told."""


def _touch(connection: sqlite3.Connection) -> None:
    """Write the first page of the file as it is."""
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    connection.execute(f"PRAGMA user_version = {version}")


async def open_sqlite(
    path: Path,
    *,
    max_per_user: int = 20,
    fresh: Fresh | None = None,
    may_make: bool = True,
    holder: Holder | None = None,
) -> SqliteStore:
    """Open the database file, creating or migrating it; see `open_database`."""
    database = await open_database(path, may_make=may_make, holder=holder)
    return SqliteStore(database, max_per_user=max_per_user, fresh=fresh)
