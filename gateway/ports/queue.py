"""Chunks that wait for their turn, and the leases of those in work."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.core.audit import Act
from gateway.core.model import Chunk, Claim, Event


@dataclass(frozen=True, slots=True)
class Depth:
    """How much waits: notifications, and since when the oldest one waits (epoch seconds)."""

    notifications: int
    oldest_at: float | None


class Queue(Protocol):
    """Chunks that wait for their turn, and the leases of those that are worked on."""

    async def accept(
        self, event: Event, chunks: Sequence[Chunk], *, act: Act | None = None
    ) -> bool:
        """Make an event and its chunks durable in one step. False: the event id is known."""

    async def publish(self, chunks: Sequence[Chunk]) -> None:
        """Add chunks."""

    async def claim(
        self, *, limit: int, lease_s: float, now: float, skip_lanes: Sequence[str] = ()
    ) -> list[Claim]:
        """Lease due chunks until `now + lease_s`; an expired lease makes a chunk due again.

        Chunks that wait for one of `skip_lanes` are left alone until their deadline has passed;
        suspects (`core.suspects`) are left to `claim_suspect`.
        """

    async def has_suspect(self, *, now: float, skip_lanes: Sequence[str] = ()) -> bool:
        """Whether a suspect is due, as far as this process can know: a cheap look."""

    async def claim_suspect(
        self, *, lease_s: float, now: float, skip_lanes: Sequence[str] = ()
    ) -> Claim | None:
        """Lease the due suspect with the fewest lone ends, to be tried with nothing beside it."""

    async def absolve(self, claim: Claim) -> None:
        """Clear a chunk: the process survived it, or the chunk made progress. Its tries are
        forgotten, and it stays under its lease. Nothing happens if the lease was lost."""

    async def extend(self, claims: Sequence[Claim], *, lease_s: float, now: float) -> set[int]:
        """Prolong leases. Returns the queue ids whose lease is lost.

        A process that renews has survived its chunks: the tries of those that are not on trial
        begin anew.
        """

    async def settle(
        self, claim: Claim, leftovers: Sequence[Chunk], postponed: Sequence[Chunk] = ()
    ) -> bool:
        """Finish a chunk and add its leftovers. False: the lease was lost.

        `postponed` has the leftovers of an earlier claim; one is added if no other chunk holds its
        deliveries any more.
        """

    async def snooze(self, claim: Claim, *, until: float) -> None:
        """Give a chunk back, as if it had never been claimed: it is due again at that time (epoch
        seconds). Nothing happens if the lease was lost."""

    async def hasten(self, event_ids: Collection[str]) -> None:
        """The chunks of these events come first, whatever they wait for: the events were cancelled.
        Asked again and again for some minutes; a broker hands its messages out in their order."""

    async def let_go(self) -> None:
        """This process ends in order: its unsettled chunks are due at once, as if it had never
        claimed them."""

    async def rescue(self) -> int:
        """End the leases of processes that are known to be gone, where a store can know that."""

    async def replay_dead(
        self,
        ids: Sequence[int] | None,
        *,
        now: float,
        max_age_s: float,
        act: Act | None = None,
    ) -> int:
        """Queue dead letters again (None: all) with a new life. Returns how many."""

    async def replay_event(
        self, event: Event, chunks: Sequence[Chunk], *, act: Act | None = None
    ) -> None:
        """Turn a quarantined event into an accepted one, with its chunks."""

    async def depth(self) -> Depth:
        """How much waits, leased chunks included."""

    @property
    def in_store(self) -> bool:
        """Whether leases are rows beside the journal's, which one transaction can look at."""

    @property
    def idle_s(self) -> float:
        """Seconds to leave an empty queue alone; 0: a claim waits itself."""
