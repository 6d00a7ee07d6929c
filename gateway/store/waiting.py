"""What waits for a person in events that were not fanned out, or not wholly. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from gateway.core.erased import Erased
from gateway.core.model import UserRef
from gateway.core.stored import Unreadable, read_rejections
from gateway.ports import Waiting
from gateway.store.erasing import names_of


def candidates(rows: Iterable[Sequence[Any]], people: Sequence[UserRef]) -> list[Waiting]:
    """The items for these people in events that may have some. A row is (event id, source, received
    at, occurred at, status, rejections, body)."""
    users = {one.user_id for one in people if one.user_id is not None}
    customs = {one.custom_id for one in people if one.custom_id is not None}
    found = []
    for event_id, source, received_at, occurred_at, status, rejections, body in rows:
        rejected = _rejected(rejections)
        for index, (user_id, custom_id) in names_of(body).items():
            if index not in rejected and (user_id in users or custom_id in customs):
                whose = (user_id, custom_id)
                found.append(
                    Waiting(event_id, index, source, received_at, occurred_at, status, *whose)
                )
    return found


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
