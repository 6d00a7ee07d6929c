"""Bringing a PostgreSQL database to this version's schema, by several replicas at once.

Owns which schema this version works with: its own, and that of the next version, so that replicas
can be upgraded one after the other. See sql/postgres/migrations/README.md.
"""

from __future__ import annotations

from gateway.errors import SchemaMismatch
from gateway.store.postgres.database import PATIENT, PostgresDatabase, Session
from gateway.store.queries import load_migrations

_LOCK = 0x1A4C
#: how many versions a schema may be ahead of the code
_AHEAD = 1


async def migrate(database: PostgresDatabase) -> None:
    """Apply what is missing: one transaction each, under a lock that replicas share."""
    migrations = load_migrations("postgres")
    latest = migrations[-1][0]

    async def look(session: Session) -> int:
        if not (await session.row("schema_exists"))[0]:
            return 0
        version: int = (await session.row("schema_version"))[0]
        return version

    async def step(session: Session) -> int:
        await session.rows("schema_lock", _LOCK)
        await session.run("schema_create")
        version: int = (await session.row("schema_version"))[0]
        for number, script in migrations:
            if number > version:
                await session.statement(script)
                await session.run("schema_applied", number)
                return number
        return version

    version = await database.read(look)
    if version < latest:
        while version < latest:
            version = await database.write(step, pace=PATIENT)
        await database.renew()
    if version > latest + _AHEAD:
        raise SchemaMismatch(
            f"The database has schema {version}, this Inkpush knows {latest} and works with "
            f"{latest + _AHEAD}: install the newer version again."
        )
