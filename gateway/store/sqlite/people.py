"""What is known of one person, on SQLite. What reads much has a thread of its own."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Sequence
from typing import Any

from gateway.core.audit import Row, without_ids
from gateway.core.model import Event, UserRef
from gateway.ports import Content, DeadLetter, Holdings, WaitingSlice
from gateway.store.erasing import needles
from gateway.store.experiments import reminder_of
from gateway.store.forgetting import numbers_of
from gateway.store.naming import parts_of
from gateway.store.rows import event_of
from gateway.store.sqlite.database import SqliteDatabase
from gateway.store.sqlite.erased import ids_of, kept_secret, learner, words
from gateway.store.waiting import candidates, in_chunks, still_waiting


class SqlitePeople:
    """The port `gateway.ports.People`."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database
        self._sql = database.sql

    async def waiting(
        self,
        people: Sequence[UserRef],
        *,
        queued: bool,  # noqa: ARG002  # no broker goes with a file
        since: float,  # noqa: ARG002
        after: Any,
        rows: int,
    ) -> WaitingSlice:
        asked = {"needles": json.dumps(needles(people)), "after": after or "", "rows": rows}

        def work(connection: sqlite3.Connection) -> WaitingSlice:
            (end,) = connection.execute(self._sql["waiting_queued_end"], asked).fetchone()
            found = connection.execute(self._sql["waiting_queued"], asked).fetchall()
            theirs, unread = candidates(found, people), 0
            for row in found:
                if row[-1]:
                    queued = connection.execute(self._sql["erase_queued"], {"event_id": row[0]})
                    some = in_chunks(row, [items for _, items in queued], people)
                    theirs += some or ()
                    unread += some is None
            if theirs:
                named = {one.event_id for one in theirs}
                items = json.dumps([[one.event_id, one.index] for one in theirs])
                journaled: dict[str, set[int]] = {}
                for event_id, index in connection.execute(
                    self._sql["items_journaled"], {"items": items}
                ):
                    journaled.setdefault(event_id, set()).add(index)
                erased = self._database.erased_from(connection, named)
                theirs = still_waiting(theirs, journaled, erased)
            return WaitingSlice(end, theirs, unread)

        return await self._database.search(work)

    async def events_waiting(
        self,
        *,
        queued: bool,  # noqa: ARG002  # as above
        since: float,  # noqa: ARG002
    ) -> int:
        def work(connection: sqlite3.Connection) -> int:
            count: int = connection.execute(self._sql["waiting_queued_count"]).fetchone()[0]
            return count

        return await self._database.search(work, alone=True)

    async def events(self, event_ids: Sequence[str]) -> list[Event]:
        asked = {"events": json.dumps([*event_ids])}
        return [event_of(row) for row in await self._database.rows("events_some", asked)]

    async def misread(self, user: UserRef, *, limit: int) -> list[Event]:
        asked = {**ids_of(user), "limit": limit}
        return [event_of(row) for row in await self._database.rows("events_misread", asked)]

    async def content(
        self, event_id: str, user: UserRef, indexes: Sequence[int] = ()
    ) -> Content | None:
        def work(connection: sqlite3.Connection) -> Content | None:
            key = {"event_id": event_id}
            row = connection.execute(self._sql["event_get"], key).fetchone()
            if row is None:
                row = connection.execute(self._sql["learning_event"], key).fetchone()
            if row is None:
                return None
            event = event_of(row)
            learnt = event.status == "ignored"
            return Content(event, *parts_of(event.body, user, indexes, learnt=learnt))

        return await self._database.search(work)

    async def held(self, user: UserRef, devices: Collection[int]) -> Holdings:
        sql = self._sql

        def work(connection: sqlite3.Connection) -> Holdings:
            ids = ids_of(user)
            secret = kept_secret(connection, sql)
            who = learners = {"who_user": "", "who_custom": ""}
            if secret is not None:
                who = words(connection, sql, user)
                learners = learner(connection, sql, user)
            people = [] if secret is None else numbers_of(secret, user, devices)

            def find(query: str, values: Any) -> list[Any]:
                return connection.execute(sql[query], values).fetchall()

            reasons = [Row(*row) for row in find("held_reasons", ids)]
            return Holdings(
                named_in=[row[0] for row in find("held_named_in", ids)],
                letters=[DeadLetter.from_row(row) for row in find("held_letters", ids)],
                removals=find("held_back", ids),
                forgotten=find("held_forgotten", {"people": json.dumps(people)}),
                erasures=find("held_erasures", who),
                starts=[row[0] for row in find("held_starts", ids)],
                following=[row[0] for row in find("held_following", who)],
                done=find("held_suppressions", who),
                acts=sorted(Row(*row) for row in find("audit_of_user", who)),
                reasons=[one for one in reasons if without_ids(one.reason, user) != one.reason],
                hooks=find("held_hooks", who),
                members=find("held_members", learners),
                left_out=find("held_left_out", learners),
                exempt_since=find("held_exempt", learners)[0][0],
                reminders=[reminder_of(row) for row in find("held_reminders", learners)],
                outcomes=find("held_outcomes", learners),
            )

        return await self._database.search(work)
