"""Waiting for one's turn at a connection: first come, first served.

Owns the line. Refuses to know connections.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable


class Turns:
    """A line. `pass_on` is called when somebody leaves who had just been given a turn."""

    def __init__(self, pass_on: Callable[[], None]) -> None:
        self._pass_on = pass_on
        self._line: deque[asyncio.Future[None]] = deque()

    def __len__(self) -> int:
        return sum(not waiter.done() for waiter in self._line)

    async def wait(self) -> None:
        """Return when it is one's turn; raises what `fail` was given."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._line.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if not waiter.cancelled():
                self._pass_on()
            raise

    def grant(self, turns: int) -> None:
        """Give turns to the first in the line."""
        while self._line and (turns > 0 or self._line[0].done()):
            waiter = self._line.popleft()
            if not waiter.done():
                waiter.set_result(None)
                turns -= 1

    def fail(self, error: Exception) -> None:
        """Send everybody away."""
        line, self._line = self._line, deque()
        for waiter in line:
            if not waiter.done():
                waiter.set_exception(error)
