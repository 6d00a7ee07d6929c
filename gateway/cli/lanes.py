"""`inkpush lanes`: holding and releasing the way to one vendor for one app.

The state lives in the store, so this works on a running gateway.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from gateway.cli import show
from gateway.cli.base import Group, State, asynchronous, json_option

if TYPE_CHECKING:
    from config.settings import Settings
    from gateway.app.storage import Stores
    from gateway.ports import LaneRow

COLUMNS = ("lane", "state", "reason", "hint", "rate", "errors", "waiting", "brake", "held_back")


@click.group(cls=Group)
def lanes() -> None:
    """Lanes: one per app and provider, named APP/PROVIDER."""


@lanes.command("list", example="inkpush lanes list")
@json_option
@click.pass_obj
@asynchronous
async def list_lanes(state: State, as_json: bool) -> None:
    """List lanes with rate, errors, pause and its reason, and the prune brake."""
    async with state.store() as stores:
        rows = [_view(row) for row in await _all(state.settings(), stores)]
    if as_json:
        show.as_line({"lanes": rows})
        return
    for row in rows:
        row["lane"] = "{app}/{provider}".format(**row)
        row["brake"] = "ON since " + str(row["brake_at"]) if row["brake_at"] else ""
        row["errors"] = f"{row['errors']:.1%}"
        row["rate"] = row["rate"] or "no limit"
    show.table(rows, COLUMNS, empty="No app is configured.")


lanes_argument = click.argument("names", metavar="[APP[/PROVIDER]]...", nargs=-1)


@lanes.command("pause", example='inkpush lanes pause agent/fcm --reason "quota talk with Google"')
@lanes_argument
@click.option("--reason", default="", help="Why, for whoever looks next.")
@json_option
@click.pass_obj
@asynchronous
async def pause(state: State, names: tuple[str, ...], reason: str, as_json: bool) -> int:
    """Hold lanes: their pushes wait, until they expire or are let go."""
    if not names:
        raise click.UsageError("name the lanes to hold, as `inkpush lanes list` shows them")
    async with state.store() as stores:
        rows = await _named(state.settings(), stores, names)
        for row in rows:
            await stores.lanes.hold(
                row.app, row.provider, by="operator", reason=reason, now=time.time()
            )
    return _tell("held", [_name(row) for row in rows], as_json)


@lanes.command("resume", example="inkpush lanes resume agent/fcm")
@lanes_argument
@json_option
@click.pass_obj
@asynchronous
async def resume(state: State, names: tuple[str, ...], as_json: bool) -> int:
    """Let held lanes go, all of them when none is named.

    A lane that the gateway paused itself is paused again if what is wrong still is.
    """
    async with state.store() as stores:
        rows = await _named(state.settings(), stores, names)
        lifted = [
            _name(row)
            for row in rows
            if await stores.lanes.resume(row.app, row.provider, by="operator")
        ]
    return _tell("resumed", lifted, as_json)


@lanes.command("release", example="inkpush lanes release agent/fcm")
@click.option("--discard", is_flag=True, help="Keep the devices: the proof came of a fault.")
@lanes_argument
@json_option
@click.pass_obj
@asynchronous
async def release(state: State, names: tuple[str, ...], discard: bool, as_json: bool) -> int:
    """Release the prune brake, on all lanes when none is named.

    What it held back is pruned by the same proof, or kept with --discard. Look before at `inkpush
    lanes list`: that many devices rarely die at once, while a wrong project or topic looks just
    like it.
    """
    released = []
    async with state.store() as stores:
        for row in await _named(state.settings(), stores, names):
            if row.brake_at is not None:
                gone = await stores.lanes.release(
                    row.app, row.provider, now=time.time(), discard=discard
                )
                released.append({"lane": _name(row), "pruned": gone})
    if as_json:
        show.as_line({"released": released})
    elif released:
        show.table(released, ("lane", "pruned"), empty="")
    else:
        click.echo("No prune brake is on there.", err=True)
    return 0 if released else 1


def _tell(what: str, names: list[str], as_json: bool) -> int:
    if as_json:
        show.as_line({what: names})
    else:
        click.echo(f"{what}: {', '.join(names)}" if names else "No lane is held there.")
    return 0 if names else 1


def _name(row: LaneRow) -> str:
    return f"{row.app}/{row.provider}"


async def _all(settings: Settings, stores: Stores) -> list[LaneRow]:
    """The configured lanes and those that were ever seen."""
    from gateway.ports import LaneRow

    rows = {(row.app, row.provider): row for row in await stores.lanes.all()}
    for app in settings.apps:
        for provider in app.vendors:
            rows.setdefault((app.id, provider), LaneRow(app.id, provider))
    return [rows[key] for key in sorted(rows)]


async def _named(settings: Settings, stores: Stores, names: tuple[str, ...]) -> list[LaneRow]:
    """The lanes that were named, by app, by APP/PROVIDER, or as the two words; else all."""
    known = await _all(settings, stores)
    if len(names) == 2 and names[1] in {row.provider for row in known}:
        names = ("/".join(names),)
    unknown = [name for name in names if not any(name in (row.app, _name(row)) for row in known)]
    if unknown:
        listed = ", ".join(_name(row) for row in known) or "none: no app is configured"
        raise click.UsageError(f"there is no lane {unknown[0]}; there are {listed}")
    return [row for row in known if not names or row.app in names or _name(row) in names]


def _view(row: LaneRow) -> dict[str, object]:
    return {
        "app": row.app,
        "provider": row.provider,
        "state": {"": "open", "operator": "held"}.get(row.held, row.held),
        "reason": row.reason,
        "hint": row.hint,
        "held_at": show.moment(row.held_at),
        "rate": row.rate,
        "errors": row.errors,
        "waiting": row.waiting,
        "brake_at": show.moment(row.brake_at),
        "held_back": row.held_back,
        "seen_at": show.moment(row.seen_at),
    }
