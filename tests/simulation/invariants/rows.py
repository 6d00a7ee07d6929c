"""What must hold when a row of the journal or the registry moves: the disk's mirror."""

from __future__ import annotations

from collections import deque
from sqlite3 import Connection

from gateway.core.newer import NEWER_SENT
from providers.contract import TokenGone
from tests.simulation.invariants.findings import SLACK_S, Findings, TriedChunk
from tests.simulation.invariants.queued import held_by_chunk, held_by_queue
from tests.simulation.truth import DeliveryStory, Key

_BURIED = "no process could finish its chunk"
_LONE_ENDS = 20
"""How many processes end with a chunk alone in their hands before it may be buried."""
_UNREADABLE = "unreadable"
_ANOTHER_ADDRESS = "its address has changed"
_MOST_LEFT, _SPIN_S = 18, 20.0
_PUT_RIGHT_S = 2.0
"""A witness tells the time in whole seconds, so that a clock is put right by so much at worst."""
"""How often in so many seconds a delivery may be left for later."""
_BY_VERDICT = {
    "unavailable": "RetryAt",
    "not looked at": "RetrySoon",
    "misconfigured": "Accuse",
    "throttled lane": "Snooze",
    "throttled device": "Snooze",
}
_BY_STATE = {"delivered": "Done", "pruned": "Prune", "dead": "Dead", "expired": "Expire"}


