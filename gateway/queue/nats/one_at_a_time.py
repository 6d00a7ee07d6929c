"""A lock for each event, within this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class OneAtATime:
    """Call it with an event's id and enter the result: one caller at a time per event."""

    def __init__(self) -> None:
        self._locks: dict[str, tuple[asyncio.Lock, int]] = {}

    @asynccontextmanager
    async def __call__(self, event_id: str) -> AsyncIterator[None]:
        lock, users = self._locks.get(event_id, (asyncio.Lock(), 0))
        self._locks[event_id] = lock, users + 1
        try:
            async with lock:
                yield
        finally:
            lock, users = self._locks.pop(event_id)
            if users > 1:
                self._locks[event_id] = lock, users - 1
