"""The ports that the relay works with, as one."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from gateway.ports import Journal, Lanes, Queue, Registry


@dataclass(frozen=True, slots=True)
class RelayPorts:
    """`lanes` is the store's part for lanes; `vendors` are the names that this version knows."""

    registry: Registry
    journal: Journal
    queue: Queue
    lanes: Lanes
    vendors: Collection[str]
