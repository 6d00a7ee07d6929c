"""A database as a version before left it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from gateway.store.queries import load_migrations


def as_of_version(path: Path, version: int) -> None:
    """Put in its place one of this schema version, with all rows that fit there. Nobody has it
    open."""
    older = path.with_name("older.db")
    with closing(sqlite3.connect(older)) as connection:
        for number, script in load_migrations("sqlite"):
            if number <= version:
                connection.executescript(script)
        connection.execute(f"PRAGMA user_version = {version}")
        connection.execute("ATTACH ? AS newer", (str(path),))
        # the sequences last: what is inserted counts there
        for table in sorted(_tables(connection), key="sqlite_sequence".__eq__):
            there = _columns(connection, "newer", table)
            columns = ", ".join(
                name for name in _columns(connection, "main", table) if name in there
            )
            connection.execute(f"DELETE FROM main.{table}")  # names of our schema
            connection.execute(
                f"INSERT INTO main.{table} ({columns}) SELECT {columns} FROM newer.{table}"
            )
        connection.commit()
    older.replace(path)


def _tables(connection: sqlite3.Connection) -> list[str]:
    """All of the schema, and `sqlite_sequence`: by it a file knows that it is no older copy."""
    found = (
        "SELECT name FROM main.sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_stat%'"
    )
    return [name for (name,) in connection.execute(found).fetchall()]


def _columns(connection: sqlite3.Connection, schema: str, table: str) -> list[str]:
    return [row[1] for row in connection.execute(f"PRAGMA {schema}.table_info({table})")]
