"""A lane: the way of one app to one vendor. Owns its backlog, its pace and whether it may send.

One lane's broken credential or throttled project never slows another: what a lane cannot take
goes back to the queue under the lane's name, and is not claimed again until the lane is free.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from gateway.core.breaker import Breaker
from gateway.core.limiter import Limiter
from gateway.core.model import lane_name
from gateway.core.prune import Brake
from gateway.events import LaneThrottled, Observer
from gateway.relay.work import Delivery
from providers.contract import Push, PushProvider, Verdict

#: deliveries a lane keeps in memory; more stay in the queue
BACKLOG = 2048
#: so few of them are left when what waits for the lane is fetched: there is room for it then
_REFILL = BACKLOG // 2
#: a lane that has to be quiet for longer gives back what it holds, in seconds
_REST_S = 2.0
#: devices whose own throttling is remembered
_QUIET_DEVICES = 100_000
#: how soon to look again when the transport takes nothing, in seconds
_RECHECK_S = 0.1

Verdicts = Callable[["Lane", Sequence[tuple[Push, Verdict]]], None]
Returned = Callable[[Sequence[Delivery], str, float | None], None]


@dataclass(slots=True)
class LaneHealth:
    """What went through lately, for people: attempts and failures, halved every minute."""

    attempts: float = 0.0
    failures: float = 0.0

    def count(self, attempts: int, failures: int) -> None:
        self.attempts += attempts
        self.failures += failures

    def fade(self) -> None:
        self.attempts, self.failures = self.attempts / 2, self.failures / 2

    @property
    def errors(self) -> float:
        return self.failures / self.attempts if self.attempts else 0.0


@dataclass(slots=True, eq=False)
class Lane:
    """Sends deliveries through `provider` as fast as limiter, breaker and transport allow.

    In one turn of the event loop it hands over a burst, whose size is the transport's. Between
    bursts answers are read and journaled: what was taken but not journaled yet is what a crash
    makes come twice.
    `on_verdicts` gets every verdict; `on_returned` gets deliveries that go back to the queue
    unsent, with the reason and the time they are due (None: as soon as the lane is free).
    """

    app: str
    provider: PushProvider
    kind: str
    limiter: Limiter
    breaker: Breaker
    brake: Brake
    wall: Callable[[], float]
    monotonic: Callable[[], float]
    observer: Observer
    on_verdicts: Verdicts
    on_returned: Returned
    operator_hold: bool = False
    #: the store was seen to know that the brake is on: only then can its absence mean a release
    brake_known: bool = False
    reason: str = ""
    hint: str = ""
    health: LaneHealth = field(default_factory=LaneHealth)
    backlog: deque[Delivery] = field(default_factory=deque)
    _quiet_until: float = float("-inf")
    _throttled_until: float = float("-inf")
    _quiet_devices: OrderedDict[int, float] = field(default_factory=OrderedDict)
    _timer: asyncio.TimerHandle | None = None
    stopped: bool = False
    _gate_open: bool = True

    @property
    def name(self) -> str:
        return lane_name(self.app, self.kind)

    @property
    def paused(self) -> bool:
        return self.operator_hold or self.breaker.held

    @property
    def load(self) -> int:
        """Deliveries in memory: waiting or in flight."""
        return len(self.backlog) + self.provider.in_flight

    def accepts(self) -> bool:
        """Whether chunks that wait for this lane should be claimed now."""
        if self.stopped or self.operator_hold or len(self.backlog) > _REFILL:
            return False
        now = self.monotonic()
        return now >= self._quiet_until and self.breaker.may_send(now)

    def offer(self, deliveries: Sequence[Delivery]) -> None:
        """Take deliveries on, or return them when the lane cannot use them now."""
        if self.stopped or self.operator_hold or len(self.backlog) >= BACKLOG:
            reason = self.reason if self.operator_hold else ""
            self.on_returned(deliveries, reason, None)
            return
        self.backlog.extend(deliveries)
        self._rest()
        self.pump()

    def again(self, delivery: Delivery) -> None:
        """Send a delivery once more at once, ahead of the others."""
        if self.stopped or self.paused:
            self.on_returned([delivery], self.reason, None)
            return
        self.backlog.appendleft(delivery)
        self._wake_in(0.0)

    def pump(self) -> None:
        """Send what may go now; arrange to be called again when more may."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.stopped or not self._gate_open:
            return
        now = self.monotonic()
        more = self._send(now)
        if not self.backlog:
            return
        if self.paused:
            self.give_back_all(self.reason)
            return
        wait = max(self._quiet_until - now, self.limiter.wait(now))
        self._tell_throttled(now, now + wait, "rate limit")
        if wait <= 0:
            wait = 0.0 if more else _RECHECK_S
        self._wake_in(wait)

    def quiet(self, until: float) -> None:
        """The vendor throttled the lane: slow down, and send nothing until then (monotonic)."""
        now = self.monotonic()
        self.limiter.throttled(now)
        self._quiet_until = max(self._quiet_until, until)
        self._tell_throttled(now, until, "vendor")
        self._rest()

    def quiet_device(self, device_id: int, until: float) -> None:
        """The vendor throttled one device: send it nothing until then (wall clock)."""
        self._quiet_devices[device_id] = until
        self._quiet_devices.move_to_end(device_id)
        if len(self._quiet_devices) > _QUIET_DEVICES:
            self._quiet_devices.popitem(last=False)

    def give_back_all(self, reason: str) -> None:
        """Return the whole backlog to the queue."""
        if self.backlog:
            waiting = list(self.backlog)
            self.backlog.clear()
            self.on_returned(waiting, reason, None)

    def stop(self) -> None:
        """Start no push any more; return the backlog."""
        self.stopped = True
        if self._timer is not None:
            self._timer.cancel()
        self.give_back_all("")

    def set_gate(self, open_: bool) -> None:
        """Close: start nothing for now, for the journal cannot be written. Open: go on."""
        if self._gate_open != open_:
            self._gate_open = open_
            if open_:
                self.pump()

    def rate(self) -> float:
        """The limit in force, pushes per second; 0 when there is none."""
        limit = self.limiter.limit(self.monotonic())
        return 0.0 if limit == float("inf") else limit

    # --- inside ---------------------------------------------------------------------------------

    def _rest(self) -> None:
        """Give back the backlog of a lane that is to be quiet for long.

        A chunk is finished when all of it is: pushes for other lanes must not wait for this one.
        """
        if self._quiet_until - self.monotonic() > _REST_S:
            self.give_back_all("the lane is throttled")

    def _send(self, now: float) -> bool:
        """Hand one burst to the transport. True: another may follow at the loop's next turn."""
        if self.operator_hold or now < self._quiet_until:
            return False
        room = min(len(self.backlog), self.provider.free, self.provider.burst)
        granted = self.limiter.take(room, now)
        allowed = self.breaker.allowance(granted, now)
        pushes = self._take(allowed, now)
        if granted > len(pushes):
            self.limiter.give_back(granted - len(pushes))
        if pushes:
            self.provider.send(pushes, self._settle)
        elif allowed:
            self.breaker.unclear(now)
        return bool(pushes)

    def _take(self, wanted: int, now: float) -> list[Push]:
        """Take pushes from the backlog; what is stale, lost or throttled is left out of them.

        What cannot be proven to be this process' now is kept behind the others.
        """
        pushes: list[Push] = []
        unproven: list[Delivery] = []
        stale: list[Delivery] = []
        wall = self.wall()
        throttled: dict[float, list[Delivery]] = {}
        while self.backlog and len(pushes) < wanted:
            delivery = self.backlog.popleft()
            work = delivery.work
            if work.proven_until <= now:
                if not work.lost:
                    unproven.append(delivery)
                continue
            if self._quiet_devices:
                until = self._quiet_devices.get(delivery.target.device_id, 0.0)
                if until > wall:
                    throttled.setdefault(until, []).append(delivery)
                    continue
            if delivery.expires_at <= wall:
                stale.append(delivery)
                continue
            delivery.started, delivery.transport = now, self.provider
            pushes.append(delivery)
        self.backlog.extend(unproven)
        if stale:
            self.on_returned(stale, "", None)
        for until, waiting in throttled.items():
            self.on_returned(waiting, "the device is throttled", until)
        return pushes

    def _settle(self, verdicts: Sequence[tuple[Push, Verdict]]) -> None:
        self.on_verdicts(self, verdicts)
        if self.backlog:
            self._wake_in(0.0)

    def _tell_throttled(self, now: float, until: float, reason: str) -> None:
        """Report waiting time, each second of it once."""
        start = max(now, self._throttled_until)
        if until > start:
            self._throttled_until = until
            self.observer(LaneThrottled(self.app, self.kind, until - start, reason))

    def _wake_in(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(seconds, self.pump)
