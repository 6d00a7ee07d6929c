"""What APNs' answers mean: one table from (status, reason) to a verdict.

Owns every status and reason of Apple's list. Refuses to know transports and to repeat what a
vendor wrote: reasons come from the closed list below or are "HTTP <status>".

Sources: Apple, "Handling notification responses from APNs" and "Establishing a token-based
connection to APNs", as kept in the project's protocol notes. Anything may answer in APNs' place, so
only a body with a `reason` of Apple's form accuses or proves anything: one word of letters, with a
capital in front.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from providers.contract import (
    Delivered,
    Misconfigured,
    Refused,
    Throttled,
    TokenGone,
    Unavailable,
    Verdict,
)
from providers.wording.between import LANE_WAIT_S, of_somebody_between
from providers.wording.body import Body, parse_body
from providers.wording.retry_after import parse_retry_after

SECOND_RETRY_S = 900.0
"""Apple asks to wait 15 minutes after a 5xx. The first one is mostly a connection that shuts down,
so the wait holds from the second attempt on."""

CLOCK_WRONG = Misconfigured(
    "ExpiredProviderToken",
    "APNs calls a provider token expired that was minted a short while ago: set this machine's "
    "clock (NTP).",
)
_KEY_HINT = (
    "APNs does not accept the key: check that key_file, key_id and team_id belong together and "
    "that the key is not revoked (Apple developer account, Keys)."
)
_TOPIC_HINT = (
    "APNs does not accept the topic: set topic to the bundle id of the app, and check that the "
    "key is allowed to push to it."
)
_ENVIRONMENT_HINT = (
    "The key is not for this APNs environment: create a key for it, and set sandbox_key_file and "
    "sandbox_key_id to the sandbox's, or key_file and key_id to production's."
)
_UNLISTED_HINT = (
    "APNs rejects what this push was sent with, for a reason that is not on Apple's list: look it "
    "up, and check the key, the topic and the environment of the device."
)

_TABLE: dict[tuple[int, str], Verdict] = {
    **{
        (400, reason): Refused(reason, "message")
        for reason in (
            "BadCollapseId",
            "BadExpirationDate",
            "BadMessageId",
            "BadPriority",
            "DuplicateHeaders",
            "InvalidPushType",
            "MissingDeviceToken",
            "PayloadEmpty",
        )
    },
    (400, "BadDeviceToken"): Refused("BadDeviceToken", "environment"),
    (400, "DeviceTokenNotForTopic"): Refused("DeviceTokenNotForTopic", "address"),
    **{
        (400, reason): Misconfigured(reason, _TOPIC_HINT)
        for reason in ("BadTopic", "MissingTopic", "TopicDisallowed")
    },
    # the connection was idle for too long: another one will do, at once
    (400, "IdleTimeout"): Unavailable.not_looked_at("IdleTimeout"),
    # the transport mints another provider token, or answers `CLOCK_WRONG`
    (403, "ExpiredProviderToken"): Unavailable.not_looked_at("ExpiredProviderToken"),
    **{
        (403, reason): Misconfigured(reason, _KEY_HINT)
        for reason in (
            "BadCertificate",
            "Forbidden",
            "InvalidProviderToken",
            "MissingProviderToken",
            "UnrelatedKeyIdInToken",
        )
    },
    **{
        # Apple's list has the second spelling, the wire the third
        (403, reason): Misconfigured(reason, _ENVIRONMENT_HINT, about="target")
        for reason in (
            "BadCertificateEnvironment",
            "BadEnvironmentKeyIdInToken",
            "BadEnvironmentKeyInToken",
        )
    },
    (404, "BadPath"): Refused("BadPath", "message"),
    (405, "MethodNotAllowed"): Refused("MethodNotAllowed", "message"),
    (410, "ExpiredToken"): TokenGone("ExpiredToken"),
    (410, "Unregistered"): TokenGone("Unregistered"),
    (413, "PayloadTooLarge"): Refused("PayloadTooLarge", "message"),
    (429, "TooManyRequests"): Throttled("TooManyRequests", "device"),
    # the provider token in use stays in use: minting another one is what is complained of
    (429, "TooManyProviderTokenUpdates"): Throttled("TooManyProviderTokenUpdates", "lane"),
    **{
        (status, reason): Unavailable(reason, outcome_known=True)
        for status, reason in (
            (500, "InternalServerError"),
            (503, "ServiceUnavailable"),
            (503, "Shutdown"),
        )
    },
}

_LONGEST_WORD = 48

# about to end, or bound to the key that it saw first
_ENDS_CONNECTION = frozenset({"IdleTimeout", "Shutdown", "UnrelatedKeyIdInToken"})

REASONS = frozenset(reason for _, reason in _TABLE)
"""Every reason of Apple's list."""


