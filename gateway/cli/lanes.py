"""`inkpush lanes`: pausing and resuming the way to one vendor for one app.

The state is in the store, so this works on a running gateway.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from gateway.cli import show
from gateway.cli.acting import actor
from gateway.cli.base import Group, State, asynchronous, json_option, reason_option

if TYPE_CHECKING:
    from gateway.app.holding import Place
    from gateway.app.hooking import HookPlace
    from gateway.app.storage import Stores
    from gateway.core.audit import What

COLUMNS = (
    "lane",
    "state",
    "since",
    "reason",
    "hint",
    "rate",
    "errors",
    "waiting",
    "brake",
    "held_back",
)
_NAMES = "[APP[/PROVIDER[/PART]] | hook/ID]..."


@click.group(cls=Group, short_help="Lanes: one per app and provider")
def lanes() -> None:
    """Lanes: one per app and provider, with parts that fail apart: APP/PROVIDER/PART.

    A hook is a lane of its own: hook/ID.
    """


@lanes.command(
    "list", short_help="List lanes, their parts and states", example="inkpush lanes list"
)
@json_option
@click.pass_obj
@asynchronous
async def list_lanes(state: State, as_json: bool) -> None:
    """List each part of each lane: its state, since when and why, and the prune brake."""
    async with state.store() as stores:
        rows = [_view(place) for place in await _named(state, stores, ())]
        rows += [_hook_view(place) for place in await _hooks(state, stores, ())]
    if as_json:
        show.as_line({"lanes": rows})
        return
    for row in rows:
        row["lane"] = "{app}/{provider}/{part}".format(**row).rstrip("/")
        row["brake"] = "ON since " + str(row["brake_at"]) if row["brake_at"] else ""
        row["errors"] = f"{row['errors']:.1%}"
        row["rate"] = row["rate"] or "no limit"
    show.table(rows, COLUMNS, empty="No app is configured.")


lanes_argument = click.argument("names", metavar=_NAMES, nargs=-1)


@lanes.command(
    "pause",
    short_help="Pause lanes or parts of them",
    example='inkpush lanes pause agent/fcm/ios --reason "new APNs key"',
)
@lanes_argument
@click.option(
    "--reason", default="", help="Why, for the next person who looks; name no person in it."
)
@json_option
@click.pass_obj
@asynchronous
async def pause(state: State, names: tuple[str, ...], reason: str, as_json: bool) -> int:
    """Pause lanes or parts of them: their pushes wait until they expire or are resumed."""
    from gateway.app import holding, hooking

    if not names:
        raise click.UsageError("name the lanes to pause, as `inkpush lanes list` shows them")
    lanes_named, hooks_named = _told_apart(names)
    async with state.store() as stores:
        now, who = stores.clocks.wall(), actor(reason)
        chosen = await _named(state, stores, lanes_named) if lanes_named else []
        hooks = await _hooks(state, stores, hooks_named) if hooks_named else []
        paused = await holding.pause(stores, chosen, reason=reason, now=now, actor=who)
        paused += await hooking.pause_hooks(stores, hooks, reason=reason, now=now, actor=who)
    if as_json:
        show.as_line({"held": paused})
    else:
        click.echo(f"paused: {', '.join(paused)}")
    return 0


@lanes.command(
    "resume", short_help="Resume lanes or parts of them", example="inkpush lanes resume agent/fcm"
)
@lanes_argument
@reason_option
@json_option
@click.pass_obj
@asynchronous
async def resume(state: State, names: tuple[str, ...], reason: str, as_json: bool) -> int:
    """Resume lanes or parts that are paused, held or quiet; all of them when none is named.

    Accusations of single targets are cleared as well. A part that the gateway held itself is held
    again if the fault is still there.
    """
    from gateway.app import holding, hooking

    lanes_named, hooks_named = _told_apart(names)
    async with state.store() as stores:
        now, who = stores.clocks.wall(), actor(reason)
        chosen = await _named(state, stores, lanes_named) if lanes_named or not names else []
        hooks = await _hooks(state, stores, hooks_named) if hooks_named or not names else []
        lifted = await holding.resume(stores, chosen, now=now, actor=who)
        lifted += await hooking.resume_hooks(stores, hooks, now=now, actor=who)
    if as_json:
        show.as_line({"resumed": lifted})
    elif lifted:
        click.echo(f"resumed: {', '.join(lifted)}")
    else:
        click.echo("Nothing is paused, held, accused or quiet there.", err=True)
    return 0 if lifted else 1


@lanes.command(
    "release", short_help="Release the prune brake", example="inkpush lanes release agent/fcm"
)
@click.option("--discard", is_flag=True, help="Keep the devices: the proof came of a fault.")
@click.argument("names", metavar="[APP[/PROVIDER]]...", nargs=-1)
@reason_option
@json_option
@click.pass_obj
@asynchronous
async def release(
    state: State, names: tuple[str, ...], discard: bool, reason: str, as_json: bool
) -> int:
    """Release the prune brake, on all lanes when none is named.

    The devices that it held back are pruned by the same proof, or kept with --discard. Look at
    `inkpush lanes list` first: that many devices rarely die at once, while a wrong project or topic
    looks just like it.
    """

    released = []
    async with state.store() as stores:
        rows = {place.lane: place.row for place in await _named(state, stores, names)}
        for name, row in rows.items():
            if row.brake_at is not None:
                now = stores.clocks.wall()
                what: What = "lanes.discard" if discard else "lanes.release"
                act = actor(reason).does(what, name, at=now)
                gone = await stores.lanes.release(
                    row.app, row.provider, now=now, discard=discard, act=act
                )
                released.append({"lane": name, "pruned": gone})
    if as_json:
        show.as_line({"released": released})
    elif released:
        show.table(released, ("lane", "pruned"), empty="")
    else:
        click.echo("No prune brake is on there.", err=True)
    return 0 if released else 1


async def _named(state: State, stores: Stores, names: tuple[str, ...]) -> list[Place]:
    """The parts that were named; all if none was."""
    from gateway.app import holding
    from gateway.app.vendors import VENDORS

    known = await holding.places(state.settings(), stores, VENDORS, now=stores.clocks.wall())
    try:
        return holding.named(known, names)
    except holding.UnknownLane as error:
        raise click.UsageError(str(error)) from None


def _told_apart(names: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names of lanes and parts, and those of hooks; both may come as separate words."""
    if len(names) == 2 and names[0] == "hook":
        names = ("/".join(names),)
    hooks = tuple(name for name in names if name.startswith("hook/"))
    return tuple(name for name in names if name not in hooks), hooks


