"""The rate limit of a lane: bucket, ramp, and what a 429 does to it. The clock is an argument."""

from __future__ import annotations

import pytest

from gateway.core.limiter import FLOOR_PER_S, Limiter

PLENTY = 1_000_000
STEP = 0.05
INF = float("inf")


def run(limiter: Limiter, start: float, seconds: float) -> int:
    """Take all that may go, every 50 ms, from `start` on; returns how many went."""
    steps = round(seconds / STEP)
    return sum(limiter.take(PLENTY, start + number * STEP) for number in range(1, steps + 1))


def warm(rate: float, *, at: float = 1000.0) -> Limiter:
    """A limiter without ramp that has an empty bucket at `at`."""
    limiter = Limiter(rate, ramp_s=0)
    limiter.take(PLENTY, at)
    return limiter


# --- the bucket --------------------------------------------------------------------------------


def test_a_limit_comes_in_tenths_of_a_second() -> None:
    limiter = Limiter(9000, ramp_s=0)
    assert limiter.take(PLENTY, 1000.0) == 900
    assert limiter.take(PLENTY, 1000.0) == 0
    assert limiter.take(PLENTY, 1000.0625) == 562  # a sixteenth of a second
    assert limiter.take(PLENTY, 1030.0) == 900


def test_no_more_is_granted_than_was_wanted() -> None:
    limiter = Limiter(9000, ramp_s=0)
    assert [limiter.take(wanted, 1000.0) for wanted in (3, 0, -1, 2)] == [3, 0, 0, 2]
    assert limiter.take(PLENTY, 1000.0) == 895


@pytest.mark.parametrize("rate", [0.01, 0.5, 1.0, 3.0, 9.9])
@pytest.mark.parametrize("ramp_s", [0.0, 60.0])
def test_a_slow_lane_still_sends_one_push_after_the_other(rate: float, ramp_s: float) -> None:
    limiter = Limiter(rate, ramp_s)
    now, sent = 1000.0, 0
    for _ in range(20):
        sent += limiter.take(1, now)
        wait = limiter.wait(now)
        assert wait <= 1.0 / rate + 1e-9
        now += wait + 1e-6
    assert sent == 20
    assert now - 1000.0 == pytest.approx(20 / rate, rel=0.01)


def test_the_wait_counts_the_time_that_passed_since_the_last_push() -> None:
    limiter = Limiter(0.5, ramp_s=0)
    assert limiter.wait(1000.0) == 0.0
    assert limiter.take(1, 1000.0) == 1
    assert limiter.wait(1000.0) == pytest.approx(2.0)
    assert limiter.wait(1001.5) == pytest.approx(0.5)
    assert limiter.wait(1010.0) == 0.0


def test_tokens_given_back_can_be_taken_again() -> None:
    limiter = warm(1000)
    assert limiter.take(PLENTY, 1000.1) == 100
    limiter.give_back(40)
    assert limiter.take(PLENTY, 1000.1) == 40
    assert limiter.take(PLENTY, 1000.1) == 0


# --- the ramp ----------------------------------------------------------------------------------


def test_from_idle_the_rate_ramps_to_the_full_one_over_60_seconds() -> None:
    limiter = Limiter(9000)
    limiter.take(1, 1000.0)
    # 9 000/s over 60 s: 150/s more every second, but never under 100/s
    assert limiter.limit(1000.0) == 100
    assert limiter.limit(1000.5) == 100
    assert limiter.limit(1010.0) == 1500
    assert limiter.limit(1030.0) == 4500
    limiter.take(1, 1050.0)
    assert limiter.limit(1060.0) == limiter.limit(1090.0) == 9000


def test_an_idle_lane_shows_the_rate_it_would_begin_with() -> None:
    limiter = Limiter(9000)
    assert limiter.limit(1000.0) == 100
    limiter.take(1, 1000.0)
    assert limiter.limit(1059.0) == pytest.approx(8850)
    assert limiter.limit(1060.0) == 100


def test_the_ramp_lets_out_half_of_what_the_full_rate_would() -> None:
    limiter = Limiter(9000)
    # 100/s for 2/3 s, then 150/s^2: 67 + 75 * (60^2 - (2/3)^2) = 270 033
    assert run(limiter, 1000.0, 60.0) == pytest.approx(270_033, rel=0.01)
    assert run(limiter, 1060.0, 1.0) == pytest.approx(9000, rel=0.01)


