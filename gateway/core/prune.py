"""The prune brake: how many devices may go before a person has to look.

A wrong topic, a wrong project or a fault at the vendor looks as if all devices had died at once.
When more than a share of a lane's devices (and at least a minimum) would go within a window,
removals stop and are held back; pushes go on.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class BrakeRule:
    """`share` of a lane's devices, `minimum` devices, within `window_s` seconds."""

    share: float = 0.05
    minimum: int = 50
    window_s: float = 600.0

    def threshold(self, devices: int) -> int:
        """How many removals the window may hold, for a lane of so many devices."""
        return max(self.minimum, int(devices * self.share))


@dataclass(slots=True)
class Brake:
    """Counts the removals of one lane. `on` lasts until `release`.

    `devices` is how many the lane had when the window began: those still there, and `gone`.
    """

    rule: BrakeRule
    on: bool = False
    _window: deque[tuple[float, int]] = field(default_factory=deque)
    _count: int = 0

    def would_trip(self, wanted: int, *, devices: int, now: float) -> bool:
        """Whether `admit` would turn the brake on; asked before the devices are counted anew."""
        return not self.on and wanted > self._room(devices, now)

    def admit(self, wanted: int, *, devices: int, now: float) -> int:
        """Return how many of `wanted` removals may go; fewer means that the brake is on."""
        if self.on:
            return 0
        admitted = min(wanted, self._room(devices, now))
        if admitted:
            self._window.append((now, admitted))
            self._count += admitted
        if admitted < wanted:
            self.on = True
        return admitted

    def gone(self, now: float) -> int:
        """How many went within the window."""
        while self._window and self._window[0][0] <= now - self.rule.window_s:
            self._count -= self._window.popleft()[1]
        return self._count

    def _room(self, devices: int, now: float) -> int:
        return max(0, self.rule.threshold(devices) - self.gone(now))

    def release(self) -> None:
        """Begin to count anew."""
        self.on = False
        self._window.clear()
        self._count = 0
