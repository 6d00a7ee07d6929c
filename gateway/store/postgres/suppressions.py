"""What people have done already, on PostgreSQL."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from gateway.core.suppressing import Done
from gateway.store.postgres.database import PostgresDatabase
from gateway.store.postgres.texts import findable


class PostgresSuppressions:
    """The port `gateway.ports.Suppressions`."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database

    async def of(self, words: Collection[str], paths: Collection[str]) -> Sequence[Done]:
        places = [path for path in sorted(paths) if findable(path) is not None]
        rows = await self._database.rows("suppressions_of", sorted(words), places)
        return sorted(Done(*row) for row in rows)

    async def hasten(self, event_id: str, *, now: float, chunk_items: int) -> bool:
        return bool(await self._database.rows("suppressions_hasten", event_id, now, chunk_items))

    async def recent(self, *, since: float) -> Sequence[Done]:
        return [Done(*row) for row in await self._database.rows("suppressions_recent", since)]
