"""Output: tables for people, one line of JSON for programs."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import click

from gateway.core.instants import to_iso

_WIDE = 1_000


def as_line(value: Any) -> None:
    """Print a value as one line of JSON."""
    click.echo(json.dumps(value, ensure_ascii=False, default=str))


def moment(seconds: float | None) -> str | None:
    """Write a time, or nothing."""
    return None if seconds is None else to_iso(seconds)


def table(rows: Iterable[Mapping[str, Any]], columns: Sequence[str], *, empty: str) -> None:
    """Print the named columns of the rows; `empty` when there are none.

    Into a pipe no column is cut, whatever its width.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    found = list(rows)
    if not found:
        click.echo(empty, err=True)
        return
    drawn = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        drawn.add_column(column.replace("_", " "), overflow="fold")
    for row in found:
        drawn.add_row(*(Text(_cell(row.get(column))) for column in columns))
    width = None if sys.stdout.isatty() else _WIDE
    Console(file=sys.stdout, width=width, highlight=False).print(drawn)


def in_words(delivery: Mapping[str, Any]) -> dict[str, Any]:
    """A delivery as people read it: that a vendor took it says nothing of the phone."""
    from gateway.app.vendors import taken_by

    state = delivery["state"]
    if state == "delivered":
        state = taken_by(delivery["provider"])
    return {**delivery, "state": state}


def counts_in_words(event: Mapping[str, Any]) -> dict[str, Any]:
    """An event as people read it: see `in_words`."""
    counts = {
        "taken by the vendor" if state == "delivered" else state: count
        for state, count in event["deliveries"].items()
    }
    return {**event, "deliveries": counts}


def fields(values: Mapping[str, Any]) -> None:
    """Print one thing, a line for each of its fields that has a value."""
    width = max(len(name) for name in values)
    for name, value in values.items():
        if value not in (None, "", {}, []):
            click.echo(f"{name.replace('_', ' '):<{width}}  {_cell(value)}")


@contextlib.contextmanager
def progress(what: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Show the progress on standard error, if that is a terminal."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _done: None
        return
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task(what, total=total)
        yield lambda done: progress.advance(task, done)


def _cell(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:g}"
        case Mapping():
            return ", ".join(f"{key} {inner}" for key, inner in value.items())
        case list() | tuple():
            return ", ".join(_cell(inner) for inner in value)
        case _:
            return str(value)
