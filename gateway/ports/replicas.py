"""Which processes share a store, and which stored forms they read."""

from __future__ import annotations

from typing import Protocol

from gateway.core.stored import Forms

REPLICA_ALIVE_S = 15.0
"""Seconds after its last heartbeat that a replica counts as alive."""
FORM_S = 60.0
"""Seconds after its last heartbeat for which a replica's forms count: an older one that only paused
must find chunks that it can read."""


class Replicas(Protocol):
    """Which processes share this store, by their heartbeats."""

    @property
    def forms(self) -> Forms:
        """Which form to write, as of the last beat or look: the newest that all replicas read which
        beat within `FORM_S`, by the store's clock. One that names no form reads the first."""

    async def beat(self, replica: str, role: str, *, now: float) -> int:
        """Announce this process, its role, and the forms it reads and writes. Returns how many
        processes with a relay are alive.

        A process is alive if it beat within `REPLICA_ALIVE_S`, by the store's clock, not `now`,
        where there are several: their clocks need not agree.
        """

    async def look(self) -> None:
        """Learn the forms of the others without a beat: for a process that ends soon."""

    async def leave(self, replica: str) -> None:
        """Remove a process that is shutting down."""
