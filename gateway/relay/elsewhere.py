"""What this relay cannot send, and another may: the backlog of a failing part goes back.

A relay may be cut off from a vendor that others reach: by its network, or by a clock so wrong that
no certificate is valid. What it keeps in memory, to notice that the vendor is back, must not wait
for that. Alone, it keeps it: nobody else could do better.
"""

from __future__ import annotations

from gateway.core.clocks import Monotonic
from gateway.relay.part import Part

KEEP_S = 15.0
"""How long a failing part keeps its backlog, where other relays are at work."""


class Elsewhere:
    """Of one lane: gives back what its failing parts have kept for long."""

    def __init__(self) -> None:
        self._since: dict[Part, Monotonic] = {}

    def look(self, part: Part, now: Monotonic, *, relays: int) -> None:
        """Look at a part whose pushes wait; `relays` are at work in all."""
        if not part.failing or relays < 2:
            self._since.pop(part, None)
        elif now - self._since.setdefault(part, now) >= KEEP_S:
            del self._since[part]
            part.give_back("its vendor is not reached from here")
