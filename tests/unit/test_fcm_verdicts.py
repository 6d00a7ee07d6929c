"""What FCM's answers mean: every status, every error code, and what no vendor would say."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.contract import (
    Delivered,
    Misconfigured,
    Refused,
    Throttled,
    TokenGone,
    Unavailable,
    Verdict,
)
from providers.fcm.verdicts import (
    FCM_ERROR_CODES,
    NEW_TOKEN_WAIT_S,
    QUOTA_WAIT_S,
    RPC_STATUSES,
    classify,
)
from providers.wording.between import PROXY_LOGIN

NOW = 1_762_423_138.0
SECRET = "e7h0Zs:APA91b-the-address"
HTML = b"<html><title>Error</title>the server is not well</html>"
BODIES: list[bytes | dict[str, Any] | None] = [
    None,
    b"",
    HTML,
    b"null",
    b"[]",
    b'"text"',
    b"\xff\xfe\x00",
    b'{"error": "text"}',
    b'{"error": []}',
    b'{"error": {"details": {}}}',
    b'{"error": {"details": [1, null, {"@type": 7}]}}',
    {},
    {"error": None},
]
ALL_STATUSES = range(100, 600)


def fcm_error(code: str) -> dict[str, Any]:
    return {"@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": code}


def violation(*fields: str) -> dict[str, Any]:
    return {
        "@type": "type.googleapis.com/google.rpc.BadRequest",
        "fieldViolations": [{"field": field, "description": SECRET} for field in fields],
    }


def apns_error(status: int, reason: str) -> dict[str, Any]:
    return {
        "@type": "type.googleapis.com/google.firebase.fcm.v1.ApnsError",
        "statusCode": status,
        "reason": reason,
    }


def quota(subject: str, description: str = "") -> dict[str, Any]:
    return {
        "@type": "type.googleapis.com/google.rpc.QuotaFailure",
        "violations": [{"subject": subject, "description": description}],
    }


def error(status: int, name: str, *details: dict[str, Any], message: str = SECRET) -> bytes:
    content = {"code": status, "message": message, "status": name, "details": list(details)}
    return json.dumps({"error": content}).encode()


def verdict(
    status: int,
    name: str,
    *details: dict[str, Any],
    retry_after: str | None = None,
    message: str = SECRET,
) -> Verdict:
    return classify(status, error(status, name, *details, message=message), retry_after, NOW)


def test_a_receipt_is_a_delivery() -> None:
    name = "projects/p/messages/0:1500415314455276%31bd1c9631bd1c96"

    assert classify(200, {"name": name}, None, NOW) == Delivered(name)
    assert classify(200, json.dumps({"name": name}).encode(), None, NOW) == Delivered(name)


@pytest.mark.parametrize("body", [*BODIES, b'{"name": 5}', b'{"name": ""}'])
def test_a_200_that_is_no_receipt_delivers_nothing(body: bytes) -> None:
    assert classify(200, body, None, NOW) == Unavailable("HTTP 200", outcome_known=False)


def test_unregistered_with_404_is_a_dead_address() -> None:
    assert verdict(404, "NOT_FOUND", fcm_error("UNREGISTERED")) == TokenGone("UNREGISTERED")


DEAD = "The registration token is not a valid FCM registration token"


@pytest.mark.parametrize("message", [DEAD, f"{DEAD}.", f"{DEAD}: check it", DEAD.lower()])
def test_the_sentence_about_the_registration_token_proves_an_address_dead(message: str) -> None:
    gone = verdict(400, "INVALID_ARGUMENT", fcm_error("INVALID_ARGUMENT"), message=message)

    assert gone == TokenGone("INVALID_ARGUMENT")


@pytest.mark.parametrize(
    "message",
    [
        "Message is too large. The maximum is 4K (4096 bytes).",
        "Android message is too big",
        "Request contains an invalid argument.",
        "The registration token is fine",
        "",
    ],
)
def test_every_other_sentence_beside_a_lone_detail_is_about_the_message(message: str) -> None:
    refused = verdict(400, "INVALID_ARGUMENT", fcm_error("INVALID_ARGUMENT"), message=message)

    assert refused == Refused("INVALID_ARGUMENT", "message")


def test_the_sentence_alone_or_beside_a_blamed_field_proves_nothing() -> None:
    alone = verdict(400, "INVALID_ARGUMENT", message=DEAD)
    blamed = verdict(
        400, "INVALID_ARGUMENT", fcm_error("INVALID_ARGUMENT"), violation(), message=DEAD
    )

    assert (alone, blamed) == (Refused("INVALID_ARGUMENT", "message"),) * 2


def test_a_blamed_payload_field_is_our_fault_and_prunes_nobody() -> None:
    refused = verdict(
        400, "INVALID_ARGUMENT", fcm_error("INVALID_ARGUMENT"), violation("message.data[0].value")
    )

    assert refused == Refused("INVALID_ARGUMENT", "message")


def test_a_blamed_address_field_is_suspicion_not_proof() -> None:
    refused = verdict(
        400, "INVALID_ARGUMENT", fcm_error("INVALID_ARGUMENT"), violation("message.token")
    )

    assert refused == Refused("INVALID_ARGUMENT", "address")


def test_a_field_violation_without_fields_prunes_nobody() -> None:
    refused = verdict(400, "INVALID_ARGUMENT", fcm_error("INVALID_ARGUMENT"), violation())

    assert refused == Refused("INVALID_ARGUMENT", "message")


def test_a_400_without_fcms_own_detail_prunes_nobody() -> None:
    assert verdict(400, "INVALID_ARGUMENT") == Refused("INVALID_ARGUMENT", "message")


def test_apples_410_passed_on_by_fcm_is_a_dead_address() -> None:
    gone = verdict(
        400,
        "INVALID_ARGUMENT",
        fcm_error("INVALID_ARGUMENT"),
        apns_error(410, "Unregistered"),
    )

    assert gone == TokenGone("Unregistered")


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("BadDeviceToken", Refused("BadDeviceToken", "address")),
        ("DeviceTokenNotForTopic", Refused("DeviceTokenNotForTopic", "address")),
        ("PayloadTooLarge", Refused("ApnsError", "message")),
        (SECRET, Refused("ApnsError", "message")),
    ],
)
def test_what_else_apple_said_through_fcm_prunes_nobody(reason: str, expected: Verdict) -> None:
    said = verdict(400, "INVALID_ARGUMENT", fcm_error("INVALID_ARGUMENT"), apns_error(400, reason))

    assert said == expected


def test_an_address_of_another_project_is_suspect() -> None:
    assert verdict(403, "PERMISSION_DENIED", fcm_error("SENDER_ID_MISMATCH")) == Refused(
        "SENDER_ID_MISMATCH", "address"
    )


@pytest.mark.parametrize(
    ("status", "name", "details", "word"),
    [
        (401, "UNAUTHENTICATED", [fcm_error("THIRD_PARTY_AUTH_ERROR")], "APNs"),
        (401, "UNAUTHENTICATED", [fcm_error("APNS_AUTH_ERROR")], "APNs"),
        (403, "PERMISSION_DENIED", [], "role"),
        (404, "NOT_FOUND", [], "project_id"),
    ],
)
def test_what_a_person_must_mend_pauses_the_lane_and_says_what_to_do(
    status: int, name: str, details: list[dict[str, Any]], word: str
) -> None:
    said = verdict(status, name, *details)

    assert isinstance(said, Misconfigured)
    assert word in said.hint


def test_a_refused_access_token_is_worth_another_one() -> None:
    assert verdict(401, "UNAUTHENTICATED") == Unavailable.not_looked_at(
        "UNAUTHENTICATED", NEW_TOKEN_WAIT_S
    )


@pytest.mark.parametrize(
    ("details", "scope"),
    [
        ([], "lane"),
        ([quota("project:inkpush")], "lane"),
        ([quota("project:inkpush", "message rate of all devices")], "lane"),
        ([quota("topic:news")], "lane"),
        ([quota("device:x")], "device"),
        ([quota("", "Device message rate exceeded")], "device"),
        ([quota("device:x"), quota("project:inkpush")], "lane"),
    ],
)
def test_the_quota_says_whom_to_slow_down(details: list[dict[str, Any]], scope: str) -> None:
    said = verdict(429, "RESOURCE_EXHAUSTED", fcm_error("QUOTA_EXCEEDED"), *details)

    assert isinstance(said, Throttled)
    assert (said.reason, said.scope, said.retry_after) == ("QUOTA_EXCEEDED", scope, QUOTA_WAIT_S)


def test_a_429_waits_as_long_as_it_is_told() -> None:
    said = verdict(429, "RESOURCE_EXHAUSTED", retry_after="7")

    assert said == Throttled("RESOURCE_EXHAUSTED", "lane", 7.0)


@pytest.mark.parametrize("status", [500, 503])
def test_an_answered_failure_of_fcms_own_was_surely_not_taken(status: int) -> None:
    name = "INTERNAL" if status == 500 else "UNAVAILABLE"

    said = verdict(status, name, fcm_error(name), retry_after="30")

    assert said == Unavailable(name, outcome_known=True, retry_after=30.0)


@pytest.mark.parametrize("status", [500, 502, 504])
def test_a_proxys_failure_leaves_the_outcome_open(status: int) -> None:
    assert classify(status, HTML, None, NOW) == Unavailable(f"HTTP {status}", outcome_known=False)


@pytest.mark.parametrize("status", ALL_STATUSES)
def test_no_status_prunes_without_fcms_own_words(status: int) -> None:
    for body in BODIES:
        said = classify(status, body, None, NOW)

        assert isinstance(said, Unavailable | Throttled)
        assert said.reason in (f"HTTP {status}", PROXY_LOGIN)


FOREIGN: list[object] = [
    "forbidden",
    {},
    {"code": 403},
    {"code": 403, "message": "Forbidden"},
    {"code": 404, "status": "NOT_FOUND"},
    {"code": 403, "status": "Forbidden"},
    {"code": "403", "status": "PERMISSION_DENIED"},
    {"status": ["NOT_FOUND"]},
    {"details": [{"errorCode": "UNREGISTERED"}]},
]
"""What stands under "error" in bodies that are not Google's."""


