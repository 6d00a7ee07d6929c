"""What the vendors of tier B say: the answers that a verdict can come as.

Owns the way from a verdict to an answer, which `providers.apns.verdicts` and
`providers.fcm.verdicts` go back. It has every row of their tables, and what a proxy or a portal
says in the vendor's place, so that `right_verdict` hears one that is read wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import assert_never

from h2.errors import ErrorCodes

from providers.contract import (
    Delivered,
    Misconfigured,
    Refused,
    Throttled,
    TokenGone,
    Unavailable,
    Verdict,
)
from providers.sandbox.answers import Answer
from providers.sandbox.fcm_errors import BAD_REQUEST

_NEW = "AReasonOfNextYear"
"""A reason that is on no list."""

_NOT_THIS_MESSAGE = (
    (400, "BadCollapseId"),
    (400, "BadExpirationDate"),
    (400, "BadMessageId"),
    (400, "BadPriority"),
    (400, "DuplicateHeaders"),
    (400, "InvalidPushType"),
    (400, "MissingDeviceToken"),
    (400, "PayloadEmpty"),
    (404, "BadPath"),
    (405, "MethodNotAllowed"),
    (413, "PayloadTooLarge"),
    (400, _NEW),
)
"""How Apple refuses a message."""

_BETWEEN = (
    *(Answer.status(code, html=True) for code in (302, 400, 403, 404, 407, 410)),
    *(Answer.empty(code) for code in (401, 404, 407, 410)),
)
"""What somebody between this machine and the vendor says."""

_CUT = (Answer.reset(ErrorCodes.INTERNAL_ERROR), Answer.drop())
"""The sender does not learn what became of its push."""


def ways(verdict: Verdict, provider: str) -> Sequence[Answer]:
    """All answers of a vendor that mean this."""
    if isinstance(verdict, Unavailable) and verdict.reason == "Timeout":
        return (Answer.hang(),)
    return _apns(verdict) if provider == "apns" else _fcm(verdict)


def as_said(verdict: Verdict, answer: Answer) -> Verdict:
    """The verdict with the wait that its answer names, if any."""
    if isinstance(verdict, Throttled | Unavailable):
        told = answer.retry_after
        return replace(verdict, retry_after=told if isinstance(told, float) else None)
    return verdict


def _apns(verdict: Verdict) -> Sequence[Answer]:
    match verdict:
        case Delivered():
            return (Answer.ok(),)
        case TokenGone(since_ms=since):
            return (
                Answer.unregistered(since),
                Answer.status(410, "ExpiredToken", timestamp_ms=since),
            )
        case Throttled(scope="device", retry_after=told):
            return (Answer.throttled(told, "device"),)
        case Throttled(retry_after=told):
            return Answer.throttled(told, "project"), Answer.status(429, _NEW, retry_after=told)
        case Unavailable():
            return _apns_not_now(verdict)
        case Refused(fault="message"):
            return _statuses(*_NOT_THIS_MESSAGE)
        case Refused(fault="address"):
            return _statuses((400, "DeviceTokenNotForTopic"), (410, _NEW))
        case Refused():
            return (Answer.bad_token(),)
        case Misconfigured(about="part"):
            return _statuses(
                (403, "InvalidProviderToken"),
                (403, "BadCertificate"),
                (403, "Forbidden"),
                (403, "MissingProviderToken"),
                (403, "UnrelatedKeyIdInToken"),
                (400, "BadTopic"),
                (400, "MissingTopic"),
                (400, "TopicDisallowed"),
                # of a token that was minted a moment ago: then a clock is wrong
                (403, "ExpiredProviderToken"),
            )
        case Misconfigured():
            return _statuses(
                (403, "BadEnvironmentKeyInToken"),
                (403, "BadEnvironmentKeyIdInToken"),
                (403, "BadCertificateEnvironment"),
                (403, _NEW),
            )
        case _:
            assert_never(verdict)


def _apns_not_now(verdict: Unavailable) -> Sequence[Answer]:
    told = verdict.retry_after
    if not verdict.looked_at:
        # Apple always gives a reason: without one it is somebody in between
        return (_refused(), Answer.status(400, "IdleTimeout"), *_BETWEEN)
    if not verdict.outcome_known:
        return (*_CUT, Answer.status(502, html=True), Answer.empty(504))
    if verdict.reason == "Shutdown":
        return (Answer.status(503, "Shutdown", retry_after=told),)
    listed = (500, "InternalServerError"), (503, "ServiceUnavailable")
    unlisted = (500, _NEW), (503, _NEW), (408, _NEW)
    return _statuses(*listed, *unlisted, retry_after=told)


def _fcm(verdict: Verdict) -> Sequence[Answer]:
    match verdict:
        case Delivered():
            return (Answer.ok(),)
        case TokenGone():
            words = "Unregistered", "ExpiredToken"
            by_apple = [Answer.apns_error(410, word) for word in words]
            return Answer.unregistered(), Answer.bad_token(), *by_apple
        case Throttled(scope="device", retry_after=told):
            return (Answer.throttled(told, "device"),)
        case Throttled(retry_after=told):
            said = Answer.throttled(told, "project")
            return said, *_statuses((429, "QUOTA_EXCEEDED"), (429, ""), retry_after=told)
        case Unavailable():
            return _fcm_not_now(verdict)
        case Refused(fault="message"):
            other = Answer.apns_error(400, "PayloadTooLarge")
            lone = _statuses((400, "INVALID_ARGUMENT"), (400, ""), (413, ""))
            return _violation("message.data"), other, *lone
        case Refused():
            other = Answer.apns_error(400, "BadDeviceToken")
            suspect = _statuses((403, "SENDER_ID_MISMATCH"), (400, "UNREGISTERED"))
            return (*suspect, _violation("message.token"), other)
        case Misconfigured(about="part"):
            return _statuses((403, ""), (404, ""))
        case Misconfigured():
            return _statuses((401, "THIRD_PARTY_AUTH_ERROR"), (403, "APNS_AUTH_ERROR"), (403, _NEW))
        case _:
            assert_never(verdict)


def _fcm_not_now(verdict: Unavailable) -> Sequence[Answer]:
    told = verdict.retry_after
    if not verdict.looked_at:
        return (_refused(), *_BETWEEN)
    if not verdict.outcome_known:
        pages = (Answer.status(code, html=True) for code in (500, 502, 504))
        return (*_CUT, *pages)
    if verdict.reason == "Shutdown":
        return Answer.unavailable(told), Answer.status(503, html=True, retry_after=told)
    return _statuses((500, "INTERNAL"), (503, "UNAVAILABLE"), (408, ""), retry_after=told)


def _statuses(
    *listed: tuple[int, str], retry_after: float | str | None = None
) -> tuple[Answer, ...]:
    return tuple(Answer.status(code, word, retry_after=retry_after) for code, word in listed)


def _refused() -> Answer:
    return Answer.reset(ErrorCodes.REFUSED_STREAM)


def _violation(name: str) -> Answer:
    """FCM names the field that it does not take."""
    violations = [{"field": name, "description": "Invalid value"}]
    detail = {"@type": BAD_REQUEST, "fieldViolations": violations}
    return Answer.status(400, "INVALID_ARGUMENT", details=[detail])
