"""Second look-ups: no push starts on a look-up that is older than a second.

Owns which deliveries wait for a second look-up, and what it means for them: the phone may have
moved to another user, been logged out, got another address, or the event was cancelled. The store
is asked once at a time, for all that wait; while it is away, nothing old starts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial

from gateway.core.cancelling import CANCELLED
from gateway.core.clocks import MonotonicClock
from gateway.core.erased import is_in_time
from gateway.core.fanout import CONTRADICTION, GONE
from gateway.core.model import Found, Item, Target
from gateway.core.states import DeliveryState
from gateway.events import IdsContradict, Observer, StoreFailed
from gateway.ports import Cancels
from gateway.relay.order import Order
from gateway.relay.part import Part
from gateway.relay.ports import RelayPorts
from gateway.relay.retrying import until_stored
from gateway.relay.work import FRESH_S, Delivery

_NONE = DeliveryState.NO_DEVICE
Asked = tuple[Part, Sequence[Delivery]]
Gone = tuple[Delivery, DeliveryState, str]
"""A delivery that ends unsent, how and why."""


class Lookups:
    """Looks up again what has waited, and hands it to `order`; `gone` gets deliveries whose device
    is not their user's any more, or not their source's to reach, or whose event was cancelled, with
    how they end and why, and whether the journal has ended their items already, as an erase does;
    `returned` gets those whose device changed and that begin again from the queue.
    """

    def __init__(
        self,
        ports: RelayPorts,
        cancels: Cancels,
        *,
        order: Order,
        gone: Callable[[Sequence[Delivery], DeliveryState, str, bool], None],
        returned: Callable[[Sequence[Delivery], str, float | None], None],
        observer: Observer,
        monotonic: MonotonicClock,
    ) -> None:
        self._registry = ports.registry
        self._journal = ports.journal
        self._cancels = cancels
        self._reaching = ports.reaching
        self._superseding = ports.superseding
        self._order = order
        self._gone = gone
        self._returned = returned
        self._observer = observer
        self._monotonic = monotonic
        self._asked: list[Asked] = []
        self._stopped: list[Gone] = []
        #: when devices changed (monotonic), the latest last; older ones are of no use
        self.changed: dict[int, float] = {}
        self._wake = asyncio.Event()

    def ask(self, part: Part, deliveries: Sequence[Delivery]) -> None:
        """Look these up again; they come back to their lane, end, or return to the queue."""
        self._asked.append((part, deliveries))
        self._wake.set()

    def stop(self, deliveries: Iterable[Delivery], reason: str = CANCELLED) -> None:
        """These end: their events were cancelled, or they are not needed any more."""
        self._stopped += [_stop(delivery, reason) for delivery in deliveries]
        self._wake.set()

    def change(self, device_ids: Sequence[int]) -> None:
        """These devices have another user or address, or are gone: what was looked up before is
        looked up again."""
        now = self._monotonic()
        for device_id in device_ids:
            self.changed.pop(device_id, None)
            self.changed[device_id] = now
        while self.changed and next(iter(self.changed.values())) < now - FRESH_S:
            del self.changed[next(iter(self.changed))]

    async def run(self) -> None:
        """Look up what was asked for until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            asked, self._asked = self._asked, []
            gone, self._stopped = self._stopped, []
            if asked:
                gone += await self._look(asked)
            for (event_id, day, state, reason), lost in _by_event(gone).items():
                await self._end(event_id, day, state, reason, lost)

    # --- inside ---------------------------------------------------------------------------------

    async def _look(self, asked: Sequence[Asked]) -> list[Gone]:
        """Look these up; returns what ends."""
        items = {id(one.item): one.item for _, deliveries in asked for one in deliveries}
        events = {one.work.chunk.event_id for _, deliveries in asked for one in deliveries}
        seen = {
            id(one.item): one.work.chunk.first_seen for _, deliveries in asked for one in deliveries
        }
        asked_at, found, cancelled, done = await until_stored(
            partial(self._look_up, list(items.values()), events, seen), refused=self._refused
        )
        targets = {
            item: {target.device_id: target for target in devices}
            for item, devices in zip(items, found, strict=True)
        }
        places = list(items)
        others = {
            (places[place], target.device_id)
            for place, left_out in found.contradicting.items()
            for target in left_out
        }
        gone: list[Gone] = []
        for part, deliveries in asked:
            needed = deliveries
            if done:
                needed = [one for one in deliveries if id(one.item) not in done or one.work.lost]
                gone += [
                    _stop(one, done[id(one.item)])
                    for one in deliveries
                    if id(one.item) in done and not one.work.lost
                ]
                part.looked_up(len(deliveries) - len(needed))
            gone += self._judge(part, needed, targets, others, cancelled, asked_at)
        return gone

    async def _look_up(
        self, items: Sequence[Item], events: Collection[str], seen: Mapping[int, float]
    ) -> tuple[float, Found, Collection[str], Mapping[int, str]]:
        """Ask once for the devices, which events were cancelled, and which items are not needed any
        more; the age of the answer counts from now."""
        asked_at = self._monotonic()
        found, cancelled, done = await asyncio.gather(
            self._registry.targets(items),
            self._cancels.among(events),
            self._superseding.among((item, seen[id(item)]) for item in items),
        )
        return asked_at, found, cancelled, done

    def _judge(
        self,
        part: Part,
        deliveries: Sequence[Delivery],
        targets: Mapping[int, Mapping[int, Target]],
        others: Collection[tuple[int, int]],
        cancelled: Collection[str],
        asked_at: float,
    ) -> list[Gone]:
        """Let go on what may; returns what ends, and why. `others` has the items (by `id`) and
        devices whose ids contradict each other, `cancelled` the events that are."""
        fresh: list[Delivery] = []
        gone: list[Gone] = []
        changed: list[Delivery] = []
        unknown: list[Delivery] = []
        for delivery in deliveries:
            before = delivery.target
            target = targets[id(delivery.item)].get(before.device_id)
            if delivery.work.lost:
                changed.append(delivery)  # its chunk is another's by now, and what goes back ends
            elif cancelled and delivery.work.chunk.event_id in cancelled:
                gone.append(_stop(delivery))
            elif target is None or not is_in_time(target, delivery.work.chunk.first_seen):
                is_other = (id(delivery.item), before.device_id) in others
                gone.append((delivery, _NONE, CONTRADICTION if is_other else GONE))
            elif not self._reaching.knows(delivery.item.source):
                unknown.append(delivery)
            elif why := self._reaching.bar(delivery.item, target):
                gone.append((delivery, _NONE, why))
            elif target.fault or target[1:4] != before[1:4]:  # its app, provider and address
                changed.append(delivery)
            else:
                delivery.target, delivery.looked_up = target, asked_at
                delivery.word = target.word_for(delivery.item)
                delivery.is_data = target.takes_data_messages
                fresh.append(delivery)
        part.looked_up(len(deliveries))
        self._returned(changed, "its address has changed", None)
        self._returned(unknown, "the configuration does not name its source", None)
        self._order.go_on(part, fresh)
        return gone

    async def _end(
        self,
        event_id: str,
        day: int,
        state: DeliveryState,
        reason: str,
        deliveries: Sequence[Delivery],
    ) -> None:
        """End deliveries unsent: those of an erased user without a word of theirs."""
        indexes = [delivery.item.index for delivery in deliveries]
        known = await until_stored(
            partial(self._journal.progress, event_id, indexes, day=day), refused=self._refused
        )
        groups: dict[bool, list[Delivery]] = {False: [], True: []}
        for delivery in deliveries:
            whole = known.get((delivery.item.index, 0))
            groups[whole is not None and whole[0].is_terminal].append(delivery)
        for is_ended, some in groups.items():
            self._gone(some, state, reason, is_ended)
        if reason == CONTRADICTION and groups[False]:
            count = len({delivery.item.index for delivery in groups[False]})
            self._observer(IdsContradict(event_id, count))

    def _refused(self, error: BaseException | None) -> None:
        self._observer(StoreFailed("look up devices again", str(error)))


def _stop(delivery: Delivery, reason: str = CANCELLED) -> Gone:
    return delivery, DeliveryState.CANCELLED, reason


def _by_event(
    gone: Sequence[Gone],
) -> dict[tuple[str, int, DeliveryState, str], list[Delivery]]:
    groups: dict[tuple[str, int, DeliveryState, str], list[Delivery]] = {}
    for delivery, state, reason in gone:
        chunk = delivery.work.chunk
        groups.setdefault((chunk.event_id, chunk.day, state, reason), []).append(delivery)
    return groups
