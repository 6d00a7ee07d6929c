"""The heartbeat of a process without a relay: it too reads stored forms, and must know which to
write.

Owns no more than that; a relay's own heartbeat does the same, and shares the rate limits.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from socket import gethostname
from uuid import uuid4

from gateway.errors import StoreUnavailable
from gateway.events import Observer, StoreFailed
from gateway.ports import Clock, Replicas

_BEAT_S = 3.0


@asynccontextmanager
async def beating(
    replicas: Replicas, role: str, *, observer: Observer, clock: Clock
) -> AsyncIterator[None]:
    """Beat every three seconds while it is entered. Raises StoreUnavailable if the first fails."""
    name = f"{gethostname()}-{uuid4().hex}"

    async def beat_on() -> None:
        while True:
            await asyncio.sleep(_BEAT_S)
            try:
                await replicas.beat(name, role, now=clock())
            except StoreUnavailable as error:
                observer(StoreFailed("heartbeat", str(error)))

    await replicas.beat(name, role, now=clock())
    task = asyncio.get_running_loop().create_task(beat_on())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
        with suppress(StoreUnavailable):
            await replicas.leave(name)
