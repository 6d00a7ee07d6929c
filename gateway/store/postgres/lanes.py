"""The lanes' lasting state on PostgreSQL: holds, the prune brake, and what the brake held back.

Owns removals by proof, which the journal shares: a row goes out of service only as it was proven.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from gateway.core.audit import Act
from gateway.core.model import Removal
from gateway.ports import Holder, LaneRow
from gateway.store.postgres import audit
from gateway.store.postgres.database import SLOW, PostgresDatabase, Session
from gateway.store.rows import held_values, lane_rows, lane_values, part_values, removal_of


class PostgresLanes:
    """The port `gateway.ports.Lanes`."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database

    async def all(self) -> list[LaneRow]:
        queries = ("lanes_all", "lane_parts_all", "lanes_queued")
        return lane_rows(*[await self._database.rows(query) for query in queries])

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
        told = (by, reason.replace("\0", ""), hint.replace("\0", ""), now)

        async def work(session: Session) -> None:
            await session.run("lane_known", app, provider)
            if part:
                await session.run("part_hold", app, provider, part, *told)
            else:
                await session.run("lane_hold", app, provider, *told)
            await audit.note(session, act)

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
        async def work(session: Session) -> bool:
            # the lane first, as all who write both do: two that meet wait in one direction
            changed = 0
            if by == "operator":
                changed += await session.run("lane_unquiet", app, provider, now)
                await session.run("lane_resumed", app, provider, part, now)
            if not part:
                changed += await session.run("lane_resume", app, provider, by)
            changed += await session.run("part_resume", app, provider, part, by)
            if by == "operator":
                changed += await session.run("part_acquit", app, provider, part)
                await session.run("part_resumed", app, provider, part, now)
            await audit.note(session, act if changed else None)
            return changed > 0

        return await self._database.write(work)

    async def trip_brake(self, app: str, provider: str, *, now: float) -> None:
        await self._database.rows("lane_trip", app, provider, now)

    async def hold_back(self, removals: Sequence[Removal]) -> None:
        # one row a device, and the last word counts
        by_device = {removal.device_id: removal for removal in removals}
        if by_device:
            columns = zip(*map(held_values, by_device.values()), strict=True)
            await self._database.rows("held_insert", *map(list, columns))

    async def release(
        self,
        app: str,
        provider: str,
        *,
        now: float,
        discard: bool = False,
        act: Act | None = None,
    ) -> int:
        async def work(session: Session) -> int:
            held = await session.rows("held_of_lane", app, provider)
            orders = [(order, now) for row in held if (order := removal_of(row))]
            gone = 0
            if orders and not discard:
                _, gone = await remove_devices(session, orders)
            await session.run("held_delete", app, provider, [row["device_id"] for row in held])
            if await session.run("lane_release", app, provider):
                await audit.note(session, act, count=gone)
            return gone

        return await self._database.write(work, pace=SLOW)

    async def report(self, rows: Sequence[LaneRow]) -> None:
        # the order of the keys, in which other processes' reports lock them as well
        lanes = [lane_values(row) for row in rows]
        parts = [values for row in rows for values in part_values(row)]
        if lanes:
            await self._database.rows("lane_report", *_columns(lanes))
        if parts:
            await self._database.rows("part_report", *_columns(parts))


def _columns(rows: Sequence[tuple[Any, ...]]) -> list[list[Any]]:
    return list(map(list, zip(*rows, strict=True)))


async def remove_devices(
    session: Session, orders: Sequence[tuple[Removal, float]]
) -> tuple[list[bool], int]:
    """Take devices out of service, each at its time, whose rows are what the proofs are about.

    Tells for each order whether its row is out of service now: two pushes to a dead address are two
    proofs of one death, and the second stands too. And how many rows went.
    """
    ids = sorted({removal.device_id for removal, _ in orders})
    rows = await session.rows("devices_proven", ids)
    standing = {row["id"]: (row["address"], row["last_seen_at"]) for row in rows}
    active = {row["id"] for row in rows if row["state"] == "active"}
    proven = [
        standing.get(removal.device_id) == (removal.address, removal.seen_at)
        for removal, _ in orders
    ]
    leaving: dict[int, tuple[int, str, str, float]] = {}
    for (removal, at), holds in zip(orders, proven, strict=True):
        if holds and removal.device_id in active:
            leaving.setdefault(
                removal.device_id, (removal.device_id, removal.to.value, removal.reason, at)
            )
    if leaving:
        await session.run("devices_remove", *map(list, zip(*leaving.values(), strict=True)))
    return proven, len(leaving)
