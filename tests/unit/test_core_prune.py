"""The prune brake: when so many devices would go that a person has to look."""

from __future__ import annotations

import pytest

from gateway.core.prune import Brake, BrakeRule

LARGE = 10_000
"""Devices of a lane whose threshold is 500."""


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
    brake = Brake(BrakeRule())
    assert brake.admit(499, devices=LARGE, now=0.0) == 499
    assert brake.admit(1, devices=LARGE, now=1.0) == 1
    assert not brake.on


def test_one_more_trips_the_brake_and_from_then_on_none_goes() -> None:
    brake = Brake(BrakeRule())
    assert brake.admit(500, devices=LARGE, now=0.0) == 500
    assert brake.admit(1, devices=LARGE, now=1.0) == 0
    assert brake.on
    # not even when the window is over or the lane has grown: a person has to look
    assert brake.admit(1, devices=100 * LARGE, now=1_000_000.0) == 0


def test_of_a_batch_that_crosses_the_threshold_the_first_part_goes() -> None:
    brake = Brake(BrakeRule())
    assert brake.admit(700, devices=LARGE, now=0.0) == 500
    assert brake.on


def test_asking_for_nothing_trips_nothing() -> None:
    brake = Brake(BrakeRule(minimum=0))
    assert brake.admit(0, devices=0, now=0.0) == 0
    assert not brake.on


def test_removals_count_for_ten_minutes_and_no_longer() -> None:
    brake = Brake(BrakeRule())
    assert brake.admit(300, devices=LARGE, now=0.0) == 300
    assert brake.admit(200, devices=LARGE, now=300.0) == 200
    # at 600 s the first 300 have left the window, the 200 of 300 s have not
    assert brake.admit(300, devices=LARGE, now=600.0) == 300
    assert not brake.on
    assert brake.admit(1, devices=LARGE, now=899.9) == 0
    assert brake.on


def test_a_steady_trickle_under_the_threshold_never_trips() -> None:
    brake = Brake(BrakeRule())
    minutes = 10_000
    # 49 a minute are 490 in any ten minutes
    gone = sum(brake.admit(49, devices=LARGE, now=60.0 * minute) for minute in range(minutes))
    assert gone == 49 * minutes
    assert not brake.on


def test_when_the_audience_shrinks_to_nothing_the_minimum_still_goes() -> None:
    brake = Brake(BrakeRule())
    assert brake.admit(60, devices=60, now=0.0) == 50
    assert brake.on


def test_a_release_begins_to_count_anew() -> None:
    brake = Brake(BrakeRule())
    brake.admit(501, devices=LARGE, now=0.0)
    brake.release()
    assert not brake.on
    assert brake.admit(500, devices=LARGE, now=1.0) == 500
    assert brake.admit(1, devices=LARGE, now=1.0) == 0


def test_the_rule_can_be_changed_while_it_counts() -> None:
    brake = Brake(BrakeRule())
    brake.admit(100, devices=LARGE, now=0.0)
    brake.rule = BrakeRule(share=0.01, minimum=10, window_s=60.0)
    assert brake.admit(1, devices=LARGE, now=1.0) == 0
    assert brake.on


@pytest.mark.parametrize("wanted", [0, 199, 200, 201, 10_000])
def test_whether_it_would_trip_is_what_admitting_then_does(wanted: int) -> None:
    brake = Brake(BrakeRule())
    brake.admit(300, devices=LARGE, now=0.0)
    foreseen = brake.would_trip(wanted, devices=LARGE, now=1.0)
    assert foreseen is (wanted > 200)
    brake.admit(wanted, devices=LARGE, now=1.0)
    assert brake.on is foreseen


def test_a_brake_that_is_on_cannot_trip_again() -> None:
    assert not Brake(BrakeRule(), on=True).would_trip(10_000, devices=0, now=0.0)


def test_what_went_is_counted_for_ten_minutes() -> None:
    brake = Brake(BrakeRule())
    brake.admit(3, devices=LARGE, now=0.0)
    brake.admit(4, devices=LARGE, now=300.0)
    assert [brake.gone(now) for now in (300.0, 599.9, 600.0, 900.0)] == [7, 7, 4, 0]
