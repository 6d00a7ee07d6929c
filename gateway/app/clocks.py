"""The machine's own clocks, which a gateway learns from, and what a command makes of them."""

from __future__ import annotations

import time
from functools import partial
from typing import cast

from gateway.core.agreement import AGREE_S, FINE_S
from gateway.core.clocks import Clocks, MonotonicClock, Wall, WallClock
from gateway.ports import PERSON, Store
from gateway.ports.replicas import database_ahead

#: It goes on while the machine sleeps, as leases and look-ups grow old meanwhile; not every system
#: has it.
_ON_AND_ON = partial(time.clock_gettime, getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))

SYSTEM = Clocks(cast(WallClock, time.time), cast(MonotonicClock, _ON_AND_ON))


async def clocks_beside(store: Store) -> Clocks:
    """The clocks of a command: the machine's, unless the database's clock says another time, or a
    gateway that runs beside it on the same file goes by another."""
    ahead = await database_ahead(store.replicas, clocks=SYSTEM)
    if ahead is None:
        ahead = await _ahead_of_gateways(store)
    if abs(ahead) <= FINE_S:
        return SYSTEM
    moved = ahead
    return Clocks(lambda: Wall(time.time() + moved), SYSTEM.monotonic)


async def _ahead_of_gateways(store: Store) -> float:
    """What a gateway told of its clock in the last minutes."""
    now = time.time()
    for row in await store.times.all():
        is_fresh = abs(now + row.offset - row.at) <= 2 * AGREE_S
        if row.name != PERSON and is_fresh and not row.doubt:
            return row.offset
    return 0.0
