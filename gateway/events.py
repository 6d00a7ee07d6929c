"""What happens in the gateway, as frozen records; metrics and logs listen from outside.

Records of the hot path stand for batches, never for a single push.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from gateway.core.sources import LEARNINK


@dataclass(frozen=True, slots=True)
class WebhookAnswered:
    """A webhook request to a source was answered. `result`: accepted, duplicate, ignored,
    quarantined, unauthorized, too_large, too_slow, overloaded or unavailable. `undated`: the
    event's own time cannot be read. `type`: an event's that is no push."""

    result: str
    seconds: float
    event_id: str = ""
    notifications: int = 0
    rejected: int = 0
    reason: str = ""
    source: str = LEARNINK
    undated: bool = False
    type: str = ""


@dataclass(frozen=True, slots=True)
class NotificationsPosted:
    """A backend's own notifications (POST /v1/notifications), or a correction, are durable."""

    event_id: str
    notifications: int
    rejected: int


@dataclass(frozen=True, slots=True)
class EventCancelled:
    """An event was cancelled, the first time: so many notifications waited, and so many deliveries
    were taken, as far as was known."""

    event_id: str
    cancelled: int
    taken: int


@dataclass(frozen=True, slots=True)
class AttemptsFinished:
    """Verdicts came in for one lane: how many of each label, and how many seconds each took."""

    app: str
    provider: str
    verdicts: Mapping[str, int]
    seconds: Sequence[float] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class DeliveriesSettled:
    """Deliveries reached a terminal state. `event_ages`: seconds from the event's receipt to the
    vendor's acceptance, for those delivered."""

    app: str
    provider: str
    outcomes: Mapping[str, int]
    event_ages: Sequence[float] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class ReceiptsTold:
    """Phones told of pushes what was not known: app, platform, kind, and how often."""

    counts: Sequence[tuple[str, str, str, int]]


@dataclass(frozen=True, slots=True)
class ItemsEnded:
    """Items ended without a push: `no_device`, `expired` or `cancelled`."""

    result: str
    count: int


@dataclass(frozen=True, slots=True)
class IdsContradict:
    """So many items of an event have a device that was left out: it was found by one id, and its
    app has said another value of the other one."""

    event_id: str
    count: int


@dataclass(frozen=True, slots=True)
class DevicesRemoved:
    """Devices were pruned or quarantined. `by_reason` counts them by the vendor's reason."""

    app: str
    provider: str
    state: str
    by_reason: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class LaneHeld:
    """A part of a lane stopped: `held` is misconfigured or operator."""

    app: str
    provider: str
    part: str
    held: str
    reason: str
    hint: str


@dataclass(frozen=True, slots=True)
class LaneResumed:
    """A part of a lane sends again."""

    app: str
    provider: str
    part: str


@dataclass(frozen=True, slots=True)
class PartsFailing:
    """One fault stops these (app, provider, part): their vendor is not reached, or cannot serve."""

    parts: Sequence[tuple[str, str, str]]
    reason: str
    hint: str


@dataclass(frozen=True, slots=True)
class PartsReached:
    """The vendor of these (app, provider, part) is reached again."""

    parts: Sequence[tuple[str, str, str]]


@dataclass(frozen=True, slots=True)
class BrakeTripped:
    """Pruning stopped for a lane: too many devices would have gone."""

    app: str
    provider: str
    would_go: int
    devices: int


@dataclass(frozen=True, slots=True)
class BrakeReleased:
    """A person released the prune brake."""

    app: str
    provider: str


@dataclass(frozen=True, slots=True)
class LaneThrottled:
    """The vendor throttled the lane, or the lane waits for its own limit, for this many seconds."""

    app: str
    provider: str
    seconds: float
    reason: str


@dataclass(frozen=True, slots=True)
class RelaysCounted:
    """The number of relays has changed; it includes this one. They share the rate limits."""

    relays: int


@dataclass(frozen=True, slots=True)
class ChunkBuried:
    """A chunk was given up: this many processes ended while they tried it alone."""

    event_id: str
    number: int
    lone_ends: int


