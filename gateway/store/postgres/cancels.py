"""Cancelled events on PostgreSQL. What is answered is `gateway.core.cancelling`'s."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from gateway.core.cancelling import CANCELLED, Cancel, Cancelled, Counts, awaited, cancel
from gateway.core.erased import Erased
from gateway.core.model import Event, day_of
from gateway.core.sources import corrected_by
from gateway.ports import Cancelling
from gateway.store.postgres import audit
from gateway.store.postgres.database import SLOW, PostgresDatabase, Session
from gateway.store.postgres.texts import findable
from gateway.store.rows import event_of

#: what is due so much later is in nobody's hands, whatever clock dated it, in seconds
_IN_NO_HANDS_S = 120.0


class PostgresCancels:
    """The port `gateway.ports.Cancels`."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database

    async def cancel(self, event_id: str, asked: Cancelling) -> Cancelled | None:
        key = findable(event_id)

        async def work(session: Session) -> Cancelled | None:
            event = await _event(session, key, locked=not asked.dry_run)
            if event is None:
                return None
            before = await _of(session, key)
            counts = Counts(*await session.row("cancel_counts", key))
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
            await session.run("cancel_put", *done.now)
            ended = 0
            if before is None:
                later, day = asked.at + _IN_NO_HANDS_S, day_of(event.received_at)
                ended = await session.run("cancel_postponed", key, day, CANCELLED, asked.at, later)
                await audit.note(session, asked.act, count=done.now.cancelled)
            if done.is_corrected:
                await audit.note(session, asked.correct, count=done.now.taken)
            return done._replace(ended=ended)

        if asked.dry_run:
            return await self._database.read(work, pace=SLOW)
        return await self._database.write(work, pace=SLOW)

    async def of(self, event_id: str) -> Cancel | None:
        rows = await self._database.rows("cancel_get", findable(event_id))
        return Cancel(*rows[0]) if rows else None

    async def among(self, event_ids: Collection[str]) -> Collection[str]:
        asked = [name for name in event_ids if findable(name) is not None]
        return {row[0] for row in await self._database.rows("cancel_among", asked)}

    async def recent(self, *, since: float) -> Sequence[Cancel]:
        rows = await self._database.rows("cancel_recent", since)
        return sorted(Cancel(*row) for row in rows)

    async def corrected(self, event_id: str) -> None:
        await self._database.rows("cancel_corrected", event_id)

    async def erased_from(self, event_id: str) -> Erased | None:
        return await self._database.read(lambda session: session.erased_from([event_id]))


async def _event(session: Session, key: str | None, *, locked: bool) -> Event | None:
    """An event, or a correction that is still to be made: what it corrects is locked for it."""
    found = await _kept(session, key, locked=locked)
    original = None if key is None else corrected_by(key)
    if found is not None or original is None:
        return found
    first = await _kept(session, original, locked=locked)
    if first is None:
        return None
    # it may have been made meanwhile
    found = await _kept(session, key, locked=locked)
    return found or awaited(str(key), first, await _of(session, original))


async def _kept(session: Session, key: str | None, *, locked: bool) -> Event | None:
    if locked:
        await session.row("cancel_lock", key)
    row = await session.row("event_get", key)
    return None if row is None else event_of(row)


async def _of(session: Session, key: str | None) -> Cancel | None:
    row = await session.row("cancel_get", key)
    return None if row is None else Cancel(*row)
