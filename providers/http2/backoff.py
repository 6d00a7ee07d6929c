"""How long to wait before the next attempt to connect.

Owns the wait. Refuses to connect, to sleep and to read a clock.
"""

from __future__ import annotations

import random


class Backoff:
    """When the next try may be made: 0.5 to 1 s after the first failure, doubling to `longest_s`.

    `now` is any clock's seconds. Waits are jittered, so that many gateways do not retry in step.
    """

    def __init__(self, longest_s: float) -> None:
        self._longest_s = longest_s
        self._failures = 0
        self._retry_at = float("-inf")

    def failed(self, now: float) -> None:
        self._failures += 1
        longest = min(self._longest_s, 0.5 * 2.0**self._failures)
        self._retry_at = now + random.uniform(longest / 2, longest)  # noqa: S311 - not a secret

    def succeeded(self) -> None:
        self._failures = 0
        self._retry_at = float("-inf")

    def wait(self, now: float) -> float:
        """Seconds until the next try; 0 when it may be made."""
        return max(0.0, self._retry_at - now)
