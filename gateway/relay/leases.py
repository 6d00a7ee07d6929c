"""The leases of this process: which chunks it works on, and until when each is proven its own.

Owns renewal, and what becomes of a chunk whose lease is lost: nothing of it starts any more, and
its verdicts are still heard. If this process claims it again, it begins only when the pushes of the
earlier claim have ended and are on record: what one process sent, it never sends a second time.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
from collections.abc import Callable, Iterable, Mapping

from gateway.core.clocks import Clocks
from gateway.core.model import Claim
from gateway.core.pace import Pace
from gateway.errors import StoreUnavailable
from gateway.events import Observer, StoreFailed
from gateway.ports import Queue
from gateway.relay.gate import Gate
from gateway.relay.lane import Lane
from gateway.relay.work import Work


class Leases:
    """See the module. `lanes` is shared with app; `wake` is called when a chunk has ended."""

    def __init__(
        self,
        queue: Queue,
        *,
        lanes: Mapping[str, Lane],
        gate: Gate,
        wake: Callable[[], None],
        observer: Observer,
        clocks: Clocks,
        lease_s: float,
        pace: Pace,
    ) -> None:
        self._queue = queue
        self._lanes = lanes
        self._gate = gate
        self._wake = wake
        self._observer = observer
        self._clock = clocks.wall
        self._monotonic = clocks.monotonic
        self._doubt = clocks.doubt
        self._pace = pace
        self._works: dict[int, Work] = {}
        #: chunks whose lease is lost, while pushes of them are not on record
        self._leaving: dict[Work, None] = {}
        #: chunks that must not begin yet, each with those that have to end before
        self._behind: dict[Work, list[Work]] = {}
        #: claims whose leases end until then (monotonic) were asked for before the time was moved
        self._outdated = -math.inf
        #: nothing that was known before this moment (monotonic) proves a lease
        self._doubted_at = -math.inf
        self._doubted = asyncio.Event()
        self.lease_s = lease_s
        self.changed = asyncio.Event()
        """Set when a chunk was finished or dropped; whoever waits for it clears it."""

    @property
    def is_settling(self) -> bool:
        """Whether the store is still dated by a time that was moved: then nothing is claimed."""
        doubt = self._doubt()
        return doubt is not None and doubt.settling

    @property
    def works(self) -> Mapping[int, Work]:
        """The chunks under a lease of this process, by their queue ids."""
        return self._works

    def proven_until(self) -> float:
        """The earliest end of a lease that is requested now (monotonic)."""
        return self._monotonic() + self.lease_s

    # --- chunks come and go ---------------------------------------------------------------------

    def take(self, claim: Claim, proven_until: float) -> Work | None:
        """Take a claimed chunk; returns it if it may begin now.

        None: it comes by `ready` once its earlier pushes ended, or it has dates of before the time
        was moved, and is claimed anew.
        """
        if proven_until <= self._outdated:
            return None
        proven_until = self._proof(proven_until)
        at_work = self._works.get(claim.queue_id)
        if at_work is not None:
            # Its lease ran out while we held it (we stood still, or a lost stream was made anew and
            # reuses its numbers). Another relay may have had the chunk since, and lost it too, so
            # only the journal knows what is left: it begins anew, behind what is on its way.
            self.drop(at_work)
        work = Work(
            claim,
            proven_until,
            jitter=random.random(),  # noqa: S311  # not a secret
            ended=self._ended,
            since=self._monotonic(),
        )
        self._works[claim.queue_id] = work
        before = self._earlier(work)
        if before:
            self._behind[work] = before
            return None
        return work

    def ready(self) -> Work | None:
        """Take a chunk that had to wait and may begin now; None: there is none."""
        for work, before in list(self._behind.items()):
            if work.lost or not before:
                del self._behind[work]
            if not work.lost and not before:
                return work
        return None

    def _earlier(self, work: Work) -> list[Work]:
        """The chunks of this process that may hold the same deliveries: another process may have
        taken them meanwhile, and left what this one has on its way in a chunk of another id."""
        now, chunk = self._monotonic(), work.chunk
        return [
            other
            for other in (*self._leaving, *self._works.values())
            if other is not work
            and other.proven_until <= now
            and other.chunk.event_id == chunk.event_id
            and other.chunk.number == chunk.number
        ]

    def drop(self, work: Work) -> None:
        """Forget a chunk whose lease cannot be proven."""
        if self._works.get(work.claim.queue_id) is work:
            del self._works[work.claim.queue_id]
        if not work.lost:
            work.lose()
            if not work.open and not work.finished:
                self._let_through(work)  # it sent nothing, so nobody will tell that it ended
            else:
                self._leaving[work] = None
                for lane in self._lanes.values():
                    for part in lane.parts.values():
                        part.forget_lost()
        self._tell()

    def moved(self) -> None:
        """The time in force was moved: what is in hand has dates of before. All of it is dropped,
        and claimed anew once the store has been put right."""
        self._outdated = self.proven_until()
        for work in list(self._works.values()):
            self.drop(work)

    def _ended(self, work: Work) -> None:
        """All that was sent of a chunk is on record, and the chunk is settled or lost."""
        if self._works.get(work.claim.queue_id) is work:
            del self._works[work.claim.queue_id]
        self._leaving.pop(work, None)
        self._let_through(work)
        self._tell()

    def _let_through(self, work: Work) -> None:
        """Nobody waits for this chunk any more."""
        for before in self._behind.values():
            if work in before:
                before.remove(work)

    def _tell(self) -> None:
        self._wake()
        self.changed.set()

    # --- renewal --------------------------------------------------------------------------------

    def doubt(self) -> None:
        """The process stood still, for who knows how long: nothing is sent under the leases that it
        holds until each is renewed, or found lost, which begins now."""
        self._doubted_at = self._monotonic()
        for work in self._works.values():
            work.proven_until = min(work.proven_until, self._doubted_at)
        self._doubted.set()

    def _proof(self, until: float) -> float:
        """Until when a lease is proven, by what was asked for: doubt came since, or not."""
        return until if until - self.lease_s > self._doubted_at else self._doubted_at

    async def keep(self) -> None:
        """Renew the leases of this process until cancelled; drop the chunks whose lease was lost.

        While the queue does not answer, the lanes start no push whose lease is no longer proven.
        A process that has been unable to write the journal for long renews nothing: where the
        queue is not in the store, it would keep chunks from others that could finish them.
        """
        every = self.lease_s / 3
        wait = every
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._doubted.wait()
            self._doubted.clear()
            wait = every
            if self._works and self._is_stuck():
                wait = min(every, self._pace.renew_again_s)
            elif self._works:
                try:
                    await self._renew(self._works.values())
                except StoreUnavailable as error:
                    self._observer(StoreFailed("extend leases", str(error)))
                    wait = min(every, self._pace.renew_again_s)

    async def prove(self, works: Iterable[Work]) -> None:
        """Renew those of these leases that are no longer proven; drop the chunks that are lost.

        Raises StoreUnavailable.
        """
        now = self._monotonic()
        unproven = [work for work in works if not work.lost and work.proven_until <= now]
        if unproven:
            await self._renew(unproven)

    def _is_stuck(self) -> bool:
        """Whether the gate has been closed for half a lease; shorter outages cost no lease."""
        return self._gate.closed_s > self.lease_s / 2

    async def _renew(self, works: Iterable[Work]) -> None:
        held = [(work, work.claim) for work in works]
        proven_until = self.proven_until()
        lost = await self._queue.extend(
            [claim for _, claim in held], lease_s=self.lease_s, now=self._clock()
        )
        for work, claim in held:
            if work.claim is not claim or self._works.get(claim.queue_id) is not work:
                continue  # claimed anew, settled or dropped meanwhile
            if claim.queue_id in lost:
                self.drop(work)
            else:
                work.proven_until = self._proof(proven_until)