Refusal = Literal["full", "displaced", "silent", "slow", "malformed"]
"""Why a connection was ended: all were taken and none could be ended for it; it was the one that
had let us wait for longest when another came; it said nothing in time; its header was not whole in
time; what came is no HTTP, or has a header that is too long."""


@dataclass(frozen=True, slots=True)
class ConnectionRefused:
    """A listener ended a connection of a stranger."""

    reason: Refusal


Unread = Literal["chunk", "device"]
"""What this version could not read: a queued chunk, or a device's row."""


@dataclass(frozen=True, slots=True)
class PutAside:
    """Something stored could not be read by this version, and waits as a dead letter: a chunk, or
    `count` deliveries of a chunk, of which `reason` is the first's."""

    what: Unread
    event_id: str
    reason: str
    count: int = 1


@dataclass(frozen=True, slots=True)
class SourceUnknown:
    """Chunks of a source wait that the configuration of this process does not name; told once."""

    source: str
    hint: str


@dataclass(frozen=True, slots=True)
class SourceKnown:
    """A source whose chunks waited is named by the configuration now."""

    source: str


@dataclass(frozen=True, slots=True)
class ClockDoubted:
    """The time is doubted, and why; or ("") it is agreed on, `by` whom. `said` is what witnesses
    say."""

    doubt: str
    by: str
    said: str


@dataclass(frozen=True, slots=True)
class ClockCorrected:
    """The time in force was moved `seconds`, and is `offset` seconds ahead of the machine's clock,
    for so `by` says."""

    seconds: float
    offset: float
    by: str


@dataclass(frozen=True, slots=True)
class LearningSealed:
    """An hour of the chain of learning events is closed: when it began (epoch seconds), its last
    number, how many events it has, and the head there, in hex. Whoever keeps that elsewhere can
    find every change of before. `again`: the newest seal is told once more, as once a day."""

    hour_at: int
    number: int
    events: int
    head: str
    again: bool = False


@dataclass(frozen=True, slots=True)
class StoreFailed:
    """The store or queue did not answer; `what` was being done."""

    what: str
    error: str


@dataclass(frozen=True, slots=True)
class Fault:
    """An unforeseen failure: `error` is its type, `trace` where it came from, without values."""

    what: str
    error: str
    trace: str


@dataclass(frozen=True, slots=True)
class ExperimentEnded:
    """An experiment ended by itself: nobody is held any more."""

    experiment: str
    reason: str


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """The process changed phase: starting, ready, reloaded, reload_refused, draining, stopped; or
    failed, or given_up, by a third signal. Or stood_still: it did not run for a while. Or stalled,
    and moves_again: a thread of it does not, or does. Or what was found at the start: `files` (how
    many it may open), `new_database`, `database_doubted`, `relay_unknown`."""

    phase: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class HookPosted:
    """A batch was posted to a hook: taken, gone, throttled, failed or refused; `events` are how
    many it has."""

    hook: str
    outcome: str
    events: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class HookHeld:
    """A hook wants no more: it answered 410, and is held until a person resumes it."""

    hook: str
    reason: str


@dataclass(frozen=True, slots=True)
class HookFailing:
    """A hook failed several times in a row, for this reason; "": it takes events again."""

    hook: str
    reason: str


@dataclass(frozen=True, slots=True)
class HooksBuried:
    """So many events waited too long for a hook, or were too many: they are its dead letters."""

    hook: str
    events: int


GatewayEvent = (
    WebhookAnswered
    | NotificationsPosted
    | EventCancelled
    | AttemptsFinished
    | DeliveriesSettled
    | ItemsEnded
    | ReceiptsTold
    | IdsContradict
    | DevicesRemoved
    | LaneHeld
    | LaneResumed
    | PartsFailing
    | PartsReached
    | BrakeTripped
    | BrakeReleased
    | LaneThrottled
    | RelaysCounted
    | ChunkBuried
    | PutAside
    | SourceUnknown
    | SourceKnown
    | ClockDoubted
    | ClockCorrected
    | ConnectionRefused
    | HookPosted
    | HookHeld
    | HookFailing
    | HooksBuried
    | LearningSealed
    | ExperimentEnded
    | StoreFailed
    | Fault
    | Lifecycle
)

Observer = Callable[[GatewayEvent], None]
"""Listens to what happens; must be quick and must not raise."""
