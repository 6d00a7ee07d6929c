"""The gauges of whom pushes can reach: who lets the app show nothing, and who was seen when."""

from __future__ import annotations

from prometheus_client import Gauge

from gateway.core.staleness import WITHIN
from gateway.ports import Audience
from providers.contract import Platform

MUTED_LABELS = ("app", "platform")
SEEN_LABELS = ("app", "within")


class AudienceGauges:
    """Sets `muted` and `seen`, whose labels are `MUTED_LABELS` and `SEEN_LABELS`."""

    def __init__(self, muted: Gauge, seen: Gauge) -> None:
        self._muted = muted
        self._seen = seen
        self._apps: list[str] = []

    def add_app(self, app: str) -> None:
        """Make an app's children, at zero; one that has them keeps what was measured."""
        if app not in self._apps:
            self._apps.append(app)
        for platform in Platform:
            self._muted.labels(app, platform)
        for span in WITHIN:
            self._seen.labels(app, span)

    def set(self, audience: Audience) -> None:
        """Take who is muted, and who was seen when; what is not named is 0."""
        for app in self._apps:
            for platform in Platform:
                self._muted.labels(app, platform).set(audience.muted.get((app, platform), 0))
            for span in WITHIN:
                self._seen.labels(app, span).set(audience.seen.get((app, span), 0))
