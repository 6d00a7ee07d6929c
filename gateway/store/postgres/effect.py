"""What was counted of whole days, on PostgreSQL."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from gateway.core.effect_standing import Entered
from gateway.core.effect_way import Counted, Pushed
from gateway.core.model import day_of
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
from gateway.store.postgres.database import SLOW, PostgresDatabase, Session


class PostgresEffects:
    """The port `gateway.ports.Effects`."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database

    async def last(self, what: str) -> Mark | None:
        found = marks_of(await self._database.rows("effect_mark", what))
        return found[0] if found else None

    async def unsettled(self, what: str) -> Sequence[Mark]:
        return marks_of(await self._database.rows("effect_open", what))

    async def first_event_at(self) -> float | None:
        rows = await self._database.rows("effect_first_event")
        at: float | None = rows[0][0]
        return at

    async def events(
        self, begins: float, ends: float, *, after: tuple[float, str], limit: int
    ) -> Sequence[SentEvent]:
        rows = await self._database.rows("effect_events", begins, ends, *after, limit)
        return [SentEvent(*row) for row in rows]

    async def pushed(self, events: Sequence[SentEvent], *, low: int, high: int) -> Sequence[Pushed]:
        names = [event.event_id for event in events]
        days = sorted({day_of(event.received_at) for event in events})

        async def work(session: Session) -> Sequence[Pushed]:
            rows = await session.rows("effect_pushed", names, days, low, high)
            return [Pushed(*row) for row in rows]

        return await self._database.read(work, pace=SLOW)

    async def phones(self, begins: float, ends: float, *, silent_before: float) -> Sequence[Phones]:
        async def work(session: Session) -> Sequence[Phones]:
            rows = await session.rows("effect_phones_count", begins, ends, silent_before)
            return [Phones(*row) for row in rows]

        return await self._database.read(work, pace=SLOW)

    async def keep(
        self, mark: Mark, counted: Mapping[str, Counted], phones: Sequence[Phones]
    ) -> None:
        day = mark.begins
        days, reasons = day_rows(day, counted), reason_rows(day, counted)

        async def work(session: Session) -> None:
            await session.run("effect_alone")
            known = (await session.row("effect_is_marked", WAY, day))[0]
            values = (WAY, *mark[:3], int(mark.settled))
            await session.run("effect_mark_put", *values)
            if known:
                for row in days:
                    await session.run("effect_days_grow", *row[:5], *row[-2:])
                return
            for query, rows in (
                ("effect_days_put", days),
                ("effect_reasons_put", reasons),
                ("effect_phones_put", phone_rows(day, phones)),
            ):
                if rows:
                    await session.run(query, *zip(*rows, strict=True))

        await self._database.write(work, repeatable=True)

    async def way(self, since: float, until: float, *, experiment: str = EVERYBODY) -> Way:
        async def work(session: Session) -> Way:
            asked = since, until, experiment
            return way_of(
                await session.rows("effect_marks_between", WAY, since, until),
                await session.rows("effect_days_between", *asked),
                await session.rows("effect_reasons_between", *asked),
            )

        return await self._database.read(work)

    async def phones_between(self, since: float, until: float) -> Sequence[tuple[float, Phones]]:
        return phones_of(await self._database.rows("effect_phones_between", since, until))

    async def first_entry(self, experiment: str) -> float | None:
        at: float | None = (await self._database.rows("effect_first_entry", experiment))[0][0]
        return at

    async def reminded_on(self, experiment: str, begins: float, ends: float) -> Collection[str]:
        rows = await self._database.rows("effect_members_on", experiment, begins, ends)
        return {row[0] for row in rows}

    async def entered(
        self, experiment: str, begins: float, ends: float, asked: Outcomes
    ) -> Sequence[Entered]:
        values = (experiment, begins, ends, asked.window_s, [*asked.completed], [*asked.began])

        async def work(session: Session) -> Sequence[Entered]:
            return counted_now(begins, ends, await session.rows("effect_entered", *values))

        return await self._database.read(work, pace=SLOW)

    async def keep_entered(self, experiment: str, mark: Mark, rows: Sequence[Entered]) -> None:
        async def work(session: Session) -> None:
            await session.run("effect_alone")
            known = (await session.row("effect_is_marked", experiment, mark.begins))[0]
            await session.run("effect_mark_put", experiment, *mark[:3], int(mark.settled))
            if not known:
                if told := entered_rows(experiment, rows):
                    await session.run("effect_outcomes_put", *zip(*told, strict=True))
                return
            for one in rows:
                key = (experiment, mark.begins, one.app, one.platform, int(one.held))
                await session.run("effect_outcomes_late", *key, one.completed, one.began)

        await self._database.write(work, repeatable=True)

    async def entered_of(self, experiment: str) -> Sequence[Entered]:
        return entered_of(await self._database.rows("effect_outcomes_of", experiment))

    async def keep_terms(self, experiment: str, terms: str) -> None:
        await self._database.rows("effect_terms_put", experiment, terms)

    async def terms(self) -> Mapping[str, str]:
        return dict(map(tuple, await self._database.rows("effect_terms_all")))
