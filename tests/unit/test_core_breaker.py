"""What holds a part of a lane, and what does not; and one probe at a time, later and later."""

from __future__ import annotations

import pytest

from gateway.core.breaker import ANSWERS, TRUSTED_S, About, Breaker


def held(at: float = 1000.0) -> Breaker:
    breaker = Breaker(probe_s=60.0)
    assert accuse(breaker, 1, at)
    return breaker


def accuse(
    breaker: Breaker, target: int, now: float, about: About = "part", *, in_flight: bool = False
) -> bool:
    """Whether the part is held after this accusation."""
    return breaker.accuse(target, now, about=about, others_in_flight=in_flight).held


# --- what it takes to hold a part -----------------------------------------------------------------


def test_a_word_about_the_whole_part_holds_one_that_never_had_a_success() -> None:
    assert accuse(Breaker(), 1, 1000.0)


def test_one_targets_word_holds_nothing_however_often_it_is_said() -> None:
    breaker = Breaker()
    assert not any(accuse(breaker, 1, 1000.0 + step * 60, "target") for step in range(100))
    assert not breaker.held


def test_a_second_target_holds_a_part_that_has_nothing_to_say_for_itself() -> None:
    breaker = Breaker()
    assert not accuse(breaker, 1, 1000.0, "target")
    assert accuse(breaker, 2, 1000.0, "target")


@pytest.mark.parametrize("about", ["part", "target"])
def test_a_success_speaks_for_a_part_for_a_minute(about: About) -> None:
    breaker = Breaker()
    breaker.took(1000.0)
    assert not any(accuse(breaker, n, 1000.0 + TRUSTED_S, about) for n in range(ANSWERS - 1))
    breaker = Breaker()
    breaker.took(1000.0)
    accuse(breaker, 1, 1000.0 + TRUSTED_S, about)
    assert accuse(breaker, 2, 1000.1 + TRUSTED_S, about)


@pytest.mark.parametrize("about", ["part", "target"])
def test_so_many_answers_without_a_success_outweigh_it(about: About) -> None:
    breaker = Breaker()
    breaker.took(1000.0)
    verdicts = [accuse(breaker, n, 1000.0, about, in_flight=True) for n in range(ANSWERS)]
    assert verdicts == [False] * (ANSWERS - 1) + [True]


def test_one_in_a_hundred_holds_nothing() -> None:
    breaker = Breaker()
    for number in range(10_000):
        if number % 100 == 50:
            assert not accuse(breaker, number, 1000.0 + number / 100, in_flight=True)
        else:
            breaker.took(1000.0 + number / 100)


def test_while_others_are_in_flight_their_answers_are_waited_for() -> None:
    breaker = Breaker()
    assert not accuse(breaker, 1, 1000.0, in_flight=True)
    assert accuse(breaker, 2, 1000.0, in_flight=False)


def test_who_is_accused_alone_waits_ever_longer_up_to_ten_minutes() -> None:
    breaker, waits = Breaker(probe_s=60.0), []
    for step in range(6):
        found = breaker.accuse(7, 1000.0 + step, about="target", others_in_flight=False)
        waits.append(found.wait_s)
    assert waits == [60, 120, 240, 480, 600, 600]
    breaker.cleared(7)
    assert breaker.accuse(7, 2000.0, about="target", others_in_flight=False).wait_s == 60


def test_a_target_that_was_cleared_is_no_first_one() -> None:
    breaker = Breaker()
    accuse(breaker, 1, 1000.0, "target")
    breaker.cleared(1)
    assert not accuse(breaker, 2, 1001.0, "target")


# --- probes ---------------------------------------------------------------------------------------


def test_an_open_part_sends_all_it_wants() -> None:
    breaker = Breaker()
    assert breaker.may_send(0.0)
    assert breaker.allowance(1000, 0.0) == 1000


def test_a_held_part_sends_nothing_until_its_first_probe() -> None:
    breaker = held(1000.0)
    assert not breaker.may_send(1059.9)
    assert breaker.allowance(1000, 1059.9) == 0
    assert breaker.may_send(1060.0)
    assert breaker.allowance(1000, 1060.0) == 1


def test_one_probe_at_a_time() -> None:
    breaker = held(1000.0)
    assert breaker.allowance(10, 1060.0) == 1
    assert breaker.allowance(10, 1060.0) == 0
    assert breaker.allowance(10, 5000.0) == 0
    assert not breaker.may_send(5000.0)


def test_asking_for_nothing_spends_no_probe() -> None:
    breaker = held(1000.0)
    assert breaker.allowance(0, 1060.0) == 0
    assert breaker.allowance(1, 1060.0) == 1


def test_the_wait_doubles_with_every_failed_probe_up_to_ten_minutes() -> None:
    breaker, now, waits = held(0.0), 0.0, []
    for number in range(6):
        wait = next(s for s in range(10_000) if breaker.may_send(now + s))
        waits.append(wait)
        now += wait
        assert breaker.allowance(1, now) == 1
        assert accuse(breaker, 2 + number, now)
    assert waits == [60, 120, 240, 480, 600, 600]


def test_any_answer_to_a_probe_opens_the_part() -> None:
    breaker = held()
    breaker.allowance(1, 1060.0)
    assert breaker.answered()
    assert breaker.allowance(1000, 1060.0) == 1000
    assert not breaker.answered()


def test_a_success_opens_the_part_whichever_push_it_was() -> None:
    breaker = held(1000.0)
    assert breaker.took(1000.1)
    assert breaker.allowance(1000, 1000.1) == 1000
    assert not breaker.took(1000.2)


def test_after_opening_the_next_hold_begins_with_the_first_wait_again() -> None:
    breaker = held(1000.0)
    breaker.allowance(1, 1060.0)
    accuse(breaker, 2, 1060.0)
    breaker.allowance(1, 1180.0)
    breaker.answered()
    assert accuse(breaker, 3, 2000.0)
    assert not breaker.may_send(2059.9)
    assert breaker.may_send(2060.0)


def test_other_answers_to_pushes_that_were_in_flight_at_the_hold_change_nothing() -> None:
    breaker = held(1000.0)
    assert not breaker.answered()
    found = breaker.accuse(2, 1030.0, about="part", others_in_flight=False)
    assert (found.held, found.first) == (True, False)
    breaker.unclear(1040.0)
    assert breaker.held
    assert breaker.may_send(1060.0)


def test_an_unclear_probe_is_repeated_after_the_same_wait() -> None:
    breaker = held(1000.0)
    breaker.allowance(1, 1060.0)
    breaker.unclear(1065.0)
    assert not breaker.may_send(1124.9)
    assert breaker.may_send(1125.0)


def test_a_reset_opens_the_part_and_forgets_its_accusers() -> None:
    breaker = held()
    breaker.reset()
    assert not breaker.held
    assert not breaker.accused
    assert breaker.allowance(7, 1000.0) == 7
