"""What only the real transports can be asked, between the relay and one of them.

Owns the invariants: every push gets one verdict in time; what a transport calls not looked at was
not; and a vendor in good health is found again.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial

from providers.contract import (
    Push,
    PushProvider,
    Settle,
    Unavailable,
    Verdict,
)
from tests.simulation.invariants.findings import Findings
from tests.simulation.loop import OWNER
from tests.simulation.passing import PassingTransport
from tests.simulation.trace import Trace

_MARGIN_S = 0.5
"""What a verdict may come later than the transport's limit says."""

_SETTLED_S = 15.0
"""So long after the last fault no request for an access token hangs any more, of those that take a
push's time away."""
_RECONNECTED_S = 40.0
"""So long after it nobody waits any more before connecting again, which takes 30 s at most."""
_ANSWERS = ("UNAUTHENTICATED", "ExpiredProviderToken", "IdleTimeout", "Closed")
"""Not looked at, and yet no fault of a connection."""


class Sightings:
    """How often a process sent a delivery so that a vendor may have looked at it, and how often one
    did. Two sends of one delivery look alike to a vendor, so they are counted and not matched."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._sent: Counter[tuple[str, str]] = Counter()
        self._seen: Counter[tuple[str, str]] = Counter()

    def sent(self, who: str, delivery_id: str) -> None:
        """A process sends a delivery."""
        self._sent[who, delivery_id] += 1

    def seen(self, who: str, delivery_id: str) -> None:
        """A vendor looks at a delivery of a process."""
        self._seen[who, delivery_id] += 1
        self._compare(who, delivery_id, "is looked at now")

    def not_looked_at(self, who: str, delivery_id: str, reason: str) -> None:
        """A transport says of one send that nobody looked at it."""
        self._sent[who, delivery_id] -= 1
        self._compare(who, delivery_id, reason)

    def _compare(self, who: str, delivery_id: str, text: str) -> None:
        seen, sent = self._seen[who, delivery_id], self._sent[who, delivery_id]
        if seen > sent:
            self._findings.broken(
                "not_looked_at_is_true",
                f"{who} sent {delivery_id} {sent} times that count, it was seen {seen}: {text}",
            )


class Recovery:
    """Once the faults are over, a vendor in good health answers: a transport may run into each bad
    connection once, and not again and again."""

    def __init__(self, findings: Findings, now: Callable[[], float]) -> None:
        self._findings = findings
        self._now = now
        self._quiet_since = float("inf")
        self._bad: dict[str, int] = {}
        #: process and place -> how many times one after the other, and when the last was heard
        self._rounds: dict[tuple[str, str], tuple[int, float]] = {}

    def begin(self, place: str, bad: int) -> None:
        """The faults are over; so many connections to a place stay bad."""
        self._quiet_since = self._now()
        self._bad[place] = bad

    def unanswered(self, who: str, place: str, verdict: Unavailable, started: float) -> None:
        """A push that started then has no answer of its vendor."""
        settled = _SETTLED_S if verdict.looked_at else _RECONNECTED_S
        if started < self._quiet_since + settled or verdict.reason in _ANSWERS:
            return
        rounds, heard_at = self._rounds.get((who, place), (0, 0.0))
        if started < heard_at:
            return
        self._rounds[who, place] = rounds + 1, self._now()
        if rounds >= self._bad.get(place, 0):
            self._findings.broken(
                "it_recovers", f"{who}: {verdict.reason} at {place}, {rounds + 1} times in a row"
            )


class WireWatch(PassingTransport):
    """A native transport of a process (`who`), watched."""

    def __init__(
        self,
        inner: PushProvider,
        who: str,
        parts: Sequence[str],
        timeout_s: float,
        findings: Findings,
        trace: Trace,
        sightings: Sightings,
        recovery: Recovery,
        place_of: Callable[[Push], str],
    ) -> None:
        super().__init__(inner)
        self.process = OWNER.get()
        self.who = who
        self._parts = parts
        self._timeout_s = timeout_s
        self._findings = findings
        self._trace = trace
        self._sightings = sightings
        self._recovery = recovery
        self._place_of = place_of
        #: the push, and when it started
        self._open: dict[int, tuple[Push, float]] = {}
        self._numbers = 0

    def told(self) -> str:
        """How it stands, for people."""
        free = ", ".join(f"{self.free(part)} for {part}" for part in self._parts)
        connections = f"{self.connections} connections"
        return f"free: {free}; {self.in_flight} pushes in flight, {connections}"

    @property
    def is_alive(self) -> bool:
        """Whether its process lives."""
        return self.process is not None and self.process.alive

    def send(self, pushes: Sequence[Push], settle: Settle) -> None:
        loop = asyncio.get_running_loop()
        numbers: dict[int, int] = {}
        for push in pushes:
            self._numbers += 1
            self._open[self._numbers] = push, loop.time()
            numbers[id(push)] = self._numbers
            self._sightings.sent(self.who, push.delivery_id)
        due_s = self._timeout_s + _MARGIN_S
        loop.call_later(due_s, self._due, list(numbers.values()), loop.time() + due_s)
        try:
            self._inner.send(pushes, partial(self._heard, settle, numbers))
        except Exception as error:  # noqa: BLE001  # nothing may come out
            self._findings.broken("one_verdict", f"{self.who}: send raised {error!r}")

    def _heard(
        self, settle: Settle, numbers: dict[int, int], verdicts: Sequence[tuple[Push, Verdict]]
    ) -> None:
        for push, verdict in verdicts:
            opened = self._open.pop(numbers[id(push)], None)
            if opened is None:
                self._broken("one_verdict", push, "has a second verdict")
                continue
            if isinstance(verdict, Unavailable):
                if not verdict.is_answer:
                    place = self._place_of(push)
                    self._recovery.unanswered(self.who, place, verdict, opened[1])
                self._trace.count(f"wire: {verdict.reason}")
                if not verdict.looked_at:
                    self._sightings.not_looked_at(self.who, push.delivery_id, verdict.reason)
        settle(verdicts)

    def _due(self, numbers: Sequence[int], due: float) -> None:
        """All of these have a verdict; one that stood still gets as long again, from now on."""
        late = [number for number in numbers if number in self._open]
        if not late:
            return
        loop = asyncio.get_running_loop()
        if loop.time() > due + _MARGIN_S:
            due = loop.time() + _MARGIN_S
            loop.call_at(due, self._due, late, due)
        else:
            self._broken("one_verdict", self._open[late[0]][0], "has no verdict in time")

    def _broken(self, invariant: str, push: Push, text: str) -> None:
        self._findings.broken(invariant, f"{self.who}: push {push.delivery_id} {text}")
