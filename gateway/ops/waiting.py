"""What waits for one person in the queue and was not fanned out yet.

Owns how long it is looked for: on a reader that nothing else uses, one search at a time, a second
at most. What could not be looked through in time is counted and told, never left out in silence.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.core.cancelling import CANCELLED
from gateway.core.instants import to_iso
from gateway.core.model import Record, UserRef
from gateway.core.states import DeliveryState
from gateway.core.why import Waits
from gateway.errors import StoreUnavailable
from gateway.ports import Depth, People, Queue, Waiting

LOOK_S = 1.0
"""How long a search may take, its wait for those before it included."""
#: events that are looked through at once: few at first, for bodies may be large
_ROWS, _MOST_ROWS = 50, 3_200
_QUICK_S = 0.05
#: how long before its oldest message a broker's queue may have an event: it was published late, or
#: the broker's clock is wrong
_SLACK_S = 3_600.0


@dataclass(slots=True)
class Looked:
    """What was found. `waits` counts all that waits where not all of it could be looked through;
    None: all was."""

    found: list[Waiting] = field(default_factory=list)
    waits: Waits | None = None


class WaitingLookup:
    """Looks for what waits for a person."""

    def __init__(self, people: People, queue: Queue, *, look_s: float = LOOK_S) -> None:
        self._people = people
        self._queue = queue
        self._look_s = look_s
        self._one_at_a_time = asyncio.Lock()

    async def of(self, people: Sequence[UserRef]) -> Looked:
        """What waits for a person, whom these ids name."""
        looked = Looked()
        try:
            async with asyncio.timeout(LOOK_S):
                depth = await self._queue.depth()
        except (TimeoutError, StoreUnavailable):
            looked.waits = Waits(None, None, None)
            return looked
        if not depth.notifications:
            return looked
        try:
            async with asyncio.timeout(self._look_s), self._one_at_a_time:
                unread = await self._search(people, depth, looked)
            if not unread:
                return looked
        except (TimeoutError, StoreUnavailable):
            pass
        looked.waits = Waits(depth.notifications, await self._events(depth), depth.oldest_at)
        return looked

    async def _search(self, people: Sequence[UserRef], depth: Depth, looked: Looked) -> int:
        """Look through all there is; returns how many events have no body any more."""
        after: Any = None
        unread, rows = 0, _ROWS
        now = asyncio.get_running_loop().time
        while True:
            began = now()
            part = await self._people.waiting(people, **self._where(depth), after=after, rows=rows)
            rows = min(rows * 2, _MOST_ROWS) if now() - began < _QUICK_S else _ROWS
            looked.found += part.found
            unread += part.unread
            if part.end is None:
                return unread
            after = part.end

    async def _events(self, depth: Depth) -> int | None:
        try:
            async with asyncio.timeout(LOOK_S):
                return await self._people.events_waiting(**self._where(depth))
        except (TimeoutError, StoreUnavailable):
            return None

    def _where(self, depth: Depth) -> dict[str, Any]:
        since = 0.0 if depth.oldest_at is None else depth.oldest_at - _SLACK_S
        return {"queued": self._queue.in_store, "since": since}


def waiting_record(one: Waiting) -> Record:
    """What waits, as a line of the journal would tell it."""
    return Record(
        one.event_id,
        one.index,
        0,
        DeliveryState.CANCELLED if one.status == "cancelled" else DeliveryState.PENDING,
        0,
        one.received_at,
        one.user_id,
        one.custom_id,
        reason=CANCELLED if one.status == "cancelled" else "",
    )


def waits_view(waits: Waits | None) -> dict[str, object]:
    """How it is shown whether all was looked through, and what was not."""
    if waits is None:
        return {"complete": True, "waiting": None}
    since = None if waits.since is None else to_iso(waits.since)
    told = {"notifications": waits.notifications, "events": waits.events, "since": since}
    return {"complete": False, "waiting": told}
