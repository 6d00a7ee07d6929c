"""The counter of learning events, by type: those types that the settings name."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter

from gateway.core.event_types import OTHER, label_of
from gateway.events import WebhookAnswered


class LearningCounts:
    """Counts events that are no pushes, each once however often it is sent."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._counter = Counter(
            "inkpush_learning_events",
            "Events that are no pushes and were kept, by type.",
            ["type"],
            registry=registry,
        )
        self._types: tuple[str, ...] = ()
        self.tell_apart(())

    def tell_apart(self, types: Iterable[str]) -> None:
        """Count these types from now on, from zero where they are new; all others are "other"."""
        self._types = tuple(types)
        for one in (*self._types, OTHER):
            self._counter.labels(one)

    def count(self, event: WebhookAnswered) -> None:
        """Count a webhook's event, if it was kept and is no push."""
        if event.result == "ignored":
            self._counter.labels(label_of(event.type, self._types)).inc()
