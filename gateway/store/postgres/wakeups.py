"""Wake-ups between processes, by LISTEN and NOTIFY: something was queued, look now.

Owns the channel and the connection that listens, and knows whether that hears: it calls itself from
time to time. A wake-up may be lost: whoever waits for one looks by itself from time to time.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from gateway.errors import StoreUnavailable
from gateway.store.postgres.connections import connect
from gateway.store.postgres.database import PostgresDatabase
from gateway.store.postgres.failures import FOREIGN
from gateway.tasks import end

_CHANNEL = "inkpush_queue"
#: one wake-up stands for all that is queued within this time: PostgreSQL hands out one commit with
#: a NOTIFY after the other, so they must stay few
_PAUSE_S = 0.02
#: how often the listening connection calls itself, and how soon it must hear that
_HEARTBEAT_S = 5.0
_HEARD_S = 3.0
_RECONNECT_S = 1.0


class Wakeups:
    """Tells other processes, and hears from them."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database
        self._due = False
        self._telling: asyncio.Task[None] | None = None
        self.trouble: str | None = None
        """Why nothing is heard; None: all is well, or nobody listens here."""

    def announce(self) -> None:
        """Wake all processes that listen, this one included: soon, if that is possible."""
        self._due = True
        if self._telling is None or self._telling.done():
            self._telling = asyncio.get_running_loop().create_task(self._tell())

    @asynccontextmanager
    async def listening(self, wake: Callable[[], None]) -> AsyncIterator[None]:
        """Call `wake` whenever something was queued by any process, or may have been."""
        task = asyncio.get_running_loop().create_task(self._listen(wake))
        try:
            yield
        finally:
            await end(task)

    async def aclose(self) -> None:
        """Tell nobody any more."""
        await end(self._telling)

    async def _tell(self) -> None:
        while self._due:
            self._due = False
            with contextlib.suppress(StoreUnavailable):
                await self._database.rows("announce", _CHANNEL)
            await asyncio.sleep(_PAUSE_S)

    async def _listen(self, wake: Callable[[], None]) -> None:
        while True:
            try:
                connection = await connect(self._database.url)
            except FOREIGN:
                self.trouble = "there is no connection for LISTEN"
                await asyncio.sleep(_RECONNECT_S)
                continue
            try:
                await self._hear(connection, wake)
            except FOREIGN:
                self.trouble = "the connection for LISTEN is lost"
            finally:
                _cut(connection)
            await asyncio.sleep(_RECONNECT_S)

    async def _hear(self, connection: Any, wake: Callable[[], None]) -> None:
        """Listen until the connection is lost, or does not hear any more."""
        heard, lost = asyncio.Event(), asyncio.Event()
        own = f"inkpush_{os.urandom(8).hex()}"
        connection.add_termination_listener(lambda _connection: lost.set())
        await connection.add_listener(_CHANNEL, lambda *_heard: wake())
        await connection.add_listener(own, lambda *_heard: heard.set())
        wake()  # for what was queued while nobody listened
        while not lost.is_set():
            heard.clear()
            await connection.fetchval(self._database.sql["announce"], own)
            if not await _within(_HEARD_S, heard):
                self.trouble = "LISTEN hears nothing; a pooler between must be in session mode"
                return
            self.trouble = None
            await _within(_HEARTBEAT_S, lost)
        self.trouble = "the connection for LISTEN is lost"


async def _within(seconds: float, event: asyncio.Event) -> bool:
    """Wait for an event, for so long at most; whether it came."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    return event.is_set()


def _cut(connection: Any) -> None:
    """Close without a word: the other end may be gone."""
    connection.terminate()
