"""What one client took for its pushes, measured by itself."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Took:
    """Seconds by the clock and of CPU, of the whole process, for so many pushes."""

    pushes: int
    seconds: float
    cpu_s: float

    @property
    def per_second(self) -> float:
        return self.pushes / self.seconds

    @property
    def cpu_us(self) -> float:
        """CPU per push, in microseconds."""
        return self.cpu_s / self.pushes * 1e6


async def measured(pushes: int, work: Callable[[], Awaitable[None]]) -> Took:
    """Time a piece of work; whatever was done before it does not count."""
    cpu, wall = time.process_time(), time.perf_counter()
    await work()
    return Took(pushes, time.perf_counter() - wall, time.process_time() - cpu)
