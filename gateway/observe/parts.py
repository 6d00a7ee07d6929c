"""The gauges of lanes' parts: which are held, and which fail."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from prometheus_client import Gauge

from gateway.observe.labels import PAUSE_REASONS

Part = tuple[str, str, str]
"""App, provider and part."""


class PartGauges:
    """Sets `paused` (by provider, app, part, reason) and `failing` (by provider, app, part)."""

    def __init__(self, paused: Gauge, failing: Gauge) -> None:
        self._paused = paused
        self._failing = failing
        self._parts: list[Part] = []

    def add_lane(self, app: str, provider: str, parts: Iterable[str]) -> None:
        """Make the children of a lane's parts, at zero."""
        for part in parts:
            self._parts.append((app, provider, part))
            self._failing.labels(provider, app, part)
            for reason in PAUSE_REASONS:
                self._paused.labels(provider, app, part, reason)

    def set_paused(self, app: str, provider: str, part: str, held: str) -> None:
        """A part is held for this reason; "": it sends."""
        for reason in PAUSE_REASONS:
            self._paused.labels(provider, app, part, reason).set(reason == held)

    def set_failing(self, parts: Iterable[Part], *, failing: bool) -> None:
        """These parts fail, or do not."""
        for app, provider, part in parts:
            self._failing.labels(provider, app, part).set(failing)

    def set_all_failing(self, failing: Collection[Part]) -> None:
        """These parts fail; all others do not."""
        for app, provider, part in self._parts:
            self._failing.labels(provider, app, part).set((app, provider, part) in failing)
