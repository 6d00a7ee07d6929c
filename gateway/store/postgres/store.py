"""The PostgreSQL store as a whole."""

from __future__ import annotations

from functools import partial

from gateway.core.hashes import Fresh
from gateway.errors import StoreError
from gateway.store.postgres import memory
from gateway.store.postgres.database import PostgresDatabase
from gateway.store.postgres.journal import PostgresJournal
from gateway.store.postgres.keys import PostgresKeys
from gateway.store.postgres.lanes import PostgresLanes
from gateway.store.postgres.migrating import migrate
from gateway.store.postgres.registry import PostgresRegistry
from gateway.store.postgres.replicas import PostgresReplicas
from gateway.store.postgres.wakeups import Wakeups


class PostgresStore:
    """The port `gateway.ports.Store`; `database` and `wakeups` are for the queue in the same
    database. `fresh` makes the store's secret, at the first thing that it forgets."""

    def __init__(
        self, database: PostgresDatabase, *, max_per_user: int, fresh: Fresh | None = None
    ) -> None:
        self.database = database
        self.wakeups = Wakeups(database)
        self.registry = PostgresRegistry(database, max_per_user=max_per_user, fresh=fresh)
        self.replicas = PostgresReplicas(database)
        self.journal = PostgresJournal(database, self.replicas.forms)
        self.lanes = PostgresLanes(database)
        self.keys = PostgresKeys(database)

    async def secret(self, fresh: bytes) -> bytes:
        return await self.database.write(partial(memory.secret, fresh=lambda: fresh))

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
