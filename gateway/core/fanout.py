"""Fan-out: from a chunk to the deliveries that are still to be made.

Deliveries that are terminal in the journal are skipped, which makes a repeated chunk harmless.
Those that are pending were tried already and left for later, in a leftover of this chunk or in a
leftover of that. A delivery's attempts and due time grow from one leftover to the next, and the
journal has the latest. A stale copy of a chunk sends nothing; it waits until the journal's due
time. The queue adds a leftover again only if no other message still holds that delivery.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import NamedTuple

from gateway.core.cancelling import CANCELLED
from gateway.core.instants import to_iso
from gateway.core.model import Chunk, ChunkItem, Item, Record, Target
from gateway.core.reach import Barred
from gateway.core.states import DeliveryState

#: what the journal knows: (index, device id) -> (state, attempts, when the next try is due)
Known = Mapping[tuple[int, int], tuple[DeliveryState, int, float | None]]

LATEST_S = 2.0
"""How much later than its deadline anything may be due, for due times are rounded up."""
TOO_OLD = "too old"
GONE = "the device was deleted, pruned or moved to another user"
CONTRADICTION = "ids contradict"
"""An id of the device, stated by its latest registration, is another than the item's."""


class Send(NamedTuple):
    """A delivery to make."""

    item: Item
    target: Target
    attempts: int


class Wait(NamedTuple):
    """A delivery that the journal postpones: an earlier claim of the chunk left it for later."""

    item: Item
    target: Target
    attempts: int
    due_at: float


@dataclass(slots=True)
class Plan:
    """The outcome for a chunk: deliveries to make, deliveries that wait, items that end at once.
    `contradicting` counts the items of which a device was left out for its other id."""

    sends: list[Send] = field(default_factory=list)
    waits: list[Wait] = field(default_factory=list)
    ended: list[Record] = field(default_factory=list)
    contradicting: int = 0

    def without(self, reasons: Mapping[int, str], ended: Sequence[Record]) -> None:
        """Leave these items out, by index: they end like this."""
        self.sends = [one for one in self.sends if one.item.index not in reasons]
        self.waits = [one for one in self.waits if one.item.index not in reasons]
        self.ended = [one for one in self.ended if one.index not in reasons] + list(ended)


def plan(
    chunk: Chunk,
    targets: Sequence[Sequence[Target]],
    known: Known,
    *,
    now: float,
    barred: Barred = MappingProxyType({}),
    contradicting: Mapping[int, Sequence[Target]] = MappingProxyType({}),
) -> Plan:
    """Work out the deliveries of a chunk; `targets` are the active devices of each item's user.
    `barred` says which others the chunk's source may not reach, and why; `contradicting` has those
    that were left out for their other id, by the item's place in the chunk."""
    result = Plan()
    rows_of: dict[int, list[int]] = {}
    for index, device_id in known:
        rows_of.setdefault(index, []).append(device_id)
    others = {
        chunk.items[place].item.index: {target.device_id for target in left_out}
        for place, left_out in contradicting.items()
    }
    counted = {
        entry.item.index
        for entry in map(chunk.items.__getitem__, contradicting)
        if entry.remainders is None and entry.item.index not in rows_of
    }
    for entry, devices in zip(chunk.items, targets, strict=True):
        item, remainders = entry
        if devices and remainders is None and item.index not in rows_of:
            # The common case: nothing is known of the item yet, so all of its devices get it.
            result.sends += [Send(item, target, 0) for target in devices]
            continue
        eligible = _eligible(entry, devices, known)
        wanted = _wanted(entry, eligible, rows_of.get(item.index, []), known)
        by_id = {target.device_id: target for target in eligible}
        for device_id, attempts in wanted:
            target = by_id.get(device_id)
            ahead = _ahead(chunk, entry, device_id, attempts, known)
            if target is not None and ahead is not None:
                result.waits.append(Wait(item, target, *ahead))
            elif target is None:
                state = DeliveryState.NO_DEVICE
                reason = barred.get((item.index, device_id)) or _why_none(
                    device_id, others.get(item.index)
                )
                if reason == CONTRADICTION:
                    counted.add(item.index)
                result.ended.append(_ended(chunk, item, device_id, state, now, reason, attempts))
            else:
                result.sends.append(Send(item, target, attempts))
    result.contradicting = len(counted)
    return result


def _why_none(device_id: int, others: Collection[int] | None) -> str:
    """Why a delivery has no device; `others` are those that were left out for their other id."""
    if device_id:
        return CONTRADICTION if others and device_id in others else GONE
    return CONTRADICTION if others else ""


def begun(chunk: Chunk, known: Known) -> list[Item]:
    """The items of a chunk of which an earlier try reached some devices, and perhaps not all."""
    tried = {index for index, _ in known}
    return [item for item, remainders in chunk.items if remainders is None and item.index in tried]


def expire(
    chunk: Chunk,
    known: Known,
    *,
    now: float,
    devices: Mapping[int, Sequence[Target]] = MappingProxyType({}),
) -> list[Record]:
    """End the unsettled deliveries of a chunk that would come too late. `devices` are those of
    items that were `begun`, by index: the others end as a whole."""
    rows_of: dict[int, list[int]] = {}
    for index, device_id in known:
        rows_of.setdefault(index, []).append(device_id)
    reason = too_old(chunk)
    return [
        _ended(chunk, entry.item, device_id, DeliveryState.EXPIRED, now, reason, attempts)
        for entry in chunk.items
        for device_id, attempts in _wanted(
            entry,
            _eligible(entry, devices.get(entry.item.index, ()), known),
            rows_of.get(entry.item.index, []),
            known,
        )
    ]


