"""`inkpush report`: some whole days in one page, as text, as an HTML file, or as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TextIO

import click

from gateway.cli import show
from gateway.cli.base import Command, Moment, State, When, asynchronous, json_option

NOTHING = "Nothing is counted yet: a day is counted a day after it ended."


@click.command(
    cls=Command,
    short_help="The week in one page",
    example="inkpush report\ninkpush report --since 30d --html report.html",
)
@click.option(
    "--since",
    type=Moment(),
    default="7d",
    show_default=True,
    help="From when on; an age counts back from the last day that was counted.",
)
@click.option(
    "--html",
    "page",
    type=click.File("w", lazy=True),
    help="Write one HTML file (-: to the screen).",
)
@json_option
@click.pass_obj
@asynchronous
async def report(state: State, since: When, page: TextIO | None, as_json: bool) -> None:
    """How far the pushes of some days came, why some did not, which phones came and went, and what
    to mend first.

    Whole days only, which are counted a day after they ended; a person counts once a day. Nothing
    is told of fewer than 20 people, nor can it be had by subtracting; counts under 1 000 are
    rounded to 5.
    """
    from gateway.app.reporting import report_of

    settings = state.settings()
    async with state.store() as stores:
        found = await report_of(stores, settings, since.at)
    if page is not None:
        from gateway.cli.report_page import page_of

        page.write(page_of(found))
        return
    if as_json:
        show.as_line(found)
        return
    for line in lines_of(found):
        click.echo(line)


def lines_of(found: Mapping[str, Any]) -> Iterator[str]:
    """The report as text."""
    yield from people_lines(found)
    for one in found["effect"]:
        yield ""
        yield from one["words"]
    if found["reasons"]:
        yield ""
        yield "Why pushes reached nobody"
        for one in found["reasons"]:
            yield f"  {amount(one['people']):>7}  {one['text']}"
    learning = found["learning"]
    if learning["types"]:
        yield ""
        yield "Learning events that are kept"
        for one in learning["types"]:
            yield f"  {few(one['events'])}  {one['type']}, the last on {one['last_on']}"
        yield f"  the chain's head at {learning['number']}: {learning['head']}"
    if found["phones"]:
        yield ""
        yield "Phones"
        for one in found["phones"]:
            yield f"  {name_of(one)}: {phones_in_words(one)}"
    yield from _mend(found)


def people_lines(found: Mapping[str, Any]) -> Iterator[str]:
    """How far the pushes of some days came, with a line for each cell."""
    if not found["days"]:
        yield NOTHING
        return
    yield f"Pushes of {found['span']} (days of {found['zone']})"
    yield ""
    everybody = found["people"]
    if not everybody["people"]:
        yield "On none of these days were there 20 people or more, so nothing is told of them."
        return
    people = amount(everybody["people"])
    yield f"For {people} people, each counted once a day: {way_in_words(everybody)}"
    for cell in found["cells"]:
        yield f"  {name_of(cell)}, {amount(cell['people'])} people: {way_in_words(cell)}"


def name_of(cell: Mapping[str, Any]) -> str:
    """Whom a line is about."""
    if cell["app"] == "other":
        return "others, some too few to be told alone"
    if not cell["app"]:
        return "no phone"
    from gateway.core.report import PLATFORMS

    return f"{cell['app']} on {PLATFORMS.get(cell['platform'], cell['platform'])}"


def way_in_words(one: Mapping[str, Any]) -> str:
    """How far the pushes of these people came."""
    told = f"the vendor took {one['taken_of_100']} in 100"
    if one["phones_that_can_tell"]:
        over = amount(one["phones_that_can_tell"])
        told += (
            f"; of {over} whose phones can tell, {one['shown_of_100']} in 100 were shown one "
            f"and {one['opened_of_100']} in 100 tapped one"
        )
    return f"{told}."


def phones_in_words(one: Mapping[str, Any]) -> str:
    """How many phones there are, and what became of them."""
    told = f"{few(one['active'])} in service, {few(one['won'])} came, {few(one['lost'])} went"
    if one["muted_of_100"] is not None:
        told += f"; {one['muted_of_100']} in 100 show nothing"
    if one["silent_of_100"] is not None:
        told += f"; {one['silent_of_100']} in 100 were not heard of for 60 days"
    return told


def amount(count: int) -> str:
    """`3 240`."""
    return f"{count:,}".replace(",", " ")


def few(count: int | None, too_few: str = "fewer than 20") -> str:
    """A count of phones; `too_few`, where there are some and not 20."""
    return too_few if count is None else amount(count)


def _mend(found: Mapping[str, Any]) -> Iterator[str]:
    if found["mend"]:
        yield ""
        yield "To mend first"
        for number, one in enumerate(found["mend"], 1):
            yield f"  {number}. {one['what']} {one['do']}"
