"""The lanes' lasting state on PostgreSQL: holds, the prune brake, and what the brake held back.

Owns removals by proof, which the journal shares: a row goes out of service only as it was proven.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from gateway.core.audit import Act
from gateway.core.prune import NO_BRAKES, Brake, Gone, LaneKey
from gateway.ports import Holder, LaneRow
from gateway.store.postgres import audit
from gateway.store.postgres.database import SLOW, PostgresDatabase, Session
from gateway.store.postgres.tapping import Taps
from gateway.store.removing import Order, Removing
from gateway.store.rows import held_values, lane_rows, lane_values, part_values, removal_of


class PostgresLanes:
    """The port `gateway.ports.Lanes`."""

    def __init__(self, database: PostgresDatabase, taps: Taps) -> None:
        self._database = database
        self._taps = taps

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
            # the lane first, as whoever asks its brake does: nothing is held back behind a release
            await session.row("lane_lock", app, provider)
            held = await session.rows("held_of_lane", app, provider)
            orders = [(order, now) for row in held if (order := removal_of(row))]
            gone = 0
            if orders and not discard:
                leaving = (await remove_devices(session, orders)).leaving
                await self._taps.removals(session, leaving)
                gone = len(leaving)
            await session.run("held_delete", app, provider, [row["device_id"] for row in held])
            await session.run("brake_clear", app, provider)
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


async def _lock(session: Session, lane: tuple[str, str]) -> float | None:
    """Lock a lane's row until the end of the transaction; returns since when its brake is on."""
    while (row := await session.row("lane_lock", *lane)) is None:
        await session.run("lane_known", *lane)
    brake_at: float | None = row[0]
    return brake_at


def _columns(rows: Sequence[tuple[Any, ...]]) -> list[list[Any]]:
    return list(map(list, zip(*rows, strict=True)))


async def remove_devices(
    session: Session, orders: Sequence[Order], brakes: Mapping[LaneKey, Brake] = NO_BRAKES
) -> Removing:
    """Take devices out of service, each at its time, whose rows are what the proofs are about, as
    far as the brakes let them. The window counts by the server's clock: those of relays differ."""
    # lanes first, in one order, then devices in theirs: two who meet wait in one direction
    lanes = sorted({(one.app, one.provider) for one, _ in orders} & brakes.keys())
    on = [await _lock(session, lane) is not None for lane in lanes]
    ids = sorted({removal.device_id for removal, _ in orders})
    rows = await session.rows("devices_proven", ids)
    removing = Removing(orders, {row[0]: (row[1], row[2], row[3]) for row in rows})
    for lane, is_on in zip(lanes, on, strict=True):
        brake = brakes[lane]
        gone = Gone(*await session.row("brake_window", *lane, brake.rule.window_s))
        found = removing.ask(lane, brake, gone, on=is_on)
        if found.count:
            await session.run("brake_count", *lane, found.count, brake.devices)
        if found.tripped:
            await session.run("lane_trip", *lane, brake.clock())
    if removing.held:
        await session.run("held_insert", *_columns(list(map(held_values, removing.held))))
    if removing.leaving:
        leaving = [(one.device_id, one.to.value, one.reason, at) for one, at in removing.leaving]
        await session.run("devices_remove", *_columns(leaving))
    return removing
