"""The audit table on PostgreSQL.

Owns its rows; what they say is `gateway.core.audit`'s. The functions work in the transaction that
carries an act out, so that there is neither an act without its row nor a row without its act.
"""

from __future__ import annotations

from collections.abc import Iterable

from gateway.core.audit import Act, Row, row_of, unlinked, without_ids, words_for
from gateway.core.model import UserRef
from gateway.store.postgres.erased import Session, ids_of, secret_of, words

_KEY = 6


async def note(
    session: Session, act: Act | None, *, count: int = 1, user: UserRef | None = None
) -> None:
    """Write the row of an act, if it is one; `user` is the person whom it is about."""
    if act is None:
        return
    user = user or act.about
    about = words_for(user, b"" if user is None else await secret_of(session))
    await session.run("audit_insert", *row_of(act, count=count, words=about))


async def forget(session: Session, user: UserRef) -> None:
    """Take a person out of all rows, and out of why lanes and hooks are paused, when they are
    erased in this transaction."""
    ids = ids_of(user)
    if ids == (None, None):
        return
    await unlink(session, [user])
    for found in await session.rows("audit_reasons", *ids):
        row = Row(*found)
        await _replace(session, row, row._replace(reason=without_ids(row.reason, user)))
    for app, provider, reason in await session.rows("lane_reasons", *ids):
        await session.run("lane_set_reason", app, provider, without_ids(reason, user))
    for app, provider, part, reason in await session.rows("part_reasons", *ids):
        await session.run("part_set_reason", app, provider, part, without_ids(reason, user))
    for hook, reason in await session.rows("hook_reasons", *ids):
        await session.run("hook_set_reason", hook, without_ids(reason, user))


async def unlink(session: Session, people: Iterable[UserRef]) -> None:
    """Take the installations of these people out of all rows that are about them."""
    secret = await secret_of(session)
    for user in dict.fromkeys(people):
        for found in await session.rows("audit_of_user", *await words(session, user)):
            row = Row(*found)
            await _replace(session, row, unlinked(row, secret))


async def _replace(session: Session, row: Row, by: Row | None) -> None:
    if by is not None and by != row:
        await session.run("audit_delete", *row[:_KEY])
        await session.run("audit_insert", *by)
