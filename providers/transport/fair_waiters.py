"""Waiting for a turn at a connection, first come first served.

Owns the order of waiters. Refuses to know connections.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable


class FairWaiters:
    """A queue of waiters, first come first served.

    `pass_on` is called when a waiter is cancelled after its turn was granted.
    """

    def __init__(self, pass_on: Callable[[], None]) -> None:
        self._pass_on = pass_on
        self._line: deque[asyncio.Future[None]] = deque()

    def __len__(self) -> int:
        return sum(not waiter.done() for waiter in self._line)

    async def wait(self) -> None:
        """Return when the caller's turn has come. Raises what `fail` was given."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._line.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if not waiter.cancelled():
                self._pass_on()
            raise

    def grant(self, turns: int) -> None:
        """Give this many turns, to those who have waited longest."""
        while self._line and (turns > 0 or self._line[0].done()):
            waiter = self._line.popleft()
            if not waiter.done():
                waiter.set_result(None)
                turns -= 1

    def fail(self, error: Exception) -> None:
        """End every wait with this error."""
        line, self._line = self._line, deque()
        for waiter in line:
            if not waiter.done():
                waiter.set_exception(error)
