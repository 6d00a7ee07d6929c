"""Which processes share a store, and which stored forms they read."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from gateway.core.agreement import DATABASE
from gateway.core.clocks import Clocks
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

    @property
    def time(self) -> float | None:
        """What time the database said it was, at the last beat or look (epoch seconds); None: it
        has no clock of its own."""

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


async def beat(replicas: Replicas, replica: str, role: str, *, clocks: Clocks) -> int:
    """Beat, and learn what time it is by the database's clock."""
    asked_at = clocks.monotonic()
    relays = await replicas.beat(replica, role, now=clocks.wall())
    _learn(replicas, asked_at, clocks)
    return relays


async def look(replicas: Replicas, *, clocks: Clocks) -> None:
    """Look, and learn what time it is by the database's clock."""
    asked_at = clocks.monotonic()
    await replicas.look()
    _learn(replicas, asked_at, clocks)


async def database_ahead(replicas: Replicas, *, clocks: Clocks) -> float | None:
    """How far the database's clock is ahead; None: it has none of its own."""
    ahead: list[float] = []

    def told(_witness: str, low: float, high: float) -> None:
        ahead.append((low + high) / 2 - clocks.wall())

    await look(replicas, clocks=replace(clocks, told=told))
    return ahead[0] if ahead else None


def _learn(replicas: Replicas, asked_at: float, clocks: Clocks) -> None:
    if replicas.time is not None:
        took = clocks.monotonic() - asked_at
        clocks.told(DATABASE, replicas.time, replicas.time + took)
