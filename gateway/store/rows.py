"""What the rows of journal, lanes and keys stand for. Pure, and the same on every engine.

Owns the order of the columns, which every engine's tables share; writing and finding is theirs.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Literal, cast

from gateway.core.model import Event, EventStatus, Item, Record, Rejection, Removal, lane_name
from gateway.core.states import DeliveryState, DeviceState
from gateway.ports import ApiKey, DeadLetter, EventSummary, LaneRow, PartRow, Progress

#: how long a dead letter that was taken for a replay is left to who took it, in seconds
REPLAY_S = 60.0


def event_of(row: Sequence[Any]) -> Event:
    """A row of events."""
    return Event(
        event_id=row[0],
        type=row[1],
        status=cast(EventStatus, row[2]),
        received_at=row[3],
        occurred_at=row[4],
        notifications=row[5],
        rejections=tuple(Rejection(index, reason) for index, reason in json.loads(row[7])),
        chunks=row[8],
        reason=row[9],
        body=row[10],
    )


def summary_of(event: Event, states: dict[str, int], seen: int, *, finished: bool) -> EventSummary:
    """What no row tells of yet is pending: it waits in the queue or is in flight."""
    waiting = max(0, event.notifications - seen)
    pending = states.pop("pending", 0) + waiting
    settled = pending == 0 and finished and event.status != "accepting"
    deliveries = {state.value: states.get(state.value, 0) for state in DeliveryState}
    deliveries["pending"] = pending
    return EventSummary(event, deliveries, settled)


def progress_of(
    rows: Sequence[Sequence[Any]], indexes: Sequence[int]
) -> dict[tuple[int, int], Progress]:
    """What rows of (index, device, state, attempts, next_at) say of these items, and of others."""
    if not rows:
        return {}
    wanted = frozenset(indexes)
    return {
        (index, device_id): Progress(DeliveryState(state), attempts, next_at)
        for index, device_id, state, attempts, next_at in rows
        if index in wanted
    }


def dead_letter(row: Sequence[Any]) -> DeadLetter:
    """A row of dead_letters."""
    return DeadLetter(
        id=row[0],
        event_id=row[1],
        item=Item(row[2], row[9], row[10], row[11], row[12], row[13]),
        device_id=row[3],
        app=row[4],
        provider=row[5],
        reason=row[6],
        attempts=row[7],
        died_at=row[8],
    )


def dead_values(record: Record, item: Item) -> tuple[Any, ...]:
    """A new row of dead_letters, but for its id."""
    return (
        record.event_id,
        record.index,
        record.device_id,
        record.app,
        record.provider,
        record.reason,
        record.attempts,
        record.at,
        item.title,
        item.body,
        item.path,
        item.user_id,
        item.custom_id,
    )


def spared_record(record: Record) -> Record:
    """The record of a delivery whose device was not removed: its row is not what was proven."""
    return record._replace(
        state=DeliveryState.REFUSED,
        reason=f"{record.reason}, but the device has registered again or gone since",
    )


def key_of(row: Sequence[Any]) -> ApiKey:
    """A row of api_keys, without its hash."""
    return ApiKey(row[0], row[1], frozenset(row[2].split()), row[3], row[4])


def removal_of(row: Sequence[Any]) -> Removal:
    """A row of held_removals."""
    state = cast("Literal[DeviceState.PRUNED, DeviceState.QUARANTINED]", DeviceState(row[5]))
    return Removal(row[0], row[1], row[2], row[3], row[4], state, row[6])


def lane_rows(
    lanes: Iterable[Sequence[Any]],
    parts: Iterable[Sequence[Any]],
    queued: Iterable[tuple[str, str, int]],
) -> list[LaneRow]:
    """Rows of lanes, of lane_parts, and of what is queued by lane and part, put together."""
    sizes: Counter[str] = Counter()
    for lane, part, size in queued:
        sizes[lane] += size
        sizes[f"{lane}/{part}"] += size
    of_lane: dict[tuple[str, str], list[PartRow]] = {}
    for app, provider, *columns in parts:
        row = PartRow(*columns)
        waiting = max(row.waiting, sizes[f"{app}/{provider}/{row.part}"])
        of_lane.setdefault((app, provider), []).append(replace(row, waiting=waiting))
    found = []
    for fields in lanes:
        lane_row = LaneRow(*fields)
        key = (lane_row.app, lane_row.provider)
        waiting = max(lane_row.waiting, sizes[lane_name(*key)])
        found.append(replace(lane_row, waiting=waiting, parts=tuple(of_lane.get(key, ()))))
    return found


def lane_values(row: LaneRow) -> tuple[Any, ...]:
    """What a relay tells of a lane."""
    return (
        row.app,
        row.provider,
        row.rate,
        row.quiet_until,
        row.errors,
        row.waiting,
        row.seen_at,
    )


def part_values(lane: LaneRow) -> list[tuple[Any, ...]]:
    """What it tells of its parts."""
    return [
        (
            lane.app,
            lane.provider,
            part.part,
            part.trouble,
            part.trouble_reason,
            part.trouble_hint,
            part.trouble_at,
            part.errors,
            part.waiting,
            part.seen_at,
        )
        for part in lane.parts
    ]


def held_values(removal: Removal) -> tuple[Any, ...]:
    """A new row of held_removals."""
    return (
        removal.device_id,
        removal.address,
        removal.seen_at,
        removal.app,
        removal.provider,
        removal.to.value,
        removal.reason,
    )
