"""The gate: whether pushes may start at all.

Owns that one state, for all lanes of a process together. The gate is closed while results cannot be
journaled: a push that is not on record when the process dies may be sent again. Refuses to know who
writes, and who waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from gateway.core.clocks import MonotonicClock
from gateway.relay.lane import Lane


class Gate:
    """Open at first. `lanes` is shared with app."""

    def __init__(self, lanes: Mapping[str, Lane], *, monotonic: MonotonicClock) -> None:
        self._lanes = lanes
        self._monotonic = monotonic
        self._open = asyncio.Event()
        self._open.set()
        self._closed_at = 0.0

    @property
    def closed_s(self) -> float:
        """For how many seconds it has been closed; 0 while it is open."""
        return 0.0 if self._open.is_set() else self._monotonic() - self._closed_at

    async def passed(self) -> None:
        """Wait until it is open."""
        await self._open.wait()

    def close(self) -> None:
        """Stop the lanes from starting pushes. Harmless if it is closed already."""
        if self._open.is_set():
            self._open.clear()
            self._closed_at = self._monotonic()
            self._tell(open_=False)

    def open(self) -> None:
        """Let the lanes go on. Harmless if it is open already."""
        if not self._open.is_set():
            self._open.set()
            self._tell(open_=True)

    def _tell(self, *, open_: bool) -> None:
        for lane in self._lanes.values():
            lane.set_gate(open_)
