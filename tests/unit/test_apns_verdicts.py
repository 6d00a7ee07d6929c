"""What APNs' answers mean: every status, every reason, and what no vendor would say."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.apns.verdicts import REASONS, classify
from providers.contract import (
    Delivered,
    Misconfigured,
    Refused,
    Throttled,
    TokenGone,
    Unavailable,
    Verdict,
)
from providers.wording.between import LANE_WAIT_S, PROXY_LOGIN

NOW = 1_762_423_138.0
SECRET = "00fc13adff785122b4ad28809a3420982341241421348097878e577c991de8f0"
HTML = b"<html><title>Error</title></html>"
ALL_STATUSES = range(100, 600)
NO_REASON: list[bytes | dict[str, Any] | None] = [
    None,
    b"",
    HTML,
    b"[]",
    b"null",
    b"\xff",
    b'{"reason":5}',
    b'{"reason":"x"}',
    {},
]

# Apple's list, written down a second time on purpose
APPLES: dict[tuple[int, str], str] = {
    (400, "BadCollapseId"): "message",
    (400, "BadDeviceToken"): "environment",
    (400, "BadExpirationDate"): "message",
    (400, "BadMessageId"): "message",
    (400, "BadPriority"): "message",
    (400, "BadTopic"): "part",
    (400, "DeviceTokenNotForTopic"): "address",
    (400, "DuplicateHeaders"): "message",
    (400, "IdleTimeout"): "again",
    (400, "InvalidPushType"): "message",
    (400, "MissingDeviceToken"): "message",
    (400, "MissingTopic"): "part",
    (400, "PayloadEmpty"): "message",
    (400, "TopicDisallowed"): "part",
    (403, "BadCertificate"): "part",
    (403, "BadCertificateEnvironment"): "target",
    (403, "BadEnvironmentKeyIdInToken"): "target",
    # not on Apple's list: what the wire has for the one above
    (403, "BadEnvironmentKeyInToken"): "target",
    (403, "ExpiredProviderToken"): "again",
    (403, "Forbidden"): "part",
    (403, "InvalidProviderToken"): "part",
    (403, "MissingProviderToken"): "part",
    (403, "UnrelatedKeyIdInToken"): "part",
    (404, "BadPath"): "message",
    (405, "MethodNotAllowed"): "message",
    (410, "ExpiredToken"): "gone",
    (410, "Unregistered"): "gone",
    (413, "PayloadTooLarge"): "message",
    (429, "TooManyProviderTokenUpdates"): "throttle lane",
    (429, "TooManyRequests"): "throttle device",
    (500, "InternalServerError"): "again",
    (503, "ServiceUnavailable"): "again",
    (503, "Shutdown"): "again",
}


def verdict(status: int, reason: str, **options: Any) -> Verdict:
    body = json.dumps({"reason": reason}).encode()
    return classify(status, body, None, NOW, **options)


def kind(said: Verdict) -> str:
    match said:
        case Refused():
            return said.fault
        case Misconfigured():
            return said.about
        case TokenGone():
            return "gone"
        case Throttled():
            return f"throttle {said.scope}"
        case Unavailable(looked_at=False) if "HTTP" in said.reason:
            return "nobody looked"
        case Unavailable(outcome_known=True):
            return "again"
        case _:
            return "unknown"


OUTAGES = [(500, "InternalServerError"), (503, "ServiceUnavailable"), (503, "Shutdown")]


@pytest.mark.parametrize(("status", "reason"), [*OUTAGES, (503, "Unheard")])
def test_an_outage_asks_for_apples_15_minutes_unless_it_names_a_time(
    status: int, reason: str
) -> None:
    body = json.dumps({"reason": reason}).encode()
    said = [classify(status, body, header, NOW) for header in (None, "0", "30")]
    asked = [(one.retry_after, one.later_floor_s) for one in said if isinstance(one, Unavailable)]
    assert asked == [(None, 900), (None, 900), (30, 0)]


def test_somebody_in_between_does_not_speak_for_apple() -> None:
    said = classify(502, b"<html>", None, NOW)
    assert isinstance(said, Unavailable)
    assert said.later_floor_s == 0


def test_a_200_is_a_delivery_under_the_id_of_the_answer() -> None:
    assert classify(200, b"", None, NOW, vendor_id="id") == Delivered("id")


@pytest.mark.parametrize(("answer", "expected"), APPLES.items())
def test_each_of_apples_reasons_means_what_apple_says(
    answer: tuple[int, str], expected: str
) -> None:
    status, reason = answer

    said = verdict(status, reason)

    assert kind(said) == expected
    assert not isinstance(said, Delivered)
    assert said.reason == reason


def test_the_table_knows_apples_reasons_and_no_others() -> None:
    assert {reason for _, reason in APPLES} == REASONS


def test_a_410_tells_since_when() -> None:
    body = {"reason": "Unregistered", "timestamp": 1_700_000_000_000}

    assert classify(410, body, None, NOW) == TokenGone("Unregistered", 1_700_000_000_000)


@pytest.mark.parametrize("timestamp", [None, "1700000000000", -5, 0, True, 1.5, []])
def test_a_410_with_an_odd_timestamp_is_a_410_without_one(timestamp: object) -> None:
    body = json.dumps({"reason": "Unregistered", "timestamp": timestamp}).encode()

    assert classify(410, body, None, NOW) == TokenGone("Unregistered", None)


@pytest.mark.parametrize("body", [None, b"", HTML, b"{}"])
def test_a_410_without_apples_reason_is_nobodys_death(body: bytes | None) -> None:
    assert kind(classify(410, body, None, NOW)) == "nobody looked"


def test_a_410_with_a_reason_that_no_table_lists_is_suspicion_not_proof() -> None:
    assert verdict(410, "SomethingNew") == Refused("HTTP 410", "address")


@pytest.mark.parametrize("body", [HTML, b"[]", b'{"error":"log in"}', {"error": "log in"}])
def test_a_page_with_a_200_is_no_receipt(body: bytes | dict[str, Any]) -> None:
    assert classify(200, body, None, NOW) == Unavailable("HTTP 200", outcome_known=False)


def test_an_empty_object_with_a_200_is_one() -> None:
    assert classify(200, b"{}\n", None, NOW, vendor_id="id") == Delivered("id")


def test_a_bad_device_token_is_suspect_where_there_is_no_other_environment() -> None:
    said = verdict(400, "BadDeviceToken", other_environment=False)

    assert said == Refused("BadDeviceToken", "address")


@pytest.mark.parametrize("reason", ["BadEnvironmentKeyIdInToken", "BadEnvironmentKeyInToken"])
def test_a_key_of_the_wrong_environment_speaks_of_the_phone_that_was_asked_for(
    reason: str,
) -> None:
    said = verdict(403, reason)
    assert isinstance(said, Misconfigured)
    assert (said.reason, said.about) == (reason, "target")
    assert "sandbox_key_file" in said.hint


def test_a_403_whose_reason_no_table_lists_is_about_the_target_and_names_a_plain_word() -> None:
    said = verdict(403, "SomethingNew")
    assert isinstance(said, Misconfigured)
    assert (said.reason, said.about) == ("HTTP 403 SomethingNew", "target")


@pytest.mark.parametrize("reason", ["with spaces", "x" * 60, "k3y", "", "<b>", "blocked"])
def test_a_reason_that_is_not_one_word_is_not_apples(reason: str) -> None:
    assert kind(verdict(403, reason)) == "nobody looked"
    assert kind(verdict(410, reason)) == "nobody looked"


@pytest.mark.parametrize(
    ("status", "reason", "word"),
    [
        (400, "BadTopic", "bundle id"),
        (403, "InvalidProviderToken", "team_id"),
        (403, "BadEnvironmentKeyIdInToken", "environment"),
    ],
)
def test_what_a_person_must_mend_says_what_to_do(status: int, reason: str, word: str) -> None:
    said = verdict(status, reason)

    assert isinstance(said, Misconfigured)
    assert word in said.hint


def test_throttling_of_the_lane_has_a_wait_and_that_of_a_device_is_for_the_core() -> None:
    lane = verdict(429, "TooManyProviderTokenUpdates")
    device = verdict(429, "TooManyRequests")

    assert lane == Throttled("TooManyProviderTokenUpdates", "lane", LANE_WAIT_S)
    assert device == Throttled("TooManyRequests", "device", None)


@pytest.mark.parametrize(("status", "reason"), [(503, "Shutdown"), (429, "TooManyRequests")])
def test_retry_after_is_passed_on(status: int, reason: str) -> None:
    said = classify(status, {"reason": reason}, "7", NOW)

    assert isinstance(said, Throttled | Unavailable)
    assert said.retry_after == 7.0


@pytest.mark.parametrize("status", ALL_STATUSES)
def test_no_status_prunes_without_apples_reason(status: int) -> None:
    for body in NO_REASON:
        said = classify(status, body, None, NOW)

        assert not isinstance(said, TokenGone)
        assert isinstance(said, Delivered) == (status == 200 and body in (None, b"", {}))
        assert isinstance(said, Delivered) or said.reason in (f"HTTP {status}", PROXY_LOGIN)
        assert not isinstance(said, Refused | Misconfigured)


@pytest.mark.parametrize("status", ALL_STATUSES)
def test_a_reason_counts_only_with_its_own_status(status: int) -> None:
    for reason in (*sorted(REASONS), SECRET):
        said = verdict(status, reason)

        assert SECRET not in repr(said)
        if (status, reason) not in APPLES and status != 200:
            assert not isinstance(said, TokenGone | Delivered)
            assert said.reason in (f"HTTP {status}", f"HTTP 403 {reason}", PROXY_LOGIN)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (302, "nobody looked"),
        (400, "nobody looked"),
        (404, "nobody looked"),
        (410, "nobody looked"),
        (413, "nobody looked"),
        (401, "nobody looked"),
        (403, "nobody looked"),
        (407, "nobody looked"),
        (408, "nobody looked"),
        (418, "nobody looked"),
        (421, "nobody looked"),
        (429, "throttle lane"),
        (500, "again"),
        (502, "unknown"),
        (503, "again"),
        (504, "unknown"),
    ],
)
def test_statuses_without_a_reason_are_judged_by_their_class(status: int, expected: str) -> None:
    assert kind(classify(status, HTML, None, NOW)) == expected


@given(st.integers(), st.binary(), st.none() | st.text())
def test_no_answer_makes_it_fail(status: int, body: bytes, retry_after: str | None) -> None:
    classify(status, body, retry_after, NOW)
