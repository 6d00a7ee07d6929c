"""The lanes' lasting state on SQLite: holds, the prune brake, and what the brake held back."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from gateway.core.audit import Act
from gateway.core.model import Removal
from gateway.ports import Holder, LaneRow
from gateway.store.rows import held_values, lane_rows, lane_values, part_values, removal_of
from gateway.store.sqlite import audit
from gateway.store.sqlite.database import SqliteDatabase


class SqliteLanes:
    """The port `gateway.ports.Lanes`."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database
        self._sql = database.sql

    async def all(self) -> list[LaneRow]:
        def work(connection: sqlite3.Connection) -> list[LaneRow]:
            found = [
                connection.execute(self._sql[query]).fetchall()
                for query in ("lanes_all", "lane_parts_all", "lanes_queued")
            ]
            return lane_rows(*found)

        return await self._database.read(work)

    async def hold(
        self,
        app: str,
        provider: str,
        part: str,
        *,
        by: Holder,
        reason: str,
        hint: str = "",
        now: float,
        act: Act | None = None,
    ) -> None:
        lane = {"app": app, "provider": provider}
        values = {**lane, "part": part, "by": by, "reason": reason, "hint": hint, "now": now}

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(self._sql["lane_known"], lane)
            connection.execute(self._sql["part_hold" if part else "lane_hold"], values)
            audit.note(connection, self._sql, act)

        await self._database.write(work)

    async def resume(
        self,
        app: str,
        provider: str,
        part: str,
        *,
        by: Literal["operator", "relay"],
        now: float,
        act: Act | None = None,
    ) -> bool:
        values = {"app": app, "provider": provider, "part": part, "by": by, "now": now}
        queries = ["part_resume"] if part else ["part_resume", "lane_resume"]
        if by == "operator":
            resumed = "part_resumed" if part else "lane_resumed"
            queries += ["lane_unquiet", "part_acquit", resumed]

        def work(connection: sqlite3.Connection) -> bool:
            changed = {
                query: connection.execute(self._sql[query], values).rowcount for query in queries
            }
            lifted = any(changed[query] for query in changed if not query.endswith("_resumed"))
            audit.note(connection, self._sql, act if lifted else None)
            return lifted

        return await self._database.write(work)

    async def trip_brake(self, app: str, provider: str, *, now: float) -> None:
        await self._execute("lane_trip", app, provider, {"now": now})

    async def hold_back(self, removals: Sequence[Removal]) -> None:
        rows = [held_values(removal) for removal in removals]
        await self._database.write(
            lambda connection: connection.executemany(self._sql["held_insert"], rows).rowcount
        )

    async def release(
        self,
        app: str,
        provider: str,
        *,
        now: float,
        discard: bool = False,
        act: Act | None = None,
    ) -> int:
        lane = {"app": app, "provider": provider}

        def work(connection: sqlite3.Connection) -> int:
            held = connection.execute(self._sql["held_of_lane"], lane).fetchall()
            orders = [] if discard else [order for row in held if (order := removal_of(row))]
            gone = sum(remove_device(connection, self._sql, order, now) for order in orders)
            connection.execute(self._sql["held_delete"], lane)
            if connection.execute(self._sql["lane_release"], lane).rowcount:
                audit.note(connection, self._sql, act, count=gone)
            return gone

        return await self._database.write(work)

    async def report(self, rows: Sequence[LaneRow]) -> None:
        lanes = [lane_values(row) for row in rows]
        parts = [values for row in rows for values in part_values(row)]

        def work(connection: sqlite3.Connection) -> None:
            connection.executemany(self._sql["lane_report"], lanes)
            connection.executemany(self._sql["part_report"], parts)

        await self._database.write(work)

    async def _execute(
        self, query: str, app: str, provider: str, parameters: Mapping[str, Any]
    ) -> int:
        given = {"app": app, "provider": provider, **parameters}
        return await self._database.write(
            lambda connection: connection.execute(self._sql[query], given).rowcount
        )


def remove_device(
    connection: sqlite3.Connection, sql: Mapping[str, str], removal: Removal, at: float
) -> bool:
    """Take a device out of service if its row still is what the proof was about."""
    order = {**_proof(removal), "state": removal.to.value, "reason": removal.reason, "at": at}
    return connection.execute(sql["device_remove"], order).rowcount > 0


def is_removed(connection: sqlite3.Connection, sql: Mapping[str, str], removal: Removal) -> bool:
    """Whether the row the proof is about is out of service already."""
    row = connection.execute(sql["device_is_removed"], _proof(removal)).fetchone()
    return row is not None


def _proof(removal: Removal) -> dict[str, Any]:
    return {
        "device_id": removal.device_id,
        "address": removal.address,
        "seen_at": removal.seen_at,
    }
