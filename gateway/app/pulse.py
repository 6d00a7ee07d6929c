"""The pulse of a process: looks now and then whether its threads move, says when they do not, and
lets the supervisor hear that it lives.

It runs on the event loop, so a loop that stands still is not heard of either.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gateway.app.supervisor import Supervisor
from gateway.events import Lifecycle, Observer

_A_LIFE = 4
"""How often it beats in the time after which somebody gives the process up."""


async def pulse(
    standstill: Callable[[], str], supervisor: Supervisor, *, stall_s: float, observer: Observer
) -> None:
    """Beat until cancelled. `standstill` says what has not moved for `stall_s`."""
    every_s = min(stall_s, supervisor.watchdog_s or stall_s) / _A_LIFE
    told = ""
    while True:
        found = standstill()
        if found and not told:
            observer(Lifecycle("stalled", found))
        elif told and not found:
            observer(Lifecycle("moves_again"))
        told = found
        if not found:
            supervisor.moves()
        await asyncio.sleep(every_s)
