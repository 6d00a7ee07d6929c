"""Which push of a device and key was started last, on PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from gateway.ports.starts import Answer, Start
from gateway.store.postgres.database import PostgresDatabase, Session
from gateway.store.postgres.texts import storable

_STRETCH = 10_000


class PostgresStarts:
    """The port `gateway.ports.Starts`."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database

    async def ask(
        self,
        asked: Sequence[Start],
        *,
        now: float,  # noqa: ARG002  # the server's clock is the same for all replicas
        latest: float,
        for_s: float,
    ) -> list[Answer]:
        """Until when one may start goes by the server's clock, which all replicas share."""
        rows_of = (one._replace(event_id=storable(one.event_id)) for one in asked)
        columns = zip(*rows_of, strict=True)
        rows = await self._database.rows("starts_ask", *columns, for_s, latest)
        return [_answer(may, newer) for may, newer in rows]

    async def release(self, ended: Sequence[Start]) -> None:
        columns = zip(*((one.device_id, one.key, one.holder) for one in ended), strict=True)
        await self._database.rows("starts_release", *columns)


def _answer(may: bool, newer: bool) -> Answer:
    if may:
        return "may"
    return "overtaken" if newer else "waits"


async def purge(database: PostgresDatabase, *, before: float) -> int:
    """Forget what started last before then. Returns how many rows."""
    ((last,),) = await database.rows("starts_last")
    purged = 0
    for after in range(0, last or 0, _STRETCH):
        purged += await database.write(partial(_purge, after, before))
    return purged


async def _purge(after: int, before: float, session: Session) -> int:
    return await session.run("starts_purge", after, after + _STRETCH, before)