class RowInvariants:
    """Told of every row that moves, once that is committed; see `tests.simulation.disk.Mirror`."""

    def __init__(self, findings: Findings, connection: Connection) -> None:
        self._findings = findings
        self._connection = connection
        self._sizes = findings.sizes
        self._truth = findings.truth
        self._trace = findings.trace
        self._broken = findings.broken
        self._removed: dict[str, list[float]] = {}
        #: lane -> when devices of it came back into service
        self._revived: dict[str, list[float]] = {}
        self._left_at: dict[Key, deque[float]] = {}

    # --- the journal ----------------------------------------------------------------------------

    def delivery_offered(self, event_id: str, index: int, device_id: int, state: str) -> None:
        """A row is offered to the journal, which may refuse it."""
        before = self._findings.states.get((event_id, index, device_id), "pending")
        if before not in ("pending", state):
            self._trace.count("a late row was refused")

    def delivery_moved(
        self,
        after: str,
        event_id: str,
        index: int,
        device_id: int,
        attempts: int,
        reason: str,
    ) -> None:
        """A row of the journal is new, or was written again."""
        key = (event_id, index, device_id)
        findings = self._findings
        findings.meet(event_id)
        known = findings.states.get(key)
        self._trace.add("journal", after, *key, attempts, reason)
        story = findings.deliveries.get(key)
        if after == "pending":
            self._no_spin(key)
        if known == "dead" and after == "pending":
            self._trace.count("a dead letter was queued again")
            if story is not None:
                story.spent, story.asked, story.replayed = 0, ("", 0.0), True
                story.told = ("", 0.0)
        elif known not in (None, "pending"):
            self._broken("one_end", f"{key} was {known} and becomes {after}")
        findings.states[key] = after
        findings.moved_at[key] = self._truth.now
        for waiting in findings.unwritten.values():
            waiting.pop(key, None)
        if after != "pending" and reason != _BURIED:
            self._went_on(key)
        self._trace.count(f"state: {after}")
        match after:
            case "dead":
                self._dead_by_rule(key, story, reason)
            case "expired":
                self._expired_in_time(key, story)
            case "cancelled" if reason == NEWER_SENT:
                self._overtaken_by_rule(key)
            case "cancelled":
                self._cancelled_by_rule(key)
            case "refused" if story is not None and story.verdict == TokenGone.label:
                self._gone_is_pruned(key, story, reason)
            case "pending" if story is not None:
                self._attempts(key, story, attempts)
            case _:
                pass
        if story is not None:
            if after == "pending":
                story.is_recorded(reason, self._truth.now)
                story.began_anew = story.began_anew or reason == _ANOTHER_ADDRESS
            self._count_decision(after, story)

    def chunk_tried(self, queue_id: int, lease_id: str, event_id: str, items: bytes) -> None:
        """A process takes a chunk to try it alone."""
        held = {(event_id, index) for index in held_by_chunk(items)}
        chunk = self._findings.tried.setdefault(queue_id, TriedChunk(held))
        # the name of a lease begins with that of its process
        chunk.trials[lease_id.partition("x")[0]] = self._truth.now

    def chunk_gone(self, queue_id: int, lease_id: str | None) -> None:
        """A chunk left the queue. Its number may be another one's."""
        self._findings.tried.pop(queue_id, None)
        self._findings.left_queue[queue_id, lease_id] = None

    def delivery_gone(self, event_id: str, index: int, device_id: int) -> None:
        """A row of the journal was deleted: a replay forgets that nobody had a device."""
        self._findings.states.pop((event_id, index, device_id), None)

    def _dead_by_rule(self, key: Key, story: DeliveryStory | None, reason: str) -> None:
        batch = self._truth.batches.get(key[0])
        letter = "SELECT 1 FROM dead_letters WHERE event_id = ? AND item_index IN (?, -1)"
        # letters of who is erased go
        is_kept = batch is None or batch.users[key[1]] not in self._truth.erased_at
        if is_kept and self._connection.execute(letter, key[:2]).fetchone() is None:
            self._broken("dead_by_rule", f"{key} is dead, and no letter says so")
        if batch is None:
            return
        if reason.startswith(_UNREADABLE) and key[2] in self._truth.spoilt_devices:
            self._trace.count("a delivery to an unreadable device")
        elif batch.event_id in self._truth.unreadable:
            self._ended_with_its_chunk(key, reason)
        elif reason == _BURIED:
            self._trace.count("a chunk was buried")
            self._findings.buried[key[:2]] = None
            ends = self._findings.lone_ends(*key[:2])
            if ends < _LONE_ENDS:
                text = f"{key} was buried, and {ends} processes ended while it was tried alone"
                self._broken("dead_by_rule", text)
        elif story is None or story.spent + story.perhaps_spent < self._sizes.max_attempts:
            spent = 0 if story is None else story.spent
            self._broken("dead_by_rule", f"{key} is dead after {spent} attempts")

    def _went_on(self, key: Key) -> None:
        """A chunk of which something ended begins anew: some process got somewhere with it."""
        for chunk in self._findings.tried.values():
            if key[:2] in chunk.items:
                chunk.trials.clear()

    def _no_spin(self, key: Key) -> None:
        """Nothing is claimed and put back without end."""
        now, left_at = self._truth.now, self._left_at.setdefault(key, deque(maxlen=_MOST_LEFT))
        left_at.append(now)
        if len(left_at) == _MOST_LEFT and now - left_at[0] < _SPIN_S:
            self._broken("no_spin", f"{key} was left for later {_MOST_LEFT} times in {_SPIN_S} s")

    def _ended_with_its_chunk(self, key: Key, reason: str) -> None:
        """What ends with an unreadable chunk is what no other chunk holds."""
        holds = held_by_queue(self._connection).get(key[:2], set())
        if reason.startswith(_UNREADABLE) and holds & {None, key[2]}:
            self._broken("dead_by_rule", f"{key} ended with a chunk, and another one holds it")

    def _expired_in_time(self, key: Key, story: DeliveryStory | None) -> None:
        batch = self._truth.batches.get(key[0])
        if batch is None or batch.text:
            return  # a correction has the dates of its original, by whatever clock
        now = self._truth.now
        waits_until = now if story is None else max(now, story.may_wait_until)
        findings = self._findings
        silences = (*findings.quiet.values(), *findings.perhaps_quiet.values())
        asked = max(silences, default=0.0)
        if max(waits_until, asked) < batch.deadline - SLACK_S:
            self._broken("in_time", f"{key} expires {batch.deadline - now:.2f} s early")

    def _cancelled_by_rule(self, key: Key) -> None:
        batch = self._truth.batches.get(key[0])
        if batch is not None and batch.cancel_asked_at is None:
            self._broken("cancelled_stays", f"{key} is cancelled, and nobody asked for that")

    def _overtaken_by_rule(self, key: Key) -> None:
        """A newer one of the device had leave to start."""
        query = (
            "SELECT 1 FROM starts WHERE device_id = ? AND received_at > "
            "(SELECT received_at FROM events WHERE event_id = ?)"
        )
        newer = self._connection.execute(query, (key[2], key[0])).fetchone()
        if newer is None or self._findings.sizes.collapse not in ("path", "user"):
            self._broken("order", f"{key} was overtaken by nobody")
        self._trace.count("an older push was overtaken")

    def _attempts(self, key: Key, story: DeliveryStory, attempts: int) -> None:
        """A row that waits has the attempts that were made, as long as nobody forgot any."""
        is_possible = story.spent <= attempts <= story.spent + story.perhaps_spent
        if not self._findings.is_shaken(story.began_at) and not story.replayed and not is_possible:
            self._broken("attempts", f"{key} made {story.spent} attempts, its row has {attempts}")

    def _gone_is_pruned(self, key: Key, story: DeliveryStory, reason: str) -> None:
        """A device whose address is dead goes, unless the app confirmed it or the brake is on."""
        row = "SELECT 1 FROM devices WHERE id = ? AND address = ? AND state = 'active'"
        gone, begun_at = story.gone
        is_there = self._connection.execute(row, (key[2], gone)).fetchone()
        if is_there is None or "brake" in reason or "doubted" in reason:
            return
        address = self._truth.addresses[gone]
        answered = [one.answered_at for one in address.changes]
        confirmed = max((at or self._truth.now for at in answered), default=0.0)
        since = story.gone_since
        # a vendor may tell in whole milliseconds; a clock that was wrong is put right by seconds
        coarse_s = _PUT_RIGHT_S if self._findings.time_moved_at > 0.0 else 0.002
        if confirmed < begun_at and (since is None or since > confirmed + coarse_s):
            self._broken("gone_is_pruned", f"device {key[2]} stays, and its address is dead")

    def _count_decision(self, after: str, story: DeliveryStory) -> None:
        """Which decision of `core.retry` this row stands for, by the verdict before it."""
        decision = _BY_STATE.get(after, "")
        if after == "refused":
            decision = "Quarantine" if story.verdict == "suspect" else "Refuse"
        elif after == "pending":
            decision = _BY_VERDICT.get(story.verdict, "")
        if decision:
            self._trace.count(f"decision: {decision}")

    # --- the registry ---------------------------------------------------------------------------

    def device_moved(
        self, before: str | None, after: str | None, device_id: int, address: str, others: int
    ) -> None:
        """A row of the registry is new, was written again, or is gone: `others` are then left of
        its user."""
        if before not in (None, "active", after) and after not in (None, "active"):
            self._broken("device_steps", f"device {device_id} was {before} and becomes {after}")
        self._stored(after, address)
        if before == "active" and after is None:
            self._registered_stays(device_id, address, others)
        elif after == "active":
            self._capped(device_id)
            if before in ("pruned", "quarantined"):
                self._came_back(address)
        if after in (None, "active"):
            self._findings.out_since.pop(device_id, None)
        elif before == "active":
            self._out_of_service(after, device_id, address)

    def _stored(self, after: str | None, address: str) -> None:
        story = self._truth.addresses.get(address)
        if story is not None:
            found = "SELECT 1 FROM devices WHERE address = ?"
            row = self._connection.execute(found, (address,)).fetchone()
            story.is_stored = row is not None
            story.was_dropped = story.was_dropped or after is None

    def _registered_stays(self, device_id: int, address: str, others: int) -> None:
        """A device goes when its owner changes, or when its owner has as many others as allowed."""
        story = self._truth.addresses.get(address)
        if story is None or story.is_stored or story.is_disputed or not story.is_settled:
            return
        owner = story.changes[-1].owner
        if owner is None or owner in self._truth.erasing:
            return
        if (story.phone, owner) in self._truth.thieves:
            return
        if others < self._sizes.most_devices:
            self._broken("registered_stays", f"device {device_id} of user {owner} is gone")

    def _came_back(self, address: str) -> None:
        story = self._truth.addresses.get(address)
        if story is not None:
            lane = f"{story.app}/{story.provider}"
            self._revived.setdefault(lane, []).append(self._truth.now)

    def _capped(self, device_id: int) -> None:
        """No user has more devices than allowed."""
        row = self._connection.execute(
            "SELECT custom_id FROM devices WHERE id = ?", (device_id,)
        ).fetchone()
        if row is None:
            return
        counted = "SELECT count(*) FROM devices WHERE custom_id = ?"
        if self._connection.execute(counted, row).fetchone()[0] > self._sizes.most_devices:
            self._broken("registered_stays", f"{row[0]} has more devices than allowed")

    def _out_of_service(self, after: str, device_id: int, address: str) -> None:
        self._findings.out_since[device_id] = self._truth.now
        self._trace.add("registry", after, device_id)
        self._findings.faltered[device_id] = None
        story = self._truth.addresses.get(address)
        if story is None:
            return
        confirmed = story.confirmed_at
        if after == "pruned":
            # The vendor may tell in whole milliseconds since when, and the app may have asked then.
            proofs = [
                at
                for at, since in story.gone_said
                if at >= confirmed and (since is None or since >= confirmed - 0.002)
            ]
        else:
            proofs = [at for at in story.suspect_said if at >= confirmed]
        if not proofs:
            self._broken("proof", f"device {device_id} is {after}, confirmed at {confirmed:.3f}")
        self._brake(f"{story.app}/{story.provider}", self._truth.now)

    def _brake(self, lane: str, now: float) -> None:
        """No more devices of a lane go within any window than its share, whichever relays take them
        out, and however often those start. All begin to count anew at a person's release."""
        if now <= self._findings.released_until:
            return
        if lane in self._findings.brakes:
            self._broken("brake", f"a device of {lane} went while the brake was on")
        since = max(now - self._sizes.brake_window_s, self._findings.released_until)
        removed = [at for at in self._removed.get(lane, []) if at > since] + [now]
        self._removed[lane] = removed
        devices = sum(f"{one.app}/{one.provider}" == lane for one in self._truth.addresses.values())
        # one that went and came back within the window counts as gone and as there
        devices += sum(at > since for at in self._revived.get(lane, []))
        most = max(self._sizes.brake_min_devices, int(self._sizes.brake_share * devices))
        if len(removed) > most:
            self._broken("brake", f"{len(removed)} devices of {lane} went within a window")
