"""The figure of an experiment in words."""

from __future__ import annotations

import pytest

from gateway.core.effect import Checks, Group, Groups, Interval, Terms, Verdict, figure_of
from gateway.core.effect_words import between, difference, listed, number, people, span, told

TERMS = Terms(holdout=0.2, worth=0.03, planned=4000)
FINE = Checks(events=1000, unnamed=0, before=Groups())


def words(
    y1: int, n1: int, y0: int, n0: int, *, settled: bool = True, checks: Checks = FINE
) -> str:
    found = Groups(Group(n1, y1), Group(n0, y0))
    return "\n".join(
        told(figure_of(found, TERMS, checks, settled=settled), "completed a course", 168)
    )


def test_a_lift_is_told_by_100_people_with_its_bounds_and_a_verdict() -> None:
    assert words(1102, 3240, 232, 800) == (
        "Of 100 people who were reminded, 34 completed a course within a week. "
        "Of 100 who were not, 29.\n"
        "That is 5 more in 100. Allowing for chance: between 1 and 9 more. The reminders helped."
    )


def test_a_loss_is_to_be_looked_into() -> None:
    assert words(928, 3200, 280, 800).endswith(
        "That is 6 fewer in 100. Allowing for chance: between 2 and 10 fewer. "
        "People with reminders completed less: look into it."
    )


def test_what_cannot_tell_names_the_bounds_and_how_many_people_could() -> None:
    assert words(280, 800, 60, 200).endswith(
        "That is 5 more in 100. This cannot tell yet: it could be between 3 fewer and 12 more; "
        "with about 4 200 people it could."
    )


def test_a_lift_that_is_little_is_told_so() -> None:
    assert words(9600, 32000, 2400, 8000).endswith(
        "That is no difference in 100. Allowing for chance: between 2 fewer and 2 more. "
        "If they do anything, it is little."
    )


def test_there_is_no_word_for_the_verdict_so_far() -> None:
    last = words(1102, 3240, 232, 800, settled=False).splitlines()[-1]
    assert last == "That is 5 more in 100. Allowing for chance: between 1 fewer and 11 more."


def test_shares_and_their_difference_agree() -> None:
    assert words(3440, 10000, 715, 2500).startswith(
        "Of 100 people who were reminded, 34.4 completed a course within a week. "
        "Of 100 who were not, 28.6.\nThat is 5.8 more in 100."
    )


@pytest.mark.parametrize(
    ("checks", "start"),
    [
        (FINE._replace(events=0), "No lift is shown: no event"),
        (FINE._replace(unnamed=500), "No lift is shown: more than 10 in 100"),
    ],
)
def test_a_figure_that_is_not_shown_has_a_reason_and_no_number(checks: Checks, start: str) -> None:
    said = words(1102, 3240, 232, 800, checks=checks)
    assert said.startswith(start)
    assert "34" not in said


def test_groups_that_differed_before_are_told_beside_the_figure() -> None:
    before = Groups(Group(3240, 960), Group(800, 160))
    said = words(1102, 3240, 232, 800, checks=FINE._replace(before=before))
    assert said.splitlines()[-1].startswith("Careful: the groups already differed")


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.011, 0.089, "between 1 and 9 more"),
        (0.0, 0.089, "between 0 and 9 more"),
        (-0.001, 0.101, "between 1 fewer and 11 more"),
        (-0.099, -0.011, "between 1 and 10 fewer"),
    ],
)
def test_bounds_are_rounded_outwards(low: float, high: float, expected: str) -> None:
    assert between(Interval(0, low, high)) == expected


def test_no_word_promises_more_than_the_figure_holds() -> None:
    every = [words(1102, 3240, 232, 800), words(280, 800, 60, 200), words(928, 3200, 280, 800)]
    for said in every:
        for never in ("significant", "proven", "%", "percent"):
            assert never not in said


def test_every_verdict_has_its_words() -> None:
    for verdict in Verdict:
        assert verdict.value.replace("_", "").isalpha()
    assert difference(Interval(-0.05, -0.1, 0)) == (
        "That is 5 fewer in 100. Allowing for chance: between 0 and 10 fewer."
    )


def test_numbers_spans_and_lists_read_well() -> None:
    assert [number(7300), people(19), people(23), people(3238)] == [
        "7 300",
        "fewer than 20",
        "25",
        "3 238",
    ]
    assert [span(168), span(336), span(24), span(72), span(36), span(1)] == [
        "a week",
        "2 weeks",
        "a day",
        "3 days",
        "36 hours",
        "an hour",
    ]
    assert [listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"])] == [
        "a",
        "a and b",
        "a, b and c",
    ]
