"""`inkpush audit`: who did what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from gateway.cli import show
from gateway.cli.base import Command, Moment, State, UserId, asynchronous, by_option, json_option

if TYPE_CHECKING:
    from gateway.core.audit import Row
    from gateway.whose import By

COLUMNS = ("when", "who", "what", "object", "count", "from", "remote", "reason")


@click.command(
    cls=Command,
    short_help="Who did what, when, from where and why",
    example="inkpush audit --since 7d --what lanes",
)
@click.option("--since", type=Moment(), help="Only from then on: 2026-11-23T10:00:00Z, 90m, 7d.")
@click.option("--before", type=Moment(), help="Only older ones: 2026-11-23T10:00:00Z, 90m, 7d.")
@click.option("--who", default="", help="Part of who it was: alice, a key's name or id.")
@click.option(
    "--what",
    default="",
    help="Part of the act or its object: lanes, keys.revoke, agent/fcm, msg_2.",
)
@click.option("--user", type=UserId(), help="Only what was done about this person.")
@by_option
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
@json_option
@click.pass_obj
@asynchronous
async def audit(
    state: State,
    since: float | None,
    before: float | None,
    who: str,
    what: str,
    user: str | None,
    by: By | None,
    limit: int,
    as_json: bool,
) -> None:
    """Show who did what, newest first: acts of commands, of API keys and of the console.

    A person's id never stands here: --user finds the rows by a keyed hash, also after an erase.
    """
    from gateway.whose import find_user

    async with state.store() as stores:
        about = None if user is None else await find_user(stores.registry, user, by)
        rows = await stores.audit.page(
            limit=limit, since=since or 0.0, before=before, who=who, what=what, user=about
        )
    views = [_view(row) for row in rows]
    if as_json:
        show.as_line({"audit": views})
    else:
        show.table(views, COLUMNS, empty="There is no such act.")


def _view(row: Row) -> dict[str, Any]:
    return {
        "when": show.moment(row.at),
        "who": row.who,
        "what": row.what,
        "object": row.object,
        "count": row.affected,
        "from": row.origin,
        "remote": row.remote,
        "reason": row.reason,
    }
