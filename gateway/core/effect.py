"""Whether reminders help: the figure of an experiment, and when it is not shown. Pure.

Two groups were drawn by lot, person by person. The lift is the difference of their shares, in an
interval by Newcombe's method 10: Wilson's score interval for each share (JASA 22, 1927, 209-212),
joined by square-and-add (Statistics in Medicine 17, 1998, 873-890), without continuity correction.
While people still come in, a confidence sequence takes its place (Annals of Statistics 2024, arXiv
2103.06476), so that somebody may look every day.

Owns the arithmetic, the verdicts and the checks. Refuses to know words (`effect_words.py`), and
which counts may be shown (`effect_cells.py`).
"""

from __future__ import annotations

from enum import StrEnum
from math import ceil, log, sqrt
from typing import NamedTuple

LEVEL = 0.95
METHOD = "newcombe-10"
SEQUENCE = "newcombe-10, confidence sequence"

#: two-sided 95 % and one-sided 80 % points of the normal distribution
Z = 1.959963984540054
_POWER = 0.8416212335729143
#: what chance alone exceeds once in a thousand, with one degree of freedom
_CHI_SQUARE = 10.83
#: of outcome events, the share that may name nobody
_UNNAMED = 0.1
#: a lift needs so many people in each group, and so many with and without the outcome
LEAST_IN_GROUP = 100
_LEAST_OUTCOMES = 5


class Group(NamedTuple):
    """People, and how many of them had the outcome."""

    people: int
    outcome: int

    @property
    def share(self) -> float:
        """0 where there is nobody."""
        return self.outcome / self.people if self.people else 0.0

    def plus(self, other: Group) -> Group:
        """Both together."""
        return Group(self.people + other.people, self.outcome + other.outcome)


class Groups(NamedTuple):
    """Those who were reminded, and those whose reminders the lot held back."""

    reminded: Group = Group(0, 0)
    held: Group = Group(0, 0)

    @property
    def people(self) -> int:
        """Of both groups."""
        return self.reminded.people + self.held.people

    def plus(self, other: Groups) -> Groups:
        """Both together, group by group."""
        return Groups(self.reminded.plus(other.reminded), self.held.plus(other.held))


class Interval(NamedTuple):
    """A lift and the bounds that chance allows, as shares of 1."""

    lift: float
    low: float
    high: float


class Terms(NamedTuple):
    """What was fixed before the first person entered. `worth` is the lift that would be worth
    having, as a share of 1; `planned`, how many people the experiment was to have."""

    holdout: float
    worth: float
    planned: int


class Checks(NamedTuple):
    """What speaks for or against a figure: outcome events of the listed types, how many of them
    name nobody, and the groups in the time before they entered."""

    events: int
    unnamed: int
    before: Groups


class Verdict(StrEnum):
    """What the figure says, or why there is none."""

    HELPED = "helped"
    LESS = "less"
    LITTLE = "little"
    UNCLEAR = "unclear"
    SO_FAR = "so_far"
    TOO_FEW = "too_few"
    SIZES_DIFFER = "sizes_differ"
    UNNAMED = "unnamed"
    NO_EVENTS = "no_events"


class Figure(NamedTuple):
    """The figure of one outcome. `interval` is None where none is shown, and `verdict` says why;
    `needed` people could tell where this cannot; `differed_before`: the groups did already."""

    groups: Groups
    interval: Interval | None
    verdict: Verdict
    method: str
    needed: int | None = None
    differed_before: bool = False


def wilson(group: Group, z: float = Z) -> tuple[float, float]:
    """The score interval of a share; the group has somebody in it."""
    n, p = group.people, group.share
    base = 1 + z * z / n
    middle = (p + z * z / (2 * n)) / base
    half = z * sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / base
    # at 0 and 1 the formula gives just these, but for the rounding of the machine
    low = 0.0 if group.outcome == 0 else middle - half
    high = 1.0 if group.outcome == n else middle + half
    return low, high


