"""What holds of every decision, whatever the verdict and however the delivery stands."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.retry import (
    AT_ONCE,
    MAX_BACKOFF_S,
    MAX_UNSEEN_WAIT_S,
    Accuse,
    Decision,
    Done,
    Expire,
    Prune,
    RetryAt,
    RetrySoon,
    Snooze,
    Standing,
    decide,
)
from providers.contract import (
    Delivered,
    Misconfigured,
    Refused,
    Throttled,
    TokenGone,
    Unavailable,
    Verdict,
)
from tests.kit.build import NOW

MAX_ATTEMPTS = 12
waits = st.none() | st.floats(0, 1e9)
jitters = st.floats(0, 1, exclude_max=True)
verdicts: st.SearchStrategy[Verdict] = st.one_of(
    st.just(Delivered("id")),
    st.builds(TokenGone, st.just("gone"), st.none() | st.integers(0, 2**60)),
    st.builds(Throttled, st.just("429"), st.sampled_from(["device", "lane"]), waits),
    st.builds(
        Unavailable,
        st.just("5xx"),
        st.booleans(),
        waits,
        later_floor_s=st.floats(0, MAX_BACKOFF_S),
    ),
    st.builds(Unavailable.not_looked_at, st.just("away"), st.floats(0, 1e9)),
    st.builds(Refused, st.just("4xx"), st.sampled_from(["message", "address", "environment"])),
    st.just(Misconfigured("key", "mend it")),
)
standings = st.builds(
    Standing,
    attempts=st.integers(1, 10_000),
    deadline=st.floats(NOW - 1e6, NOW + 1e10),
    seen_at=st.floats(0, NOW + 1e6),
    flipped=st.booleans(),
    unseen=st.integers(0, 10_000),
)


def decided(verdict: Verdict, standing: Standing, jitter: float) -> Decision:
    return decide(verdict, standing, max_attempts=MAX_ATTEMPTS, now=NOW, jitter=jitter)


@given(verdicts, standings, jitters)
def test_a_next_try_lies_ahead_and_before_the_deadline(
    verdict: Verdict, standing: Standing, jitter: float
) -> None:
    decision = decided(verdict, standing, jitter)
    if isinstance(decision, RetryAt | RetrySoon | Snooze):
        assert NOW <= decision.at < standing.deadline


@given(verdicts, standings, jitters)
def test_no_wait_is_shorter_than_retry_after_and_none_of_our_own_is_over_an_hour(
    verdict: Verdict, standing: Standing, jitter: float
) -> None:
    decision = decided(verdict, standing, jitter)
    if isinstance(decision, RetryAt | RetrySoon | Snooze) and isinstance(
        verdict, Throttled | Unavailable
    ):
        told = verdict.retry_after or 0.0
        assert decision.at >= NOW + told
        # a tenth more of what was told spreads out those who were told the same
        assert decision.at <= NOW + max(MAX_BACKOFF_S, 1.1 * told) + 1e-3


@given(verdicts, standings, jitters)
def test_only_what_was_taken_is_done_and_only_proof_prunes(
    verdict: Verdict, standing: Standing, jitter: float
) -> None:
    decision = decided(verdict, standing, jitter)
    assert isinstance(decision, Done) is isinstance(verdict, Delivered)
    if isinstance(decision, Prune):
        assert isinstance(verdict, TokenGone)
    if isinstance(decision, Accuse):
        assert isinstance(verdict, Misconfigured)
        assert not standing.flipped


@given(verdicts, standings, jitters)
def test_no_delivery_is_tried_for_ever(verdict: Verdict, standing: Standing, jitter: float) -> None:
    """From the last attempt on only a flip, which happens once, leads to another one.

    What was not looked at is no attempt: see below.
    """
    decision = decided(verdict, standing, jitter)
    if isinstance(decision, RetryAt) and standing.attempts >= MAX_ATTEMPTS:
        assert decision.flipped
        assert not standing.flipped


@given(verdicts, standings, jitters)
def test_only_what_was_not_looked_at_goes_again_for_nothing_and_never_in_a_hot_loop(
    verdict: Verdict, standing: Standing, jitter: float
) -> None:
    decision = decided(verdict, standing, jitter)
    unseen = isinstance(verdict, Unavailable) and not verdict.looked_at
    assert (
        isinstance(decision, RetrySoon | Expire) if unseen else not isinstance(decision, RetrySoon)
    )
    if isinstance(decision, RetrySoon) and isinstance(verdict, Unavailable):
        if standing.unseen > AT_ONCE:
            assert decision.at >= NOW + 1.0
        assert decision.at <= NOW + max(MAX_UNSEEN_WAIT_S, 1.1 * (verdict.retry_after or 0)) + 1e-3
