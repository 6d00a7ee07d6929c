"""What phones told of pushes, on SQLite: the table `receipts`."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from functools import cache

from gateway.core import seen
from gateway.core.model import Record
from gateway.core.receipts import Measure, Told
from gateway.ports.receipts import Kept
from gateway.store.forgetting import Mark, Row, numbers
from gateway.store.receipts import (
    Facts,
    asked_before,
    decide,
    keys_of,
    moved_meanwhile,
    told_of,
    with_users,
)
from gateway.store.sqlite import hearing
from gateway.store.sqlite.database import SqliteDatabase
from gateway.store.sqlite.erased import secret_of


class SqliteReceipts:
    """The port `gateway.ports.Receipts`."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database
        self._sql = database.sql

    async def keep(self, told: Sequence[Told], *, rule: Measure) -> list[Kept]:
        if not told:
            return []
        asked = json.dumps([(*one.key[:3], one.kind.value) for one in told])

        def work(connection: sqlite3.Connection) -> list[Kept]:
            rows = connection.execute(self._sql["receipt_facts"], {"asked": asked}).fetchall()
            found = [(one, Facts(*row)) for one, row in zip(told, rows, strict=True)]
            if moved := moved_meanwhile(found):
                asked_events = {"events": json.dumps(sorted(moved))}
                found = with_users(
                    found, connection.execute(self._sql["receipt_events"], asked_events)
                )
            erased = self._database.erased_from(connection, {one.key.event_id for one in told})
            number = cache(numbers(secret_of(connection, self._sql)))
            marks: dict[int, Mark] = {}
            if names := asked_before(found):
                hashes = {"hashes": json.dumps([number(name) for name in names])}
                for row in connection.execute(self._sql["forgotten_find"], hashes):
                    marks[row[0]] = Mark(*row)
            decided = decide(found, rule=rule, erased=erased, number=number, marks=marks)
            self._database.write_rows(connection, "receipt_keep", decided.rows)
            hearing.seen(connection, self._sql, decided.heard)
            return list(decided.kept)

        return await self._database.write(work)

    async def of(self, deliveries: Sequence[Record]) -> seen.Told:
        keys = keys_of(deliveries)
        if not keys:
            return seen.NOTHING
        asked = {"asked": json.dumps(keys)}
        devices = {"ids": json.dumps(sorted({key[2] for key in keys}))}

        def work(connection: sqlite3.Connection) -> seen.Told:
            rows = connection.execute(self._sql["receipts_of"], asked).fetchall()
            tellers = connection.execute(self._sql["tellers"], devices).fetchall()
            return told_of(rows, tellers)

        return await self._database.read(work)


def take_back(connection: sqlite3.Connection, sql: Mapping[str, str], device: Row) -> None:
    """Delete what a device told of its person's pushes: they let none of it be kept any more."""
    oldest, newest = connection.execute(sql["runs"]).fetchone()
    names = ("user_id", "custom_id", "id")
    asked = {name: device[name] for name in names} | {"oldest": oldest, "newest": newest}
    connection.execute(sql["receipts_take_back"], asked)
