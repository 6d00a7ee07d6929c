"""`inkpush events types` and `export`: learning events, which are no pushes."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.cli import show
from gateway.cli.acting import actor
from gateway.cli.base import (
    Command,
    Moment,
    State,
    UserId,
    When,
    asynchronous,
    by_option,
    json_option,
    reason_option,
)
from gateway.cli.records import Format, format_of
from gateway.cli.transfer import format_option
from gateway.cli.writing import whole_file

if TYPE_CHECKING:
    from gateway.app.storage import Stores
    from gateway.core.learning import LearningEvent, Wanted
    from gateway.core.model import UserRef
    from gateway.ports.learning import Learning
    from gateway.whose import By

TYPE_COLUMNS = ("type", "count", "last_seen", "with_person", "paths")
FIELDS = (
    "number",
    "event_id",
    "source",
    "type",
    "occurred_at",
    "received_at",
    "late",
    "user_id",
    "custom_id",
    "object",
    "body",
)
"""What an export tells of an event."""
_PAGE = 2_000
#: bodies of a type that are looked into: so many of the oldest, and of the newest
_LOOKED = 500
#: what a spreadsheet takes for the beginning of a formula
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "＝", "＋", "－", "＠")  # noqa: RUF001 - so they are


class TypeWord(click.ParamType[str]):
    """A type of events, with a `*` at its end for all that begin so."""

    name = "type"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Refuse what means no type."""
        from gateway.core.event_types import type_fault

        if fault := type_fault(str(value)):
            self.fail(fault, param, ctx)
        return str(value)


@click.command(
    "types",
    cls=Command,
    short_help="Types of learning events, and their fields",
    example="inkpush events types --json",
)
@json_option
@click.pass_obj
@asynchronous
async def types(state: State, as_json: bool) -> None:
    """Show each type of learning events: how many, when the last came, in how many a person was
    found, and which fields they have, as dotted paths without values.

    Fields are those of the 500 oldest and of the newest events of a type. What [learning] drops
    is not kept, and does not show.
    """
    async with state.store() as stores:
        learning = stores.store.learning
        head = await learning.head()
        rows = [
            {
                "type": one.type,
                "count": one.events,
                "last_seen": show.moment(one.last_at),
                "with_person": one.with_person,
                "paths": await _paths(learning, one.type, head.number),
            }
            for one in await learning.types()
        ]
    if as_json:
        show.as_line({"types": rows})
    else:
        show.table(rows, TYPE_COLUMNS, empty="There is no learning event.")


async def _paths(learning: Learning, name: str, last: int) -> list[str]:
    """The dotted paths in some events of a type."""
    from gateway.core.dotted import places_in
    from gateway.core.learning import Wanted
    from gateway.core.reading import document_of

    # a limit of a key has no `*` but at its end, so that this one type is named as it is
    wanted = Wanted(type=name) if not name.endswith("*") else Wanted()
    found: dict[str, None] = {}
    span = 2 * _LOOKED
    page = await learning.page(wanted, after=0, limit=_LOOKED)
    looked = list(page.events)
    while len(page.events) >= _LOOKED and span < last:
        page = await learning.page(wanted, after=last - span, limit=_LOOKED)
        looked += page.events
        if page.events:
            break
        span *= 8
    for event in looked:
        if event.type == name:
            found.update(dict.fromkeys(places_in(document_of(event.body))))
    return sorted(found)


