"""Pushes in flight, for transports whose client library needs a task per push.

Owns the promise that every push gets exactly one verdict. Refuses to know vendors: the transport
sends each push.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any

from providers.contract import Push, Settle, Unavailable, Verdict
from providers.transport.verdict_batcher import CLOSE_GRACE_S, CLOSED, FULL, VerdictBatcher

_log = logging.getLogger(__name__)

CUT_OFF = Unavailable("Closed", outcome_known=False)
BROKEN = Unavailable("TransportError", outcome_known=False)


class InFlight:
    """The pushes in flight. `attempt` sends one and returns its verdict."""

    def __init__(self, attempt: Callable[[Push], Coroutine[Any, Any, Verdict]]) -> None:
        self._attempt = attempt
        self._tasks: dict[asyncio.Task[Verdict], None] = {}
        self._batcher = VerdictBatcher()
        self.closed = False

    def __len__(self) -> int:
        return len(self._tasks)

    def launch(self, pushes: Sequence[Push], settle: Settle, free: int) -> None:
        """Start a task for each of the first `free` pushes; the others are settled as full."""
        if self.closed:
            free = 0
        loop = asyncio.get_running_loop()
        for push in pushes[:free]:
            task = loop.create_task(self._attempt(push))
            self._tasks[task] = None
            # not a `try` inside the task, which would never run if cancelled before its first step
            task.add_done_callback(partial(self._done, push, settle))
        for push in pushes[free:]:
            self._batcher.add(settle, push, CLOSED if self.closed else FULL)

    async def aclose(self) -> None:
        """Wait a moment for answers, then give the rest a verdict. No push starts after it."""
        self.closed = True
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CLOSE_GRACE_S)
        for task in self._tasks:
            task.cancel()
        while self._tasks:
            await asyncio.wait(self._tasks)
            await asyncio.sleep(0)
        self._batcher.flush()

    def _done(self, push: Push, settle: Settle, task: asyncio.Task[Verdict]) -> None:
        self._tasks.pop(task, None)
        if task.cancelled():
            verdict: Verdict = CUT_OFF
        elif (error := task.exception()) is not None:
            # Only the type: the text may hold an address.
            _log.error("a transport failed with %s", type(error).__name__)
            verdict = BROKEN
        else:
            verdict = task.result()
        self._batcher.add(settle, push, verdict)
