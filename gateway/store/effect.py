"""Counted days as rows, for both engines. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gateway.core.effect_standing import Entered
from gateway.core.effect_way import Cell, Counted, Sums
from gateway.ports.effect import Mark, Phones, Way

Row = tuple[Any, ...]


def day_rows(day: float, counted: Mapping[str, Counted]) -> list[Row]:
    """The rows of `effect_days`, in the order of their keys."""
    return [
        (day, experiment, *cell, *sums)
        for experiment, found in sorted(counted.items())
        for cell, sums in sorted(found.cells.items())
    ]


def reason_rows(day: float, counted: Mapping[str, Counted]) -> list[Row]:
    """The rows of `effect_reasons`, in the order of their keys."""
    return [
        (day, experiment, *cell, reason, people)
        for experiment, found in sorted(counted.items())
        for (cell, reason), people in sorted(found.reasons.items())
    ]


def phone_rows(day: float, phones: Sequence[Phones]) -> list[Row]:
    """The rows of `effect_phones`, in the order of their keys; a count of nothing has none."""
    return [
        (day, one.app, one.platform, what, count)
        for one in sorted(phones)
        for what, count in sorted(one._asdict().items())
        if what not in {"app", "platform"} and count
    ]


def marks_of(rows: Iterable[Sequence[Any]]) -> list[Mark]:
    """Marks, as they are read."""
    return [Mark(begins, ends, at, bool(settled)) for begins, ends, at, settled in rows]


def way_of(
    marks: Iterable[Sequence[Any]],
    days: Iterable[Sequence[Any]],
    reasons: Iterable[Sequence[Any]],
) -> Way:
    """Days, as they are read."""
    cells: dict[float, dict[Cell, Sums]] = {}
    why: dict[float, dict[tuple[Cell, str], int]] = {}
    for day, _, app, platform, source, *sums in days:
        cells.setdefault(day, {})[Cell(app, platform, source)] = Sums(*sums)
    for day, _, app, platform, source, reason, people in reasons:
        why.setdefault(day, {})[Cell(app, platform, source), reason] = people
    by_day = {day: Counted(found, why.get(day, {})) for day, found in cells.items()}
    return Way(marks_of(marks), by_day)


def phones_of(rows: Iterable[Sequence[Any]]) -> list[tuple[float, Phones]]:
    """Phones by day, as they are read."""
    found: dict[tuple[float, str, str], dict[str, int]] = {}
    for day, app, platform, what, count in rows:
        found.setdefault((day, app, platform), {})[what] = count
    names = Phones._fields[2:]
    return [
        (day, Phones(app, platform, *(counts.get(name, 0) for name in names)))
        for (day, app, platform), counts in found.items()
    ]


def entered_of(rows: Iterable[Sequence[Any]]) -> list[Entered]:
    """Those who entered, as they are kept."""
    return [Entered._make((*row[:4], bool(row[4]), *row[5:])) for row in rows]


def counted_now(begins: float, ends: float, rows: Iterable[Sequence[Any]]) -> list[Entered]:
    """Those who entered on a day, as they are counted."""
    return [
        Entered._make((begins, ends, app, platform, bool(held), *counts, 0, 0))
        for app, platform, held, *counts in rows
    ]


def entered_rows(experiment: str, rows: Sequence[Entered]) -> list[Row]:
    """The rows of `effect_outcomes`, in the order of their keys."""
    return [
        (experiment, one.begins, one.app, one.platform, int(one.held), *one[5:10])
        for one in sorted(rows)
    ]
