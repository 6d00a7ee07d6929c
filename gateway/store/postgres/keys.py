"""API keys on PostgreSQL, by the hash of the key."""

from __future__ import annotations

from gateway.core.audit import Act
from gateway.ports import ApiKey
from gateway.store.postgres import audit
from gateway.store.postgres.database import PostgresDatabase, Session
from gateway.store.rows import key_of


class PostgresKeys:
    """The port `gateway.ports.Keys`."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database

    async def add(self, key: ApiKey, digest: bytes, *, act: Act | None = None) -> None:
        values = (
            key.id,
            digest,
            key.name,
            " ".join(sorted(key.scopes)),
            key.created_at,
            key.expires_at,
            " ".join(key.sources),
            " ".join(key.types),
        )

        async def work(session: Session) -> None:
            await session.run("key_insert", *values)
            await audit.note(session, act)

        await self._database.write(work)

    async def find(self, digest: bytes) -> ApiKey | None:
        rows = await self._database.rows("key_find", digest)
        return key_of(rows[0]) if rows else None

    async def all(self) -> list[ApiKey]:
        return [key_of(row) for row in await self._database.rows("keys_all")]

    async def revoke(self, key_id: str, *, now: float, act: Act | None = None) -> bool:
        async def work(session: Session) -> bool:
            if not await session.run("key_revoke", key_id, now):
                return False
            await audit.note(session, act)
            return True

        return await self._database.write(work)
