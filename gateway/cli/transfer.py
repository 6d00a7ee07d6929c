"""`inkpush devices import` and `export`: the registry as NDJSON or CSV, streamed."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from gateway.cli import show
from gateway.cli.acting import actor
from gateway.cli.base import Command, State, asynchronous, json_option, reason_option
from gateway.cli.records import Format, format_of, read_records, write_record
from gateway.cli.spreadsheets import BadLine
from gateway.cli.writing import whole_file

if TYPE_CHECKING:
    from gateway.app.storage import Stores
    from gateway.core.audit import Act
    from gateway.core.model import Device, Registration
    from gateway.ports import Imported

_BATCH = 500
_TOLD = 1_000
"""Bad lines that the JSON summary lists at most; standard error gets all of them."""

format_option = click.option(
    "--format",
    "chosen",
    type=click.Choice(["ndjson", "csv"]),
    help="Else by the file's name: .csv, or NDJSON.",
)


@dataclass(slots=True)
class Tally:
    """The result of an import."""

    new: int = 0
    known: int = 0
    newer: list[dict[str, Any]] = field(default_factory=list)
    bad: int = 0
    errors: list[dict[str, Any]] = field(default_factory=list)

    def reject(self, line: int, reason: str) -> None:
        """Count a bad line, and report it at once."""
        self.bad += 1
        if self.bad <= _TOLD:
            self.errors.append({"line": line, "reason": reason})
        click.echo(f"line {line}: {reason}", err=True)

    def take(self, lines: list[tuple[int, Registration]], done: Imported) -> None:
        """Count what became of good lines."""
        self.new += done.new
        self.known += done.known
        for place in done.newer:
            line, asked = lines[place]
            self.newer.append({"line": line, "installation_id": asked.installation_id})


@click.command(
    "import",
    cls=Command,
    short_help="Import devices from FILE",
    example="inkpush devices import devices.csv --json",
)
@click.argument("file", type=click.File("rb"))
@format_option
@click.option(
    "--force",
    is_flag=True,
    help="Let the file win over what is newer here; never over an erase.",
)
@reason_option
@json_option
@click.pass_obj
@asynchronous
async def import_devices(
    state: State, file: BinaryIO, chosen: Format | None, force: bool, reason: str, as_json: bool
) -> int:
    """Import devices from FILE (- for standard input), with the fields of the devices API.

    A spreadsheet may be saved with any separator, header spelling, and encoding but old national
    ones. Each bad line is reported with its number and reason; the good ones are imported all the
    same. Exit status 1 if any was bad. The command may be repeated: a device already stored with
    this address is not changed. `last_seen_at`, if given, is when the app last confirmed the
    address.

    A line that is not newer than what is known of its installation or address changes nothing, and
    is listed as `newer here`: the app has registered since, or it was forgotten, erased or
    replaced. A line without `last_seen_at` is newer than nothing. --force lets such lines win, but
    for what an erase took.
    """
    settings = state.settings()
    apps = {app.id: frozenset(app.vendors) for app in settings.apps}
    tally = Tally()
    async with state.store() as stores:
        # one act, however many batches it takes
        act = actor(reason).does("devices.import", at=stores.clocks.wall())
        with show.progress("Importing", _size(file)) as advance:
            records = read_records(file, format_of(file.name, chosen), advance)
            await _import(stores, records, apps, tally, force=force, act=act)
    counts = {"new": tally.new, "known": tally.known, "newer here": len(tally.newer)}
    counts["bad"] = tally.bad
    if as_json:
        summary = {name.replace(" ", "_"): count for name, count in counts.items()}
        show.as_line({**summary, "newer": tally.newer, "errors": tally.errors})
        return 1 if tally.bad else 0
    click.echo(", ".join(f"{count} {name}" for name, count in counts.items()))
    if tally.newer:
        click.echo("\nNewer here, and left as it is:")
        show.table(tally.newer, ("line", "installation_id"), empty="")
    return 1 if tally.bad else 0


async def _import(
    stores: Stores,
    records: Iterator[tuple[int, Any]],
    apps: dict[str, Any],
    tally: Tally,
    *,
    force: bool,
    act: Act,
) -> None:
    batch: list[tuple[int, Registration]] = []
    for line, record in records:
        registration = _registration(line, record, apps, tally)
        if registration is not None:
            batch.append((line, registration))
        if len(batch) == _BATCH:
            await _register(stores, batch, tally, force=force, act=act)
            batch = []
    if batch:
        await _register(stores, batch, tally, force=force, act=act)


def _registration(
    line: int, record: dict[str, Any] | BadLine, apps: Any, tally: Tally
) -> Registration | None:
    from gateway.app.vendors import VENDORS
    from gateway.devices.records import BadRecord, registration_of

    if isinstance(record, BadLine):
        tally.reject(line, record.reason)
        return None
    try:
        return registration_of(record, vendors=VENDORS, apps=apps)
    except BadRecord as bad:
        tally.reject(line, str(bad))
        return None


async def _register(
    stores: Stores,
    batch: list[tuple[int, Registration]],
    tally: Tally,
    *,
    force: bool,
    act: Act,
) -> None:
    asked = [registration for _, registration in batch]
    now = stores.clocks.wall()
    done = await stores.registry.register_many(asked, now=now, force=force, act=act)
    tally.take(batch, done)


@click.command(
    "export",
    cls=Command,
    short_help="Export devices to FILE",
    example="inkpush devices export devices.ndjson",
)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True))
@format_option
@click.option("--app", help="Only those of this app.")
@click.option(
    "--state",
    "wanted",
    type=click.Choice(["active", "quarantined", "pruned", "all"]),
    default="active",
    show_default=True,
    help="An import brings every device back as active.",
)
@reason_option
@json_option
@click.pass_obj
@asynchronous
async def export_devices(
    state: State,
    file: Path,
    chosen: Format | None,
    app: str | None,
    wanted: str,
    reason: str,
    as_json: bool,
) -> None:
    """Export devices to FILE (- for standard output), with their addresses: keep it safe.

    The file is readable for its owner only, and stands under its name once it is whole;
    `inkpush devices import` reads it back. The audit table has a row of every export.
    """
    from gateway.app.vendors import VENDORS
    from gateway.devices.records import FIELDS, record_of

    count = 0
    async with state.store() as stores:
        # first: nothing goes out of which no row tells; how many they were is added at the end
        act = actor(reason).does("devices.export", app or "", at=stores.clocks.wall())
        await stores.audit.note(act, count=0)
        with (
            whole_file(file) as out,
            show.progress("Exporting", await _expected(stores)) as advance,
        ):
            write = write_record(out, format_of(file.name, chosen), FIELDS)
            async for page in _pages(stores, app, wanted):
                for device in page:
                    write(record_of(device, VENDORS))
                count += len(page)
                advance(len(page))
        await stores.audit.note(act, count=count)
    if as_json:
        click.echo(f'{{"exported": {count}}}', err=str(file) == "-")
    else:
        click.echo(f"{count} devices exported", err=True)


def _pages(stores: Stores, app: str | None, wanted: str) -> AsyncIterator[list[Device]]:
    from gateway.core.states import DeviceState

    return stores.registry.export(app=app, state=None if wanted == "all" else DeviceState(wanted))


async def _expected(stores: Stores) -> int:
    return sum((await stores.registry.count()).values())


def _size(file: BinaryIO) -> int | None:
    try:
        return os.fstat(file.fileno()).st_size or None
    except OSError:
        return None