def newcombe(groups: Groups, z: float = Z) -> Interval:
    """The lift of the reminded over the held, with its bounds; neither group is empty."""
    p1, p0 = groups.reminded.share, groups.held.share
    low1, high1 = wilson(groups.reminded, z)
    low0, high0 = wilson(groups.held, z)
    lift = p1 - p0
    low = lift - sqrt((p1 - low1) ** 2 + (high0 - p0) ** 2)
    high = lift + sqrt((high1 - p1) ** 2 + (p0 - low0) ** 2)
    return Interval(lift, max(-1.0, low), min(1.0, high))


def cautious_z(people: int, planned: int) -> float:
    """What takes the place of 1.96 after so many people, so that the interval holds at all looks
    together. It is narrowest at about `planned` people."""
    twice = -2 * log(1 - LEVEL)
    spread = (twice + log(twice) + 1) / max(planned, 1)
    grown = people * spread + 1
    return sqrt(2 * grown / (people * spread) * log(sqrt(grown) / (1 - LEVEL)))


def so_far(groups: Groups, planned: int) -> Interval:
    """The lift while people still come in."""
    return newcombe(groups, cautious_z(groups.people, planned))


def people_needed(*, base: float, lift: float, holdout: float) -> int:
    """How many people find this lift in 8 of 10 experiments, in hundreds; `base` is the share of
    the held with the outcome."""
    reminded = min(max(base + lift, 0.0), 1.0)
    spread = reminded * (1 - reminded) / (1 - holdout) + base * (1 - base) / holdout
    return ceil((Z + _POWER) ** 2 * spread / lift**2 / 100) * 100


def half_width(*, people: int, base: float, holdout: float) -> float:
    """Half the width of the interval that so many people will have, if there is no lift."""
    reminded, held = people * (1 - holdout), people * holdout
    return Z * sqrt(base * (1 - base) * (1 / reminded + 1 / held))


def sizes_fit(groups: Groups, holdout: float) -> bool:
    """Whether the lot can have made groups of these sizes."""
    people = groups.people
    if not people:
        return True
    off = groups.held.people - people * holdout
    return off * off / (people * holdout) + off * off / (people * (1 - holdout)) <= _CHI_SQUARE


def has_enough(groups: Groups) -> bool:
    """Whether a lift of these says nothing of anyone."""
    return all(
        group.people >= LEAST_IN_GROUP
        and group.outcome >= _LEAST_OUTCOMES
        and group.people - group.outcome >= _LEAST_OUTCOMES
        for group in groups
    )


def figure_of(groups: Groups, terms: Terms, checks: Checks, *, settled: bool) -> Figure:
    """The figure, or why there is none; not `settled` while people or outcomes may still come."""
    method = METHOD if settled else SEQUENCE
    if not checks.events:
        return Figure(groups, None, Verdict.NO_EVENTS, method)
    if checks.unnamed > _UNNAMED * checks.events:
        return Figure(groups, None, Verdict.UNNAMED, method)
    if not sizes_fit(groups, terms.holdout):
        return Figure(groups, None, Verdict.SIZES_DIFFER, method)
    if not has_enough(groups):
        return Figure(groups, None, Verdict.TOO_FEW, method)
    differed = _leaves_out_zero(checks.before)
    if not settled:
        interval = so_far(groups, terms.planned)
        return Figure(groups, interval, Verdict.SO_FAR, method, differed_before=differed)
    interval = newcombe(groups)
    verdict = verdict_of(interval, terms.worth)
    needed = None
    if verdict is Verdict.UNCLEAR:
        lift = max(abs(interval.lift), terms.worth)
        needed = people_needed(base=groups.held.share, lift=lift, holdout=terms.holdout)
    return Figure(groups, interval, verdict, method, needed, differed)


def verdict_of(interval: Interval, worth: float) -> Verdict:
    """What a settled interval says, by where it lies."""
    if interval.low > 0:
        return Verdict.HELPED
    if interval.high < 0:
        return Verdict.LESS
    if -worth <= interval.low and interval.high <= worth:
        return Verdict.LITTLE
    return Verdict.UNCLEAR


def _leaves_out_zero(groups: Groups) -> bool:
    if not groups.reminded.people or not groups.held.people:
        return False
    interval = newcombe(groups)
    return interval.low > 0 or interval.high < 0
