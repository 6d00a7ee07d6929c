"""Whether a misconfigured lane may send: one probe at a time, later and later."""

from __future__ import annotations

from gateway.core.breaker import Breaker


def held(at: float = 1000.0) -> Breaker:
    breaker = Breaker(probe_s=60.0)
    assert breaker.hold(at)
    return breaker


def test_an_open_lane_sends_all_it_wants() -> None:
    breaker = Breaker()
    assert breaker.may_send(0.0)
    assert breaker.allowance(1000, 0.0) == 1000


def test_a_held_lane_sends_nothing_until_its_first_probe() -> None:
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
    for _ in range(6):
        wait = next(s for s in range(10_000) if breaker.may_send(now + s))
        waits.append(wait)
        now += wait
        assert breaker.allowance(1, now) == 1
        assert breaker.hold(now)
    assert waits == [60, 120, 240, 480, 600, 600]


def test_any_answer_to_a_probe_opens_the_lane() -> None:
    breaker = held()
    breaker.allowance(1, 1060.0)
    assert breaker.answered()
    assert breaker.allowance(1000, 1060.0) == 1000
    assert not breaker.answered()


def test_after_opening_the_next_hold_begins_with_the_first_wait_again() -> None:
    breaker = held(1000.0)
    breaker.allowance(1, 1060.0)
    breaker.hold(1060.0)
    breaker.allowance(1, 1180.0)
    breaker.answered()
    assert breaker.hold(2000.0)
    assert not breaker.may_send(2059.9)
    assert breaker.may_send(2060.0)


def test_answers_of_pushes_that_were_in_flight_at_the_hold_change_nothing() -> None:
    breaker = held(1000.0)
    assert not breaker.answered()
    assert not breaker.hold(1030.0)
    breaker.unclear(1040.0)
    assert breaker.held
    assert breaker.may_send(1060.0)


def test_an_unclear_probe_is_repeated_after_the_same_wait() -> None:
    breaker = held(1000.0)
    breaker.allowance(1, 1060.0)
    breaker.unclear(1065.0)
    assert not breaker.may_send(1124.9)
    assert breaker.may_send(1125.0)


def test_after_a_mend_the_next_push_may_try_at_once() -> None:
    breaker = held(1000.0)
    breaker.probe_now()
    assert breaker.allowance(10, 1001.0) == 1
    assert breaker.allowance(10, 1001.0) == 0


def test_a_mend_lets_no_second_probe_join_one_in_flight() -> None:
    breaker = held(1000.0)
    assert breaker.allowance(1, 1060.0) == 1
    breaker.probe_now()
    assert breaker.allowance(1, 1061.0) == 0
    assert breaker.hold(1062.0)
    assert breaker.allowance(1, 1062.0) == 0


def test_a_mend_of_an_open_lane_does_not_hurry_its_next_hold() -> None:
    breaker = Breaker(probe_s=60.0)
    breaker.probe_now()
    breaker.hold(1000.0)
    assert not breaker.may_send(1001.0)


def test_a_reset_opens_the_lane() -> None:
    breaker = held()
    breaker.reset()
    assert not breaker.held
    assert breaker.allowance(7, 1000.0) == 7
