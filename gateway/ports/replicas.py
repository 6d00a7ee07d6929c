"""Which processes share a store."""

from __future__ import annotations

from typing import Protocol

REPLICA_ALIVE_S = 15.0
"""Seconds after its last heartbeat that a replica counts as alive."""


class Replicas(Protocol):
    """Which processes share this store, by their heartbeats."""

    async def beat(self, replica: str, role: str, *, now: float) -> int:
        """Say that this process lives, and in which role. Returns how many with a relay do.

        Seen within `REPLICA_ALIVE_S` by the store's clock, not `now`, where there are several:
        their clocks need not agree.
        """

    async def leave(self, replica: str) -> None:
        """Take a process out, which ends."""
