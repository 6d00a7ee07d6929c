"""The report of some whole days, from what was counted of them and how things stand now."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import tzinfo
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from gateway.app.lanes import asking_of
from gateway.core.days import iso_day, span_words
from gateway.core.effect_way import Counted
from gateway.core.instants import to_iso
from gateway.core.model import lane_name
from gateway.core.report import (
    Advice,
    PhoneCount,
    cells,
    of_100,
    phones,
    reached,
    reasons_of,
    to_mend,
    whole,
)
from gateway.ports import LaneRow
from gateway.ports.effect import WAY, Mark, Phones

if TYPE_CHECKING:
    from config.settings import Settings
    from gateway.app.storage import Stores

Since = Callable[[float], float]
"""From when on: an age counts from the end of the last day that was counted."""


async def report_of(stores: Stores, settings: Settings, since: Since) -> dict[str, Any]:
    """The report, as plain data. It reads counts, never the journal."""
    zone = ZoneInfo(settings.effect.zone)
    now = stores.clocks.wall()
    effects = stores.store.effects
    last = await effects.last(WAY)
    until = now if last is None else last.ends
    begin = since(until)
    way = await effects.way(begin, until)
    counts = phone_counts(await effects.phones_between(begin, until))
    stopped = standing_still(await stores.lanes.all(), now)
    asking = asking_of(settings)
    receipts = any(mode != "off" for mode in asking.modes.values())
    days: list[Counted] = [way.by_day[day] for day in sorted(way.by_day)]
    parts = reached(days)
    mend = to_mend(parts, counts, stopped, receipts=receipts)
    return {
        "made_at": to_iso(now),
        **span_of(way.marks, zone, settings.effect.zone),
        "people": whole(parts.values()).view(),
        "cells": cells(parts),
        "reasons": reasons_of(parts),
        "phones": [_phones(one) for one in counts],
        "mend": [one._asdict() for one in mend],
    }


def span_of(marks: Sequence[Mark], zone: tzinfo, name: str) -> dict[str, Any]:
    """Which days were counted."""
    if not marks:
        return {"days": 0, "from": None, "to": None, "span": "", "zone": name, "settled": True}
    begins, ends = marks[0].begins, marks[-1].ends
    return {
        "days": len(marks),
        "from": iso_day(begins, zone),
        "to": iso_day(ends - 1, zone),
        "span": span_words(begins, ends, zone),
        "zone": name,
        "settled": all(mark.settled for mark in marks),
    }


def phone_counts(rows: Sequence[tuple[float, Phones]]) -> list[PhoneCount]:
    """Phones over some days, the largest part first: what came and went of all days, and what there
    was at the end of the last one."""
    newest = max((day for day, _ in rows), default=0.0)
    found: dict[tuple[str, str], PhoneCount] = {}
    for day, one in rows:
        key = one.app, one.platform
        known = found.get(key, PhoneCount(*key, 0, 0, 0, 0, 0))
        there = (one.active, one.muted, one.silent) if day == newest else (0, 0, 0)
        found[key] = PhoneCount(
            *key, there[0], known.won + one.won, known.lost + one.lost, there[1], there[2]
        )
    return sorted(found.values(), key=lambda one: (-one.active, one.app, one.platform))


def standing_still(rows: Sequence[LaneRow], now: float) -> list[Advice]:
    """What stands in the way of pushes now."""
    advice = []
    for row in rows:
        if row.brake_at is not None:
            what = f"The prune brake of {lane_name(row.app, row.provider)} is on."
            advice.append(Advice(what, "Read operations.md, then: inkpush lanes release."))
        for part in row.part_names:
            standing = row.standing(part, now)
            if standing.state in {"held", "failing", "paused"}:
                name = "/".join(filter(None, (row.app, row.provider, part)))
                why = f": {standing.reason}" if standing.reason else ""
                what = f"{name} is {standing.state}{why}."
                advice.append(Advice(what, standing.hint or "See inkpush lanes list."))
    return advice


def _phones(one: PhoneCount) -> dict[str, Any]:
    return {
        "app": one.app,
        "platform": one.platform,
        "active": phones(one.active),
        "won": phones(one.won),
        "lost": phones(one.lost),
        "muted": phones(one.muted),
        "muted_of_100": of_100(one.muted, one.active) if phones(one.muted) else None,
        "silent": phones(one.silent),
        "silent_of_100": of_100(one.silent, one.active) if phones(one.silent) else None,
    }
