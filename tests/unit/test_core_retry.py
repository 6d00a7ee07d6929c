"""What becomes of a delivery, over every kind of verdict, both vendors and every attempt."""

from __future__ import annotations

from itertools import product
from typing import get_args

import pytest

from gateway.core.retry import (
    Accuse,
    Dead,
    Decision,
    Done,
    Expire,
    Prune,
    Quarantine,
    Refuse,
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

QUARTER_H = 900.0
MAX_ATTEMPTS = 12
SEEN = NOW - 1000.0
SEEN_MS = int(SEEN * 1000)
DAY = 86_400.0


def standing(
    attempts: int = 1,
    *,
    deadline: float = NOW + DAY,
    seen_at: float = SEEN,
    flipped: bool = False,
    unseen: int = 0,
) -> Standing:
    return Standing(attempts, deadline, seen_at, flipped, unseen)


def decided(verdict: Verdict, how: Standing | None = None, *, jitter: float = 0.0) -> Decision:
    return decide(verdict, how or standing(), max_attempts=MAX_ATTEMPTS, now=NOW, jitter=jitter)


# Verdicts whose decision knows neither vendor nor attempts: the first, the last, one too many.
ALWAYS: list[tuple[Verdict, Decision]] = [
    (Delivered("projects/p/messages/1"), Done("projects/p/messages/1")),
    (TokenGone("UNREGISTERED"), Prune("UNREGISTERED")),
    # 429 without Retry-After: FCM's 60 s, and the 60 s of our own for an APNs device
    (Throttled("QUOTA_EXCEEDED", "lane"), Snooze(NOW + 60, "QUOTA_EXCEEDED", "lane")),
    (Throttled("TooManyRequests", "device"), Snooze(NOW + 60, "TooManyRequests", "device")),
    # with it: the vendor's word, shorter or longer than ours, even over our hour
    (Throttled("QUOTA_EXCEEDED", "lane", 5.0), Snooze(NOW + 5, "QUOTA_EXCEEDED", "lane")),
    (Throttled("QUOTA_EXCEEDED", "lane", 900.0), Snooze(NOW + 900, "QUOTA_EXCEEDED", "lane")),
    (Throttled("QUOTA_EXCEEDED", "lane", 7200.0), Snooze(NOW + 7200, "QUOTA_EXCEEDED", "lane")),
    # a wait of nothing after a 429 is no wait that was named
    (Throttled("QUOTA_EXCEEDED", "lane", 0.0), Snooze(NOW + 60, "QUOTA_EXCEEDED", "lane")),
    (Throttled("QUOTA_EXCEEDED", "lane", -5.0), Snooze(NOW + 60, "QUOTA_EXCEEDED", "lane")),
    (Refused("PayloadTooLarge", "message"), Refuse("PayloadTooLarge")),
    (Refused("DeviceTokenNotForTopic", "address"), Quarantine("DeviceTokenNotForTopic")),
    (Refused("BadDeviceToken", "environment"), RetryAt(NOW, "BadDeviceToken", flipped=True)),
    (Misconfigured("BadTopic", "set topic"), Accuse("BadTopic", "set topic", "part")),
]


@pytest.mark.parametrize(("verdict", "decision"), ALWAYS)
@pytest.mark.parametrize("attempts", [1, 2, MAX_ATTEMPTS - 1, MAX_ATTEMPTS, MAX_ATTEMPTS + 1])
def test_these_are_decided_alike_at_every_attempt(
    verdict: Verdict, decision: Decision, attempts: int
) -> None:
    assert decided(verdict, standing(attempts)) == decision


# (the vendor's floor from the second answer on, attempts made, Retry-After) -> the shortest and
# the longest wait. Attempts count the one just made; the longest wait adds
# 10 s * 2^(attempts - 1), cap 3 600.
WAITS: dict[tuple[float, int, float | None], tuple[float, float]] = {
    # FCM: never sooner than 10 s
    (0, 1, None): (10, 20),  # 10 + 10
    (0, 2, None): (10, 30),  # 10 + 20
    (0, 3, None): (10, 50),  # 10 + 40
    (0, 4, None): (10, 90),  # 10 + 80
    (0, 5, None): (10, 170),  # 10 + 160
    (0, 6, None): (10, 330),  # 10 + 320
    (0, 7, None): (10, 650),  # 10 + 640
    (0, 8, None): (10, 1290),  # 10 + 1 280
    (0, 9, None): (10, 2570),  # 10 + 2 560
    (0, 10, None): (10, 3600),  # 10 + 5 120 is over the hour
    (0, 11, None): (10, 3600),
    # Retry-After is a floor, jitter comes on top; under FCM's 10 s it is 10 s
    (0, 1, 0.0): (10, 20),
    (0, 1, 1.0): (10, 20),
    (0, 2, 1.0): (10, 30),
    (0, 1, 30.0): (30, 40),
    (0, 1, 120.0): (120, 130),  # 120 + 10
    (0, 5, 120.0): (120, 280),  # 120 + 160
    (0, 11, 120.0): (120, 3600),
    (0, 1, 7200.0): (7200, 7200),  # over the hour the vendor's word alone holds
    # APNs: once from 10 s, then Apple's 15 minutes
    (QUARTER_H, 1, None): (10, 20),
    (QUARTER_H, 2, None): (900, 920),  # 900 + 20
    (QUARTER_H, 3, None): (900, 940),  # 900 + 40
    (QUARTER_H, 8, None): (900, 2180),  # 900 + 1 280
    (QUARTER_H, 11, None): (900, 3600),
    (QUARTER_H, 2, 7200.0): (7200, 7200),
}


@pytest.mark.parametrize(("case", "waits"), WAITS.items())
@pytest.mark.parametrize("outcome_known", [True, False])
def test_an_outage_is_waited_out_for_as_long_as_the_vendor_asks(
    case: tuple[float, int, float | None], waits: tuple[float, float], outcome_known: bool
) -> None:
    later_floor_s, attempts, retry_after = case
    verdict = Unavailable("UNAVAILABLE", outcome_known, retry_after, later_floor_s=later_floor_s)
    for jitter, wait in zip((0.0, 1.0), waits, strict=True):
        decision = decided(verdict, standing(attempts), jitter=jitter)
        assert decision == RetryAt(NOW + wait, "UNAVAILABLE")


# how often in a row it was not looked at -> the shortest and the longest wait
UNSEEN: dict[int, tuple[float, float]] = {
    1: (0, 0),
    2: (0, 0),
    3: (0, 0),
    4: (1, 2),
    5: (2, 4),
    6: (4, 8),
    7: (8, 16),
    8: (15, 30),
    9: (15, 30),
    10_000: (15, 30),
}


@pytest.mark.parametrize("attempts", [1, 2, MAX_ATTEMPTS, MAX_ATTEMPTS + 1])
@pytest.mark.parametrize(("unseen", "waits"), UNSEEN.items())
def test_what_was_not_looked_at_goes_again_at_once_then_ever_later_and_spends_no_attempt(
    unseen: int, waits: tuple[float, float], attempts: int
) -> None:
    verdict = Unavailable.not_looked_at("GoAway")
    for jitter, wait in zip((0.0, 1.0), waits, strict=True):
        decision = decided(verdict, standing(attempts, unseen=unseen), jitter=jitter)
        assert decision == RetrySoon(NOW + wait, "GoAway")


@pytest.mark.parametrize(("unseen", "wait"), [(1, 10), (3, 10), (8, 15)])
def test_a_time_that_is_told_is_waited_for_by_what_was_not_looked_at_too(
    unseen: int, wait: float
) -> None:
    verdict = Unavailable.not_looked_at("Unreachable", 10.0)
    assert decided(verdict, standing(unseen=unseen)) == RetrySoon(NOW + wait, "Unreachable")


@pytest.mark.parametrize("attempts", [MAX_ATTEMPTS, MAX_ATTEMPTS + 1])
@pytest.mark.parametrize("outcome_known", [True, False])
def test_after_the_last_attempt_an_outage_ends_in_a_dead_letter(
    attempts: int, outcome_known: bool
) -> None:
    verdict = Unavailable("INTERNAL", outcome_known)
    assert decided(verdict, standing(attempts)) == Dead("INTERNAL")


def test_every_kind_of_verdict_is_in_the_tables() -> None:
    tested = {type(verdict) for verdict, _ in ALWAYS} | {Unavailable}
    assert tested == set(get_args(Verdict))
    assert {(floor, attempts) for floor, attempts, _ in WAITS} >= set(
        product((0, QUARTER_H), (1, 2, MAX_ATTEMPTS - 1))
    )


# --- the deadline ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verdict", "wait"),
    [
        (Throttled("QUOTA_EXCEEDED", "device"), 60.0),
        (Throttled("QUOTA_EXCEEDED", "lane", 7200.0), 7200.0),
        (Unavailable("INTERNAL", outcome_known=False), 10.0),
        (Unavailable.not_looked_at("GoAway"), 0.0),
        (Unavailable.not_looked_at("Unreachable", 7.0), 7.0),
        (Refused("BadDeviceToken", "environment"), 0.0),
    ],
)
def test_nothing_outlives_its_deadline(verdict: Verdict, wait: float) -> None:
    in_time = decided(verdict, standing(deadline=NOW + wait + 0.001))
    assert isinstance(in_time, RetryAt | RetrySoon | Snooze)
    late = decided(verdict, standing(deadline=NOW + wait))
    assert isinstance(late, Expire)
    assert late.reason == in_time.reason


