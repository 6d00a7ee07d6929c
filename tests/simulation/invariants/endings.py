"""What must hold at a death, in the quiet phase and at the end of a history."""

from __future__ import annotations

from collections.abc import Callable
from sqlite3 import Connection

from gateway.app.vendors import VENDORS
from gateway.core.model import lane_name
from tests.simulation.invariants.findings import Findings
from tests.simulation.invariants.queued import held_by_queue
from tests.simulation.truth import EPOCH, AddressStory, Batch

#: how long after its time something may still wait in the quiet phase, in seconds
_PATIENCE_S = 20.0
#: for how long a request may lie in a process, in seconds
_LATE_S = 60.0
AtFault = Callable[[str, str, int | None], bool]


class EndInvariants:
    """Looks at the store. `at_fault` says whether a vendor takes nothing for a part and a
    phone, None: for any phone of it."""

    def __init__(self, findings: Findings, connection: Connection, at_fault: AtFault) -> None:
        self._findings = findings
        self._connection = connection
        self._at_fault = at_fault
        self._truth = findings.truth
        self._broken = findings.broken
        #: users whose erase is done, and when it was asked
        self._erased: dict[int, float] = {}

    @property
    def queued(self) -> int:
        """How many chunks are in the queue."""
        count: int = self._connection.execute("SELECT count(*) FROM queue").fetchone()[0]
        return count

    def accepted_is_kept(self) -> None:
        """Each item of an accepted event is queued, or all of it has ended. Who was erased is in
        neither."""
        for user, asked_at in self._erased.items():
            self._erased_is_gone(user, asked_at)
        held = held_by_queue(self._connection)
        rows: dict[tuple[str, int], list[tuple[int, str]]] = {}
        for (event_id, index, device_id), state in self._findings.states.items():
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
                    self._broken("accepted_is_kept", f"{key} is neither queued nor journaled")
                for device_id, state in known:
                    if state == "pending" and device_id not in holds:
                        self._broken("accepted_is_kept", f"{(*key, device_id)} waits, and nowhere")

    def no_orphan(self, holder: str, *, alone: bool) -> None:
        """No lease is of a process that has ended: `holder` begins the ids of its leases. `alone`:
        it has just started, and nobody else may hold any."""
        for (lease_id,) in self._connection.execute(
            "SELECT lease_id FROM queue WHERE lease_id IS NOT NULL"
        ):
            if lease_id.startswith(holder) != alone:
                self._broken("no_orphan", f"a chunk is held by {lease_id}, which has ended")

    def alone(self) -> None:
        """Nobody waits for somebody else's fault: asked when all faults are long over."""
        now = self._truth.now
        if self._poison_is_first():
            return
        for (event_id, index, device_id), state in self._findings.states.items():
            story = self._findings.deliveries.get((event_id, index, device_id))
            poison = self._truth.batches[event_id].poison
            if state != "pending" or story is None or self._is_beside(index, poison):
                continue
            address = self._truth.addresses[story.address]
            lane = lane_name(address.app, address.provider)
            if self._is_culprit(address) or self._takes_turns(lane, address.part):
                continue
            asked = self._findings.quiet_until(lane, device_id)
            if now > max(story.may_wait_until, asked) + _PATIENCE_S:
                key = (event_id, index, device_id)
                self._broken("alone", f"{key} waits for {lane}, which takes it")
        self._alone_in_queue(now)

    def _poison_is_first(self) -> bool:
        """Whether a poison may end each process before any vendor answers it. A chunk is suspected
        of what ends processes before their leases are renewed, and all others go on by what is
        answered meanwhile. So nothing goes on where vendors take longer than that."""
        sizes = self._findings.sizes
        if sizes.vendor_s[1] <= sizes.lease_s / 3:
            return False
        rows = self._findings.states.items()
        ended = {(event_id, index) for (event_id, index, _), state in rows if state != "pending"}
        return any(
            batch.poison is not None and (batch.event_id, batch.poison) not in ended
            for batch in self._truth.batches.values()
        )

    def _alone_in_queue(self, now: float) -> None:
        # what was cancelled is due since ever
        free = (
            "SELECT event_id, number, due_at, lane, part FROM queue "
            "WHERE lease_id IS NULL AND due_at > 0"
        )
        for event_id, number, due_at, lane, part in self._connection.execute(free):
            provider = lane.rpartition("/")[2]
            asked = self._findings.quiet_until(lane, 0)
            is_free = asked < now - _PATIENCE_S and not self._at_fault(provider, part, None)
            if is_free and due_at < EPOCH + now - _PATIENCE_S:
                what = f"chunk {number} of {event_id} for {lane}/{part}"
                self._broken("alone", f"{what} is not claimed")

    def erasure_is_done(self) -> bool:
        """Whether every erase that was answered is done."""
        waiting = "SELECT EXISTS (SELECT 1 FROM erasures WHERE done_at IS NULL)"
        return not self._connection.execute(waiting).fetchone()[0]

    def erased(self, user: int, asked_at: float) -> None:
        """An erase is done: nothing is left, and nothing comes back."""
        self._erased[user] = asked_at
        self._erased_is_gone(user, asked_at)

    def _erased_is_gone(self, user: int, asked_at: float) -> None:
        """Of a user who was erased nothing is left of what was accepted before it was asked: no
        text, and no line of the journal with their name."""
        bodies = dict(self._connection.execute("SELECT event_id, body FROM events"))
        queued = self._connection.execute("SELECT event_id, items FROM queue").fetchall()
        told = self._connection.execute(
            "SELECT event_id, item_index FROM deliveries WHERE custom_id = ?", (f"u{user + 1}",)
        ).fetchall()
        for batch in self._truth.batches.values():
            if batch.accepted_at is None or batch.accepted_at > asked_at or batch.text:
                continue
            kept = [bodies.get(batch.event_id, b"")]
            kept += [items for event_id, items in queued if event_id == batch.event_id]
            for index, whose in enumerate(batch.users):
                said = f'"{batch.title(index)}"'.encode()
                if whose == user and (batch.event_id, index) in told:
                    key = (batch.event_id, index)
                    self._broken("erased_is_gone", f"{key} names user {user}, erased")
                if whose == user and any(said in one for one in kept):
                    self._broken("erased_is_gone", f"{said.decode()} is for user {user}, erased")

    def settled(self) -> None:
        """The end: nothing waits, every chunk is done, and nobody was forgotten."""
        self.accepted_is_kept()
        for key, state in self._findings.states.items():
            if state == "pending":
                self._broken("it_settles", f"{key} is pending, and nothing is queued")
        undone = (
            "SELECT event_id FROM events WHERE status = 'accepted' AND chunks > "
            "(SELECT count(*) FROM chunks_done WHERE chunks_done.event_id = events.event_id)"
        )
        for (event_id,) in self._connection.execute(undone):
            self._broken("it_settles", f"{event_id} has chunks that are not done")
        self._nobody_is_forgotten()

    def registered_is_active(self, value: str, since: float) -> None:
        """An address is pushed to once its registration, which was sent then, is answered."""
        story = self._truth.addresses[value]
        said = [*(at for at, _ in story.gone_said), *story.suspect_said]
        row = "SELECT state FROM devices WHERE address = ?"
        found = self._connection.execute(row, (value,)).fetchone()
        is_out = found is None or found[0] != "active"
        # a process that stands still may carry out what was given up long before
        is_excused = self._findings.is_shaken(since - _LATE_S) or bool(self._truth.spoilt_devices)
        # others of the same user, registered at the same time, may be all that is allowed
        is_excused = is_excused or (found is None and self._has_enough(story.changes[-1].owner))
        if is_out and not any(at >= since for at in said) and not is_excused:
            text = f"phone {story.phone} registered, and is {found[0] if found else 'nowhere'}"
            self._broken("registered_is_active", text)

    def _has_enough(self, user: int | None) -> bool:
        """Whether a user has as many devices as allowed."""
        if user is None:
            return False
        counted = "SELECT count(*) FROM devices WHERE custom_id = ?"
        row = self._connection.execute(counted, (f"u{user + 1}",)).fetchone()
        return bool(row[0] >= self._findings.sizes.most_devices)

    def _nobody_is_forgotten(self) -> None:
        """A phone that was a user's all the time has a row for each notification."""
        active = "SELECT address, id FROM devices WHERE state = 'active' AND platform <> 'watch'"
        faltered = self._findings.faltered
        rows = self._connection.execute(active)
        devices = {address: device_id for address, device_id in rows if device_id not in faltered}
        states = self._findings.states
        for batch in self._truth.batches.values():
            if batch.accepted_at is None or batch.event_id in self._truth.unreadable:
                continue
            if batch.cancel_asked_at is not None or batch.text:
                continue  # what was not begun for a phone has no row for it
            for value, address in self._truth.addresses.items():
                if value not in devices or not _is_faithful(address, batch):
                    continue
                for index, user in enumerate(batch.users):
                    key = (batch.event_id, index, devices[value])
                    whole = states.get((batch.event_id, index, 0))
                    if user != address.changes[0].owner or key in states or whole == "expired":
                        continue
                    if not (whole == "dead" and key[:2] in self._findings.buried):
                        self._broken("nobody_is_forgotten", f"{key} has no row; item: {whole}")

    # --- inside ---------------------------------------------------------------------------------

    def _is_beside(self, index: int, poison: int | None) -> bool:
        """Whether an item is in the chunk of one that ends processes, which is tried seldom."""
        size = self._findings.sizes.chunk_items
        return poison is not None and index // size == poison // size

    def _takes_turns(self, lane: str, part: str) -> bool:
        """Whether a part is held, and a probe cannot choose among all that waits for it."""
        held = (
            "SELECT 1 FROM lane_parts WHERE app || '/' || provider = ? AND part = ? AND held <> ''"
        )
        waiting = "SELECT count(*) FROM queue WHERE lane = ? AND part = ?"
        names = (lane, part)
        chunks: int = self._connection.execute(waiting, names).fetchone()[0]
        is_held = self._connection.execute(held, names).fetchone() is not None
        return is_held and chunks > self._findings.sizes.claim_chunks

    def _is_culprit(self, address: AddressStory) -> bool:
        # of APNs it may wait for the environment that it was registered for, by mistake
        parts = VENDORS[address.provider].parts if address.provider == "apns" else ()
        return any(
            self._at_fault(address.provider, part, address.phone) for part in (address.part, *parts)
        )


def _is_faithful(address: AddressStory, batch: Batch) -> bool:
    """Whether an address was the same user's all the time, surely since before the event."""
    first = address.changes[0]
    return (
        address.dead_since is None
        and not address.was_dropped
        and first.answered_at is not None
        and first.answered_at < batch.sent_at
        and all(change.owner == first.owner for change in address.changes)
    )
