"""Experiments on SQLite: which were begun, who is in them, and what is held back.

Owns the rows that the lot adds in the journal's transaction, too.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Mapping, Sequence

from gateway.core.audit import Act
from gateway.core.drawn import Drawn, HeldBack, Kept, Met, Stage, Tally
from gateway.core.erased import Erased
from gateway.store.experiments import (
    BEFORE_ALL,
    Standing,
    after,
    experiment_row,
    held_of,
    kept_of,
    member_of,
    named,
    rows_of,
    tally_of,
    words_held,
)
from gateway.store.sqlite import audit
from gateway.store.sqlite.bulk import write_rows
from gateway.store.sqlite.database import SqliteDatabase
from gateway.store.sqlite.erased import secret_of

Sql = Mapping[str, str]
#: an experiment's rows of people
_PEOPLE = (
    "experiment_members_delete",
    "experiment_left_out_delete",
    "experiment_also_delete",
    "experiment_held_delete",
)


class SqliteExperiments:
    """The port `gateway.ports.Experiments`."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database
        self._sql = database.sql

    async def all(self) -> Sequence[Kept]:
        return [kept_of(row) for row in await self._database.rows("experiments_all", {})]

    async def begin(self, kept: Kept, *, act: Act | None = None) -> bool:
        values = experiment_row(kept)

        def work(connection: sqlite3.Connection) -> bool:
            if connection.execute(self._sql["experiment_begin"], values).rowcount == 0:
                return False
            self._forget(connection, kept.id)
            audit.note(connection, self._sql, act)
            return True

        return await self._database.write(work)

    async def end(self, name: str, *, at: float, reason: str, act: Act | None = None) -> bool:
        values = {"id": name, "at": at, "reason": reason}

        def work(connection: sqlite3.Connection) -> bool:
            stage = self._stage(connection, name)
            if stage in (None, Stage.ENDED.value):
                return False
            connection.execute(self._sql["experiment_end"], values)
            if stage == Stage.DRY.value:
                self._forget(connection, name)
            connection.execute(self._sql["experiment_let_go"], values)
            audit.note(connection, self._sql, act)
            return True

        return await self._database.write(work)

    async def met(self, words: Collection[str], device_ids: Collection[int]) -> Met:
        said = {"words": json.dumps(sorted(words))}
        ids = {"ids": json.dumps(sorted(device_ids))}

        def work(connection: sqlite3.Connection) -> Met:
            members = connection.execute(self._sql["experiment_members_of"], said).fetchall()
            exempt = connection.execute(self._sql["experiment_exempt_of"], said).fetchall()
            devices = connection.execute(self._sql["experiment_devices"], ids).fetchall()
            return Met(
                [member_of(row) for row in members],
                frozenset(row[0] for row in exempt),
                {row[0]: row[1] for row in devices},
                {row[0]: row[2] for row in devices},
            )

        return await self._database.read(work)

    async def exempt(
        self, words: Sequence[str], *, is_exempt: bool, at: float, act: Act | None = None
    ) -> None:
        said = sorted({word for word in words if word})
        values = {"words": json.dumps(said), "at": at}

        def work(connection: sqlite3.Connection) -> None:
            query = "experiment_exempt_put" if is_exempt else "experiment_exempt_delete"
            changed = connection.execute(self._sql[query], values).rowcount
            if is_exempt:
                connection.execute(self._sql["experiment_let_people_go"], values)
            audit.note(connection, self._sql, act if changed else None)

        await self._database.write(work)

    async def due(self, *, now: float, limit: int) -> Sequence[HeldBack]:
        found: list[HeldBack] = []
        place = BEFORE_ALL
        while wanted := max(0, limit - len(found)):
            asked = dict(zip(("until", "experiment", "person"), place, strict=True))
            page = {**asked, "now": now, "limit": wanted}
            rows = await self._database.rows("experiment_due", page)
            found += [one for row in rows if (one := held_of(row)) is not None]
            if len(rows) < wanted:
                break
            place = after(rows[-1])
        return found

    async def sent(self, held: HeldBack) -> None:
        values = {
            "experiment": held.experiment,
            "person": held.person,
            "event_id": held.event_id,
            "item": held.item.index,
        }
        await self._database.write(
            lambda connection: connection.execute(self._sql["experiment_sent"], values).rowcount
        )

    async def tally(self, name: str) -> Tally:
        asked = {"id": name}

        def work(connection: sqlite3.Connection) -> Tally:
            counts = connection.execute(self._sql["experiment_counts"], asked).fetchone()
            left_out = connection.execute(self._sql["experiment_left_out_counts"], asked)
            return tally_of(counts, left_out.fetchall())

        return await self._database.search(work)

    async def forget(self, name: str) -> None:
        def work(connection: sqlite3.Connection) -> None:
            if self._stage(connection, name) == Stage.ENDED.value:
                self._forget(connection, name)

        await self._database.write(work)

    def _stage(self, connection: sqlite3.Connection, name: str) -> str | None:
        row = connection.execute(self._sql["experiment_stage"], {"id": name}).fetchone()
        return None if row is None else str(row[0])

    def _forget(self, connection: sqlite3.Connection, name: str) -> None:
        for query in _PEOPLE:
            connection.execute(self._sql[query], {"id": name})


def keep_drawn(
    connection: sqlite3.Connection, sql: Sql, drawn: Sequence[Drawn], erased: Erased | None
) -> None:
    """Write what the lot made of reminders, in the transaction of their deliveries."""
    drawn = named(drawn, erased)
    ids = {"ids": json.dumps(sorted({one.experiment for one in drawn}))}
    found = connection.execute(sql["experiment_standings"], ids).fetchall()
    standings = {row[0]: Standing(row[1], row[2]) for row in found}
    secret = secret_of(connection, sql)
    words = {"words": json.dumps(words_held(drawn, secret))}
    exempt = dict(connection.execute(sql["experiment_exempt_of"], words).fetchall())
    rows = rows_of(drawn, standings, exempt, secret)
    write_rows(connection, sql["drawn_members"], rows.members)
    write_rows(connection, sql["drawn_held"], rows.held)
    write_rows(connection, sql["drawn_left_out"], rows.left_out)
    write_rows(connection, sql["drawn_also"], rows.also)
    for experiment, person, at in rows.let_go:
        values = {"experiment": experiment, "person": person, "at": at}
        connection.execute(sql["experiment_member_let_go"], values)