async def _hooks(state: State, stores: Stores, names: tuple[str, ...]) -> list[HookPlace]:
    """The hooks that were named; all if none was."""
    from gateway.app import hooking

    known = await hooking.hook_places(state.settings(), stores)
    try:
        return hooking.named_hooks(known, names) if names else known
    except hooking.UnknownHook as error:
        raise click.UsageError(str(error)) from None


def _hook_view(place: HookPlace) -> dict[str, object]:
    standing = place.standing
    return {
        "app": "hook",
        "provider": place.id,
        "part": "",
        "state": standing.state,
        "reason": standing.reason,
        "hint": standing.hint,
        "since": show.moment(standing.since),
        "until": None,
        "rate": 0.0,
        "errors": 0.0,
        "waiting": place.count.waiting,
        "brake_at": None,
        "held_back": 0,
        "seen_at": None,
    }


def _view(place: Place) -> dict[str, object]:
    row, standing = place.row, place.standing
    part = row.part(place.part)
    return {
        "app": row.app,
        "provider": row.provider,
        "part": place.part,
        "state": standing.state,
        "reason": standing.reason,
        "hint": standing.hint,
        "since": show.moment(standing.since),
        "until": show.moment(standing.until),
        "rate": row.rate,
        "errors": part.errors,
        "waiting": part.waiting,
        "brake_at": show.moment(row.brake_at),
        "held_back": row.held_back,
        "seen_at": show.moment(part.seen_at),
    }
