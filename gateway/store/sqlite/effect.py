"""What was counted of whole days, on SQLite."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Mapping, Sequence

from gateway.core.effect_standing import Entered
from gateway.core.effect_way import Counted, Pushed
from gateway.ports.effect import EVERYBODY, WAY, Mark, Outcomes, Phones, SentEvent, Way
from gateway.store.effect import (
    counted_now,
    day_rows,
    entered_of,
    entered_rows,
    marks_of,
    phone_rows,
    phones_of,
    reason_rows,
    way_of,
)
from gateway.store.sqlite.database import SqliteDatabase


class SqliteEffects:
    """The port `gateway.ports.Effects`."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database
        self._sql = database.sql

    async def last(self, what: str) -> Mark | None:
        found = marks_of(await self._database.rows("effect_mark", {"what": what}))
        return found[0] if found else None

    async def unsettled(self, what: str) -> Sequence[Mark]:
        return marks_of(await self._database.rows("effect_open", {"what": what}))

    async def first_event_at(self) -> float | None:
        rows = await self._database.rows("effect_first_event", {})
        at: float | None = rows[0][0]
        return at

    async def events(
        self, begins: float, ends: float, *, after: tuple[float, str], limit: int
    ) -> Sequence[SentEvent]:
        asked = {"begins": begins, "ends": ends, "at": after[0], "event_id": after[1]}
        rows = await self._database.rows("effect_events", {**asked, "limit": limit})
        return [SentEvent(*row) for row in rows]

    async def pushed(self, events: Sequence[SentEvent], *, low: int, high: int) -> Sequence[Pushed]:
        names = json.dumps([event.event_id for event in events])
        sql, asked = self._sql["effect_pushed"], {"events": names, "low": low, "high": high}
        rows = await self._database.search(
            lambda connection: connection.execute(sql, asked).fetchall(), alone=True
        )
        return [Pushed(*row) for row in rows]

    async def phones(self, begins: float, ends: float, *, silent_before: float) -> Sequence[Phones]:
        asked = {"begins": begins, "ends": ends, "silent_before": silent_before}
        sql = self._sql["effect_phones_count"]
        rows = await self._database.search(
            lambda connection: connection.execute(sql, asked).fetchall(), alone=True
        )
        return [Phones(*row) for row in rows]

    async def keep(
        self, mark: Mark, counted: Mapping[str, Counted], phones: Sequence[Phones]
    ) -> None:
        day = mark.begins
        days, reasons = day_rows(day, counted), reason_rows(day, counted)

        def work(connection: sqlite3.Connection) -> None:
            named = {"what": WAY, "begins": day}
            known = connection.execute(self._sql["effect_is_marked"], named).fetchone()[0]
            connection.execute(self._sql["effect_mark_put"], {"what": WAY, **mark._asdict()})
            if not known:
                self._database.write_rows(connection, "effect_days_put", days)
                self._database.write_rows(connection, "effect_reasons_put", reasons)
                self._database.write_rows(connection, "effect_phones_put", phone_rows(day, phones))
                return
            names = ("day", "experiment", "app", "platform", "source")
            for row in days:
                grown = dict(zip(names, row, strict=False))
                grown |= {"shown": row[-2], "opened": row[-1]}
                connection.execute(self._sql["effect_days_grow"], grown)

        await self._database.write(work)

    async def way(self, since: float, until: float, *, experiment: str = EVERYBODY) -> Way:
        asked = {"what": WAY, "since": since, "until": until, "experiment": experiment}

        def work(connection: sqlite3.Connection) -> Way:
            marks, days, reasons = (
                connection.execute(self._sql[query], asked).fetchall()
                for query in (
                    "effect_marks_between",
                    "effect_days_between",
                    "effect_reasons_between",
                )
            )
            return way_of(marks, days, reasons)

        return await self._database.read(work)

    async def phones_between(self, since: float, until: float) -> Sequence[tuple[float, Phones]]:
        asked = {"since": since, "until": until}
        return phones_of(await self._database.rows("effect_phones_between", asked))

    async def first_entry(self, experiment: str) -> float | None:
        rows = await self._database.rows("effect_first_entry", {"experiment": experiment})
        at: float | None = rows[0][0]
        return at

    async def reminded_on(self, experiment: str, begins: float, ends: float) -> Collection[str]:
        asked = {"experiment": experiment, "begins": begins, "ends": ends}
        return {row[0] for row in await self._database.rows("effect_members_on", asked)}

    async def entered(
        self, experiment: str, begins: float, ends: float, asked: Outcomes
    ) -> Sequence[Entered]:
        sql = self._sql["effect_entered"]
        values = {"experiment": experiment, "begins": begins, "ends": ends}
        values |= {"window": asked.window_s}
        values |= {"completed": json.dumps([*asked.completed]), "began": json.dumps([*asked.began])}
        rows = await self._database.search(
            lambda connection: connection.execute(sql, values).fetchall()
        )
        return counted_now(begins, ends, rows)

    async def keep_entered(self, experiment: str, mark: Mark, rows: Sequence[Entered]) -> None:
        named = {"what": experiment, "begins": mark.begins}

        def work(connection: sqlite3.Connection) -> None:
            known = connection.execute(self._sql["effect_is_marked"], named).fetchone()[0]
            connection.execute(self._sql["effect_mark_put"], {**named, **mark._asdict()})
            if not known:
                told = entered_rows(experiment, rows)
                self._database.write_rows(connection, "effect_outcomes_put", told)
                return
            for one in rows:
                key = {"experiment": experiment, "day": mark.begins, **one._asdict()}
                connection.execute(self._sql["effect_outcomes_late"], key)

        await self._database.write(work)

    async def entered_of(self, experiment: str) -> Sequence[Entered]:
        return entered_of(
            await self._database.rows("effect_outcomes_of", {"experiment": experiment})
        )

    async def keep_terms(self, experiment: str, terms: str) -> None:
        sql, named = self._sql["effect_terms_put"], {"experiment": experiment, "terms": terms}
        await self._database.write(lambda connection: connection.execute(sql, named).rowcount)

    async def terms(self) -> Mapping[str, str]:
        return dict(await self._database.rows("effect_terms_all", {}))
