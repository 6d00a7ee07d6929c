"""The counter of receipts, by app, platform and kind: what phones told of pushes."""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import Counter

from gateway.core.receipts import Kind
from gateway.observe.labels import OTHER, closed
from providers.contract import Platform

LABELS = ("app", "platform", "kind")
_PLATFORMS = (*(one.value for one in Platform), OTHER)
_KINDS = tuple(one.value for one in Kind)


class ReceiptCounts:
    """Counts on `counter`, whose labels are `LABELS`. An app that is not configured any more counts
    as "other"; so does the platform of a device that is gone."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._apps: list[str] = []
        self.add_app(OTHER)

    def add_app(self, app: str) -> None:
        """Make an app's children, at zero."""
        if app not in self._apps:
            self._apps.append(app)
        for platform in _PLATFORMS:
            for kind in _KINDS:
                self._counter.labels(app, platform, kind)

    def count(self, counts: Sequence[tuple[str, str, str, int]]) -> None:
        """Add how often each was told: app, platform, kind and number."""
        for app, platform, kind, count in counts:
            labels = (closed(app, self._apps), closed(platform, _PLATFORMS), kind)
            self._counter.labels(*labels).inc(count)
