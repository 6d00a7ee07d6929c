"""The audit table on SQLite.

Owns its rows; what they say is `gateway.core.audit`'s. The functions work in the transaction that
carries an act out, so that there is neither an act without its row nor a row without its act.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping

from gateway.core.audit import Act, Row, row_of, unlinked, without_ids, words_for
from gateway.core.model import UserRef
from gateway.store.sqlite.erased import ids_of, secret_of, words

Sql = Mapping[str, str]
_KEY = 6
#: what is told of times is in milliseconds
_NEXT_S = 0.001


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
    user = user or act.about
    about = words_for(user, b"" if user is None else secret_of(connection, sql))
    row = row_of(act, count=count, words=about)
    if act.origin == "cli":
        row = _after_all(connection, sql, row)
    connection.execute(sql["audit_insert"], row)


def _after_all(connection: sqlite3.Connection, sql: Sql, row: Row) -> Row:
    """The row of a command, dated after all that are there. A command goes by the machine's clock
    where no gateway runs, and a clock that is years behind would put the row where nobody looks,
    and where it is deleted at once. An act that goes on keeps its row."""
    if connection.execute(sql["audit_has"], row[:_KEY]).fetchone()[0]:
        return row
    newest = connection.execute(sql["audit_newest"]).fetchone()
    if newest is None or newest[0] <= row.at:
        return row
    goes_on = newest[1:] == row[1:_KEY]
    return row._replace(at=newest[0] if goes_on else newest[0] + _NEXT_S)


def forget(connection: sqlite3.Connection, sql: Sql, user: UserRef) -> None:
    """Take a person out of all rows, and out of why lanes and hooks are paused, when they are
    erased in this transaction."""
    unlink(connection, sql, [user])
    ids = ids_of(user)
    for found in connection.execute(sql["audit_reasons"], ids).fetchall():
        row = Row(*found)
        _replace(connection, sql, row, row._replace(reason=without_ids(row.reason, user)))
    for table in ("lane", "part", "hook"):
        for *key, reason in connection.execute(sql[f"{table}_reasons"], ids).fetchall():
            connection.execute(sql[f"{table}_set_reason"], (without_ids(reason, user), *key))


def unlink(connection: sqlite3.Connection, sql: Sql, people: Iterable[UserRef]) -> None:
    """Take the installations of these people out of all rows that are about them."""
    secret = secret_of(connection, sql)
    for user in dict.fromkeys(people):
        who = words(connection, sql, user)
        for found in connection.execute(sql["audit_of_user"], who).fetchall():
            row = Row(*found)
            _replace(connection, sql, row, unlinked(row, secret))


def _replace(connection: sqlite3.Connection, sql: Sql, row: Row, by: Row | None) -> None:
    if by is not None and by != row:
        connection.execute(sql["audit_delete"], row[:_KEY])
        connection.execute(sql["audit_insert"], by)
