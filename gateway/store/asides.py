"""Ending a chunk that nobody can read: what its event still says of it. Pure.

Owns which items a chunk must have held, for its own bytes do not tell; reading and writing rows is
each engine's matter.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from gateway.core.model import Event, Record, day_of
from gateway.core.states import DeliveryState
from gateway.core.stored import EMPTY
from gateway.ports import Aside, Held
from gateway.store.erasing import ERASED, names_of
from gateway.store.rows import UNREADABLE, raw_values

_LAST = 2**31 - 1
NOT_AN_ITEM = -1
"""The index of a dead letter that stands for a chunk."""


def is_told(event: Event) -> bool:
    """Whether the event tells which items are a chunk's. It does not when what was rejected cannot
    be read: then each delivery that waits and that no other chunk of the event holds is the
    unreadable chunk's."""
    return UNREADABLE not in event.reason


def span_of(event: Event, number: int, chunk_items: int) -> tuple[int, int]:
    """The first and the last item whose rows may be a chunk's."""
    items = indexes_of(event, number, chunk_items)
    return (items[0], items[-1]) if items else (0, -1 if is_told(event) else _LAST)


def indexes_of(event: Event, number: int, chunk_items: int) -> Sequence[int]:
    """The items of a chunk, by its number: as `core.chunks.cut` cuts what was not rejected into
    chunks of so many. Of a replay, which has no number, all of its event may be. Nobody knows where
    what was rejected cannot be read: none then, for another chunk's must not end."""
    if not is_told(event):
        return ()
    rejected = {one.index for one in event.rejections}
    total = event.notifications + len(rejected)
    taken = [index for index in range(total) if index not in rejected]
    return taken if number < 0 else taken[number * chunk_items : (number + 1) * chunk_items]


def endings(
    event: Event,
    rows: Iterable[Record],
    aside: Aside,
    held: Held,
    *,
    now: float,
    chunk_items: int,
) -> list[Record]:
    """What ends with the chunk; `rows` is what the journal has of its items.

    A delivery that waits and that no other chunk holds is the chunk's, and so is an item of which
    nothing is known yet. The event's body tells whose it was.
    """
    names = names_of(event.body)
    known = set()
    ended = []
    for row in rows:
        known.add(row.index)
        waits = row.state is DeliveryState.PENDING
        if waits and not _is_held(held, row.index, row.device_id):
            ended.append(
                row._replace(
                    state=DeliveryState.DEAD, at=now, reason=reason_of(aside), next_at=None
                )
            )
    for index in indexes_of(event, aside.number, chunk_items):
        if index not in known and (index, None) not in held:
            user_id, custom_id = names.get(index, (None, None))
            ended.append(
                Record(
                    aside.event_id,
                    index,
                    0,
                    DeliveryState.DEAD,
                    0,
                    now,
                    user_id=user_id,
                    custom_id=custom_id,
                    reason=reason_of(aside),
                    day=day_of(event.received_at),
                )
            )
    return ended


def letter_of(
    aside: Aside, rows: Iterable[Record], *, now: float, names_erased: bool = False
) -> tuple[Any, ...]:
    """The dead letter that keeps the chunk's bytes, as a new row. A row that names nobody was
    somebody's who was erased: the bytes, which may name them, are not kept then. `names_erased`:
    what ends with the chunk was somebody's who was."""
    record = Record(
        aside.event_id,
        NOT_AN_ITEM,
        aside.queue_id,
        DeliveryState.DEAD,
        0,
        now,
        reason=reason_of(aside),
    )
    raw = EMPTY if names_erased or any(map(_is_erased, rows)) else aside.raw
    return raw_values(record, raw, aside.form)


def reason_of(aside: Aside) -> str:
    """The reason of all that ends with the chunk."""
    return f"{UNREADABLE}: {aside.why}"


def _is_held(held: Held, index: int, device_id: int) -> bool:
    return (index, None) in held or (index, device_id) in held


def _is_erased(row: Record) -> bool:
    return row.reason == ERASED or (row.device_id != 0 and not row.user_id and not row.custom_id)
