"""What the queue holds, read from its rows."""

from __future__ import annotations

from sqlite3 import Connection

from gateway.core.stored import Unreadable, read_items

Held = dict[tuple[str, int], set[int | None]]
"""(event, index) -> device ids, or None for all."""


def held_by_queue(connection: Connection) -> Held:
    """What the queue holds. A chunk that cannot be read holds nothing."""
    held: Held = {}
    for event_id, items in connection.execute("SELECT event_id, items FROM queue"):
        try:
            entries = read_items(items)
        except Unreadable:
            continue
        for item, left in entries:
            of_item = held.setdefault((event_id, item.index), set())
            of_item.update([None] if left is None else [one.device_id for one in left])
    return held
