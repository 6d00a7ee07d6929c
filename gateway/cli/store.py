"""`inkpush store`: moving all lasting data to another database."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from gateway.cli import show
from gateway.cli.acting import actor
from gateway.cli.base import Group, State, asynchronous, json_option, reason_option

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.app.copying import Copied

COLUMNS = ("table", "rows", "copied", "checksum")


@click.group(cls=Group, short_help="The database: moving it to a larger one")
def store() -> None:
    """The database: moving it to a larger one."""


@store.command(
    "copy",
    short_help="Copy SQLite to an empty PostgreSQL",
    example="inkpush store copy --to postgresql://inkpush@db.internal/inkpush\n"
    "inkpush store copy --from sqlite:////var/lib/inkpush/inkpush.db",
)
@click.option(
    "--from", "source", metavar="URL", help="sqlite:///FILE. Else store.url, if it is SQLite."
)
@click.option(
    "--to",
    "target",
    metavar="URL",
    help="postgresql://USER@HOST/DATABASE, with the password in PGPASSWORD, where no list of "
    "processes shows it. Else store.url, if it is PostgreSQL.",
)
@click.option(
    "--live",
    is_flag=True,
    help="Copy although a relay works on the source: a trial, without the relay's later changes.",
)
@reason_option
@json_option
@click.pass_obj
@asynchronous
async def copy(
    state: State, source: str | None, target: str | None, live: bool, reason: str, as_json: bool
) -> None:
    """Copy all lasting data from SQLite to an empty PostgreSQL database, and verify it.

    Device ids stay, and with them the ids of deliveries. If the copy is interrupted, run the
    command again: it continues where it stopped. Stop the gateway on the source first, and start
    none on the target until the copy is done. The source is not changed; who copied is in the
    audit table of the target.
    """
    from config.formats import without_password
    from gateway import app
    from gateway.errors import DatabaseRefused, StoreUnavailable

    settings = state.settings()
    file = _source(source, settings.store.url)
    url = _target(target, settings.store.url)
    place = without_password(url)
    queued = settings.queue.url == "store"
    try:
        copied = await app.copy_store(
            file, url, queued=queued, live=live, progress=show.progress, actor=actor(reason)
        )
    except DatabaseRefused:
        raise
    except StoreUnavailable as error:
        raise StoreUnavailable(
            f"From {file} to {place}: {error}\nRun the same command again: it goes on where it "
            "stopped."
        ) from error
    if as_json:
        show.as_line(_view(copied))
    else:
        _tell(copied, file, place)


def _source(given: str | None, configured: str) -> Path:
    from config.formats import SQLITE_PREFIX
    from gateway.app.storage import sqlite_path

    url = _checked("--from", given) if given else configured
    if not url.startswith(SQLITE_PREFIX):
        if given:
            raise click.BadParameter(
                "is copied from SQLite only; expected sqlite:///FILE", param_hint="--from"
            )
        raise click.UsageError("--from is missing: store.url is not a SQLite file")
    return sqlite_path(url)


def _target(given: str | None, configured: str) -> str:
    from config.formats import is_postgres

    url = _checked("--to", given) if given else configured
    if not is_postgres(url):
        if given:
            raise click.BadParameter(
                "is copied to PostgreSQL only; expected postgresql://USER@HOST/DATABASE",
                param_hint="--to",
            )
        raise click.UsageError("--to is missing: store.url is not a PostgreSQL database")
    return url


def _checked(option: str, url: str) -> str:
    from config.formats import store_url

    try:
        return store_url(url)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint=option) from None


def _view(copied: Copied) -> dict[str, object]:
    return {
        "verified_at": show.moment(copied.verified_at),
        "before": copied.before,
        "resumed": copied.resumed,
        "rows": copied.rows,
        "seconds": round(copied.seconds, 3),
        "tables": [
            {"table": one.table, "rows": one.rows, "copied": one.copied, "checksum": one.checksum}
            for one in copied.tables
        ],
    }


def _tell(copied: Copied, file: Path, place: str) -> None:
    if copied.before:
        click.echo(
            f"Nothing to do: {file} was copied to {place} and verified at "
            f"{show.moment(copied.verified_at)}.\nTo copy it anew, take an empty database."
        )
        return
    show.table(_view(copied)["tables"], COLUMNS, empty="")  # type: ignore[arg-type]  # of these
    click.echo(
        f"{copied.rows:,} rows copied and verified in {copied.seconds:.1f} s. "
        f"Now let store.url name {place}."
    )
