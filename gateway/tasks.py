"""Ending background tasks."""

from __future__ import annotations

import asyncio
from typing import Any

_AGAIN_S = 1.0


async def end(task: asyncio.Task[Any] | None) -> None:
    """Cancel a loop, and wait until it has ended; None is nothing to end.

    Python 3.11's `asyncio.wait_for`, which client libraries await, loses a cancellation that comes
    together with the answer: the loop would go on for ever. So it is cancelled again every second.
    """
    while task is not None and not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=_AGAIN_S)
