"""What waits for hooks, as rows: which are posted together, and who is named in them. Pure.

Finding and writing rows is each engine's matter.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from gateway.core.hooks import (
    PRUNED,
    RECEIPT,
    Erasures,
    Group,
    Happened,
    Phone,
    Plan,
    emptied,
    of_delivery,
    of_device,
    told_in,
)
from gateway.core.model import Record
from gateway.core.receipts import Told, kept_time
from gateway.core.sources import source_of
from gateway.core.states import DeliveryState
from gateway.ports import Again, HookBatch, HookCount, HookLetter, HookPage
from gateway.ports.receipts import Kept
from gateway.store.receipts import Facts
from gateway.store.rows import delivery_state

#: batches that are looked through at once for somebody who was erased
PAGE = 200


class Row(NamedTuple):
    """A row that waits, as the queries have it."""

    id: int
    name: str
    at: float
    since: float
    size: int
    tries: int
    must: int
    lines: bytes
    people: str


class Fixed(NamedTuple):
    """A batch as it is posted, what is written for that (None: it stands so), the rows that became
    part of it, and the words of those whom it names."""

    batch: HookBatch
    values: tuple[Any, ...] | None
    merged: Sequence[int]
    told: Sequence[str]


def fixed(rows: Sequence[Row], hook: str, name: str, most: int, erased: Erasures) -> Fixed:
    """The first of the rows, with as many after it as fit; one that was posted before stays as it
    is, but for people who were erased."""
    first = rows[0]
    chosen = [first]
    if not first.name:
        size = first.size
        for row in rows[1:]:
            if row.name or row.must != first.must or size + row.size > most:
                break
            size += row.size
            chosen.append(row)
    lines = b"\n".join(row.lines for row in chosen)
    people = "\n".join(row.people for row in chosen)
    without = emptied(lines, people, erased) if erased else None
    if without is not None:
        lines, people = without
    at, since = min(row.at for row in chosen), min(row.since for row in chosen)
    size = sum(row.size for row in chosen)
    batch = HookBatch(first.id, hook, first.name or name, at, size, first.tries, lines)
    stays = bool(first.name) and without is None
    values = None if stays else (first.id, batch.name, at, since, size, lines, people)
    told = () if first.name else told_in(people)
    return Fixed(batch, values, [row.id for row in chosen[1:]], told)


def values_of(group: Group) -> tuple[Any, ...]:
    """A group as a row."""
    since = group.at
    return (
        group.hook,
        group.at,
        since,
        since,
        group.size,
        int(group.must),
        group.lines,
        group.people,
    )


def ended(records: Iterable[Record], plan: Plan) -> list[Record]:
    """The deliveries that hooks may want: each once, as it was told last."""
    if plan.settled:
        found = [one for one in records if one.state.is_terminal]
    else:
        found = [one for one in records if one.state is DeliveryState.NO_DEVICE]
    return list({one[:3]: one for one in found}.values())


def happened_to(
    records: Sequence[Record], rows: Iterable[Sequence[Any]], plan: Plan
) -> list[Happened]:
    """What happened, by what the journal says now of these deliveries: one that had ended before
    stays as it was. `rows` are (state, installation id)."""
    return [
        one
        for record, (state, installation_id) in zip(records, rows, strict=True)
        if state == record.state.value
        for one in of_delivery(record, installation_id, plan)
    ]


def told_by(
    found: Sequence[tuple[Told, Facts]], kept: Sequence[Kept], names: Mapping[int, str]
) -> list[Happened]:
    """The receipts that told something new. `names` are the installations of devices, by number:
    one that is another's by now is not named."""
    happened = []
    for (one, facts), answer in zip(found, kept, strict=True):
        if answer.refusal or not answer.is_new:
            continue
        event_id, index, device_id = one.key[:3]
        at, clock = kept_time(one, taken=facts.taken)
        said = {
            "source": source_of(event_id),
            "event_id": event_id,
            "item": index,
            "app": answer.app or None,
            "platform": answer.platform or None,
            "clock": clock.value,
        }
        name = names.get(device_id) if facts.is_theirs else None
        key = (event_id, index, device_id)
        kind = RECEIPT + one.kind.value
        happened.append(Happened(kind, at, key, *facts.user, said, name, known_at=one.received))
    return happened


FIRST: Mapping[Again, tuple[Any, ...]] = {
    "deliveries": ("", -1, -1),
    "receipts": ("", -1, -1, ""),
    "devices": (0,),
}
"""The key before all others."""


def page_of(what: Again, rows: Sequence[Sequence[Any]], plan: Plan, now: float) -> HookPage | None:
    """What happened, by the rows of `hook_again_...`. It waits from now on; None: there was
    none."""
    if not rows:
        return None
    found: list[Happened] = []
    for row in rows:
        if what == "deliveries":
            record = Record._make(row[:15])._replace(state=delivery_state(row[3]))
            found += of_delivery(record, row[15], plan)
        elif what == "receipts":
            said = {
                "source": source_of(row[0]),
                "event_id": row[0],
                "item": row[1],
                "app": row[8] or None,
                "platform": row[9],
                "clock": row[5],
            }
            kind, key = RECEIPT + row[3], (row[0], row[1], row[2])
            found.append(Happened(kind, row[4], key, row[6], row[7], said, row[10]))
        else:
            phone, reason = Phone(*row[:6]), row[8]
            found.append(of_device(PRUNED, phone, state="pruned", reason=reason, at=row[7]))
    last = rows[-1]
    after = (last[6],) if what == "devices" else tuple(last[: len(FIRST[what])])
    return HookPage([one._replace(known_at=now) for one in found], after)


def phones(rows: Iterable[Sequence[Any]]) -> list[tuple[int, Phone]]:
    """Devices by their numbers."""
    return [(row[6], Phone(*row[:6])) for row in rows]


def too_many(sizes: Iterable[tuple[int, int]], most: int) -> list[int]:
    """The oldest of what waits, so that no more than this is left. `sizes` are (id, size)."""
    rows = list(sizes)
    over = sum(size for _, size in rows) - most
    found = []
    for row_id, size in rows:
        if over <= 0:
            break
        found.append(row_id)
        over -= size
    return found


def counts_of(
    waiting: Iterable[Sequence[Any]], dead: Iterable[Sequence[Any]]
) -> dict[str, HookCount]:
    """What waits, by hook."""
    found = {row[0]: HookCount(int(row[1]), row[2]) for row in waiting}
    for hook, size in dead:
        found[hook] = found.get(hook, HookCount())._replace(dead=int(size))
    return found


def len_of(rows: Iterable[Sequence[Any]]) -> int:
    """How many events rows of sizes are."""
    return sum(int(row[0]) for row in rows)


def letter_of(row: Sequence[Any]) -> HookLetter:
    """A dead letter, without its content."""
    kinds = dict.fromkeys(str(json.loads(line)["type"]) for line in row[-1].split(b"\n"))
    return HookLetter._make((*row[:-1], tuple(kinds)))
