"""How many requests one caller may make: a token bucket each, in bounded memory.

A bucket holds a window's worth, unless it is told another, so that a caller who was quiet may come
in a burst. The limit is per process. Knows nothing of HTTP.
"""

from __future__ import annotations

from collections import OrderedDict

from gateway.core.clocks import MonotonicClock

MAX_CALLERS = 10_000
"""Buckets kept; the caller who was quiet for longest is forgotten first, and starts afresh."""


class CallerLimits:
    """Buckets of so many requests in each `window_s` seconds (0: no limit)."""

    def __init__(
        self,
        most: int,
        *,
        monotonic: MonotonicClock,
        window_s: float = 60.0,
        burst: int | None = None,
        max_callers: int = MAX_CALLERS,
    ) -> None:
        self._most = most
        self._window_s = window_s
        self._burst = float(most if burst is None else burst)
        self._monotonic = monotonic
        self._max_callers = max_callers
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, caller: str) -> float:
        """Spend one request. Returns 0, or the seconds to wait when there was none left."""
        if self._most <= 0:
            return 0.0
        left, now = self._left(caller)
        wait = self._wait(left)
        self._buckets.pop(caller, None)
        self._buckets[caller] = (left if wait else left - 1, now)
        if len(self._buckets) > self._max_callers:
            self._buckets.popitem(last=False)
        return wait

    def spent(self, caller: str) -> float:
        """The seconds that `take` would say to wait; spends nothing."""
        return 0.0 if self._most <= 0 else self._wait(self._left(caller)[0])

    def _left(self, caller: str) -> tuple[float, float]:
        now = self._monotonic()
        left, at = self._buckets.get(caller, (self._burst, now))
        return min(self._burst, left + max(0.0, now - at) * self._most / self._window_s), now

    def _wait(self, left: float) -> float:
        return 0.0 if left >= 1 else (1 - left) * self._window_s / self._most

    def give_back(self, caller: str) -> None:
        """A request that was counted came to nothing."""
        if caller in self._buckets:
            left, at = self._buckets[caller]
            self._buckets[caller] = (min(self._burst, left + 1), at)

    def __len__(self) -> int:
        return len(self._buckets)
