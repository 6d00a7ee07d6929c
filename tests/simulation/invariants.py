"""The invariants: what must hold in every history, as predicates that are asked while it runs.

Owns when each is asked and what excuses it. `deploy/docs/simulation.md` lists them with their
reasons. The first that does not hold ends the history.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from providers.contract import (
    Delivered,
    Misconfigured,
    Refused,
    Throttled,
    TokenGone,
    Unavailable,
    Verdict,
)
from tests.simulation.plan import Sizes
from tests.simulation.trace import Trace
from tests.simulation.truth import DeliveryStory, Truth

Key = tuple[str, int, int]
"""A delivery: event, index, device id."""

#: how long after a change of owner a push may still start (contract: *started*)
MOVED_S = 1.0
#: what the loop's steps and the order of callbacks may add to any time, in seconds
SLACK_S = 0.2


@dataclass(frozen=True, slots=True)
class Violation:
    """An invariant that does not hold, when, and for which facts."""

    invariant: str
    at: float
    text: str

    def __str__(self) -> str:
        return f"{self.invariant} at {self.at:.5f}: {self.text}"


@dataclass(slots=True)
class _Bucket:
    """How full a lane's bucket is, by the strictest reading of its limit."""

    level: float = 0.0
    at: float = 0.0


class Invariants:
    """See the module. `quake` is told of what excuses a repeat; the first violation is kept."""

    def __init__(self, sizes: Sizes, truth: Truth, trace: Trace) -> None:
        self._sizes = sizes
        self._truth = truth
        self._trace = trace
        self.violation: Violation | None = None
        self.deliveries: dict[Key, DeliveryStory] = {}
        self.states: dict[Key, str] = {}
        self.devices: dict[int, str] = {}
        self._buckets: dict[str, _Bucket] = {}
        self._quiet: dict[tuple[str, str], float] = {}
        self._shaken_at = float("-inf")
        self._clock_is_off = False
        self._removed: dict[str, list[float]] = {}
        self._begins: list[float] = []
        #: when all relays know of each other, and share the limits
        self._shared_from = 0.0

    # --- what excuses ---------------------------------------------------------------------------

    def quake(self, what: str) -> None:
        """Something happened that may make a process forget, or not learn, what was sent."""
        self._shaken_at = self._truth.now
        self._trace.count(f"fault: {what}")

    def clock_moved(self) -> None:
        """A clock is wrong: what hangs on wall time is not held against a true clock's word."""
        self._clock_is_off = True
        self.quake("clock")

    def broken(self, invariant: str, text: str) -> None:
        """An invariant does not hold."""
        if self.violation is None:
            self.violation = Violation(invariant, self._truth.now, text)
            self._trace.add("invariant", invariant, text)

    # --- pushes ---------------------------------------------------------------------------------

    def started(self, who: str, lane: str, key: Key, address: str) -> None:
        """A push leaves a process for a lane."""
        now = self._truth.now
        story = self.deliveries.get(key)
        if story is None:
            user = self._truth.batches[key[0]].users[key[1]]
            story = self.deliveries[key] = DeliveryStory(*key, address, user)
        story.address = address
        self._trace.add(who, "sends", lane, *key)
        self._right_phone(story, now)
        self._done_is_done(story)
        self._no_repeat(who, story)
        self._in_time(story, now)
        self._limits(lane, now)
        self._asked_wait(who, lane, story, now)
        story.starts += 1
        story.in_flight[who] = now

    def _right_phone(self, story: DeliveryStory, now: float) -> None:
        address = self._truth.addresses[story.address]
        owners = address.owners(now - MOVED_S, now)
        if story.user not in owners:
            self.broken(
                "right_phone",
                f"{story.event_id}/{story.index} is for user {story.user}, and phone "
                f"{address.phone} is of {sorted(map(str, owners))}",
            )

    def _done_is_done(self, story: DeliveryStory) -> None:
        key = (story.event_id, story.index, story.device_id)
        state = self.states.get(key, "pending")
        if state != "pending":
            self.broken("done_is_done", f"{key} was {state} and is sent")

    def _no_repeat(self, who: str, story: DeliveryStory) -> None:
        name = f"{story.event_id}/{story.index} to device {story.device_id}"
        if who in story.in_flight:
            self.broken("no_repeat", f"{who} sends {name} a second time while it is in flight")
        elif who in story.heard:
            self.broken("no_repeat", f"{who} sends {name} again, and heard that it was taken")
        elif story.heard:
            story.repeats += 1
            heard_at = min(story.heard.values())
            if self._shaken_at < heard_at - self._sizes.lease_s:
                self.broken("no_repeat", f"{who} sends {name} again, taken at {heard_at:.3f}")

    def _in_time(self, story: DeliveryStory, now: float) -> None:
        deadline = self._truth.batches[story.event_id].deadline
        if now > deadline + SLACK_S:
            self.broken(
                "in_time", f"{story.event_id}/{story.index} is sent {now - deadline:.2f} s late"
            )

    def _limits(self, lane: str, now: float) -> None:
        rate = self._sizes.rate_per_s
        if not rate:
            return
        bucket = self._buckets.setdefault(lane, _Bucket())
        bucket.level = max(0.0, bucket.level - rate * (now - bucket.at)) + 1.0
        bucket.at = now
        if now < self._shared_from:
            bucket.level = 0.0
        elif bucket.level > self._bucket_size() + 1e-6:
            self.broken("limits", f"{lane} sends faster than {rate} a second: {bucket.level:.2f}")

    def _bucket_size(self) -> float:
        """What may leave at once: each relay's bucket holds a tenth of a second, or one push."""
        relays = self._sizes.relays
        return relays * max(1.0, self._sizes.rate_per_s / relays * 0.1) + 1.0

    def relay_began(self) -> None:
        """A relay starts with a bucket of its own; the others learn of it at their next beat."""
        self._begins.append(self._truth.now)
        self._shared_from = self._truth.now + self._sizes.beat_s + SLACK_S

    def _asked_wait(self, who: str, lane: str, story: DeliveryStory, now: float) -> None:
        asker, until = story.asked
        if asker == who and now < until - SLACK_S and not self._clock_is_off:
            self.broken(
                "asked_wait",
                f"{who} sends {story.event_id}/{story.index} {until - now:.2f} s early",
            )
        for name in (lane, f"device {story.device_id}"):
            until = self._quiet.get((who, name), 0.0)
            if now < until - SLACK_S and not self._clock_is_off:
                self.broken(
                    "asked_wait", f"{who} sends to {name}, quiet for {until - now:.2f} s more"
                )

    # --- verdicts -------------------------------------------------------------------------------

    def heard(self, who: str, lane: str, key: Key, verdict: Verdict) -> None:
        """A process hears what became of a push."""
        now, story = self._truth.now, self.deliveries[key]
        self._trace.add(who, "hears", verdict.label, *key)
        story.in_flight.pop(who, None)
        story.verdict, story.verdict_at = verdict.label, now
        match verdict:
            case Delivered():
                story.heard.setdefault(who, now)
            case Throttled(scope=scope, retry_after=told):
                until = now + (told or 60.0)
                story.may_wait_until = max(story.may_wait_until, now + 1.1 * (told or 60.0))
                if scope == "device":
                    self._quiet[who, f"device {story.device_id}"] = until
                else:
                    self._quiet[who, lane] = max(until, self._quiet.get((who, lane), 0.0))
                story.verdict = f"throttled {scope}"
            case Unavailable(looked_at=False):
                story.verdict = "not looked at"
                told = verdict.retry_after or 0.0
                story.may_wait_until = max(story.may_wait_until, now + max(1.1 * told, 32.0))
            case Unavailable():
                story.spent += 1
                told = max(verdict.retry_after or 0.0, 10.0)
                story.asked = (who, now + told)
                later = max(told, verdict.later_floor_s) if story.spent > 1 else told
                most = later + 10.0 * 2.0 ** min(story.spent, 16)
                story.may_wait_until = max(story.may_wait_until, now + most)
            case Misconfigured():
                # alone or with its part: up to ten times the probe's wait
                most = 1.2 * max(10.0 * self._sizes.probe_s, 600.0)
                story.may_wait_until = max(story.may_wait_until, now + most)
            case Refused(fault="address"):
                story.verdict = "suspect"
            case Refused(fault="environment"):
                story.spent += 1
            case Refused() | TokenGone():
                pass

    def quiet_until(self, lane: str, device_id: int) -> float:
        """Until when some vendor asked for silence that concerns this delivery."""
        concerned = (lane, f"device {device_id}")
        asked = [until for (_, name), until in self._quiet.items() if name in concerned]
        return max(asked, default=0.0)

    # --- rows -----------------------------------------------------------------------------------

    def delivery_offered(self, event_id: str, index: int, device_id: int, state: str) -> None:
        """A row is offered to the journal, which may refuse it."""
        before = self.states.get((event_id, index, device_id), "pending")
        if before not in ("pending", state):
            self._trace.count("a late row was refused")

    def delivery_moved(
        self,
        before: str | None,
        after: str,
        event_id: str,
        index: int,
        device_id: int,
        attempts: int,
        reason: str,
    ) -> None:
        """A row of the journal is new, or was written again."""
        key = (event_id, index, device_id)
        known = self.states.get(key)
        if before == after and known == after and after != "pending":
            return  # erasing writes rows again without moving them
        self._trace.add("journal", after, *key, attempts, reason)
        if known not in (None, "pending") and not (known == "dead" and after == "pending"):
            self.broken("one_end", f"{key} was {known} and becomes {after}")
        self.states[key] = after
        self._trace.count(f"state: {after}")
        story = self.deliveries.get(key)
        if after == "dead":
            self._dead_by_rule(key, story, reason)
        elif after == "expired":
            self._expired_in_time(key, story)
        if story is not None:
            self._count_decision(after, story)

    def _dead_by_rule(self, key: Key, story: DeliveryStory | None, reason: str) -> None:
        batch = self._truth.batches.get(key[0])
        if batch is None or batch.event_id in self._truth.unreadable:
            return
        if reason == "no process could finish its chunk":
            self._trace.count("a chunk was buried")
            if batch.poison is None:
                self.broken("dead_by_rule", f"{key} was buried, and ended nobody")
            return
        if reason.startswith("unreadable") and self._truth.unreadable:
            return
        if story is None or story.spent < self._sizes.max_attempts:
            spent = 0 if story is None else story.spent
            self.broken("dead_by_rule", f"{key} is dead after {spent} attempts")

    def _expired_in_time(self, key: Key, story: DeliveryStory | None) -> None:
        batch = self._truth.batches.get(key[0])
        if batch is None:
            return
        now = self._truth.now
        waits_until = now if story is None else max(now, story.may_wait_until)
        asked = max(self._quiet.values(), default=0.0)
        if max(waits_until, asked) < batch.deadline - SLACK_S:
            early = batch.deadline - now
            self.broken("in_time", f"{key} expires {early:.2f} s early")

    def _count_decision(self, after: str, story: DeliveryStory) -> None:
        """Which decision of `core.retry` this row stands for, by the verdict before it."""
        verdict = story.verdict
        decision = {
            "delivered": "Done",
            "pruned": "Prune",
            "dead": "Dead",
            "expired": "Expire",
        }.get(after, "")
        if after == "refused":
            decision = "Quarantine" if verdict == "suspect" else "Refuse"
        elif after == "pending":
            decision = {
                "unavailable": "RetryAt",
                "not looked at": "RetrySoon",
                "misconfigured": "Accuse",
                "throttled lane": "Snooze",
                "throttled device": "Snooze",
            }.get(verdict, "")
        if decision:
            self._trace.count(f"decision: {decision}")

    def device_moved(
        self, before: str | None, after: str | None, device_id: int, address: str
    ) -> None:
        """A row of the registry is new, was written again, or is gone."""
        if after is None:
            self.devices.pop(device_id, None)
            return
        self.devices[device_id] = address
        if before == after or before != "active":
            return
        self._trace.add("registry", after, device_id)
        story = self._truth.addresses.get(address)
        if story is None or self._clock_is_off:
            return
        now, confirmed = self._truth.now, story.confirmed_at
        if after == "pruned":
            # The vendor may tell in whole milliseconds since when, and the app may have asked then.
            proofs = [
                at
                for at, since in story.gone_said
                if at >= confirmed and (since is None or since >= confirmed - 0.002)
            ]
            if not proofs:
                self.broken("proof", f"device {device_id} was pruned, confirmed at {confirmed:.3f}")
        elif not any(at >= confirmed for at in story.suspect_said):
            self.broken("proof", f"device {device_id} is quarantined, confirmed at {confirmed:.3f}")
        self._brake(f"{story.app}/{story.provider}", now)

    def _brake(self, lane: str, now: float) -> None:
        """No more devices of a lane go within a window than its share. Each relay has its part, and
        one that starts begins to count anew."""
        since = now - self._sizes.brake_window_s
        removed = [at for at in self._removed.get(lane, []) if at > since]
        self._removed[lane] = [*removed, now]
        lives = self._sizes.relays + sum(at > since for at in self._begins)
        devices = sum(f"{one.app}/{one.provider}" == lane for one in self._truth.addresses.values())
        share = max(self._sizes.brake_min_devices, int(self._sizes.brake_share * devices))
        if len(removed) + 1 > lives * share:
            self.broken("proof", f"{len(removed) + 1} devices of {lane} went within a window")

    # --- the end --------------------------------------------------------------------------------

    def kept(self, queued: Sequence[tuple[str, int, frozenset[int] | None]]) -> None:
        """Accepted is kept: each item of an accepted event is queued, or all of it has ended.

        `queued` has (event, index, device ids or None for all) of everything in the queue.
        """
        held: dict[tuple[str, int], set[int | None]] = {}
        for event_id, index, devices in queued:
            held.setdefault((event_id, index), set()).update([None] if devices is None else devices)
        rows: dict[tuple[str, int], list[tuple[int, str]]] = {}
        for (event_id, index, device_id), state in self.states.items():
            rows.setdefault((event_id, index), []).append((device_id, state))
        for batch in self._truth.batches.values():
            if batch.accepted_at is None or batch.event_id in self._truth.unreadable:
                continue
            for index in range(len(batch.users)):
                key = (batch.event_id, index)
                holds, known = held.get(key, set()), rows.get(key, [])
                if None in holds:
                    continue
                if not known and not holds:
                    self.broken("accepted_is_kept", f"{key} is neither queued nor journaled")
                for device_id, state in known:
                    if state == "pending" and device_id not in holds:
                        self.broken("accepted_is_kept", f"{(*key, device_id)} waits, and nowhere")
