"""How an experiment is told: in words, as data, and never of a few people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from gateway.core.effect import Terms
from gateway.core.effect_standing import (
    Asked,
    Beside,
    Entered,
    Heard,
    left_out_of,
    standing_of,
    view_of,
)
from gateway.core.effect_told import did, each, lines_of
from gateway.core.effect_way import Sums

DAY = 86_400.0
NOTHING = Beside()
SPRING = Asked(
    id="spring",
    paths=("/learning",),
    window_h=168,
    terms=Terms(holdout=0.2, worth=0.03, planned=4000),
    main="completed",
    types={"completed": ("user.course.completed",), "began": ()},
    ended=True,
)
HEARD = {"completed": Heard(1400, 0)}
LEFT_OUT = {"no phone": 400, "shared phones": 185, "exempt or not measured": 25}


def group(
    day: int,
    people: int,
    completed: int,
    *,
    held: bool = False,
    platform: str = "android",
    **changed: Any,
) -> Entered:
    row = Entered(
        day * DAY, (day + 1) * DAY, "agent", platform, held, people, completed, 0, 0, 0, 0, 0
    )
    return row._replace(**changed)


def rows(days: int = 27, *, platform: str = "android") -> list[Entered]:
    """About 34 of 100 against 29, day by day."""
    found = []
    for day in range(days):
        found.append(group(day, 120, 41, platform=platform))
        found.append(group(day, 30, 9 - (day % 4 == 0), held=True, platform=platform))
    return found


def view(
    entered: list[Entered],
    asked: Asked = SPRING,
    beside: Beside = NOTHING,
    heard: Mapping[str, Heard] = HEARD,
) -> dict[str, Any]:
    return view_of(asked, standing_of(asked, entered, heard), beside)


def words(entered: list[Entered], asked: Asked = SPRING, beside: Beside = NOTHING) -> list[str]:
    standing = standing_of(asked, entered, HEARD)
    found = view_of(asked, standing, beside)
    return lines_of(asked, standing, found, "2 to 29 November 2026", "Africa/Nairobi")


def test_a_settled_experiment_reads_as_a_person_would_say_it() -> None:
    way = {day * DAY: Sums(120, 110, 70, 45, 17) for day in range(27)}
    assert "\n".join(words(rows(), beside=Beside(way, LEFT_OUT, 0))) == (
        "Reminders to /learning, app agent, 2 to 29 November 2026 "
        "(spring; one week each; days of Africa/Nairobi)\n"
        "Of 100 people who were reminded, 34 completed a course within a week. "
        "Of 100 who were not, 29.\n"
        "That is 5 more in 100. Allowing for chance: between 1 and 9 more. The reminders helped.\n"
        "Counted: 3 240 people reminded, 810 held back for a week by lot, 610 left out "
        "(400 no phone, 185 shared phones, 25 exempt or not measured).\n"
        "On the way, of the reminded: the vendor took 92 in 100; of 1 890 phones that can tell, "
        "64 in 100 showed it and 24 in 100 were tapped."
    )


def test_json_carries_counts_bounds_level_method_and_the_verdict() -> None:
    found = view(rows())
    (outcome,) = found["outcomes"]
    assert (found["state"], found["reminded"], found["held"]) == ("settled", 3240, 810)
    assert outcome == {
        "outcome": "completed",
        "types": ["user.course.completed"],
        "verdict": "helped",
        "method": "newcombe-10",
        "level": 0.95,
        "lift": 0.05,
        "low": pytest.approx(0.013, abs=0.003),
        "high": pytest.approx(0.085, abs=0.003),
        "reminded": 1107,
        "held": 235,
        "needed": None,
        "differed_before": False,
        "late": 0,
    }


def test_while_people_come_in_only_the_whole_is_told_and_no_verdict() -> None:
    asked = SPRING._replace(ended=False)
    found = view(rows(), asked, Beside({0.0: Sums(120, 110)}, LEFT_OUT, 300))
    assert (found["state"], found["parts"], found["left_out"], found["way"]) == (
        "so_far",
        [],
        {},
        None,
    )
    assert found["outcomes"][0]["verdict"] == "so_far"
    said = words(rows(), asked)
    assert said[1] == "So far, while people still come in:"
    assert "helped" not in " ".join(said)


def test_what_is_shown_moves_by_20_people_of_each_group_or_not_at_all() -> None:
    slow = [group(day, 90, 30) for day in range(9)]
    slow += [group(day, 7, 2, held=True) for day in range(9)]
    shown = [view(slow, SPRING._replace(ended=False))["held"]]
    for days in range(10):
        entered = [row for row in slow if row.ends <= days * DAY]
        shown.append(view(entered, SPRING._replace(ended=False))["held"])
    # 7 a day: after three days 21, after six 42, after nine 63
    assert shown == [65, None, None, None, 20, 20, 20, 40, 40, 40, 65]


def test_before_20_of_each_group_are_through_nothing_is_told() -> None:
    few = [group(0, 500, 100), group(0, 19, 5, held=True)]
    found = view(few)
    assert (found["reminded"], found["held"], found["left_out"]) == (None, None, {})
    assert words(few)[1:] == ["Too few people are through their time yet: nothing can be told."]


def test_too_few_to_tell_says_how_many_there_are_and_no_outcome() -> None:
    few = [group(0, 500, 100), group(0, 99, 25, held=True)]
    found = view(few, SPRING._replace(terms=Terms(0.17, 0.03, 600)))
    (outcome,) = found["outcomes"]
    assert (found["reminded"], found["held"]) == (500, 100)
    assert (outcome["verdict"], outcome["reminded"], outcome["lift"]) == ("too_few", None, None)
    assert outcome["late"] is None


def test_what_comes_later_is_added_and_told() -> None:
    late = [*rows()[:-2], group(26, 120, 41, completed_late=25), group(26, 30, 8, held=True)]
    found = view(late)["outcomes"][0]
    assert (found["late"], found["reminded"]) == (25, 1132)
    assert "25 came later than expected, and are counted in." in words(late)
    few = [*rows()[:-2], group(26, 120, 41, completed_late=3), group(26, 30, 8, held=True)]
    assert view(few)["outcomes"][0]["late"] is None
    assert "Fewer than 20 came later than expected, and are counted in." in words(few)


def test_a_part_is_told_where_both_groups_hold_100_and_without_a_verdict() -> None:
    found = view([*rows(), *rows(20, platform="ios"), *rows(1, platform="web")])
    assert [(one["platform"], one["people_held"]) for one in found["parts"]] == [
        ("android", 810),
        ("ios", 600),
    ]
    assert all("verdict" not in one for one in found["parts"])
    assert found["others"] == {"people_reminded": 120, "people_held": 30}


def test_a_part_that_could_be_had_by_subtraction_is_told_with_others() -> None:
    small = [group(0, 120, 40, platform="web"), group(0, 7, 2, held=True, platform="web")]
    found = view([*rows(), *rows(20, platform="ios"), *small])
    # the web alone would be what is left of the whole, so iOS is with it
    assert [one["platform"] for one in found["parts"]] == ["android"]
    assert found["others"] == {"people_reminded": 2520, "people_held": 605}


def test_began_stands_below_the_main_figure_and_may_be_the_main_one() -> None:
    both = SPRING._replace(types={"completed": ("a.completed",), "began": ("a.started",)})
    heard = {"completed": Heard(9, 0), "began": Heard(9, 0)}
    assert [one["outcome"] for one in view(rows(), both, heard=heard)["outcomes"]] == [
        "completed",
        "began",
    ]
    found = view(rows(), both._replace(main="began"), heard=heard)
    assert [one["outcome"] for one in found["outcomes"]] == ["began", "completed"]


def test_nobody_is_told_of_who_were_left_out_for_a_rare_reason() -> None:
    assert left_out_of(LEFT_OUT) == LEFT_OUT
    assert left_out_of({"no phone": 400, "exempt": 12, "shared phones": 9}) == {
        "no phone": 400,
        "other": 20,
    }
    assert left_out_of({"no phone": 400, "exempt": 12}) == {"other": 410}
    assert left_out_of({"exempt": 12}) == {}


def test_names_of_outcomes_and_windows_are_words() -> None:
    assert did("completed", ["user.course.completed"]) == "completed a course"
    assert did("began", ["user.lesson.started"]) == "began something"
    assert [each(hours) for hours in (168, 336, 24, 72, 36)] == [
        "one week each",
        "2 weeks each",
        "one day each",
        "3 days each",
        "36 hours each",
    ]
