"""Chunks: how a batch is cut, and how long its items stay fresh; `stored` writes them."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.core.clocks import Unsure
from gateway.core.model import CHUNK_SIZE, Chunk, ChunkItem, Item, day_of


def deadline_of(
    occurred_at: float | None, received_at: float, max_age_s: float, own_s: float | None = None
) -> float:
    """Until when the notifications of an event are fresh. `own_s` is its source's own limit.

    The event's own timestamp counts, because an event may be days old when it arrives. A timestamp
    in the future (a clock that runs ahead) does not prolong the life: it counts as `received_at`.
    With `own_s` 0 the age counts from receipt, and `max_age_s` holds.
    """
    start = received_at if occurred_at is None or own_s == 0 else min(occurred_at, received_at)
    return start + (own_s or max_age_s)


def cut(
    event_id: str,
    items: Sequence[Item],
    *,
    received_at: float,
    deadline: float,
    chunk_items: int = CHUNK_SIZE,
) -> list[Chunk]:
    """Cut a batch into chunks of at most so many items, due at once."""
    return [
        Chunk(
            event_id=event_id,
            number=number,
            first_seen=received_at,
            deadline=deadline,
            items=tuple([ChunkItem(item) for item in items[start : start + chunk_items]]),
            due_at=received_at,
            day=day_of(received_at),
        )
        for number, start in enumerate(range(0, len(items), chunk_items))
    ]


def fresh_until(chunk: Chunk, *, now: float, doubt: Unsure | None) -> float:
    """Until when a chunk is fresh, by the time in force.

    While that is doubted, what another process dated may have been dated by another time. If the
    clock is contradicted, such a chunk keeps the life that it had when it came, as if that had been
    at the start of this process. If nobody said anything yet, its dates are believed, as far as
    they give it no longer life; one that seems to be late is neither sent nor ended then.
    """
    if doubt is None or doubt.since <= chunk.first_seen <= now + 1.0:
        return chunk.deadline
    life = max(0.0, chunk.deadline - chunk.first_seen)
    return doubt.since + life if doubt.contradicted else min(chunk.deadline, now + life)
