"""The queue inside the SQL database: chunks are rows, a lease is a due time in the future.

An event and its chunks are written in one transaction, and so are a settled chunk and its
leftovers, so both steps are atomic.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Any

from gateway.core.audit import Act
from gateway.core.clocks import WallClock
from gateway.core.ids import NewId
from gateway.core.model import Chunk, Claim, Event
from gateway.core.pace import Pace
from gateway.core.rows import event_row
from gateway.core.stored import Unreadable
from gateway.core.suspects import Past
from gateway.events import Observer
from gateway.ports import Aside, Depth, Held, Journal
from gateway.queue.asides import Asides, held_in
from gateway.queue.databases import Database
from gateway.queue.replays import events_of, free, replay_of, revived_chunks
from gateway.queue.rows import aside_of, chunk_values, claim_of, letter_of, past_of, trial_of


class InStoreQueue:
    """The port `gateway.ports.Queue` on the embedded database."""

    in_store = True

    def __init__(
        self,
        database: Database,
        *,
        journal: Journal,
        clock: WallClock,
        new_id: NewId,
        observer: Observer,
        pace: Pace = Pace(),
    ) -> None:
        self._database = database
        self._sql = database.sql
        self._clock = clock
        self._name = new_id()
        self._claims = 0
        self._chunk_items = pace.chunk_items
        self.idle_s = pace.idle_s
        self._forms = journal.forms
        self._asides = Asides(journal, observer=observer, clock=clock, chunk_items=pace.chunk_items)

    async def accept(
        self, event: Event, chunks: Sequence[Chunk], *, act: Act | None = None
    ) -> bool:
        rows = self._rows(chunks)
        values = event_row(event, self._forms.writes)
        people = [(person, event.event_id) for person in event.people]

        is_learning = event.status == "ignored"

        def work(connection: Any) -> bool:
            if is_learning and self._database.has_learnt(connection, event.event_id):
                return False
            if connection.execute(self._sql["event_insert"], values).rowcount == 0:
                return False
            self._database.write_rows(connection, "queue_insert", rows)
            self._database.write_rows(connection, "people_insert", people)
            self._database.write_rows(connection, "suppressions_insert", event.done)
            self._database.note(connection, act, count=event.notifications)
            return True

        accepted: bool = await self._database.write(work)
        return accepted

    async def publish(self, chunks: Sequence[Chunk]) -> None:
        await self._database.write(lambda connection: self._insert(connection, chunks))

    async def claim(
        self, *, limit: int, lease_s: float, now: float, skip_lanes: Sequence[str] = ()
    ) -> list[Claim]:
        lease_id = self._new_lease()
        parameters = {
            "lease_id": lease_id,
            "until": now + lease_s,
            "now": now,
            "limit": limit,
            "skip_lanes": json.dumps(list(skip_lanes)),
        }
        rows = await self._database.write(
            lambda connection: connection.execute(self._sql["queue_claim"], parameters).fetchall()
        )
        claims = []
        for row in sorted(rows):
            try:
                claims.append(claim_of(row, lease_id, now))
            except Unreadable as error:
                await self._put_aside(aside_of(row, error), lease_id, now)
        return claims

    def _new_lease(self) -> str:
        self._claims += 1
        return f"{self._name}-{self._claims}"

    async def has_suspect(self, *, now: float, skip_lanes: Sequence[str] = ()) -> bool:
        asked = {"now": now, "skip_lanes": json.dumps(list(skip_lanes))}
        row = await self._database.read(
            lambda connection: connection.execute(self._sql["queue_suspect"], asked).fetchone()
        )
        return row is not None

    async def claim_suspect(
        self, *, lease_s: float, now: float, skip_lanes: Sequence[str] = ()
    ) -> Claim | None:
        lease_id = self._new_lease()
        asked = {"now": now, "skip_lanes": json.dumps(list(skip_lanes))}

        def work(connection: Any) -> tuple[Any, Past] | None:
            found = connection.execute(self._sql["queue_suspect"], asked).fetchone()
            if found is None:
                return None
            past = past_of(found[1:])
            values = past.claimed(now)._asdict()
            values |= {"id": found[0], "lease_id": lease_id, "until": now + lease_s}
            return connection.execute(self._sql["queue_try"], values).fetchone(), past

        while taken := await self._database.write(work):
            row, past = taken
            try:
                return trial_of(row, past, lease_id, now)
            except Unreadable as error:
                await self._put_aside(aside_of(row, error), lease_id, now)
        return None

    async def absolve(self, claim: Claim) -> None:
        await self._run("queue_absolve", (claim.queue_id, claim.lease_id))

    async def extend(self, claims: Sequence[Claim], *, lease_s: float, now: float) -> set[int]:
        until = now + lease_s

        def work(connection: Any) -> set[int]:
            extend = self._sql["queue_extend"]
            return {
                claim.queue_id
                for claim in claims
                if not connection.execute(extend, (until, claim.queue_id, claim.lease_id)).rowcount
            }

        lost: set[int] = await self._database.write(work)
        return lost

    async def settle(
        self, claim: Claim, leftovers: Sequence[Chunk], postponed: Sequence[Chunk] = ()
    ) -> bool:
        # The chunk is still there, so it was not settled, and none of its leftovers was queued.
        added = [*leftovers, *postponed]
        held = {"id": claim.queue_id, "lease_id": claim.lease_id}

        def work(connection: Any) -> bool:
            if connection.execute(self._sql["queue_settle"], held).rowcount == 0:
                return False
            if added:
                self._insert(connection, added)
            return True

        settled: bool = await self._database.write(work)
        return settled

    async def snooze(self, claim: Claim, *, until: float) -> None:
        await self._run(
            "queue_leave", {"id": claim.queue_id, "lease_id": claim.lease_id, "due_at": until}
        )

    async def hasten(self, event_ids: Collection[str]) -> None:
        asked = {"events": json.dumps(list(event_ids))}
        sql = self._sql["queue_may_hasten"]
        found = await self._database.read(
            lambda connection: connection.execute(sql, asked).fetchone()
        )
        if found[0]:
            await self._run("queue_hasten", asked)

    async def let_go(self) -> None:
        # includes chunks of a cancelled claim, which no caller knows of
        if self._claims:
            mine = {"mine": f"{self._name}-", "now": self._clock()}
            await self._database.write(
                lambda connection: connection.execute(self._sql["queue_let_go"], mine).rowcount
            )

    async def rescue(self) -> int:
        now = self._clock()
        rescued: int = await self._database.write(
            lambda connection: connection.execute(self._sql["queue_rescue"], {"now": now}).rowcount
        )
        return rescued

    async def replay_dead(
        self,
        ids: Sequence[int] | None,
        *,
        now: float,
        max_age_s: float,
        act: Act | None = None,
    ) -> int:
        chosen = {"ids": None if ids is None else json.dumps(list(ids))}

        def work(connection: Any) -> int:
            letters = connection.execute(self._sql["dead_by_ids"], chosen).fetchall()
            _, newest = connection.execute(self._sql["runs"]).fetchone()
            dead = list(map(letter_of, letters))
            held = {event_id: self._held(connection, event_id) for event_id in events_of(dead)}
            named = ids is not None
            replay = replay_of(free(dead, held, named=named), named=named)
            for event_id, _, item, device_id in replay.letters:
                query = "delivery_forget" if device_id == 0 else "delivery_revive"
                row = {"event_id": event_id, "item_index": item.index, "device_id": device_id}
                connection.execute(self._sql[query], row | {"now": now, "run": newest or 0})
            chunks = revived_chunks(
                replay.letters,
                now=now,
                max_age_s=max_age_s,
                chunk_items=self._chunk_items,
            )
            self._insert(connection, chunks)
            connection.execute(self._sql["dead_delete"], {"ids": json.dumps(replay.ids)})
            self._database.note(connection, act if replay.ids else None, count=len(replay.ids))
            return len(replay.ids)

        replayed: int = await self._database.write(work)
        return replayed

    async def replay_event(
        self, event: Event, chunks: Sequence[Chunk], *, act: Act | None = None
    ) -> None:
        values = event_row(event, self._forms.writes)

        def work(connection: Any) -> None:
            if connection.execute(self._sql["event_replace"], values).rowcount:
                self._insert(connection, chunks)
                self._database.note(connection, act, count=event.notifications)

        await self._database.write(work)

    async def depth(self) -> Depth:
        row = await self._database.read(
            lambda connection: connection.execute(self._sql["queue_depth"]).fetchone()
        )
        return Depth(row[0], row[1])

    def _held(self, connection: Any, event_id: str) -> Held:
        """What the chunks of an event hold that are queued."""
        whole = {"event_id": event_id, "id": -1, "number": -1}
        return held_in(items for (items,) in connection.execute(self._sql["queue_beside"], whole))

    def _insert(self, connection: Any, chunks: Sequence[Chunk]) -> None:
        """Add chunks of known events, which may name somebody who was erased meanwhile."""
        erased = self._database.erased_from(connection, {chunk.event_id for chunk in chunks})
        if erased is not None:
            chunks = [erased.without_names(chunk) for chunk in chunks]
        self._database.write_rows(connection, "queue_insert", self._rows(chunks))

    def _rows(self, chunks: Sequence[Chunk]) -> list[tuple[Any, ...]]:
        return [chunk_values(chunk, self._forms.writes) for chunk in chunks]

    async def _put_aside(self, aside: Aside, lease_id: str, now: float) -> None:
        row = {"id": aside.queue_id, "lease_id": lease_id}

        async def held(whole: bool) -> Held:
            key = {"event_id": aside.event_id, "number": -1 if whole else aside.number} | row
            beside = await self._run("queue_beside", key)
            return held_in(items for (items,) in beside)

        await self._asides.take(
            aside,
            held=held,
            end=lambda: self._run("queue_settle", row),
            leave=lambda seconds: self._run("queue_leave", row | {"due_at": now + seconds}),
        )

    async def _run(self, query: str, values: Any) -> list[Any]:
        rows: list[Any] = await self._database.write(
            lambda connection: connection.execute(self._sql[query], values).fetchall()
        )
        return rows
