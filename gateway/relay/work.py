"""Work in memory: a chunk under its lease, and the deliveries it came to.

A chunk is finished when each of its deliveries was either journaled for good or became part of a
leftover; only then may its lease be given up.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from gateway.core.model import Chunk, ChunkItem, Claim, Item, Remainder, Target, lane_name
from providers.contract import Push, PushProvider


@dataclass(slots=True, eq=False)
class Work:
    """A claimed chunk: `open` deliveries have no decision yet. `lost`: its lease is gone.

    `proven_until` is how long the lease can be proven, in monotonic time: counted from before the
    queue was asked, and renewed with it. After it another relay may have the chunk: no push starts.
    """

    claim: Claim
    proven_until: float
    open: int = 0
    lost: bool = False
    leftovers: dict[tuple[str, float], dict[int, tuple[Item, list[Remainder]]]] = field(
        default_factory=dict
    )

    @property
    def chunk(self) -> Chunk:
        return self.claim.chunk

    def lose(self) -> None:
        """The lease is gone: nothing of it is started or queued by this process any more."""
        self.lost, self.proven_until = True, -math.inf

    def leave(self, item: Item, remainder: Remainder, *, lane: str, due_at: float) -> None:
        """Leave a delivery for later. Due times are rounded up to a second, to share chunks."""
        group = self.leftovers.setdefault((lane, float(math.ceil(due_at))), {})
        group.setdefault(item.index, (item, []))[1].append(remainder)

    def leftover_chunks(self) -> list[Chunk]:
        """What is to be queued when this chunk is settled."""
        chunk = self.chunk
        return [
            Chunk(
                event_id=chunk.event_id,
                number=chunk.number,
                first_seen=chunk.first_seen,
                deadline=chunk.deadline,
                items=tuple(
                    ChunkItem(item, tuple(remainders)) for item, remainders in group.values()
                ),
                due_at=due_at,
                lane=lane,
                day=chunk.day,
            )
            for (lane, due_at), group in self.leftovers.items()
        ]


@dataclass(slots=True, eq=False, kw_only=True)
class Delivery(Push):
    """One item on its way to one device: a push that knows its place in a chunk.

    `attempts` counts those made. Of the last one, `started` is when (monotonic) and `transport`
    by which: a reload replaces a lane's transport while pushes are on their way by the old one.
    """

    work: Work
    item: Item
    target: Target
    attempts: int
    flipped: bool = False
    started: float = 0.0
    transport: PushProvider | None = None

    @property
    def lane(self) -> str:
        return lane_name(self.target.app, self.target.provider)

    def flip(self, flipped: bool) -> None:
        """Send it to the other APNs environment than the registered one, or to that again."""
        self.flipped = flipped
        address = self.target.address
        if flipped:
            address = replace(address, environment=address.environment.other)
        self.address = address
