"""Settling: decides every verdict at once, and is the only place that carries a decision out.

Carrying out means a record for the journal, an order to remove a device, a leftover for the queue,
or a change to the lane's part; `write` makes it durable.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Sequence
from typing import assert_never

from gateway.core import attempts
from gateway.core.cancelling import CANCELLED
from gateway.core.clocks import Clocks
from gateway.core.fanout import TOO_OLD
from gateway.core.model import MAYBE_TAKEN, Record, Remainder, Removal
from gateway.core.retry import (
    Accuse,
    Dead,
    Done,
    Expire,
    Outcome,
    Prune,
    Quarantine,
    Refuse,
    RetryAt,
    RetrySoon,
    Snooze,
    Standing,
    decide,
)
from gateway.core.states import DeliveryState, DeviceState
from gateway.events import AttemptsFinished, Observer
from gateway.relay.lane import Lane
from gateway.relay.part import Part
from gateway.relay.unseen_counts import UnseenCounts
from gateway.relay.work import Delivery, Work
from gateway.relay.write import Batch, Writer
from providers.contract import (
    NOT_STARTED,
    Delivered,
    Misconfigured,
    Push,
    Refused,
    Throttled,
    TokenGone,
    Unavailable,
    Verdict,
    address_hash,
)

_STAYS = "the device stays, for the clock is doubted"


class Settler:
    """Turns verdicts into journal rows, removals, leftovers and lane holds. `cancelled` are the
    events of which nothing is left for later; `stopping` keeps them."""

    def __init__(
        self,
        writer: Writer,
        *,
        cancelled: Collection[str],
        observer: Observer,
        clocks: Clocks,
        max_attempts: int,
    ) -> None:
        self._writer = writer
        self._cancelled = cancelled
        self._observer = observer
        self._clocks = clocks
        self._max_attempts = max_attempts
        self._unseen_counts = UnseenCounts()

    @property
    def _batch(self) -> Batch:
        return self._writer.batch

    # --- what comes in ------------------------------------------------------------------------

    def verdicts(self, lane: Lane, part: Part, verdicts: Sequence[tuple[Push, Verdict]]) -> None:
        """Decide about every verdict of a part, at once."""
        now, monotonic = self._clocks.wall(), self._clocks.monotonic()
        counts: Counter[str] = Counter()
        seconds: list[float] = []
        delivered = said = not_started = 0
        ages, accused = self._batch.ages_of(lane), part.accused
        last: Delivery | None = None
        for push, verdict in verdicts:
            delivery: Delivery = push  # type: ignore[assignment]  # what lanes send are deliveries
            seconds.append(monotonic - delivery.started)
            if type(verdict) is Delivered and not delivery.flipped:
                # The common case: `_decide` would do the same, more slowly.
                delivered += 1
                delivery.attempts += 1
                last = delivery
                self._deliver(delivery, verdict.vendor_id, ages, now)
                if accused and delivery.target.device_id in accused:
                    part.took_from(delivery.target.device_id)
                continue
            if verdict == NOT_STARTED and not lane.stopped:
                not_started += 1
                seconds.pop()
                part.came_to_nothing()
                lane.resend(delivery)
                continue
            if delivered > said:
                said = self._say_taken(lane, part, last, delivered)
            counts[verdict.label] += 1
            self._decide(lane, part, delivery, verdict, now)
        if delivered > said:
            self._say_taken(lane, part, last, delivered)
        counts[Delivered.label] += delivered
        attempts = len(verdicts) - not_started
        part.errors.count(attempts, attempts - counts[Delivered.label])
        self._observer(AttemptsFinished(lane.app, lane.vendor, counts, seconds))

    def _say_taken(self, lane: Lane, part: Part, last: Delivery | None, delivered: int) -> int:
        """Report successes to the part before any other verdict; returns how many."""
        if last is not None and last.transport is lane.transport:
            part.took()
        return delivered

    def gone(
        self, deliveries: Sequence[Delivery], state: DeliveryState, reason: str, is_ended: bool
    ) -> None:
        """End deliveries that are not to be started any more. `is_ended`: the journal has ended
        their items already, and nothing more is written."""
        now = self._clocks.wall()
        for delivery in deliveries:
            if is_ended or delivery.work.lost:
                self._close(delivery)
            else:
                self._end(delivery, state, reason, now)

    def returned(self, deliveries: Sequence[Delivery], reason: str, due_at: float | None) -> None:
        """Take back deliveries that were not sent; no attempt is spent."""
        now = self._clocks.wall()
        for delivery in deliveries:
            if delivery.work.lost:
                self._close(delivery)
            elif delivery.expires_at <= now and not self._clocks.doubted():
                self._end(delivery, DeliveryState.EXPIRED, reason or TOO_OLD, now)
            else:
                self._leave(delivery, now, reason, due_at=due_at or now)

    def begin(self, work: Work, records: Sequence[Record]) -> None:
        """Take a chunk whose fan-out ended some of its items without a push."""
        for record in records:
            self._batch.add(record)
        if work.open == 0:
            self._finish(work)

    def bury(self, work: Work, records: Sequence[Record]) -> None:
        """Give up a chunk: these dead deliveries become letters."""
        items = {entry.item.index: entry.item for entry in work.chunk.items}
        for record in records:
            self._batch.dead.append((self._batch.add(record), items[record.index]))
        self._finish(work)

    # --- decisions ----------------------------------------------------------------------------

    def _decide(
        self, lane: Lane, part: Part, delivery: Delivery, verdict: Verdict, now: float
    ) -> None:
        if isinstance(verdict, Unavailable) and not verdict.outcome_known:
            delivery.is_unsure = True
        if lane.stopped and isinstance(verdict, Unavailable):
            # We closed the transport under it, so no attempt is spent.
            self.returned([delivery], verdict.reason, None)
            return
        if not (isinstance(verdict, Delivered) or delivery.work.lost):
            self._batch.fail(_failed(delivery, verdict, now))
        delivery.attempts += 1
        standing = Standing(
            attempts=delivery.attempts,
            deadline=math.inf if self._clocks.doubted() else delivery.expires_at,
            seen_at=delivery.target.seen_at,
            flipped=delivery.flipped,
            unseen=self._unseen(delivery, verdict),
        )
        decision = decide(
            verdict,
            standing,
            max_attempts=self._max_attempts,
            now=now,
            jitter=delivery.work.jitter,
        )
        # A verdict on a credential that a reload has replaced says nothing about the new one.
        is_current = delivery.transport is lane.transport
        if is_current and not isinstance(decision, Accuse):
            self._tell(part, delivery, verdict)
        # Of a lost chunk only successes are recorded; the rest is up to its new owner.
        if isinstance(decision, Accuse):
            delivery.attempts -= 1
            if is_current:
                part.accuse(delivery, decision)
            else:
                self.returned([delivery], decision.reason, None)
        elif not delivery.work.lost or isinstance(decision, Done):
            self._carry_out(lane, delivery, decision, now)
        else:
            # The vendor's back-off is for this process, whoever has the chunk.
            snooze = decision.snooze if isinstance(decision, Expire) else decision
            if isinstance(snooze, Snooze):
                self._keep_quiet(lane, delivery, snooze, now)
            self._close(delivery)

    def _tell(self, part: Part, delivery: Delivery, verdict: Verdict) -> None:
        if isinstance(verdict, Delivered):
            part.took()
        else:
            part.heard(verdict, delivery.target.device_id)

    def _unseen(self, delivery: Delivery, verdict: Verdict) -> int:
        """How often in a row the vendor did not look at the delivery."""
        if isinstance(verdict, Unavailable) and not verdict.looked_at:
            return self._unseen_counts.add(delivery.delivery_id)
        self._unseen_counts.end(delivery.delivery_id)
        return 0

    def _carry_out(self, lane: Lane, delivery: Delivery, decision: Outcome, now: float) -> None:
        match decision:
            case Done(vendor_id=vendor_id):
                if delivery.flipped:
                    self._batch.environments[delivery.target.device_id] = delivery.address
                self._deliver(delivery, vendor_id, self._batch.ages_of(lane), now)
            case Refuse(reason=reason):
                self._end(delivery, DeliveryState.REFUSED, reason, now)
            case Expire(reason=reason, snooze=snooze):
                if snooze is not None:
                    self._keep_quiet(lane, delivery, snooze, now)
                self._end(delivery, DeliveryState.EXPIRED, reason, now)
            case Dead(reason=reason):
                index = self._end(delivery, DeliveryState.DEAD, reason, now)
                self._batch.dead.append((index, delivery.item))
            case Prune(reason=reason):
                self._remove(lane, delivery, reason, now, prune=True)
            case Quarantine(reason=reason):
                self._remove(lane, delivery, reason, now, prune=False)
            case RetryAt(at=at, reason=reason, flipped=flipped):
                lane.flip(delivery, flipped=flipped)
                self._repeat(lane, delivery, now, reason, at)
            case RetrySoon(at=at, reason=reason):
                delivery.attempts -= 1
                self._repeat(lane, delivery, now, reason, at)
            case Snooze(at=at, reason=reason):
                delivery.attempts -= 1
                self._keep_quiet(lane, delivery, decision, now)
                self._leave(delivery, now, reason, due_at=at)
            case _:
                assert_never(decision)

    def _repeat(self, lane: Lane, delivery: Delivery, now: float, reason: str, at: float) -> None:
        if at <= now:
            lane.resend(delivery)
        else:
            self._leave(delivery, now, reason, due_at=at)

    def _keep_quiet(self, lane: Lane, delivery: Delivery, snooze: Snooze, now: float) -> None:
        """Apply the vendor's back-off to the device, or to the whole lane."""
        if snooze.scope == "lane":
            lane.quiet(snooze.at - now, snooze.reason)
        else:
            lane.quiet_device(delivery.target.device_id, snooze.at)

    def _deliver(self, delivery: Delivery, vendor_id: str, ages: list[float], now: float) -> None:
        """End a delivery that succeeded; `ages` belongs to the batch and the lane."""
        ages.append(now - delivery.work.chunk.first_seen)
        self._batch.deliver(_record(delivery, DeliveryState.DELIVERED, "", now, vendor_id))
        self._close(delivery)

    def _end(self, delivery: Delivery, state: DeliveryState, reason: str, now: float) -> int:
        """End a delivery; returns the index of its record."""
        index = self._batch.add(_record(delivery, state, reason, now))
        self._close(delivery)
        return index

    def _leave(
        self,
        delivery: Delivery,
        now: float,
        reason: str,
        *,
        due_at: float,
    ) -> None:
        """Leave a delivery for later, unless its event was cancelled. The journal keeps the due
        time, so that a repeat of its chunk does not send it earlier, and the reason, if there is
        one."""
        if delivery.work.chunk.event_id in self._cancelled:
            self._end(delivery, DeliveryState.CANCELLED, CANCELLED, now)
            return
        due_at = delivery.work.due(due_at, now)
        record = _record(delivery, DeliveryState.PENDING, reason, now, next_at=due_at)
        self._batch.wait(record, delivery.work)
        # It begins again in the environment that is registered then, which others may have learned.
        remainder = Remainder(delivery.target.device_id, delivery.attempts)
        delivery.work.leave(delivery.item, remainder, place=delivery.place, due_at=due_at)
        self._close(delivery)

    def _remove(
        self, lane: Lane, delivery: Delivery, reason: str, now: float, *, prune: bool
    ) -> None:
        """Order a removal, which the brake may stop. A push to a suspect device is refused. While
        the time is doubted no device goes: the proof is one of times."""
        target = delivery.target
        if self._clocks.doubted():
            self._end(delivery, DeliveryState.REFUSED, f"{reason}; {_STAYS}", now)
            return
        removal = Removal(
            device_id=target.device_id,
            address=target.address.value,
            seen_at=target.seen_at,
            app=target.app,
            provider=target.provider,
            to=DeviceState.PRUNED if prune else DeviceState.QUARANTINED,
            reason=reason,
        )
        state = DeliveryState.PRUNED if prune else DeliveryState.REFUSED
        index = self._end(delivery, state, reason, now)
        self._batch.removals.append((index, removal, lane))

    def _close(self, delivery: Delivery) -> None:
        work = delivery.work
        work.open -= 1
        if work.open == 0:
            self._finish(work)

    def _finish(self, work: Work) -> None:
        work.finished = True
        self._batch.finish(work)


def _record(
    delivery: Delivery,
    state: DeliveryState,
    reason: str,
    now: float,
    vendor_id: str = "",
    next_at: float | None = None,
) -> Record:
    item, target, chunk = delivery.item, delivery.target, delivery.work.chunk
    return Record(
        event_id=chunk.event_id,
        index=item.index,
        device_id=target.device_id,
        state=state,
        attempts=delivery.attempts,
        at=now,
        user_id=item.user_id or target.user_id,
        custom_id=item.custom_id or target.custom_id,
        app=target.app,
        provider=target.provider,
        address_hash=address_hash(target.address.value),
        reason=reason,
        vendor_id=vendor_id or (MAYBE_TAKEN if delivery.is_unsure else ""),
        next_at=next_at,
        day=chunk.day,
    )


def _failed(
    delivery: Delivery,
    verdict: TokenGone | Throttled | Unavailable | Refused | Misconfigured,
    now: float,
) -> attempts.Failed:
    item, target = delivery.item, delivery.target
    return attempts.Failed(
        delivery.work.chunk.event_id,
        item.index,
        target.device_id,
        1,
        attempts.line(now, verdict.label, verdict.reason),
        item.user_id or target.user_id,
        item.custom_id or target.custom_id,
    )
