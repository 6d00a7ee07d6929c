"""How many deliveries of a part are looked up again at once: about what it sends within a second.

Owns that number. More would grow old again before their turn, less would make a query a push.
"""

from __future__ import annotations

_MOST = 512


class Lookahead:
    """`waiting`: so many are being looked up again now."""

    def __init__(self) -> None:
        self.waiting = 0
        self._sent = 0

    def size(self, wanted: int) -> int:
        """How many to look up again, of a part that could send so many now. 0 while others are
        looked up; else twice as many as were sent since then."""
        return 0 if self.waiting else min(max(wanted, 2 * self._sent), _MOST)

    def took(self, sent: int, old: int) -> None:
        """So many were sent, and so many are looked up again."""
        if old:
            self.waiting, self._sent = self.waiting + old, 0
        self._sent += sent
