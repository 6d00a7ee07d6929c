"""What to do about a verdict. A decision is data; `gateway.relay.settle` carries it out.

A verdict carries the waits that its vendor asks for. Where it carries none, the strictest published
rules (Firebase, "Scale FCM") apply to every vendor: at least 10 s before any retry, and 60 s after
a throttle that names no time. They do not apply to pushes that the vendor never looked at.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, assert_never

from providers.contract import (
    Delivered,
    Misconfigured,
    Refused,
    Throttled,
    TokenGone,
    Unavailable,
    Verdict,
)

MAX_BACKOFF_S = 3600.0
#: immediate retries allowed in a row for pushes that the vendor never looked at, because a vendor's
#: connections tend to be closed one after the other
AT_ONCE = 3
#: the next retry waits for 2 s at most, each further one for twice as long, up to this: about the
#: time that a transport leaves between two connections that fail
MAX_UNSEEN_WAIT_S = 30.0
_FIRST_RETRY_S = 10.0
_THROTTLE_S = 60.0


@dataclass(frozen=True, slots=True)
class Done:
    """The vendor took it."""

    vendor_id: str


@dataclass(frozen=True, slots=True)
class RetryAt:
    """Try again at this time; one attempt is spent."""

    at: float
    reason: str
    flipped: bool = False


@dataclass(frozen=True, slots=True)
class RetrySoon:
    """The vendor never looked at it: try again at this time; no attempt is spent."""

    at: float
    reason: str


@dataclass(frozen=True, slots=True)
class Snooze:
    """Come back at this time; no attempt is spent. `scope` says who is quiet until then."""

    at: float
    reason: str
    scope: str


@dataclass(frozen=True, slots=True)
class Dead:
    """Give up: the attempts are spent. A person may replay it."""

    reason: str


@dataclass(frozen=True, slots=True)
class Expire:
    """It would come too late. `snooze`: the vendor's back-off, which others still have to keep."""

    reason: str
    snooze: Snooze | None = None


@dataclass(frozen=True, slots=True)
class Refuse:
    """The vendor will never take it; the device stays as it is."""

    reason: str


@dataclass(frozen=True, slots=True)
class Prune:
    """The address is proven dead: take the device out, then the delivery is `pruned`."""

    reason: str


@dataclass(frozen=True, slots=True)
class Quarantine:
    """The address is suspect: stop sending to the device until the app registers again."""

    reason: str


@dataclass(frozen=True, slots=True)
class Accuse:
    """The vendor rejects the configuration: the delivery waits, and spends no attempt. The part's
    breaker decides whether others wait with it; `about` says what the vendor rejects: all of the
    part, or one target."""

    reason: str
    hint: str
    about: Literal["part", "target"]


Outcome = Done | RetryAt | RetrySoon | Snooze | Dead | Expire | Refuse | Prune | Quarantine
"""The decisions about one delivery alone."""

Decision = Outcome | Accuse


@dataclass(frozen=True, slots=True)
class Standing:
    """How a delivery stands when its verdict comes in.

    `attempts` includes the one just made; `seen_at` is the time of the registration it was sent to.
    `flipped`: it went to the other APNs environment than the registered one. `unseen` counts how
    often in a row the vendor did not look at it, this time included.
    """

    attempts: int
    deadline: float
    seen_at: float
    flipped: bool = False
    unseen: int = 0


def decide(
    verdict: Verdict, standing: Standing, *, max_attempts: int, now: float, jitter: float
) -> Decision:
    """Decide what becomes of a delivery. `jitter` is a random number in [0, 1)."""
    match verdict:
        case Delivered(vendor_id=vendor_id):
            return Done(vendor_id)
        case TokenGone():
            return _gone(verdict, standing)
        case Refused():
            return _refused(verdict, standing, now)
        case Misconfigured():
            if standing.flipped:
                # The key may be for one environment only, which says nothing about the part.
                return Quarantine(verdict.reason)
            return Accuse(verdict.reason, verdict.hint, verdict.about)
        case Throttled():
            wait = max(verdict.retry_after or 0.0, 0.0) or _THROTTLE_S
            at = now + wait * (1.0 + 0.1 * jitter)
            return _in_time(Snooze(at, verdict.reason, verdict.scope), standing)
        case Unavailable(looked_at=False):
            at = now + _unseen_wait(verdict, standing.unseen, jitter)
            return _in_time(RetrySoon(at, verdict.reason), standing)
        case Unavailable():
            if standing.attempts >= max_attempts:
                return Dead(verdict.reason)
            at = now + backoff(verdict, standing, jitter)
            return _in_time(RetryAt(at, verdict.reason, standing.flipped), standing)
        case _:
            assert_never(verdict)


def backoff(verdict: Unavailable, standing: Standing, jitter: float) -> float:
    """Seconds until the next try: exponential with full jitter above a floor.

    At most one hour, but never less than the vendor's Retry-After.
    """
    told = verdict.retry_after or 0.0
    floor = max(told, _FIRST_RETRY_S)
    if standing.attempts > 1:
        floor = max(floor, verdict.later_floor_s)
    spread = _FIRST_RETRY_S * 2.0 ** min(standing.attempts - 1, 16)
    return min(floor + spread * jitter, max(MAX_BACKOFF_S, told))


def _unseen_wait(verdict: Unavailable, unseen: int, jitter: float) -> float:
    """Seconds until an unseen push is tried again: at once at first, then later each time."""
    told = (verdict.retry_after or 0.0) * (1.0 + 0.1 * jitter)
    if unseen <= AT_ONCE:
        return told
    longest = min(2.0 ** min(unseen - AT_ONCE, 16), MAX_UNSEEN_WAIT_S)
    return max(told, longest * (0.5 + 0.5 * jitter))


def _gone(verdict: TokenGone, standing: Standing) -> Decision:
    """Prune, unless the device registered after the time since which its token is dead."""
    if verdict.since_ms is not None and verdict.since_ms < int(standing.seen_at * 1000):
        return Refuse(f"{verdict.reason}, before the latest registration")
    return Prune(verdict.reason)


def _refused(verdict: Refused, standing: Standing, now: float) -> Decision:
    match verdict.fault:
        case "message":
            return Refuse(verdict.reason)
        case "address":
            return Quarantine(verdict.reason)
        case "environment" if standing.flipped:
            return Quarantine(verdict.reason)  # neither environment knows the token
        case "environment":
            return _in_time(RetryAt(now, verdict.reason, flipped=True), standing)
        case _:
            assert_never(verdict.fault)


def _in_time(later: RetryAt | RetrySoon | Snooze, standing: Standing) -> Decision:
    if later.at < standing.deadline:
        return later
    return Expire(later.reason, later if isinstance(later, Snooze) else None)
