"""What is known of one person, on PostgreSQL. What reads much has time, and one connection."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Collection, Sequence
from functools import partial
from typing import Any

from gateway.core.audit import Row, without_ids
from gateway.core.model import Event, UserRef, day_of
from gateway.ports import Content, DeadLetter, Holdings, WaitingSlice
from gateway.store.erasing import needles
from gateway.store.experiments import reminder_of
from gateway.store.forgetting import numbers_of
from gateway.store.naming import parts_of
from gateway.store.postgres.database import SLOW, PostgresDatabase, Session
from gateway.store.postgres.erased import ids_of, kept_secret, learner, words
from gateway.store.postgres.texts import findable
from gateway.store.rows import event_of
from gateway.store.waiting import candidates, in_chunks, still_waiting


class PostgresPeople:
    """The port `gateway.ports.People`."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database

    async def waiting(
        self, people: Sequence[UserRef], *, queued: bool, since: float, after: Any, rows: int
    ) -> WaitingSlice:
        texts = [text.encode("utf-8", "surrogatepass") for text in needles(people)]

        async def work(session: Session) -> WaitingSlice:
            if queued:
                (end,) = await session.row("waiting_queued_end", after or "", rows)
                found = await session.rows("waiting_queued", after or "", rows, texts)
            else:
                at, event_id = after or (math.inf, "")
                found = await session.rows("waiting_since", since, at, event_id, rows, texts)
                end = (found[-1][2], found[-1][0]) if found else None
            theirs = await asyncio.to_thread(partial(candidates, found, people))
            unread = 0
            for row in found:
                if row[-1]:
                    chunks = await session.rows("erase_queued", row[0])
                    some = in_chunks(row, [items for _, items in chunks], people)
                    theirs += some or ()
                    unread += some is None
            if theirs:
                asked = [(day_of(one.received_at), one.event_id, one.index) for one in theirs]
                journaled: dict[str, set[int]] = {}
                for row in await session.rows("items_journaled", *zip(*asked, strict=True)):
                    journaled.setdefault(row[0], set()).add(row[1])
                erased = await session.erased_from({one.event_id for one in theirs})
                theirs = still_waiting(theirs, journaled, erased)
            return WaitingSlice(end, theirs, unread)

        return await self._database.read(work)

    async def events_waiting(self, *, queued: bool, since: float) -> int:
        if queued:
            ((count,),) = await self._database.rows("waiting_queued_count")
        else:
            ((count,),) = await self._database.rows("waiting_since_count", since)
        return int(count)

    async def events(self, event_ids: Sequence[str]) -> list[Event]:
        names = [one for one in event_ids if findable(one) is not None]
        return [event_of(row) for row in await self._database.rows("events_some", names)]

    async def misread(self, user: UserRef, *, limit: int) -> list[Event]:
        rows = await self._database.rows("events_misread", *ids_of(user), limit)
        return [event_of(row) for row in rows]

    async def content(
        self, event_id: str, user: UserRef, indexes: Sequence[int] = ()
    ) -> Content | None:
        rows = await self._database.rows("event_get", findable(event_id))
        rows = rows or await self._database.rows("learning_event", findable(event_id))
        if not rows:
            return None
        event = event_of(rows[0])
        find = partial(parts_of, learnt=event.status == "ignored")
        found, unread = await asyncio.to_thread(find, event.body, user, indexes)
        return Content(event, found, unread)

    async def held(self, user: UserRef, devices: Collection[int]) -> Holdings:
        async def work(session: Session) -> Holdings:
            ids = ids_of(user)
            secret = await kept_secret(session)
            who = ("", "") if secret is None else await words(session, user)
            learners = ("", "") if secret is None else await learner(session, user)
            people = [] if secret is None else numbers_of(secret, user, devices)
            reasons = [Row(*row) for row in await session.rows("held_reasons", *ids)]
            return Holdings(
                named_in=[row[0] for row in await session.rows("held_named_in", *ids)],
                letters=[
                    DeadLetter.from_row(row) for row in await session.rows("held_letters", *ids)
                ],
                removals=[tuple(row) for row in await session.rows("held_back", *ids)],
                forgotten=[tuple(row) for row in await session.rows("held_forgotten", people)],
                erasures=[tuple(row) for row in await session.rows("held_erasures", *who)],
                starts=[row[0] for row in await session.rows("held_starts", *ids)],
                following=[row[0] for row in await session.rows("held_following", *who)],
                done=[tuple(row) for row in await session.rows("held_suppressions", *who)],
                acts=[Row(*row) for row in await session.rows("held_acts", *who)],
                reasons=[one for one in reasons if without_ids(one.reason, user) != one.reason],
                hooks=[
                    tuple(row)
                    for row in await session.rows("held_hooks", [word for word in who if word])
                ],
                members=[tuple(row) for row in await session.rows("held_members", *learners)],
                left_out=[tuple(row) for row in await session.rows("held_left_out", *learners)],
                exempt_since=(await session.row("held_exempt", *learners))[0],
                reminders=[
                    reminder_of(row) for row in await session.rows("held_reminders", *learners)
                ],
                outcomes=[tuple(row) for row in await session.rows("held_outcomes", *learners)],
            )

        return await self._database.read(work, pace=SLOW)
