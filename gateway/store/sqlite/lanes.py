"""The lanes' lasting state on SQLite: holds, the prune brake, and what the brake held back."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from gateway.core.audit import Act
from gateway.core.prune import NO_BRAKES, Brake, Gone, LaneKey
from gateway.ports import Holder, LaneRow
from gateway.store.removing import Order, Removing
from gateway.store.rows import held_values, lane_rows, lane_values, part_values, removal_of
from gateway.store.sqlite import audit
from gateway.store.sqlite.database import SqliteDatabase
from gateway.store.sqlite.tapping import Taps


class SqliteLanes:
    """The port `gateway.ports.Lanes`."""

    def __init__(self, database: SqliteDatabase, taps: Taps) -> None:
        self._database = database
        self._sql = database.sql
        self._taps = taps

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
        values = {"app": app, "provider": provider, "now": now}
        await self._database.write(
            lambda connection: connection.execute(self._sql["lane_trip"], values).rowcount
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
            removing = remove_devices(connection, self._sql, [(order, now) for order in orders])
            self._taps.removals(connection, self._sql, removing.leaving)
            connection.execute(self._sql["held_delete"], lane)
            gone = len(removing.leaving)
            connection.execute(self._sql["brake_clear"], lane)
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


def remove_devices(
    connection: sqlite3.Connection,
    sql: Mapping[str, str],
    orders: Sequence[Order],
    brakes: Mapping[LaneKey, Brake] = NO_BRAKES,
) -> Removing:
    """Take devices out of service, each at its time, whose rows are what the proofs are about, as
    far as the brakes let them."""
    ids = sorted({removal.device_id for removal, _ in orders})
    found = [connection.execute(sql["device_standing"], (one,)).fetchone() for one in ids]
    removing = Removing(orders, {row[0]: row[1:] for row in found if row is not None})
    for lane in sorted({(one.app, one.provider) for one, _ in orders} & brakes.keys()):
        brake = brakes[lane]
        now = brake.clock()
        values: dict[str, Any] = {"app": lane[0], "provider": lane[1]}
        values |= {"now": now, "since": now - brake.rule.window_s}
        (on,) = connection.execute(sql["lane_is_braked"], values).fetchone()
        gone = Gone(*connection.execute(sql["brake_window"], values).fetchone())
        admitted = removing.ask(lane, brake, gone, on=bool(on))
        if admitted.count:
            connection.execute(sql["brake_forget"], values)
            counts = {"gone": admitted.count, "devices": brake.devices}
            connection.execute(sql["brake_count"], values | counts)
        if admitted.tripped:
            connection.execute(sql["lane_trip"], values)
    connection.executemany(sql["held_insert"], map(held_values, removing.held))
    leaving = [(one.to.value, one.reason, at, one.device_id) for one, at in removing.leaving]
    connection.executemany(sql["device_remove"], leaving)
    return removing
