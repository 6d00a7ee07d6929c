"""The audit table on PostgreSQL, as those see it who look at it, and who delete what is old."""

from __future__ import annotations

from gateway.core.audit import Act, Row, cursor
from gateway.core.erased import NOBODY
from gateway.core.model import UserRef
from gateway.store.postgres import audit
from gateway.store.postgres.database import SLOW, PostgresDatabase
from gateway.store.postgres.erased import Session, words
from gateway.store.postgres.texts import findable

_PURGE_BATCH = 1_000


class PostgresAudit:
    """The port `gateway.ports.Audit`."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database

    async def note(self, act: Act, *, count: int = 1) -> None:
        await self._database.write(lambda session: audit.note(session, act, count=count))

    async def page(
        self,
        *,
        limit: int,
        since: float = 0.0,
        before: float | None = None,
        after: Row | None = None,
        who: str = "",
        what: str = "",
        user: UserRef | None = None,
        people: bool = False,
    ) -> list[Row]:
        if findable(who) is None or findable(what) is None:
            return []
        asked = (since, *cursor(before, after), who, what, people, user is None)

        async def work(session: Session) -> list[Row]:
            about = (NOBODY, NOBODY) if user is None else await words(session, user)
            return [Row(*row) for row in await session.rows("audit_page", *asked, *about, limit)]

        # it may go through the whole table
        return await self._database.read(work, pace=SLOW)

    async def purge(self, *, before: float, routine_before: float) -> int:
        """In small transactions, so that the relays' own writes get their turn in between."""
        page = (before, routine_before, _PURGE_BATCH)
        purged = 0
        while count := await self._database.write(
            lambda session: session.run("audit_purge", *page)
        ):
            purged += count
        return purged
