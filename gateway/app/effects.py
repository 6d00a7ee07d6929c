"""What reminders do: every experiment that was counted, as it may be told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import tzinfo
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from gateway.core.days import iso_day, span_words
from gateway.core.effect_standing import (
    Beside,
    can_be_told,
    read_terms,
    standing_of,
    view_of,
)
from gateway.core.effect_told import lines_of
from gateway.core.effect_way import Sums, sum_of
from gateway.core.report import cells, reached, whole
from gateway.ports.effect import WAY, Effects, Mark, Way

if TYPE_CHECKING:
    from config.settings import Settings
    from gateway.app.storage import Stores


Since = Callable[[float], float]
"""From when on: an age counts from the end of the last day that was counted."""


async def effect_of(stores: Stores, settings: Settings, since: Since) -> dict[str, Any]:
    """All experiments of which days were counted since then, and how far pushes came. It reads
    counts, never the journal."""
    effects, zone = stores.store.effects, settings.effect.zone
    last = await effects.last(WAY)
    until = stores.clocks.wall() if last is None else last.ends
    way = await effects.way(since(until), until)
    parts = reached([way.by_day[day] for day in sorted(way.by_day)])
    return {
        "experiments": await experiments_of(effects, zone, since=since(until)),
        "pushes": {
            **span_of(way.marks, ZoneInfo(zone), zone),
            "people": whole(parts.values()).view(),
            "cells": cells(parts),
        },
    }


async def experiments_of(effects: Effects, zone: str, *, since: float) -> list[dict[str, Any]]:
    """Every experiment with somebody who entered since then; all of its days are told."""
    found = []
    for text in (await effects.terms()).values():
        asked, heard, left_out, also_got = read_terms(text)
        entered = await effects.entered_of(asked.id)
        if entered and max(row.ends for row in entered) <= since:
            continue
        standing = standing_of(asked, entered, heard)
        begins = min((row.begins for row in standing.rows), default=None)
        ends = max((row.ends for row in standing.rows), default=None)
        span = ""
        days: dict[str, str | None] = {"from": None, "to": None}
        sums: dict[float, Sums] = {}
        if begins is not None and ends is not None:
            at = ZoneInfo(zone)
            span = span_words(begins, ends, at)
            days = {"from": iso_day(begins, at), "to": iso_day(ends - 1, at)}
            sums = _sums(await effects.way(begins, ends, experiment=asked.id))
            if not can_be_told(standing.rows, sums, _sums(await effects.way(begins, ends))):
                sums = {}
        view = view_of(asked, standing, Beside(sums, left_out, also_got))
        words = lines_of(asked, standing, view, span, zone)
        found.append({**view, **days, "span": span, "zone": zone, "words": words})
    return found


def _sums(way: Way) -> dict[float, Sums]:
    """The people of each day, whatever their phones."""
    return {day: sum_of(counted) for day, counted in way.by_day.items()}


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
