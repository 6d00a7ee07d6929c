"""How an experiment stands: from counted days to what is told of it, as plain data. Pure.

While people still come in, only the whole is told, up to the last day at which both groups had
grown by 20 people: so yesterday's figure and today's do not differ by a person. Once all is
settled, parts are told as well, those who were left out, and how far the reminders came.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from gateway.core.effect import (
    LEAST_IN_GROUP,
    LEVEL,
    Checks,
    Figure,
    Group,
    Groups,
    Terms,
    Verdict,
    figure_of,
)
from gateway.core.effect_cells import (
    LEAST,
    OTHER,
    Day,
    able,
    cuts,
    divided,
    is_enough,
    merged,
    rounded,
)
from gateway.core.effect_way import Sums

OUTCOMES = ("completed", "began")


class Asked(NamedTuple):
    """An experiment as far as its figure needs it. `main` is one of `OUTCOMES`, `types` are the
    event types of each. `ended`: nobody enters any more, and every day is counted."""

    id: str
    paths: tuple[str, ...]
    window_h: int
    terms: Terms
    main: str
    types: Mapping[str, tuple[str, ...]]
    ended: bool


class Entered(NamedTuple):
    """Those of a part of a group who entered on a day, and of them: who had an outcome within the
    window, in as much time before they entered, and who had one that became known when the day was
    settled already."""

    begins: float
    ends: float
    app: str
    platform: str
    held: bool
    people: int
    completed: int
    began: int
    completed_before: int
    began_before: int
    completed_late: int
    began_late: int

    def outcome(self, name: str) -> int:
        """How many had it, as far as is known now."""
        if name == "completed":
            return self.completed + self.completed_late
        return self.began + self.began_late

    def before(self, name: str) -> int:
        """How many had it in the time before."""
        return self.completed_before if name == "completed" else self.began_before

    def late(self, name: str) -> int:
        """How many of them became known late."""
        return self.completed_late if name == "completed" else self.began_late


class Heard(NamedTuple):
    """Events of the listed types: all of them, and those that name nobody."""

    events: int
    unnamed: int


class Beside(NamedTuple):
    """What is told beside the figure: how far the reminders came, by the day's begin; who was left
    out, by reason; how many of the held got other pushes."""

    way: Mapping[float, Sums] = {}
    left_out: Mapping[str, int] = {}
    also_got: int = 0


class Standing(NamedTuple):
    """What may be shown. `figures` are by outcome, the main one first; `rows` are those that count;
    `late` is how many outcomes came later; `parts` are by app and platform."""

    rows: Sequence[Entered]
    figures: Mapping[str, Figure]
    late: Mapping[str, int]
    parts: Mapping[tuple[str, str], Figure]
    others: Groups | None


def standing_of(asked: Asked, entered: Sequence[Entered], heard: Mapping[str, Heard]) -> Standing:
    """How it stands; `heard` is by outcome."""
    until = max(cuts(_days(entered)), default=0.0)
    rows = [row for row in entered if row.ends <= until]
    names = [asked.main, *(name for name in OUTCOMES if name != asked.main)]
    names = [name for name in names if asked.types.get(name)]
    figures = {
        name: figure_of(
            groups_of(rows, name),
            asked.terms,
            Checks(*heard.get(name, Heard(0, 0)), groups_before(rows, name)),
            settled=asked.ended,
        )
        for name in names
    }
    late = {name: sum(row.late(name) for row in rows) for name in names}
    parts, others = _parts(asked, rows, figures[asked.main]) if asked.ended else ({}, None)
    return Standing(rows, figures, late, parts, others)


def groups_of(rows: Sequence[Entered], outcome: str) -> Groups:
    """The groups of these, with those who had the outcome."""
    return _groups(rows, lambda row: row.outcome(outcome))


def groups_before(rows: Sequence[Entered], outcome: str) -> Groups:
    """The same, of the time before they entered."""
    return _groups(rows, lambda row: row.before(outcome))


def way_of(standing: Standing, way: Mapping[float, Sums]) -> dict[str, Any] | None:
    """How far the first reminders of the reminded came; None where that is not known.

    Those whose phones can tell are told from the others by the days between two cuts, so that
    neither are ever fewer than 20.
    """
    people = taken = over = shown = opened = 0
    for block in _blocks(standing.rows):
        reminded = sum(row.people for row in block if not row.held)
        sums = Sums()
        for day in dict.fromkeys(row.begins for row in block):
            sums = sums.plus(way.get(day, Sums()))
        can = able(reminded, sums.can_tell)
        people, taken, over = people + reminded, taken + sums.taken, over + can
        if can:
            shown, opened = shown + sums.shown, opened + sums.opened
    if not taken:
        return None
    return {
        "taken_of_100": round(100 * taken / people),
        "phones_that_can_tell": rounded(over),
        "shown_of_100": round(100 * shown / over) if over else None,
        "opened_of_100": round(100 * opened / over) if over else None,
    }


def can_be_told(
    rows: Sequence[Entered], way: Mapping[float, Sums], everybody: Mapping[float, Sums]
) -> bool:
    """Whether how far the first reminders came can be told beside how far all pushes of those days
    came: on each day 20 people or more got others, or nobody did."""
    reminded: dict[float, int] = {}
    for row in rows:
        reminded[row.begins] = reminded.get(row.begins, 0) + (0 if row.held else row.people)
    for day, count in reminded.items():
        found, people = way.get(day, Sums()).people, everybody.get(day, Sums()).people
        if people - found < LEAST and not people == found == count:
            return False
    return True


def left_out_of(counts: Mapping[str, int]) -> dict[str, int]:
    """Who was left out, by reason, the most frequent first; {} where they are too few."""
    named, rest = merged({reason: (count,) for reason, count in counts.items()})
    told = {reason: counts[reason] for reason in sorted(named, key=lambda one: -counts[one])}
    others = sum(counts[reason] for reason in rest)
    if others >= LEAST:
        told[OTHER] = told.get(OTHER, 0) + others
    return {reason: rounded(count) for reason, count in told.items()}


def view_of(asked: Asked, standing: Standing, beside: Beside) -> dict[str, Any]:
    """All that is told of it, but for words and days."""
    groups = groups_of(standing.rows, asked.main)
    ended = asked.ended and bool(standing.rows)
    return {
        "id": asked.id,
        "paths": list(asked.paths),
        "apps": sorted({row.app for row in standing.rows}) if ended else [],
        "window_h": asked.window_h,
        "state": "settled" if asked.ended else "so_far",
        "reminded": rounded(groups.reminded.people) if standing.rows else None,
        "held": rounded(groups.held.people) if standing.rows else None,
        "main": asked.main,
        "outcomes": [
            {
                "outcome": name,
                "types": list(asked.types[name]),
                **_figure(figure),
                "late": _few(standing.late[name]) if figure.interval else None,
            }
            for name, figure in standing.figures.items()
        ],
        "parts": [
            {"app": app, "platform": platform, **_part(figure)}
            for (app, platform), figure in standing.parts.items()
        ],
        "others": None if standing.others is None else _sizes(standing.others),
        "left_out": left_out_of(beside.left_out) if ended else {},
        "also_got": _few(beside.also_got) if ended else None,
        "way": way_of(standing, beside.way) if ended else None,
    }


def _figure(figure: Figure) -> dict[str, Any]:
    """A figure; counts of outcomes stand beside an interval only."""
    found: dict[str, Any] = {"verdict": figure.verdict.value, "method": figure.method}
    found |= {"level": LEVEL, "lift": None, "low": None, "high": None}
    found |= {"reminded": None, "held": None}
    if figure.interval is not None:
        found |= {name: round(value, 3) for name, value in figure.interval._asdict().items()}
        found["reminded"] = rounded(figure.groups.reminded.outcome)
        found["held"] = rounded(figure.groups.held.outcome)
    found["needed"] = figure.needed
    found["differed_before"] = figure.differed_before
    return found


def _part(figure: Figure) -> dict[str, Any]:
    told = _figure(figure)
    return _sizes(figure.groups) | {name: told[name] for name in ("lift", "low", "high", "level")}


def _sizes(groups: Groups) -> dict[str, Any]:
    return {
        "people_reminded": rounded(groups.reminded.people),
        "people_held": rounded(groups.held.people),
    }


def _few(count: int) -> int | None:
    """A count of what some people did; None: there are some, and too few to tell."""
    return rounded(count) if is_enough(count) else None


def _parts(
    asked: Asked, rows: Sequence[Entered], whole: Figure
) -> tuple[dict[tuple[str, str], Figure], Groups | None]:
    """The figure by app and platform, where both groups hold 100, and all others together.

    A part has 20 people of a group or nobody between any two cuts: the whole was told at each of
    them, and would differ from it by what a few did.
    """
    theirs: dict[tuple[str, str], list[Entered]] = {}
    for row in rows:
        theirs.setdefault((row.app, row.platform), []).append(row)
    groups = {key: groups_of(of, asked.main) for key, of in theirs.items()}
    sizes = {key: _by_block(of, _ends(rows)) for key, of in theirs.items()}
    named, rest = divided(sizes, _is_part)
    if whole.interval is None or (not named and not rest):
        return {}, None
    fine = Checks(1, 0, Groups())
    # the whole has passed what is checked of it; a part has no verdict
    parts = {
        key: figure_of(groups[key], asked.terms, fine, settled=True)._replace(
            verdict=Verdict.SO_FAR, needed=None
        )
        for key in named
    }
    others = Groups()
    for key in rest:
        others = others.plus(groups[key])
    shown = named and min(others.reminded.people, others.held.people) >= LEAST
    return parts, others if shown else None


def _groups(rows: Sequence[Entered], outcome: Callable[[Entered], int]) -> Groups:
    found = Groups()
    for row in rows:
        group = Group(row.people, outcome(row))
        found = found.plus(Groups(held=group) if row.held else Groups(reminded=group))
    return found


def _days(rows: Sequence[Entered]) -> list[Day]:
    found: dict[float, list[int]] = {}
    for row in rows:
        day = found.setdefault(row.ends, [0, 0])
        day[row.held] += row.people
    return [Day(end, *found[end]) for end in sorted(found)]


def _ends(rows: Sequence[Entered]) -> list[float]:
    return cuts(_days(rows))


def _by_block(rows: Sequence[Entered], ends: Sequence[float]) -> list[int]:
    """How many entered between two cuts, first the reminded, then the held."""
    sizes = [0] * (2 * len(ends))
    for row in rows:
        sizes[bisect_left(ends, row.ends) + row.held * len(ends)] += row.people
    return sizes


def _is_part(sizes: Sequence[int]) -> bool:
    half = len(sizes) // 2
    both = sum(sizes[:half]), sum(sizes[half:])
    return min(both) >= LEAST_IN_GROUP and all(map(is_enough, sizes))


def _blocks(rows: Sequence[Entered]) -> list[list[Entered]]:
    """The days between two cuts."""
    ends = _ends(rows)
    blocks: list[list[Entered]] = [[] for _ in ends]
    for row in rows:
        blocks[bisect_left(ends, row.ends)].append(row)
    return blocks


class Kept(NamedTuple):
    """What is kept of an experiment beside its days."""

    asked: Asked
    heard: Mapping[str, Heard]
    left_out: Mapping[str, int]
    also_got: int


def terms_of(
    asked: Asked, heard: Mapping[str, Heard], left_out: Mapping[str, int], also_got: int
) -> str:
    """All of it as JSON."""
    terms = asked.terms._asdict()
    kept = asked._asdict() | {"terms": terms, "types": dict(asked.types)}
    kept |= {"heard": {name: [*one] for name, one in heard.items()}}
    return json.dumps(kept | {"left_out": dict(left_out), "also_got": also_got})


def read_terms(text: str) -> Kept:
    """What `terms_of` wrote."""
    found = json.loads(text)
    asked = Asked(
        id=found["id"],
        paths=tuple(found["paths"]),
        window_h=found["window_h"],
        terms=Terms(**found["terms"]),
        main=found["main"],
        types={name: tuple(types) for name, types in found["types"].items()},
        ended=found["ended"],
    )
    heard = {name: Heard(*one) for name, one in found["heard"].items()}
    return Kept(asked, heard, found["left_out"], found["also_got"])
