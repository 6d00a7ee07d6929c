"""What people have done already, on SQLite."""

from __future__ import annotations

import json
import sqlite3
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
        sql = self._database.sql

        def work(connection: sqlite3.Connection) -> list[int]:
            people = connection.execute(sql["suppressions_people"], {"event_id": event_id})
            oldest, newest = connection.execute(sql["runs"]).fetchone()
            found: dict[int, None] = {}
            for (person,) in people.fetchall() if newest is not None else ():
                asked = {"person": person, "oldest": oldest, "newest": newest}
                for event, index in connection.execute(sql["suppressions_pending"], asked):
                    place = {"event_id": event, "index": index, "size": chunk_items, "now": now}
                    rows = connection.execute(sql["suppressions_waiting"], place)
                    found |= dict.fromkeys(row[0] for row in rows)
            return list(found)

        found = await self._database.search(work)
        if not found:
            return False
        ids = {"ids": json.dumps(found)}
        hastened: int = await self._database.write(
            lambda connection: connection.execute(sql["suppressions_hasten"], ids).rowcount
        )
        return hastened > 0

    async def recent(self, *, since: float) -> Sequence[Done]:
        rows = await self._database.rows("suppressions_recent", {"since": since})
        return [Done(*row) for row in rows]
