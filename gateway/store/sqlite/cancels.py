"""Cancelled events on SQLite. What is answered is `gateway.core.cancelling`'s."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Sequence

from gateway.core.cancelling import Cancel, Cancelled, Counts, cancel
from gateway.core.erased import Erased
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
            found = connection.execute(self._sql["event_get"], key).fetchone()
            if found is None:
                return None
            before = self._of(connection, event_id)
            counts = Counts(*connection.execute(self._sql["cancel_counts"], key).fetchone())
            done = cancel(
                event_of(found),
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

    def _of(self, connection: sqlite3.Connection, event_id: str) -> Cancel | None:
        row = connection.execute(self._sql["cancel_get"], {"event_id": event_id}).fetchone()
        return None if row is None else Cancel(*row)