def test_a_throttled_push_that_expires_still_says_what_the_vendor_asked_of_the_lane() -> None:
    decision = decided(Throttled("QUOTA_EXCEEDED", "lane", 30.0), standing(deadline=NOW + 20))
    assert decision == Expire("QUOTA_EXCEEDED", Snooze(NOW + 30, "QUOTA_EXCEEDED", "lane"))


def test_a_push_that_was_taken_in_the_last_moment_counts_as_delivered() -> None:
    assert decided(Delivered("1"), standing(deadline=NOW - 60)) == Done("1")


# --- proof of death ----------------------------------------------------------------------------


@pytest.mark.parametrize("reason", ["Unregistered", "ExpiredToken"])
def test_a_410_older_than_the_registration_keeps_the_device(reason: str) -> None:
    decision = decided(TokenGone(reason, since_ms=SEEN_MS - 1), standing())
    assert decision == Refuse(f"{reason}, before the latest registration")


@pytest.mark.parametrize("since_ms", [None, SEEN_MS, SEEN_MS + 1, 2**62])
def test_a_410_that_is_not_older_than_the_registration_prunes(since_ms: int | None) -> None:
    decision = decided(TokenGone("Unregistered", since_ms), standing())
    assert decision == Prune("Unregistered")


def test_proof_and_registration_are_compared_in_whole_milliseconds() -> None:
    how = standing(seen_at=SEEN + 0.0009)
    assert decided(TokenGone("Unregistered", SEEN_MS), how) == Prune("Unregistered")


