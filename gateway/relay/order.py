"""The order of pushes that replace each other: none starts after a newer one of its key.

Owns which deliveries wait until another one of their device and key has ended, and what a newer one
has overtaken. The store is asked for many at once, shortly before they start, and is told when they
have ended. What may start has as long for it as its look-up is good, so it asks anew for every
later start, whatever lies between: a retry, a hold, another process. Where an app's pushes do not
replace each other, nothing is asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

from gateway.core.agreement import AGREE_S
from gateway.core.clocks import Clocks
from gateway.core.collapsing import origin_of
from gateway.core.model import Record, lane_name
from gateway.errors import StoreUnavailable
from gateway.events import Observer, StoreFailed
from gateway.ports import Start, Starts
from gateway.ports.starts import Answer
from gateway.relay.collapsing import Collapsing
from gateway.relay.lane import Lane
from gateway.relay.part import Part
from gateway.relay.retrying import until_stored
from gateway.relay.work import FRESH_S, USABLE_S, Delivery

#: how long is gathered before it is asked: less writes more often, and lets older ones come late
_GATHER_S = 0.01
#: how often what waits asks again: another process may have ended what it waits for
_AGAIN_S = 0.05
#: the most that is asked at once
_MOST = 512

Waiting = tuple[Part, Delivery]


class Order:
    """See the module. `lanes` is shared with app; `overtaken` gets deliveries that are to end.
    `name` is the process' own."""

    def __init__(
        self,
        starts: Starts,
        lanes: Mapping[str, Lane],
        *,
        collapsing: Collapsing,
        overtaken: Callable[[Sequence[Delivery]], None],
        name: str,
        observer: Observer,
        clocks: Clocks,
    ) -> None:
        self._starts = starts
        self._lanes = lanes
        self._collapsing = collapsing
        self._overtaken = overtaken
        self._name = name
        self._observer = observer
        self._clocks = clocks
        self._monotonic = clocks.monotonic
        self._waiting: list[Waiting] = []
        #: what may start, and until when (monotonic), by event, item and device; the oldest first
        self._started: dict[tuple[str, int, int], tuple[float, Start]] = {}
        self._wake = asyncio.Event()

    @property
    def holds(self) -> bool:
        """Whether anything was let go that the store has not been told the end of."""
        return bool(self._started)

    def go_on(self, part: Part, deliveries: Sequence[Delivery]) -> None:
        """Let deliveries go on that were looked up just now: those with a key by asking first."""
        if self._collapsing.is_ordered(part.app):
            keyed = [(part, delivery) for delivery in deliveries if delivery.collapse_id]
            if keyed:
                self._waiting += keyed
                self._wake.set()
                deliveries = [delivery for delivery in deliveries if not delivery.collapse_id]
        if deliveries:
            self._resume(part, deliveries)

    async def ended(self, records: Iterable[Record]) -> None:
        """These are on record, as ended or as left for later: others of their keys may start."""
        over = [
            found[1]
            for record in records
            if (found := self._started.pop((record.event_id, record.index, record.device_id), None))
        ]
        if over:
            with contextlib.suppress(StoreUnavailable):  # it ends by itself in a second
                await self._starts.release(over)
            self._wake.set()

    async def run(self) -> None:
        """Ask for what waits until cancelled."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_AGAIN_S if self._waiting else None):
                    await self._wake.wait()
            await asyncio.sleep(_GATHER_S)
            self._wake.clear()
            self._forget()
            if self._waiting:
                await self._ask()

    # --- inside ---------------------------------------------------------------------------------

    async def _ask(self) -> None:
        """Ask for one of each device and key, the one received first."""
        asked, back = self._firsts()
        if asked:
            starts = [self._start(delivery) for _, delivery in asked]
            answers = await until_stored(partial(self._answers, starts), refused=self._refused)
            until = self._monotonic() + FRESH_S
            for one, start, answer in zip(asked, starts, answers, strict=True):
                if answer == "overtaken":
                    self._overtaken([one[1]])
                elif answer == "waits":
                    self._waiting.append(one)
                else:
                    name = one[1].work.chunk.event_id, one[1].item.index, start.device_id
                    self._started.pop(name, None)
                    self._started[name] = until, start
                    back.append(one)
        parts: dict[Part, list[Delivery]] = {}
        for part, delivery in back:
            parts.setdefault(part, []).append(delivery)
        for part, deliveries in parts.items():
            self._resume(part, deliveries)

    def _firsts(self) -> tuple[list[Waiting], list[Waiting]]:
        """Take from what waits whom to ask for, and what goes back: it ends, or is looked up
        again by its lane."""
        now = self._monotonic()
        waiting, self._waiting = sorted(self._waiting, key=_turn), []
        firsts: dict[tuple[int, str], Waiting] = {}
        back: list[Waiting] = []
        for one in waiting:
            _, delivery = one
            key = delivery.target.device_id, delivery.collapse_id
            if delivery.work.lost or delivery.looked_up <= now - USABLE_S:
                back.append(one)
            elif key in firsts:
                self._waiting.append(one)
            elif len(firsts) < _MOST:
                firsts[key] = one
            else:
                self._waiting.append(one)
                self._wake.set()  # the rest has its turn at once
        return list(firsts.values()), back

    async def _answers(self, asked: Sequence[Start]) -> list[Answer]:
        now = self._clocks.wall()
        latest = math.inf if self._clocks.doubted() else now + AGREE_S
        return await self._starts.ask(asked, now=now, latest=latest, for_s=FRESH_S)

    def _start(self, delivery: Delivery) -> Start:
        """What is asked for a delivery. A correction is as old as what it corrects."""
        chunk = delivery.work.chunk
        return Start(
            delivery.target.device_id,
            delivery.collapse_id,
            origin_of(chunk.event_id, delivery.item).event_id,
            chunk.first_seen,
            f"{self._name}/{delivery.delivery_id}",
        )

    def _resume(self, part: Part, deliveries: Sequence[Delivery]) -> None:
        """Hand deliveries back to their lane, if it still is theirs. Those of a chunk whose lease
        was lost end here: their lane has dropped the chunk, and waits for none of it."""
        if lost := [one for one in deliveries if one.work.lost]:
            part.give_back_these(lost)
            deliveries = [one for one in deliveries if not one.work.lost]
        lane = self._lanes.get(lane_name(part.app, part.vendor))
        if lane is not None and lane.parts.get(part.name) is part:
            lane.resume(part, deliveries)
        else:
            part.give_back_these(deliveries)

    def _forget(self) -> None:
        """Forget what was let go so long ago that it needs no release."""
        now = self._monotonic()
        while self._started and next(iter(self._started.values()))[0] < now - FRESH_S:
            del self._started[next(iter(self._started))]

    def _refused(self, error: BaseException | None) -> None:
        self._observer(StoreFailed("ask for the order of pushes", str(error)))


def _turn(waiting: Waiting) -> tuple[float, str, int]:
    _, delivery = waiting
    chunk = delivery.work.chunk
    return chunk.first_seen, chunk.event_id, delivery.item.index
