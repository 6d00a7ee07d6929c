"""The connections to one origin: how many there are, which one a request takes, when they close.

Owns the promise that every request given to `submit` has exactly one end, in time. Refuses to know
what is asked. Connections are opened one at a time, when all others have no free stream; they are
kept for hours, and close when they refuse streams, fall silent or grow old. A connection that is
stalled, because its peer gives no stream or window although nothing is in flight, is as good as
gone: others take its place at once, and it closes if that lasts.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from providers.contract import Trouble
from providers.http2.backoff import Backoff
from providers.http2.dial import Dial, Origin, dial
from providers.http2.exchange import (
    Channel,
    Ends,
    NotProcessed,
    Request,
)
from providers.http2.trouble import OTHER_PROTOCOL, SENT_AWAY, STALLED, trouble_of
from providers.http2.waiting import Waiting, WaitingLine
from providers.http2.wire import QUIET_S, Wire

LONGEST_BACKOFF_S = 30.0
STALLED_S = 1.0
"""When requests may be tried again after all connections were found stalled, in seconds."""
SLOW_S = 2.0
"""Open another connection if a new one has not answered within this time, in seconds."""

_SHARE = 64
"""Requests that a wire gets before another one with more room gets the next."""


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """`timeout_s`: from `submit` to the end of a request, at the latest.

    `quiet_s`: how long a connection may be silent before it is pinged; `max_age_s`: after which it
    is replaced, so that the vendor can move us to other machines.
    """

    max_connections: int
    timeout_s: float
    most_in_flight: int = 2_000
    quiet_s: float = QUIET_S
    max_age_s: float = 6 * 3_600.0


class Pool:
    """See the module.

    `on_ends` gets the ends and the wire that they came from, if any. It is called on the event
    loop, and never from within `submit`. `choose` makes the channel for the ALPN protocol.
    `dial` makes the connections.
    """

    def __init__(
        self,
        origin: Origin,
        limits: PoolLimits,
        *,
        choose: Callable[[str | None], Channel | None],
        on_ends: Callable[[Ends, Wire | None], None],
        dial: Dial = dial,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._origin = origin
        self._limits = limits
        self._choose = choose
        self._on_ends = on_ends
        self._dial = dial
        self._live: list[Wire] = []
        #: in the order in which they began to end; a set would have no stable order
        self._ending: dict[Wire, None] = {}
        self._slow: set[Wire] = set()
        #: live ones without room, although nothing is in flight; each closes when its timer ends
        self._stalled: dict[Wire, asyncio.TimerHandle] = {}
        self._waiting = WaitingLine()
        self._backoff = Backoff(LONGEST_BACKOFF_S)
        self._opening: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._ages: dict[Wire, asyncio.TimerHandle] = {}
        self._early: Ends = []
        self._trouble: Trouble | None = None
        self._idle = asyncio.Event()
        self._closed = False

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._live) + len(self._ending)

    def be_curious(self) -> None:
        """Read the `Date` of the next success on every connection."""
        for wire in self._live:
            wire.channel.be_curious()

    @property
    def in_flight(self) -> int:
        """How many requests have not ended."""
        sent = sum(wire.channel.in_flight for wire in (*self._live, *self._ending))
        return sent + self._waiting.requests + len(self._early)

    @property
    def free(self) -> int:
        """How many requests would leave at once; one if a connection has to be made first."""
        if self._closed:
            return 0
        if not self._serving:
            return 1 if not self._waiting and (self._opening or self._may_open) else 0
        room = min(self._room, self._limits.most_in_flight - self.in_flight)
        return max(0, room - self._waiting.requests)

    @property
    def trouble(self) -> Trouble | None:
        """Why there is no connection that serves; None while there is one, or none was tried."""
        if self._serving:
            return None
        return STALLED.at(self._origin.host) if self._stalled else self._trouble

    async def reach(self) -> Trouble | None:
        """Connect if no connection serves. Returns what went wrong, or None."""
        if not self._serving and not self._closed:
            if self._opening is None:
                self._opening = self._loop.create_task(self._open())
            await asyncio.wait([self._opening])
        return self.trouble

    def submit(
        self,
        requests: Sequence[Request],
        deadline: float | None = None,
        start_by: float = math.inf,
    ) -> None:
        """Send requests, now or as soon as there is a stream for them.

        `deadline` (the loop's time) is for requests that waited elsewhere; default `timeout_s`.
        What is not being sent at `start_by` ends as `NOT_STARTED`.
        """
        if deadline is None:
            deadline = self._loop.time() + self._limits.timeout_s
        if self._closed:
            self._end_early([(request, NotProcessed("Closed")) for request in requests])
            return
        rest = requests if self._waiting else self._place(requests, deadline)
        if rest:
            self._waiting.append(Waiting(deadline, start_by, rest))
        if rest or not self._room:
            self._open_more()
            self._give_up_if_hopeless()
        self._arm()

    async def aclose(self, grace_s: float) -> None:
        """Wait a moment for answers, end the other requests, close all connections."""
        self._closed = True
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.wait([self._opening])
        self._end_early(self._waiting.end_all(NotProcessed("Closed")))
        for wire in [*self._live]:
            wire.drain()
        self._idle.clear()
        if self.in_flight:
            try:
                async with asyncio.timeout(grace_s):
                    await self._idle.wait()
            except TimeoutError:
                for wire in [*self._ending]:
                    self.ended(wire.cut("Closed"), wire)
        self._flush_early()
        if self._timer is not None:
            self._timer.cancel()
        await asyncio.gather(*(wire.wait_closed() for wire in [*self._ending]))

    # --- called by wires ------------------------------------------------------------------------

    def ended(self, ends: Ends, wire: Wire | None) -> None:
        """Requests ended."""
        self._on_ends(ends, wire)
        if self._closed and not self.in_flight:
            self._idle.set()

    def changed(self, wire: Wire) -> None:
        """The wire may have more room, or it takes no new requests any more."""
        if wire.channel.draining and wire in self._live:
            self._live.remove(wire)
            self._ending[wire] = None
        self._notice(wire)
        self._place_waiting()

    def lost(self, wire: Wire) -> None:
        """The wire is gone. One that was good for nothing counts as a failure to connect."""
        if wire in self._live:
            self._live.remove(wire)
        self._ending.pop(wire, None)
        self._slow.discard(wire)
        for timers in (self._ages, self._stalled):
            if (timer := timers.pop(wire, None)) is not None:
                timer.cancel()
        if wire.was_of_use:
            self._backoff.succeeded()
        elif not self._closed:
            self._backoff.failed(self._loop.time())
        if wire.was_sent_away:
            self._trouble = SENT_AWAY.at(self._origin.host)
        self._place_waiting()

    # --- inside: requests -----------------------------------------------------------------------

    @property
    def _room(self) -> int:
        return sum(wire.room for wire in self._live)

    def _place(self, requests: Sequence[Request], deadline: float) -> Sequence[Request]:
        """Give requests to the wires, each time to the one with the most room; returns the rest.

        So a slow wire gets fewer and fewer requests, and delays no other.
        """
        start = 0
        while start < len(requests):
            wire = max(self._live, key=_room_of, default=None)
            room = wire.room if wire is not None else 0
            if wire is None or not room:
                break
            share = min(room, _SHARE) if len(self._live) > 1 else room
            wire.open(requests[start : start + share], deadline)
            start += share
        return requests[start:]

    def _place_waiting(self) -> None:
        if not self._waiting:
            return
        self._end_early(self._waiting.end_late(self._loop.time()))
        while self._waiting:
            waiting = self._waiting.popleft()
            if rest := self._place(waiting.requests, waiting.deadline):
                self._waiting.appendleft(waiting._replace(requests=rest))
                self._open_more()
                self._give_up_if_hopeless()
                return

    def _end_early(self, ends: Ends) -> None:
        """End requests that were never sent, at the next turn of the loop."""
        if ends and not self._early:
            self._loop.call_soon(self._flush_early)
        self._early += ends

    def _flush_early(self) -> None:
        ends, self._early = self._early, []
        if ends:
            self.ended(ends, None)

    # --- inside: time ---------------------------------------------------------------------------

    def _arm(self) -> None:
        """Look again when the next request is due: the oldest, or one that waits to start."""
        if self._timer is not None and not self._waiting:
            return
        due = self._next_deadline()
        if due is None or (self._timer is not None and self._timer.when() <= due):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(due, self._expire)

    def _next_deadline(self) -> float | None:
        dues = [wire.channel.next_deadline for wire in (*self._live, *self._ending)]
        dues += self._waiting.dues
        return min((due for due in dues if due is not None), default=None)

    def _expire(self) -> None:
        self._timer = None
        now = self._loop.time()
        for wire in [*self._live, *self._ending]:
            if ends := wire.expire(now):
                self.ended(ends, wire)
                self._notice(wire)
        self._place_waiting()
        self._arm()

    # --- inside: connections --------------------------------------------------------------------

    @property
    def _may_open(self) -> bool:
        return (
            not self._closed
            and self._opening is None
            and self._serving < self._limits.max_connections
            # the peer may give room to none: then those that wait for it are not replaced at once
            and len(self._live) < 2 * self._limits.max_connections
            and not self._backoff.wait(self._loop.time())
            # a new connection may allow one stream, and a thousand as soon as it knows its sender
            and all(
                wire.channel.answered or wire in self._slow or wire in self._stalled
                for wire in self._live
            )
        )

    @property
    def _serving(self) -> int:
        """How many connections take requests, now or when others have ended."""
        return len(self._live) - len(self._stalled)

    def _notice(self, wire: Wire) -> None:
        """Take note of whether a wire is stalled."""
        timer = self._stalled.get(wire)
        if timer is not None and (wire.room or wire not in self._live):
            timer.cancel()
            del self._stalled[wire]
        elif timer is None and not wire.channel.in_flight and not wire.room and wire in self._live:
            wait_s = self._limits.timeout_s
            self._stalled[wire] = self._loop.call_later(wait_s, self._replace, wire)

    def _look_at(self, wire: Wire) -> None:
        """Check whether a new connection has answered; if not, it must not delay the rest."""
        if wire in self._live and not wire.channel.answered:
            self._slow.add(wire)
            if self._waiting or not self._room:
                self._open_more()

    def _open_more(self) -> None:
        if self._may_open:
            self._opening = self._loop.create_task(self._open())

    async def _open(self) -> None:
        opened: Wire | None = None
        try:
            wire = await self._dial(
                self._origin, lambda: Wire(self, self._choose, quiet_s=self._limits.quiet_s)
            )
            if wire.alive:
                opened = wire
            else:
                self._trouble = OTHER_PROTOCOL.at(self._origin.host)
        except (OSError, ValueError) as error:  # includes timeouts and failures of TLS
            self._trouble = trouble_of(error, self._origin.host)
        finally:
            self._opening = None
            if opened is None:
                self._backoff.failed(self._loop.time())
            else:
                self._trouble = None
                self._live.append(opened)
                life = self._limits.max_age_s * random.uniform(0.9, 1.1)  # noqa: S311
                self._ages[opened] = self._loop.call_later(life, self._replace, opened)
                self._loop.call_later(SLOW_S, self._look_at, opened)
            self._place_waiting()
            self._give_up_if_hopeless()

    def _replace(self, old: Wire) -> None:
        """A connection has grown old, or was stalled for too long: drain it, and open another."""
        if old in self._stalled:
            self._trouble = STALLED.at(self._origin.host)
        old.drain()
        self._open_more()

    def _give_up_if_hopeless(self) -> None:
        """End waiting requests while no connection serves and none may be tried."""
        if self._waiting and not self._serving and self._opening is None and not self._may_open:
            wait = self._backoff.wait(self._loop.time()) or STALLED_S
            self._end_early(self._waiting.end_all(NotProcessed("Unreachable", wait)))


def _room_of(wire: Wire) -> int:
    return wire.room
