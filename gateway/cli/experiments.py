"""`inkpush experiments`: whether reminders lead to learning, found out by lot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from gateway.whose import By

COLUMNS = (
    "experiment",
    "stage",
    "started_at",
    "ends_at",
    "ended_at",
    "reminded",
    "held",
    "left_out",
    "note",
)


@click.group(cls=Group, short_help="Experiments: do reminders lead to learning?")
def experiments() -> None:
    """Experiments: by lot, a few people get their first reminder later, and who learnt is compared.

    `inkpush effect` tells what came of them.
    """


@experiments.command(
    "plan",
    short_help="What an experiment can find out",
    example="inkpush experiments plan spring --base 0.3",
)
@click.argument("name", metavar="[EXPERIMENT]", required=False)
@click.option(
    "--base",
    type=click.FloatRange(0.01, 0.99),
    default=0.3,
    show_default=True,
    help="Share of people who complete something without a reminder, as far as you know.",
)
@click.option(
    "--holdout",
    type=click.FloatRange(0.01, 0.2),
    help="Share of people who are held back. Default: the experiment's, else 0.1.",
)
@json_option
@click.pass_obj
def plan(state: State, name: str | None, base: float, holdout: float | None, as_json: bool) -> None:
    """Tell how many people it takes to find what reminders do, before anybody is held back.

    Nothing is asked of the database.
    """
    from gateway.app import experiment_acts as acts

    if name is not None:
        asked = acts.named(state.settings(), name)
        holdout = asked.holdout if holdout is None else holdout
    found = acts.planned(base=base, holdout=0.1 if holdout is None else holdout)
    if as_json:
        show.as_line(found)
        return
    for line in plan_lines(found):
        click.echo(line)


def plan_lines(found: Mapping[str, Any]) -> list[str]:
    """A plan in words."""
    share, base = found["holdout"], found["base"]
    return [
        f"{share:.0%} of people held back, {base:.0%} of whom complete something anyway:",
        "",
        "   people   held back   the lift is known to within",
        *(
            f"  {one['people']:>7,}   {one['held']:>9,}   {one['points']:>6} of 100 people".replace(
                ",", " "
            )
            for one in found["widths"]
        ),
        "",
        *(
            f"A lift of {one['points']} in 100 is found in 8 of 10 experiments with "
            f"{one['people']:,} people.".replace(",", " ")
            for one in found["needed"]
        ),
    ]


@experiments.command(
    "start",
    short_help="Begin a dry run, then the experiment",
    example="inkpush experiments start spring",
)
@click.argument("name", metavar="EXPERIMENT")
@reason_option
@json_option
@click.pass_obj
@asynchronous
async def start(state: State, name: str, reason: str, as_json: bool) -> None:
    """Begin the dry run of an experiment of the configuration; once that is over, have people
    enter.

    In the dry run it is only noted whom the lot would hold back. Who allowed the experiment, and
    what for, is written down in the audit table.
    """
    from gateway.app import experiment_acts as acts
    from gateway.app.ids import RANDOM

    settings = state.settings()
    async with state.store() as stores:
        begun = await acts.start(stores, settings, name, actor=actor(reason), secret=RANDOM.secret)
    kept, told = begun.kept, acts.counts(begun.noted)
    if as_json:
        show.as_line({"experiment": name, "stage": kept.stage.value, "dry_run": told})
        return
    if begun.changed:
        click.echo(f"Changed since the dry run, which begins anew: {', '.join(begun.changed)}")
    if kept.stage.value == "dry":
        days = acts.named(settings, name).dry_run_days
        click.echo(
            f"The dry run of {name} has begun: for {days} days it is noted whom the lot would hold "
            "back, and nobody is. Then start it again."
        )
        return
    click.echo(
        f"{name} has begun: people enter with their first reminder. `inkpush experiments end "
        f"{name}` ends it at any time."
    )
    click.echo(
        f"In the dry run {told['reminded'] + told['held']} people or a few more would have entered,"
        f" and {told['held']} of them been held back."
    )


@experiments.command(
    "end",
    short_help="End an experiment",
    example='inkpush experiments end spring --reason "we know enough"',
)
@click.argument("name", metavar="EXPERIMENT")
@reason_option
@json_option
@click.pass_obj
@asynchronous
async def end(state: State, name: str, reason: str, as_json: bool) -> None:
    """End an experiment for good: nobody enters any more, and what is held back goes out now.

    Its figure stays, and is settled when the last window is.
    """
    from gateway.app import experiment_acts as acts

    async with state.store() as stores:
        await acts.stop(stores, name, actor=actor(reason))
    if as_json:
        show.as_line({"ended": name})
    else:
        click.echo(f"{name} has ended; what was held back goes out now")


@experiments.command(
    "list", short_help="List experiments and how they stand", example="inkpush experiments list"
)
@json_option
@click.pass_obj
@asynchronous
async def list_experiments(state: State, as_json: bool) -> None:
    """List each experiment: how far it is, and about how many people are in it.

    Counts of people are rounded down to twenties.
    """
    from gateway.app import experiment_acts as acts

    settings = state.settings()
    async with state.store() as stores:
        rows = await acts.listed(stores, settings)
    if as_json:
        show.as_line({"experiments": rows})
        return
    for row in rows:
        row["left_out"] = " ".join(
            f"{why}:{count}" for why, count in (row.get("left_out") or {}).items() if count
        )
    show.table(rows, COLUMNS, empty="The configuration has no experiment, and none was begun.")


@experiments.command(
    "exempt",
    short_help="Hold nothing back of a person",
    example="inkpush experiments exempt 3c2143e4",
)
@click.argument("user", type=UserId())
@by_option
@click.option("--undo", is_flag=True, help="Take it back: the lot may hold their reminders again.")
@reason_option
@json_option
@click.pass_obj
@asynchronous
async def exempt(
    state: State, user: str, by: By | None, undo: bool, reason: str, as_json: bool
) -> None:
    """Hold nothing back of a person, in any experiment, from now on.

    USER is a custom_id or a user_id. What is held back of them goes out now. They stay counted in
    their group.
    """
    from gateway.ops.experiments import exempt_user

    async with state.store() as stores:
        await exempt_user(
            stores.store,
            stores.secret,
            user,
            by,
            is_exempt=not undo,
            at=stores.clocks.wall(),
            actor=actor(reason),
        )
    if as_json:
        show.as_line({"exempt": not undo})
    else:
        click.echo("the lot may hold them again" if undo else "nothing of theirs is held back now")
