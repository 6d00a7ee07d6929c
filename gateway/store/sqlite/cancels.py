"""Cancelled events on SQLite. What is answered is `gateway.core.cancelling`'s."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Sequence

from gateway.core.cancelling import Cancel, Cancelled, Counts, awaited, cancel
from gateway.core.erased import Erased
from gateway.core.model import Event
from gateway.core.sources import corrected_by
from gateway.ports import Cancelling
from gateway.store.rows import event_of
from gateway.store.sqlite import audit
from gateway.store.sqlite.database import SqliteDatabase


class SqliteCancels:
    """The port `gateway.ports.Cancels`."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database
        self._sql = database.sql

    async def cancel(self, event_id: str, asked: Cancelling) -> Cancelled | None:
        key = {"event_id": event_id}

        def work(connection: sqlite3.Connection) -> Cancelled | None:
            event = self._event(connection, event_id)
            if event is None:
                return None
            before = self._of(connection, event_id)
            counts = Counts(*connection.execute(self._sql["cancel_counts"], key).fetchone())
            done = cancel(
                event,
                before,
                counts,
                asked.replacement,
                now=asked.at,
                max_age_s=asked.max_age_s,
                kept_s=asked.kept_s,
            )
            if asked.dry_run or done.now == before:
                return done
            connection.execute(self._sql["cancel_put"], done.now)
            if before is None:
                audit.note(connection, self._sql, asked.act, count=done.now.cancelled)
            if done.is_corrected:
                audit.note(connection, self._sql, asked.correct, count=done.now.taken)
            return done

        run = self._database.read if asked.dry_run else self._database.write
        return await run(work)

    async def of(self, event_id: str) -> Cancel | None:
        return await self._database.read(lambda connection: self._of(connection, event_id))

    async def among(self, event_ids: Collection[str]) -> Collection[str]:
        asked = {"events": json.dumps(list(event_ids))}
        return {name for (name,) in await self._database.rows("cancel_among", asked)}

    async def recent(self, *, since: float) -> Sequence[Cancel]:
        rows = await self._database.rows("cancel_recent", {"since": since})
        return sorted(Cancel(*row) for row in rows)

    async def corrected(self, event_id: str) -> None:
        key = {"event_id": event_id}
        await self._database.write(
            lambda connection: connection.execute(self._sql["cancel_corrected"], key).rowcount
        )

    async def erased_from(self, event_id: str) -> Erased | None:
        return await self._database.read(
            lambda connection: self._database.erased_from(connection, [event_id])
        )

    def _event(self, connection: sqlite3.Connection, event_id: str) -> Event | None:
        """An event, or a correction that is still to be made."""
        found = self._kept(connection, event_id)
        original = corrected_by(event_id)
        if found is not None or original is None:
            return found
        first = self._kept(connection, original)
        return first and awaited(event_id, first, self._of(connection, original))

    def _kept(self, connection: sqlite3.Connection, event_id: str) -> Event | None:
        row = connection.execute(self._sql["event_get"], {"event_id": event_id}).fetchone()
        return None if row is None else event_of(row)

    def _of(self, connection: sqlite3.Connection, event_id: str) -> Cancel | None:
        row = connection.execute(self._sql["cancel_get"], {"event_id": event_id}).fetchone()
        return None if row is None else Cancel(*row)
