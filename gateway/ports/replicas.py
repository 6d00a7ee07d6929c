"""Which processes share a store, and which stored forms they read."""

from __future__ import annotations

from typing import Protocol

from gateway.core.stored import Forms

REPLICA_ALIVE_S = 15.0
"""Seconds after its last heartbeat that a replica counts as alive."""
FORM_S = 60.0
"""Seconds after its last heartbeat that a replica's reading counts: an older one that only paused
must find what it can read."""


class Replicas(Protocol):
    """Which processes share this store, by their heartbeats."""

    @property
    def forms(self) -> Forms:
        """Which form to write, as of the last beat or look: the newest that all of them read who
        have beaten within `FORM_S`, by the store's clock. One that does not say reads the first."""

    async def beat(self, replica: str, role: str, *, now: float) -> int:
        """Say that this process lives, in which role, and which forms it reads and writes. Returns
        how many with a relay do.

        Seen within `REPLICA_ALIVE_S` by the store's clock, not `now`, where there are several:
        their clocks need not agree.
        """

    async def look(self) -> None:
        """Learn what the others read, without a beat: for a process that does not last."""

    async def leave(self, replica: str) -> None:
        """Take a process out, which ends."""
