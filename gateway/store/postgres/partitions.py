"""The journal's partitions, one a day: made before they are needed, dropped when they are over.

Owns the tables `deliveries_d<day>`. Every replica may do either at any time.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from gateway.errors import StoreUnavailable
from gateway.store.postgres.database import LOCK_WAIT, SLOW, PostgresDatabase, Session
from gateway.store.postgres.failures import is_lock_timeout

_LOCK = 0x1A4D
_DAY_S = 86_400
#: up to this size a partition's rows are counted before it goes, beyond it they are estimated
_COUNTED_BYTES = 256 * 1024 * 1024


class Partitions:
    """Knows which days have a partition."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database
        self._known: set[int] = set()

    async def ensure(self, days: Iterable[int]) -> None:
        """Make the partitions of these days, where there are none yet."""
        for day in sorted(set(days) - self._known):
            await self._database.write(partial(make_partition, day=day), pace=SLOW)
            self._known.add(day)

    def doubt(self) -> None:
        """Look anew: another replica may have dropped one."""
        self._known.clear()

    async def ensure_ahead(self) -> None:
        """Make those of today and tomorrow."""
        ((today,),) = await self._database.rows("partition_today")
        await self.ensure([today, today + 1])

    async def drop(self, *, before: float) -> int:
        """Drop the days that were over at a time, and of which nothing is queued. Returns how many
        rows went, about."""
        dropped = 0
        for day, rows, size in await self._database.rows("partition_days"):
            if (day + 1) * _DAY_S > before:
                break

            async def work(
                session: Session, day: int = day, rows: int = rows, size: int = size
            ) -> int:
                return await _drop(session, day, rows if size > _COUNTED_BYTES else None)

            try:
                dropped += await self._database.write(work, pace=SLOW)
            except StoreUnavailable as error:
                if not is_lock_timeout(error):
                    raise
                # somebody reads it, for long: it goes an hour later
            self._known.discard(day)
        return dropped


async def make_partition(session: Session, day: int) -> None:
    """Make a day's partition, if there is none. It is made apart and then attached: unlike
    `PARTITION OF`, that lets the journal be written meanwhile."""
    if (await session.row("partition_exists", day))[0]:
        return
    await session.rows("partition_lock", _LOCK)
    if (await session.row("partition_exists", day))[0]:
        return
    place = (await session.row("partition_place"))[0]
    name = f"{place}.deliveries_d{day:d}"
    if not (await session.row("partition_is_apart", day))[0]:
        await session.statement(f"CREATE TABLE {name} (LIKE deliveries INCLUDING ALL)")
    await session.statement(
        f"ALTER TABLE deliveries ATTACH PARTITION {name} FOR VALUES FROM ({day:d}) TO ({day + 1:d})"
    )


async def _drop(session: Session, day: int, about: int | None) -> int:
    await session.rows("partition_lock", _LOCK)
    if not (await session.row("partition_exists", day))[0]:
        return 0
    if (await session.row("day_is_queued", day))[0]:
        return 0
    if about is None:
        about = (await session.row("partition_rows", day))[0]
    place = (await session.row("partition_place"))[0]
    await session.statement(LOCK_WAIT)
    await session.statement(f"DROP TABLE {place}.deliveries_d{day:d}")
    return max(0, about)
