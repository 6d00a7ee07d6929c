"""The table `forgotten` on SQLite, and the secret that its numbers are made with.

Owns its rows; what they say is `gateway.store.forgetting`'s. Every function works in the caller's
transaction.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence

from gateway.core.hashes import Fresh
from gateway.core.model import Registration
from gateway.errors import StoreError
from gateway.store.forgetting import (
    Gone,
    Mark,
    Memory,
    Name,
    marks_of,
    names_in,
    numbers,
)
from gateway.store.sqlite.bulk import write_rows
from gateway.store.sqlite.erased import HASHES, kept_secret

Sql = Mapping[str, str]


def secret(connection: sqlite3.Connection, sql: Sql, fresh: Fresh | None) -> bytes:
    """The key of keyed hashes; `fresh` makes it where there is none yet."""
    key = kept_secret(connection, sql)
    if key is None:
        if fresh is None:
            raise StoreError("The store has no secret yet, and was not told where to get one.")
        key = fresh()
        connection.execute(sql["secret_keep"], {"name": HASHES, "value": key})
    return key


def of_names(connection: sqlite3.Connection, sql: Sql, names: Iterable[Name]) -> Memory | None:
    """What is remembered of these names; None in a store that never forgot anything."""
    key = kept_secret(connection, sql)
    if key is None:
        return None
    return _find(connection, sql, key, names)


def of_registrations(
    connection: sqlite3.Connection,
    sql: Sql,
    fresh: Fresh | None,
    registrations: Sequence[Registration],
) -> Memory:
    """What is remembered of all that a batch asks for, in one query."""
    key = secret(connection, sql, fresh)
    return _find(connection, sql, key, names_in(registrations))


def remember(
    connection: sqlite3.Connection, sql: Sql, fresh: Fresh | None, gone: Sequence[Gone]
) -> None:
    """Write down what went."""
    if gone:
        keep(connection, sql, marks_of(numbers(secret(connection, sql, fresh)), gone))


def keep(connection: sqlite3.Connection, sql: Sql, marks: Sequence[Mark]) -> None:
    """Write rows, or bring those up to date that are there."""
    write_rows(connection, sql["forgotten_keep"], marks)


def _find(connection: sqlite3.Connection, sql: Sql, key: bytes, names: Iterable[Name]) -> Memory:
    found = Memory(key)
    asked = {"hashes": json.dumps(found.asked(names))}
    found.load(Mark(*row) for row in connection.execute(sql["forgotten_find"], asked))
    return found
