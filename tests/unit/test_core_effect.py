"""The figure of an experiment: its arithmetic, and when there is none."""

from __future__ import annotations

import random

import pytest

from gateway.core.effect import (
    Checks,
    Figure,
    Group,
    Groups,
    Interval,
    Terms,
    Verdict,
    cautious_z,
    figure_of,
    half_width,
    newcombe,
    people_needed,
    sizes_fit,
    so_far,
    verdict_of,
    wilson,
)

TERMS = Terms(holdout=0.2, worth=0.03, planned=4000)
FINE = Checks(events=1000, unnamed=0, before=Groups())


def groups(y1: int, n1: int, y0: int, n0: int) -> Groups:
    return Groups(Group(n1, y1), Group(n0, y0))


def figure(found: Groups, checks: Checks = FINE, *, settled: bool = True) -> Figure:
    return figure_of(found, TERMS, checks, settled=settled)


@pytest.mark.parametrize(
    ("counted", "low", "high"),
    [
        ((56, 70, 48, 80), 0.0524, 0.3339),
        ((9, 10, 3, 10), 0.1705, 0.8090),
        ((6, 7, 2, 7), 0.0582, 0.8062),
        ((5, 56, 0, 29), -0.0381, 0.1926),
        ((0, 10, 0, 20), -0.1611, 0.2775),
        ((0, 10, 0, 10), -0.2775, 0.2775),
        ((10, 10, 0, 20), 0.6791, 1.0000),
        ((10, 10, 0, 10), 0.6075, 1.0000),
    ],
)
def test_the_printed_examples_of_method_10_come_out_to_four_digits(
    counted: tuple[int, int, int, int], low: float, high: float
) -> None:
    found = newcombe(groups(*counted))
    assert (round(found.low, 4), round(found.high, 4)) == (low, high)


def test_swapped_groups_have_the_negative_interval_and_bounds_stay_within_one() -> None:
    chance = random.Random(1)
    for _ in range(2000):
        n1, n0 = chance.randint(1, 400), chance.randint(1, 400)
        counted = chance.randint(0, n1), n1, chance.randint(0, n0), n0
        found, swapped = newcombe(groups(*counted)), newcombe(groups(*counted[2:], *counted[:2]))
        assert (found.lift, found.low, found.high) == pytest.approx(
            (-swapped.lift, -swapped.high, -swapped.low), abs=1e-12
        )
        assert -1 <= found.low <= found.lift <= found.high <= 1


def test_a_share_of_nothing_or_of_all_has_a_bound_at_the_end() -> None:
    assert wilson(Group(10, 0))[0] == 0
    assert wilson(Group(10, 10))[1] == 1


def test_looks_while_people_come_in_are_wider_and_least_so_at_the_planned_number() -> None:
    factors = [cautious_z(people, 4000) for people in (100, 1000, 4000, 16000, 64000)]
    assert min(factors) == factors[2]
    assert 2.7 < factors[2] < 3.1
    found = groups(340, 1000, 290, 1000)
    assert so_far(found, 4000).low < newcombe(found).low
    assert so_far(found, 4000).high > newcombe(found).high


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.001, 0.09, Verdict.HELPED),
        (-0.09, -0.001, Verdict.LESS),
        (-0.03, 0.03, Verdict.LITTLE),
        (0.0, 0.02, Verdict.LITTLE),
        (-0.01, 0.11, Verdict.UNCLEAR),
        (-0.04, 0.02, Verdict.UNCLEAR),
    ],
)
def test_the_verdict_is_where_the_interval_lies(low: float, high: float, expected: Verdict) -> None:
    assert verdict_of(Interval(0, low, high), 0.03) is expected


def test_there_is_no_verdict_so_far() -> None:
    found = figure(groups(1360, 3200, 232, 800), settled=False)
    assert found.verdict is Verdict.SO_FAR
    assert found.interval is not None


@pytest.mark.parametrize(
    ("counted", "checks", "reason"),
    [
        ((134, 396, 25, 99), FINE, Verdict.TOO_FEW),
        ((4, 400, 20, 100), FINE, Verdict.TOO_FEW),
        ((396, 400, 20, 100), FINE, Verdict.TOO_FEW),
        ((130, 400, 4, 100), FINE, Verdict.TOO_FEW),
        ((130, 400, 96, 100), FINE, Verdict.TOO_FEW),
        ((1000, 3000, 300, 1000), FINE, Verdict.SIZES_DIFFER),
        ((1000, 3200, 240, 800), FINE._replace(unnamed=101), Verdict.UNNAMED),
        ((1000, 3200, 240, 800), FINE._replace(events=0), Verdict.NO_EVENTS),
    ],
)
def test_a_figure_that_may_mislead_is_not_shown_but_its_reason_is(
    counted: tuple[int, int, int, int], checks: Checks, reason: Verdict
) -> None:
    for settled in (True, False):
        found = figure(groups(*counted), checks, settled=settled)
        assert (found.verdict, found.interval) == (reason, None)


def test_at_the_limits_it_is_shown() -> None:
    assert figure(groups(5, 400, 95, 100)).interval is not None
    fine = groups(1000, 3200, 240, 800)
    assert figure(fine, FINE._replace(unnamed=100)).interval is not None


def test_groups_that_differed_before_they_entered_are_a_warning() -> None:
    fine = groups(1000, 3200, 240, 800)
    differed = figure(fine, FINE._replace(before=groups(960, 3200, 160, 800)))
    assert differed.differed_before
    assert differed.interval is not None
    assert not figure(fine, FINE._replace(before=groups(960, 3200, 240, 800))).differed_before


def test_the_lot_makes_groups_of_nearly_its_sizes() -> None:
    assert sizes_fit(groups(0, 2700, 0, 300), 0.1)
    assert sizes_fit(groups(0, 2750, 0, 250), 0.1)
    assert not sizes_fit(groups(0, 2760, 0, 240), 0.1)
    assert not sizes_fit(groups(0, 2640, 0, 360), 0.1)
    assert sizes_fit(Groups(), 0.1)


@pytest.mark.parametrize(
    ("lift", "holdout", "people"),
    [(0.05, 0.1, 7400), (0.05, 0.2, 4200), (0.03, 0.1, 20500), (0.03, 0.2, 11600)],
)
def test_how_many_people_find_a_lift_in_8_of_10_experiments(
    lift: float, holdout: float, people: int
) -> None:
    assert people_needed(base=0.3, lift=lift, holdout=holdout) == people


def test_a_verdict_that_cannot_tell_says_how_many_people_could() -> None:
    found = figure(groups(280, 800, 60, 200))
    assert (found.verdict, found.needed) == (Verdict.UNCLEAR, 4200)
    # a lift of nothing is looked for by what would be worth having
    assert figure(groups(240, 800, 60, 200)).needed == people_needed(
        base=0.3, lift=0.03, holdout=0.2
    )


def test_half_the_width_is_as_the_plan_says() -> None:
    assert round(100 * half_width(people=3000, base=0.3, holdout=0.1), 1) == 5.5
    assert round(100 * half_width(people=3000, base=0.3, holdout=0.2), 1) == 4.1
    assert round(100 * half_width(people=30000, base=0.3, holdout=0.1), 1) == 1.7