def classify(
    status: int,
    body: Body,
    retry_after: str | None,
    now: float,
    *,
    vendor_id: str = "",
    other_environment: bool = True,
) -> Verdict:
    """Say what an answer means; never raises, whatever was answered.

    `retry_after` is the header as it came, `now` in epoch seconds, `vendor_id` the apns-id of the
    answer. `other_environment` says whether there is another one than that which answered.
    ExpiredProviderToken comes back as Unavailable: only the transport knows how old its token is,
    see `CLOCK_WRONG`.
    """
    wait = parse_retry_after(retry_after, now)
    answer = parse_body(body)
    if status == 200:
        # APNs says nothing beside a 200; a page of somebody in between is no receipt
        is_receipt = not body or (isinstance(body, bytes) and body.strip() == b"{}")
        return Delivered(vendor_id) if is_receipt else of_somebody_between(status, wait)
    reason = answer.get("reason")
    if not isinstance(reason, str) or not _is_apples(reason):
        if status in (500, 503):
            return _not_now(f"HTTP {status}", wait)
        return of_somebody_between(status, wait)
    match listed := _TABLE.get((status, reason)):
        case None if status == 403:
            return Misconfigured(f"HTTP 403 {reason}", _UNLISTED_HINT, about="target")
        case None:
            return _by_class(status, wait)
        case TokenGone():
            return TokenGone(listed.reason, _since(answer))
        case Throttled():
            if wait is None and listed.scope == "lane":
                wait = LANE_WAIT_S
            return Throttled(listed.reason, listed.scope, wait)
        case Unavailable(retry_after=None):
            return _not_now(listed.reason, wait)
        case Refused(reason="BadDeviceToken") if not other_environment:
            return Refused("BadDeviceToken", "address")
        case _:
            return listed


def ends_connection(verdict: Verdict) -> bool:
    """Whether the reason is one of the connection's own: it should take nothing new."""
    return isinstance(verdict, Misconfigured | Unavailable) and verdict.reason in _ENDS_CONNECTION


def _by_class(status: int, wait: float | None) -> Verdict:
    """A reason that is not on Apple's list for this status: nothing is pruned, nothing is lost."""
    reason = f"HTTP {status}"
    if status == 410:
        return Refused(reason, "address")
    if status in (408, 421, 425, 500, 503):
        return _not_now(reason, wait)
    if 400 <= status < 500 and status not in (401, 407, 429):
        return Refused(reason, "message")
    return of_somebody_between(status, wait)


def _is_apples(reason: str) -> bool:
    """Whether a reason has the form of Apple's. Others are not the vendor's, and may hold
    anything."""
    is_word = len(reason) <= _LONGEST_WORD and reason.isascii() and reason.isalpha()
    return is_word and reason[0].isupper()


def _not_now(reason: str, wait: float | None) -> Unavailable:
    """APNs did not take it. A time that it names stands in place of Apple's general words."""
    later = SECOND_RETRY_S if wait is None else 0.0
    return Unavailable(reason, outcome_known=True, retry_after=wait, later_floor_s=later)


def _since(answer: Mapping[str, Any]) -> int | None:
    """Since when the token is dead, in epoch milliseconds."""
    timestamp = answer.get("timestamp")
    if isinstance(timestamp, int) and not isinstance(timestamp, bool) and timestamp > 0:
        return timestamp
    return None
