"""What is known of clocks, on SQLite; and what was dated by a wrong one is put right."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Sequence

from gateway.core.agreement import AGREE_S, Correction
from gateway.core.audit import Act
from gateway.core.fanout import LATEST_S
from gateway.ports.times import KEEP_S, REPORTED_S, ClockRow
from gateway.store.sqlite import audit
from gateway.store.sqlite.database import SqliteDatabase

#: leases come last: what is leased is due at their end, and now
_REDATE = (
    "redate_queue",
    "redate_due",
    "redate_waiting",
    "redate_events",
    "redate_starts",
    "redate_holders",
    "redate_receipts",
    "redate_cancelled",
    "redate_suppressions",
    "redate_experiments",
    "redate_members",
    "redate_held",
    "redate_left_out",
    "redate_exempt",
    "redate_devices",
    "redate_erasures",
    "redate_forgotten",
    "redate_leases",
)
#: before the others: these go by the dates of events as they are
_ERASED_LATE = ("late_devices", "late_forgotten", "late_erasures")
_RECALL = (
    *_ERASED_LATE,
    "recall_order",
    "recall_queue",
    "recall_events",
    "recall_starts",
    "recall_holders",
    "recall_receipts",
    "recall_cancelled",
    "recall_suppressions",
    "recall_experiments",
    "recall_members",
    "recall_held",
    "recall_left_out",
    "recall_exempt",
    "recall_devices",
    "recall_erasures",
    "recall_forgotten",
    "recall_end",
    "recall_whole",
    "recall_waiting",
)


class SqliteTimes:
    """The port `gateway.ports.Times`."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database
        self._sql = database.sql

    async def report(self, row: ClockRow, *, act: Act | None = None) -> None:
        values = dict(zip(("name", "at", "ahead", "doubt", "told", "since"), row, strict=True))

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(self._sql["clock_report"], values)
            connection.execute(self._sql["clocks_old"], {"before": row.at - KEEP_S})
            audit.note(connection, self._sql, act)

        await self._database.write(work)

    async def all(self) -> list[ClockRow]:
        rows = await self._database.read(
            lambda connection: connection.execute(self._sql["clocks_all"]).fetchall()
        )
        return [ClockRow(*row) for row in rows]

    async def leave(self, name: str) -> None:
        await self._database.write(
            lambda connection: connection.execute(self._sql["clock_leave"], (name,)).rowcount
        )

    async def redate(self, correction: Correction, *, now: float) -> None:
        values = {
            "since": correction.since,
            "until": correction.until,
            "by": correction.by,
            "now": now,
        }

        def work(connection: sqlite3.Connection) -> None:
            if correction.by > 0:
                for query in _ERASED_LATE:
                    late = {"now": now, "latest": math.inf, "began": math.inf}
                    connection.execute(self._sql[query], late)
            for query in _REDATE:
                connection.execute(self._sql[query], values)

        await self._database.write(work)

    async def rouse(self, *, now: float) -> None:
        values = {"now": now, "latest": now + AGREE_S}
        await self._database.write(
            lambda connection: connection.execute(self._sql["rouse_future"], values).rowcount
        )

    async def newest(self) -> float | None:
        ((newest,),) = await self._database.rows("dates_newest", {})
        found: float | None = newest
        return found

    async def recall(self, *, now: float, began: float, wrong: Sequence[ClockRow] = ()) -> None:
        values = {"now": now, "latest": now + AGREE_S, "slack": LATEST_S, "began": began}
        spans = [(now + AGREE_S, math.inf)]
        spans += [(row.since, row.at + REPORTED_S) for row in wrong if row.since is not None]

        def work(connection: sqlite3.Connection) -> None:
            if wrong:
                connection.execute(self._sql["redate_leases"], values)
                connection.execute(self._sql["recall_begin"])
                for since, until in spans:
                    span = {"since": since, "until": until}
                    connection.execute(self._sql["recall_dates"], span)
                for query in _RECALL:
                    connection.execute(self._sql[query], values)
            connection.execute(self._sql["recall_future"], values)
            connection.execute(self._sql["recall_due"], values)

        await self._database.write(work)
