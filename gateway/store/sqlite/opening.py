"""Opening a SQLite file: its connections, how they are set, and its schema.

Owns migrations and settings, and that nothing is written to a file before it was judged. Refuses to
know what is done with the connections, and by whom. WAL with `synchronous=FULL`: a commit that
returned survives a power cut.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from tenacity import retry, retry_if_exception, stop_after_delay, wait_random

from gateway.errors import StoreUnavailable
from gateway.store.queries import load_migrations, load_queries
from gateway.store.sqlite import holding
from gateway.store.sqlite.file import DatabaseFile
from gateway.store.sqlite.holding import Holder
from gateway.store.sqlite.judging import judge, mark, there_is, too_new

_READERS = 2
_BUSY_TIMEOUT_S = 5
_SETTINGS = (
    f"busy_timeout = {_BUSY_TIMEOUT_S * 1000}",  # another process may be at its own commit
    "journal_mode = WAL",
    "synchronous = FULL",
    "cache_size = -32768",  # KiB
    "wal_autocheckpoint = 4000",  # pages
    "secure_delete = ON",  # what is deleted is overwritten
)
_READING = ("query_only = ON",)


@dataclass(frozen=True, slots=True)
class Connections:
    """One that writes, those that read beside it, and one that reads much at a time. Whoever gets
    them closes them, and then the file.

    `is_new`: there was no database. `unknown` are relays of before that may be alive.
    """

    writing: sqlite3.Connection
    reading: tuple[sqlite3.Connection, ...]
    searching: sqlite3.Connection
    file: DatabaseFile
    is_new: bool
    unknown: tuple[Holder, ...]


def open_connections(
    path: Path, *, may_make: bool = True, holder: Holder | None = None
) -> Connections:
    """Judge the file, create or migrate it, then open what will work with it: what fails, fails
    here. With a `holder` it is the only relay on the file.

    Waits for the disk, and up to five seconds for another process. Raises StoreUnavailable;
    DatabaseRefused for what must not be written to; SchemaMismatch for a file that a later version
    has worked on; ConfigurationError where another relay, or another name, has the file.
    """
    opened: list[sqlite3.Connection] = []
    file, unknown = None, []
    try:
        there_is(path, Path(os.path.realpath(path)), new=may_make)
        file = DatabaseFile.open(path, alone=holder is not None)
        is_new = judge(file, new=may_make)
        with contextlib.closing(_connect(file.path)) as connection:
            migrate(connection, path)
            mark(connection)
            if holder is not None:
                unknown = holding.take(connection, load_queries("sqlite"), holder, file.path)
        opened.append(_connect(file.path))
        opened.extend(_connect(file.path, read_only=True) for _ in range(_READERS + 1))
        file.watch()
    except BaseException as error:
        for connection in opened:
            connection.close()
        if file is not None:
            file.close()
        if isinstance(error, sqlite3.Error | OSError):
            raise StoreUnavailable(f"{path} cannot be opened: {error}") from error
        raise
    return Connections(opened[0], tuple(opened[1:-1]), opened[-1], file, is_new, tuple(unknown))


def migrate(connection: sqlite3.Connection, place: object) -> None:
    """Bring a database to this version's schema. `place` is what it is called in errors.

    The connection commits what it is told to and no more (`isolation_level=None`). What fails
    leaves the database as it was.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        _migrate(connection, place)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _migrate(connection: sqlite3.Connection, place: object) -> None:
    migrations = load_migrations("sqlite")
    latest = migrations[-1][0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > latest:
        raise too_new(place, version, latest)
    for number, script in migrations:
        if number > version:
            _run_script(connection, script)
    connection.execute(f"PRAGMA user_version = {latest}")


def _is_busy(error: BaseException) -> bool:
    primary_code = 0xFF
    return (
        isinstance(error, sqlite3.OperationalError)
        and error.sqlite_errorcode & primary_code == sqlite3.SQLITE_BUSY
    )


@retry(
    # Switching to WAL does not wait for another process at the same, as all else does.
    retry=retry_if_exception(_is_busy),
    wait=wait_random(0.01, 0.05),
    stop=stop_after_delay(_BUSY_TIMEOUT_S),
    reraise=True,
)
def _connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        for setting in (*_SETTINGS, *(_READING if read_only else ())):
            connection.execute(f"PRAGMA {setting}")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _run_script(connection: sqlite3.Connection, script: str) -> None:
    """Run a migration inside the open transaction (`executescript` would commit it)."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            connection.execute(statement)
            statement = ""
