"""Bringing a PostgreSQL database to this version's schema, by several replicas at once.

Owns which schema this version works with: its own, and that of the next version, so that replicas
can be upgraded one after the other; and that no other application's database is written to. See
sql/postgres/migrations/README.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gateway.errors import DatabaseRefused, SchemaMismatch, StoreUnavailable
from gateway.store.postgres.database import LOCK_WAIT, PATIENT, PostgresDatabase, Session
from gateway.store.postgres.failures import is_lock_timeout
from gateway.store.queries import load_migrations

_LOCK = 0x1A4C
_OURS = frozenset({"chunks_done", "dead_letters", "held_removals"})
"""Tables that every schema of ours has, and hardly any other."""
#: seconds until a table that somebody else works on is asked for again
_PAUSE_S = 10.0
#: how many versions a schema may be ahead of the code
_AHEAD = 1


async def migrate(
    database: PostgresDatabase, *, may_make: bool = True, waits: Callable[[str], None]
) -> bool:
    """Apply what is missing: one transaction each, under a lock that replicas share. True: there
    was nothing of ours. While others have a table locked, it is tried again and again, and `waits`
    hears of it: who waits for a lock holds up all who come after.

    Raises DatabaseRefused for another application's tables, and, without `may_make`, where there
    are none of ours; SchemaMismatch for a schema of a later version.
    """
    migrations = load_migrations("postgres")
    latest = migrations[-1][0]

    async def look(session: Session) -> int:
        tables = {name for (name,) in await session.rows("schema_tables")}
        if not tables and not may_make:
            raise DatabaseRefused(
                'The database has no tables, and store.expect = "existing" makes no new ones. Is '
                "store.url right, and was the database restored?"
            )
        if tables and not ("schema_migrations" in tables and tables & _OURS):
            some = ", ".join(sorted(tables)[:3])
            raise DatabaseRefused(
                f"The database is another application's: it has other tables ({some}), and none "
                "of ours. Nothing was changed; take an empty database, or an empty schema of it "
                "(search_path)."
            )
        if not tables:
            return 0
        version: int = (await session.row("schema_version"))[0]
        return version

    async def step(session: Session) -> int:
        await session.rows("schema_lock", _LOCK)
        await session.run("schema_create")
        version: int = (await session.row("schema_version"))[0]
        await session.statement(LOCK_WAIT)
        for number, script in migrations:
            if number > version:
                await session.statement(script)
                await session.run("schema_applied", number)
                return number
        return version

    version = await database.read(look)
    is_new = version == 0
    if version < latest:
        while version < latest:
            try:
                version = await database.write(step, pace=PATIENT)
            except StoreUnavailable as error:
                if not is_lock_timeout(error):
                    raise
                waits(await who_locks(database))
                await asyncio.sleep(_PAUSE_S)
        await database.renew()
    if version > latest + _AHEAD:
        raise SchemaMismatch(
            f"The database has schema {version}, this Inkpush knows {latest} and works with "
            f"{latest + _AHEAD}: install the newer version again."
        )
    return is_new


async def who_locks(database: PostgresDatabase) -> str:
    """Who keeps a table from being changed."""
    found = await database.rows("lock_holders")
    who = ", ".join(f"{name} (process {pid}, for {seconds} s)" for pid, name, seconds in found)
    return f"A table cannot be changed while others have it locked: {who or 'nobody by now'}."
