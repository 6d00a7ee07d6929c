"""The prune brake: when so many devices would go that a person has to look."""

from __future__ import annotations

import pytest

from gateway.core.clocks import Wall
from gateway.core.prune import Admission, Brake, BrakeRule, Gone, admission

LARGE = 10_000
"""Devices of a lane whose threshold is 500."""


NOW = Wall(0.0)
NONE = Gone()
RULE = BrakeRule()


def ask(
    wanted: int,
    gone: Gone = NONE,
    *,
    rule: BrakeRule = RULE,
    devices: int = LARGE,
    on: bool = False,
) -> Admission:
    brake = Brake(rule, devices, counted=True, clock=lambda: NOW)
    found = admission(brake, wanted, gone, on=on)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("devices", "threshold"),
    [
        (0, 50),
        (10, 50),  # a small lane: 50 devices, all of them if need be
        (1000, 50),  # 5 % of 1 000 is the minimum itself
        (1019, 50),
        (1020, 51),
        (LARGE, 500),
        (1_000_000, 50_000),
    ],
)
def test_the_threshold_is_5_percent_and_at_least_50(devices: int, threshold: int) -> None:
    assert BrakeRule().threshold(devices) == threshold


def test_up_to_the_threshold_all_go_and_the_brake_stays_off() -> None:
    assert ask(500) == Admission(500, tripped=False, devices=LARGE)
    assert ask(1, Gone(499, LARGE)) == Admission(1, tripped=False, devices=LARGE)


def test_one_more_trips_the_brake() -> None:
    assert ask(1, Gone(500, LARGE)) == Admission(0, tripped=True, devices=LARGE)


def test_of_a_batch_that_crosses_the_threshold_the_first_part_goes() -> None:
    assert ask(700, Gone(100, LARGE)) == Admission(400, tripped=True, devices=LARGE)


def test_while_it_is_on_none_goes_however_large_the_lane_has_become() -> None:
    found = ask(1, Gone(0, LARGE), devices=100 * LARGE, on=True)
    assert found == Admission(0, tripped=False, devices=100 * LARGE)


def test_asking_for_nothing_trips_nothing() -> None:
    assert not ask(0, rule=BrakeRule(minimum=0), devices=0).tripped


def test_when_the_audience_shrinks_to_nothing_the_minimum_still_goes() -> None:
    assert ask(60, devices=60) == Admission(50, tripped=True, devices=60)


@pytest.mark.parametrize("left", [LARGE, LARGE - 250, LARGE - 499])
def test_a_wave_neither_lowers_nor_raises_its_own_threshold(left: int) -> None:
    """Whatever of the wave the last count has seen."""
    assert ask(2, Gone(499, LARGE), devices=left) == Admission(1, tripped=True, devices=LARGE)


def test_more_gone_than_the_rule_now_allows_lets_none_go() -> None:
    strict = BrakeRule(share=0.01, minimum=10)
    found = ask(1, Gone(100, 1000), rule=strict, devices=1000)
    assert found == Admission(0, tripped=True, devices=1000)


@pytest.mark.parametrize("wanted", [0, 199, 200, 201, 10_000])
def test_only_a_brake_that_would_trip_asks_for_a_new_count(wanted: int) -> None:
    brake = Brake(BrakeRule(), LARGE, counted=False, clock=lambda: NOW)
    found = admission(brake, wanted, Gone(300, LARGE), on=False)
    assert (found is None) is (wanted > 200)


def test_a_brake_that_is_on_asks_for_no_count() -> None:
    brake = Brake(BrakeRule(), 0, counted=False, clock=lambda: NOW)
    assert admission(brake, 10_000, Gone(), on=True) == Admission(0, tripped=False, devices=0)
