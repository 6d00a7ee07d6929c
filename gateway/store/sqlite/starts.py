"""Which push of a device and key was started last, on SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import partial

from gateway.ports.starts import Answer, Start
from gateway.store.sqlite.database import SqliteDatabase

#: so many devices a transaction, so that the relay's own writes get their turn in between
_STRETCH = 10_000


class SqliteStarts:
    """The port `gateway.ports.Starts`."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database
        self._sql = database.sql

    async def ask(
        self, asked: Sequence[Start], *, now: float, latest: float, for_s: float
    ) -> list[Answer]:
        times = {"now": now, "for_s": for_s, "latest": latest}

        def work(connection: sqlite3.Connection) -> list[Answer]:
            return [self._answer(connection, one._asdict() | times) for one in asked]

        return await self._database.write(work)

    async def release(self, ended: Sequence[Start]) -> None:
        rows = [one._asdict() for one in ended]
        sql = self._sql["starts_release"]
        await self._database.write(lambda connection: connection.executemany(sql, rows).rowcount)

    def _answer(self, connection: sqlite3.Connection, values: dict[str, object]) -> Answer:
        if connection.execute(self._sql["starts_ask"], values).fetchone() is not None:
            return "may"
        (is_newer,) = connection.execute(self._sql["starts_newer"], values).fetchone()
        return "overtaken" if is_newer else "waits"


async def purge(database: SqliteDatabase, *, before: float) -> int:
    """Forget what started last before then. Returns how many rows."""
    ((last,),) = await database.rows("starts_last", {})
    purged = 0
    for after in range(0, last or 0, _STRETCH):
        purged += await database.write(partial(_purge, database, after, before))
    return purged


def _purge(
    database: SqliteDatabase, after: int, before: float, connection: sqlite3.Connection
) -> int:
    span = {"after": after, "upto": after + _STRETCH, "before": before}
    return connection.execute(database.sql["starts_purge"], span).rowcount