@click.command(
    "export",
    cls=Command,
    short_help="Export learning events to FILE",
    example="inkpush events export --type 'user.course.*' --since 30d courses.csv",
)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True))
@format_option
@click.option("--type", "kind", type=TypeWord(), help="Only these: user.course.* means all such.")
@click.option("--source", help="Only those of this source, like learnink or staging.")
@click.option("--user", type=UserId(), help="Only those of this person.")
@by_option
@click.option("--since", type=Moment(), help="Only from then on: 2026-11-23T10:00:00Z, 90m, 7d.")
@click.option("--until", type=Moment(), help="Only before then: 2026-11-23T10:00:00Z, 90m, 7d.")
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
@reason_option
@json_option
@click.pass_obj
@asynchronous
async def export(
    state: State,
    file: Path,
    chosen: Format | None,
    kind: str | None,
    source: str | None,
    user: str | None,
    by: By | None,
    since: When | None,
    until: When | None,
    force: bool,
    reason: str,
    as_json: bool,
) -> None:
    """Export learning events to FILE (- for standard output), as NDJSON or CSV, oldest first.

    A window goes by when events occurred, else by when they were received. The file is readable
    for its owner only. Beside it stands FILE.manifest.json: what was exported, the file's SHA-256,
    and the head of the chain then, which shows later changes to whoever keeps it elsewhere.

    In CSV, a cell that a spreadsheet would run as a formula has a ' before it. The audit table has
    a row of every export.
    """
    from gateway.core.learning import Wanted
    from gateway.ops.people import people_of
    from gateway.whose import find_user

    beside = file.with_name(f"{file.name}.manifest.json")
    is_file = str(file) != "-"
    if is_file and not force:
        for one in (file, beside):
            if one.is_file():
                raise click.ClickException(f"{one} is there already; --force replaces it")
    form = format_of(file.name, chosen)
    late_after_s = state.settings().learning.late_after_s
    async with state.store() as stores:
        now = stores.clocks.wall()
        wanted = Wanted(
            type=kind,
            source=source,
            since=None if since is None else since.at(now),
            until=None if until is None else until.at(now),
        )
        about: UserRef | None = None
        people: list[UserRef] = []
        if user is not None:
            about = await find_user(stores.registry, user, by)
            people = people_of(about, await stores.registry.devices_of(about))
        # first: nothing goes out of which no row tells; how many they were is added at the end
        act = actor(reason).does("events.export", kind or "", at=now, about=about)
        await stores.audit.note(act, count=0)
        head = await stores.store.learning.head()
        told = Told()
        with (
            whole_file(file) as out,
            show.progress("Exporting", head.number) as advance,
        ):
            write = writer(out, form, late_after_s=late_after_s, told=told)
            async for page in _pages(stores, wanted, people, head.number, advance):
                write(page)
        await stores.audit.note(act, count=told.count)
    manifest = {
        "file": file.name,
        "format": form,
        "exported_at": show.moment(now),
        "type": kind,
        "source": source,
        "one_person": user is not None,
        "since": show.moment(wanted.since),
        "until": show.moment(wanted.until),
        **told.view(),
        "head": {"number": head.number, "head": head.head.hex()},
    }
    if is_file:
        with whole_file(beside) as out:
            out.write(json.dumps(manifest, ensure_ascii=False, indent=2) + "\n")
    if as_json:
        click.echo(json.dumps(manifest, ensure_ascii=False), err=not is_file)
    else:
        click.echo(f"{told.count} events exported, up to {head.number}", err=True)


class Told:
    """What was exported so far: how many, between which numbers, and the hash of the file."""

    def __init__(self) -> None:
        self.count = 0
        self.undated = 0
        self.first = 0
        self.last = 0
        self._hash = hashlib.sha256()

    def add(self, page: Sequence[LearningEvent], written: str) -> None:
        """Count a page that was written as this."""
        self._hash.update(written.encode())
        if page:
            self.first = self.first or page[0].number
            self.last = page[-1].number
        self.count += len(page)
        self.undated += sum(event.occurred_at is None for event in page)

    def view(self) -> dict[str, Any]:
        """For the manifest. `undated` are those that a window took by when they were received."""
        return {
            "events": self.count,
            "undated": self.undated,
            "first": self.first or None,
            "last": self.last or None,
            "sha256": self._hash.hexdigest(),
        }


async def _pages(
    stores: Stores,
    wanted: Wanted,
    people: Sequence[UserRef],
    last: int,
    advance: Callable[[int], None],
) -> AsyncIterator[list[LearningEvent]]:
    """What is wanted, up to this number."""
    from gateway.ops.learning import read

    after = 0
    while after < last:
        page = await read(stores.store.learning, wanted, people, after=after, limit=_PAGE)
        yield [event for event in page.events if event.number <= last]
        advance(min(page.after, last) - after)
        if len(page.events) < _PAGE or page.after <= after:
            return
        after = page.after


def writer(
    out: Any, form: Format, *, late_after_s: float, told: Told
) -> Callable[[Sequence[LearningEvent]], None]:
    """Begin to write events; returns what writes some."""
    from gateway.core.reading import event_view

    def views(page: Iterable[LearningEvent]) -> Iterable[dict[str, Any]]:
        return (
            {"number": one.number, **event_view(one, late_after_s=late_after_s)} for one in page
        )

    def rows(page: Sequence[LearningEvent]) -> str:
        text = io.StringIO()
        lines = csv.writer(text, lineterminator="\n")
        lines.writerows([cell(view[name]) for name in FIELDS] for view in views(page))
        return text.getvalue()

    def put(page: Sequence[LearningEvent], text: str) -> None:
        out.write(text)
        told.add(page, text)

    if form == "csv":
        put((), ",".join(FIELDS) + "\n")
        return lambda page: put(page, rows(page))
    return lambda page: put(page, "".join(f"{_line(view)}\n" for view in views(page)))


def cell(value: Any) -> Any:
    """A value as a cell that no spreadsheet runs."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case int():
            return value
        case str():
            text = value
        case _:
            text = _line(value)
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text


def _line(value: Any) -> str:
    """A value as JSON, on one line."""
    from gateway.core.dotted import written

    return written(value).decode()
