"""What must hold where pushes replace each other: none starts after a newer one of its key.

Owns which push of a device and key was started last; events are compared by when the store says
that they were received.
"""

from __future__ import annotations

from sqlite3 import Connection

from tests.simulation.invariants.findings import Findings
from tests.simulation.truth import EPOCH, Key


class OrderInvariants:
    """Told of every push that leaves a process."""

    def __init__(self, findings: Findings, connection: Connection) -> None:
        self._findings = findings
        self._connection = connection
        #: (device, key) -> the event that was received last of those that started
        self._latest: dict[tuple[int, str], str] = {}

    def started(self, key: Key, collapse_id: str) -> None:
        """A push starts; without a key of its own it replaces nothing but its repeats."""
        if self._findings.sizes.collapse not in ("path", "user") or not collapse_id:
            return
        event_id, _, device_id = key
        place = (device_id, collapse_id)
        latest = self._latest.setdefault(place, event_id)
        mine, theirs = self._received(event_id), self._received(latest)
        if mine is None or theirs is None or theirs > EPOCH + self._findings.truth.now + 1.0:
            return  # it is over its time, or was dated by a clock that is wrong
        if mine < theirs:
            self._findings.broken("order", f"{key} starts after one of {latest}, which is newer")
        elif latest != event_id:
            self._findings.trace.count("a newer push replaced an older one")
            self._latest[place] = event_id

    def _received(self, event_id: str) -> float | None:
        query = "SELECT received_at FROM events WHERE event_id = ?"
        row = self._connection.execute(query, (event_id,)).fetchone()
        return None if row is None else float(row[0])
