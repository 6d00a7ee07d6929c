"""How often in a row the vendor did not look at a delivery, for as long as this process remembers.

Owns the counts, also while a delivery lies in the queue. They are kept beside the deliveries
because hardly any delivery has one. An evicted count restarts at zero, which only makes the next
retry a little earlier.
"""

from __future__ import annotations

from collections import OrderedDict

_REMEMBERED = 100_000


class UnseenCounts:
    """Counts by delivery id; the oldest is evicted first."""

    def __init__(self, remembered: int = _REMEMBERED) -> None:
        self._remembered = remembered
        self._counts: OrderedDict[str, int] = OrderedDict()

    def add(self, delivery_id: str) -> int:
        """Add one; returns how often in a row it was."""
        count = self._counts.pop(delivery_id, 0) + 1
        self._counts[delivery_id] = count
        if len(self._counts) > self._remembered:
            self._counts.popitem(last=False)
        return count

    def end(self, delivery_id: str) -> None:
        """The vendor looked at it: forget the count."""
        self._counts.pop(delivery_id, None)
