"""The rows of a queue that is a table: what goes in, what comes out. Pure.

Owns how dead letters become chunks again, and the order of the columns.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import groupby
from typing import Any

from gateway.core.chunks import decode_items, encode_items
from gateway.core.model import CHUNK_SIZE, Chunk, ChunkItem, Claim, Event, Item, Remainder, day_of


def event_values(event: Event) -> dict[str, Any]:
    """A new row of events, by column and in their order."""
    return {
        "event_id": event.event_id,
        "type": event.type,
        "status": event.status,
        "received_at": event.received_at,
        "occurred_at": event.occurred_at,
        "notifications": event.notifications,
        "rejected": len(event.rejections),
        "rejections": json.dumps([[r.index, r.reason] for r in event.rejections]),
        "chunks": event.chunks,
        "reason": event.reason,
        "body": event.body,
    }


def chunk_values(chunk: Chunk) -> tuple[Any, ...]:
    """A new row of the queue, but for its id and tries."""
    return (
        chunk.event_id,
        chunk.number,
        chunk.lane,
        chunk.first_seen,
        chunk.deadline,
        chunk.due_at,
        len(chunk.items),
        encode_items(chunk),
        chunk.day,
    )


def claim_of(row: Sequence[Any], lease_id: str) -> Claim:
    """A row that was claimed."""
    queue_id, event_id, number, lane, first_seen, deadline, items, tries, day = row
    chunk = Chunk(
        event_id=event_id,
        number=number,
        first_seen=first_seen,
        deadline=deadline,
        items=decode_items(items),
        lane=lane,
        day=day,
    )
    return Claim(queue_id, lease_id, chunk, tries)


def revived_chunks(letters: Sequence[Sequence[Any]], *, now: float, deadline: float) -> list[Chunk]:
    """Cut dead letters into chunks of their events. The letters come sorted by event and index."""
    chunks = []
    for event_id, of_event in groupby(letters, key=lambda letter: letter[1]):
        entries = []
        day = 0
        for index, of_item in groupby(of_event, key=lambda letter: letter[2]):
            same = list(of_item)
            day = day_of(same[0][14] or 0.0)
            item = Item(index, same[0][9], same[0][10], same[0][11], same[0][12], same[0][13])
            entries.append(ChunkItem(item, _remainders(same)))
        for start in range(0, len(entries), CHUNK_SIZE):
            items = tuple(entries[start : start + CHUNK_SIZE])
            chunks.append(Chunk(event_id, -1, now, deadline, items, due_at=now, day=day))
    return chunks


def _remainders(letters: Sequence[Sequence[Any]]) -> tuple[Remainder, ...] | None:
    """Device 0 stands for an item that never was fanned out: it is looked up anew."""
    if any(letter[3] == 0 for letter in letters):
        return None
    return tuple(Remainder(letter[3]) for letter in letters)
