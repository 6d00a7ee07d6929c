"""The heartbeat: announces that this process relays. Owns how many relays there are.

Relays divide rate limits evenly, without talking to each other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from gateway.core.clocks import Clocks
from gateway.errors import StoreUnavailable
from gateway.events import Observer, RelaysCounted, StoreFailed
from gateway.ports import Replicas
from gateway.ports.replicas import beat
from gateway.relay.lane import Lane


class Heartbeat:
    """Beats for one relay. `lanes` is shared with app; `share` gives a new lane its part.

    `name` is unique among processes. `relays` is how many there are, this one included.
    """

    def __init__(
        self,
        replicas: Replicas,
        *,
        name: str,
        role: str,
        lanes: Mapping[str, Lane],
        observer: Observer,
        clocks: Clocks,
        every_s: float,
    ) -> None:
        self._replicas = replicas
        self._name = name
        self._role = role
        self._lanes = lanes
        self._observer = observer
        self._clocks = clocks
        self._every_s = every_s
        self.relays = 1

    async def run(self) -> None:
        """Beat every `every_s` until cancelled; an outage of the store keeps the last count."""
        while True:
            await asyncio.sleep(self._every_s)
            try:
                await self.beat()
            except StoreUnavailable as error:
                self._observer(StoreFailed("heartbeat", str(error)))

    async def beat(self) -> None:
        """Announce that this process relays, and take its part of the shared limits."""
        relays = await beat(self._replicas, self._name, self._role, clocks=self._clocks)
        if relays != self.relays:
            self._observer(RelaysCounted(relays))
        self.relays = relays
        for lane in self._lanes.values():
            self.share(lane)

    def share(self, lane: Lane) -> None:
        """Give a lane its part of its rate limit."""
        lane.share(self.relays)

    async def leave(self) -> None:
        """Announce that this process relays no more: the others take over its part."""
        try:
            await self._replicas.leave(self._name)
        except StoreUnavailable as error:
            self._observer(StoreFailed("heartbeat", str(error)))