def test_a_small_batch_is_not_held_back_by_the_ramp() -> None:
    assert run(Limiter(9000), 1000.0, 1.0) >= FLOOR_PER_S


def test_a_lane_slower_than_the_ramps_floor_has_its_own_rate_at_once() -> None:
    limiter = Limiter(20)
    limiter.take(1, 1000.0)
    assert limiter.limit(1000.0) == 20


def test_after_a_minute_without_a_push_the_ramp_begins_anew() -> None:
    limiter = Limiter(9000)
    run(limiter, 1000.0, 70.0)
    assert limiter.limit(1070.0) == 9000
    limiter.take(1, 1129.0)
    assert limiter.limit(1129.0) == 9000
    limiter.take(1, 1190.0)
    assert limiter.limit(1190.0) == FLOOR_PER_S


# --- what a 429 does ---------------------------------------------------------------------------


def test_a_lane_wide_429_halves_the_rate_and_empties_the_bucket() -> None:
    limiter = Limiter(1000, ramp_s=0)
    limiter.throttled(1000.0)
    assert limiter.limit(1000.0) == 500
    limiter = warm(1000)
    limiter.take(1, 1000.1)
    limiter.throttled(1000.1)
    assert limiter.take(PLENTY, 1000.1) == 0


def test_the_rate_is_halved_at_most_once_a_second() -> None:
    limiter = warm(1000)
    for moment in (1000.0, 1000.1, 1000.999):
        limiter.throttled(moment)
    assert limiter.limit(1000.999) == 500
    limiter.throttled(1001.0)
    assert limiter.limit(1001.0) == pytest.approx(275)  # (500 + 50 that came back) / 2


def test_a_halved_rate_recovers_by_a_twentieth_of_the_full_rate_per_second() -> None:
    limiter = warm(1000)
    limiter.throttled(1000.0)
    run(limiter, 1000.0, 2.0)
    assert limiter.limit(1002.0) == pytest.approx(600)  # 500 + 2 * 50
    run(limiter, 1002.0, 8.1)
    assert limiter.limit(1010.1) == 1000


@pytest.mark.parametrize(("rate", "left"), [(1000, 50), (4, 1), (0.5, 0.5)])
def test_endless_429s_leave_something_to_ask_again_with(rate: float, left: float) -> None:
    limiter = warm(rate)
    for second in range(100):
        limiter.throttled(1000.0 + second)
    # half goes and a twentieth of the full rate comes back, every second; never under 1/s
    assert limiter.limit(1099.0) == pytest.approx(left)


def test_a_429_during_the_ramp_halves_what_the_ramp_allowed() -> None:
    limiter = Limiter(9000)
    run(limiter, 1000.0, 20.0)
    limiter.throttled(1020.0)
    assert limiter.limit(1020.0) == pytest.approx(1500, rel=0.01)  # half of 150 * 20


# --- lanes without a limit of their own --------------------------------------------------------


def test_a_lane_without_a_limit_sends_what_it_is_given() -> None:
    limiter = Limiter(0)
    assert limiter.take(PLENTY, 1000.0) == PLENTY
    assert limiter.take(PLENTY, 1000.0) == PLENTY
    assert limiter.limit(1000.0) == INF
    assert limiter.wait(1000.0) == 0.0


def test_after_a_429_it_gets_half_of_what_it_sent_as_its_limit() -> None:
    limiter = Limiter(0)
    for number in range(101):
        limiter.take(20, 1000.0 + number * STEP)  # 400/s for 5 s
    limiter.throttled(1005.0)
    assert limiter.limit(1005.0) == pytest.approx(200, rel=0.05)
    assert limiter.take(PLENTY, 1005.0) == 0
    assert run(limiter, 1005.0, 1.0) == pytest.approx(210, rel=0.1)  # 200, and 20/s more a second


def test_what_it_did_not_send_does_not_count_as_sent() -> None:
    limiter = Limiter(0)
    limiter.take(PLENTY, 1000.0)
    limiter.give_back(PLENTY)
    limiter.throttled(1001.0)
    assert limiter.limit(1001.0) == FLOOR_PER_S
    assert limiter.take(PLENTY, 1001.0) == 0


