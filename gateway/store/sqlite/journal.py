"""The journal on SQLite: events, one row per delivery, dead letters.

Owns the promise that a terminal row is never overwritten and that a removal and the delivery it
stands for are written together.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from gateway.core.attempts import Failed, Failures, Key, columns, read
from gateway.core.audit import Act
from gateway.core.drawn import Drawn
from gateway.core.model import Event, Item, Record, Removal, UserRef
from gateway.core.prune import NO_BRAKES, Brake, LaneKey
from gateway.core.stored import Forms
from gateway.ports import Aside, DeadLetter, EventSummary, HeldOf, LeaseRef, Recorded, Standings
from gateway.store.asides import endings, is_told, letter_of, span_of
from gateway.store.removing import removed
from gateway.store.rows import (
    dead_values,
    delivery_state,
    event_of,
    progress_of,
    summary_of,
)
from gateway.store.sqlite import audit, experiments, starts
from gateway.store.sqlite.database import SqliteDatabase
from gateway.store.sqlite.lanes import remove_devices
from gateway.store.sqlite.tapping import Taps

#: rows in a run: of these few its place in the indexes by user is still warm when it is written
_RUN_ROWS = 4096
_PURGE_EVENTS = 50
_PURGE_ROWS = 2_000
#: what goes with an event, and is not counted
_WITH_EVENT = (
    "event_people_delete",
    "event_failed_delete",
    "cancel_delete",
    "suppressions_delete",
)


class SqliteJournal:
    """The port `gateway.ports.Journal`."""

    def __init__(self, database: SqliteDatabase, forms: Forms, taps: Taps) -> None:
        self._database = database
        self._taps = taps
        self.forms = forms
        self._sql = database.sql
        self._run = -1
        self._room = 0

    async def progress(
        self,
        event_id: str,
        indexes: Sequence[int],
        *,
        day: int,  # noqa: ARG002  # here one index holds all days
    ) -> Standings:
        if not indexes:
            return Standings()
        bounds = {"event_id": event_id, "low": min(indexes), "high": max(indexes)}
        rows = await self._database.rows("progress", bounds)
        return progress_of(rows, indexes)

    async def journaled_since(
        self,
        event_id: str,
        indexes: Sequence[int],
        *,
        day: int,  # noqa: ARG002  # here one index holds all days
        since: float,
    ) -> Collection[tuple[int, int]]:
        if not indexes:
            return set()
        low, high = min(indexes), max(indexes)
        asked = {"event_id": event_id, "low": low, "high": high, "since": since}
        wanted = set(indexes)
        rows = await self._database.rows("journaled_since", asked)
        return {(index, device_id) for index, device_id in rows if index in wanted}

    async def record(
        self,
        records: Sequence[Record],
        removals: Sequence[tuple[int, Removal]],
        dead: Sequence[tuple[int, Item]] = (),
        done: Sequence[tuple[str, int]] = (),
        brakes: Mapping[LaneKey, Brake] = NO_BRAKES,
        waiting: Sequence[tuple[Record, LeaseRef]] = (),
        failed: Sequence[Failed] = (),
        drawn: Sequence[Drawn] = (),
    ) -> Recorded:
        def work(connection: sqlite3.Connection) -> Recorded:
            done_with, told = Recorded(), records
            if removals:
                orders = [(removal, records[index].at) for index, removal in removals]
                removing = remove_devices(connection, self._sql, orders, brakes)
                done_with, told = removed(records, removals, removing)
                self._taps.removals(connection, self._sql, removing.leaving)
            if waiting:
                held = self._held(connection, dict.fromkeys(lease for _, lease in waiting))
                told = [*told, *(record for record, lease in waiting if lease in held)]
            run = self._run_for(connection, len(records) + len(waiting))
            letters, tried = dead, failed
            events = {one.event_id for one in told} | {one.event_id for one in failed}
            events |= {one.event_id for one in drawn}
            erased = self._database.erased_from(connection, events)
            if erased is not None:
                tried = [one for one in failed if not erased.hides(one)]
                letters = [(i, item) for i, item in dead if not erased.hides(told[i])]
                told = erased.told(told)
            rows = [_values(one, run) for one in told]
            self._database.write_rows(connection, "delivery_upsert", rows)
            if self._taps.plan.deliveries:
                self._taps.deliveries(connection, self._sql, told)
            dead_rows = [dead_values(records[i], item) for i, item in letters]
            self._database.write_rows(connection, "dead_insert", dead_rows)
            self._database.write_rows(connection, "failed_upsert", columns(tried))
            self._database.write_rows(connection, "chunk_done", done)
            if drawn:
                experiments.keep_drawn(connection, self._sql, drawn, erased)
            return done_with

        return await self._database.write(work)

    async def failures(self, keys: Sequence[Key]) -> Mapping[Key, Failures]:
        asked = json.dumps([list(key) for key in keys])
        rows = await self._database.rows("failed_get", {"keys": asked})
        return {(row[0], row[1], row[2]): read(row[3], row[4]) for row in rows}

    async def put_aside(self, aside: Aside, held: HeldOf, *, now: float, chunk_items: int) -> None:
        event = await self._database.read(partial(self._kept, event_id=aside.event_id))
        elsewhere = await held(event is not None and not is_told(event))

        def work(connection: sqlite3.Connection) -> None:
            rows: list[Record] = []
            names_erased = False
            if event is not None:
                low, high = span_of(event, aside.number, chunk_items)
                bounds = {"event_id": aside.event_id, "low": low, "high": high}
                found = connection.execute(self._sql["deliveries_between"], bounds).fetchall()
                rows = [_record(row) for row in found]
                ended = endings(event, rows, aside, elsewhere, now=now, chunk_items=chunk_items)
                erased = self._database.erased_from(connection, [aside.event_id])
                if erased is not None:
                    names_erased = any(map(erased.hides, ended))
                    ended = erased.told(ended)
                run = self._run_for(connection, len(ended))
                upserts = [_values(one, run) for one in ended]
                self._database.write_rows(connection, "delivery_upsert", upserts)
                self._taps.deliveries(connection, self._sql, ended)
                if aside.number >= 0:
                    done = [(aside.event_id, aside.number)]
                    self._database.write_rows(connection, "chunk_done", done)
            letters = [letter_of(aside, rows, now=now, names_erased=names_erased)]
            self._database.write_rows(connection, "dead_insert", letters)

        await self._database.write(work)

    async def deliveries_of(
        self, user: UserRef, *, limit: int, since: float | None = None
    ) -> list[Record]:
        rows = await self._database.read(
            lambda connection: newest_of(connection, self._sql, user, limit=limit, since=since)
        )
        return [_record(row) for row in rows]

    async def replace_body(self, event_id: str, body: bytes, by: bytes) -> None:
        values = {"event_id": event_id, "body": body, "by": by}
        await self._database.write(
            lambda connection: connection.execute(self._sql["event_set_body"], values).rowcount
        )

    async def items_of(self, event_id: str) -> list[Record]:
        rows = await self._database.rows("deliveries_of_event", {"event_id": event_id})
        return [_record(row) for row in rows]

    async def event(self, event_id: str) -> EventSummary | None:
        key = {"event_id": event_id}

        def work(connection: sqlite3.Connection) -> EventSummary | None:
            row = connection.execute(self._sql["event_get"], key).fetchone()
            if row is None:
                return None
            event = event_of(row)
            states = dict(connection.execute(self._sql["event_states"], key).fetchall())
            seen = connection.execute(self._sql["event_items_seen"], key).fetchone()[0]
            done = connection.execute(self._sql["event_chunks_done"], key).fetchone()[0]
            # A chunk that is back in the queue holds deliveries, journaled yet or not.
            queued = connection.execute(self._sql["event_is_queued"], key).fetchone()[0]
            return summary_of(event, states, seen, finished=done >= event.chunks and not queued)

        return await self._database.read(work)

    def _kept(self, connection: sqlite3.Connection, event_id: str) -> Event | None:
        row = connection.execute(self._sql["event_get"], {"event_id": event_id}).fetchone()
        return None if row is None else event_of(row)

    async def events(
        self,
        *,
        limit: int,
        status: str | None = None,
        source: str | None = None,
        before: float | None = None,
    ) -> list[Event]:
        page = {"limit": limit, "status": status, "source": source, "before": before}
        rows = await self._database.read(
            lambda connection: connection.execute(self._sql["events_page"], page).fetchall()
        )
        return [event_of(row) for row in rows]

    async def dead(self, *, limit: int, event_id: str | None = None) -> list[DeadLetter]:
        page = {"limit": limit, "event_id": event_id}
        rows = await self._database.read(
            lambda connection: connection.execute(self._sql["dead_page"], page).fetchall()
        )
        return [DeadLetter.from_row(row) for row in rows]

    async def drop_dead(self, ids: Sequence[int] | None, *, act: Act | None = None) -> int:
        chosen = {"ids": None if ids is None else json.dumps(list(ids))}

        def work(connection: sqlite3.Connection) -> int:
            dropped = connection.execute(self._sql["dead_delete"], chosen).rowcount
            audit.note(connection, self._sql, act if dropped else None, count=dropped)
            return dropped

        return await self._database.write(work)

    async def purge(self, *, before: float) -> int:
        """In small transactions, so that the relay's own writes get their turn in between."""

        def work(connection: sqlite3.Connection) -> int:
            page = {"before": before, "limit": _PURGE_EVENTS}
            rows = 0
            for (event_id,) in connection.execute(self._sql["old_events"], page).fetchall():
                rows += self._purge_event(connection, event_id, limit=_PURGE_ROWS - rows)
                if rows >= _PURGE_ROWS:
                    break
            return rows

        purged: int = await self._database.write(
            lambda connection: connection.execute(self._sql["dead_orphans"], (before,)).rowcount
        )
        while count := await self._database.write(work):
            purged += count
        over = {"before": before}
        await self._database.write(
            lambda connection: connection.execute(self._sql["erasures_purge"], over).rowcount
        )
        return purged + await starts.purge(self._database, before=before)

    def _purge_event(self, connection: sqlite3.Connection, event_id: str, *, limit: int) -> int:
        """Delete at most `limit` deliveries of an event, and of its receipts, and the event with
        the last of them."""
        key = {"event_id": event_id, "limit": limit}
        rows: int = connection.execute(self._sql["event_receipts_delete"], key).rowcount
        if rows < limit:
            key["limit"] = limit - rows
            rows += connection.execute(self._sql["event_deliveries_delete"], key).rowcount
        if rows < limit:
            for query in _WITH_EVENT:
                connection.execute(self._sql[query], key)
            for query in ("event_chunks_delete", "event_dead_delete", "event_delete"):
                rows += connection.execute(self._sql[query], key).rowcount
        return rows

    def _held(self, connection: sqlite3.Connection, leases: Iterable[LeaseRef]) -> set[LeaseRef]:
        """Those of these leases that are not lost."""
        return {
            lease
            for lease in leases
            if connection.execute(self._sql["queue_held"], lease).fetchone()
        }

    def _run_for(self, connection: sqlite3.Connection, rows: int) -> int:
        """The run that takes these rows; a process begins with a run of its own."""
        if self._run < 0:
            _, newest = connection.execute(self._sql["runs"]).fetchone()
            self._run, self._room = (newest or 0) + 1, _RUN_ROWS
        elif self._room <= 0:
            self._run, self._room = self._run + 1, _RUN_ROWS
        self._room -= rows
        return self._run


def newest_of(
    connection: sqlite3.Connection,
    sql: Mapping[str, str],
    user: UserRef,
    *,
    limit: int,
    since: float | None,
) -> list[tuple[Any, ...]]:
    """The newest deliveries of a user: run by run, until there are enough.

    A row stands in the run in which it was written last, so what is in an older run is older.
    """
    oldest, newest = connection.execute(sql["runs"]).fetchone()
    found: list[tuple[Any, ...]] = []
    if newest is None:
        return found
    who = {"user_id": user.user_id, "custom_id": user.custom_id, "since": since}
    for run in range(newest, oldest - 1, -1):
        page = {**who, "run": run, "limit": limit - len(found)}
        found += connection.execute(sql["deliveries_of_user_in_run"], page).fetchall()
        if len(found) >= limit:
            break
    return sorted(found, key=_newest_first)


def _newest_first(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return -row[5], *row[:3]


def _values(record: Record, run: int) -> tuple[Any, ...]:
    """A record as a row: a member of an enum would be bound slowly, for it is no plain string."""
    return (*record[:3], record.state.value, *record[4:], run)


def _record(row: tuple[Any, ...]) -> Record:
    return Record._make(row[:-1])._replace(state=delivery_state(row[3]))
