"""A SQLite store as it is at one moment, read from the first row to the last.

Owns one reading transaction, beside whatever is written. Changes nothing in the file, not even its
schema; one that is damaged is not opened. Blocks whoever calls: a thread would have to get the
interpreter back at each row.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from types import TracebackType

from gateway.errors import SchemaMismatch, StoreError, StoreUnavailable
from gateway.store.copying import Key, Row, Table, is_full, storable_rows
from gateway.store.queries import load_migrations, load_queries
from gateway.store.sqlite.file import DatabaseFile
from gateway.store.sqlite.judging import physically, too_new

_STEP = 256


class SqliteSnapshot:
    """An open snapshot; a context manager. Raises StoreError for a file that is no store."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.place = str(path.resolve())
        self._sql = load_queries("sqlite")
        if not path.is_file():
            raise StoreError(f"{path}: there is no such file")
        self._file = DatabaseFile.open(path, reading=True)
        try:
            physically(self._file)
            with self._told():
                # autocommit: the transaction is begun by hand
                self._connection = sqlite3.connect(self._file.path, isolation_level=None)
            try:
                self._begin()
            except StoreError:
                self._connection.close()
                raise
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> SqliteSnapshot:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._connection.close()
        self._file.close()

    def counts(self) -> dict[str, int]:
        """How many rows each table has."""
        with self._told():
            return dict(self._connection.execute(self._sql["copy_counts"]).fetchall())

    def ids(self) -> dict[str, int]:
        """The largest id that each table ever gave."""
        with self._told():
            return dict(self._connection.execute(self._sql["copy_ids"]).fetchall())

    def columns(self, table: Table) -> list[str]:
        """The names of a row's columns, the key's first."""
        with self._told():
            cursor = self._connection.execute(self._sql[f"copy_{table.name}"], table.start)
            return [column[0] for column in cursor.description]

    def pages(self, table: Table, *, after: Key) -> Iterator[list[Row]]:
        """The rows behind a key in its order, in pages that fit one transaction."""
        with self._told():
            cursor = self._connection.execute(self._sql[f"copy_{table.name}"], after)
            page: list[Row] = []
            size = 0
            while some := list(islice(cursor, _STEP if table.bulk is None else 1)):
                page += storable_rows(table, some)
                if table.bulk is not None:
                    size += len(some[0][table.bulk])
                if is_full(len(page), size):
                    yield page
                    page, size = [], 0
            if page:
                yield page

    def _begin(self) -> None:
        latest = load_migrations("sqlite")[-1][0]
        with self._told():
            self._connection.execute("PRAGMA query_only = ON")
            self._connection.execute("PRAGMA busy_timeout = 5000")
            self._connection.execute("PRAGMA cache_size = -65536")  # KiB
            self._connection.execute("BEGIN")
            version = self._connection.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            raise StoreError(f"{self.path} is not a database of Inkpush")
        if version < latest:
            raise SchemaMismatch(
                f"{self.path} has schema {version}, this Inkpush knows {latest}: "
                "run `inkpush migrate` on it first."
            )
        if version > latest:
            raise too_new(self.path, version, latest)

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise StoreUnavailable(f"{self.path} cannot be read: {error}") from error
