"""What FCM's answers mean: one table from (status, error details) to a verdict.

Owns every status and error code of FCM v1. Refuses to know transports and to repeat what a vendor
wrote: reasons come from the closed lists below or are "HTTP <status>".

Sources: firebase.google.com "ErrorCode", "FCM error codes", "Scale FCM", as kept in the project's
protocol notes. Anything may answer in FCM's place, so only a body of Google's form accuses the
configuration or proves an address dead: an `error` with a status of google.rpc.Code or a detail of
FCM's, and with the same code as the answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from providers.contract import (
    Delivered,
    Misconfigured,
    Refused,
    Throttled,
    TokenGone,
    Unavailable,
    Verdict,
)
from providers.wording.between import of_somebody_between
from providers.wording.body import Body, parse_body
from providers.wording.retry_after import parse_retry_after

QUOTA_WAIT_S = 60.0
"""FCM asks for a minute after a 429 that names no time."""

NEW_TOKEN_WAIT_S = 1.0
"""After a refused access token: time enough to fetch another one."""

FCM_ERROR_CODES = frozenset(
    {
        "UNSPECIFIED_ERROR",
        "INVALID_ARGUMENT",
        "UNREGISTERED",
        "SENDER_ID_MISMATCH",
        "QUOTA_EXCEEDED",
        "UNAVAILABLE",
        "INTERNAL",
        "THIRD_PARTY_AUTH_ERROR",
        "APNS_AUTH_ERROR",
    }
)
RPC_STATUSES = frozenset(
    {
        "CANCELLED",
        "UNKNOWN",
        "INVALID_ARGUMENT",
        "DEADLINE_EXCEEDED",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "PERMISSION_DENIED",
        "UNAUTHENTICATED",
        "RESOURCE_EXHAUSTED",
        "FAILED_PRECONDITION",
        "ABORTED",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
        "INTERNAL",
        "UNAVAILABLE",
        "DATA_LOSS",
    }
)
_DEAD_APNS_REASONS = frozenset({"Unregistered", "ExpiredToken"})
_SUSPECT_APNS_REASONS = frozenset({"BadDeviceToken", "DeviceTokenNotForTopic"})

ACCESS_TOKEN_REFUSED = Misconfigured(
    "UNAUTHENTICATED",
    "FCM refuses an access token that was fetched just now: check that the service account of "
    "credentials_file is enabled, that endpoint is FCM, and that this machine's clock is right.",
)
# Google's words: "a message targeted to an iOS device or a web push registration could not be
# sent". It speaks of that target, and never of the Android phones beside it.
_APNS_KEY = Misconfigured(
    "THIRD_PARTY_AUTH_ERROR",
    "FCM cannot log in to APNs or the web push service for this device: upload a valid APNs "
    "authentication key in the Firebase console (Project settings, Cloud Messaging) for the iOS "
    "app; a browser has to register again after the web push key was changed.",
    about="target",
)
_UNLISTED = Misconfigured(
    "HTTP 403",
    "FCM rejects what this push was sent with, for a reason that is not on Google's list: look at "
    "the project in the Firebase console.",
    about="target",
)
_NO_PERMISSION = Misconfigured(
    "PERMISSION_DENIED",
    "Enable the Firebase Cloud Messaging API (V1) for the project, and give the service account "
    "of credentials_file the role roles/firebasecloudmessaging.admin.",
)
_NO_PROJECT = Misconfigured(
    "NOT_FOUND",
    "FCM knows no such project: compare project_id (or that of credentials_file) with the Firebase "
    "console, and endpoint with https://fcm.googleapis.com.",
)
_DEAD = "the registration token is not a valid fcm registration token"
"""FCM's only sentence beside INVALID_ARGUMENT that is about the address. Others of the same form
are about the message, such as "Message is too large. The maximum is 4K (4096 bytes)."."""

# one member, "name", whose text is plain ASCII and holds no escape: nearly every 200
_RECEIPT = re.compile(
    rb"""[ \t\r\n]*\{[ \t\r\n]*"name"[ \t\r\n]*:[ \t\r\n]*"""
    rb""""([ !#-\[\]-~]+)"[ \t\r\n]*\}[ \t\r\n]*"""
)


def receipt(body: bytes) -> Delivered | None:
    """What `classify` says of a 200 with the body that nearly all have, at a fraction of the cost.

    None for any other body: that says nothing, `classify` has to look.
    """
    match = _RECEIPT.fullmatch(body)
    return None if match is None else Delivered(match[1].decode())


def classify(status: int, body: Body, retry_after: str | None, now: float) -> Verdict:
    """Say what an answer means; never raises, whatever was answered.

    `retry_after` is the header as it came; `now` is in epoch seconds. A 401 of FCM's own comes
    back as Unavailable: only the transport knows whether its access token was old, see
    `ACCESS_TOKEN_REFUSED`.
    """
    answer = parse_body(body)
    return _accepted(answer) if status == 200 else _refused(status, answer, retry_after, now)


def _refused(
    status: int, answer: Mapping[str, Any], retry_after: str | None, now: float
) -> Verdict:
    wait = parse_retry_after(retry_after, now)
    error = answer.get("error")
    if not isinstance(error, Mapping) or not _is_googles(status, error):
        return of_somebody_between(status, wait)
    code = _fcm_code(error)
    reason = _reason(status, code, error)
    if code in ("THIRD_PARTY_AUTH_ERROR", "APNS_AUTH_ERROR"):
        return _APNS_KEY
    match status:
        case 400:
            return _bad_request(code, error, reason)
        case 401:
            # of the access token only
            return Unavailable.not_looked_at(reason, NEW_TOKEN_WAIT_S)
        case 403:
            return _forbidden(code, error)
        case 404:
            return TokenGone(code) if code == "UNREGISTERED" else _NO_PROJECT
        case 429:
            return Throttled(reason, _scope(error), QUOTA_WAIT_S if wait is None else wait)
        case _:
            return _by_class(status, reason, wait)


def _forbidden(code: str, error: Mapping[str, Any]) -> Verdict:
    if code == "SENDER_ID_MISMATCH":
        return Refused(code, "address")
    said = any(isinstance(one.get("errorCode"), str) for one in _details(error, "FcmError"))
    return _UNLISTED if said and not code else _NO_PERMISSION


def _by_class(status: int, reason: str, wait: float | None) -> Verdict:
    """A status that FCM does not document: nothing is pruned, nothing is lost."""
    if status in (408, 421, 425, 499, 500, 503):
        return Unavailable(reason, outcome_known=True, retry_after=wait)
    if 400 <= status < 500 and status != 407:
        return Refused(reason, "address" if reason == "UNREGISTERED" else "message")
    return of_somebody_between(status, wait)


def _accepted(answer: Mapping[str, Any]) -> Verdict:
    name = answer.get("name")
    if isinstance(name, str) and name:
        return Delivered(name)
    return Unavailable("HTTP 200", outcome_known=False)


def _bad_request(code: str, error: Mapping[str, Any], reason: str) -> Verdict:
    for detail in _details(error, "ApnsError"):
        return _refused_by_apns(detail)
    fields = [
        violation.get("field")
        for detail in _details(error, "BadRequest")
        for violation in _mappings(detail.get("fieldViolations"))
    ]
    if fields:
        # It names the address: suspect, yet it is not the plain statement that the address is dead.
        address = all(field in ("message.token", "message.fid") for field in fields)
        return Refused(reason, "address" if address else "message")
    message = error.get("message")
    says_dead = isinstance(message, str) and _DEAD in message.lower()
    if says_dead and code == "INVALID_ARGUMENT" and not _details_named(error, "BadRequest"):
        return TokenGone(code)
    return Refused(reason, "address" if code == "UNREGISTERED" else "message")


def _refused_by_apns(detail: Mapping[str, Any]) -> Verdict:
    """FCM passes on what APNs said of an iPhone's device token."""
    reason = detail.get("reason")
    if detail.get("statusCode") == 410 and reason in _DEAD_APNS_REASONS:
        return TokenGone(reason)
    if reason in _SUSPECT_APNS_REASONS:
        return Refused(reason, "address")
    return Refused("ApnsError", "message")


