"""How many devices each lane has, for brakes, metrics and people; and how many are muted or silent.

Owns when devices are counted. Counting scans every device, so each count is limited to 2 % of the
time; other callers get the last result, less the devices that this process has taken out since.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable

from gateway.core.clocks import Clocks, MonotonicClock
from gateway.core.model import Removal
from gateway.core.states import DeviceState
from gateway.errors import StoreUnavailable
from gateway.events import Observer, StoreFailed
from gateway.ports import Audience, Registry

SHARE = 0.02
"""Maximum share of the time that is spent counting."""


class Counting(ABC):
    """Counts from time to time; `what` is counted is a word for the log."""

    def __init__(
        self, what: str, *, observer: Observer, monotonic: MonotonicClock, every_s: float
    ) -> None:
        self._what = what
        self._observer = observer
        self._monotonic = monotonic
        self._every_s = every_s
        self._took_s = 0.0
        self._counted = False

    @property
    def rest_s(self) -> float:
        """How long until the next count: `every_s` seconds, or longer after one that took long."""
        return max(self._every_s, self._took_s * (1 / SHARE - 1))

    async def run(self) -> None:
        """Count from time to time until cancelled; an outage of the store keeps the last count."""
        if self._counted:
            await asyncio.sleep(self.rest_s)
        while True:
            try:
                await self.count()
            except StoreUnavailable as error:
                self._observer(StoreFailed(self._what, str(error)))
            await asyncio.sleep(self.rest_s)

    async def count(self) -> None:
        """Count now. What fails costs the store as much as what succeeds."""
        began = self._monotonic()
        try:
            await self._count()
            self._counted = True
        finally:
            self._took_s = self._monotonic() - began

    @abstractmethod
    async def _count(self) -> None: ...


class DeviceCounts(Counting):
    """The last count, by (provider, app, state): empty until there is one."""

    def __init__(
        self,
        registry: Registry,
        *,
        observer: Observer,
        monotonic: MonotonicClock,
        every_s: float,
    ) -> None:
        super().__init__("device count", observer=observer, monotonic=monotonic, every_s=every_s)
        self._registry = registry
        self.counts: Counter[tuple[str, str, str]] = Counter()

    async def _count(self) -> None:
        self.counts = Counter(await self._registry.count())

    def active(self, provider: str, app: str) -> int:
        """The devices of a lane that are pushed to."""
        return self.counts[provider, app, DeviceState.ACTIVE.value]

    def took_out(self, removals: Iterable[Removal]) -> None:
        """These devices went since."""
        for removal in removals:
            lane = removal.provider, removal.app
            self.counts[*lane, DeviceState.ACTIVE.value] -= 1
            self.counts[*lane, removal.to.value] += 1


class AudienceCounts(Counting):
    """Counts who is muted, and who was seen when; `told` hears of it. While the time is doubted
    nobody is counted: by a clock that is ahead nobody was seen lately."""

    def __init__(
        self,
        registry: Registry,
        *,
        told: Callable[[Audience], None],
        observer: Observer,
        clocks: Clocks,
        every_s: float,
    ) -> None:
        super().__init__(
            "audience count", observer=observer, monotonic=clocks.monotonic, every_s=every_s
        )
        self._registry = registry
        self._told = told
        self._clocks = clocks

    async def _count(self) -> None:
        if not self._clocks.doubted():
            self._told(await self._registry.audience(now=self._clocks.wall()))
