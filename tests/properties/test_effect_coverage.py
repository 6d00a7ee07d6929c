"""The interval holds the truth in 95 of 100 experiments, also for those who look every day.

`EFFECT_SEEDS=1000 EFFECT_PEOPLE=300,3000,30000` makes it large.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from functools import cache
from itertools import accumulate, product

import pytest

from gateway.core.effect import LEAST_IN_GROUP, Groups, newcombe, so_far
from tests.kit.reminded import by_day, population

SEEDS = int(os.environ.get("EFFECT_SEEDS", "200"))
PEOPLE = [int(size) for size in os.environ.get("EFFECT_PEOPLE", "3000").split(",")]
#: of 100 intervals, how many hold the truth, for chance alone
BAND = (93.0, 97.0) if SEEDS >= 1000 else (91.5, 98.0)

#: the share held, and whether reminders help; by hand each with each
KINDS = [(0.1, False), (0.2, True)] if SEEDS < 1000 else [*product([0.1, 0.2], [False, True])]

each_kind = pytest.mark.parametrize(("holdout", "helps"), KINDS)
each_size = pytest.mark.parametrize("size", PEOPLE)


@cache
def experiments(size: int, holdout: float, helps: bool) -> list[tuple[list[Groups], float]]:
    """What each experiment shows after each of its days, and the truth."""

    def made() -> Iterator[tuple[list[Groups], float]]:
        for seed in range(SEEDS):
            people = population(seed, size=size, holdout=holdout, helps=helps)
            yield list(accumulate(by_day(people), Groups.plus)), people.lift

    return list(made())


@each_size
@each_kind
def test_the_settled_interval_holds_the_truth_in_95_of_100(
    size: int, holdout: float, helps: bool
) -> None:
    shown, lifts, truths = 0, 0.0, 0.0
    for days, truth in experiments(size, holdout, helps):
        interval = newcombe(days[-1])
        shown += interval.low <= truth <= interval.high
        lifts += interval.lift
        truths += truth
    coverage = 100 * shown / SEEDS
    known = f"{100 * lifts / SEEDS:.2f} shown, {100 * truths / SEEDS:.2f} true"
    told = f"{size} people, {holdout}, {helps}: {coverage} hold the truth, {known}\n"
    sys.stdout.write(told)
    assert BAND[0] <= coverage <= BAND[1], told
    assert 0.045 < truths / SEEDS < 0.055 if helps else abs(truths) < 1e-9, told


@each_size
@each_kind
def test_a_look_a_day_is_wrong_at_some_time_in_at_most_5_of_100(
    size: int, holdout: float, helps: bool
) -> None:
    wrong = 0
    for days, truth in experiments(size, holdout, helps):
        looks = [groups for groups in days if groups.held.people >= min(LEAST_IN_GROUP, size // 20)]
        found = [so_far(groups, size) for groups in looks]
        wrong += not all(one.low <= truth <= one.high for one in found)
    told = f"{size} people, {holdout}, {helps}: {100 * wrong / SEEDS} wrong at some time\n"
    sys.stdout.write(told)
    assert wrong <= 0.05 * SEEDS, told
