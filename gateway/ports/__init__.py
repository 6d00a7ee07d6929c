"""What the gateway needs from a database and a broker: one protocol per duty.

Methods are named after the life of the thing. Every method may raise `StoreUnavailable`, which
means that nothing was changed. Over a network it may also mean that the answer to the commit was
lost, so that the outcome is unknown; every method is safe to call again then (see
deploy/docs/decisions/0015-postgresql.md). Implementations live in `gateway.store` and
`gateway.queue`; each passes the behaviour suites in tests/conformance.
"""

from __future__ import annotations

from collections.abc import Callable

from gateway.ports.audit import Audit
from gateway.ports.cancels import Cancelling, Cancels
from gateway.ports.doubts import Doubt, Doubts
from gateway.ports.effect import Effects
from gateway.ports.erasures import KEPT, Asked, Cleared, Erasure, Erasures, Kept, Slice
from gateway.ports.experiments import Experiments
from gateway.ports.hooks import (
    AGAIN,
    Again,
    HookBatch,
    HookCount,
    HookFailure,
    HookHolder,
    HookLetter,
    HookPage,
    HookRow,
    Hooks,
)
from gateway.ports.journal import (
    Aside,
    BrokeredJournal,
    DeadLetter,
    EventSummary,
    Held,
    HeldOf,
    Journal,
    LeaseRef,
    Progress,
    Recorded,
    Standings,
)
from gateway.ports.keys import LIMITED, SCOPES, ApiKey, Keys
from gateway.ports.lanes import Holder, LaneRow, Lanes, PartRow, Standing, quiet
from gateway.ports.learning import Learning
from gateway.ports.people import Content, Holdings, People, Waiting, WaitingSlice
from gateway.ports.queue import Depth, Queue
from gateway.ports.receipts import Kept as KeptReceipt
from gateway.ports.receipts import Receipts
from gateway.ports.registry import Audience, Imported, Registered, Registry
from gateway.ports.replicas import FORM_S, REPLICA_ALIVE_S, Replicas
from gateway.ports.starts import Start, Starts
from gateway.ports.store import Store
from gateway.ports.suppressions import Suppressions
from gateway.ports.times import PERSON, ClockRow, Times

Clock = Callable[[], float]
"""The time now, in epoch seconds. New code takes `gateway.core.clocks` instead."""

__all__ = [
    "AGAIN",
    "FORM_S",
    "KEPT",
    "LIMITED",
    "PERSON",
    "REPLICA_ALIVE_S",
    "SCOPES",
    "Again",
    "ApiKey",
    "Aside",
    "Asked",
    "Audience",
    "Audit",
    "BrokeredJournal",
    "Cancelling",
    "Cancels",
    "Cleared",
    "Clock",
    "ClockRow",
    "Content",
    "DeadLetter",
    "Depth",
    "Doubt",
    "Doubts",
    "Effects",
    "Erasure",
    "Erasures",
    "EventSummary",
    "Experiments",
    "Held",
    "HeldOf",
    "Holder",
    "Holdings",
    "HookBatch",
    "HookCount",
    "HookFailure",
    "HookHolder",
    "HookLetter",
    "HookPage",
    "HookRow",
    "Hooks",
    "Imported",
    "Journal",
    "Kept",
    "KeptReceipt",
    "Keys",
    "LaneRow",
    "Lanes",
    "Learning",
    "LeaseRef",
    "PartRow",
    "People",
    "Progress",
    "Queue",
    "Receipts",
    "Recorded",
    "Registered",
    "Registry",
    "Replicas",
    "Slice",
    "Standing",
    "Standings",
    "Start",
    "Starts",
    "Store",
    "Suppressions",
    "Times",
    "Waiting",
    "WaitingSlice",
    "quiet",
]
