"""The audit table on PostgreSQL.

Owns its rows; what they say is `gateway.core.audit`'s. The functions work in the transaction that
carries an act out, so that there is neither an act without its row nor a row without its act.
"""

from __future__ import annotations

from gateway.core.audit import Act, Row, row_of, unlinked, without_ids, words_for
from gateway.core.erased import NOBODY
from gateway.core.model import UserRef
from gateway.store.postgres.database import SLOW, PostgresDatabase
from gateway.store.postgres.erased import Session, ids_of, secret_of, words
from gateway.store.postgres.texts import findable

_PURGE_BATCH = 1_000
_KEY = 6


class PostgresAudit:
    """The port `gateway.ports.Audit`."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database

    async def note(self, act: Act, *, count: int = 1) -> None:
        await self._database.write(lambda session: note(session, act, count=count))

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
        if findable(who) is None or findable(what) is None:
            return []
        asked = (since, before, who, what, user is None)

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


async def note(
    session: Session, act: Act | None, *, count: int = 1, user: UserRef | None = None
) -> None:
    """Write the row of an act, if it is one; `user` is the person whom it is about."""
    if act is None:
        return
    about = words_for(user, b"" if user is None else await secret_of(session))
    await session.run("audit_insert", *row_of(act, count=count, words=about))


async def forget(session: Session, user: UserRef) -> None:
    """Take a person out of all rows, when they are erased in this transaction."""
    ids = ids_of(user)
    if ids == (None, None):
        return
    secret = await secret_of(session)
    for found in await session.rows("audit_of_user", *await words(session, user)):
        row = Row(*found)
        await _replace(session, row, unlinked(row, secret))
    for found in await session.rows("audit_reasons", *ids):
        row = Row(*found)
        await _replace(session, row, row._replace(reason=without_ids(row.reason, user)))


async def _replace(session: Session, row: Row, by: Row | None) -> None:
    if by is not None and by != row:
        await session.run("audit_delete", *row[:_KEY])
        await session.run("audit_insert", *by)
