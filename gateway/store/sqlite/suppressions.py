"""What people have done already, on SQLite."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence

from gateway.core.suppressing import Done
from gateway.store.sqlite.database import SqliteDatabase


class SqliteSuppressions:
    """The port `gateway.ports.Suppressions`."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    async def of(self, words: Collection[str], paths: Collection[str]) -> Sequence[Done]:
        asked = {"words": json.dumps(sorted(words)), "paths": json.dumps(sorted(paths))}
        return sorted(Done(*row) for row in await self._database.rows("suppressions_of", asked))

    async def hasten(self, event_id: str, *, now: float, chunk_items: int) -> bool:
        asked = {"event_id": event_id, "now": now, "size": chunk_items}
        sql = self._database.sql
        rows = await self._database.search(
            lambda connection: connection.execute(sql["suppressions_waiting"], asked).fetchall()
        )
        if not rows:
            return False
        ids = {"ids": json.dumps([row[0] for row in rows])}
        hastened: int = await self._database.write(
            lambda connection: connection.execute(sql["suppressions_hasten"], ids).rowcount
        )
        return hastened > 0

    async def recent(self, *, since: float) -> Sequence[Done]:
        rows = await self._database.rows("suppressions_recent", {"since": since})
        return [Done(*row) for row in rows]
