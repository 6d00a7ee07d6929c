"""Which message holds a delivery: what keeps a chunk that comes again from adding it twice. Pure.

Each copy of a delivery is as far as its attempts and its due time, which grow from one leftover to
the next; an original chunk is behind all of them. A copy that is further than the one at hand holds
the delivery: either it is the leftover that the journal speaks of, or it is behind as well, and its
own turn comes. Of several copies that are behind, the furthest sees none further. So one of them
always adds what is missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gateway.core.model import Chunk, ChunkItem

_ORIGINAL = (-1, 0.0)
_NOWHERE = (-2, 0.0)


def not_held(chunk: Chunk, again: Sequence[Chunk], others: Sequence[Chunk]) -> list[Chunk]:
    """Of what an earlier claim of `chunk` left: what none of the other messages holds."""
    missing = []
    for left in again:
        items = []
        for item, remainders in left.items:
            mine = {r.device_id: far(chunk, item.index, r.device_id) for r in remainders or ()}
            open_ = tuple(
                remainder
                for remainder in remainders or ()
                if not any(
                    far(other, item.index, remainder.device_id) > mine[remainder.device_id]
                    for other in others
                )
            )
            if open_:
                items.append(ChunkItem(item, open_))
        if items:
            missing.append(replace(left, items=tuple(items)))
    return missing


def far(chunk: Chunk, index: int, device_id: int) -> tuple[int, float]:
    """How far a chunk's copy of a delivery is; before everything where it has none."""
    for item, remainders in chunk.items:
        if item.index != index:
            continue
        if remainders is None:
            return _ORIGINAL
        for left in remainders:
            if left.device_id == device_id:
                return left.attempts, chunk.due_at
    return _NOWHERE
