"""What the queue holds, read from its rows."""

from __future__ import annotations

import contextlib
from sqlite3 import Connection

from gateway.core.stored import Unreadable, read_items

Held = dict[tuple[str, int], set[int | None]]
"""(event, index) -> device ids, or None for all."""


def held_by_queue(connection: Connection) -> Held:
    """What the queue holds. A chunk that cannot be read holds nothing."""
    held: Held = {}
    for event_id, items in connection.execute("SELECT event_id, items FROM queue"):
        for index, devices in held_by_chunk(items).items():
            held.setdefault((event_id, index), set()).update(devices)
    return held


def held_by_chunk(items: bytes) -> dict[int, set[int | None]]:
    """What one chunk holds: index -> device ids, or None for all."""
    held: dict[int, set[int | None]] = {}
    with contextlib.suppress(Unreadable):
        for item, left in read_items(items):
            of_item = held.setdefault(item.index, set())
            of_item.update([None] if left is None else [one.device_id for one in left])
    return held
