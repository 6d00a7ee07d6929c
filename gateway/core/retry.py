"""What to do about a verdict. A decision is data; `gateway.relay.settle` carries it out.

A verdict carries the waits that its vendor asks for. Where it carries none, these hold for every
vendor, from the strictest published words (Firebase, "Scale FCM"): at least 10 s before any retry,
and 60 s after a throttle that names no time. What a vendor never looked at has no such words.
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
#: how often in a row what was not looked at goes again at once: connections of one vendor tend to
#: be closed one after the other
AT_ONCE = 3
#: after that it waits for 2 s at most, then for twice as long each time, up to this: about what a
#: transport leaves between two connections that come to nothing
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
    """The vendor never looked at it: try again at this time; nothing is spent."""

    at: float
    reason: str


@dataclass(frozen=True, slots=True)
class Snooze:
    """Come back at this time; nothing is spent. `scope` says who has to be quiet until then."""

    at: float
    reason: str
    scope: str


@dataclass(frozen=True, slots=True)
class Dead:
    """Give up: the attempts are spent. A person may replay it."""

    reason: str


@dataclass(frozen=True, slots=True)
class Expire:
    """It would come too late. `snooze`: what the vendor asked for still holds for the others."""

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
    """The vendor rejects the configuration: the delivery waits, and spends no attempt. Whether
    others wait with it is for the part's breaker to say; `about` is how far the vendor's word
    goes."""

    reason: str
    hint: str
    about: Literal["part", "target"]


Outcome = Done | RetryAt | RetrySoon | Snooze | Dead | Expire | Refuse | Prune | Quarantine
"""What becomes of one delivery, whatever becomes of others."""

Decision = Outcome | Accuse


@dataclass(frozen=True, slots=True)
class Standing:
    """How a delivery stands when its verdict comes in.

    `attempts` counts the one just made; `seen_at` is the registration it was sent to, `flipped`
    says that it went to the other APNs environment than the registered one. `unseen` counts how
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
    """Say what becomes of a delivery. `jitter` is a random number in [0, 1)."""
    match verdict:
        case Delivered(vendor_id=vendor_id):
            return Done(vendor_id)
        case TokenGone():
            return _gone(verdict, standing)
        case Refused():
            return _refused(verdict, standing, now)
        case Misconfigured():
            if standing.flipped:
                # The key may serve one environment only: that says nothing of the part.
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
    """Seconds until what was not looked at goes again: at once at first, then ever later."""
    told = (verdict.retry_after or 0.0) * (1.0 + 0.1 * jitter)
    if unseen <= AT_ONCE:
        return told
    longest = min(2.0 ** min(unseen - AT_ONCE, 16), MAX_UNSEEN_WAIT_S)
    return max(told, longest * (0.5 + 0.5 * jitter))


def _gone(verdict: TokenGone, standing: Standing) -> Decision:
    """APNs says since when a token is dead: a later registration outlives that proof."""
    if verdict.since_ms is not None and verdict.since_ms < int(standing.seen_at * 1000):
        return Refuse(f"{verdict.reason}, before the latest registration")
    return Prune(verdict.reason)


def _refused(verdict: Refused, standing: Standing, now: float) -> Decision:
    if standing.flipped:
        # One environment does not know the token, and the other will not have it either.
        return Quarantine(verdict.reason)
    match verdict.fault:
        case "message":
            return Refuse(verdict.reason)
        case "address":
            return Quarantine(verdict.reason)
        case "environment":
            return _in_time(RetryAt(now, verdict.reason, flipped=True), standing)
        case _:
            assert_never(verdict.fault)


def _in_time(later: RetryAt | RetrySoon | Snooze, standing: Standing) -> Decision:
    if later.at < standing.deadline:
        return later
    return Expire(later.reason, later if isinstance(later, Snooze) else None)
