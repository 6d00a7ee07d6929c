"""What the relay works with, as one: the ports, and what its pushes may reach."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from gateway.ports import Journal, Lanes, Queue, Registry
from gateway.relay.collapsing import Collapsing
from gateway.relay.drawing import Drawing
from gateway.relay.reaching import Reaching
from gateway.relay.receipting import Receipting
from gateway.relay.superseding import Superseding


@dataclass(frozen=True, slots=True)
class RelayPorts:
    """`lanes` is the store's part for lanes; `vendors` are the names that this version knows."""

    registry: Registry
    journal: Journal
    queue: Queue
    lanes: Lanes
    vendors: Collection[str]
    reaching: Reaching
    collapsing: Collapsing
    receipting: Receipting = field(default_factory=Receipting)
    superseding: Superseding = field(default_factory=Superseding)
    drawing: Drawing = field(default_factory=Drawing)
