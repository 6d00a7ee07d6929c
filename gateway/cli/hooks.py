"""`inkpush hooks`: the customer's own systems that are told what happens.

The state is in the store, so this works on a running gateway, from any machine that reaches it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from gateway.cli import show
from gateway.cli.acting import actor
from gateway.cli.base import Group, Moment, State, When, asynchronous, json_option, reason_option

if TYPE_CHECKING:
    from gateway.app.hooking import HookPlace
    from gateway.app.storage import Stores

COLUMNS = (
    "hook",
    "state",
    "since",
    "reason",
    "hint",
    "waiting",
    "oldest",
    "dead",
    "host",
    "events",
)


@click.group(cls=Group, short_help="Hooks: what your own systems are told")
def hooks() -> None:
    """Hooks: your own systems that are told what happens."""


@hooks.command("list", short_help="List hooks and how they stand", example="inkpush hooks list")
@json_option
@click.pass_obj
@asynchronous
async def list_hooks(state: State, as_json: bool) -> None:
    """List each hook: how it stands, since when and why, and what waits for it."""
    async with state.store() as stores:
        rows = [view(place) for place in await _named(state, stores, ())]
    if as_json:
        show.as_line({"hooks": rows})
        return
    for row in rows:
        row["events"] = " ".join(row["events"])  # type: ignore[arg-type]
    show.table(rows, COLUMNS, empty="No hook is configured.")


@hooks.command("test", short_help="Post a test event to a hook", example="inkpush hooks test crm")
@click.argument("hook")
@json_option
@click.pass_obj
@asynchronous
async def test(state: State, hook: str, as_json: bool) -> int:
    """Post one event of the type hook.test, now, past what waits.

    It is signed as all others are, and checked against the same rules. Nothing is stored but who
    did it.
    """
    from gateway.app import hooking
    from gateway.app.ids import RANDOM

    known = {one.id: one for one in state.settings().hooks}
    name = hook.removeprefix("hook/")
    if name not in known:
        listed = ", ".join(known) or "none: no hook is configured"
        raise click.UsageError(f"there is no hook {name}; there are {listed}")
    async with state.store() as stores:
        answer = await hooking.post_test(known[name], stores.clocks, RANDOM)
        act = actor("").does("hooks.test", f"hook/{name}", at=stores.clocks.wall())
        await stores.audit.note(act)
    took = answer.kind == "taken"
    if as_json:
        show.as_line({"hook": name, "outcome": answer.kind, "reason": answer.reason})
    elif took:
        click.echo(f"{name} took it")
    else:
        click.echo(f"{name} did not take it: {answer.reason}", err=True)
    return 0 if took else 1


hooks_argument = click.argument("names", metavar="[HOOK]...", nargs=-1)


@hooks.command(
    "pause", short_help="Pause hooks", example='inkpush hooks pause crm --reason "it moves"'
)
@hooks_argument
@reason_option
@json_option
@click.pass_obj
@asynchronous
async def pause(state: State, names: tuple[str, ...], reason: str, as_json: bool) -> int:
    """Pause hooks: what is for them waits, as long as max_age_s says."""
    from gateway.app import hooking

    if not names:
        raise click.UsageError("name the hooks to pause, as `inkpush hooks list` shows them")
    async with state.store() as stores:
        chosen = await _named(state, stores, names)
        now = stores.clocks.wall()
        paused = await hooking.pause_hooks(
            stores, chosen, reason=reason, now=now, actor=actor(reason)
        )
    if as_json:
        show.as_line({"held": paused})
    else:
        click.echo(f"paused: {', '.join(paused)}")
    return 0


@hooks.command("resume", short_help="Resume hooks", example="inkpush hooks resume crm")
@hooks_argument
@reason_option
@json_option
@click.pass_obj
@asynchronous
async def resume(state: State, names: tuple[str, ...], reason: str, as_json: bool) -> int:
    """Resume hooks that are paused, held after a 410, or failing; all of them when none is named.

    What waits for them is posted at once.
    """
    from gateway.app import hooking

    async with state.store() as stores:
        chosen = await _named(state, stores, names)
        now = stores.clocks.wall()
        lifted = await hooking.resume_hooks(stores, chosen, now=now, actor=actor(reason))
    if as_json:
        show.as_line({"resumed": lifted})
    elif lifted:
        click.echo(f"resumed: {', '.join(lifted)}")
    else:
        click.echo("Nothing is paused, held or failing there.", err=True)
    return 0 if lifted else 1


@hooks.command(
    "replay", short_help="Post again what happened", example="inkpush hooks replay crm --since 3d"
)
@click.argument("hook")
@click.option(
    "--since", type=Moment(), required=True, help="From then on: 2026-11-23T10:00:00Z, 90m, 7d."
)
@reason_option
@json_option
@click.pass_obj
@asynchronous
async def replay(state: State, hook: str, since: When, reason: str, as_json: bool) -> int:
    """Post again what happened since a time, as far as the journal still knows it.

    These are deliveries that ended, receipts, and the hook's dead letters. Each event has the id
    that it had before, so that a receiver drops what it knows.
    """
    from gateway.app import replaying_hooks

    async with state.store() as stores:
        now = stores.clocks.wall()
        (place,) = await _named(state, stores, (hook,))
        act = actor(reason).does("hooks.replay", place.name, at=now)
        replayed = await replaying_hooks.replay(
            stores, place.id, since=since.at(now), now=now, act=act
        )
    if as_json:
        show.as_line({"replayed": replayed})
    else:
        click.echo(f"{replayed} events wait again")
    return 0


async def _named(state: State, stores: Stores, names: tuple[str, ...]) -> list[HookPlace]:
    """The hooks that were named; all if none was."""
    from gateway.app import hooking

    known = await hooking.hook_places(state.settings(), stores)
    try:
        return hooking.named_hooks(known, names) if names else known
    except hooking.UnknownHook as error:
        raise click.UsageError(str(error)) from None


def view(place: HookPlace) -> dict[str, object]:
    """A hook as commands show it."""
    standing, count = place.standing, place.count
    return {
        "hook": place.id,
        "state": standing.state,
        "since": show.moment(standing.since),
        "reason": standing.reason,
        "hint": standing.hint,
        "failures": place.failures,
        "waiting": count.waiting,
        "oldest": show.moment(count.since),
        "dead": count.dead,
        "host": place.host,
        "events": list(place.events),
        "configured": place.is_configured,
    }
