"""`inkpush users`: people, whatever phones they have."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.cli import show
from gateway.cli.acting import actor
from gateway.cli.base import (
    Group,
    State,
    UserId,
    asynchronous,
    by_option,
    json_option,
    reason_option,
)
from gateway.cli.writing import whole_file

if TYPE_CHECKING:
    from gateway.app.storage import Stores
    from gateway.whose import By


@click.group(cls=Group, short_help="People: all that is held of one, and erase")
def users() -> None:
    """People, whatever phones they have."""


def _chosen(named: str | None, option: str | None) -> str:
    """The user of a command, as its argument or by the option of before."""
    if (named is None) == (option is None):
        raise click.UsageError("name one user: USER, or --user USER")
    return str(named if option is None else option)


user_argument = click.argument("named", metavar="USER", type=UserId(), required=False)
user_option = click.option("--user", type=UserId(), help="The same as USER.")


@users.command(
    "export",
    short_help="Write all that is held of a user",
    example="inkpush users export 3c2143e4 mary.json",
)
@user_argument
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), required=False)
@user_option
@by_option
@reason_option
@click.pass_obj
@asynchronous
async def export(
    state: State,
    named: str | None,
    file: Path | None,
    user: str | None,
    by: By | None,
    reason: str,
) -> None:
    """Write all that is held of a user, as JSON, to FILE or to standard output.

    USER is a custom_id or a user_id. All that is kept is searched, which takes a while where much
    is. The audit table has a row of every export.
    """
    from gateway.app.holdings import collect
    from gateway.app.lanes import asking_of
    from gateway.app.vendors import VENDORS
    from gateway.whose import find_user

    who = _chosen(named, user)
    settings = state.settings()
    async with state.store() as stores:
        whose = await find_user(stores.registry, who, by)
        now = stores.clocks.wall()
        await stores.audit.note(actor(reason).does("users.export", at=now, about=whose))
        with show.progress("Searching", None) as advance:
            document = await collect(
                stores,
                whose,
                asking=asking_of(settings),
                vendors=VENDORS,
                search_s=None,
                advance=advance,
            )
    text = json.dumps(document, ensure_ascii=False, indent=2) + "\n"
    if file is None or str(file) == "-":
        click.echo(text, nl=False)
        return
    with whole_file(file) as out:
        out.write(text)
    click.echo(f"{file}: all that is held of one person; keep it as safe as it is", err=True)


@users.command(
    "erase",
    short_help="Erase a user for good",
    example="inkpush users erase 3c2143e4 --yes --wait",
)
@user_argument
@user_option
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
    named: str | None,
    user: str | None,
    by: By | None,
    yes: bool,
    wait: bool,
    reason: str,
    as_json: bool,
) -> None:
    """Erase a user: the devices at once, names and texts in the background.

    USER is a custom_id or a user_id. A running gateway does what is left. Without one, --wait does
    it here.
    """
    who = _chosen(named, user)
    if not yes:
        click.confirm(f"Erase {who} for good?", abort=True, err=True)
    async with state.store() as stores:
        gone = await erase_now(stores, who, by, wait=wait, reason=reason)
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
