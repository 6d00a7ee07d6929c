"""`inkpush dead`: deliveries that were given up, and what to do about them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from gateway.cli import show
from gateway.cli.acting import actor
from gateway.cli.base import (
    Group,
    State,
    asynchronous,
    json_option,
    reason_option,
    yes_option,
)
from gateway.core.audit import names_of

if TYPE_CHECKING:
    from gateway.ports import HookLetter

HOOK_COLUMNS = ("id", "died_at", "events", "types", "oldest_at", "attempts", "reason")
COLUMNS = ("id", "died_at", "event_id", "index", "app", "provider", "attempts", "reason")


@click.group(cls=Group, short_help="Deliveries given up after the last attempt")
def dead() -> None:
    """Dead letters: deliveries given up after their last attempt."""


@dead.command(
    "list",
    short_help="List dead letters, newest first",
    example="inkpush dead list --event msg_2Lh9KRb0pzN4LePd3XiA4v12Axj",
)
@click.option("--event", "event_id", help="Only those of this event.")
@click.option("--hook", help="Batches that this hook did not take, instead.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True)
@json_option
@click.pass_obj
@asynchronous
async def list_dead(
    state: State, event_id: str | None, hook: str | None, limit: int, as_json: bool
) -> None:
    """List dead letters, newest first, without their content.

    A letter of index -1 is a chunk that could not be read; its bytes are kept. A letter of a hook
    is a batch of events that waited too long for it, or were too many.
    """
    async with state.store() as stores:
        if hook is not None:
            found = await stores.store.hooks.dead(_bare(hook), limit=limit)
            _show_hooks(found, as_json)
            return
        letters = await stores.journal.dead(limit=limit, event_id=event_id)
    rows = [
        {
            "id": letter.id,
            "event_id": letter.event_id,
            "index": letter.item.index,
            "device_id": letter.device_id,
            "app": letter.app,
            "provider": letter.provider,
            "reason": letter.reason,
            "attempts": letter.attempts,
            "died_at": show.moment(letter.died_at),
            "form": letter.form,
        }
        for letter in letters
    ]
    if as_json:
        show.as_line({"dead": rows})
    else:
        show.table(rows, COLUMNS, empty="There is no dead letter.")


ids_argument = click.argument("ids", metavar="[ID]...", type=int, nargs=-1)
all_option = click.option("--all", "every", is_flag=True, help="All of them.")


hook_option = click.option("--hook", help="Those of this hook, instead of pushes.")


@dead.command("replay", short_help="Queue dead letters again", example="inkpush dead replay 17 18")
@ids_argument
@all_option
@hook_option
@reason_option
@json_option
@click.pass_obj
@asynchronous
async def replay(
    state: State,
    ids: tuple[int, ...],
    every: bool,
    hook: str | None,
    reason: str,
    as_json: bool,
) -> int:
    """Queue dead letters again, with a new life of relay.max_age_s, or of the hook's max_age_s."""
    chosen = _chosen(ids, every)
    max_age_s = state.settings().relay.max_age_s
    async with state.store() as stores:
        now = stores.clocks.wall()
        if hook is not None:
            act = actor(reason).does("hooks.replay", _lane(hook), at=now)
            count = await stores.store.hooks.replay_dead(_bare(hook), chosen, now=now, act=act)
            return _tell("replayed", count, ids, as_json)
        act = actor(reason).does("dead.replay", names_of(chosen), at=now)
        count = await stores.queue.replay_dead(chosen, now=now, max_age_s=max_age_s, act=act)
    return _tell("replayed", count, ids, as_json)


@dead.command("drop", short_help="Delete dead letters", example="inkpush dead drop --all --yes")
@ids_argument
@all_option
@hook_option
@yes_option
@reason_option
@json_option
@click.pass_obj
@asynchronous
async def drop(
    state: State,
    ids: tuple[int, ...],
    every: bool,
    hook: str | None,
    reason: str,
    as_json: bool,
) -> int:
    """Delete dead letters; the journal keeps the failure of their deliveries."""
    chosen = _chosen(ids, every)
    async with state.store() as stores:
        if hook is not None:
            act = actor(reason).does("hooks.drop", _lane(hook), at=stores.clocks.wall())
            count = await stores.store.hooks.drop_dead(_bare(hook), chosen, act=act)
            return _tell("dropped", count, ids, as_json)
        act = actor(reason).does("dead.drop", names_of(chosen), at=stores.clocks.wall())
        count = await stores.journal.drop_dead(chosen, act=act)
    return _tell("dropped", count, ids, as_json)


def _bare(hook: str) -> str:
    return hook.removeprefix("hook/")


def _lane(hook: str) -> str:
    return f"hook/{_bare(hook)}"


def _show_hooks(letters: Sequence[HookLetter], as_json: bool) -> None:
    rows = [
        {
            "id": letter.id,
            "hook": letter.hook,
            "webhook_id": letter.name,
            "events": letter.size,
            "types": list(letter.types),
            "oldest_at": show.moment(letter.at),
            "attempts": letter.tries,
            "reason": letter.reason,
            "died_at": show.moment(letter.died_at),
        }
        for letter in letters
    ]
    if as_json:
        show.as_line({"dead": rows})
    else:
        show.table(rows, HOOK_COLUMNS, empty="The hook has no dead letter.")


def _chosen(ids: tuple[int, ...], every: bool) -> list[int] | None:
    if bool(ids) == every:
        raise click.UsageError("name dead letters by their ids, or take --all")
    return None if every else list(ids)


def _tell(what: str, count: int, ids: tuple[int, ...], as_json: bool) -> int:
    if as_json:
        show.as_line({what: count})
    else:
        click.echo(f"{count} {what}")
    return 1 if count < len(set(ids)) else 0
