"""The journal on PostgreSQL: events, one row per delivery, dead letters.

Owns the promise that a terminal row is never overwritten and that a removal and the delivery it
stands for are written together. Rows are written in the order of their keys, whatever replica does.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from gateway.core.attempts import Failed, Failures, Key, columns, read
from gateway.core.audit import Act
from gateway.core.drawn import Drawn
from gateway.core.erased import Erased
from gateway.core.model import Event, Item, Record, Removal, UserRef, day_of
from gateway.core.prune import NO_BRAKES, Brake, LaneKey
from gateway.core.rows import arriving, has_arrived, met_unseen, replayed_row
from gateway.core.stored import Forms
from gateway.errors import StoreUnavailable
from gateway.ports import Aside, DeadLetter, EventSummary, HeldOf, LeaseRef, Recorded, Standings
from gateway.store.asides import endings, is_told, letter_of, span_of
from gateway.store.postgres import audit, experiments, starts
from gateway.store.postgres.database import SLOW, PostgresDatabase, Session
from gateway.store.postgres.failures import is_day_missing, is_unstorable
from gateway.store.postgres.lanes import remove_devices
from gateway.store.postgres.partitions import Partitions
from gateway.store.postgres.tapping import Taps
from gateway.store.postgres.texts import findable, storable, storable_row
from gateway.store.removing import removed
from gateway.store.rows import (
    REPLAY_S,
    dead_values,
    deliveries_in,
    delivery_state,
    event_of,
    last_words,
    progress_of,
    summary_of,
)

_PURGE_EVENTS = 500
_PURGE_RECEIPTS = 10_000
_DAY_S = 86_400


class PostgresJournal:
    """The port `gateway.ports.BrokeredJournal`."""

    def __init__(self, database: PostgresDatabase, forms: Forms, taps: Taps) -> None:
        self._database = database
        self._taps = taps
        self.forms = forms
        self._partitions = Partitions(database)

    async def progress(self, event_id: str, indexes: Sequence[int], *, day: int) -> Standings:
        if not indexes:
            return Standings()
        rows = await self._database.rows("progress", day, event_id, min(indexes), max(indexes))
        return progress_of(rows, indexes)

    async def journaled_since(
        self, event_id: str, indexes: Sequence[int], *, day: int, since: float
    ) -> Collection[tuple[int, int]]:
        if not indexes:
            return set()
        low, high = min(indexes), max(indexes)
        wanted = set(indexes)
        rows = await self._database.rows("journaled_since", day, event_id, low, high, since)
        return {(index, device_id) for index, device_id in rows if index in wanted}

    async def begin(self, event: Event, *, act: Act | None = None) -> Event | None:
        values = arriving(event, self.forms.writes)
        if event.status == "ignored" and await self._database.has_learnt(event.event_id):
            return event

        async def work(session: Session) -> bool:
            is_new = has_arrived(event, await session.row("event_insert", *values), again=False)
            if is_new and event.done:
                columns = zip(*event.done, strict=True)
                await session.run("suppressions_insert", *columns)
            await audit.note(session, act if is_new else None, count=event.notifications)
            return is_new

        if act is None and not event.done:
            answer, again = await self._database.row_or_again("event_insert", *values)
            if again and met_unseen(answer):
                (answer,) = await self._database.rows("event_insert", *values)
            has_begun = has_arrived(event, answer, again=again)
        else:
            has_begun = await self._database.write(work)
        if has_begun:
            return None
        return await self._database.read(lambda session: _kept(session, event.event_id))

    async def erased_from(self, event_ids: Collection[str]) -> Erased | None:
        return await self._database.read(lambda session: session.erased_from(event_ids))

    async def accepted(self, event_id: str) -> None:
        await self._database.rows("event_accepted", event_id)

    async def stale(self, *, before: float, limit: int) -> list[str]:
        return [row[0] for row in await self._database.rows("events_stale", before, limit)]

    async def requeue(self, *, since: float, act: Act | None = None) -> int:
        async def work(session: Session) -> int:
            found = await session.run("events_requeue", since)
            # where it finds none as well: the loss of the stream is accepted with it
            await audit.note(session, act, count=found)
            return found

        return await self._database.write(work, pace=SLOW)

    async def stream(self, name: str) -> str | None:
        rows = await self._database.rows("stream_get", name)
        return rows[0][0] if rows else None

    async def remember_stream(self, name: str, created: str) -> None:
        await self._database.rows("stream_set", name, created)

    async def reopen(self, event: Event, *, act: Act | None = None) -> Event | None:
        values = replayed_row(event, self.forms.writes).values()

        async def work(session: Session) -> Event | None:
            if await session.run("event_replace", *values):
                await audit.note(session, act, count=event.notifications)
            kept = await _kept(session, event.event_id)
            # One that is accepting stopped half way, and goes on.
            return kept if kept is not None and kept.status == event.status else None

        return await self._database.write(work)

    async def revive(
        self,
        ids: Sequence[int] | None,
        *,
        now: float,
        named: bool = True,
        act: Act | None = None,
    ) -> list[DeadLetter]:
        chosen = None if ids is None else list(ids)

        async def work(session: Session) -> list[DeadLetter]:
            taken = await session.rows("dead_take", chosen, now, REPLAY_S)
            rows = await session.rows("dead_by_ids", [row[0] for row in taken])
            letters = [
                DeadLetter.from_row(
                    row, day=day_of(row[-1] or 0.0), taken_at=row[-3], is_cancelled=row[-2]
                )
                for row in rows
            ]
            if dead := deliveries_in(letters, named=named and ids is not None):
                columns = list(zip(*dead, strict=True))
                await session.run("deliveries_revive", *columns, now)
                await session.run("deliveries_forget", *columns)
            await audit.note(session, act if letters else None, count=len(letters))
            return letters

        return await self._database.write(work, pace=SLOW)

    async def record(
        self,
        records: Sequence[Record],
        removals: Sequence[tuple[int, Removal]],
        dead: Sequence[tuple[int, Item]] = (),
        done: Sequence[tuple[str, int]] = (),
        brakes: Mapping[LaneKey, Brake] = NO_BRAKES,
        waiting: Sequence[tuple[Record, LeaseRef]] = (),
        failed: Sequence[Failed] = (),
        drawn: Sequence[Drawn] = (),
    ) -> Recorded:
        days = {record.day for record in records} | {record.day for record, _ in waiting}
        await self._partitions.ensure(days)
        try:
            return await self._record(records, removals, dead, done, brakes, waiting, failed, drawn)
        except StoreUnavailable as error:
            if is_day_missing(error):
                self._partitions.doubt()
                await self._partitions.ensure(days)
            elif is_unstorable(error):
                records = [storable_row(record) for record in records]
                dead = [(index, storable_row(item)) for index, item in dead]
                waiting = [(storable_row(record), lease) for record, lease in waiting]
                failed = [storable_row(one) for one in failed]
                drawn = [storable_row(one) for one in drawn]
            else:
                raise
        return await self._record(records, removals, dead, done, brakes, waiting, failed, drawn)

    async def failures(self, keys: Sequence[Key]) -> Mapping[Key, Failures]:
        if not keys:
            return {}
        rows = await self._database.rows("failed_get", *zip(*keys, strict=True))
        return {(row[0], row[1], row[2]): read(row[3], row[4]) for row in rows}

    async def put_aside(self, aside: Aside, held: HeldOf, *, now: float, chunk_items: int) -> None:
        aside = replace(aside, event_id=storable(aside.event_id))
        event = await self._database.read(lambda session: _kept(session, aside.event_id))
        day = 0 if event is None else day_of(event.received_at)
        if event is not None:
            await self._partitions.ensure({day})
        elsewhere = await held(event is not None and not is_told(event))

        async def work(session: Session) -> None:
            rows: list[Record] = []
            names_erased = False
            if event is not None:
                bounds = (day, aside.event_id, *span_of(event, aside.number, chunk_items))
                rows = [_record(row) for row in await session.rows("deliveries_between", *bounds)]
                ended = endings(event, rows, aside, elsewhere, now=now, chunk_items=chunk_items)
                if ended:
                    # a transaction that has a name has as good as written
                    erased = await session.erased_from([aside.event_id])
                    if erased is not None:
                        names_erased = any(map(erased.hides, ended))
                        ended = erased.told(ended)
                    ended = [storable_row(one) for one in ended]
                    await session.run("deliveries_upsert", ended)
                    await self._taps.deliveries(session, ended)
                if aside.number >= 0:
                    await session.run("chunks_done", [aside.event_id], [aside.number])
            letter = letter_of(aside, rows, now=now, names_erased=names_erased)
            await session.run("dead_insert", *([value] for value in letter))

        await self._database.write(work)

    async def deliveries_of(
        self, user: UserRef, *, limit: int, since: float | None = None
    ) -> list[Record]:
        rows = await self._database.rows(
            "deliveries_of_user",
            findable(user.user_id),
            findable(user.custom_id),
            since or 0.0,
            limit,
        )
        return [_record(row) for row in rows]

    async def replace_body(self, event_id: str, body: bytes, by: bytes) -> None:
        await self._database.rows("event_set_body", event_id, body, by)

    async def items_of(self, event_id: str) -> list[Record]:
        rows = await self._database.rows("deliveries_of_event", findable(event_id))
        return [_record(row) for row in rows]

    async def event(self, event_id: str) -> EventSummary | None:
        key = findable(event_id)

        async def work(session: Session) -> EventSummary | None:
            row = await session.row("event_get", key)
            if row is None:
                return None
            event = event_of(row)
            states = {row[0]: row[1] for row in await session.rows("event_states", key)}
            seen, done, queued = await session.row("event_standing", key)
            return summary_of(event, states, seen, finished=done >= event.chunks and not queued)

        return await self._database.read(work)

    async def events(
        self,
        *,
        limit: int,
        status: str | None = None,
        source: str | None = None,
        before: float | None = None,
    ) -> list[Event]:
        rows = await self._database.rows("events_page", status, before, source, limit)
        return [event_of(row) for row in rows]

    async def dead(self, *, limit: int, event_id: str | None = None) -> list[DeadLetter]:
        rows = await self._database.rows("dead_page", event_id, limit)
        return [DeadLetter.from_row(row) for row in rows]

    async def drop_dead(self, ids: Sequence[int] | None, *, act: Act | None = None) -> int:
        chosen = None if ids is None else list(ids)

        async def work(session: Session) -> int:
            dropped = await session.run("dead_delete", chosen)
            await audit.note(session, act if dropped else None, count=dropped)
            return dropped

        return await self._database.write(work, pace=SLOW)

    async def purge(self, *, before: float) -> int:
        """By whole days, in UTC: what is over by less is kept until its day is."""
        midnight = before // _DAY_S * _DAY_S
        purged = await self._partitions.drop(before=midnight)
        purged += await self._purge_receipts(day_of(midnight))

        async def work(session: Session) -> Any:
            return await session.row("events_purge", midnight, _PURGE_EVENTS)

        purged += await self._database.write(
            lambda session: session.run("dead_orphans", midnight), pace=SLOW
        )
        await self._database.rows("erasures_purge", midnight)
        events = 1
        while events:
            events, rows = await self._database.write(work)
            purged += rows
        await self._partitions.ensure_ahead()
        return purged + await starts.purge(self._database, before=midnight)

    async def _purge_receipts(self, today: int) -> int:
        """Those of days before this one whose deliveries are gone."""
        kept = [row[0] for row in await self._database.rows("partition_days")]
        purged, some = 0, _PURGE_RECEIPTS
        while some == _PURGE_RECEIPTS:
            some = await self._database.write(
                lambda session: session.run("receipts_purge", today, kept, _PURGE_RECEIPTS)
            )
            purged += some
        return purged

    async def _record(
        self,
        records: Sequence[Record],
        removals: Sequence[tuple[int, Removal]],
        dead: Sequence[tuple[int, Item]],
        done: Sequence[tuple[str, int]],
        brakes: Mapping[LaneKey, Brake],
        waiting: Sequence[tuple[Record, LeaseRef]],
        failed: Sequence[Failed],
        drawn: Sequence[Drawn],
    ) -> Recorded:
        async def work(session: Session) -> Recorded:
            done_with, told = Recorded(), records
            if removals:
                orders = [(removal, records[index].at) for index, removal in removals]
                removing = await remove_devices(session, orders, brakes)
                done_with, told = removed(records, removals, removing)
                await self._taps.removals(session, removing.leaving)
            if waiting:
                # locked, so that nobody takes a chunk between this look and the commit
                asked = zip(*dict.fromkeys(lease for _, lease in waiting), strict=True)
                held = {tuple(row) for row in await session.rows("queue_held", *asked)}
                told = [*told, *(record for record, lease in waiting if lease in held)]
            erased, tried, stands = None, failed, {}
            if told or failed or drawn:
                if told:
                    await session.run("deliveries_upsert", last_words(told))
                stands = await experiments.standings(session, drawn) if drawn else {}
                events = {one.event_id for one in told} | {one.event_id for one in failed}
                events |= {one.event_id for one in drawn}
                erased = await session.erased_from(events)
            if erased is not None:
                tried = [one for one in failed if not erased.hides(one)]
                hidden = [(*one[:3], one.day) for one in told if erased.hides(one)]
                if hidden:
                    await session.run("erase_names", *zip(*hidden, strict=True))
            if self._taps.plan.deliveries and told:
                await self._taps.deliveries(session, told if erased is None else erased.told(told))
            if tried:
                await session.run("failed_upsert", *zip(*columns(tried), strict=True))
            letters = [
                dead_values(records[index], item)
                for index, item in dead
                if erased is None or not erased.hides(told[index])
            ]
            if letters:
                by_delivery = {letter[:3]: letter for letter in letters}
                await session.run("dead_insert", *zip(*by_delivery.values(), strict=True))
            if done:
                await session.run("chunks_done", *zip(*done, strict=True))
            if drawn:
                await experiments.keep_drawn(session, drawn, stands, erased)
            return done_with

        # Upserts may be repeated; by then another process may have changed a letter or a device,
        # or sent what was held back.
        is_plain = not removals and not dead and not drawn
        return await self._database.write(work, repeatable=is_plain)


def _record(row: Any) -> Record:
    return Record._make(row)._replace(state=delivery_state(row[3]))


async def _kept(session: Session, event_id: str) -> Event | None:
    row = await session.row("event_get", event_id)
    return None if row is None else event_of(row)
