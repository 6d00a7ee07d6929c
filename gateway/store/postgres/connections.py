"""One connection to PostgreSQL: how it is made, what it knows, and the limits that it has.

Over a slow line each thing that a connection learns is a round trip. So it learns at once only that
commits wait for the disk, and the rest when that is needed, or is kept ready by `spares`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg

STATEMENT_S = 3.0
"""How long a usual statement may take."""
CONNECT_S = 3.0
SERVER = {
    "application_name": "inkpush",
    # a statement that nobody waits for any more ends by itself
    "statement_timeout": f"{int(STATEMENT_S * 1000)}",
    # a replica that is cut off in the middle of a transaction keeps its locks no longer than this
    "idle_in_transaction_session_timeout": "10000",
    # the server finds out that a replica is gone, and probes keep the way through firewalls open
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "10000",
    # what is asked is short: to compile its plan, or to share it out, takes longer than to do it
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
    # what follows a lock sees what its last holder wrote
    "default_transaction_isolation": "read committed",
}


class Connection(asyncpg.Connection):  # type: ignore[misc]  # asyncpg ships no types
    """A connection of the pool. `life` names the time between two crashes of the server; empty
    where there is no schema, None as long as nobody has asked. `is_ready`: see `make_ready`."""

    __slots__ = ("is_ready", "life")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.is_ready = False
        self.life: str | None = None

    async def learn_life(self, sql: Mapping[str, str]) -> None:
        """Ask for `life`; outside of a transaction, for it may fail."""
        try:
            life = await self.fetchval(sql["server_life"])
            if life is None:
                await self.execute(sql["server_life_begin"])
                life = await self.fetchval(sql["server_life"])
        except asyncpg.UndefinedTableError:
            life = ""
        self.life = life

    async def make_ready(self, sql: Mapping[str, str], queries: Sequence[str]) -> None:
        """Let these queries be one round trip each when they come; at least one is made, by which
        a line that is dead is found out."""
        if self.is_ready:
            await self.execute("SELECT 1")
            return
        for query in queries:
            await self.executemany(sql[query], [])  # prepares it, and runs it not once
        await self.learn_life(sql)
        self.is_ready = True


async def connect(url: str) -> Any:
    """A connection outside of any pool. Raises what asyncpg raises."""
    return await asyncpg.connect(
        url, timeout=CONNECT_S, command_timeout=STATEMENT_S, server_settings=SERVER
    )


async def leave_as_is(_connection: Any) -> None:
    """No state outlives a transaction here, so there is nothing to reset, nor to wait for."""
