"""What the rows of journal, lanes and keys stand for. Pure, and the same on every engine.

Owns the order of the columns, which every engine's tables share; writing and finding is theirs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Literal, cast

from gateway.core.model import Event, EventStatus, Item, Record, Removal, lane_name
from gateway.core.states import DeliveryState, DeviceState, as_it_is
from gateway.core.stored import Unreadable, read_rejections, write_later
from gateway.core.stored_limits import read_limits
from gateway.errors import NotReplayable
from gateway.ports import ApiKey, DeadLetter, EventSummary, LaneRow, PartRow, Progress, Standings

#: how long a dead letter that was taken for a replay is left to who took it, in seconds
REPLAY_S = 60.0
#: how the reason begins of what this version could not read
UNREADABLE = "unreadable"


_STATES = {one.value: one for one in DeliveryState}


def delivery_state(word: str) -> DeliveryState:
    """The state a row says. One of a later version counts as ended, and keeps its name."""
    known = _STATES.get(word)
    return as_it_is(DeliveryState, word) if known is None else known


def event_of(row: Sequence[Any]) -> Event:
    """A row of events. Rejections that cannot be read are none, and its reason says so."""
    event = _event(row)
    try:
        return replace(event, rejections=read_rejections(row[7]))
    except Unreadable as error:
        reason = f"{UNREADABLE}: {error}"
        return replace(event, reason=f"{event.reason}; {reason}" if event.reason else reason)


def _event(row: Sequence[Any]) -> Event:
    return Event(
        event_id=row[0],
        type=row[1],
        status=cast(EventStatus, row[2]),
        received_at=row[3],
        occurred_at=row[4],
        notifications=row[5],
        chunks=row[8],
        reason=row[9],
        body=row[10],
        source=row[11],
        limits=read_limits(row[12]),
    )


def summary_of(event: Event, states: dict[str, int], seen: int, *, finished: bool) -> EventSummary:
    """Count notifications without a journal row as pending: they are queued or in flight."""
    waiting = max(0, event.notifications - seen)
    pending = states.pop("pending", 0) + waiting
    settled = pending == 0 and finished and event.status != "accepting"
    # a later version's states come after the known ones; they have ended
    deliveries = {state.value: 0 for state in DeliveryState} | states
    deliveries["pending"] = pending
    return EventSummary(event, deliveries, settled)


def progress_of(rows: Sequence[Sequence[Any]], indexes: Sequence[int]) -> Standings:
    """What rows of (index, device, state, attempts, next_at) say of these items, and of others; one
    of index -1, that the event was cancelled."""
    found = Standings()
    if not rows:
        return found
    wanted = frozenset(indexes)
    for index, device_id, state, attempts, next_at in rows:
        if index in wanted:
            found[index, device_id] = Progress(delivery_state(state), attempts, next_at)
        elif index < 0:
            found.cancelled = True
    return found


def deliveries_in(letters: Iterable[DeadLetter], *, named: bool) -> list[tuple[str, int, int]]:
    """The deliveries, by (event, index, device), of those letters that can be read. Raises
    NotReplayable for one that cannot where each was `named`."""
    found: set[tuple[str, int, int]] = set()
    for letter in letters:
        try:
            found.update((letter.event_id, item.index, to) for item, to in letter.deliveries())
        except Unreadable as error:
            if named:
                raise NotReplayable(letter.id, str(error)) from None
    return sorted(found)


def dead_values(record: Record, item: Item) -> tuple[Any, ...]:
    """A new row of dead_letters, but for its id."""
    return (*_died(record), *item[1:6], write_later(item), None, None)


def raw_values(record: Record, raw: bytes, form: int | None) -> tuple[Any, ...]:
    """The same for bytes that nobody could read: no content, but the bytes and their version."""
    return (*_died(record), "", "", None, None, None, None, raw, form)


def _died(record: Record) -> tuple[Any, ...]:
    return (
        record.event_id,
        record.index,
        record.device_id,
        record.app,
        record.provider,
        record.reason,
        record.attempts,
        record.at,
    )


def spared_record(record: Record) -> Record:
    """The record of a delivery whose device was not removed: its row is not what was proven."""
    return record._replace(
        state=DeliveryState.REFUSED,
        reason=f"{record.reason}, but the device has registered again or gone since",
    )


def last_words(records: Sequence[Record]) -> Sequence[Record]:
    """Keep one record per delivery, because a statement may touch a row once: the last one before
    a terminal state, with the recipient fields of the first."""
    if len({record[:3] for record in records}) == len(records):
        return records
    told: dict[tuple[Any, ...], Record] = {}
    for record in records:
        earlier = told.setdefault(record[:3], record)
        if earlier is not record and earlier.state is DeliveryState.PENDING:
            told[record[:3]] = record._replace(
                user_id=earlier.user_id,
                custom_id=earlier.custom_id,
                app=earlier.app,
                provider=earlier.provider,
                day=earlier.day,
                reason=record.reason
                or (earlier.reason if record.state is DeliveryState.PENDING else ""),
                vendor_id=record.vendor_id or earlier.vendor_id,
            )
    return list(told.values())


def key_of(row: Sequence[Any]) -> ApiKey:
    """A row of api_keys, without its hash. Scopes, or limits, that are no text give no right."""
    scopes = frozenset(row[2].split()) if isinstance(row[2], str) else frozenset()
    sources, types = (tuple(one.split()) if isinstance(one, str) else ("",) for one in row[6:8])
    return ApiKey(row[0], row[1], scopes, row[3], row[4], row[5], sources, types)


def removal_of(row: Sequence[Any]) -> Removal | None:
    """A row of held_removals; None: it asks for what this version cannot do."""
    state = row[5]
    if state not in (DeviceState.PRUNED, DeviceState.QUARANTINED):
        return None
    to = cast("Literal[DeviceState.PRUNED, DeviceState.QUARANTINED]", DeviceState(state))
    return Removal(row[0], row[1], row[2], row[3], str(row[4]), to, row[6])


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
        row.quiet_reason,
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
