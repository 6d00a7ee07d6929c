"""API keys on PostgreSQL, by the hash of the key."""

from __future__ import annotations

from gateway.ports import ApiKey
from gateway.store.postgres.database import PostgresDatabase
from gateway.store.rows import key_of


class PostgresKeys:
    """The port `gateway.ports.Keys`."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database

    async def add(self, key: ApiKey, digest: bytes) -> None:
        scopes = " ".join(sorted(key.scopes))
        await self._database.write(
            lambda session: session.run(
                "key_insert", key.id, digest, key.name, scopes, key.created_at
            )
        )

    async def find(self, digest: bytes) -> ApiKey | None:
        rows = await self._database.rows("key_find", digest)
        return key_of(rows[0]) if rows else None

    async def all(self) -> list[ApiKey]:
        return [key_of(row) for row in await self._database.rows("keys_all")]

    async def revoke(self, key_id: str, *, now: float) -> bool:
        changed = await self._database.write(lambda session: session.run("key_revoke", key_id, now))
        return changed > 0
