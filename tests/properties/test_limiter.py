"""The rate limit holds over every stretch of time, however it is asked."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.limiter import Limiter

gaps = st.floats(0, 2) | st.sampled_from([0.0, 0.001, 0.1, 59.9, 60.0, 61.0, 1000.0])
rates = st.floats(0.01, 20_000)
takes = st.lists(st.tuples(gaps, st.integers(0, 5000)), min_size=1, max_size=30)


def most(rate: float, seconds: float) -> float:
    """What a lane may start in so many seconds: its rate, and one bucket of a tenth of a second."""
    return rate * seconds + max(1.0, rate * 0.1) + 1e-6 * rate + 1e-6


@given(rates, st.sampled_from([0.0, 60.0]), takes)
def test_no_stretch_of_time_sees_more_than_its_rate_and_one_bucket(
    rate: float, ramp_s: float, asked: list[tuple[float, int]]
) -> None:
    limiter, now = Limiter(rate, ramp_s), 1000.0
    granted: list[tuple[float, int]] = []
    for gap, wanted in asked:
        now += gap
        count = limiter.take(wanted, now)
        assert 0 <= count <= wanted
        granted.append((now, count))
    for first, (start, _) in enumerate(granted):
        total = 0
        for at, count in granted[first:]:
            total += count
            assert total <= most(rate, at - start)


@given(rates, takes, st.lists(st.integers(0, 29), max_size=5))
def test_a_429_never_raises_the_rate_and_never_stops_the_lane(
    rate: float, asked: list[tuple[float, int]], throttled: list[int]
) -> None:
    limiter, now = Limiter(rate), 1000.0
    for number, (gap, wanted) in enumerate(asked):
        now += gap
        limiter.take(wanted, now)
        if number in throttled:
            before = limiter.limit(now)
            limiter.throttled(now)
            assert min(1.0, rate) <= limiter.limit(now) <= before
        assert limiter.limit(now) <= rate
    wait = limiter.wait(now)
    assert 0.0 <= wait <= 1.0 / min(1.0, rate) + 1e-6
    assert limiter.take(1, now + wait + 1e-6 + 1e-9 * now) == 1


@given(rates, st.lists(st.tuples(st.floats(-100, 100), st.integers(0, 5000)), max_size=30))
def test_a_clock_that_jumps_about_lets_out_no_more_than_the_time_it_ran_forward(
    rate: float, asked: list[tuple[float, int]]
) -> None:
    limiter, now, forward, total = Limiter(rate, ramp_s=0), 1000.0, 0.0, 0
    for jump, wanted in asked:
        now += jump
        forward += max(0.0, jump)
        total += limiter.take(wanted, now)
    assert total <= most(rate, forward)


@given(rates, takes)
def test_giving_back_what_was_taken_is_as_if_it_was_not_asked_for(
    rate: float, asked: list[tuple[float, int]]
) -> None:
    one, other, now = Limiter(rate, ramp_s=0), Limiter(rate, ramp_s=0), 1000.0
    for gap, wanted in asked:
        now += gap
        granted = one.take(wanted, now)
        if wanted:
            other.give_back(other.take(5000, now))
        assert other.take(wanted, now) == granted
