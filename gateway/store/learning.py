"""Reading the chain of learning events by indexes, page by page. Pure.

Owns which index is asked, and how rows of several are brought into the order of the chain. An
engine runs the queries: it sends their rows into `reading`.
"""

from __future__ import annotations

import heapq
from collections.abc import Generator, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from gateway.core.learning import LearningEvent, Page, Wanted
from gateway.store.chaining import event_of

_TYPES = 16
"""Of more types than this, all events are read and looked through."""


class Look(NamedTuple):
    """A query, and the value of its index; None where it has none."""

    query: str
    one: str | None


def looks(wanted: Wanted, names: Sequence[str]) -> list[Look]:
    """The indexes that have all that is asked for; `names` are the types that are kept."""
    if wanted.user is not None:
        ids = ("user", wanted.user.user_id), ("custom", wanted.user.custom_id)
        return [Look(f"learning_page_{kind}", one) for kind, one in ids if one is not None]
    if wanted.names_types:
        fitting = [name for name in names if wanted.has_type(name)]
        if len(fitting) <= _TYPES:
            return [Look("learning_page_type", name) for name in fitting]
    elif wanted.source is not None or wanted.sources:
        sources = (wanted.source,) if wanted.source is not None else tuple(wanted.sources)
        if len(sources) <= _TYPES:
            return [Look("learning_page_source", name) for name in sorted(sources)]
    return [Look("learning_page", None)]


Reading = Generator[tuple[int, int], Sequence[Sequence[Sequence[Any]]], Page]


def reading(wanted: Wanted, *, after: int, upto: int, end: int, limit: int) -> Reading:
    """Asks for rows behind a number, so many of each index, until a page is full or nothing is left
    up to `upto`. `end` is the chain's: where nothing is left, the next page begins there."""
    found: list[LearningEvent] = []
    place, rows = after, limit
    while place < upto and limit:
        slices = yield place, rows
        merged = heapq.merge(*slices, key=itemgetter(0))
        taken, place_was = 0, place
        for row in merged:
            if row[0] <= place:
                continue  # by both of a person's ids
            place = row[0]
            taken += 1
            if wanted.has_type(row[3]) and wanted.has_source(row[2]):
                found.append(event_of(row))
                if len(found) == limit:
                    return Page(found, place)
            if taken == rows:
                break
        if taken < rows or place == place_was:
            break
        rows = min(2 * rows, 2_000)
    return Page(found, max(after, end))
