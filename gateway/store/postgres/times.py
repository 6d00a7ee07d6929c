"""What is known of clocks, on PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.core.agreement import AGREE_S, Correction
from gateway.core.audit import Act
from gateway.core.fanout import LATEST_S
from gateway.ports.times import KEEP_S, ClockRow
from gateway.store.postgres import audit
from gateway.store.postgres.database import PostgresDatabase, Session


class PostgresTimes:
    """The port `gateway.ports.Times`."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database

    async def report(self, row: ClockRow, *, act: Act | None = None) -> None:
        async def work(session: Session) -> None:
            await session.run("clock_report", *row)
            await session.run("clocks_old", row.at - KEEP_S)
            await audit.note(session, act)

        await self._database.write(work)

    async def all(self) -> list[ClockRow]:
        return [ClockRow(*row) for row in await self._database.rows("clocks_all")]

    async def leave(self, name: str) -> None:
        await self._database.rows("clock_leave", name)

    async def redate(self, correction: Correction, *, now: float) -> None:
        """Nothing: the server's clock is asked before anything is dated."""

    async def rouse(self, *, now: float) -> None:
        """Nothing: due times are compared with the server's clock."""

    async def newest(self) -> None:
        """None: no process here goes by another clock than the server's."""

    async def recall(
        self,
        *,
        now: float,
        began: float,  # noqa: ARG002
        wrong: Sequence[ClockRow] = (),  # noqa: ARG002
    ) -> None:
        """A process here asks the server before it dates anything, so none was `wrong`."""

        async def work(session: Session) -> None:
            await session.run("recall_future", now, now + AGREE_S)
            await session.run("recall_due", now, LATEST_S)

        await self._database.write(work)