# --- the other APNs environment ----------------------------------------------------------------


def test_a_bad_device_token_tries_the_other_environment_once_then_quarantines() -> None:
    verdict = Refused("BadDeviceToken", "environment")
    assert decided(verdict, standing()) == RetryAt(NOW, "BadDeviceToken", flipped=True)
    assert decided(verdict, standing(2, flipped=True)) == Quarantine("BadDeviceToken")


def test_a_refusal_of_the_message_by_the_other_environment_says_nothing_of_the_token() -> None:
    verdict = Refused("PayloadTooLarge", "message")
    assert decided(verdict, standing(2, flipped=True)) == Refuse("PayloadTooLarge")


@pytest.mark.parametrize("attempts", [1, MAX_ATTEMPTS])
def test_a_misconfiguration_on_a_flipped_try_never_pauses_the_lane(attempts: int) -> None:
    verdict = Misconfigured("BadEnvironmentKeyIdInToken", "create a key for it")
    decision = decided(verdict, standing(attempts, flipped=True))
    assert decision == Quarantine("BadEnvironmentKeyIdInToken")


def test_an_outage_of_the_other_environment_is_waited_out_there() -> None:
    verdict = Unavailable("InternalServerError", outcome_known=True, later_floor_s=QUARTER_H)
    decision = decided(verdict, standing(2, flipped=True))
    assert decision == RetryAt(NOW + 900, "InternalServerError", flipped=True)
