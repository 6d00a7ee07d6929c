"""The queue inside a PostgreSQL that replicas share: chunks are rows, a lease is a due time.

An event and its chunks are written in one transaction, and so are a settled chunk and its
leftovers, so both steps are atomic. Replicas claim beside each other without waiting.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any, TypeVar

from gateway.core.audit import Act
from gateway.core.clocks import WallClock
from gateway.core.ids import NewId
from gateway.core.model import Chunk, Claim, Event
from gateway.core.pace import Pace
from gateway.core.rows import arriving, has_arrived, met_unseen, replayed_row
from gateway.core.stored import Unreadable
from gateway.core.suspects import Past
from gateway.events import Observer
from gateway.ports import Aside, Depth, Held, Journal
from gateway.queue.asides import Asides, held_in
from gateway.queue.databases import Session, SharedDatabase
from gateway.queue.replays import events_of, free, replay_of, revived_chunks
from gateway.queue.rows import (
    aside_of,
    chunk_values,
    claim_of,
    letter_of,
    past_of,
    trial_of,
)

T = TypeVar("T")

#: dead letters per transaction of a replay, so that the transaction ends in time
_LETTERS = 5_000


class PostgresQueue:
    """The port `gateway.ports.Queue`. `announce` wakes the processes that may claim.

    What is due, and how long leases last, is measured by the server's clock: those of replicas may
    differ. `own_time`: by the times that are given instead, for tests.
    """

    in_store = True

    def __init__(
        self,
        database: SharedDatabase,
        *,
        journal: Journal,
        announce: Callable[[], None],
        clock: WallClock,
        new_id: NewId,
        observer: Observer,
        pace: Pace = Pace(),
        own_time: bool = False,
    ) -> None:
        self._database = database
        self._own_time = own_time
        self._forms = journal.forms
        self._asides = Asides(journal, observer=observer, clock=clock, chunk_items=pace.chunk_items)
        self._announce = announce
        self._clock = clock
        self._chunk_items = pace.chunk_items
        self.idle_s = pace.idle_s
        self._name = new_id()
        self._claims = 0
        self._claiming: set[asyncio.Future[Any]] = set()

    async def let_go(self) -> None:
        # includes chunks of a cancelled claim, which no caller knows of
        if self._claiming:
            await asyncio.wait(self._claiming)
        if self._claims:
            mine = (f"{self._name}-", self._given(self._clock()))
            await self._database.write(lambda session: session.run("queue_let_go", *mine))
            self._announce()

    async def accept(
        self, event: Event, chunks: Sequence[Chunk], *, act: Act | None = None
    ) -> bool:
        form = self._forms.writes
        queued = [chunk_values(chunk, form) for chunk in chunks]
        values = arriving(event, form, queued)
        if event.status == "ignored" and await self._database.has_learnt(event.event_id):
            return False

        async def work(session: Session) -> bool:
            (answer,) = await session.rows("event_insert", *values)
            is_new = has_arrived(event, answer, again=False)
            if is_new and event.done:
                await session.run("suppressions_insert", *_columns(event.done))
            await session.note(act if is_new else None, count=event.notifications)
            return is_new

        if act is None and not event.done:
            answer, again = await self._database.row_or_again("event_insert", *values)
            if again and met_unseen(answer):
                (answer,) = await self._database.rows("event_insert", *values)
            accepted = has_arrived(event, answer, again=again)
        else:
            accepted = await self._database.write(work)
        if accepted:
            self._tell_of(chunks)
        return accepted

    async def publish(self, chunks: Sequence[Chunk]) -> None:
        await self._database.write(lambda session: self._insert(session, chunks))
        self._tell_of(chunks)

    async def claim(
        self, *, limit: int, lease_s: float, now: float, skip_lanes: Sequence[str] = ()
    ) -> list[Claim]:
        lease_id = self._new_lease()
        asked = (now, list(skip_lanes), limit, lease_id, lease_s, self._given(now))
        rows = await self._shielded(lambda session: session.rows("queue_claim", *asked))
        claims = []
        for row in sorted(rows, key=lambda row: row[0]):
            try:
                claims.append(claim_of(row, lease_id, now))
            except Unreadable as error:
                await self._put_aside(aside_of(row, error), lease_id, now)
        return claims

    async def has_suspect(self, *, now: float, skip_lanes: Sequence[str] = ()) -> bool:
        return bool(await self._database.rows("queue_suspect", *self._due(now, skip_lanes)))

    async def claim_suspect(
        self, *, lease_s: float, now: float, skip_lanes: Sequence[str] = ()
    ) -> Claim | None:
        lease_id = self._new_lease()

        async def work(session: Session) -> tuple[Any, Past] | None:
            found = await session.rows("queue_take_suspect", *self._due(now, skip_lanes))
            if not found:
                return None
            queue_id, *kept = found[0]
            past = past_of(kept)
            tries, lone_ends, alone, claimed_at = past.claimed(now)
            values = (lease_id, lease_s, tries, lone_ends, int(alone), claimed_at)
            (row,) = await session.rows("queue_try", queue_id, *values, self._given(now))
            return row, past

        while taken := await self._shielded(work):
            row, past = taken
            try:
                return trial_of(row, past, lease_id, now)
            except Unreadable as error:
                await self._put_aside(aside_of(row, error), lease_id, now)
        return None

    async def absolve(self, claim: Claim) -> None:
        await self._run("queue_absolve", claim.queue_id, claim.lease_id)

    def _given(self, now: float) -> float | None:
        """The time that counts in the database; None: the server's."""
        return now if self._own_time else None

    def _due(self, now: float, skip_lanes: Sequence[str]) -> tuple[float, list[str], float | None]:
        return now, list(skip_lanes), self._given(now)

    def _new_lease(self) -> str:
        self._claims += 1
        return f"{self._name}-{self._claims}"

    async def _shielded(self, work: Callable[[Session], Awaitable[T]]) -> T:
        """Finish the claim even if it is cancelled, instead of half of it: `let_go` undoes it."""
        claiming = asyncio.ensure_future(self._database.write(work))
        self._claiming.add(claiming)
        claiming.add_done_callback(self._claimed)
        return await asyncio.shield(claiming)

    async def _put_aside(self, aside: Aside, lease_id: str, now: float) -> None:
        row = (aside.queue_id, lease_id)

        async def held(whole: bool) -> Held:
            key = (aside.event_id, aside.queue_id, -1 if whole else aside.number)
            return held_in(items for (items,) in await self._database.rows("queue_beside", *key))

        await self._asides.take(
            aside,
            held=held,
            end=lambda: self._run("queue_settle", *row),
            leave=lambda seconds: self._run("queue_leave", *row, now + seconds),
        )

    async def _run(self, query: str, *values: Any) -> int:
        return await self._database.write(lambda session: session.run(query, *values))

    def _claimed(self, claiming: asyncio.Future[Any]) -> None:
        self._claiming.discard(claiming)
        if not claiming.cancelled():
            claiming.exception()  # a caller that was cancelled does not see it

    async def extend(self, claims: Sequence[Claim], *, lease_s: float, now: float) -> set[int]:
        ids = [claim.queue_id for claim in claims]
        leases = [claim.lease_id for claim in claims]
        rows = await self._database.rows("queue_extend", ids, leases, lease_s, self._given(now))
        held = {(queue_id, lease_id) for queue_id, lease_id in rows}
        # by lease, not by chunk: this process may have claimed the chunk again meanwhile
        return {one.queue_id for one in claims if (one.queue_id, one.lease_id) not in held}

    async def settle(
        self, claim: Claim, leftovers: Sequence[Chunk], postponed: Sequence[Chunk] = ()
    ) -> bool:
        # The chunk is still there, so it was not settled, and none of its leftovers was queued.
        added = [*leftovers, *postponed]

        async def work(session: Session) -> bool:
            if not await session.run("queue_settle", claim.queue_id, claim.lease_id):
                return False
            await self._insert(session, added)
            return True

        settled = await self._database.write(work)
        if settled:
            self._tell_of(added)
        return settled

    async def snooze(self, claim: Claim, *, until: float) -> None:
        await self._run("queue_leave", claim.queue_id, claim.lease_id, until)

    async def hasten(self, event_ids: Collection[str]) -> None:
        if await self._database.rows("queue_hasten", list(event_ids)):
            self._announce()

    async def rescue(self) -> int:
        """Ends no lease, because any may belong to a live replica; those of dead ones run out."""
        return 0

    async def replay_dead(
        self,
        ids: Sequence[int] | None,
        *,
        now: float,
        max_age_s: float,
        act: Act | None = None,
    ) -> int:
        named = ids is not None
        chosen = list(ids or ())
        if not named:
            chosen = [row[0] for row in await self._database.rows("dead_ids")]
        replayed = 0
        for start in range(0, len(chosen), _LETTERS):
            some = chosen[start : start + _LETTERS]
            replayed += await self._replay(some, named, now=now, max_age_s=max_age_s, act=act)
        return replayed

    async def _replay(
        self,
        ids: Sequence[int],
        named: bool,
        *,
        now: float,
        max_age_s: float,
        act: Act | None,
    ) -> int:
        async def work(session: Session) -> int:
            dead = await session.rows("dead_by_ids", ids)
            letters = list(map(letter_of, dead))
            held = {one: await self._held(session, one) for one in events_of(letters)}
            replay = replay_of(free(letters, held, named=named), named=named)
            if not replay.ids:
                return 0
            theirs = [(one.event_id, one.item.index, one.device_id) for one in replay.letters]
            deliveries = _columns(theirs) if theirs else [[], [], []]
            await session.run("deliveries_revive", *deliveries, now)
            await session.run("deliveries_forget", *deliveries)
            chunks = revived_chunks(
                replay.letters, now=now, max_age_s=max_age_s, chunk_items=self._chunk_items
            )
            await self._insert(session, chunks)
            await session.run("dead_delete", replay.ids)
            await session.note(act, count=len(replay.ids))
            return len(replay.ids)

        replayed = await self._database.write(work)
        if replayed:
            self._announce()
        return replayed

    async def replay_event(
        self, event: Event, chunks: Sequence[Chunk], *, act: Act | None = None
    ) -> None:
        values = replayed_row(event, self._forms.writes).values()

        async def work(session: Session) -> bool:
            if not await session.run("event_replace", *values):
                return False
            await self._insert(session, chunks)
            await session.note(act, count=event.notifications)
            return True

        if await self._database.write(work):
            self._tell_of(chunks)

    async def depth(self) -> Depth:
        ((notifications, oldest_at),) = await self._database.rows("queue_depth")
        return Depth(notifications, oldest_at)

    async def _held(self, session: Session, event_id: str) -> Held:
        """What the chunks of an event hold that are queued."""
        return held_in(items for (items,) in await session.rows("queue_beside", event_id, -1, -1))

    async def _insert(self, session: Session, chunks: Sequence[Chunk]) -> None:
        """Add chunks of known events, which may name somebody who was erased meanwhile."""
        if chunks:
            erased = await session.erased_from({chunk.event_id for chunk in chunks})
            if erased is not None:
                chunks = [erased.without_names(chunk) for chunk in chunks]
            await self._write(session, chunks)

    async def _write(self, session: Session, chunks: Sequence[Chunk]) -> None:
        if chunks:
            rows = [chunk_values(chunk, self._forms.writes) for chunk in chunks]
            await session.run("queue_insert", *_columns(rows))

    def _tell_of(self, chunks: Sequence[Chunk]) -> None:
        now = self._clock()
        if any(chunk.due_at <= now for chunk in chunks):
            self._announce()


def _columns(rows: Sequence[tuple[Any, ...]]) -> list[Any]:
    return list(zip(*rows, strict=True))