def stop(chunk: Chunk, known: Known, *, now: float) -> list[Record]:
    """End what is not settled of a chunk whose event was cancelled: deliveries that were left for
    later, and items of which nothing was tried."""
    state, reason = DeliveryState.CANCELLED, CANCELLED
    return [one._replace(state=state, reason=reason) for one in expire(chunk, known, now=now)]


def supersede(
    chunk: Chunk,
    known: Known,
    reasons: Mapping[int, str],
    *,
    now: float,
    devices: Mapping[int, Sequence[Target]] = MappingProxyType({}),
) -> list[Record]:
    """End what is not settled of the items that are not needed any more, by index, each with its
    reason. `devices` has those of items that were `begun`, by index: the others end as a whole."""
    theirs = tuple(entry for entry in chunk.items if entry.item.index in reasons)
    begun_here = {item.index: devices.get(item.index, ()) for item in begun(chunk, known)}
    return [
        one._replace(state=DeliveryState.CANCELLED, reason=reasons[one.index])
        for one in expire(replace(chunk, items=theirs), known, now=now, devices=begun_here)
    ]


def hold(chunk: Chunk, reasons: Mapping[int, str], *, now: float) -> list[Record]:
    """End the items of a chunk that an experiment holds back, by index, each with its reason. They
    begin with it: nothing of them was tried."""
    return [
        _ended(chunk, item, 0, DeliveryState.HELD_OUT, now, reasons[item.index])
        for item, _ in chunk.items
        if item.index in reasons
    ]


def too_old(chunk: Chunk) -> str:
    """Why a chunk comes too late. One that was too old already when it came names its own date: the
    sender's test examples have a fixed one."""
    occurred_at = chunk.items[0].item.occurred_at if chunk.items else None
    if occurred_at is None or chunk.deadline > chunk.first_seen:
        return TOO_OLD
    return dated(occurred_at)


def dated(occurred_at: float) -> str:
    """The reason of what was too old already when it came."""
    try:
        return f"{TOO_OLD}: the event is dated {to_iso(occurred_at)[:10]}"
    except (ValueError, OverflowError, OSError):
        return TOO_OLD  # no calendar has such a date: what was stored is damaged


def bury(chunk: Chunk, known: Known, *, now: float) -> list[Record]:
    """End the unsettled deliveries of a chunk that no process could finish. Nobody looks up its
    devices any more, so an item that was begun ends as a whole besides: others may be left."""
    wholes = [item for item in begun(chunk, known) if not _settled(known, item.index, 0)]
    dead, reason = DeliveryState.DEAD, "no process could finish its chunk"
    return [
        *(one._replace(state=dead, reason=reason) for one in expire(chunk, known, now=now)),
        *(_ended(chunk, item, 0, dead, now, reason) for item in wholes),
    ]


def _eligible(entry: ChunkItem, devices: Sequence[Target], known: Known) -> Sequence[Target]:
    """The devices that may still get an item. One that ended without a device, or was erased, has
    none: a device that was added since gets nothing."""
    is_over = entry.remainders is None and _settled(known, entry.item.index, 0)
    return () if is_over else devices


def _wanted(
    entry: ChunkItem, devices: Sequence[Target], rows: Sequence[int], known: Known
) -> list[tuple[int, int]]:
    """(device id, attempts) of unsettled deliveries; device 0: the item has no device."""
    index = entry.item.index
    if entry.remainders is not None:
        return [
            (left.device_id, left.attempts)
            for left in entry.remainders
            if not _settled(known, index, left.device_id)
        ]
    wanted = [
        (target.device_id, _attempts(known, index, target.device_id))
        for target in devices
        if not _settled(known, index, target.device_id)
    ]
    present = {target.device_id for target in devices}
    # An earlier try of this chunk may have reached devices that are gone now.
    wanted += [
        (device_id, _attempts(known, index, device_id))
        for device_id in rows
        if device_id not in present and not _settled(known, index, device_id)
    ]
    if not wanted and not rows:
        wanted.append((0, 0))
    return wanted


def _ahead(
    chunk: Chunk, entry: ChunkItem, device_id: int, attempts: int, known: Known
) -> tuple[int, float] | None:
    """The journal's attempts and due time, if they are ahead of this copy of the delivery."""
    progress = known.get((entry.item.index, device_id))
    if progress is None:
        return None
    _, made, next_at = progress
    # Nothing waits for longer than it is fresh: a later time was written by a clock that was ahead.
    is_wrong = next_at is None or next_at > chunk.deadline + LATEST_S
    due_at = chunk.due_at if next_at is None or is_wrong else next_at
    if entry.remainders is not None and (made, due_at) <= (attempts, chunk.due_at):
        return None
    return made, due_at


def _settled(known: Known, index: int, device_id: int) -> bool:
    progress = known.get((index, device_id))
    return progress is not None and progress[0].is_terminal


def _attempts(known: Known, index: int, device_id: int) -> int:
    progress = known.get((index, device_id))
    return 0 if progress is None else progress[1]


def _ended(
    chunk: Chunk,
    item: Item,
    device_id: int,
    state: DeliveryState,
    now: float,
    reason: str = "",
    attempts: int = 0,
) -> Record:
    return Record(
        event_id=chunk.event_id,
        index=item.index,
        device_id=device_id,
        state=state,
        attempts=attempts,
        at=now,
        user_id=item.user_id,
        custom_id=item.custom_id,
        reason=reason,
        day=chunk.day,
    )
