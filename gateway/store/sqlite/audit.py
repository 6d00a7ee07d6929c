"""The audit table on SQLite.

Owns its rows; what they say is `gateway.core.audit`'s. The functions work in the transaction that
carries an act out, so that there is neither an act without its row nor a row without its act.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

from gateway.core.audit import Act, Row, row_of, unlinked, without_ids, words_for
from gateway.core.model import UserRef
from gateway.store.sqlite.database import SqliteDatabase
from gateway.store.sqlite.erased import secret_of, words

Sql = Mapping[str, str]
_PURGE_BATCH = 1_000
_KEY = 6


class SqliteAudit:
    """The port `gateway.ports.Audit`."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database
        self._sql = database.sql

    async def note(self, act: Act, *, count: int = 1) -> None:
        await self._database.write(lambda connection: note(connection, self._sql, act, count=count))

    async def page(
        self,
        *,
        limit: int,
        since: float = 0.0,
        before: float | None = None,
        who: str = "",
        what: str = "",
        user: UserRef | None = None,
    ) -> list[Row]:
        def work(connection: sqlite3.Connection) -> list[Row]:
            asked = {"since": since, "before": before, "who": who, "what": what, "limit": limit}
            about = {"who_user": "", "who_custom": ""}
            if user is not None:
                about = words(connection, self._sql, user)
            given = {**asked, **about, "everybody": user is None}
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


def note(
    connection: sqlite3.Connection,
    sql: Sql,
    act: Act | None,
    *,
    count: int = 1,
    user: UserRef | None = None,
) -> None:
    """Write the row of an act, if it is one; `user` is the person whom it is about."""
    if act is None:
        return
    about = words_for(user, b"" if user is None else secret_of(connection, sql))
    connection.execute(sql["audit_insert"], row_of(act, count=count, words=about))


def forget(connection: sqlite3.Connection, sql: Sql, user: UserRef) -> None:
    """Take a person out of all rows, when they are erased in this transaction."""
    secret = secret_of(connection, sql)
    for found in connection.execute(sql["audit_of_user"], words(connection, sql, user)).fetchall():
        row = Row(*found)
        _replace(connection, sql, row, unlinked(row, secret))
    ids = {"user_id": user.user_id, "custom_id": user.custom_id}
    for found in connection.execute(sql["audit_reasons"], ids).fetchall():
        row = Row(*found)
        _replace(connection, sql, row, row._replace(reason=without_ids(row.reason, user)))


def _replace(connection: sqlite3.Connection, sql: Sql, row: Row, by: Row | None) -> None:
    if by is not None and by != row:
        connection.execute(sql["audit_delete"], row[:_KEY])
        connection.execute(sql["audit_insert"], by)
