"""What must hold of corrections: they go where the original was taken, and take its place.

Owns how a correction comes to be known: the gateway makes it, so the store is asked what it says.
"""

from __future__ import annotations

import json
from sqlite3 import Connection

from gateway.core.model import MAYBE_TAKEN, delivery_id
from gateway.core.sources import corrected_by
from tests.simulation.invariants.findings import Findings
from tests.simulation.truth import EPOCH, Batch, Key

_NOT_TAKEN = ("pending", "pruned", "no_device", "expired", "refused", "dead", "cancelled")


class CorrectionInvariants:
    """Told of pushes and rows before the others are, so that a correction is a batch for them."""

    def __init__(self, findings: Findings, connection: Connection) -> None:
        self._findings = findings
        self._connection = connection
        #: event -> the original's index of each item
        self._origins: dict[str, list[int]] = {}

    def meet(self, event_id: str) -> None:
        """An event is heard of: if it is a correction, have it among the batches."""
        batches = self._findings.truth.batches
        original = corrected_by(event_id)
        first = None if original is None else batches.get(original)
        if first is None or event_id in batches:
            return
        asked = (
            "SELECT body, deadline FROM events, cancelled "
            "WHERE events.event_id = ? AND cancelled.event_id = ?"
        )
        found = self._connection.execute(asked, (event_id, original)).fetchone()
        if found is None:
            return
        entries = json.loads(found[0])["data"]["notifications"]
        places = [json.loads(one.get("in_place_of", "[null, -1, null]"))[1] for one in entries]
        self._origins[event_id] = places
        batches[event_id] = Batch(
            event_id,
            first.sent_at,
            found[1] - EPOCH,
            [-1 if place < 0 else first.users[place] for place in places],
            accepted_at=first.accepted_at,
            text=corrected_text(first.event_id),
        )
        self._findings.trace.count("a correction was made")

    def started(self, key: Key, collapse_id: str) -> None:
        """A push starts: it takes its own place on the phone, or that of what it corrects, which
        the phone took."""
        event_id, index, device_id = key
        origin = corrected_by(event_id)
        if origin is None or event_id not in self._origins:
            place = key
        else:
            place = (origin, self._origins[event_id][index], device_id)
            self._was_taken(key, place)
        has_own_place = self._findings.sizes.collapse in ("delivery", "none")
        if has_own_place and collapse_id != delivery_id(*place):
            self._findings.broken("right_place", f"{key} does not take the place of {place}")

    def _was_taken(self, key: Key, place: Key) -> None:
        asked = (
            "SELECT state, vendor_id FROM deliveries "
            "WHERE event_id = ? AND item_index = ? AND device_id = ?"
        )
        found = self._connection.execute(asked, place).fetchone()
        if found is None or (found[0] in _NOT_TAKEN and found[1] != MAYBE_TAKEN):
            self._findings.broken("right_place", f"{key} corrects {place}, which was not taken")


def corrected_text(event_id: str) -> str:
    """What a correction of an event says."""
    return f"{event_id} corrected"
