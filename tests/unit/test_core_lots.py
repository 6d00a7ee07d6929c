"""Who enters an experiment, and whom the lot holds."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from gateway.core.experiments import Experiment
from gateway.core.lots import LeftOut, Standing, is_held, left_out, person_of, reason
from gateway.core.model import DENIED, MEASURED, NOT_MEASURED, Item
from gateway.core.sources import Limits
from tests.kit.build import NOW, item, target

DAY_S = 86_400.0
KEY = b"k" * 32
SPRING = Experiment("spring", 0.1, ("learnink",), ("/learning*",), ("/learning/exam*",))


@pytest.mark.parametrize(
    ("one", "person"),
    [
        (item(), "mary"),
        (item(path="/learning/7", custom_id="own"), "mary"),
        (item(path=None), None),
        (item(path=""), None),
        (item(path="/news"), None),
        (item(path="/learning/exam/7"), None),
        (item(user_id=None, custom_id="own"), None),
        (item()._replace(source="learnink"), "mary"),
        (item()._replace(source="api"), None),
        (item()._replace(source="staging"), None),
        (item()._replace(collapse_id="msg_0:0:/learning"), None),
    ],
)
def test_a_reminder_is_of_a_named_source_and_path_and_names_its_person(
    one: Item, person: str | None
) -> None:
    assert person_of(SPRING, one) == person


def test_the_person_may_be_the_other_kind_of_id() -> None:
    own = replace(SPRING, person="custom_id")
    assert person_of(own, item(custom_id="own")) == "own"
    assert person_of(own, item()) is None


GRANTED = target()._replace(stated=MEASURED)


@pytest.mark.parametrize(
    ("given", "measure", "why"),
    [
        ({}, "opt_in", None),
        ({"targets": [target()]}, "opt_out", None),
        ({"targets": []}, "opt_in", "no_device"),
        ({"targets": [GRANTED._replace(stated=MEASURED | DENIED)]}, "opt_in", "no_device"),
        ({"targets": [GRANTED, target(2)._replace(stated=DENIED)]}, "opt_in", None),
        ({"user_changed_at": {1: NOW - 89 * DAY_S}}, "opt_in", "shared"),
        ({"user_changed_at": {1: NOW - 91 * DAY_S}}, "opt_in", None),
        ({"is_exempt": True}, "opt_in", "exempt"),
        ({"targets": [target()]}, "opt_in", "not_measured"),
        ({"targets": [target()._replace(stated=NOT_MEASURED)]}, "opt_out", "not_measured"),
        ({"targets": [GRANTED, target(2)._replace(stated=NOT_MEASURED)]}, "opt_in", "not_measured"),
        ({"held_until": NOW - 27 * DAY_S}, "opt_in", "held_lately"),
        ({"held_until": NOW - 29 * DAY_S}, "opt_in", None),
    ],
)
def test_who_enters_is_known_before_the_lot(
    given: dict[str, Any], measure: str, why: LeftOut | None
) -> None:
    standing = Standing(**{"targets": [GRANTED], "user_changed_at": {1: None}, **given})
    assert left_out(item(), standing, now=NOW, measure=measure) == why


def test_nobody_of_a_source_for_test_users_enters() -> None:
    limited = item()._replace(limits=Limits(users=frozenset({"word"})))
    standing = Standing([GRANTED], {})
    assert left_out(limited, standing, now=NOW, measure="opt_in") == "only_users"


def test_the_lot_holds_its_share_and_is_the_same_each_time() -> None:
    people = [f"user-{number}" for number in range(20_000)]
    held = [is_held(SPRING, one, KEY) for one in people]
    assert held == [is_held(SPRING, one, KEY) for one in people]
    # five standard deviations
    assert abs(sum(held) - 2_000) < 5 * math.sqrt(20_000 * 0.1 * 0.9)


@pytest.mark.parametrize(("holdout", "held"), [(0.0, False), (1.0, True)])
def test_a_share_of_none_or_all_is_that(holdout: float, held: bool) -> None:
    every = replace(SPRING, holdout=holdout)
    assert {is_held(every, f"user-{number}", KEY) for number in range(500)} == {held}


def test_two_experiments_and_two_keys_draw_independently() -> None:
    people = [f"user-{number}" for number in range(20_000)]
    half = replace(SPRING, holdout=0.5)
    drawn = [is_held(half, one, KEY) for one in people]
    for other, key in ((replace(half, id="autumn"), KEY), (half, b"x" * 32)):
        same = sum(
            is_held(other, one, key) is one_held
            for one, one_held in zip(people, drawn, strict=True)
        )
        assert abs(same - 10_000) < 5 * math.sqrt(20_000 * 0.25)


def test_the_reason_says_which_and_until_when() -> None:
    assert reason("spring", NOW) == "held back by experiment spring until 15 January"
