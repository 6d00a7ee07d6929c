"""Which message holds a delivery, so that a chunk that comes again does not add it twice. Pure.

The copies of a delivery are ordered by attempts and due time, which grow from one leftover to the
next; an original chunk comes before all leftovers. A copy that is ahead of the one at hand holds
the delivery: either it is the journal's leftover, or it is stale as well and will have its turn. Of
several stale copies, the one that is furthest ahead sees none ahead of itself. So one of them
always adds the missing leftover.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gateway.core.model import Chunk, ChunkItem

_ORIGINAL = (-1, 0.0)
_NOWHERE = (-2, 0.0)


def not_held(chunk: Chunk, postponed: Sequence[Chunk], others: Sequence[Chunk]) -> list[Chunk]:
    """Those leftovers of an earlier claim of `chunk` that none of the other messages holds."""
    missing = []
    for left in postponed:
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
    """The position of a chunk's copy of a delivery; lowest if it has none."""
    for item, remainders in chunk.items:
        if item.index != index:
            continue
        if remainders is None:
            return _ORIGINAL
        for left in remainders:
            if left.device_id == device_id:
                return left.attempts, chunk.due_at
    return _NOWHERE
