"""Whatever people days have: any two figures that are shown, of any days, are about the same
people, or differ by 20 or more."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.effect import Terms
from gateway.core.effect_cells import LEAST, is_enough
from gateway.core.effect_standing import (
    Asked,
    Beside,
    Entered,
    Heard,
    standing_of,
    view_of,
)
from gateway.core.effect_way import Cell, Counted, Sums, told, units

CELLS = [
    Cell(app, platform, source)
    for app, platform in (("agent", "android"), ("agent", "ios"), ("field", "android"), ("", ""))
    for source in ("learnink", "staging")
]
REASONS = ["", "expired", "refused BadTopic"]

Person = tuple[int, int]
"""The day and a number."""

groups = st.lists(
    st.tuples(st.sampled_from(CELLS), st.sampled_from(REASONS), st.booleans(), st.integers(1, 45)),
    max_size=12,
)


def people_of(
    day: int, given_groups: list[tuple[Cell, str, bool, int]]
) -> list[tuple[Person, Cell, str, bool]]:
    """Everybody of a day: who, in which cell, for which reason, and whether a phone can tell."""
    found: list[tuple[Person, Cell, str, bool]] = []
    for cell, reason, can, size in given_groups:
        for _ in range(size):
            found.append(((day, len(found)), cell, reason, can and not reason))
    return found


def counted(people: list[tuple[Person, Cell, str, bool]]) -> Counted:
    cells: dict[Cell, Sums] = {}
    reasons: dict[tuple[Cell, str], int] = {}
    for _, cell, reason, can in people:
        one = Sums(1, not reason, can, 0, 0)
        cells[cell] = cells.get(cell, Sums()).plus(one)
        if reason:
            reasons[cell, reason] = reasons.get((cell, reason), 0) + 1
    return Counted(cells, reasons)


def shown(people: list[tuple[Person, Cell, str, bool]]) -> Iterator[tuple[str, frozenset[Person]]]:
    """What is shown of a day: the name of a figure, and whom it is about."""
    day = counted(people)
    together = units(day.cells)
    for cell, part in told(day).items():
        of = [one for one in people if one[1] in together[cell]]
        name = "other" if cell is None else f"{cell.app}/{cell.platform}"
        assert part.people == len(of)
        yield f"people {name}", frozenset(one[0] for one in of)
        yield "people", frozenset(one[0] for one in of)
        if part.over:
            over = [one for one in of if one[3] or part.over == len(of)]
            assert part.over == len(over)
            yield f"over {name}", frozenset(one[0] for one in over)
            yield "over", frozenset(one[0] for one in over)
        for reason, count in part.reasons.items():
            named = {one[2] for one in of} - set(part.reasons) if reason == "other" else {reason}
            why = [one[0] for one in of if one[2] in named and one[2]]
            assert count == len(why)
            yield f"reason {reason}", frozenset(why)
            yield f"reason {reason} {name}", frozenset(why)


@given(st.lists(groups, min_size=1, max_size=3))
def test_any_two_figures_are_about_the_same_people_or_differ_by_20(
    days: list[list[tuple[Cell, str, bool, int]]],
) -> None:
    by_day: list[dict[str, set[Person]]] = []
    for number, day in enumerate(days):
        names: dict[str, set[Person]] = {}
        for name, people in shown(people_of(number, day)):
            assert len(people) >= LEAST
            names.setdefault(name, set()).update(people)
        by_day.append(names)
    figures: list[frozenset[Person]] = []
    for first, last in combinations(range(len(days) + 1), 2):
        span: dict[str, set[Person]] = {}
        for names in by_day[first:last]:
            for name, some in names.items():
                span.setdefault(name, set()).update(some)
        figures += [frozenset(people) for people in span.values()]
    for one, other in combinations(figures, 2):
        assert is_enough(len(one ^ other))


# --- experiments ----------------------------------------------------------------------------------

ASKED = Asked(
    id="spring",
    paths=("/learning",),
    window_h=168,
    terms=Terms(0.2, 0.03, 1000),
    main="completed",
    types={"completed": ("done",), "began": ()},
    ended=False,
)
HEARD = {"completed": Heard(1, 0)}
_PLATFORMS = ("android", "ios", "web")

entries = st.lists(
    st.lists(
        st.tuples(st.sampled_from(_PLATFORMS), st.booleans(), st.integers(1, 150)), max_size=5
    ),
    max_size=4,
)


def told_of_experiment(rows: list[Entered], *, ended: bool) -> Iterator[frozenset[Person]]:
    """Whom the figures are about, of an experiment of which these days are settled."""

    def people(some: Iterable[Entered], held: bool) -> frozenset[Person]:
        return frozenset(
            (int(row.begins) * 6 + _PLATFORMS.index(row.platform) * 2 + held, number)
            for row in some
            if row.held is held
            for number in range(row.people)
        )

    held_ones = sum(row.people for row in rows if row.held)
    share = min(max(held_ones / max(sum(row.people for row in rows), 1), 0.01), 0.99)
    asked = ASKED._replace(ended=ended, terms=ASKED.terms._replace(holdout=share))
    standing = standing_of(asked, rows, HEARD)
    view = view_of(asked, standing, Beside())
    for held in (False, True):
        if view["reminded"] is not None:
            yield people(standing.rows, held)
        named = {platform for _, platform in standing.parts}
        for platform in sorted(named):
            yield people((row for row in standing.rows if row.platform == platform), held)
        if view["others"] is not None:
            yield people((row for row in standing.rows if row.platform not in named), held)


@given(entries)
def test_any_two_looks_at_an_experiment_are_about_the_same_people_or_differ_by_20(
    days: list[list[tuple[str, bool, int]]],
) -> None:
    rows: list[Entered] = []
    figures: list[frozenset[Person]] = []
    for number, day in enumerate(days):
        sizes: dict[tuple[str, bool], int] = {}
        for platform, held, size in day:
            sizes[platform, held] = sizes.get((platform, held), 0) + size
        for (platform, held), size in sorted(sizes.items()):
            done = min(size, 9)
            ends = float(number + 1)
            rows.append(Entered(number, ends, "agent", platform, held, size, done, 0, 0, 0, 0, 0))
        figures += told_of_experiment(rows, ended=False)
    figures += told_of_experiment(rows, ended=True)
    for one, other in combinations(figures, 2):
        assert is_enough(len(one ^ other))
