"""Requests that wait for a connection, oldest first, and until when each may. Pure.

Owns their order and their ends by the clock. Refuses to know connections.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from providers.http2.exchange import NEVER_SENT_S, NOT_STARTED, Ends, NotProcessed, Request

_NEVER_SENT = NotProcessed("Timeout", NEVER_SENT_S)


class Waiting(NamedTuple):
    """Requests that were handed over together: until when they may end, and until when start."""

    deadline: float
    start_by: float
    requests: Sequence[Request]

    @property
    def due(self) -> float:
        """When they must have left."""
        return min(self.deadline, self.start_by)


class WaitingLine(deque[Waiting]):
    """The line of a pool."""

    @property
    def requests(self) -> int:
        """How many requests wait."""
        return sum(len(waiting.requests) for waiting in self)

    @property
    def dues(self) -> list[float]:
        """When the requests must have left."""
        return [waiting.due for waiting in self]

    def end_late(self, now: float) -> Ends:
        """Take out what waited for too long to be started."""
        ends: Ends = []
        for _ in range(len(self)):
            waiting = self.popleft()
            if waiting.deadline <= now:
                ends += [(request, _NEVER_SENT) for request in waiting.requests]
            elif waiting.start_by <= now:
                ends += [(request, NOT_STARTED) for request in waiting.requests]
            else:
                self.append(waiting)
        return ends

    def end_all(self, end: NotProcessed) -> Ends:
        """Take out all."""
        ends: Ends = [(request, end) for waiting in self for request in waiting.requests]
        self.clear()
        return ends
