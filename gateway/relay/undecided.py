"""Deliveries accused a moment ago, until it is clear whether they wait alone or with their part.

A vendor that rejects a key rejects a burst of pushes. The first answers arrive before enough speaks
against the part to hold it. Their deliveries belong to the hold that follows, and go when it is
lifted.
"""

from __future__ import annotations

from typing import NamedTuple

from gateway.relay.work import Delivery

#: how long an accused delivery waits for its part to be held, in seconds: a burst is answered then
MOMENT_S = 1.0


class Accusation(NamedTuple):
    """A delivery, when it was accused (monotonic), for how long it would wait alone, and why."""

    delivery: Delivery
    at: float
    wait_s: float
    reason: str


class Undecided:
    """The undecided deliveries of one part, the oldest first."""

    def __init__(self) -> None:
        self._waiting: list[Accusation] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, one: Accusation) -> None:
        """Add one."""
        self._waiting.append(one)

    def all(self) -> list[Accusation]:
        """Take all of them."""
        waiting, self._waiting = self._waiting, []
        return waiting

    def older_than(self, at: float) -> list[Accusation]:
        """Take all that were accused before then."""
        old = [one for one in self._waiting if one.at < at]
        self._waiting = self._waiting[len(old) :]
        return old
