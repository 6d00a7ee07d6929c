"""Connections that are ready before they are needed, in a process that serves.

A new connection over a line of 200 ms takes two seconds before its first statement has an answer:
it is opened, introduced, and told statements and types, each in a round trip. A webhook after a
quiet night cannot wait for that. So the whole pool is open, knows the statements that a webhook
waits for, and is filled again at once when a connection is lost.
"""

from __future__ import annotations

import asyncio
import contextlib

from gateway.errors import StoreUnavailable
from gateway.store.postgres.database import CONNECTIONS, PostgresDatabase

#: what a webhook waits for; for the last one while the time is in doubt, as it is at the start
_QUERIES = ("event_insert", "event_accepted", "event_get")
#: how many are opened at once; the others are left to who comes meanwhile
_AT_ONCE = CONNECTIONS // 2
#: how often idle ones are tried, so that nothing between here and there forgets them
_EVERY_S = 30.0
#: how long after one that failed the next look is
_PAUSE_S = 1.0


class Spares:
    """Keeps the connections of a database's pool ready."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database
        self._at_once = CONNECTIONS  # at the start nobody else needs one

    async def run(self) -> None:
        """Keep them ready, until cancelled."""
        unready = self._database.unready
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_EVERY_S):
                    await unready.wait()
            unready.clear()
            if not await self.look():
                unready.set()
                await asyncio.sleep(_PAUSE_S)

    async def look(self) -> bool:
        """Make those ready that nobody uses now. Whether that was possible: a server that is away,
        or has no room, is asked for one connection at a time."""
        missing = CONNECTIONS
        while missing > 0:
            missing, idle = self._database.free
            some = min(missing, self._at_once)
            # begun together, so that each takes another one
            are_ready = await asyncio.gather(*(self._one() for _ in range(idle + some)))
            self._at_once = _AT_ONCE if all(are_ready) else 1
            if not all(are_ready):
                return False
            missing -= some
        return True

    async def _one(self) -> bool:
        try:
            await self._database.make_ready(_QUERIES)
        except StoreUnavailable:  # whoever needs the database tells, and so does its probe
            return False
        return True
