"""Trials: a chunk that may end processes is tried alone, so that a crash proves it guilty.

Owns when suspects have their turn and how long a trial lasts; `core.suspects` defines a suspect. A
trial begins once every other chunk in hand has ended or has been survived for long enough. It ends
when the chunk is settled, or when the process has survived it. Trials come in series, with time for
all other chunks between them: neither side waits more than seconds for the other.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Protocol, TypeVar

from gateway.core.clocks import Clocks
from gateway.core.model import Claim
from gateway.core.suspects import TRIAL_S, is_hopeless, went_on
from gateway.ports import Journal, Queue
from gateway.relay.lane import Lane
from gateway.relay.leases import Leases
from gateway.relay.work import Work

T = TypeVar("T")

#: how long a series of trials may last until others have their turn, in seconds
_SERIES_S = 10.0
#: how long the others' turn lasts, and how often suspects are looked for, in seconds
_PAUSE_S = 5.0
#: a chunk that the lanes have not begun to send by then counts as tried, in seconds
_UNSENT_S = 15.0


class Patiently(Protocol):
    """Repeats a step until the store answers; `what` names it for people."""

    def __call__(self, what: str, step: Callable[[], Awaitable[T]]) -> Awaitable[T]: ...


class Trials:
    """Tries suspects. `lanes` is shared with app; `begin` hands a claim to the dispatcher."""

    def __init__(
        self,
        *,
        queue: Queue,
        journal: Journal,
        leases: Leases,
        lanes: Mapping[str, Lane],
        begin: Callable[[Claim, float], Awaitable[None]],
        patiently: Patiently,
        clocks: Clocks,
    ) -> None:
        self._queue = queue
        self._journal = journal
        self._leases = leases
        self._lanes = lanes
        self._begin = begin
        self._patiently = patiently
        self._clock = clocks.wall
        self._monotonic = clocks.monotonic
        self._next_at = -math.inf

    async def run(self) -> None:
        """Try the due suspects one after the other, until it is the others' turn. A new process
        begins with a trial."""
        now = self._monotonic()
        if now < self._next_at:
            return
        ends_at = now + TRIAL_S + _SERIES_S
        while self._monotonic() < ends_at and await self._patiently("look for suspects", self._due):
            await self._others_ended()
            claim, proven_until = await self._patiently("claim", self._claim)
            if claim is None:
                break
            await self._try(claim, proven_until)
        self._next_at = self._monotonic() + _PAUSE_S

    async def is_hopeless(self, work: Work) -> bool:
        """Whether to give up a chunk. One that made progress since its last claim starts anew."""
        trial, chunk = work.claim.trial, work.chunk
        if trial is None or trial.lone_ends == 0:
            return False
        journaled = await self._journal.journaled_since(
            chunk.event_id,
            [entry.item.index for entry in chunk.items],
            day=chunk.day,
            since=trial.since,
        )
        if went_on(chunk, journaled):
            await self._queue.absolve(work.claim)
            return False
        return is_hopeless(trial.lone_ends)

    # --- inside -------------------------------------------------------------------------------

    async def _due(self) -> bool:
        return await self._queue.has_suspect(now=self._clock(), skip_lanes=self._closed())

    async def _claim(self) -> tuple[Claim | None, float]:
        """Lease a suspect; also returns until when the lease holds."""
        proven_until = self._leases.proven_until()
        if self._leases.is_settling:
            return None, proven_until
        claim = await self._queue.claim_suspect(
            lease_s=self._leases.lease_s, now=self._clock(), skip_lanes=self._closed()
        )
        return claim, proven_until

    def _closed(self) -> Sequence[str]:
        return [name for lane in self._lanes.values() for name in lane.closed]

    async def _others_ended(self) -> None:
        """Wait until each chunk in hand has ended, or has been survived for long enough."""
        while self._leases.works:
            youngest = max(work.since for work in self._leases.works.values())
            wait = youngest + TRIAL_S - self._monotonic()
            if wait <= 0:
                return
            await self._change(wait)

    async def _try(self, claim: Claim, proven_until: float) -> None:
        await self._begin(claim, proven_until)
        work = self._leases.works.get(claim.queue_id)
        began = sent = self._monotonic()
        while work is not None and self._leases.works.get(claim.queue_id) is work:
            now = self._monotonic()
            if self._unsent() and now - began < _UNSENT_S:
                sent = now
            wait = sent + TRIAL_S - now
            if wait <= 0:
                await self._patiently("end a trial", partial(self._queue.absolve, work.claim))
                return
            await self._change(wait)

    def _unsent(self) -> bool:
        """Whether deliveries wait in the lanes; the chunk's may be among them."""
        return any(lane.waits for lane in self._lanes.values())

    async def _change(self, seconds: float) -> None:
        """Wait until a chunk is finished, for this many seconds at most."""
        self._leases.changed.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._leases.changed.wait()
