"""The heartbeat of a process without a relay: it reads and writes stored forms as well.

Owns no more than that; a relay's own heartbeat does the same, and shares the rate limits.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from gateway.core.clocks import Clocks
from gateway.errors import StoreUnavailable
from gateway.events import Observer, StoreFailed
from gateway.ports import Replicas
from gateway.ports.replicas import beat
from gateway.tasks import end


@asynccontextmanager
async def beating(
    replicas: Replicas,
    *,
    name: str,
    role: str,
    observer: Observer,
    clocks: Clocks,
    every_s: float,
) -> AsyncIterator[None]:
    """Beat every `every_s` seconds while it is entered, under a unique name. Raises
    StoreUnavailable if the first beat fails."""

    async def beat_on() -> None:
        while True:
            await asyncio.sleep(every_s)
            try:
                await beat(replicas, name, role, clocks=clocks)
            except StoreUnavailable as error:
                observer(StoreFailed("heartbeat", str(error)))

    await beat(replicas, name, role, clocks=clocks)
    task = asyncio.get_running_loop().create_task(beat_on())
    try:
        yield
    finally:
        await end(task)
        with suppress(StoreUnavailable):
            await replicas.leave(name)
