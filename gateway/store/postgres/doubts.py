"""The port `gateway.ports.Doubts` on PostgreSQL."""

from __future__ import annotations

from gateway.ports import Doubt
from gateway.store.postgres.database import PostgresDatabase, Session


class PostgresDoubts:
    """What speaks against this database being the one that was worked on last."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database

    async def newest(self) -> float | None:
        ((newest,),) = await self._database.rows("doubts_newest")
        found: float | None = newest
        return found

    async def tell(self, doubt: Doubt) -> bool:
        async def work(session: Session) -> bool:
            values = (doubt.what, doubt.value, doubt.reason, doubt.at)
            return await session.run("doubt_tell", *values) > 0

        return await self._database.write(work)

    async def told(self) -> list[Doubt]:
        return [Doubt(*row) for row in await self._database.rows("doubts_told")]
