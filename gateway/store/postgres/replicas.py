"""Who else runs, and what they read: heartbeats in a table, by the database's clock."""

from __future__ import annotations

from gateway.core.stored import NEWEST, Forms, Reading
from gateway.ports import FORM_S, REPLICA_ALIVE_S
from gateway.store.postgres.database import PostgresDatabase


class PostgresReplicas:
    """The port `gateway.ports.Replicas`."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database
        self.forms = Forms()
        self.time: float | None = None

    async def beat(
        self,
        replica: str,
        role: str,
        *,
        now: float,  # noqa: ARG002  # the database's clock counts: those of replicas may differ
    ) -> int:
        told = (NEWEST, self.forms.writes)
        ((others, least, most, self.time),) = await self._database.rows(
            "replica_beat", replica, role, REPLICA_ALIVE_S, *told, FORM_S
        )
        self._learn(least, most)
        count: int = others
        return count + (role != "ingest")

    async def look(self) -> None:
        ((least, most, self.time),) = await self._database.rows("replica_reading", FORM_S)
        self._learn(least, most)

    async def leave(self, replica: str) -> None:
        await self._database.rows("replica_leave", replica)

    def _learn(self, least: int | None, most: int | None) -> None:
        """What the others read, of whom there may be none, and this process."""
        reading = [one for one in (least, most, NEWEST) if one is not None]
        self.forms.learn(Reading(min(reading), max(reading)))
