"""The rows of a queue that is a table: written and read. Pure.

Owns the order of the columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gateway.core.model import Chunk, Claim, Trial, day_of
from gateway.core.stored import Unreadable, read_items, write_items
from gateway.core.suspects import Past
from gateway.ports import Aside, DeadLetter

#: a claimed row; SQLite stores any type in any column
_ROW: tuple[Any, ...] = (int, str, int, str, str, float | int, float | int, bytes, int, int)


def chunk_values(chunk: Chunk, form: int) -> tuple[Any, ...]:
    """A new row of the queue, without id and tries; its items in that version."""
    return (
        chunk.event_id,
        chunk.number,
        chunk.lane,
        chunk.part,
        chunk.first_seen,
        chunk.deadline,
        chunk.due_at,
        len(chunk.items),
        write_items(chunk.items, form),
        chunk.day,
    )


def aside_of(row: Sequence[Any], error: Unreadable) -> Aside:
    """A row whose items cannot be read."""
    queue_id, event_id, number, *_, items, _, _ = row
    raw = items if isinstance(items, bytes) else str(items).encode(errors="replace")
    known = number if isinstance(number, int) else -1
    return Aside(queue_id, str(event_id), known, raw, error.form, str(error))


def claim_of(row: Sequence[Any], lease_id: str, now: float, trial: Trial | None = None) -> Claim:
    """A row that was claimed `now`. Raises Unreadable."""
    queue_id, event_id, number, lane, part, first_seen, deadline, items, tries, day = row
    if not all(map(isinstance, row, _ROW)):
        raise Unreadable("its row is broken")
    chunk = Chunk(
        event_id=event_id,
        number=number,
        first_seen=first_seen,
        deadline=deadline,
        items=read_items(items),
        due_at=now,
        lane=lane,
        part=part,
        day=day,
    )
    return Claim(queue_id, lease_id, chunk, tries, trial)


def trial_of(row: Sequence[Any], past: Past, lease_id: str, now: float) -> Claim:
    """A row that was claimed alone `now`; `past` is its record before."""
    return claim_of(row, lease_id, now, Trial(past.lone_ends_by(now), past.claimed_at))


def past_of(row: Sequence[Any]) -> Past:
    """The record of a row's claims: its tries and the columns behind them. If one is not a
    number, the record is empty, because a chunk is innocent until proven guilty."""
    if not all(isinstance(one, float | int) for one in row):
        return Past()
    tries, lone_ends, alone, claimed_at = row
    return Past(tries, lone_ends, bool(alone), claimed_at)


def letter_of(row: Sequence[Any]) -> DeadLetter:
    """A row of dead_letters for a replay; its last columns are whether the event was cancelled, and
    its reception time."""
    return DeadLetter.from_row(row, day=day_of(row[-1] or 0.0), is_cancelled=bool(row[-2]))
