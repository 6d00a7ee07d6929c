"""How many requests one caller may make: a token bucket each, in bounded memory.

A bucket holds a minute's worth, so that a caller who was quiet may come in a burst. The limit is
per process. Knows nothing of HTTP.
"""

from __future__ import annotations

from collections import OrderedDict

from gateway.core.clocks import MonotonicClock

MAX_CALLERS = 10_000
"""Buckets kept; the caller who was quiet for longest is forgotten first, and starts afresh."""


class CallerLimits:
    """Buckets of `per_minute` requests (0: no limit)."""

    def __init__(
        self, per_minute: int, *, monotonic: MonotonicClock, max_callers: int = MAX_CALLERS
    ) -> None:
        self._per_minute = per_minute
        self._monotonic = monotonic
        self._max_callers = max_callers
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, caller: str) -> float:
        """Spend one request. Returns 0, or the seconds to wait when there was none left."""
        if self._per_minute <= 0:
            return 0.0
        rate, now = self._per_minute / 60.0, self._monotonic()
        left, at = self._buckets.pop(caller, (float(self._per_minute), now))
        left = min(float(self._per_minute), left + max(0.0, now - at) * rate)
        wait = 0.0 if left >= 1 else (1 - left) / rate
        self._buckets[caller] = (left if wait else left - 1, now)
        if len(self._buckets) > self._max_callers:
            self._buckets.popitem(last=False)
        return wait

    def __len__(self) -> int:
        return len(self._buckets)
