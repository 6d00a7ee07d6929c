"""The report of some whole days, from what was counted of them and how things stand now."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from gateway.app.effects import Since, experiments_of, span_of
from gateway.app.lanes import asking_of
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
from gateway.ports.effect import WAY, Phones

if TYPE_CHECKING:
    from config.settings import Settings
    from gateway.app.storage import Stores


_DATE = len("2026-12-01")


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
    experiments = await experiments_of(effects, settings.effect.zone, since=begin)
    settled = [one for one in experiments if one["state"] == "settled"]
    mend = to_mend(parts, counts, stopped, receipts=receipts)
    return {
        "made_at": to_iso(now),
        **span_of(way.marks, zone, settings.effect.zone),
        "people": whole(parts.values()).view(),
        "cells": cells(parts),
        "reasons": reasons_of(parts),
        "learning": await learning_of(stores),
        "effect": settled,
        "phones": [_phones(one) for one in counts],
        "mend": [one._asdict() for one in mend],
    }


async def learning_of(stores: Stores) -> dict[str, Any]:
    """The learning events that are kept, by type, and the head of their chain: whoever keeps it
    elsewhere can find every change of what is before it."""
    learning = stores.store.learning
    head = await learning.head()
    return {
        "types": [
            {"type": one.type, "events": phones(one.events), "last_on": to_iso(one.last_at)[:_DATE]}
            for one in sorted(await learning.types(), key=lambda one: (-one.events, one.type))
        ],
        "number": head.number,
        "head": head.head.hex(),
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
