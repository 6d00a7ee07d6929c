"""Taking in another store's rows, table by table, as they are.

Owns how far a copy is: a page of rows and the key behind which to go on are one transaction, so
nothing is doubled and nothing left out, wherever it is interrupted.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.core.audit import Act
from gateway.errors import StoreError, StoreUnavailable
from gateway.ports import REPLICA_ALIVE_S
from gateway.store.copying import DELIVERIES, TABLES, Checksum, Key, Row, Table
from gateway.store.postgres import audit
from gateway.store.postgres.database import PATIENT, SLOW, PostgresDatabase, Session
from gateway.store.postgres.failures import is_taken
from gateway.store.postgres.partitions import Partitions

_LOCK = 0x1A4E
_READ_ROWS = 5_000


@dataclass(slots=True)
class Begun:
    """A table on its way: the key behind which to go on, and how many rows are there."""

    last_key: Key
    rows: int


async def unfinished(database: PostgresDatabase) -> str | None:
    """The source of a copy that has begun and is not verified, if there is one."""

    async def work(session: Session) -> str | None:
        if not (await session.row("copy_begun"))[0]:
            return None
        told = await session.rows("copy_progress")
        return next((row["source"] for row in told if row["verified_at"] is None), None)

    return await database.read(work)


class PostgresArrivals:
    """A copy into a PostgreSQL database from `source`, which is named in what is told."""

    def __init__(self, database: PostgresDatabase, source: str) -> None:
        self._database = database
        self._source = source
        self._partitions = Partitions(database)
        self._begun: dict[str, Begun] = {}

    async def begin(self) -> float | None:
        """Start, or go on. Returns when a copy of this source was verified, if it was.

        Raises StoreError where the rows of anybody else are, or where a gateway is at work.
        """

        async def work(session: Session) -> float | None:
            await session.rows("copy_lock", _LOCK)
            begun = (await session.row("copy_begun"))[0]
            told = await session.rows("copy_progress") if begun else []
            _check_source(told, self._source)
            verified: list[float | None] = [row["verified_at"] for row in told]
            if told and None not in verified:
                return verified[0]
            if (await session.row("copy_replicas", REPLICA_ALIVE_S))[0]:
                raise StoreError("A gateway runs on the target: stop it until all is copied.")
            if not told:
                await _check_empty(session)
            await session.run("copy_create")
            for table in TABLES:
                await session.run("copy_begin", table.name, self._source, _text(table.start))
            for row in await session.rows("copy_progress"):
                self._begun[row["name"]] = Begun(tuple(json.loads(row["last_key"])), row["rows"])
            return None

        return await self._database.write(work, pace=SLOW)

    def begun(self, table: Table) -> Begun:
        """How far a table is."""
        return self._begun[table.name]

    async def add(self, table: Table, columns: Sequence[str], rows: Sequence[Row]) -> None:
        """Append a page, which follows in the order of the key on what is there."""
        begun = self._begun[table.name]
        last_key = rows[-1][: len(table.start)]
        if table.name == DELIVERIES:
            await self._partitions.ensure({row[-1] for row in rows})

        async def work(session: Session) -> None:
            known = _text(begun.last_key)
            if not await session.run("copy_advance", table.name, known, _text(last_key), len(rows)):
                raise StoreError("Another copy into this database is under way: leave it to that.")
            await session.copy(table.name, columns, rows)

        try:
            await self._database.write(work, pace=SLOW)
        except StoreUnavailable as error:
            if is_taken(error):
                raise _not_ours([table.name]) from error
            raise
        begun.last_key, begun.rows = last_key, begun.rows + len(rows)

    async def checksum(
        self, table: Table, columns: Sequence[str], advance: Callable[[int], None]
    ) -> Checksum:
        """Read a table back."""

        async def work(session: Session) -> Checksum:
            found = Checksum()
            async for rows in session.pages(table.name, columns, _READ_ROWS):
                found.add(rows)
                advance(len(rows))
            return found

        return await self._database.read(work, pace=PATIENT)

    async def finish(self, ids: Mapping[str, int], *, now: float, act: Act) -> None:
        """Let new rows get ids that the source never gave, and note that the copy is complete, and
        whose act it was."""

        async def work(session: Session) -> None:
            for table in TABLES:
                if table.identity and ids.get(table.name):
                    await session.rows("copy_give_ids_behind", table.name, ids[table.name])
            await session.run("copy_verified", now)
            await audit.note(session, act, count=sum(one.rows for one in self._begun.values()))

        await self._database.write(work, pace=SLOW)

    async def analyze(self) -> None:
        """Let the planner know what is there."""
        await self._database.write(lambda session: session.run("copy_analyze"), pace=PATIENT)


def _check_source(told: Sequence[Any], source: str) -> None:
    for row in told:
        if row["source"] != source:
            raise StoreError(
                f"The target holds a copy of {row['source']}, not of {source}: take an empty "
                "database."
            )


async def _check_empty(session: Session) -> None:
    occupied = [row[0] for row in await session.rows("copy_occupied")]
    if occupied:
        raise _not_ours(occupied)


def _not_ours(tables: Sequence[str]) -> StoreError:
    return StoreError(
        f"The target has rows that are not of this source ({', '.join(tables)}): take an empty "
        "database."
    )


def _text(key: Key) -> str:
    return json.dumps(key)
