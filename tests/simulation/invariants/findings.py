"""What was found so far: the first violation, and what excuses others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from tests.simulation.plan import Sizes
from tests.simulation.trace import Trace
from tests.simulation.truth import DeliveryStory, Key, Truth

SLACK_S = 0.2
"""What the loop's steps and the order of callbacks may add to any time, in seconds."""
_TRIAL_S = 18.0
"""How long a process may try a chunk alone, in seconds: what waits in its lanes goes first."""


@dataclass(frozen=True, slots=True)
class Violation:
    """An invariant that does not hold, when, and for which facts."""

    invariant: str
    at: float
    text: str

    def __str__(self) -> str:
        return f"{self.invariant} at {self.at:.5f}: {self.text}"


@dataclass(slots=True)
class TriedChunk:
    """Which items of an event a chunk holds, and which processes tried it alone, and when last."""

    items: set[tuple[str, int]]
    trials: dict[str, float] = field(default_factory=dict)


class Findings:
    """What all invariants share: the truth, what the gateway wrote, and what they found."""

    def __init__(self, sizes: Sizes, truth: Truth, trace: Trace) -> None:
        self.sizes = sizes
        self.truth = truth
        self.trace = trace
        self.violation: Violation | None = None
        #: an event is heard of, for the first time or again
        self.meet: Callable[[str], None] = lambda _event_id: None
        #: the history is over: what its loop closes then says nothing
        self.is_over = False
        self.deliveries: dict[Key, DeliveryStory] = {}
        #: delivery id -> the delivery that bears it
        self.key_of: dict[str, Key] = {}
        #: the journal's rows, and when each last moved
        self.states: dict[Key, str] = {}
        self.moved_at: dict[Key, float] = {}
        #: (process, lane or device) -> until when the vendor asked that process for silence
        self.quiet: dict[tuple[str, str], float] = {}
        #: the same of silences that a person may have ended
        self.perhaps_quiet: dict[tuple[str, str], float] = {}
        #: process -> what it heard was taken and is not on record, oldest first, and since when
        self.unwritten: dict[str, dict[Key, float]] = {}
        #: process -> when the store last answered that something is durable
        self.wrote_at: dict[str, float] = {}
        #: devices that were out of service at some time
        self.faltered: dict[int, None] = {}
        #: processes that drain, and since when: at last they close their transports under what is
        #: in flight
        self.draining: dict[str, float] = {}
        #: chunks that left the queue, each with the lease under which it did
        self.left_queue: dict[tuple[int, str | None], None] = {}
        #: chunk -> what it holds, by its trials since any of that ended
        self.tried: dict[int, TriedChunk] = {}
        #: processes that were killed, as their leases name them, and when
        self.killed: dict[str, float] = {}
        #: items that ended with a chunk that was given up
        self.buried: dict[tuple[str, int], None] = {}
        #: devices that are out of service, and since when
        self.out_since: dict[int, float] = {}
        self.begins: list[float] = []
        self.released_until = 0.0
        #: lanes whose brake is on, and those whose brake a person has released
        self.brakes: dict[str, None] = {}
        self.releases: dict[str, None] = {}
        self.resumed_until: dict[str, float] = {}
        #: lane -> since when a person's pause of it is durable
        self.paused: dict[str, float] = {}
        self.thawed_at = 0.0
        self.shaken_at = float("-inf")
        #: a relay began with a wrong clock, and nobody to ask but vendors: it may come early
        self.began_wrong = False
        #: when a relay last moved its time: it drops what it has in hand, as when a lease is lost
        self.time_moved_at = float("-inf")
        #: when the store was last well again
        self.store_mended_at = float("-inf")

    def broken(self, invariant: str, text: str) -> None:
        """An invariant does not hold."""
        if self.violation is None and not self.is_over:
            self.violation = Violation(invariant, self.truth.now, text)
            self.trace.add("invariant", invariant, text)

    # --- what excuses ---------------------------------------------------------------------------

    def quake(self, what: str) -> None:
        """Something happened that may make a process forget, or not learn, what was sent."""
        self.shaken_at = self.truth.now
        self.trace.count(f"fault: {what}")

    def is_shaken(self, since: float) -> bool:
        """Whether another process may have begun the same before it could know: a lease runs out
        under a process that was stopped, or that could not reach the store, and is not renewed."""
        return self.shaken_at >= since - self.sizes.lease_s - SLACK_S

    def lone_ends(self, event_id: str, index: int) -> int:
        """How many processes ended soon after they began to try a chunk with this item alone, in a
        row: the most of any such chunk."""
        chunks = [one for one in self.tried.values() if (event_id, index) in one.items]
        return max(map(self._ends_of, chunks), default=0)

    def _ends_of(self, chunk: TriedChunk) -> int:
        never = float("inf")
        return sum(self.killed.get(who, never) < at + _TRIAL_S for who, at in chunk.trials.items())

    def clock_moved(self) -> None:
        """A clock is put wrong, or right: that excuses nothing."""
        self.trace.count("fault: clock")

    def relay_began(self) -> None:
        """A relay starts: it knows nothing of what others counted."""
        self.begins.append(self.truth.now)

    def pausing(self, lane: str) -> None:
        """A person's pause of a lane is durable."""
        self.paused[lane] = self.truth.now

    def resuming(self, lane: str) -> None:
        """A person is about to let a lane go: relays may learn of it before the person does."""
        self.paused.pop(lane, None)
        self.resumed_until[lane] = float("inf")
        _forget(self.perhaps_quiet, lane)

    def resumed(self, lane: str) -> None:
        """A person let a lane go, and with it ended the vendor's silence."""
        _forget(self.quiet, lane)
        # relays learn of it at their next look, and end what was asked until then
        self.resumed_until[lane] = self.truth.now + self.sizes.follow_s + 3.0

    def followed_at(self, lane: str) -> float:
        """When every relay had learnt that a person let a lane go: one that stands still, or cannot
        read the store, learns of it later."""
        if lane not in self.resumed_until:
            return float("-inf")
        return max(self.resumed_until[lane], self.shaken_at + self.sizes.follow_s + 3.0)

    def braked(self, lane: str) -> None:
        """A relay says that a brake is on."""
        self.brakes[lane] = None

    def let_go(self, lane: str) -> None:
        """A relay says that a brake was released."""
        if lane not in self.releases:
            self.broken("brake", f"nobody released the brake of {lane}")

    def releasing(self, lane: str) -> None:
        """A person is about to release a brake: what it held back goes."""
        self.releases[lane] = None
        self.brakes.pop(lane, None)
        self.released_until = float("inf")

    def released(self, lane: str) -> None:
        """A person has released a brake."""
        self.brakes.pop(lane, None)
        self.released_until = self.truth.now + SLACK_S

    def replayed(self, max_age_s: float) -> None:
        """A person queued the dead letters again: each has a new life."""
        for batch in self.truth.batches.values():
            batch.second_life = self.truth.now + max_age_s + SLACK_S

    def quiet_until(self, lane: str, device_id: int) -> float:
        """Until when some vendor asked for silence that concerns this delivery."""
        concerned = (lane, f"device {device_id}")
        asked = [
            until
            for known in (self.quiet, self.perhaps_quiet)
            for (_, name), until in known.items()
            if name in concerned
        ]
        return max(asked, default=0.0)


def _forget(silences: dict[tuple[str, str], float], lane: str) -> None:
    for who, name in list(silences):
        if name == lane:
            del silences[who, name]
