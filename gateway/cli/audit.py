"""`inkpush audit`: who did what."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from gateway.cli import show
from gateway.cli.base import (
    Command,
    Moment,
    State,
    UserId,
    When,
    asynchronous,
    by_option,
    json_option,
)

if TYPE_CHECKING:
    from gateway.core.audit import Row
    from gateway.whose import By

COLUMNS = ("when", "who", "what", "object", "count", "from", "remote", "reason")
_PAGE = 1_000


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
@click.option("--people", is_flag=True, help="Without what API keys do all day.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
@click.option("--all", "every", is_flag=True, help="All of them, whatever --limit says.")
@json_option
@click.pass_obj
@asynchronous
async def audit(
    state: State,
    since: When | None,
    before: When | None,
    who: str,
    what: str,
    user: str | None,
    by: By | None,
    people: bool,
    limit: int,
    every: bool,
    as_json: bool,
) -> None:
    """Show who did what, newest first: acts, exports and reads of people's times.

    A person's id never stands here: --user finds the rows by a keyed hash, also after an erase.
    Where older rows are left out, standard error says so; --all --json exports all there are.
    """
    from gateway.whose import find_user

    async with state.store() as stores:
        now = stores.clocks.wall()
        page = partial(
            stores.audit.page,
            since=0.0 if since is None else since.at(now),
            before=None if before is None else before.at(now),
            who=who,
            what=what,
            user=None if user is None else await find_user(stores.registry, user, by),
            people=people,
        )
        if every and as_json:
            await _export(page)
            return
        if every:
            rows, is_cut = [row async for row in _all(page)], False
        else:
            found = await page(limit=limit + 1)
            rows, is_cut = found[:limit], len(found) > limit
    views = [_view(row) for row in rows]
    if as_json:
        show.as_line({"audit": views})
    else:
        show.table(views, COLUMNS, empty="There is no such act.")
    if is_cut:
        click.echo(f"These are the newest {limit}: --all shows older ones as well.", err=True)


async def _all(page: Callable[..., Awaitable[list[Row]]]) -> AsyncIterator[Row]:
    last: Row | None = None
    while rows := await page(limit=_PAGE, after=last):
        for row in rows:
            yield row
        last = rows[-1]


async def _export(page: Callable[..., Awaitable[list[Row]]]) -> None:
    """The same line of JSON, written while it is read: there may be millions."""
    separator = ""
    click.echo('{"audit": [', nl=False)
    async for row in _all(page):
        click.echo(separator + json.dumps(_view(row), ensure_ascii=False), nl=False)
        separator = ", "
    click.echo("]}")


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