def _scope(error: Mapping[str, Any]) -> Literal["device", "lane"]:
    """Which quota it was. Only a plain "device" spares the lane; in doubt all slow down."""
    said = [
        f"{violation.get('subject')} {violation.get('description')}".lower()
        for detail in _details(error, "QuotaFailure")
        for violation in _mappings(detail.get("violations"))
    ]
    is_device = said and all("device" in words and "project" not in words for words in said)
    return "device" if is_device else "lane"


def _is_googles(status: int, error: Mapping[str, Any]) -> bool:
    """Whether an error has Google's form. A proxy's JSON has another, or the code of another."""
    name = error.get("status")
    is_named = isinstance(name, str) and name in RPC_STATUSES
    return (is_named or _details_named(error, "FcmError")) and error.get("code", status) == status


def _reason(status: int, code: str, error: Mapping[str, Any]) -> str:
    if code:
        return code
    name = error.get("status")
    return name if isinstance(name, str) and name in RPC_STATUSES else f"HTTP {status}"


def _fcm_code(error: Mapping[str, Any]) -> str:
    for detail in _details(error, "FcmError"):
        code = detail.get("errorCode")
        if isinstance(code, str) and code in FCM_ERROR_CODES:
            return code
    return ""


def _details_named(error: Mapping[str, Any], kind: str) -> bool:
    return any(True for _ in _details(error, kind))


def _details(error: Mapping[str, Any], kind: str) -> Iterator[Mapping[str, Any]]:
    """The error details whose protobuf type has this last name."""
    for detail in _mappings(error.get("details")):
        if str(detail.get("@type", "")).rpartition(".")[2] == kind:
            yield detail


def _mappings(value: object) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, list | tuple):
        yield from (item for item in value if isinstance(item, Mapping))
