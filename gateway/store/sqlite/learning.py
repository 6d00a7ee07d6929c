"""Learning events on SQLite: one file, one writer, so the order of commits is the chain's."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Collection, Mapping

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
from gateway.store.sqlite.bulk import write_rows
from gateway.store.sqlite.database import SqliteDatabase
from gateway.store.sqlite.erased import secret_of

_OVER_ROWS = 2_000

Sql = Mapping[str, str]


class SqliteLearning:
    """The port `gateway.ports.Learning`."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database
        self._sql = database.sql

    async def page(self, wanted: Wanted, *, after: int = 0, limit: int) -> Page:
        return await self._database.read(
            lambda connection: self._page(connection, wanted, after, limit)
        )

    async def of_person(self, user: UserRef, *, after: int = 0, limit: int) -> Page:
        return await self.page(Wanted(user=user), after=after, limit=limit)

    async def types(self) -> list[TypeCount]:
        rows = await self._database.search(
            lambda connection: connection.execute(self._sql["learning_types"]).fetchall()
        )
        return [TypeCount(*row) for row in rows]

    async def head(self) -> Head:
        return (await self._database.read(self._state)).end

    async def chain(
        self,
        *,
        now: float,
        limit: int,
        salt: Callable[[], bytes],
        outcomes: Collection[str] = (),
    ) -> Chained:
        page = {"limit": limit}

        def look(connection: sqlite3.Connection) -> bool:
            return (
                connection.execute(self._sql["learning_waiting"], {"limit": 1}).fetchone()
                is not None
            )

        def work(connection: sqlite3.Connection) -> Chained:
            rows = connection.execute(self._sql["learning_waiting"], page).fetchall()
            waiting = [Waiting(*row) for row in rows]
            if not waiting:
                return Chained(0)
            chain = self._open(connection, now)
            secret = secret_of(connection, self._sql)
            hashes = [id_hash(secret, one.event_id) for one in waiting]
            repeats = chained(
                chain,
                waiting,
                known=self._known(connection, [one.event_id for one in waiting]),
                hashes=self._hashes(connection, hashes),
                secret=secret,
                salt=salt,
            )
            if outcomes:
                chain.outcomes = outcome_rows(chain.rows, outcomes, secret)
            _write(connection, self._sql, chain)
            return Chained(len(chain.rows), repeats, tuple(chain.seals))

        if not await self._database.read(look):
            return Chained(0)
        return await self._database.write(work)

    async def seal(self, *, now: float) -> Seal | None:
        def is_due(connection: sqlite3.Connection) -> bool:
            state = self._state(connection)
            return state.number > state.sealed and hour_of(now) > state.hour

        def work(connection: sqlite3.Connection) -> Seal | None:
            chain = self._open(connection, now)
            chain.close(hour_of(now))
            _write(connection, self._sql, chain)
            return chain.seals[0] if chain.seals else None

        return await self._database.write(work) if await self._database.read(is_due) else None

    async def retain(self, *, before: float) -> list[Day]:
        def look(connection: sqlite3.Connection) -> list[Day]:
            rows = connection.execute(self._sql["learning_seals"]).fetchall()
            state = self._state(connection)
            return whole_days([Seal(*row) for row in rows], before=before, today=state.hour // 24)

        days = await self._database.read(look)
        for day in days:
            await self._remove(day)
        return days

    async def _remove(self, day: Day) -> None:
        """What stays of it is noted first: an audit that meets half of it knows."""
        await self._database.write(
            lambda connection: connection.execute(self._sql["learning_day_insert"], day).rowcount
        )
        page = {"last": day.last, "limit": _OVER_ROWS}
        while await self._database.write(
            lambda connection: connection.execute(self._sql["learning_over"], page).rowcount
        ):
            pass

        def finish(connection: sqlite3.Connection) -> None:
            connection.execute(self._sql["learning_outcomes_over"], page)
            connection.execute(self._sql["learning_seals_over"], page)

        await self._database.write(finish)

    async def entries(self, *, after: int = 0, limit: int) -> list[Entry]:
        page = {"after": after, "limit": limit}
        rows = await self._database.search(
            lambda connection: connection.execute(self._sql["learning_entries"], page).fetchall()
        )
        return [entry_of(row) for row in rows]

    async def seals(self) -> list[Seal]:
        return [Seal(*row) for row in await self._database.rows("learning_seals", {})]

    async def days(self) -> list[Day]:
        return [Day(*row) for row in await self._database.rows("learning_days", {})]

    # --- inside ---------------------------------------------------------------------------------

    def _state(self, connection: sqlite3.Connection) -> State:
        row = connection.execute(self._sql["learning_state"]).fetchone()
        return State() if row is None else State(*row)

    def _open(self, connection: sqlite3.Connection, now: float) -> Chain:
        connection.execute(self._sql["learning_begin"])
        return Chain(self._state(connection), now)

    def _known(self, connection: sqlite3.Connection, ids: list[str]) -> set[str]:
        asked = {"ids": json.dumps(ids)}
        return {row[0] for row in connection.execute(self._sql["learning_known"], asked)}

    def _hashes(self, connection: sqlite3.Connection, hashes: list[bytes]) -> set[bytes]:
        if not connection.execute(self._sql["learning_any_hash"]).fetchone()[0]:
            return set()
        find = self._sql["learning_hash"]
        return {one for one in hashes if connection.execute(find, (one,)).fetchone()}

    def _page(self, connection: sqlite3.Connection, wanted: Wanted, after: int, limit: int) -> Page:
        state = self._state(connection)
        span = {"since": wanted.since, "until": wanted.until}
        upto, start = state.number, after
        if wanted.since is not None:
            start = max(after, connection.execute(self._sql["learning_window"], span).fetchone()[0])
        if wanted.until is not None and state.number:
            upto = connection.execute(self._sql["learning_until"], span).fetchone()[0]
        names: list[str] = []
        if wanted.names_types and wanted.user is None:
            names = [row[0] for row in connection.execute(self._sql["learning_type_names"])]
        asked = looks(wanted, names)
        steps = reading(wanted, after=start, upto=upto, end=state.number, limit=limit)
        try:
            place, rows = next(steps)
            while True:
                key = {**span, "after": place, "upto": upto, "limit": rows}
                slices = [
                    connection.execute(self._sql[one.query], {**key, "one": one.one}).fetchall()
                    for one in asked
                ]
                place, rows = steps.send(slices)
        except StopIteration as over:
            page: Page = over.value
            return page


def empty(
    connection: sqlite3.Connection, sql: Sql, event_id: str, *, asked_at: float, now: float
) -> None:
    """Empty an event that came before an erase was asked, and chain the entry which says so."""
    key = {"event_id": event_id, "asked_at": asked_at}
    row = connection.execute(sql["learning_find"], key).fetchone()
    if row is None:
        return
    number, digest = row
    chain = Chain(State(*connection.execute(sql["learning_state"]).fetchone()), now)
    emptied = Emptied(number, digest, id_hash(secret_of(connection, sql), event_id))
    told = {"number": number, "id_hash": emptied.id_hash, "erased_by": chain.empty(emptied)}
    connection.execute(sql["learning_empty"], told)
    connection.execute(sql["learning_outcomes_erase"], told)
    _write(connection, sql, chain)


def _write(connection: sqlite3.Connection, sql: Sql, chain: Chain) -> None:
    write_rows(connection, sql["learning_insert"], chain.rows)
    write_rows(connection, sql["learning_seal"], chain.seals)
    write_rows(connection, sql["learning_outcome"], chain.outcomes)
    if chain.placed:
        connection.execute(sql["learning_placed"], {"placed": json.dumps(chain.placed)})
    connection.execute(sql["learning_move"], chain.state)
