"""The queue inside a PostgreSQL that replicas share: chunks are rows, a lease is a due time.

An event and its chunks are one transaction, and so are a settled chunk and its leftovers: here
nothing can stop half way. Replicas claim beside each other: none waits for what another one takes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from gateway.core.clocks import WallClock
from gateway.core.ids import NewId
from gateway.core.model import Chunk, Claim, Event
from gateway.core.pace import Pace
from gateway.core.rows import event_row, replayed_row
from gateway.core.suspects import Past
from gateway.ports import Depth
from gateway.queue.databases import Session, SharedDatabase
from gateway.queue.replays import revived_chunks
from gateway.queue.rows import chunk_values, claim_of, letter_of, past_of, trial_of

T = TypeVar("T")

#: dead letters that one transaction replays: it must end in time
_LETTERS = 5_000


class PostgresQueue:
    """The port `gateway.ports.Queue`. `announce` wakes the processes that may claim."""

    def __init__(
        self,
        database: SharedDatabase,
        *,
        announce: Callable[[], None],
        clock: WallClock,
        new_id: NewId,
        pace: Pace = Pace(),
    ) -> None:
        self._database = database
        self._announce = announce
        self._clock = clock
        self._chunk_items = pace.chunk_items
        self.idle_s = pace.idle_s
        self._name = new_id()
        self._claims = 0
        self._claiming: set[asyncio.Future[Any]] = set()

    async def let_go(self) -> None:
        # also what a claim took that was cancelled meanwhile, of which nobody heard
        if self._claiming:
            await asyncio.wait(self._claiming)
        if self._claims:
            await self._database.write(
                lambda session: session.run("queue_let_go", f"{self._name}-", self._clock())
            )
            self._announce()

    async def accept(self, event: Event, chunks: Sequence[Chunk]) -> bool:
        values = event_row(event).values()

        async def work(session: Session) -> bool:
            if not await session.run("event_insert", *values):
                return False
            await _insert(session, chunks)
            return True

        accepted = await self._database.write(work)
        if accepted:
            self._tell_of(chunks)
        return accepted

    async def publish(self, chunks: Sequence[Chunk]) -> None:
        await self._database.write(lambda session: _insert(session, chunks))
        self._tell_of(chunks)

    async def claim(
        self, *, limit: int, lease_s: float, now: float, skip_lanes: Sequence[str] = ()
    ) -> list[Claim]:
        lease_id = self._new_lease()
        asked = (now, list(skip_lanes), limit, lease_id, now + lease_s)
        rows = await self._shielded(lambda session: session.rows("queue_claim", *asked))
        return [claim_of(row, lease_id, now) for row in sorted(rows, key=lambda row: row[0])]

    async def has_suspect(self, *, now: float, skip_lanes: Sequence[str] = ()) -> bool:
        return bool(await self._database.rows("queue_suspect", now, list(skip_lanes)))

    async def claim_suspect(
        self, *, lease_s: float, now: float, skip_lanes: Sequence[str] = ()
    ) -> Claim | None:
        lease_id = self._new_lease()

        async def work(session: Session) -> tuple[Any, Past] | None:
            found = await session.rows("queue_take_suspect", now, list(skip_lanes))
            if not found:
                return None
            queue_id, *kept = found[0]
            past = past_of(kept)
            tries, lone_ends, alone, claimed_at = past.claimed(now)
            values = (lease_id, now + lease_s, tries, lone_ends, int(alone), claimed_at)
            (row,) = await session.rows("queue_try", queue_id, *values)
            return row, past

        taken = await self._shielded(work)
        return None if taken is None else trial_of(*taken, lease_id, now)

    async def absolve(self, claim: Claim) -> None:
        held = (claim.queue_id, claim.lease_id)
        await self._database.write(lambda session: session.run("queue_absolve", *held))

    def _new_lease(self) -> str:
        self._claims += 1
        return f"{self._name}-{self._claims}"

    async def _shielded(self, work: Callable[[Session], Awaitable[T]]) -> T:
        """Half a claim is worse than one that is not wanted any more: `let_go` undoes that."""
        claiming = asyncio.ensure_future(self._database.write(work))
        self._claiming.add(claiming)
        claiming.add_done_callback(self._claimed)
        return await asyncio.shield(claiming)

    def _claimed(self, claiming: asyncio.Future[Any]) -> None:
        self._claiming.discard(claiming)
        if not claiming.cancelled():
            claiming.exception()  # who was cancelled meanwhile does not ask for it

    async def extend(self, claims: Sequence[Claim], *, lease_s: float, now: float) -> set[int]:
        ids = [claim.queue_id for claim in claims]
        leases = [claim.lease_id for claim in claims]
        rows = await self._database.rows("queue_extend", ids, leases, now + lease_s)
        held = {(queue_id, lease_id) for queue_id, lease_id in rows}
        # by lease, not by chunk: this process may have the chunk anew, and ask for the old one too
        return {one.queue_id for one in claims if (one.queue_id, one.lease_id) not in held}

    async def settle(
        self, claim: Claim, leftovers: Sequence[Chunk], again: Sequence[Chunk] = ()
    ) -> bool:
        # A chunk that is there was not settled: nothing of what it left was ever queued.
        added = [*leftovers, *again]

        async def work(session: Session) -> bool:
            if not await session.run("queue_settle", claim.queue_id, claim.lease_id):
                return False
            await _insert(session, added)
            return True

        settled = await self._database.write(work)
        if settled:
            self._tell_of(added)
        return settled

    async def rescue(self) -> int:
        """Ends no lease: behind each another replica may be alive. Those of the dead run out."""
        return 0

    async def replay_dead(self, ids: Sequence[int] | None, *, now: float, max_age_s: float) -> int:
        chosen = list(ids or ())
        if ids is None:
            chosen = [row[0] for row in await self._database.rows("dead_ids")]
        replayed = 0
        for start in range(0, len(chosen), _LETTERS):
            some = chosen[start : start + _LETTERS]
            replayed += await self._replay(some, now=now, deadline=now + max_age_s)
        return replayed

    async def _replay(self, ids: Sequence[int], *, now: float, deadline: float) -> int:
        async def work(session: Session) -> int:
            letters = await session.rows("dead_by_ids", ids)
            if not letters:
                return 0
            deliveries = _columns([tuple(letter[1:4]) for letter in letters])
            await session.run("deliveries_revive", *deliveries, now)
            await session.run("deliveries_forget", *deliveries)
            chunks = revived_chunks(
                map(letter_of, letters),
                now=now,
                deadline=deadline,
                chunk_items=self._chunk_items,
            )
            await _insert(session, chunks)
            await session.run("dead_delete", [letter[0] for letter in letters])
            return len(letters)

        replayed = await self._database.write(work)
        if replayed:
            self._announce()
        return replayed

    async def replay_event(self, event: Event, chunks: Sequence[Chunk]) -> None:
        values = replayed_row(event).values()

        async def work(session: Session) -> bool:
            if not await session.run("event_replace", *values):
                return False
            await _insert(session, chunks)
            return True

        if await self._database.write(work):
            self._tell_of(chunks)

    async def depth(self) -> Depth:
        ((notifications, oldest_at),) = await self._database.rows("queue_depth")
        return Depth(notifications, oldest_at)

    def _tell_of(self, chunks: Sequence[Chunk]) -> None:
        now = self._clock()
        if any(chunk.due_at <= now for chunk in chunks):
            self._announce()


async def _insert(session: Session, chunks: Sequence[Chunk]) -> None:
    if chunks:
        await session.run("queue_insert", *_columns([chunk_values(chunk) for chunk in chunks]))


def _columns(rows: Sequence[tuple[Any, ...]]) -> list[Any]:
    return list(zip(*rows, strict=True))
