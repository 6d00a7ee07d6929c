"""API keys on SQLite, by the hash of the key."""

from __future__ import annotations

import sqlite3

from gateway.core.audit import Act
from gateway.ports import ApiKey
from gateway.store.rows import key_of
from gateway.store.sqlite import audit
from gateway.store.sqlite.database import SqliteDatabase


class SqliteKeys:
    """The port `gateway.ports.Keys`."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database
        self._sql = database.sql

    async def add(self, key: ApiKey, digest: bytes, *, act: Act | None = None) -> None:
        values = {
            "id": key.id,
            "digest": digest,
            "name": key.name,
            "scopes": " ".join(sorted(key.scopes)),
            "created_at": key.created_at,
            "expires_at": key.expires_at,
            "sources": " ".join(key.sources),
            "types": " ".join(key.types),
        }

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(self._sql["key_insert"], values)
            audit.note(connection, self._sql, act)

        await self._database.write(work)

    async def find(self, digest: bytes) -> ApiKey | None:
        row = await self._database.read(
            lambda connection: connection.execute(
                self._sql["key_find"], {"digest": digest}
            ).fetchone()
        )
        return None if row is None else key_of(row)

    async def all(self) -> list[ApiKey]:
        rows = await self._database.read(
            lambda connection: connection.execute(self._sql["keys_all"]).fetchall()
        )
        return [key_of(row) for row in rows]

    async def revoke(self, key_id: str, *, now: float, act: Act | None = None) -> bool:
        asked = {"id": key_id, "now": now}

        def work(connection: sqlite3.Connection) -> bool:
            if connection.execute(self._sql["key_revoke"], asked).rowcount == 0:
                return False
            audit.note(connection, self._sql, act)
            return True

        return await self._database.write(work)
