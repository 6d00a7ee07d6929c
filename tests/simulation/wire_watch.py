"""What only the real transports can be asked, between the relay and one of them.

Owns the invariants: every push gets one verdict in time; connections that fail grow rarer; and a
vendor in good health is found again. What was seen and said is the matter of `sightings`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from functools import partial

from providers.contract import (
    Push,
    PushProvider,
    Settle,
    Trouble,
    Unavailable,
    Verdict,
)
from providers.fcm.native import QUIET_S
from providers.http2.wire import PONG_S
from tests.simulation.invariants.findings import Findings
from tests.simulation.loop import OWNER
from tests.simulation.passing import PassingTransport
from tests.simulation.sightings import Sightings
from tests.simulation.trace import Trace

_MARGIN_S = 0.5
"""What a verdict may come later than the transport's limit says."""

_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.5, 15.0
"""Between two tries to connect: at least this after the first failure, then twice as long each time
up to the other."""
_EARLY_S = 0.001
"""What the loop's steps may take away from it."""

_SETTLED_S = 15.0
"""So long after the last fault no request for an access token hangs any more, of those that take a
push's time away."""
_RECONNECTED_S = 40.0
"""So long after it nobody waits any more before connecting again, which takes 30 s at most."""
_PINGED_S = QUIET_S + PONG_S + 5.0
"""So long after it FCM's connections that lose bytes are no longer in use: they did not answer."""
_ANSWERS = ("UNAUTHENTICATED", "ExpiredProviderToken", "IdleTimeout", "Closed")
"""Not looked at, and yet no fault of a connection."""


REACHING: ContextVar[bool] = ContextVar("reaching", default=False)
"""Whether a person or a watch asks a transport to connect, whatever failed before."""


class DialWatch:
    """The connections of one transport (`who`) to a place. After each that fails in a row the next
    one waits, and longer each time. `lost_at`: when it last lost a connection that it had."""

    def __init__(
        self,
        findings: Findings,
        who: str,
        place: str,
        now: Callable[[], float],
        lost_at: Callable[[], float],
    ) -> None:
        self._findings = findings
        self._name = f"{who} to {place}"
        self._now = now
        self._lost_at = lost_at
        self._failures = 0
        self._failed_at = float("-inf")

    def dials(self) -> None:
        """It tries to connect."""
        if self._lost_at() >= self._failed_at:
            self._failures = 0
        if not self._failures or REACHING.get():
            return
        waited = self._now() - self._failed_at
        least = min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2.0 ** (self._failures - 1))
        if waited < least - _EARLY_S:
            text = f"{waited:.3f} s after failure {self._failures} in a row, not {least}"
            self._findings.broken("dials_are_spaced", f"{self._name}: {text}")

    def failed(self) -> None:
        """It is not connected."""
        self._failures += 1
        self._failed_at = self._now()

    def made(self) -> None:
        """It is connected."""
        self._failures = 0


class Recovery:
    """Once the faults are over, a vendor in good health answers: a transport may run into each bad
    connection once, and not again and again."""

    def __init__(self, findings: Findings, now: Callable[[], float]) -> None:
        self._findings = findings
        self._now = now
        self._quiet_since = float("inf")
        self._bad: dict[str, int] = {}
        self._silent: dict[str, int] = {}
        #: process and place -> how many times one after the other, and when the last was heard
        self._rounds: dict[tuple[str, str], tuple[int, float]] = {}

    def begin(self, place: str, bad: int, silent: int) -> None:
        """The faults are over; so many connections to a place stay bad, and so many of them lose
        bytes."""
        self._quiet_since = self._now()
        self._bad[place], self._silent[place] = bad, silent

    def unanswered(self, who: str, place: str, verdict: Unavailable, started: float) -> None:
        """A push that started then has no answer of its vendor."""
        settled = _SETTLED_S if verdict.looked_at else _RECONNECTED_S
        if started < self._quiet_since + settled or verdict.reason in _ANSWERS:
            return
        rounds, heard_at = self._rounds.get((who, place), (0, 0.0))
        if started < heard_at:
            return
        self._rounds[who, place] = rounds + 1, self._now()
        if rounds >= self._still_bad(place, started):
            self._findings.broken(
                "it_recovers", f"{who}: {verdict.reason} at {place}, {rounds + 1} times in a row"
            )

    def _still_bad(self, place: str, started: float) -> int:
        bad, silent = self._bad.get(place, 0), self._silent.get(place, 0)
        are_pinged = place == "fcm" and started > self._quiet_since + _PINGED_S
        return 0 if are_pinged and bad == silent else bad


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
        *,
        place_of: Callable[[Push], str],
        is_sound: Callable[[str], bool],
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
        self._is_sound = is_sound
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

    async def reach(self, part: str) -> Trouble | None:
        token = REACHING.set(True)
        try:
            return await self._inner.reach(part)
        finally:
            REACHING.reset(token)

    async def aclose(self) -> None:
        await self._inner.aclose()
        for push, _ in list(self._open.values())[:1]:
            self._broken("one_verdict", push, "has no verdict, and its transport is closed")

    def _heard(
        self, settle: Settle, numbers: dict[int, int], verdicts: Sequence[tuple[Push, Verdict]]
    ) -> None:
        for push, verdict in verdicts:
            opened = self._open.pop(numbers[id(push)], None)
            if opened is None:
                self._broken("one_verdict", push, "has a second verdict")
                continue
            place = self._place_of(push)
            if isinstance(verdict, Unavailable):
                if not verdict.is_answer:
                    self._recovery.unanswered(self.who, place, verdict, opened[1])
                self._trace.count(f"wire: {verdict.reason}")
                if verdict.reason == "Timeout" and self.process is not None and self.process.unread:
                    self._broken("reads_first", push, "is given up, and not all that came is read")
            is_sound = partial(self._is_sound, place)
            self._sightings.heard(self.who, push.delivery_id, verdict, is_sound=is_sound)
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
