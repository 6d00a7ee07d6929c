"""What must hold when a push leaves a process, and what its verdict then allows."""

from __future__ import annotations

from dataclasses import dataclass

from providers.contract import (
    NOT_STARTED,
    Delivered,
    Message,
    Misconfigured,
    Refused,
    Throttled,
    TokenGone,
    Unavailable,
    Verdict,
)
from tests.simulation.doors import words_of
from tests.simulation.invariants.corrections import CorrectionInvariants
from tests.simulation.invariants.environments import EnvironmentInvariants
from tests.simulation.invariants.findings import SLACK_S, Findings
from tests.simulation.invariants.order import OrderInvariants
from tests.simulation.invariants.parts import Name, PartInvariants
from tests.simulation.truth import EPOCH, DeliveryStory, Key

MOVED_S = 1.0
"""How long after a change of owner a push may still start (contract: *started*)."""


@dataclass(slots=True)
class _Bucket:
    """How full a lane's bucket is, by the strictest reading of its limit."""

    level: float = 0.0
    at: float = 0.0


class PushInvariants:
    """Told of every push and every verdict. A process is named with its life: "relay 0.2"."""

    def __init__(
        self, findings: Findings, corrections: CorrectionInvariants, order: OrderInvariants
    ) -> None:
        self._findings = findings
        self.corrections = corrections
        self.order = order
        self._sizes = findings.sizes
        self._truth = findings.truth
        self._trace = findings.trace
        self._broken = findings.broken
        self._buckets: dict[str, _Bucket] = {}
        self.parts = PartInvariants(findings)
        self._environments = EnvironmentInvariants(findings)

    # --- a push leaves --------------------------------------------------------------------------

    def started(
        self, name: Name, key: Key, address: str, delivery_id: str, begun_at: float
    ) -> None:
        """A push leaves a process for a part; its chunk was begun then, and its device looked up
        later."""
        who, lane, part = name
        now = self._truth.now
        story = self._findings.deliveries.get(key)
        if key[0] not in self._truth.batches:
            self._broken("doors", f"{who} sends {key}, which LearnInk never sent")
            return
        if story is None:
            user = self._truth.batches[key[0]].users[key[1]]
            story = self._findings.deliveries[key] = DeliveryStory(*key, address, user, now)
            story.delivery_id = delivery_id
        story.address, story.begun_at = address, begun_at
        self._trace.add(who, "sends", lane, *key)
        self._same_id(story, key, delivery_id)
        self._right_phone(story, begun_at, now)
        self._not_of_before(story, now)
        self._not_cancelled(story, now)
        self._done_is_done(key, begun_at)
        self._is_in_service(story, begun_at)
        self._no_repeat(who, story)
        self._in_time(story, now)
        self._has_attempts_left(story)
        self._limits(lane, now)
        self._asked_wait(who, lane, story, begun_at, now)
        self._gate(who, now)
        self.parts.started(name, key)
        self._environments.started(key, address, part, begun_at)
        story.in_flight[who], story.went[who] = now, (address, begun_at)

    def says(self, key: Key, message: Message, word: str) -> None:
        """A push says what LearnInk wrote for its item, and has a word of that item's user."""
        self._findings.meet(key[0])
        batch = self._truth.batches.get(key[0])
        if batch is None:
            return
        if message.title != batch.title(key[1]):
            self._broken("right_text", f"{key} says {message.title!r}")
        if word not in words_of(batch.users[key[1]]):
            self._broken("right_word", f"{key} has a word that is not its user's")

    def closing(self, who: str, in_flight: int) -> None:
        """A transport is closed when all was answered, or when the time of a drain is over."""
        drains_since = self._findings.draining.get(who, float("inf"))
        if in_flight and self._truth.now < drains_since + self._sizes.drain_s - SLACK_S:
            self._broken("patience", f"{who} closes a transport with {in_flight} pushes in flight")

    def held(self, who: str, key: Key, lease_id: str, held_by: str | None) -> None:
        """The row of the queue that holds the delivery: is it still leased to the sender?"""
        if held_by != lease_id:
            self._broken("one_holder", f"{who} sends {key}, and its chunk is held by {held_by}")

    def _same_id(self, story: DeliveryStory, key: Key, delivery_id: str) -> None:
        known = self._findings.key_of.setdefault(delivery_id, key)
        if known != key or story.delivery_id != delivery_id:
            self._broken("same_id", f"{key} goes under another id than before, or under {known}'s")

    def _right_phone(self, story: DeliveryStory, begun_at: float, now: float) -> None:
        address = self._truth.addresses[story.address]
        owners = address.owners(now - MOVED_S, now)
        if story.user in owners or address.is_disputed:
            return
        # Was it right when its device was looked up, at least?
        was_right = story.user in address.owners(begun_at - MOVED_S, now)
        invariant = "right_phone" if was_right else "right_phone_at_lookup"
        name = f"{story.event_id}/{story.index}"
        whose = sorted(map(str, owners))
        text = f"{name} is for user {story.user}, and phone {address.phone} is of {whose}"
        self._broken(invariant, text)

    def _not_of_before(self, story: DeliveryStory, now: float) -> None:
        """What was accepted before its user was erased is never sent, also not to a phone that
        they registered since."""
        asked_at, answered_at = self._truth.erased.get(story.user, (-1.0, now))
        accepted_at = self._truth.batches[story.event_id].accepted_at
        is_of_before = accepted_at is not None and accepted_at < asked_at
        if is_of_before and now > answered_at + MOVED_S:
            name = f"{story.event_id}/{story.index}"
            self._broken("erased_is_gone", f"{name} is sent, and user {story.user} was erased")

    def _not_cancelled(self, story: DeliveryStory, now: float) -> None:
        """Nothing of an event starts later than a second after its cancellation was answered."""
        cancelled_at = self._truth.batches[story.event_id].cancelled_at
        if cancelled_at is not None and now > cancelled_at + MOVED_S:
            name = f"{story.event_id}/{story.index}"
            self._broken("cancelled_stays", f"{name} is sent, cancelled at {cancelled_at:.3f}")

    def _done_is_done(self, key: Key, begun_at: float) -> None:
        """A chunk that was begun after the end was on record has no excuse: it had to look."""
        state = self._findings.states.get(key, "pending")
        if state == "pending":
            return
        ended_at = self._findings.moved_at[key]
        if ended_at < begun_at or not self._findings.is_shaken(ended_at):
            self._broken("done_is_done", f"{key} was {state} at {ended_at:.3f} and is sent")

    def _is_in_service(self, story: DeliveryStory, begun_at: float) -> None:
        """Nobody looks up a device that was taken out of service."""
        out_since = self._findings.out_since.get(story.device_id)
        if out_since is not None and out_since < begun_at:
            name = f"{story.event_id}/{story.index}"
            text = f"{name} is sent to device {story.device_id}, out of service at {out_since:.3f}"
            self._broken("out_of_service", text)

    def _no_repeat(self, who: str, story: DeliveryStory) -> None:
        name = f"{story.event_id}/{story.index} to device {story.device_id}"
        if who in story.in_flight:
            self._broken("no_repeat", f"{who} sends {name} a second time while it is in flight")
        elif who in story.heard:
            self._broken("no_repeat", f"{who} sends {name} again, and heard that it was taken")
        elif story.heard:
            self._trace.count("a repeat with a cause")
            heard_at = min(story.heard.values())
            if not self._findings.is_shaken(heard_at):
                self._broken("no_repeat", f"{who} sends {name} again, taken at {heard_at:.3f}")
        for other, began_at in story.in_flight.items():
            if not self._findings.is_shaken(began_at):
                self._broken("no_repeat", f"{who} sends {name}, which {other} has in flight")

    def _in_time(self, story: DeliveryStory, now: float) -> None:
        batch = self._truth.batches[story.event_id]
        late = now - max(batch.deadline, batch.second_life)
        # who began with a wrong clock counts the life of what waited from its own start
        slack = SLACK_S + (self._sizes.max_age_s if self._findings.began_wrong else 0.0)
        if late > slack:
            self._broken("in_time", f"{story.event_id}/{story.index} is sent {late:.2f} s late")

    def _has_attempts_left(self, story: DeliveryStory) -> None:
        """What failed as often as it may is given up, and not sent."""
        is_spent = story.spent >= self._sizes.max_attempts and story.verdict == "unavailable"
        if is_spent and not self._findings.is_shaken(story.began_at):
            name = f"{story.event_id}/{story.index}"
            self._broken("dead_by_rule", f"{name} is sent after {story.spent} attempts")

    def _limits(self, lane: str, now: float) -> None:
        """While the relays do not all know of each other, each may use what the others have."""
        rate = self._sizes.rate_per_s
        if not rate:
            return
        bucket = self._buckets.setdefault(lane, _Bucket())
        bucket.level = max(0.0, bucket.level - rate * (now - bucket.at)) + 1.0
        bucket.at = now
        relays = self._sizes.relays
        # a relay's bucket holds a tenth of a second, or one push
        size = relays * max(1.0, rate / relays * 0.1) + 1.0
        met_at = max(self._findings.begins[-1], self._findings.thawed_at)
        if now < met_at + self._sizes.beat_s + SLACK_S:
            bucket.level = 0.0
        elif bucket.level > size + 1e-6:
            self._broken("limits", f"{lane} sends faster than {rate} a second: {bucket.level:.2f}")

    def _asked_wait(
        self, who: str, lane: str, story: DeliveryStory, begun_at: float, now: float
    ) -> None:
        recorded_at, until = story.recorded
        is_early = begun_at > recorded_at and now < until - SLACK_S
        # which due times of a process that was killed in doubt are right, nobody knows: all are due
        is_due = any(
            recorded_at < killed_at <= self._findings.time_moved_at
            for killed_at in self._findings.killed.values()
        )
        if is_early and not is_due and not self._findings.began_wrong:
            name = f"{story.event_id}/{story.index}"
            text = f"{who} sends {name}, on record as waiting for {until - now:.2f} s"
            self._broken("asked_wait", text)
        asker, until = story.asked
        is_moved = self._findings.time_moved_at >= story.began_at
        is_excused = is_moved or self._findings.is_shaken(now)
        if asker == who and now < until - SLACK_S and not is_excused:
            name = f"{story.event_id}/{story.index}"
            self._broken("asked_wait", f"{who} sends {name} {until - now:.2f} s early")
        for name in (lane, f"device {story.device_id}"):
            until = self._findings.quiet.get((who, name), 0.0)
            if now < until - SLACK_S:
                self._broken("asked_wait", f"{who} sends to {name}, quiet for {until - now:.2f} s")

    def _gate(self, who: str, now: float) -> None:
        """Nothing starts while what was taken cannot be put on record."""
        oldest = next(iter(self._findings.unwritten.get(who, {}).values()), now)
        oldest = max(oldest, self._findings.wrote_at.get(who, 0.0), self._findings.thawed_at)
        longest = 2 * (self._sizes.slow_s + self._sizes.flush_s) + SLACK_S
        if now - oldest > longest:
            self._broken("gate", f"{who} sends, and what it heard at {oldest:.2f} is not on record")

    # --- a verdict comes ------------------------------------------------------------------------

    def heard(self, name: Name, key: Key, verdict: Verdict, transport: object | None) -> None:
        """A process hears what became of a push; `transport` is None if it was replaced since."""
        who, lane, part = name
        findings, now, story = self._findings, self._truth.now, self._findings.deliveries.get(key)
        if story is None:
            return
        self._trace.add(who, "hears", verdict.label, *key)
        self.parts.heard(name, key, verdict, transport)
        self._environments.heard(key, story.address, part, verdict)
        started = story.in_flight.pop(who, now)
        if verdict == NOT_STARTED:
            return  # it never left
        story.verdict, story.told = verdict.label, ("", 0.0)
        if not isinstance(verdict, Unavailable) or verdict.looked_at:
            story.unseen.clear()
        if who in findings.draining and isinstance(verdict, Unavailable):
            # it may have decided before its lanes stopped, or gives the delivery back
            story.wait_until(now + (verdict.retry_after or 0.0))
            story.perhaps_spent += verdict.looked_at
            return
        is_around = self._truth.addresses[story.address].confirmed_at > started
        if is_around and isinstance(verdict, TokenGone):
            self._trace.count("a phone registered around its vendor's answer")
        self._means(who, lane, story, verdict, started)

    def _means(
        self, who: str, lane: str, story: DeliveryStory, verdict: Verdict, started: float
    ) -> None:
        """What a verdict asks for, and what it costs."""
        key = (story.event_id, story.index, story.device_id)
        findings, now = self._findings, self._truth.now
        match verdict:
            case Delivered():
                story.heard.setdefault(who, now)
                if findings.states.get(key, "pending") == "pending":
                    findings.unwritten.setdefault(who, {}).setdefault(key, now)
            case Throttled(scope=scope, retry_after=told):
                wait = told or 60.0
                story.wait_until(now + 1.1 * wait)
                quiet = lane if scope == "lane" else f"device {story.device_id}"
                # a relay that has yet to learn of a resume ends a silence of after it, too
                is_sure = now > findings.followed_at(quiet)
                known = findings.quiet if is_sure else findings.perhaps_quiet
                known[who, quiet] = max(known.get((who, quiet), 0.0), now + wait)
                story.verdict = f"throttled {scope}"
            case Unavailable(looked_at=False, retry_after=told):
                story.verdict = "not looked at"
                story.wait_until(now + max(1.1 * (told or 0.0), 32.0))
                story.asked = (who, now + story.unseen_wait(who, told or 0.0))
            case Unavailable(retry_after=told):
                story.spent += 1
                wait = max(told or 0.0, 10.0)
                if story.spent > 1 and not findings.is_shaken(story.began_at):
                    wait = max(wait, verdict.later_floor_s)
                # if its chunk was lost meanwhile, only a success is put on record
                is_lost = findings.is_shaken(started)
                is_told = self._sizes.relays == 1 or not is_lost
                story.told = (verdict.reason, now + wait) if is_told else ("", 0.0)
                if not is_lost:
                    story.asked = (who, now + wait)
                floor = max(wait, verdict.later_floor_s) if story.spent > 1 else wait
                story.wait_until(now + floor + 10.0 * 2.0 ** min(story.spent, 16))
            case Misconfigured():
                # alone or with its part: up to ten times the probe's wait
                story.wait_until(now + 1.2 * max(10.0 * self._sizes.probe_s, 600.0))
            case Refused(fault=fault):
                story.spent += fault == "environment"
                story.verdict = "suspect" if fault == "address" else verdict.label
            case TokenGone(since_ms=since_ms):
                story.gone = story.went[who]
                story.gone_since = None if since_ms is None else since_ms / 1000 - EPOCH
