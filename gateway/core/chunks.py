"""Chunks: how a batch is cut, how one is written as bytes, how long it is worth sending."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from gateway.core.model import CHUNK_SIZE, Chunk, ChunkItem, Item, Remainder, day_of


def deadline_of(occurred_at: float | None, received_at: float, max_age_s: float) -> float:
    """Until when the notifications of an event are fresh.

    The event's own timestamp counts, for it may be days old when it arrives; one from the future
    (a clock that runs ahead) does not prolong the life past what first sight gives.
    """
    start = received_at if occurred_at is None else min(occurred_at, received_at)
    return start + max_age_s


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


def encode_items(chunk: Chunk) -> bytes:
    """Write the items of a chunk; the rest of it travels in columns or headers of the queue."""
    return orjson.dumps([_row(item, remainders) for item, remainders in chunk.items])


def _row(item: Item, remainders: tuple[Remainder, ...] | None) -> tuple[Any, ...]:
    fields = item[:]
    if remainders is None:
        return fields
    return (*fields, [[r.device_id, r.attempts, int(r.flipped)] for r in remainders])


def decode_items(data: bytes) -> tuple[ChunkItem, ...]:
    """Read back what `encode_items` wrote."""
    return tuple([_entry(row) for row in orjson.loads(data)])


def _entry(row: list[Any]) -> ChunkItem:
    if len(row) == 6:
        return ChunkItem(Item._make(row))
    remainders = tuple(
        Remainder(device_id, attempts, bool(flipped)) for device_id, attempts, flipped in row[6]
    )
    return ChunkItem(Item._make(row[:6]), remainders)
