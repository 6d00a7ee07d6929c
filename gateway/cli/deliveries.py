"""`inkpush deliveries`: why a user did not get a push."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from gateway.cli import show
from gateway.cli.acting import actor
from gateway.cli.base import (
    Group,
    Moment,
    State,
    UserId,
    When,
    asynchronous,
    by_option,
    json_option,
)

if TYPE_CHECKING:
    from gateway.whose import By

COLUMNS = (
    "at",
    "event_id",
    "source",
    "index",
    "installation_id",
    "app",
    "provider",
    "state",
    "attempts",
    "reason",
    "received_at",
    "displayed_at",
    "opened_at",
    "next_attempt_at",
)


@click.group(cls=Group, short_help="What became of a user's pushes")
def deliveries() -> None:
    """What became of a user's pushes."""


@deliveries.command(
    "show",
    short_help="Show a user's deliveries, newest first",
    example="inkpush deliveries show --user 3c2143e4 --since 2d",
)
@click.option("--user", type=UserId(), required=True, help="The user's custom_id or user_id.")
@by_option
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
@click.option("--since", type=Moment(), help="Only from then on: 2026-11-23T10:00:00Z, 90m, 7d.")
@json_option
@click.pass_obj
@asynchronous
async def show_deliveries(
    state: State,
    user: str,
    by: By | None,
    limit: int,
    since: When | None,
    as_json: bool,
) -> None:
    """Show a user's deliveries, newest first: when, to which device, and the vendor's answer."""
    from gateway.app.lanes import asking_of
    from gateway.app.people import COMMAND_LOOK_S
    from gateway.ops.lookup import delivery_view, with_waiting
    from gateway.ops.people import deliveries_of, installations_of, people_of
    from gateway.ops.waiting import WaitingLookup, waits_view
    from gateway.whose import find_user

    async with state.store() as stores:
        whose = await find_user(stores.registry, user, by)
        now = stores.clocks.wall()
        first = None if since is None else since.at(now)
        known = await stores.registry.devices_of(whose)
        waiting = WaitingLookup(stores.store.people, stores.queue, look_s=COMMAND_LOOK_S)
        people = people_of(whose, known)
        looked = await waiting.of(people)
        records = await deliveries_of(stores.journal, people, limit=limit, since=first)
        records = with_waiting(records, looked.found, limit=limit, since=first)
        installations = await installations_of(stores.registry, known, records)
        told = await stores.store.receipts.of(records)
        if told.rows:
            await stores.audit.note(actor().does("users.read", "times", at=now, about=whose))
    sight = asking_of(state.settings()).sight(told, exact=True)
    views = [delivery_view(record, installations, sight) for record in records]
    if as_json:
        show.as_line({"deliveries": views, **waits_view(looked.waits)})
        return
    show.table(map(show.in_words, views), COLUMNS, empty="No delivery to this user is known.")
    if (waits := looked.waits) is not None:
        much = "" if waits.notifications is None else f", {waits.notifications} notifications,"
        click.echo(
            f"What waits{much} could not all be looked through: one may be for this user.",
            err=True,
        )
