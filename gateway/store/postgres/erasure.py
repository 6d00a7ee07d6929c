"""Erasing a user: devices at once, then the names and texts that were kept, step by step.

Every step is a short transaction on one connection, so that the relays' own work gets its turn in
between. What the server keeps of rows that are gone (until VACUUM), in its log and in backups is
the server's: see deploy/docs/operations.md.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from functools import partial
from typing import Any

from gateway.core.model import UserRef, day_of
from gateway.ports import Asked, Cleared, Erasure, Kept, Slice
from gateway.store.erasing import ERASED, came_later, rewrite, who_is_named
from gateway.store.postgres import audit, learning
from gateway.store.postgres.database import SLOW, PostgresDatabase, Session
from gateway.store.postgres.erased import OF_EXPERIMENTS, ids_of, learner, words
from gateway.store.postgres.partitions import make_partition

_LOOK_S = 0.02


class PostgresErasures:
    """The port `gateway.ports.Erasures`."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database

    async def state(self, user: UserRef) -> Erasure | None:
        async def work(session: Session) -> Any:
            if not (await session.row("erasure_exists"))[0]:
                return None, None, 0
            return await session.row("erasure_state", *await words(session, user))

        asked_at, done_at, open_ = await self._database.read(work)
        return None if asked_at is None else Erasure(asked_at, None if open_ else done_at)

    async def waiting(self) -> bool:
        return bool((await self._database.rows("erasures_waiting"))[0][0])

    async def take(self, holder: str, *, now: float, until: float) -> list[Asked]:
        rows = await self._database.rows("erasures_take", holder, until, now)
        return [
            Asked((row[0], row[1]), row[2], UserRef(row[3], row[4]))
            for row in sorted(rows, key=lambda row: tuple(row[:2]))
        ]

    async def hold(self, holder: str, *, until: float) -> None:
        await self._database.rows("erasures_hold", holder, until)

    async def let_go(self, holder: str) -> None:
        await self._database.rows("erasures_let_go", holder)

    async def settled(self) -> None:
        """A transaction that began to write before the erase was committed did not see it."""
        ((newest,),) = await self._database.rows("erase_writers")
        while not (await self._database.rows("erase_writers_ended", newest))[0][0]:  # noqa: ASYNC110  # the server has no event for it
            await asyncio.sleep(_LOOK_S)

    async def indexed(self, user: UserRef) -> list[str]:
        rows = await self._database.read(
            lambda session: session.rows("erase_find_events", *ids_of(user)), pace=SLOW
        )
        return [row[0] for row in rows]

    async def search(self, what: Kept, needles: Sequence[str], *, after: Any, rows: int) -> Slice:
        first = "" if what == "bodies" else 0
        texts = [text.encode("utf-8", "surrogatepass") for text in needles]
        asked = (first if after is None else after, rows, texts)
        end, events = await self._database.read(
            lambda session: session.row(f"search_{what}", *asked), pace=SLOW
        )
        return Slice(end, events or [])

    async def named(self, event_id: str, people: Sequence[UserRef]) -> list[UserRef]:
        async def work(session: Session) -> list[bytes]:
            return [
                row[-1]
                for query in ("erase_body", "erase_queued", "erase_raws", "erase_learning")
                for row in await session.rows(query, event_id)
            ]

        kept = await self._database.read(work)
        found = await asyncio.to_thread(
            lambda: {user for one in kept for user in who_is_named(one, people)}
        )
        return [user for user in people if user in found]

    async def erase(self, event_id: str, asked: Asked, *, now: float, follow: bool) -> Cleared:
        """What is written is worked out before, in a thread; the journal takes no name meanwhile,
        and only the holder rewrites bodies and chunks."""
        ids = ids_of(asked.user)

        async def look(session: Session) -> tuple[list[int], Any, list[Any]]:
            indexes = [row[0] for row in await session.rows("erase_indexes", event_id, *ids)]
            event = await session.row("erase_body", event_id)
            return indexes, event, await session.rows("erase_queued", event_id)

        indexes, event, queued = await self._database.read(look, pace=SLOW)
        if came_later(event, asked.asked_at):
            return Cleared(0, False)
        found = await asyncio.to_thread(
            partial(rewrite, asked.user, indexes, event and tuple(event), list(map(tuple, queued)))
        )

        async def work(session: Session) -> None:
            if event is not None:
                # first of all: who drops a day takes the same locks in this order
                await make_partition(session, day_of(event["received_at"]))
            if found.body is not None:
                await session.run("erase_set_body", event_id, found.body)
            if found.ended:
                await session.run("erase_end", event_id, found.ended, now, ERASED, found.day)
            for queue_id, items in found.queued:
                await session.run("erase_set_queued", queue_id, items)
            await session.run("erase_dead", event_id, *ids, found.indexes)
            await session.run("erase_raw", event_id)
            await session.run("erase_failed", event_id, found.indexes)
            await session.run("erase_deliveries", event_id, found.indexes)
            await session.run("erase_receipts", event_id, found.indexes)
            await session.run("erase_people", event_id, *ids)
            await session.run("erase_learnt", event_id, *ids)
            await session.run("erase_held_items", event_id, found.indexes)
            if follow:
                await session.run("erase_follow", *asked.words, event_id)

        await self._database.write(work, pace=SLOW)
        # by itself, and later: who chains has the end of the chain first, and rows of events then
        before = asked.asked_at if event is None else math.inf
        await self._database.write(
            partial(learning.empty, event_id=event_id, asked_at=before, now=now)
        )
        return Cleared(found.unread, found.later)

    async def followed(self, asked: Asked) -> list[str]:
        return [row[0] for row in await self._database.rows("erase_followed", *asked.words)]

    async def unfollow(self, asked: Asked, event_id: str) -> None:
        await self._database.rows("erase_unfollow", *asked.words, event_id)

    async def unname(self, asked: Asked) -> None:
        async def work(session: Session) -> None:
            # again: an older replica may have erased, or a person written the id into a reason
            await audit.forget(session, asked.user)
            await session.run("suppressions_unname", *asked.words)
            # a transaction that wrote beside the erase did not see it
            learners = await learner(session, asked.user)
            for query in OF_EXPERIMENTS:
                await session.run(query, *learners)
            await session.run("erasure_unname", *asked.words, asked.asked_at)

        await self._database.write(work)

    async def swept(self) -> bool:
        """VACUUM is the server's."""
        return True

    async def done(self, asked: Asked, *, now: float) -> None:
        await self._database.rows("erasure_done", *asked.words, asked.asked_at, now)
