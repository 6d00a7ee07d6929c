"""The rows of a queue that is a table: what goes in, what comes out. Pure.

Owns the order of the columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gateway.core.chunks import decode_items, encode_items
from gateway.core.model import Chunk, Claim, Item, Trial, day_of
from gateway.core.suspects import Past
from gateway.queue.replays import Letter


def chunk_values(chunk: Chunk) -> tuple[Any, ...]:
    """A new row of the queue, but for its id and tries."""
    return (
        chunk.event_id,
        chunk.number,
        chunk.lane,
        chunk.part,
        chunk.first_seen,
        chunk.deadline,
        chunk.due_at,
        len(chunk.items),
        encode_items(chunk),
        chunk.day,
    )


def claim_of(row: Sequence[Any], lease_id: str, now: float, trial: Trial | None = None) -> Claim:
    """A row that was claimed `now`."""
    queue_id, event_id, number, lane, part, first_seen, deadline, items, tries, day = row
    chunk = Chunk(
        event_id=event_id,
        number=number,
        first_seen=first_seen,
        deadline=deadline,
        items=decode_items(items),
        due_at=now,
        lane=lane,
        part=part,
        day=day,
    )
    return Claim(queue_id, lease_id, chunk, tries, trial)


def trial_of(row: Sequence[Any], past: Past, lease_id: str, now: float) -> Claim:
    """A row that was claimed alone `now`; `past` is what was kept of it before."""
    return claim_of(row, lease_id, now, Trial(past.lone_ends_by(now), past.claimed_at))


def past_of(row: Sequence[Any]) -> Past:
    """What is kept of a row's claims: its tries and the columns behind them."""
    tries, lone_ends, alone, claimed_at = row
    return Past(tries, lone_ends, bool(alone), claimed_at)


def letter_of(row: Sequence[Any]) -> Letter:
    """A row of dead_letters, with when its event was received behind it."""
    item = Item(row[2], row[9], row[10], row[11], row[12], row[13])
    return Letter(row[1], day_of(row[-1] or 0.0), item, row[3])
