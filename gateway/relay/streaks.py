"""How often in a row the vendor did not look at a delivery, for as long as this process remembers.

Owns the counts, across the times that a delivery lies in the queue. They are beside the deliveries,
not in them, for hardly one has any. What is forgotten begins anew: a little sooner, no more.
"""

from __future__ import annotations

from collections import OrderedDict

_REMEMBERED = 100_000


class Streaks:
    """Counts by delivery id; the oldest go first."""

    def __init__(self, remembered: int = _REMEMBERED) -> None:
        self._remembered = remembered
        self._counts: OrderedDict[str, int] = OrderedDict()

    def lengthen(self, delivery_id: str) -> int:
        """Count once more; returns how often in a row it was."""
        count = self._counts.pop(delivery_id, 0) + 1
        self._counts[delivery_id] = count
        if len(self._counts) > self._remembered:
            self._counts.popitem(last=False)
        return count

    def end(self, delivery_id: str) -> None:
        """It was looked at."""
        self._counts.pop(delivery_id, None)
