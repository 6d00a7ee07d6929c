"""What waits for a person in events that were not fanned out, or not wholly. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from gateway.core.erased import Erased
from gateway.core.model import UserRef
from gateway.core.stored import Unreadable, read_items, read_rejections
from gateway.ports import Waiting
from gateway.store.erasing import names_of

Row = Sequence[Any]
"""Of an event: (event id, source, received at, occurred at, status, rejections, body, whether it
has none any more). The body is None where it cannot name anybody who is looked for."""


def candidates(rows: Iterable[Row], people: Sequence[UserRef]) -> list[Waiting]:
    """The items for these people in the bodies of events."""
    whose = _Whose(people)
    found: list[Waiting] = []
    for row in rows:
        if row[6] is not None:
            rejected = _rejected(row[5])
            named = names_of(row[6]).items()
            found += whose.of(row, [(i, ids) for i, ids in named if i not in rejected])
    return found


def in_chunks(row: Row, chunks: Iterable[bytes], people: Sequence[UserRef]) -> list[Waiting] | None:
    """The same in queued chunks of an event that has no body any more. None: they cannot be read,
    or there are none."""
    items: dict[int, tuple[str | None, str | None]] = {}
    try:
        for chunk in chunks:
            items |= {one.item.index: one.item[4:6] for one in read_items(chunk)}
    except Unreadable:
        return None
    return _Whose(people).of(row, items.items()) if items else None


class _Whose:
    """Tells the items of some people by either id."""

    def __init__(self, people: Sequence[UserRef]) -> None:
        self._users = {one.user_id for one in people if one.user_id is not None}
        self._customs = {one.custom_id for one in people if one.custom_id is not None}

    def of(
        self, row: Row, items: Iterable[tuple[int, tuple[str | None, str | None]]]
    ) -> list[Waiting]:
        event_id, source, received_at, occurred_at, status = row[:5]
        return [
            Waiting(event_id, index, source, received_at, occurred_at, status, user_id, custom_id)
            for index, (user_id, custom_id) in items
            if user_id in self._users or custom_id in self._customs
        ]


def still_waiting(
    found: Iterable[Waiting],
    journaled: Mapping[str, Collection[int]],
    erased: Erased | None,
) -> list[Waiting]:
    """Those of which the journal has no line, and whose person was not erased since."""
    return [
        one
        for one in found
        if one.index not in journaled.get(one.event_id, ())
        and not (erased and erased.has(one.event_id, one.index, one.user_id, one.custom_id))
    ]


def _rejected(text: str) -> Collection[int]:
    try:
        return {one.index for one in read_rejections(text)}
    except Unreadable:
        return ()
