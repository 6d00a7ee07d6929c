"""When a part counts as failing: nothing answers, or nothing but 5xx; and what ends it."""

from __future__ import annotations

from gateway.core.reachability import FORGOTTEN_S, Reachability

SILENT_S, BROKEN_S = 15.0, 60.0


def part() -> Reachability:
    return Reachability(SILENT_S, BROKEN_S)


def fails(one: Reachability, now: float, *, hanging: bool = False) -> bool:
    one.look(now, hanging=hanging)
    return one.failing


def test_a_part_that_tries_nothing_never_fails() -> None:
    assert not fails(part(), 1e9)


def test_one_try_that_hangs_all_the_time_is_enough() -> None:
    one = part()
    one.trying(100.0)
    assert not fails(one, 114.9, hanging=True)
    assert fails(one, 115.0, hanging=True)


def test_one_try_that_ended_is_not_and_a_second_is() -> None:
    one = part()
    one.trying(100.0)
    one.unanswered(101.0, "Unreachable")
    assert not fails(one, 130.0)
    one.unanswered(131.0, "Unreachable")
    assert fails(one, 131.0)
    assert one.reason == "Unreachable"


def test_a_second_try_that_is_on_its_way_counts() -> None:
    """A connection that takes ten seconds to fail, and the next one after five."""
    one = part()
    one.trying(100.0)
    assert not fails(one, 105.0, hanging=True)
    one.unanswered(110.0, "no answer in time")
    assert not fails(one, 114.0)
    one.trying(115.0)
    assert fails(one, 116.0, hanging=True)


def test_two_tries_in_a_moment_do_not_prove_fifteen_seconds() -> None:
    one = part()
    for _ in range(5):
        one.unanswered(100.0, "Unreachable")
    assert not fails(one, 114.9)
    assert fails(one, 115.0)


def test_a_push_that_was_lost_long_ago_does_not_speak_against_the_next_one() -> None:
    one = part()
    one.unanswered(100.0, "Timeout")
    assert not fails(one, 101.0)
    one.trying(100.1 + FORGOTTEN_S)
    assert not fails(one, 100.2 + FORGOTTEN_S, hanging=True)
    assert fails(one, 100.1 + FORGOTTEN_S + SILENT_S, hanging=True)


def test_an_answer_begins_the_time_of_those_that_wait_anew() -> None:
    one = part()
    one.trying(100.0)
    assert not one.answered(110.0, waiting=True)
    assert not fails(one, 124.9, hanging=True)
    assert fails(one, 125.0, hanging=True)


def test_an_answer_with_nothing_behind_it_ends_all_doubt() -> None:
    one = part()
    one.unanswered(100.0, "Unreachable")
    one.unanswered(105.0, "Unreachable")
    one.answered(110.0, waiting=False)
    assert not fails(one, 1e6)


def test_what_waited_and_was_taken_back_is_no_try() -> None:
    """The transport took nothing for a moment, and a person paused the part."""
    one = part()
    one.trying(100.0)
    assert not fails(one, 101.0)
    one.trying(500.0)
    assert not fails(one, 500.1, hanging=True)


def test_the_first_answer_ends_a_failure_and_tells_it_once() -> None:
    one = part()
    one.trying(100.0)
    assert fails(one, 120.0, hanging=True)
    assert one.answered(121.0, waiting=False)
    assert not one.answered(122.0, waiting=False)
    assert (one.failing, one.reason) == (False, "")


def test_a_connection_ends_it_as_well_for_who_has_nothing_waiting() -> None:
    one = part()
    one.unanswered(100.0, "no connection")
    one.unanswered(116.0, "no connection")
    assert fails(one, 116.0)
    assert one.connected()
    assert not one.failing


def test_a_vendor_that_says_5xx_alone_for_a_minute_fails() -> None:
    one = part()
    for second in range(0, 60, 10):
        one.broken(100.0 + second, "UNAVAILABLE", waiting=False)
        assert not fails(one, 100.0 + second)
    one.broken(160.0, "UNAVAILABLE", waiting=False)
    assert fails(one, 160.0)
    assert one.is_broken


def test_one_5xx_and_then_nothing_is_no_minute_of_them() -> None:
    one = part()
    one.broken(100.0, "UNAVAILABLE", waiting=False)
    assert not fails(one, 160.0)
    one.broken(900.0, "UNAVAILABLE", waiting=False)
    assert fails(one, 900.0)


def test_a_success_among_5xx_begins_anew() -> None:
    one = part()
    one.broken(100.0, "UNAVAILABLE", waiting=False)
    one.answered(150.0, waiting=False)
    one.broken(159.0, "UNAVAILABLE", waiting=False)
    one.broken(160.0, "UNAVAILABLE", waiting=False)
    assert not fails(one, 160.0)
    assert fails(one, 219.0)