def test_it_recovers_step_by_step_and_loses_the_limit_after_50_seconds_in_peace() -> None:
    limiter = Limiter(0)
    for number in range(101):
        limiter.take(50, 1000.0 + number * STEP)  # 1 000/s for 5 s
    limiter.throttled(1005.0)
    half = limiter.limit(1005.0)
    run(limiter, 1005.0, 10.0)
    assert limiter.limit(1015.0) == pytest.approx(2 * half, rel=0.01)  # ten twentieths
    run(limiter, 1015.0, 39.5)
    assert limiter.limit(1054.5) == pytest.approx(6 * half, rel=0.01)  # nearly three times the full
    run(limiter, 1054.5, 1.0)
    assert limiter.limit(1055.5) == INF


def test_each_further_429_prolongs_its_limit() -> None:
    limiter = Limiter(0)
    limiter.take(1, 1000.0)
    limiter.throttled(1000.0)
    run(limiter, 1000.0, 45.0)
    limiter.throttled(1045.0)
    run(limiter, 1045.0, 20.0)
    assert limiter.limit(1065.0) < INF
    run(limiter, 1065.0, 20.0)
    assert limiter.limit(1085.0) == INF


@pytest.mark.parametrize("rate", [0.0, 1000.0])
@pytest.mark.parametrize("pause", [30.0, 66.0, 3600.0])
def test_the_pause_that_a_429_asks_for_does_not_undo_its_halving(rate: float, pause: float) -> None:
    limiter = Limiter(rate, ramp_s=0)
    for number in range(101):
        limiter.take(50, 1000.0 + number * STEP)  # 1 000/s for 5 s
    limiter.throttled(1005.0)
    run(limiter, 1005.0 + pause, STEP)
    # one step of use brings a twentieth of the full rate at most
    assert limiter.limit(1005.0 + pause + STEP) == pytest.approx(550, rel=0.02)


def test_a_429_before_the_first_push_does_no_harm() -> None:
    limiter = Limiter(0)
    limiter.throttled(5.0)
    assert limiter.take(PLENTY, 5.0) == 0
    assert run(limiter, 5.0, 1.0) >= 100


# --- a clock that does not behave --------------------------------------------------------------


def test_a_clock_that_goes_back_neither_stalls_the_lane_nor_lets_out_more_than_a_bucket() -> None:
    limiter = warm(1000)
    assert run(limiter, 1000.0, 1.0) == pytest.approx(1000, abs=2)
    assert run(limiter, 400.0, 1.0) == pytest.approx(1000, abs=102)


def test_a_clock_that_jumps_ahead_lets_out_a_bucket_not_the_time_it_skipped() -> None:
    limiter = warm(1000)
    assert limiter.take(PLENTY, 1_000_000.0) == 100


# --- replicas ----------------------------------------------------------------------------------


def test_replicas_share_the_rate_and_the_ramp() -> None:
    three = [Limiter(9000, replicas=3) for _ in range(3)]
    assert sum(run(limiter, 1000.0, 1.0) for limiter in three) == pytest.approx(
        run(Limiter(9000), 1000.0, 1.0), abs=3
    )
    later = [limiter.limit(1300.0) for limiter in three]
    assert later == [FLOOR_PER_S / 3] * 3  # idle since, and so at the start of the ramp again
    assert [Limiter(9000, ramp_s=0, replicas=3).limit(1.0) for _ in three] == [3000.0] * 3


def test_a_replica_that_comes_or_goes_changes_the_share_at_once() -> None:
    limiter = warm(900)
    assert run(limiter, 1000.0, 10.0) == pytest.approx(9000, abs=1)
    limiter.replicas = 3
    assert run(limiter, 1010.0, 10.0) == pytest.approx(3000, abs=60)
    limiter.replicas = 1
    assert run(limiter, 1020.0, 10.0) == pytest.approx(9000, abs=1)


def test_a_lane_without_a_limit_has_nothing_to_share() -> None:
    limiter = Limiter(0, replicas=5)
    assert limiter.limit(1000.0) == INF
    assert limiter.take(PLENTY, 1000.0) == PLENTY
