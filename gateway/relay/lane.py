"""A lane: the way of one app to one vendor. Owns its parts, its transport and its pace.

One lane's broken credential or throttled project never slows another lane, and one part's never
another part: deliveries that a part cannot send now go back to the queue under the part's name, and
are claimed again once the part is free. Every change to a lane is a method here or of its parts,
which report it to the observer themselves; no other file writes a field of either.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial

from gateway.core.clocks import Clocks, Monotonic, Wall
from gateway.core.limiter import Limiter
from gateway.core.pace import Pace
from gateway.core.prune import BrakeRule
from gateway.events import BrakeReleased
from gateway.ports import LaneRow, PartRow
from gateway.relay.elsewhere import Elsewhere
from gateway.relay.listeners import Listeners
from gateway.relay.part import Part
from gateway.relay.route import Route
from gateway.relay.silence import Silence
from gateway.relay.standing import Errors
from gateway.relay.work import Delivery
from providers.contract import Address, Push, PushProvider, Verdict

#: deliveries that a failing part keeps in memory: enough to notice that its vendor is back
_TRIALS = 128
#: how long a held part gathers deliveries to probe with, in seconds: one target's may come first
_GATHER_S = 0.25


class Lane:
    """Sends deliveries through its transport as fast as limiter, breakers and transport allow.

    It hands over one burst per turn of the event loop; the transport sets the burst's size.
    Answers are read and journaled between bursts: anything accepted and not yet journaled would be
    sent again after a crash.
    """

    def __init__(
        self,
        route: Route,
        transport: PushProvider,
        *,
        limiter: Limiter,
        brake_rule: BrakeRule,
        probe_s: float,
        clocks: Clocks,
        pace: Pace,
        listeners: Listeners,
    ) -> None:
        self._route = route
        self._transport = transport
        self._limiter = limiter
        self._brake_rule = brake_rule
        self._clocks = clocks
        self._pace = pace
        self._listeners = listeners
        self._parts = {
            name: Part(
                route.app,
                route.vendor,
                name,
                probe_s=probe_s,
                clocks=clocks,
                pace=pace,
                listeners=listeners,
            )
            for name in route.parts
        }
        self._order = list(self._parts.values())
        self._settles = {name: partial(self._settle, part) for name, part in self._parts.items()}
        self._braked = False
        #: until when (monotonic) held parts gather deliveries before they probe
        self._gathering: dict[Part, float] = {}
        self._silence = Silence(route.app, route.vendor, listeners.observer)
        self._elsewhere = Elsewhere()
        self._timer: asyncio.TimerHandle | None = None
        self._stopped = False
        self._gate_open = True

    # --- what it is -----------------------------------------------------------------------------

    @property
    def app(self) -> str:
        return self._route.app

    @property
    def vendor(self) -> str:
        return self._route.vendor

    @property
    def name(self) -> str:
        return self._route.name

    @property
    def parts(self) -> Mapping[str, Part]:
        """Its parts by name."""
        return self._parts

    @property
    def brake_rule(self) -> BrakeRule:
        """The rule of its prune brake."""
        return self._brake_rule

    @property
    def braked(self) -> bool:
        """Whether its prune brake is on, as far as this process knows: the store decides."""
        return self._braked

    @property
    def stopped(self) -> bool:
        return self._stopped

    @property
    def transport(self) -> PushProvider:
        """The transport in use; a reload replaces it."""
        return self._transport

    @property
    def rate(self) -> float:
        """The limit in force here, pushes per second; 0 when there is none."""
        limit = self._limiter.limit(self._clocks.monotonic())
        return 0.0 if limit == float("inf") else limit

    @property
    def quiet_for_s(self) -> float:
        """Seconds that the vendor's back-off still lasts; 0 when there is none."""
        return self._silence.left(self._clocks.monotonic())

    @property
    def quiet_reason(self) -> str:
        """What the vendor said when it asked for that; "" when it did not."""
        return self._silence.reason if self.quiet_for_s else ""

    @property
    def room(self) -> int:
        """How many deliveries it has room for in memory. Each part in use has a backlog of its own,
        so that a full part does not stop the others."""
        loads, most = [part.load for part in self._order if part.load], self._pace.backlog
        return most * max(1, len(loads)) - sum(min(load, most) for load in loads)

    @property
    def waits(self) -> bool:
        """Whether deliveries wait in memory."""
        return any(part.backlog for part in self._order)

    @property
    def closed(self) -> list[str]:
        """The names, of the lane or of parts, whose waiting chunks should not be claimed now."""
        now = self._clocks.monotonic()
        is_quiet = self._stopped or now < self._silence.until
        closed = [part.path for part in self._order if is_quiet or not self._wants(part, now)]
        return [self.name, *closed] if len(closed) == len(self._order) else closed

    def part_of(self, address: Address) -> str:
        """The name of the part that an address belongs to."""
        return self._route.part_of(address)

    def flip(self, delivery: Delivery, *, flipped: bool) -> None:
        """Send a delivery to the other environment, or back to the registered one."""
        delivery.flip(flipped)
        delivery.part = self.part_of(delivery.address)

    # --- deliveries -----------------------------------------------------------------------------

    def offer(self, name: str, deliveries: Sequence[Delivery]) -> None:
        """Accept deliveries of a part, or return them if the part cannot send them now."""
        part = self._parts[name]
        if self._stopped or part.is_paused or len(part.backlog) >= self._most(part):
            part.give_back_these(deliveries)
            return
        part.backlog.extend(deliveries)
        if part.stopped:
            self._gathering.setdefault(part, self._clocks.monotonic() + _GATHER_S)
        self._rest()
        self.pump()

    def resend(self, delivery: Delivery) -> None:
        """Send a delivery once more at once, ahead of the others."""
        self.resume(self._parts[delivery.part], [delivery])

    def resume(self, part: Part, deliveries: Sequence[Delivery]) -> None:
        """Go on with deliveries of a part that were its turn before, ahead of the others."""
        if self._stopped or not part.may_send(self._clocks.monotonic()):
            part.give_back_these(deliveries)
            return
        part.backlog.extendleft(reversed(deliveries))
        self._rest()
        self._wake_in(0.0)

    def pump(self) -> None:
        """Send all that may go now, and schedule the next call for when more may."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._stopped or not self._gate_open:
            return
        now = self._clocks.monotonic()
        more = self._send(now)
        for part in self._order:
            self._elsewhere.look(part, now, relays=self._limiter.replicas)
            if part.stopped and not self._gathers(part, now):
                part.give_back()
        if not self.waits:
            return
        wait = max(self._silence.left(now), self._limiter.wait(now))
        self._silence.tell(now, Monotonic(now + wait), "rate limit")
        if wait <= 0:
            wait = 0.0 if more else self._pace.recheck_s
        self._wake_in(wait)

    def quiet(self, seconds: float, reason: str) -> None:
        """The vendor throttled the lane: slow down, and send nothing for this many seconds."""
        now = self._clocks.monotonic()
        self._limiter.throttled(now)
        self._silence.ask(now, Monotonic(now + seconds), reason)
        self._rest()

    def quiet_device(self, device_id: int, until: float) -> None:
        """The vendor throttled one device: send it nothing until then (wall clock)."""
        self._silence.ask_device(device_id, until)

    def moved(self, by: float) -> None:
        """The time in force was moved. Holds are lifted: a credential may have failed for it."""
        self._silence.moved(by)
        for part in filter(lambda one: one.hold is not None, self._order):
            part.let_go()

    def stop(self) -> None:
        """Start no push any more; return the backlog."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
        for part in self._order:
            part.stop()

    def set_gate(self, open_: bool) -> None:
        """Closed: start nothing, because the journal cannot be written. Open: go on."""
        if self._gate_open != open_:
            self._gate_open = open_
            if open_:
                self.pump()

    # --- what people and others decide ----------------------------------------------------------

    def begin(self, row: LaneRow) -> None:
        """Start from the stored state, before anything is sent."""
        self._braked = row.brake_at is not None
        for part in self._order:
            part.begin(row)

    def follow(self, row: LaneRow, *, was_braked: bool) -> None:
        """Apply the stored decisions. `was_braked`: the brake was on before the row was read."""
        freed = [part.follow(row) for part in self._order]
        if any(freed):
            self._silence.end()
            self.pump()
        if row.brake_at is not None:
            self._braked = True
        elif was_braked:
            self._braked = False
            self._listeners.observer(BrakeReleased(self.app, self.vendor))

    def brake_tripped(self) -> None:
        """The store has put the brake on."""
        self._braked = True

    def share(self, relays: int) -> None:
        """Take this process' part of the rate limit, which this many relays share."""
        self._limiter.replicas = relays

    def replace_transport(self, transport: PushProvider) -> PushProvider:
        """Send through this transport from now on; returns the old one, whose pushes still end.
        Holds are lifted, also where it is the same: the first answers show whether it is mended."""
        old, self._transport = self._transport, transport
        for part in self._order:
            part.let_go()
        self.pump()
        return old

    def set_limits(self, rate_per_s: float, ramp_s: float, rule: BrakeRule) -> None:
        """Apply new limits; an unchanged rate limit keeps what it has learnt."""
        if (self._limiter.rate, self._limiter.ramp_s) != (rate_per_s, ramp_s):
            self._limiter = Limiter(rate_per_s, ramp_s, self._limiter.replicas)
        self._brake_rule = rule

    # --- what it reports ------------------------------------------------------------------------

    def fade(self) -> None:
        """Halve the weight of past failures."""
        for part in self._order:
            part.errors.fade()

    def row(self) -> LaneRow:
        """The lane's report to the store."""
        now = self._clocks.wall()
        errors = Errors()
        for part in self._order:
            errors.count(part.errors.attempts, part.errors.failures)
        return LaneRow(
            app=self.app,
            provider=self.vendor,
            rate=self.rate * self._limiter.replicas,
            quiet_until=now + self.quiet_for_s if self.quiet_for_s else None,
            quiet_reason=self.quiet_reason,
            errors=errors.share,
            waiting=sum(len(part.backlog) for part in self._order),
            seen_at=now,
            parts=tuple(_row(part, now) for part in self._parts.values()),
        )

    def last_row(self) -> LaneRow:
        """The report of a lane that ends here: nothing waits, and nothing fails."""
        return LaneRow(self.app, self.vendor, parts=tuple(map(PartRow, self._parts)))

    # --- inside ---------------------------------------------------------------------------------

    def _wants(self, part: Part, now: Monotonic) -> bool:
        """Whether chunks that wait for this part should be claimed now."""
        refill = self._most(part) * self._pace.refill_share
        return len(part.backlog) <= refill and part.may_send(now)

    def _most(self, part: Part) -> int:
        """How many deliveries a part may have in memory."""
        most = self._pace.backlog
        return min(_TRIALS, most) if part.failing else most

    def _rest(self) -> None:
        """Give back the backlog of a lane that has to be quiet for long: see `Pace.rest_s`."""
        if self.quiet_for_s > self._pace.rest_s:
            for part in self._order:
                part.give_back("the lane is throttled")

    def _send(self, now: Monotonic) -> bool:
        """Hand one burst to the transport. True: another may follow at the loop's next turn."""
        if now < self._silence.until:
            return False
        burst = left = self._transport.burst
        # parts take turns at being first: a burst or limit may have room for one only
        self._order.append(self._order.pop(0))
        for part in self._order:
            if part.backlog and not part.is_paused and left > 0 and not self._gathers(part, now):
                left -= self._send_part(part, left, now)
        return left < burst

    def _gathers(self, part: Part, now: float) -> bool:
        """Whether a part still gathers deliveries, one of which will be its probe."""
        if now < self._gathering.get(part, now) and part.stopped:
            return True
        self._gathering.pop(part, None)
        return False

    def _send_part(self, part: Part, most: int, now: Monotonic) -> int:
        """Hand over pushes of one part; returns how many."""
        room = min(len(part.backlog), self._transport.free(part.name), most)
        if room <= 0:
            part.trying(now, 0)
            return 0
        granted = self._limiter.take(room, now)
        allowed = part.allowance(granted, now)
        pushes = part.take(allowed, now, self._silence, self._transport)
        if granted > len(pushes):
            self._limiter.give_back(granted - len(pushes))
        if pushes:
            part.trying(now, len(pushes))
            self._transport.send(pushes, self._settles[part.name])
        elif allowed:
            part.came_to_nothing()
        return len(pushes)

    def _settle(self, part: Part, verdicts: Sequence[tuple[Push, Verdict]]) -> None:
        part.settled(len(verdicts))
        self._listeners.verdicts(self, part, verdicts)
        if self.waits:
            self._wake_in(0.0)

    def _wake_in(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self.pump)


def _row(part: Part, now: Wall) -> PartRow:
    """A part's report to the store."""
    cause = None if part.stopped else part.cause
    return PartRow(
        part.name,
        trouble="" if cause is None else ("failing" if part.failing else "accused"),
        trouble_reason="" if cause is None else cause.reason,
        trouble_hint="" if cause is None else cause.hint,
        trouble_at=None if cause is None else cause.since,
        errors=part.errors.share,
        waiting=len(part.backlog),
        seen_at=now,
    )
