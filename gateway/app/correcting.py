"""Corrections: what takes the place of pushes that were taken and should not have been.

Owns how a correction is made of the event that it corrects, of what the journal says was taken, and
of the new texts; and how one is cut into chunks again. It goes to the devices that took the
original, as long as they are their user's, and to no other.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from gateway.core.cancelling import CANCELLED, Cancel, read
from gateway.core.chunks import cut
from gateway.core.collapsing import in_place_of
from gateway.core.erased import Erased
from gateway.core.items import parse_items
from gateway.core.model import (
    MAYBE_TAKEN,
    Chunk,
    ChunkItem,
    Event,
    Item,
    Record,
    Remainder,
)
from gateway.core.private import people_in
from gateway.core.sources import Terms, corrected_by, correction_of
from gateway.core.states import DeliveryState
from gateway.events import NotificationsPosted, Observer
from gateway.ingest.schema import NOTIFICATIONS_SENT

if TYPE_CHECKING:
    from gateway.ports import Cancels, Journal, Queue

NOBODY_TOOK_IT = "no phone took what it corrects"

CutAgain = Callable[[Event], Sequence[Chunk]]
"""The chunks of a kept event, as they were when it came."""


@dataclass(frozen=True, slots=True)
class Corrector:
    """Queues corrections. `cut` cuts a kept event again; `wake` tells the relay of this process;
    a chunk has at most `chunk_items`."""

    journal: Journal
    cancels: Cancels
    queue: Queue
    cut: CutAgain
    observer: Observer
    chunk_items: int
    wake: Callable[[], None]

    async def correct(self, asked: Cancel) -> None:
        """Queue the correction of a cancelled event, once all of that has ended: before, nobody
        knows what was taken. Any number of processes may do so at once."""
        summary = await self.journal.event(asked.event_id)
        if summary is None and await self._is_awaited(asked.event_id):
            return
        if summary is not None:
            if not summary.settled:
                return
            rows = await self.journal.items_of(asked.event_id)
            erased = await self.cancels.erased_from(asked.event_id)
            items = [item for chunk in self.cut(summary.event) for item, _ in chunk.items]
            event = correction(summary.event, items, rows, asked, erased=erased)
            chunks = chunks_of(event, chunk_items=self.chunk_items)
            if await self.queue.accept(replace(event, chunks=len(chunks)), chunks):
                self.observer(NotificationsPosted(event.event_id, event.notifications, 0))
                self.wake()
        await self.cancels.corrected(asked.event_id)

    async def _is_awaited(self, event_id: str) -> bool:
        """Whether an event that is not there is a correction which is still to be made."""
        original = corrected_by(event_id)
        before = None if original is None else await self.cancels.of(original)
        return before is not None and before.replacement is not None


def correction(
    event: Event,
    items: Sequence[Item],
    rows: Sequence[Record],
    asked: Cancel,
    *,
    erased: Erased | None = None,
) -> Event:
    """The event that corrects another one, of which these are the items and the journal's rows. It
    counts as received with that one: what was erased, or sent, later than that is later than it."""
    assert asked.replacement is not None
    texts = read(asked.replacement)
    took: dict[int, list[int]] = {}
    for row in rows:
        if row.device_id and _has(row, event.event_id):
            took.setdefault(row.index, []).append(row.device_id)
    entries = [
        {
            "title": item.title,
            "body": item.body,
            "path": item.path,
            **texts,
            "user_id": item.user_id,
            "custom_id": item.custom_id,
            "in_place_of": in_place_of(event.event_id, item),
            "devices": took[item.index],
        }
        for item in items
        if item.index in took and _is_somebodys(event.event_id, item, erased)
    ]
    terms = Terms(event.source, event.limits)
    left, rejections = parse_items(entries, terms=terms)
    return Event(
        event_id=correction_of(event.event_id),
        type=NOTIFICATIONS_SENT,
        status="accepted",
        received_at=event.received_at,
        occurred_at=event.occurred_at,
        notifications=len(left),
        rejections=tuple(rejections),
        reason="" if entries else NOBODY_TOOK_IT,
        body=body_of(entries, deadline=asked.deadline),
        people=people_in([entries[one.index] for one in rejections]),
        source=event.source,
        limits=event.limits,
    )


def chunks_of(event: Event, *, chunk_items: int) -> list[Chunk]:
    """The chunks of a correction, by its body alone: each item for the devices that it names."""
    entries, chunks = cut_by_body(event, chunk_items=chunk_items)
    return [
        replace(chunk, items=tuple(_placed(item, entries[item.index]) for item, _ in chunk.items))
        for chunk in chunks
    ]


def body_of(entries: Sequence[Mapping[str, Any]], *, deadline: float) -> bytes:
    """The body of an event that the gateway makes: all that `cut_by_body` asks for."""
    body = {
        "object": "event",
        "type": NOTIFICATIONS_SENT,
        "deadline": deadline,
        "data": {"notifications": entries},
    }
    return json.dumps(body).encode()


def cut_by_body(
    event: Event, *, chunk_items: int, occurred_at: float | None = None
) -> tuple[Sequence[Mapping[str, Any]], list[Chunk]]:
    """The entries of such an event and its chunks, by its body alone; none of a body that is not
    kept any more. Its items carry `occurred_at`."""
    try:
        document: Mapping[str, Any] = json.loads(event.body)
        entries: Sequence[Mapping[str, Any]] = document["data"]["notifications"]
        deadline = float(document["deadline"])
    except (ValueError, LookupError, TypeError):
        return [], []
    terms = Terms(event.source, event.limits)
    rejected = {one.index for one in event.rejections}
    items, _ = parse_items(entries, rejected=rejected, terms=terms, occurred_at=occurred_at)
    chunks = cut(
        event.event_id,
        items,
        received_at=event.received_at,
        deadline=deadline,
        chunk_items=chunk_items,
    )
    return entries, chunks


def _has(row: Record, event_id: str) -> bool:
    """Whether the device has, or may have, what is to be corrected. One to which a correction was
    not sent any more has what that was for."""
    if row.state is DeliveryState.DELIVERED or row.vendor_id == MAYBE_TAKEN:
        return True
    return row.reason == CANCELLED and corrected_by(event_id) is not None


def _placed(item: Item, entry: Mapping[str, Any]) -> ChunkItem:
    """An item of a correction: in whose place it comes, and for which devices."""
    return ChunkItem(item._replace(collapse_id=entry.get("in_place_of")), _devices(entry))


def _devices(entry: Mapping[str, Any]) -> tuple[Remainder, ...] | None:
    """Whom an item is for. None: its user was erased since, and it finds nobody."""
    devices = entry.get("devices")
    return None if devices is None else tuple(Remainder(one) for one in devices)


def _is_somebodys(event_id: str, item: Item, erased: Erased | None) -> bool:
    """Whether an item still has a user: an erase takes the name out of it."""
    if item.user_id is None and item.custom_id is None:
        return False
    return erased is None or not erased.has(event_id, item.index, item.user_id, item.custom_id)
