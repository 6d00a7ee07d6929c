"""Handing chunks out: leases, marks, and the suspects that wait for a trial of their own.

The broker decides which messages it hands out. A suspect among them is kept here, under its lease
and not begun, until the dispatcher asks for one; of several, the one with the fewest lone ends goes
first. If a suspect's lease ends meanwhile, the broker hands it out anew.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass

from nats.aio.msg import Msg

from gateway.core.model import Chunk, Claim, Trial
from gateway.core.suspects import Past
from gateway.errors import StoreUnavailable
from gateway.queue.nats.leases import Lease, Leases
from gateway.queue.nats.link import Link
from gateway.queue.nats.tries import UNWRITTEN, Tries

#: lone ends that only a chunk gets whose burial ends processes as well
HOPELESS = 30


@dataclass(frozen=True, slots=True)
class Suspect:
    """A message to be tried alone; `until` is the end of its lease (the loop's clock)."""

    message: Msg
    chunk: Chunk
    past: Past
    until: float

    @property
    def sequence(self) -> int:
        """The message's number in the stream."""
        return self.message.metadata.sequence.stream


class Handing:
    """Hands messages out as claims. `reject` moves one to the dead stream, with a reason."""

    def __init__(
        self,
        link: Link,
        leases: Leases,
        tries: Tries,
        *,
        lease_s: float,
        reject: Callable[[Msg, str], Awaitable[None]],
    ) -> None:
        self._link = link
        self._leases = leases
        self._tries = tries
        self._lease_s = lease_s
        self._reject = reject
        self._suspects: dict[int, Suspect] = {}

    async def claim(self, message: Msg, chunk: Chunk, *, until: float, now: float) -> Claim | None:
        """Hand out a message whose lease lasts until then; None: it is a suspect, and waits."""
        sequence, deliveries = message.metadata.sequence.stream, message.metadata.num_delivered
        past = await self._tries.past(sequence, deliveries)
        if past is None:
            tries = self._tries.unmarked(sequence, deliveries)
            return Claim(sequence, self._lease(message, until), chunk, tries)
        if past.suspect:
            self._suspects[sequence] = Suspect(message, chunk, past, until)
            return None
        past = past.claimed(now)
        await self._tries.mark(sequence, past)
        lease_id = self._lease(message, until, past)
        return Claim(sequence, lease_id, chunk, UNWRITTEN + past.tries)

    def next_suspect(self, *, now: float, skip: Collection[str]) -> Suspect | None:
        """The suspect whose turn it is, of those here."""
        at = asyncio.get_running_loop().time()
        self._suspects = {key: one for key, one in self._suspects.items() if one.until > at}
        ready = [
            one
            for one in self._suspects.values()
            if one.chunk.deadline <= now or not one.chunk.waits_for(skip)
        ]
        return min(ready, key=lambda one: (one.past.lone_ends_by(now), one.sequence), default=None)

    async def claim_suspect(self, *, now: float, skip: Collection[str]) -> Claim | None:
        """Hand out the next suspect, under a lease that begins now."""
        while suspect := self.next_suspect(now=now, skip=skip):
            lone_ends = suspect.past.lone_ends_by(now)
            if lone_ends > HOPELESS:
                del self._suspects[suspect.sequence]
                text = f"{lone_ends} processes ended while it was tried alone"
                await self._reject(suspect.message, text)
                continue
            asked_at = asyncio.get_running_loop().time()
            await self._link.ask(suspect.message.reply, b"+WPI")
            past = suspect.past.claimed(now)
            await self._tries.mark(suspect.sequence, past)
            self._suspects.pop(suspect.sequence, None)
            lease_id = self._lease(suspect.message, asked_at + self._lease_s, past)
            trial = Trial(lone_ends, suspect.past.claimed_at)
            return Claim(suspect.sequence, lease_id, suspect.chunk, UNWRITTEN + past.tries, trial)
        return None

    async def extend(self, claim: Claim) -> bool:
        """Renew a lease. False: the broker did not confirm it."""
        lease = self._leases.find(claim)
        if lease is None:
            return False
        asked_at = asyncio.get_running_loop().time()
        try:
            await self._link.ask(lease.reply, b"+WPI")
        except StoreUnavailable:
            return False
        if self._leases.find(claim) is None:
            return False
        lease.until = asked_at + self._lease_s
        if claim.trial is None:
            with contextlib.suppress(StoreUnavailable):  # the next time, then
                await self.absolve(claim)
        return True

    async def absolve(self, claim: Claim) -> None:
        """Forget a chunk's tries and lone ends."""
        lease = self._leases.find(claim)
        if lease is not None and lease.past is not None:
            await self._tries.mark(lease.queue_id, Past())
            lease.past = None

    async def given_back(self, leases: Collection[Lease]) -> None:
        """The claims under these leases count as neither try nor trial."""
        for lease in leases:
            if lease.past is not None:
                await self._tries.mark(lease.queue_id, lease.past.given_back())

    def take_suspects(self) -> list[Msg]:
        """Take all messages that wait here."""
        waiting = [suspect.message for suspect in self._suspects.values()]
        self._suspects.clear()
        return waiting

    def _lease(self, message: Msg, until: float, past: Past | None = None) -> str:
        lease_id = self._link.new_id()
        sequence = message.metadata.sequence.stream
        self._leases.add(lease_id, Lease(sequence, message.subject, message.reply, until, past))
        return lease_id
