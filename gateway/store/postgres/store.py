"""The PostgreSQL store as a whole."""

from __future__ import annotations

from functools import partial

from gateway.core.hashes import Fresh
from gateway.core.words import Words
from gateway.errors import StoreError
from gateway.store.postgres import memory
from gateway.store.postgres.database import PostgresDatabase
from gateway.store.postgres.erased import kept_secret
from gateway.store.postgres.erasure import PostgresErasures
from gateway.store.postgres.journal import PostgresJournal
from gateway.store.postgres.keys import PostgresKeys
from gateway.store.postgres.lanes import PostgresLanes
from gateway.store.postgres.migrating import migrate
from gateway.store.postgres.registry import PostgresRegistry
from gateway.store.postgres.replicas import PostgresReplicas
from gateway.store.postgres.times import PostgresTimes
from gateway.store.postgres.wakeups import Wakeups


class PostgresStore:
    """The port `gateway.ports.Store`; `database` and `wakeups` are for the queue in the same
    database.

    `fresh` makes 32 random bytes, which become the secret where there is none yet, once one is
    needed; without it nothing can be forgotten, and no words are made.
    """

    def __init__(
        self, database: PostgresDatabase, *, max_per_user: int, fresh: Fresh | None = None
    ) -> None:
        self.database = database
        self._fresh = fresh
        self._made: Words | None = None
        self.wakeups = Wakeups(database)
        self.registry = PostgresRegistry(
            database, max_per_user=max_per_user, fresh=fresh, words=self._words
        )
        self.replicas = PostgresReplicas(database)
        self.journal = PostgresJournal(database, self.replicas.forms)
        self.erasures = PostgresErasures(database)
        self.lanes = PostgresLanes(database)
        self.keys = PostgresKeys(database)
        self.times = PostgresTimes(database)

    async def secret(self, fresh: bytes) -> bytes:
        known = await self.database.read(kept_secret)
        if known is None:
            known = await self.database.write(partial(memory.secret, fresh=lambda: fresh))
        return known

    async def _words(self) -> Words | None:
        if self._made is None and self._fresh is not None:
            self._made = Words(await self.secret(self._fresh()))
        return self._made

    async def ping(self) -> None:
        """Really writes, for a full disk and a standby show in nothing less."""
        await self.database.write(lambda session: session.run("ping"))

    async def aclose(self) -> None:
        await self.wakeups.aclose()
        await self.database.aclose()


async def open_postgres(
    url: str, *, max_per_user: int = 20, fresh: Fresh | None = None
) -> PostgresStore:
    """Open the database that a URL names, migrating it."""
    database = PostgresDatabase(url)
    await database.open()
    try:
        await migrate(database)
        store = PostgresStore(database, max_per_user=max_per_user, fresh=fresh)
        await store.replicas.look()
    except StoreError:
        await database.aclose()
        raise
    return store