@pytest.mark.parametrize("status", [400, 401, 403])
@pytest.mark.parametrize("content", FOREIGN, ids=str)
def test_json_that_is_not_googles_accuses_and_proves_nothing(status: int, content: object) -> None:
    said = classify(status, json.dumps({"error": content}).encode(), None, NOW)

    assert isinstance(said, Unavailable)
    assert not said.looked_at


@pytest.mark.parametrize("status", [400, 403, 404])
def test_an_error_in_googles_form_without_a_code_counts(status: int) -> None:
    name = {400: "INVALID_ARGUMENT", 403: "PERMISSION_DENIED", 404: "NOT_FOUND"}[status]
    said = classify(status, {"error": {"status": name}}, None, NOW)

    assert isinstance(said, Refused | Misconfigured)


@pytest.mark.parametrize("status", ALL_STATUSES)
def test_every_status_with_every_code_has_a_verdict_without_foreign_text(status: int) -> None:
    own = {f"HTTP {status}", PROXY_LOGIN, "ApnsError", "Unregistered"}
    known = FCM_ERROR_CODES | RPC_STATUSES | own
    for code in (*sorted(FCM_ERROR_CODES), SECRET):
        for extra in ([], [violation("message.token")], [apns_error(410, "Unregistered")]):
            said = verdict(status, SECRET, fcm_error(code), *extra)

            assert SECRET not in repr(said)
            assert isinstance(said, Delivered) or said.reason in known
            if isinstance(said, TokenGone):
                assert (status, said.reason) in {
                    (404, "UNREGISTERED"),
                    (400, "Unregistered"),
                }


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (302, Unavailable),
        (407, Unavailable),
        (408, Unavailable),
        (413, Unavailable),
        (418, Unavailable),
        (421, Unavailable),
        (599, Unavailable),
    ],
)
def test_statuses_of_the_way_between_are_judged_by_who_says_them(status: int, kind: type) -> None:
    assert isinstance(classify(status, HTML, None, NOW), kind)


@given(
    st.integers(),
    st.binary()
    | st.recursive(
        st.none() | st.text() | st.integers(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(["error", "details", "@type", "name", "status"]) | st.text(), inner
            )
        ),
    ).map(lambda value: json.dumps(value).encode()),
    st.none() | st.text(),
)
def test_no_answer_makes_it_fail(status: int, body: bytes, retry_after: str | None) -> None:
    said = classify(status, body, retry_after, NOW)

    if isinstance(said, Unavailable | Throttled) and said.retry_after is not None:
        assert 0 <= said.retry_after <= 3600
