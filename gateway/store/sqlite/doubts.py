"""The port `gateway.ports.Doubts` on SQLite."""

from __future__ import annotations

from gateway.ports import Doubt
from gateway.store.sqlite.database import SqliteDatabase


class SqliteDoubts:
    """What speaks against this file being the one that was worked on last."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    async def newest(self) -> float | None:
        ((newest,),) = await self._database.rows("doubts_newest", {})
        found: float | None = newest
        return found

    async def tell(self, doubt: Doubt) -> bool:
        sql = self._database.sql["doubt_tell"]
        row = {"what": doubt.what, "value": doubt.value, "reason": doubt.reason, "at": doubt.at}
        return await self._database.write(lambda one: one.execute(sql, row).rowcount > 0)

    async def told(self) -> list[Doubt]:
        return [Doubt(*row) for row in await self._database.rows("doubts_told", {})]

    async def ids_given(self) -> dict[str, int]:
        """The largest id that each table ever gave."""
        return dict(await self._database.rows("ids_given", {}))
