"""`inkpush effect`: whether reminders lead to learning."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import click

from gateway.cli import show
from gateway.cli.base import Command, Moment, State, When, asynchronous, json_option
from gateway.cli.report import people_lines

NONE = "No experiment has been counted, so nothing can be said of what reminders do: see effect.md."


@click.command(
    cls=Command,
    short_help="Whether reminders lead to learning",
    example="inkpush effect --since 30d",
)
@click.option(
    "--since",
    type=Moment(),
    default="30d",
    show_default=True,
    help="From when on; an age counts back from the last day that was counted.",
)
@json_option
@click.pass_obj
@asynchronous
async def effect(state: State, since: When, as_json: bool) -> None:
    """Whether reminders lead to learning: of 100 people whom the lot let be reminded, and of 100
    whom it did not, how many completed something.

    Every experiment is told in which somebody entered since then, whole; then how far pushes came.
    Nothing is told of fewer than 20 people, nor can it be had by subtracting; there is no lift
    where a group has fewer than 100.
    """
    from gateway.app.effects import effect_of

    settings = state.settings()
    async with state.store() as stores:
        found = await effect_of(stores, settings, since.at)
    if as_json:
        show.as_line(found)
        return
    for line in lines_of(found):
        click.echo(line)


def lines_of(found: Mapping[str, Any]) -> Iterator[str]:
    """The answer as text."""
    for one in found["experiments"]:
        yield from one["words"]
        yield ""
    if not found["experiments"]:
        yield NONE
        yield ""
    yield from people_lines(found["pushes"])
