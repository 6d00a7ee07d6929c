"""The heartbeat: this process relays, and so do others. Owns how many there are.

They share limits and brakes without talking to each other: each takes its part.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from gateway.core.clocks import WallClock
from gateway.errors import StoreUnavailable
from gateway.events import Observer, RelaysCounted, StoreFailed
from gateway.ports import Replicas
from gateway.relay.lane import Lane
from gateway.relay.write import Writer


class Heartbeat:
    """Beats for one relay. `lanes` is shared with app; a new one is given its part by `share`.

    `name` is one that no other has. `relays` is how many there are, this one included.
    """

    def __init__(
        self,
        replicas: Replicas,
        *,
        name: str,
        role: str,
        lanes: Mapping[str, Lane],
        writer: Writer,
        observer: Observer,
        clock: WallClock,
        every_s: float,
    ) -> None:
        self._replicas = replicas
        self._name = name
        self._role = role
        self._lanes = lanes
        self._writer = writer
        self._observer = observer
        self._clock = clock
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
        """Say that this process relays, and take its part of what all have together."""
        relays = await self._replicas.beat(self._name, self._role, now=self._clock())
        if relays != self.relays:
            self._observer(RelaysCounted(relays))
        self.relays = relays
        self._writer.share(relays)
        for lane in self._lanes.values():
            self.share(lane)

    def share(self, lane: Lane) -> None:
        """Give a lane its part of its rate limit."""
        lane.share(self.relays)

    async def leave(self) -> None:
        """Say that this process relays no more: its part is for the others."""
        try:
            await self._replicas.leave(self._name)
        except StoreUnavailable as error:
            self._observer(StoreFailed("heartbeat", str(error)))
