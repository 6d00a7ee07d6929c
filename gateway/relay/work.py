"""Work in memory: a chunk under its lease, and its deliveries.

A chunk is finished when each of its deliveries is journaled in its final state or is part of a
leftover; only then may its lease be given up.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from gateway.core.model import Chunk, ChunkItem, Claim, Item, Remainder, Target, lane_name
from gateway.ports import LeaseRef
from providers.contract import Push, PushProvider

#: no push starts when the look-up of its device is older than this, in seconds (the contract's)
FRESH_S = 1.0
#: so old a look-up may be when a push leaves for the transport, where it may wait again
USABLE_S = 0.8
#: retry times are rounded up to 1/16 of the wait, so that one outage produces few leftover chunks
_STEPS = 16

Place = tuple[str, str]
"""What a delivery waits for: the lane, and the part of it."""

Groups = dict[tuple[Place, float], dict[int, tuple[Item, list[Remainder]]]]
"""Deliveries that are left, by place and due time, then by item."""


@dataclass(slots=True, eq=False)
class Work:
    """A claimed chunk: `open` deliveries have no decision yet. `lost`: its lease is gone.

    `proven_until` is the proven end of the lease, in monotonic time: counted from before the queue
    was asked, and renewed with it. Later another relay may have the chunk, so no push starts.
    `postponed` holds what an earlier claim left and the journal puts off. `jitter`, in [0, 1),
    spreads retries of different chunks; deliveries of one chunk that fail together wait together.
    `finished`: no delivery is open any more, and the last are on their way to the journal. `ended`
    is called when they are there, and the chunk is settled if it is not lost. `since` is when it
    was begun (monotonic). `deadline` is the chunk's, as far as the time is not doubted.
    """

    claim: Claim
    proven_until: float
    jitter: float
    ended: Callable[[Work], None]
    open: int = 0
    lost: bool = False
    finished: bool = False
    leftovers: Groups = field(default_factory=dict)
    postponed: Groups = field(default_factory=dict)
    since: float = 0.0
    deadline: float = math.inf

    @property
    def chunk(self) -> Chunk:
        return self.claim.chunk

    @property
    def lease(self) -> LeaseRef:
        """The lease under which this process has the chunk now."""
        return self.claim.queue_id, self.claim.lease_id

    def lose(self) -> None:
        """The lease is gone: this process starts and queues nothing of the chunk any more."""
        self.lost, self.proven_until = True, -math.inf

    def due(self, at: float, now: float) -> float:
        """Round a retry time up, by a sixteenth of the wait or a second at most, so that leftovers
        can share a chunk; never beyond the deadline, for what waits longer ends there; and always
        later than this chunk's own due time, so that journal and queue can tell them apart."""
        step = max(1.0, math.floor((at - now) / _STEPS))
        due = min(math.ceil(at / step) * step, self.deadline)
        if any(entry.remainders is not None for entry in self.chunk.items):
            return max(due, math.floor(self.chunk.due_at) + 1.0)
        return due

    def leave(self, item: Item, remainder: Remainder, *, place: Place, due_at: float) -> None:
        """Leave a delivery for later; `due_at` is of `due`."""
        _add(self.leftovers, item, remainder, (place, due_at))

    def keep(self, item: Item, remainder: Remainder, *, place: Place, due_at: float) -> None:
        """Keep a delivery that an earlier claim left for later, as the journal says."""
        _add(self.postponed, item, remainder, (place, due_at))

    def chunks_of(self, groups: Groups) -> Iterator[Chunk]:
        """The chunks to queue when this one is settled."""
        for ((lane, part), due_at), group in groups.items():
            yield replace(
                self.chunk,
                items=tuple(
                    ChunkItem(item, tuple(remainders)) for item, remainders in group.values()
                ),
                due_at=due_at,
                lane=lane,
                part=part,
            )


def _add(groups: Groups, item: Item, remainder: Remainder, key: tuple[Place, float]) -> None:
    groups.setdefault(key, {}).setdefault(item.index, (item, []))[1].append(remainder)


@dataclass(slots=True, eq=False, kw_only=True)
class Delivery(Push):
    """One item on its way to one device: a push that knows its place in a chunk.

    `part` is the lane's that its address belongs to. `looked_up` is when the registry was last
    asked for its device (monotonic). `attempts` counts those made. Of the last one, `started` is
    when (monotonic) and `transport` by which: a reload replaces a lane's transport while pushes are
    on their way by the old one. `is_unsure`: the vendor may have taken it, and did not say so.
    """

    work: Work
    item: Item
    target: Target
    part: str
    looked_up: float
    attempts: int
    flipped: bool = False
    is_unsure: bool = False
    started: float = 0.0
    transport: PushProvider | None = None

    @property
    def place(self) -> Place:
        """The lane and the part that it waits for."""
        return lane_name(self.target.app, self.target.provider), self.part

    def flip(self, flipped: bool) -> None:
        """Send it to the other environment, or back to the registered one. Its part may change with
        it, which the lane decides."""
        self.flipped = flipped
        address = self.target.address
        if flipped:
            address = replace(address, environment=address.environment.other)
        self.address = address


class Taken(NamedTuple):
    """What came of a backlog: `pushes` to send, `stale` ones, those of devices that are to be left
    alone, by the time (wall) until then, and those whose look-up is too `old`."""

    pushes: list[Push]
    stale: list[Delivery]
    throttled: dict[float, list[Delivery]]
    old: list[Delivery]


def take(
    backlog: deque[Delivery],
    wanted: int,
    *,
    most_old: int,
    now: float,
    wall: float,
    loop_time: float,
    quiet: Mapping[int, float],
    changed: Mapping[int, float],
    transport: PushProvider,
) -> Taken:
    """Take up to so many pushes from a backlog for a transport; `now` is monotonic.

    What cannot be proven to be this process' now is kept behind the others. `quiet` says until
    when which devices get nothing (wall), `changed` when devices changed: an older look-up is old.
    What comes behind `most_old` old ones waits. `loop_time` is now by the event loop.
    """
    taken = Taken([], [], {}, [])
    pushes, old = taken.pushes, taken.old
    unproven: list[Delivery] = []
    fresh_since, ahead = now - USABLE_S, loop_time - now + FRESH_S
    while backlog and len(pushes) < wanted:
        delivery = backlog.popleft()
        if delivery.work.proven_until <= now:
            unproven.append(delivery)
        elif quiet and (until := quiet.get(delivery.target.device_id, 0.0)) > wall:
            taken.throttled.setdefault(until, []).append(delivery)
        elif delivery.expires_at <= wall:
            taken.stale.append(delivery)
        elif delivery.looked_up < fresh_since or (
            changed and delivery.looked_up <= changed.get(delivery.target.device_id, -math.inf)
        ):
            if len(old) >= most_old:
                backlog.appendleft(delivery)
                break
            old.append(delivery)
        else:
            delivery.started, delivery.transport = now, transport
            delivery.start_by = delivery.looked_up + ahead
            pushes.append(delivery)
    backlog.extend(unproven)
    return taken


def take_out(backlog: deque[Delivery], wanted: Callable[[Delivery], bool]) -> list[Delivery]:
    """Take the deliveries that are wanted out of a backlog; the others keep their order."""
    found = [one for one in backlog if wanted(one)]
    if found:
        rest = [one for one in backlog if not wanted(one)]
        backlog.clear()
        backlog.extend(rest)
    return found
