"""What phones told of pushes, on PostgreSQL: the table `receipts`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from gateway.core import seen
from gateway.core.model import Record
from gateway.core.receipts import Measure, Told
from gateway.ports.receipts import Kept
from gateway.store.forgetting import Mark, numbers
from gateway.store.postgres import hearing
from gateway.store.postgres.database import PostgresDatabase, Session
from gateway.store.postgres.erased import secret_of
from gateway.store.postgres.texts import findable
from gateway.store.receipts import (
    GONE,
    Decided,
    Facts,
    asked_before,
    decide,
    keys_of,
    moved_meanwhile,
    told_of,
    with_users,
)

_NOBODYS = ""


class PostgresReceipts:
    """The port `gateway.ports.Receipts`."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database

    async def keep(self, told: Sequence[Told], *, rule: Measure) -> list[Kept]:
        if not told:
            return []
        # an id that no row can have is no event's
        asked = [
            (findable(one.key.event_id) or _NOBODYS, *one.key[1:3], one.kind.value, one.key.day)
            for one in told
        ]

        devices = sorted({one.key.device_id for one in told})

        async def work(session: Session) -> list[Kept]:
            await session.rows("receipt_devices", devices)
            rows = await session.rows("receipt_facts", *zip(*asked, strict=True))
            found = [(one, Facts(*row)) for one, row in zip(told, rows, strict=True)]
            if moved := moved_meanwhile(found):
                bodies = await session.rows("receipt_events", sorted(moved))
                found = with_users(found, [(row[0], row[1]) for row in bodies])
            number = cache(numbers(await secret_of(session)))
            marks: dict[int, Mark] = {}
            if names := asked_before(found):
                hashes = [number(name) for name in names]
                for row in await session.rows("forgotten_find", hashes):
                    marks[row[0]] = Mark(*row)
            decided = decide(found, rule=rule, erased=None, number=number, marks=marks)
            return await _written(session, found, decided)

        return await self._database.write(work, repeatable=True)

    async def of(self, deliveries: Sequence[Record]) -> seen.Told:
        keys = keys_of(deliveries)
        if not keys:
            return seen.NOTHING
        devices = sorted({key[2] for key in keys})

        async def work(session: Session) -> seen.Told:
            rows = await session.rows("receipts_of", *zip(*keys, strict=True))
            return told_of(rows, await session.rows("tellers", devices))

        return await self._database.read(work)


async def _written(
    session: Session,
    found: Sequence[tuple[Told, Facts]],
    decided: Decided,
) -> list[Kept]:
    """Write the rows, and look then who was erased: an erase that this did not see waits until it
    is written."""
    kept, rows, heard = decided
    if heard:
        await hearing.seen(session, heard)
    new: set[tuple[Any, ...]] = set()
    if rows:
        written = await session.rows("receipts_keep", *zip(*rows, strict=True))
        new = {tuple(row[:4]) for row in written if row[4]}
    erased = await session.erased_from({one.key.event_id for one, _ in found})
    told = list(kept)
    hidden: set[tuple[str, int]] = set()
    for place, (one, facts) in enumerate(found):
        key = one.key
        if kept[place].is_new and (*key[:3], one.kind.value) not in new:
            told[place] = kept[place]._replace(is_new=False)
        if erased is not None and erased.has(key.event_id, key.index, *facts.user):
            told[place] = GONE
            hidden.add((key.event_id, key.index))
    if hidden:
        await session.run("receipts_drop", *zip(*sorted(hidden), strict=True))
    return told
