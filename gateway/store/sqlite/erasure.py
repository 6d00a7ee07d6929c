"""Erasing a user: devices at once, then the names and texts that were kept, step by step.

Owns the promise that no step keeps others waiting: what reads much has a thread of its own, what
writes is small.
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from gateway.core.model import UserRef
from gateway.ports import Asked, Cleared, Erasure, Kept, Slice
from gateway.store.erasing import ERASED, Rewrite, came_later, rewrite, who_is_named
from gateway.store.sqlite import audit, learning
from gateway.store.sqlite.database import SqliteDatabase
from gateway.store.sqlite.erased import OF_EXPERIMENTS, ids_of, learner, words

#: how long the last step may keep a writer waiting, in milliseconds
_SWEEP_MS = 50
#: what goes of an event with a person's items
_ERASE = (
    "erase_held_items",
    "erase_dead",
    "erase_raw",
    "erase_deliveries",
    "erase_receipts",
    "erase_people",
    "erase_learnt",
)


class SqliteErasures:
    """The port `gateway.ports.Erasures`."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database
        self._sql = database.sql

    async def state(self, user: UserRef) -> Erasure | None:
        def work(connection: sqlite3.Connection) -> tuple[float | None, float | None, int]:
            if not connection.execute(self._sql["erasure_exists"]).fetchone()[0]:
                return None, None, 0
            who = words(connection, self._sql, user)
            found: tuple[float | None, float | None, int]
            found = connection.execute(self._sql["erasure_state"], who).fetchone()
            return found

        asked_at, done_at, open_ = await self._database.read(work)
        return None if asked_at is None else Erasure(asked_at, None if open_ else done_at)

    async def waiting(self) -> bool:
        ((found,),) = await self._database.rows("erasures_waiting", {})
        return bool(found)

    async def take(self, holder: str, *, now: float, until: float) -> list[Asked]:
        rows = await self._run("erasures_take", {"holder": holder, "now": now, "until": until})
        return [Asked((row[0], row[1]), row[2], UserRef(row[3], row[4])) for row in sorted(rows)]

    async def hold(self, holder: str, *, until: float) -> None:
        await self._run("erasures_hold", {"holder": holder, "until": until})

    async def let_go(self, holder: str) -> None:
        await self._run("erasures_let_go", {"holder": holder})

    async def settled(self) -> None:
        """One writes at a time, and sees what the last one wrote."""

    async def indexed(self, user: UserRef) -> list[str]:
        def work(connection: sqlite3.Connection) -> list[str]:
            oldest, newest = connection.execute(self._sql["runs"]).fetchone()
            asked = {**ids_of(user), "oldest": oldest, "newest": newest}
            return [row[0] for row in connection.execute(self._sql["erase_find_events"], asked)]

        return await self._database.search(work)

    async def search(self, what: Kept, needles: Sequence[str], *, after: Any, rows: int) -> Slice:
        asked = {"needles": json.dumps(needles), "after": after or 0, "rows": rows}
        end, events = await self._database.search(
            lambda connection: connection.execute(self._sql[f"search_{what}"], asked).fetchone()
        )
        return Slice(end, json.loads(events))

    async def named(self, event_id: str, people: Sequence[UserRef]) -> list[UserRef]:
        key = {"event_id": event_id}

        def work(connection: sqlite3.Connection) -> list[UserRef]:
            rows = [
                *connection.execute(self._sql["erase_body"], key),
                *connection.execute(self._sql["erase_queued"], key),
                *connection.execute(self._sql["erase_raws"], key),
                *connection.execute(self._sql["erase_learning"], key),
            ]
            found = {
                user
                for row in rows
                if isinstance(row[-1], bytes)
                for user in who_is_named(row[-1], people)
            }
            return [user for user in people if user in found]

        return await self._database.search(work)

    async def erase(self, event_id: str, asked: Asked, *, now: float, follow: bool) -> Cleared:
        """An item is the user's when it names them, or when the journal says that it went to them:
        it may have named only the other of their two ids.

        What is written is worked out before, beside the writers; the journal takes no name
        meanwhile, and only the holder rewrites bodies and chunks.
        """
        sql, user = self._sql, asked.user
        key: dict[str, Any] = {**ids_of(user), "event_id": event_id}

        def look(connection: sqlite3.Connection) -> tuple[Rewrite, bool] | None:
            indexes = [row[0] for row in connection.execute(sql["erase_indexes"], key)]
            event = connection.execute(sql["erase_body"], key).fetchone()
            (asked_at,) = connection.execute(sql["erasure_asked"], _named(asked)).fetchone()
            # the dates of both may have been put right since it was taken
            if came_later(event, asked.asked_at if asked_at is None else asked_at):
                return None
            queued = connection.execute(sql["erase_queued"], key).fetchall()
            return rewrite(user, indexes, event, queued), event is not None

        looked = await self._database.search(look)
        if looked is None:
            return Cleared(0, False)
        found, is_there = looked

        def work(connection: sqlite3.Connection) -> None:
            told = key | {"indexes": json.dumps(found.indexes), "reason": ERASED, "now": now}
            connection.execute(sql["erase_failed"], told)
            if found.body is not None:
                connection.execute(sql["erase_set_body"], key | {"body": found.body})
            if found.ended:
                ending = {"ended": json.dumps(found.ended), "day": found.day}
                connection.execute(sql["erase_end"], told | ending)
            for queue_id, items in found.queued:
                connection.execute(sql["erase_set_queued"], {"id": queue_id, "items": items})
            for query in _ERASE:
                connection.execute(sql[query], told)
            # of an event that is there the dates were compared
            before = math.inf if is_there else asked.asked_at
            learning.empty(connection, sql, event_id, asked_at=before, now=now)
            if follow:
                connection.execute(sql["erase_follow"], key | _named(asked))

        await self._database.write(work)
        return Cleared(found.unread, found.later)

    async def followed(self, asked: Asked) -> list[str]:
        rows = await self._database.rows("erase_followed", _named(asked))
        return [row[0] for row in rows]

    async def unfollow(self, asked: Asked, event_id: str) -> None:
        await self._run("erase_unfollow", {**_named(asked), "event_id": event_id})

    async def unname(self, asked: Asked) -> None:
        this = {**_named(asked), "asked_at": asked.asked_at}

        def work(connection: sqlite3.Connection) -> None:
            # again: a person may have written the id into a reason meanwhile
            audit.forget(connection, self._sql, asked.user)
            connection.execute(self._sql["suppressions_unname"], _named(asked))
            learners = learner(connection, self._sql, asked.user)
            for query in OF_EXPERIMENTS:
                connection.execute(self._sql[query], learners)
            connection.execute(self._sql["erasure_unname"], this)

        await self._database.write(work)

    async def swept(self) -> bool:
        """The log beside the file has pages of before: they go into the file, and it is cut. Most
        of it is moved while others write. It cannot be cut while somebody reads."""

        def work(connection: sqlite3.Connection) -> bool:
            (patience,) = connection.execute("PRAGMA busy_timeout").fetchone()
            try:
                connection.execute(f"PRAGMA busy_timeout = {_SWEEP_MS}")
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
                row = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                return bool(row[0] == 0)
            except sqlite3.OperationalError:
                return False
            finally:
                connection.execute(f"PRAGMA busy_timeout = {patience}")

        return await self._database.search(work, alone=True)

    async def done(self, asked: Asked, *, now: float) -> None:
        await self._run("erasure_done", {**_named(asked), "asked_at": asked.asked_at, "now": now})

    async def _run(self, query: str, values: Mapping[str, Any]) -> list[Any]:
        rows: list[Any] = await self._database.write(
            lambda connection: connection.execute(self._sql[query], values).fetchall()
        )
        return rows


def _named(asked: Asked) -> dict[str, str]:
    return dict(zip(("who_user", "who_custom"), asked.words, strict=True))
