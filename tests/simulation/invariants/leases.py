"""What must hold when a process claims a chunk to try it alone, and when it settles one."""

from __future__ import annotations

from collections.abc import Sequence
from sqlite3 import Connection

from gateway.core.model import Claim
from gateway.core.suspects import TRIAL_S
from tests.simulation.invariants.findings import SLACK_S, Findings
from tests.simulation.truth import EPOCH


class LeaseInvariants:
    """Told of every claim and every settle of one process, whose leases' ids begin with
    `holder`."""

    def __init__(self, findings: Findings, connection: Connection, holder: str) -> None:
        self._findings = findings
        self._connection = connection
        self._holder = holder
        #: chunk -> when this process first had it in hand
        self._claimed_at: dict[int, float] = {}

    def claimed(self, claims: Sequence[Claim]) -> None:
        """These are in the process' hands from now on."""
        for claim in claims:
            self._claimed_at.setdefault(claim.queue_id, self._findings.truth.now)

    def tried(self, claim: Claim, asked_at: float) -> None:
        """A suspect is tried beside nothing that the process has not survived yet."""
        others = {one: at for one, at in self._claimed_at.items() if one != claim.queue_id}
        for queue_id, at in others.items():
            if asked_at - at < TRIAL_S - SLACK_S and self._holds(queue_id, asked_at):
                text = f"chunk {claim.queue_id} is tried beside chunk {queue_id}"
                self._findings.broken("tried_alone", text)
        self.claimed([claim])

    def settled(self, claim: Claim) -> None:
        """A chunk leaves the queue by the hand that holds it."""
        if (claim.queue_id, claim.lease_id) not in self._findings.left_queue:
            text = f"{claim.lease_id} settles chunk {claim.queue_id}, which another one held"
            self._findings.broken("one_holder", text)

    def _holds(self, queue_id: int, now: float) -> bool:
        held = "SELECT lease_id FROM queue WHERE id = ? AND due_at > ? AND lease_id IS NOT NULL"
        row = self._connection.execute(held, (queue_id, EPOCH + now)).fetchone()
        return row is not None and row[0].startswith(self._holder)
