"""The PostgreSQL store as a whole."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from gateway.core.hashes import Fresh
from gateway.core.words import Words
from gateway.errors import StoreError, StoreUnavailable
from gateway.ports import Standing
from gateway.store.postgres import memory
from gateway.store.postgres.audit_rows import PostgresAudit
from gateway.store.postgres.cancels import PostgresCancels
from gateway.store.postgres.database import PostgresDatabase
from gateway.store.postgres.doubts import PostgresDoubts
from gateway.store.postgres.effect import PostgresEffects
from gateway.store.postgres.erased import kept_secret
from gateway.store.postgres.erasure import PostgresErasures
from gateway.store.postgres.experiments import PostgresExperiments
from gateway.store.postgres.hooks import PostgresHooks
from gateway.store.postgres.journal import PostgresJournal
from gateway.store.postgres.keys import PostgresKeys
from gateway.store.postgres.lanes import PostgresLanes
from gateway.store.postgres.learning import PostgresLearning
from gateway.store.postgres.migrating import migrate
from gateway.store.postgres.people import PostgresPeople
from gateway.store.postgres.receipts import PostgresReceipts
from gateway.store.postgres.registry import PostgresRegistry
from gateway.store.postgres.replicas import PostgresReplicas
from gateway.store.postgres.schema import SchemaWatch
from gateway.store.postgres.spares import Spares
from gateway.store.postgres.starts import PostgresStarts
from gateway.store.postgres.suppressions import PostgresSuppressions
from gateway.store.postgres.tapping import Taps
from gateway.store.postgres.times import PostgresTimes
from gateway.store.postgres.wakeups import Wakeups
from gateway.store.trial import trial_data


class PostgresStore:
    """The port `gateway.ports.Store`; `database` and `wakeups` are for the queue in the same
    database.

    `fresh` makes 32 random bytes, which become the secret where there is none yet, once one is
    needed; without it nothing can be forgotten, and no words are made. `is_new`: its tables
    were made now.
    """

    def __init__(
        self,
        database: PostgresDatabase,
        *,
        max_per_user: int,
        fresh: Fresh | None = None,
        is_new: bool = False,
    ) -> None:
        self.database = database
        self.is_new = is_new
        self._fresh = fresh
        self._made: Words | None = None
        self.wakeups = Wakeups(database)
        self.schema = SchemaWatch(database)
        self.spares = Spares(database)
        taps = Taps()
        self.hooks = PostgresHooks(database, taps)
        self.registry = PostgresRegistry(
            database, max_per_user=max_per_user, fresh=fresh, words=self._words, taps=taps
        )
        self.replicas = PostgresReplicas(database)
        self.journal = PostgresJournal(database, self.replicas.forms, taps)
        self.receipts = PostgresReceipts(database, taps)
        self.effects = PostgresEffects(database)
        self.learning = PostgresLearning(database)
        self.people = PostgresPeople(database)
        self.cancels = PostgresCancels(database)
        self.suppressions = PostgresSuppressions(database)
        self.experiments = PostgresExperiments(database)
        self.erasures = PostgresErasures(database)
        self.lanes = PostgresLanes(database, taps)
        self.starts = PostgresStarts(database)
        self.keys = PostgresKeys(database)
        self.audit = PostgresAudit(database)
        self.doubts = PostgresDoubts(database)
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

    async def guard(self, *, every_s: float) -> None:
        """Beside a gateway: look after the schema, every so many seconds, and keep connections
        ready; until cancelled."""
        await asyncio.gather(self.spares.run(), self.schema.run(every_s=every_s))

    def troubles(self) -> dict[str, Standing]:
        """What was found that should not be, by part: `store` where nothing can be stored."""
        found = {}
        if (refusal := self.schema.refusal) is not None:
            found["store"] = Standing("failing", refusal)
        if (standing := self.schema.standing) is not None:
            found["store/indexes"] = standing
        if (trouble := self.wakeups.trouble) is not None:
            hint = (
                "Work is found a quarter of a second later. Look at what is between here and there."
            )
            found["queue/wakeups"] = Standing("failing", trouble, hint)
        return found

    async def trial(self) -> None:
        data = trial_data()
        await self.database.write(lambda session: session.run("trial_write", data))
        await self.database.write(lambda session: session.run("trial_end"))

    async def aclose(self) -> None:
        await self.wakeups.aclose()
        await self.database.aclose()


async def open_postgres(
    url: str,
    *,
    max_per_user: int = 20,
    fresh: Fresh | None = None,
    may_make: bool = True,
    whatever_is_missing: bool = False,
    waits: Callable[[str], None] = lambda _told: None,
) -> PostgresStore:
    """Open the database that a URL names, migrating it; without `may_make` there must be tables of
    ours. Raises StoreUnavailable for one that has lost tables, unless it is opened for that:
    `whatever_is_missing`. `waits` hears what a migration waits for."""
    database = PostgresDatabase(url)
    await database.open()
    try:
        is_new = await migrate(database, may_make=may_make, waits=waits)
        store = PostgresStore(database, max_per_user=max_per_user, fresh=fresh, is_new=is_new)
        if not whatever_is_missing:
            await store.schema.look()
            if (refusal := store.schema.refusal) is not None:
                raise StoreUnavailable(refusal)
            await store.replicas.look()
    except StoreError:
        await database.aclose()
        raise
    return store
