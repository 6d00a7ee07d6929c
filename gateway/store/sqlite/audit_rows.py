"""The audit table on SQLite, as those see it who look at it, and who delete what is old."""

from __future__ import annotations

import sqlite3

from gateway.core.audit import Act, Row, cursor
from gateway.core.model import UserRef
from gateway.store.sqlite import audit
from gateway.store.sqlite.database import SqliteDatabase
from gateway.store.sqlite.erased import words

_PURGE_BATCH = 1_000
_BELOW = ("at_", "who_", "what_", "object_", "user_", "custom_")


class SqliteAudit:
    """The port `gateway.ports.Audit`."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database
        self._sql = database.sql

    async def note(self, act: Act, *, count: int = 1) -> None:
        await self._database.write(
            lambda connection: audit.note(connection, self._sql, act, count=count)
        )

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
        key = dict(zip(_BELOW, cursor(before, after), strict=True))

        def work(connection: sqlite3.Connection) -> list[Row]:
            asked = {"since": since, "who": who, "what": what, "people": people, "limit": limit}
            about = {"who_user": "", "who_custom": ""}
            if user is not None:
                about = words(connection, self._sql, user)
            given = {**asked, **key, **about, "everybody": user is None}
            return [Row(*row) for row in connection.execute(self._sql["audit_page"], given)]

        return await self._database.read(work)

    async def purge(self, *, before: float, routine_before: float) -> int:
        """In small transactions, so that the relay's own writes get their turn in between."""
        page = {"before": before, "routine_before": routine_before, "limit": _PURGE_BATCH}
        purged = 0
        while count := await self._database.write(
            lambda connection: connection.execute(self._sql["audit_purge"], page).rowcount
        ):
            purged += count
        return purged
