"""`inkpush clock`: whether this machine's clock is believed, and a person's word that it is right.

Both go by the store, so they work on a running gateway.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from gateway.cli import show
from gateway.cli.acting import actor
from gateway.cli.base import Group, State, asynchronous, json_option, reason_option

if TYPE_CHECKING:
    from gateway.ports import ClockRow

COLUMNS = ("process", "offset_s", "state", "seen_at", "witnesses")
_NTP = "If it is wrong, set it by NTP: timedatectl set-ntp true, or chronyc makestep."


@click.group(
    cls=Group,
    short_help="This machine's clock, and who believes it",
    invoke_without_command=True,
    epilog="\b\nExample:\n  inkpush clock",
)
@json_option
@click.pass_context
def clock(ctx: click.Context, as_json: bool) -> None:
    """Show this machine's clock, the database's, and what each running gateway makes of its own."""
    if ctx.invoked_subcommand is None:
        _show(ctx.ensure_object(State), as_json)


@asynchronous
async def _show(state: State, as_json: bool) -> None:
    from gateway.app.clocks import SYSTEM
    from gateway.ports import PERSON
    from gateway.ports.replicas import database_ahead

    async with state.store() as stores:
        ahead = await database_ahead(stores.store.replicas, clocks=SYSTEM)
        rows = {row.name: row for row in await stores.store.times.all()}
    person = rows.pop(PERSON, None)
    found = {
        "machine": show.moment(SYSTEM.wall()),
        "database_ahead_s": None if ahead is None else round(ahead, 1),
        "accepted_at": None if person is None else show.moment(person.at),
        "processes": [_view(row) for row in rows.values()],
    }
    if as_json:
        show.as_line(found)
        return
    show.fields({name: value for name, value in found.items() if name != "processes"})
    show.table(map(_view, rows.values()), COLUMNS, empty="No gateway has told of its clock yet.")


def _view(row: ClockRow) -> dict[str, object]:
    return {
        "process": row.name,
        "offset_s": row.offset,
        "state": f"doubted: {row.doubt}" if row.doubt else "agreed",
        "doubted": bool(row.doubt),
        "seen_at": show.moment(row.at),
        "witnesses": row.told,
    }


@clock.command(
    "accept",
    short_help="Say that this machine's clock is right",
    example="inkpush clock accept",
)
@reason_option
@json_option
@click.pass_obj
@asynchronous
async def accept(state: State, reason: str, as_json: bool) -> None:
    """Say that this machine's clock is right: the gateway, which doubts its own, goes by it.

    Look at a clock that you trust first. The gateway follows within two seconds, if its machine's
    clock shows the same time as this one, and believes it until it moves. The clock of PostgreSQL
    counts for more. A gateway whose time two other witnesses have set doubts nothing, and does not
    hear this.
    """
    from gateway.app.clocks import SYSTEM
    from gateway.ports import PERSON, ClockRow

    now = SYSTEM.wall()
    async with state.store() as stores:
        # by the time that counts in the store, and not by the clock that is vouched for
        act = actor(reason).does("clock.accept", at=stores.clocks.wall())
        await stores.store.times.report(ClockRow(PERSON, now), act=act)
    if as_json:
        show.as_line({"accepted_at": show.moment(now)})
        return
    click.echo(f"It is {show.moment(now)} by this machine's clock, and the gateway may believe it.")
    click.echo(_NTP, err=True)
