"""A part of a lane: the pushes that fail together. Owns its backlog, its hold and reachability.

A vendor's failures follow the platform or the environment of a phone, not the vendor's account: an
iPhone that Firebase cannot reach says nothing about the Android phones beside it. Every change to a
part is a method here, which reports it to the observer itself.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Literal, assert_never

from gateway.core.breaker import Breaker
from gateway.core.clocks import Clocks, Monotonic
from gateway.core.model import lane_name
from gateway.core.pace import Pace
from gateway.core.reachability import Reachability
from gateway.core.retry import Accuse
from gateway.events import LaneHeld, LaneResumed
from gateway.ports import LaneRow
from gateway.relay.listeners import Listeners
from gateway.relay.lookahead import Lookahead
from gateway.relay.silence import Silence
from gateway.relay.standing import Cause, Errors, trouble_of
from gateway.relay.undecided import MOMENT_S, Accusation, Undecided
from gateway.relay.work import Delivery, take, take_out
from providers.contract import Misconfigured, Push, PushProvider, Trouble, Unavailable, Verdict

State = Literal["open", "held", "failing", "paused"]
"""`paused`: by a person. `held`: the vendor rejects the configuration. `failing`: nothing reaches
the vendor, or it cannot serve."""

#: how many deliveries of the backlog are searched for a probe of another target than the last
_PROBES = 512


class Part:
    """See the module. `in_flight` pushes have no verdict; the lane takes what is in `backlog`."""

    def __init__(
        self,
        app: str,
        vendor: str,
        name: str,
        *,
        probe_s: float,
        clocks: Clocks,
        pace: Pace,
        listeners: Listeners,
    ) -> None:
        self.app = app
        self.vendor = vendor
        self.name = name
        self.backlog: deque[Delivery] = deque()
        self.in_flight = 0
        self._lookups = Lookahead()
        self.errors = Errors()
        self._breaker = Breaker(probe_s)
        self._reachability = Reachability(pace.silent_s, pace.broken_s)
        self._clocks = clocks
        self._listeners = listeners
        self._pause: Cause | None = None
        self._hold: Cause | None = None
        self._failure: Cause | None = None
        self._accusation: Cause | None = None
        self._resumed_at: float | None = None
        self._undecided = Undecided()
        self._ended = False
        self._queued = 0
        self._connecting = False
        self._told_failing = False

    # --- what it is -----------------------------------------------------------------------------

    @property
    def path(self) -> str:
        """Its name as people write it: "app/provider/part"."""
        return f"{lane_name(self.app, self.vendor)}/{self.name}"

    @property
    def load(self) -> int:
        """Deliveries in memory, waiting or in flight."""
        looked_up = self._lookups.waiting
        return len(self.backlog) + looked_up + self.in_flight + len(self._undecided)

    @property
    def state(self) -> State:
        """Its state; a person's pause comes first."""
        if self._pause is not None:
            return "paused"
        if self._breaker.held:
            return "held"
        return "failing" if self._reachability.failing else "open"

    @property
    def cause(self) -> Cause | None:
        """The reason for its state; of an open part, what single targets are accused of."""
        match self.state:
            case "paused":
                return self._pause
            case "held":
                return self._hold
            case "failing":
                return self._failure
            case "open":
                return self._accusation if self._breaker.accused else None
            case _:
                assert_never(self.state)

    @property
    def failure(self) -> Cause | None:
        """Why its vendor is not reached, even if something else stops it; None when it is."""
        return self._failure

    @property
    def stopped(self) -> bool:
        """Whether it is paused or held: at most probes may go."""
        return self._pause is not None or self._breaker.held

    @property
    def failing(self) -> bool:
        return self._reachability.failing

    @property
    def accused(self) -> Mapping[int, int]:
        return self._breaker.targets

    @property
    def is_paused(self) -> bool:
        """Whether a person paused it: then not even a probe goes."""
        return self._pause is not None

    def may_send(self, now: Monotonic) -> bool:
        """Whether at least one push may go now."""
        return self._pause is None and self._breaker.may_send(now)

    # --- what the lane does with it -------------------------------------------------------------

    def allowance(self, granted: int, now: Monotonic) -> int:
        """How many of the granted pushes may go now. A probe takes the most telling delivery: one
        whose target is not accused yet, else the one that was accused the longest ago."""
        allowed = self._breaker.allowance(granted, now)
        if allowed and self._breaker.held:
            order = {target: turn for turn, target in enumerate(self.accused)}
            some = [one.target.device_id for one in islice(self.backlog, _PROBES)]
            self.backlog.rotate(-min(range(len(some)), key=lambda n: order.get(some[n], -1)))
        return allowed

    def take(
        self, wanted: int, now: Monotonic, silence: Silence, transport: PushProvider
    ) -> list[Push]:
        """Take pushes from the backlog for a transport; stale and throttled ones go back, old ones
        are looked up again."""
        taken = take(
            self.backlog,
            wanted,
            most_old=self._lookups.size(wanted),
            now=now,
            wall=self._clocks.wall(),
            loop_time=asyncio.get_running_loop().time(),
            quiet=silence.devices,
            changed=self._listeners.changed,
            transport=transport,
        )
        self._lookups.took(len(taken.pushes), len(taken.old))
        if taken.old:
            self._listeners.old(self, taken.old)
        if taken.stale:
            self._listeners.returned(taken.stale, "", None)
        for until, waiting in taken.throttled.items():
            self._listeners.returned(waiting, "the device is throttled", until)
        return taken.pushes

    def trying(self, now: Monotonic, pushes: int) -> None:
        """This many pushes leave; 0: some would, but the transport takes none."""
        self._reachability.trying(now)
        self.in_flight += pushes

    def came_to_nothing(self) -> None:
        """The pushes that were allowed to go were all stale or lost, or are looked up again."""
        self._breaker.unused()

    def looked_up(self, deliveries: int) -> None:
        """This many were looked up again."""
        self._lookups.waiting -= deliveries

    def settled(self, verdicts: int) -> None:
        """This many pushes have their verdicts."""
        self.in_flight -= verdicts

    def give_back(self, reason: str = "") -> None:
        """Return the backlog to the queue."""
        if waiting := self.take_out(lambda _one: True):
            self.give_back_these(waiting, reason)

    def take_out(self, wanted: Callable[[Delivery], bool]) -> list[Delivery]:
        """Take these out of the backlog."""
        return take_out(self.backlog, wanted)

    def forget_lost(self) -> None:
        """Return what is in the backlog of chunks whose lease is lost."""
        self._listeners.returned(self.take_out(lambda one: one.work.lost), "", None)

    def give_back_these(self, deliveries: Sequence[Delivery], reason: str = "") -> None:
        """Return deliveries to the queue; without a reason, with the one that stops the part."""
        if not reason and self.stopped and self.cause is not None:
            reason = self.cause.reason or "paused by an operator"
        self._listeners.returned(deliveries, reason, None)

    # --- what the vendor says -------------------------------------------------------------------

    def took(self) -> None:
        """The vendor took pushes."""
        now = self._clocks.monotonic()
        self._answered(now)
        if self._breaker.took(now):
            self._opened()

    def took_from(self, device_id: int) -> None:
        """The vendor took a push to an accused device."""
        self._breaker.cleared(device_id)

    def accuse(self, delivery: Delivery, word: Accuse) -> None:
        """The vendor rejected the configuration, on this delivery: it waits, with the part if that
        is held now or in a moment, else alone."""
        now, device_id = self._clocks.monotonic(), delivery.target.device_id
        self._answered(now)
        others = self.in_flight > 0
        found = self._breaker.accuse(device_id, now, about=word.about, others_in_flight=others)
        self._accusation = cause = Cause(word.reason, word.hint, self._clocks.wall())
        self._undecided.add(Accusation(delivery, now, found.wait_s, word.reason))
        if self._ended:
            self._leave_alone(self._undecided.all())
        if not found.held:
            return
        if found.first:
            self._hold = cause
            self._tell_held("misconfigured", cause)
            self._listeners.held(self)
        accused = [one.delivery for one in self._undecided.all()]
        self.give_back_these(accused, word.reason)
        self.give_back(word.reason)

    def stop(self) -> None:
        """Return all that waits, and keep nothing from now on."""
        self._ended = True
        self._leave_alone(self._undecided.all())
        self.give_back()

    def heard(self, verdict: Verdict, device_id: int) -> None:
        """A push to this device had any other verdict."""
        now = self._clocks.monotonic()
        if isinstance(verdict, Unavailable):
            self._breaker.unclear(now)
            if verdict.is_answer:
                self._reachability.broken(now, verdict.reason, waiting=self.in_flight > 0)
            else:
                self._reachability.unanswered(now, verdict.reason)
            return
        self._answered(now)
        if isinstance(verdict, Misconfigured):
            self._breaker.unclear(now)
            return
        self._breaker.cleared(device_id)
        if self._breaker.answered():
            self._opened()

    # --- whether the vendor is reached ----------------------------------------------------------

    def look(self, transport: PushProvider) -> bool:
        """Check whether it begins to fail now; if so, it gives back its backlog."""
        self._leave_alone(self._undecided.older_than(self._clocks.monotonic() - MOMENT_S))
        hanging = self.in_flight > 0 or bool(self.backlog) or self._connecting
        if not self._reachability.look(self._clocks.monotonic(), hanging=hanging):
            return False
        self._fail(transport.trouble(self.name))
        return True

    def look_again(self) -> bool:
        """Whether it is reached again, and the last that people were told is that it fails; False
        while it is held. Ask before `look`: it may fail anew since."""
        if not self._told_failing or self.failing or self._breaker.held:
            return False
        self._told_failing = False
        return True

    def is_idle(self) -> bool:
        """Whether nothing waits for it, in memory or in the queue."""
        return not self.load and not self._queued

    def reached_too(self) -> None:
        """Another part is reached again, the transport works, and nothing waits for this one."""
        if self._reachability.connected():
            self._failure, self._told_failing = None, False

    def fail_too(self, trouble: Trouble) -> None:
        """The trouble of another part stops this one as well."""
        self._reachability.fail_too()
        self._fail(trouble)

    async def reach(self, transport: PushProvider) -> bool:
        """Connect, and send nothing. True: there is a connection and a credential.

        Connecting ends a failure only while nothing waits; else the vendor has to answer a push.
        """
        self._reachability.trying(self._clocks.monotonic())
        self._connecting = True
        try:
            trouble = await transport.reach(self.name)
        finally:
            self._connecting = False
        if trouble is not None:
            self._reachability.unanswered(self._clocks.monotonic(), trouble.reason)
            if self._failure is not None:
                self._failure = Cause(trouble.reason, trouble.hint, self._failure.since)
        elif (self.is_idle() if self.failing else not self.load) and self._reachability.connected():
            self._failure = None
        return trouble is None

    # --- what people decide ---------------------------------------------------------------------

    def begin(self, row: LaneRow) -> None:
        """Start from the stored state, before anything is sent."""
        self._resumed_at = row.let_go_at(self.name)
        self._follow_pause(row)

    def follow(self, row: LaneRow) -> bool:
        """Apply the stored decisions. True: something may go now that could not before."""
        was_paused = self.is_paused
        self._queued = row.part(self.name).waiting
        self._follow_pause(row)
        resumed_at = row.let_go_at(self.name)
        if resumed_at != self._resumed_at:
            self._resumed_at = resumed_at
            self.let_go()
            return True
        if self._breaker.held and row.part(self.name).held == "":
            self._listeners.held(self)  # it was not written, or another relay has lifted it
        return was_paused and not self.is_paused

    def let_go(self) -> None:
        """Forget what was found wrong: a person resumed it, or the credential is another."""
        was_held = self._breaker.held
        self._breaker.reset()
        self._accusation = None
        if was_held:
            self._opened()

    @property
    def hold(self) -> Cause | None:
        """Why the relay holds it, paused or not; None when it does not."""
        return self._hold if self._breaker.held else None

    # --- inside ---------------------------------------------------------------------------------

    def _leave_alone(self, accused: Sequence[Accusation]) -> None:
        """Let them wait alone, each for its own time."""
        now = self._clocks.wall()
        for one in accused:
            wait_s = one.wait_s * (1.0 + 0.1 * one.delivery.work.jitter)
            self._listeners.returned([one.delivery], one.reason, now + wait_s)

    def _answered(self, now: Monotonic) -> None:
        if self._reachability.answered(now, waiting=self.in_flight > 0):
            self._failure = None

    def _fail(self, trouble: Trouble | None) -> None:
        """Record why it fails: the transport's reason, else the last failure seen."""
        if trouble is None:
            seen = self._reachability
            nothing = "no connection yet" if self._connecting else "the transport takes nothing"
            trouble = trouble_of(seen.reason or nothing, is_broken=seen.is_broken)
        self._failure = Cause(trouble.reason, trouble.hint, self._clocks.wall())
        self._told_failing = True
        self.give_back(trouble.reason)

    def _follow_pause(self, row: LaneRow) -> None:
        told = row if row.held == "operator" else row.part(self.name)
        was, self._pause = self._pause, None
        if told.held == "operator":  # its reason may be another one: an erase takes ids out of it
            self._pause = Cause(told.reason, told.hint, told.held_at or self._clocks.wall())
            if was is None:
                self._tell_held("operator", self._pause)
                self.give_back()
        elif was is not None:
            self._listeners.observer(LaneResumed(self.app, self.vendor, self.name))

    def _opened(self) -> None:
        self._hold = None
        self._listeners.observer(LaneResumed(self.app, self.vendor, self.name))
        self._listeners.held(self)

    def _tell_held(self, held: str, cause: Cause) -> None:
        self._listeners.observer(
            LaneHeld(self.app, self.vendor, self.name, held, cause.reason, cause.hint)
        )
