"""API keys on SQLite, by the hash of the key."""

from __future__ import annotations

from typing import Any

from gateway.ports import ApiKey
from gateway.store.sqlite.database import SqliteDatabase


class SqliteKeys:
    """The port `gateway.ports.Keys`."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database
        self._sql = database.sql

    async def add(self, key: ApiKey, digest: bytes) -> None:
        values = {
            "id": key.id,
            "digest": digest,
            "name": key.name,
            "scopes": " ".join(sorted(key.scopes)),
            "created_at": key.created_at,
        }
        await self._database.write(
            lambda connection: connection.execute(self._sql["key_insert"], values).rowcount
        )

    async def find(self, digest: bytes) -> ApiKey | None:
        row = await self._database.read(
            lambda connection: connection.execute(
                self._sql["key_find"], {"digest": digest}
            ).fetchone()
        )
        return None if row is None else _key(row)

    async def all(self) -> list[ApiKey]:
        rows = await self._database.read(
            lambda connection: connection.execute(self._sql["keys_all"]).fetchall()
        )
        return [_key(row) for row in rows]

    async def revoke(self, key_id: str, *, now: float) -> bool:
        changed: int = await self._database.write(
            lambda connection: (
                connection.execute(self._sql["key_revoke"], {"id": key_id, "now": now}).rowcount
            )
        )
        return changed > 0


def _key(row: tuple[Any, ...]) -> ApiKey:
    return ApiKey(row[0], row[1], frozenset(row[2].split()), row[3], row[4])
