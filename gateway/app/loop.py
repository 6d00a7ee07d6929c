"""The event loop of `inkpush serve`: uvloop's, with patience after a standstill."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextvars import Context
from typing import Any

import uvloop

from gateway.app.clocks import SYSTEM
from gateway.app.patience import Patience


class PatientLoop(uvloop.Loop):
    """See `patience`. uvloop's `call_at` goes by `call_later`."""

    def __init__(self) -> None:
        super().__init__()
        self.patience = Patience(self.call_soon, SYSTEM.monotonic, time.thread_time)

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        timer = self.patience.timer(delay, callback, args)
        handle: asyncio.TimerHandle = super().call_later(delay, timer, context=context)
        timer.handle = handle
        return handle
