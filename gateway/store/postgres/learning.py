"""Learning events on PostgreSQL: several processes write events, one at a time chains them.

Numbers are given under a lock on the chain's end, of what is committed by then: nothing is ever
committed with a number below one that was read.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from gateway.core.learning import Chained, Day, Entry, Head, Page, Seal, TypeCount, Wanted, hour_of
from gateway.core.model import UserRef
from gateway.store.chaining import (
    Chain,
    Emptied,
    State,
    Waiting,
    chained,
    entry_of,
    id_hash,
    outcome_rows,
    whole_days,
)
from gateway.store.learning import looks, reading
from gateway.store.postgres.database import SLOW, PostgresDatabase, Session
from gateway.store.postgres.erased import secret_of
from gateway.store.postgres.texts import findable

_OVER_ROWS = 2_000


class PostgresLearning:
    """The port `gateway.ports.Learning`."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database

    async def page(self, wanted: Wanted, *, after: int = 0, limit: int) -> Page:
        return await self._database.read(lambda session: _page(session, wanted, after, limit))

    async def of_person(self, user: UserRef, *, after: int = 0, limit: int) -> Page:
        return await self.page(Wanted(user=user), after=after, limit=limit)

    async def types(self) -> list[TypeCount]:
        rows = await self._database.read(lambda session: session.rows("learning_types"), pace=SLOW)
        return [TypeCount(*row) for row in rows]

    async def head(self) -> Head:
        return (await self._database.read(_state)).end

    async def chain(
        self,
        *,
        now: float,
        limit: int,
        salt: Callable[[], bytes],
        outcomes: Collection[str] = (),
    ) -> Chained:
        async def work(session: Session) -> Chained:
            await session.run("learning_begin")
            locked = await session.rows("learning_try_lock")
            rows = await session.rows("learning_waiting", limit) if locked else []
            waiting = [Waiting(*row) for row in rows]
            if not waiting:
                return Chained(0)
            chain = Chain(State(*locked[0]), now)
            secret = await secret_of(session)
            hashes = [id_hash(secret, one.event_id) for one in waiting]
            repeats = chained(
                chain,
                waiting,
                known=await _column(session, "learning_known", [one.event_id for one in waiting]),
                hashes=await _column(session, "learning_hashes", hashes),
                secret=secret,
                salt=salt,
            )
            if outcomes:
                chain.outcomes = outcome_rows(chain.rows, outcomes, secret)
            await _write(session, chain)
            return Chained(len(chain.rows), repeats, tuple(chain.seals))

        if not await self._database.rows("learning_waiting", 1):
            return Chained(0)
        return await self._database.write(work)

    async def seal(self, *, now: float) -> Seal | None:
        async def work(session: Session) -> Seal | None:
            locked = await session.rows("learning_try_lock")
            if not locked:
                return None
            chain = Chain(State(*locked[0]), now)
            chain.close(hour_of(now))
            await _write(session, chain)
            return chain.seals[0] if chain.seals else None

        state = await self._database.read(_state)
        is_due = state.number > state.sealed and hour_of(now) > state.hour
        return await self._database.write(work) if is_due else None

    async def retain(self, *, before: float) -> list[Day]:
        seals = await self.seals()
        state = await self._database.read(_state)
        days = whole_days(seals, before=before, today=state.hour // 24)
        for day in days:
            await self._remove(day)
        return days

    async def _remove(self, day: Day) -> None:
        """What stays of it is noted first: an audit that meets half of it knows."""

        async def begin(session: Session) -> None:
            await session.rows("learning_lock")
            await session.run("learning_day_insert", *day)

        async def some(session: Session) -> int:
            await session.rows("learning_lock")
            return await session.run("learning_over", day.last, _OVER_ROWS)

        async def finish(session: Session) -> None:
            await session.rows("learning_lock")
            await session.run("learning_outcomes_over", day.last)
            await session.run("learning_seals_over", day.last)

        await self._database.write(begin)
        while await self._database.write(some):
            pass
        await self._database.write(finish)

    async def entries(self, *, after: int = 0, limit: int) -> list[Entry]:
        rows = await self._database.read(
            lambda session: session.rows("learning_entries", after, limit), pace=SLOW
        )
        return [entry_of(row) for row in rows]

    async def seals(self) -> list[Seal]:
        return [Seal(*row) for row in await self._database.rows("learning_seals")]

    async def days(self) -> list[Day]:
        return [Day(*row) for row in await self._database.rows("learning_days")]


async def empty(session: Session, *, event_id: str, asked_at: float, now: float) -> None:
    """Empty an event that came before an erase was asked, and chain the entry which says so."""
    if not await session.rows("learning_find", event_id, asked_at):
        return
    (state,) = await session.rows("learning_lock")
    found = await session.rows("learning_find", event_id, asked_at)
    if not found:
        return
    number, digest = found[0]
    chain = Chain(State(*state), now)
    emptied = Emptied(number, digest, id_hash(await secret_of(session), event_id))
    await session.run("learning_empty", number, emptied.id_hash, chain.empty(emptied))
    await session.run("learning_outcomes_erase", number)
    await _write(session, chain)


async def _page(session: Session, wanted: Wanted, after: int, limit: int) -> Page:
    state = await _state(session)
    upto, start = state.number, after
    if wanted.since is not None:
        start = max(after, (await session.row("learning_window", wanted.since))[0])
    if wanted.until is not None and state.number:
        upto = (await session.row("learning_until", wanted.until))[0]
    names: Sequence[str] = []
    if wanted.names_types and wanted.user is None:
        names = [row[0] for row in await session.rows("learning_type_names")]
    asked = [one for one in looks(wanted, names) if one.one is None or findable(one.one)]
    steps = reading(wanted, after=start, upto=upto, end=state.number, limit=limit)
    try:
        place, rows = next(steps)
        while True:
            key = (place, upto, wanted.since, wanted.until, rows)
            slices = [
                await session.rows(one.query, *key, *([] if one.one is None else [one.one]))
                for one in asked
            ]
            place, rows = steps.send(slices)
    except StopIteration as over:
        page: Page = over.value
        return page


async def _state(session: Session) -> State:
    rows = await session.rows("learning_state")
    return State(*rows[0]) if rows else State()


async def _column(session: Session, query: str, asked: Sequence[Any]) -> set[Any]:
    return {row[0] for row in await session.rows(query, asked)}


async def _write(session: Session, chain: Chain) -> None:
    for query, rows in (
        ("learning_insert", chain.rows),
        ("learning_placed", chain.placed),
        ("learning_outcome", chain.outcomes),
    ):
        if rows:
            await session.run(query, *map(list, zip(*rows, strict=True)))
    for seal in chain.seals:
        await session.run("learning_seal", *seal)
    await session.run("learning_move", *chain.state)
