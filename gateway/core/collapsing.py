"""What a push replaces on a phone. Pure.

Owns the id under which a phone shows a notification, and what a correction carries of the
notification in whose place it comes: its event, its index and its path, whatever its own are.
"""

from __future__ import annotations

from typing import NamedTuple

import orjson

from gateway.core.model import Item, delivery_id


class Origin(NamedTuple):
    """The notification whose place on the phone a push takes: the first one of all that were
    corrected, or the push's own."""

    event_id: str
    index: int  # type: ignore[assignment]  # not the method of a tuple, which nobody needs
    path: str | None


def origin_of(event_id: str, item: Item) -> Origin:
    """In whose place an item of an event comes."""
    if item.collapse_id is not None:
        try:
            first, index, path = orjson.loads(item.collapse_id)
            return Origin(str(first), int(index), None if path is None else str(path))
        except (ValueError, TypeError):
            pass  # nobody wrote this: it replaces nothing but its own repeats
    return Origin(event_id, item.index, item.path)


def in_place_of(event_id: str, item: Item) -> str:
    """What a correction of an item carries as its `collapse_id`."""
    return orjson.dumps(list(origin_of(event_id, item))).decode()


def collapse_id(event_id: str, item: Item, device_id: int) -> str:
    """What a delivery replaces on the phone; "": nothing but its own repeats."""
    if item.collapse_id is None:
        return ""
    origin = origin_of(event_id, item)
    return delivery_id(origin.event_id, origin.index, device_id)
