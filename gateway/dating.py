"""By which time something is dated that a request has stored."""

from __future__ import annotations

import asyncio

from gateway.core.clocks import Clocks, Wall
from gateway.problems import RETRY_AFTER_S, Problem

_WAIT_S = 2.0
_LOOK_S = 0.02


async def time_to_keep(clocks: Clocks) -> Wall:
    """The time, to date with it what is stored at once: ask right before.

    While the store is put right after the time was moved, this waits: a date of the new time would
    be taken for one of the time before, and moved as well. Raises `Problem` if it takes long.
    """
    for _ in range(round(_WAIT_S / _LOOK_S)):
        if not _is_settling(clocks):
            return clocks.wall()
        await asyncio.sleep(_LOOK_S)
    told = "the time was moved, and what is stored is still dated anew"
    raise Problem("clock_doubted", told, retry_after=RETRY_AFTER_S)


def _is_settling(clocks: Clocks) -> bool:
    doubt = clocks.doubt()
    return doubt is not None and doubt.settling
