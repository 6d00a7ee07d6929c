"""Who else runs: heartbeats in a table, by the database's clock."""

from __future__ import annotations

from gateway.ports import REPLICA_ALIVE_S
from gateway.store.postgres.database import PostgresDatabase


class PostgresReplicas:
    """The port `gateway.ports.Replicas`."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database

    async def beat(
        self,
        replica: str,
        role: str,
        *,
        now: float,  # noqa: ARG002  # the database's clock counts: those of replicas may differ
    ) -> int:
        ((others,),) = await self._database.rows("replica_beat", replica, role, REPLICA_ALIVE_S)
        count: int = others
        return count + (role != "ingest")

    async def leave(self, replica: str) -> None:
        await self._database.rows("replica_leave", replica)
