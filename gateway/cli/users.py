"""`inkpush users`: people, whatever phones they have."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from gateway.cli import show
from gateway.cli.acting import actor
from gateway.cli.base import (
    Group,
    State,
    asynchronous,
    by_option,
    json_option,
    reason_option,
)

if TYPE_CHECKING:
    from gateway.app.storage import Stores
    from gateway.whose import By


@click.group(cls=Group, short_help="People: erase a user for good")
def users() -> None:
    """People, whatever phones they have."""


@users.command(
    "erase",
    short_help="Erase a user for good",
    example="inkpush users erase --user 3c2143e4 --yes --wait",
)
@click.option("--user", required=True, help="The user, by custom_id or user_id.")
@by_option
@click.option("--yes", "-y", is_flag=True, help="Do not ask before.")
@click.option(
    "--wait", is_flag=True, help="Return when names and texts are gone as well, and do that here."
)
@reason_option
@json_option
@click.pass_obj
@asynchronous
async def erase(
    state: State,
    user: str,
    by: By | None,
    yes: bool,
    wait: bool,
    reason: str,
    as_json: bool,
) -> None:
    """Erase a user: the devices at once, names and texts in the background.

    A running gateway does what is left. Without one, --wait does it here.
    """
    if not yes:
        click.confirm(f"Erase {user} for good?", abort=True, err=True)
    async with state.store() as stores:
        gone = await erase_now(stores, user, by, wait=wait, reason=reason)
    if as_json:
        show.as_line({"forgotten": gone, "state": "done" if wait else "running"})
    else:
        rest = "names and texts are gone" if wait else "names and texts follow in the background"
        click.echo(f"{gone} devices forgotten; {rest}")


async def erase_now(stores: Stores, user: str, by: By | None, *, wait: bool, reason: str) -> int:
    """Erase a user; returns how many devices went. `wait`: until nothing names them."""
    from gateway.app.erasing import erase_whole
    from gateway.app.ids import RANDOM
    from gateway.whose import find_user

    whose = await find_user(stores.registry, user, by)
    now = stores.clocks.wall()
    act = actor(reason).does("users.erase", at=now)
    gone = len(await stores.registry.erase(whose, now=now, act=act))
    if wait:
        unread = await erase_whole(
            stores, whose, clocks=stores.clocks, ids=RANDOM, progress=show.progress
        )
        if unread:
            click.echo(
                f"{unread} queued chunks could not be read and stay for a version that reads them; "
                "what they hold for the user has ended.",
                err=True,
            )
    return gone
