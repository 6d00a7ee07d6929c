"""The closed sets that the metrics' label values come from: what is in none of them is "other"."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.core.states import DeliveryState
from providers.contract import VERDICT_LABELS

OTHER = "other"
WEBHOOK_RESULTS = (
    "accepted",
    "duplicate",
    "ignored",
    "quarantined",
    "unauthorized",
    "too_large",
    "too_slow",
    "overloaded",
    "unavailable",
    OTHER,
)
NOTIFICATION_RESULTS = (
    "accepted",
    "rejected",
    "no_device",
    "expired",
    "cancelled",
    "held_out",
    OTHER,
)
OUTCOMES = (
    *(state for state in DeliveryState if state not in {"pending", "no_device"}),
    OTHER,
)
ODDITIES = ("ids", "timestamp")
VERDICTS = (*VERDICT_LABELS, OTHER)
PAUSE_REASONS = ("misconfigured", "operator")


def closed(value: str, known: Sequence[str]) -> str:
    """The value, if it is one of those that are known."""
    return value if value in known else OTHER
