"""The dispatcher: claims chunks, works out their deliveries and hands them to the lanes.

Owns what is claimed and in which order, and the order of a shutdown: stop claiming, finish what is
in flight within a limit, put the rest back.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TypeVar

from gateway.core.chunks import fresh_until
from gateway.core.clocks import Clocks
from gateway.core.collapsing import collapse_id
from gateway.core.erased import for_their_time
from gateway.core.fanout import Known, Send, Wait, begun, bury, plan, stop
from gateway.core.model import (
    DATA_MESSAGES,
    Claim,
    Found,
    Item,
    Record,
    Remainder,
    Target,
    delivery_id,
    lane_name,
)
from gateway.core.pace import Pace
from gateway.core.staleness import without_stale
from gateway.core.states import DeliveryState
from gateway.events import ChunkBuried, IdsContradict, Observer, PutAside, StoreFailed
from gateway.ports import Standings
from gateway.relay.lane import Lane
from gateway.relay.leases import Leases
from gateway.relay.ports import RelayPorts
from gateway.relay.retrying import until_stored
from gateway.relay.settle import Settler
from gateway.relay.sifting import ALL_GO, sift
from gateway.relay.trials import Trials
from gateway.relay.work import Delivery, Work
from gateway.relay.write import Writer
from providers.contract import Message

T = TypeVar("T")

_SETTLE_S = 0.05


class Dispatcher:
    """Feeds the lanes from the queue. `lanes` is shared with app and housekeeping; `wake` is set
    when something may be claimed."""

    def __init__(
        self,
        *,
        ports: RelayPorts,
        lanes: Mapping[str, Lane],
        leases: Leases,
        settler: Settler,
        writer: Writer,
        wake: asyncio.Event,
        observer: Observer,
        clocks: Clocks,
        pace: Pace,
    ) -> None:
        self._ports = ports
        self._lanes = lanes
        self._leases = leases
        self._settler = settler
        self._writer = writer
        self._observer = observer
        self._clock = clocks.wall
        self._monotonic = clocks.monotonic
        self._doubt = clocks.doubt
        self._pace = pace
        self._wake = wake
        self._gate = writer.gate
        self._trials = Trials(
            queue=ports.queue,
            journal=ports.journal,
            leases=leases,
            lanes=lanes,
            begin=self._begin,
            patiently=self._patiently,
            clocks=clocks,
        )

    @property
    def unfinished(self) -> int:
        """Chunks under a lease of this process."""
        return len(self._leases.works)

    def wake(self) -> None:
        """Something was queued: look now."""
        self._wake.set()

    async def run(self) -> None:
        """Claim and fan out until cancelled; an outage of the store is waited out."""
        while True:
            await self._gate.passed()
            self._wake.clear()
            if self._leases.is_settling:
                await asyncio.sleep(_SETTLE_S)
                continue
            while (back := self._leases.ready()) is not None:
                await self._plan(back)
            room = self._room()
            if room < self._pace.chunk_items:
                await self._rest(self._pace.full_s)
                continue
            await self._trials.run()
            claims, proven_until = await self._patiently("claim", partial(self._claim, room))
            if claims:
                waiting = iter(claims)
                await asyncio.gather(
                    *(self._begin_each(waiting, proven_until) for _ in range(self._pace.fan_outs))
                )
            elif self._ports.queue.idle_s:
                await self._rest(self._ports.queue.idle_s)

    async def drain(self, limit_s: float) -> None:
        """Finish what is in flight within `limit_s`, put back the rest. Call after `run` ended."""
        for lane in self._lanes.values():
            lane.stop()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                while self._in_flight():  # noqa: ASYNC110  # transports have no event for it
                    await asyncio.sleep(0.02)
        # A transport that closes gives a verdict to all that is still in flight.
        await asyncio.gather(*(lane.transport.aclose() for lane in self._lanes.values()))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(5.0, limit_s)):
                await self._writer.flush()

    def _in_flight(self) -> bool:
        return any(lane.transport.in_flight for lane in self._lanes.values())

    # --- inside -------------------------------------------------------------------------------

    def _room(self) -> int:
        """Deliveries that the lanes have room for."""
        if not self._lanes:
            return self._pace.chunk_items
        return sum(lane.room for lane in self._lanes.values())

    async def _rest(self, seconds: float) -> None:
        """Wait until something may have changed."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()

    async def _claim(self, room: int) -> tuple[list[Claim], float]:
        """Lease as many chunks as there is room for; also returns until when the leases hold."""
        proven_until = self._leases.proven_until()
        if self._leases.is_settling:
            return [], proven_until
        closed = [name for lane in self._lanes.values() for name in lane.closed]
        claims = await self._ports.queue.claim(
            limit=min(self._pace.claim_chunks, room // self._pace.chunk_items),
            lease_s=self._leases.lease_s,
            now=self._clock(),
            skip_lanes=closed,
        )
        return claims, proven_until

    async def _begin_each(self, claims: Iterator[Claim], proven_until: float) -> None:
        for claim in claims:
            await self._begin(claim, proven_until)

    async def _begin(self, claim: Claim, proven_until: float) -> None:
        work = self._leases.take(claim, proven_until)
        if work is not None:
            await self._plan(work)

    async def _plan(self, work: Work) -> None:
        await self._patiently("look up devices", partial(self._fan_out, work))

    async def _fan_out(self, work: Work) -> None:
        chunk, now, doubt = work.chunk, self._clock(), self._doubt()
        work.deadline = fresh_until(chunk, now=now, doubt=doubt)
        items = [entry.item for entry in chunk.items]
        if not items:
            self._settler.begin(work, [])
            return
        looked_up = self._monotonic()
        known = await self._known(work)
        if known.cancelled:
            await self._stop(work, known, now)
            return
        is_hopeless, is_late = await self._trials.is_hopeless(work), work.deadline <= now
        source = items[0].source
        if is_late and doubt is not None and not is_hopeless:
            await self._leave(work)  # it may be fresh after all
            return
        if not (is_hopeless or is_late or self._ports.reaching.knows(source)):
            self._ports.reaching.came(source or "")
            await self._leave(work)
            return
        if is_hopeless:
            items = []  # no lookup, which may be what ends processes
        elif is_late:
            items = begun(chunk, known)
        found = await self._ports.registry.targets(items) if items else Found()
        targets, barred = self._ports.reaching.of(items, for_their_time(found, chunk.first_seen))
        before = self._ports.reaching.stale_before()
        targets = without_stale(chunk, items, targets, known, before=before, able=self._is_able)
        sifted = ALL_GO
        if not is_hopeless:
            draws = not is_late and doubt is None
            sifted = await sift(self._ports, chunk, targets, known, now=now, draws=draws)
        await self._leases.prove([work])
        if work.lost or work.proven_until <= self._monotonic():
            # The lookups took so long that another process may have the chunk and end it.
            self._leases.drop(work)
        elif is_hopeless:
            self._bury(work, known, now)
        elif is_late:
            theirs = zip(items, targets, strict=True)
            self._settler.begin(work, sifted.expired(chunk, known, theirs, now=now))
        else:
            todo = plan(
                chunk,
                targets,
                known,
                now=now,
                barred=barred,
                contradicting=found.contradicting,
            )
            theirs = zip(items, targets, strict=True)
            sifted.take_out_of(todo, chunk, known, theirs, now=now)
            if sifted.lots.rows:
                self._writer.batch.draw(sifted.lots.rows)
            if todo.contradicting:
                self._observer(IdsContradict(chunk.event_id, todo.contradicting))
            self._keep(work, todo.waits)
            self._offer(work, todo.sends, todo.ended, looked_up)

    def _is_able(self, target: Target) -> bool:
        """Whether this process can send to a device at all."""
        return not target.fault and lane_name(target.app, target.provider) in self._lanes

    async def _stop(self, work: Work, known: Known, now: float) -> None:
        """End a chunk whose event was cancelled."""
        await self._leases.prove([work])
        if work.lost or work.proven_until <= self._monotonic():
            self._leases.drop(work)
        else:
            self._settler.begin(work, stop(work.chunk, known, now=now))

    async def _leave(self, work: Work) -> None:
        """Leave a chunk for a moment: to a process that knows its source, or until the time is
        known. It comes again, and expires in time."""
        now, deadline = self._clock(), work.chunk.deadline
        until = now + self._ports.reaching.nap_s
        await self._ports.queue.snooze(work.claim, until=min(until, max(now + 1.0, deadline)))
        self._leases.drop(work)

    async def _known(self, work: Work) -> Standings:
        chunk = work.chunk
        return await self._ports.journal.progress(
            chunk.event_id, [entry.item.index for entry in chunk.items], day=chunk.day
        )

    def _keep(self, work: Work, waits: Sequence[Wait]) -> None:
        for item, target, attempts, due_at in waits:
            name = lane_name(target.app, target.provider)
            lane = self._lanes.get(name)
            part = "" if lane is None or target.fault else lane.part_of(target.address)
            place = (name, part)
            work.keep(item, Remainder(target.device_id, attempts), place=place, due_at=due_at)

    def _offer(
        self, work: Work, sends: Sequence[Send], ended: list[Record], looked_up: float
    ) -> None:
        by_part: dict[tuple[str, str], list[Delivery]] = {}
        faults: list[Send] = []
        event_id, deadline = work.chunk.event_id, work.deadline
        last: Item | None = None
        message = Message(event_id, "", "", None)
        sign = self._ports.receipting.of_event(event_id, work.chunk.day)
        asked = self._ports.receipting.modes
        collapsing = self._ports.collapsing
        for send in sends:
            item, target = send.item, send.target
            name = lane_name(target.app, target.provider)
            lane = self._lanes.get(name)
            if target.fault or (lane is None and target.provider not in self._ports.vendors):
                faults.append(send)
                continue
            if lane is None:
                ended.append(self._unknown_lane(work, send))
                continue
            if item is not last:
                # shared by all devices of its user, whose pushes come one after the other
                last, message = item, Message(event_id, item.title, item.body, item.path)
            part = lane.part_of(target.address)
            delivery = Delivery(
                delivery_id=delivery_id(event_id, item.index, target.device_id),
                address=target.address,
                message=message,
                expires_at=deadline,
                work=work,
                item=item,
                target=target,
                part=part,
                looked_up=looked_up,
                attempts=send.attempts,
                word=target.word_for(item),
            )
            # what few pushes have is set here: an argument would cost each of them
            if sign is not None and (mode := asked.get(target.app)):
                delivery.receipt = sign(item.index, target.device_id, target.measure)
                delivery.mutable = mode == "received"
            if item.collapse_id is not None:
                delivery.collapse_id = collapse_id(event_id, item, target.device_id)
            if target.stated & DATA_MESSAGES:
                delivery.is_data = True
            if collapsing.modes:
                collapsing.shape(delivery)
            by_part.setdefault((name, part), []).append(delivery)
        if faults:
            self._put_aside(work, faults)
        work.open = sum(map(len, by_part.values()))
        self._settler.begin(work, ended)
        for (name, part), deliveries in by_part.items():
            self._lanes[name].offer(part, deliveries)

    def _put_aside(self, work: Work, sends: Sequence[Send]) -> None:
        """End deliveries to devices of a later version as dead letters; that version can replay
        them."""
        batch = self._writer.batch
        for send in sends:
            reason = f"unreadable: {_fault_of(send.target)}"
            record = self._unknown_lane(work, send)
            index = batch.add(record._replace(state=DeliveryState.DEAD, reason=reason))
            batch.dead.append((index, send.item))
        first = _fault_of(sends[0].target)
        self._observer(PutAside("device", work.chunk.event_id, first, len(sends)))

    def _unknown_lane(self, work: Work, send: Send) -> Record:
        return Record(
            event_id=work.chunk.event_id,
            index=send.item.index,
            device_id=send.target.device_id,
            state=DeliveryState.REFUSED,
            attempts=send.attempts,
            at=self._clock(),
            user_id=send.item.user_id,
            custom_id=send.item.custom_id,
            app=send.target.app,
            provider=send.target.provider,
            reason="the configuration has no such app or provider",
            day=work.chunk.day,
        )

    def _bury(self, work: Work, known: Known, now: float) -> None:
        """Give up a chunk that no process could finish: it may be what ends processes."""
        chunk = work.chunk
        lone_ends = work.claim.trial.lone_ends if work.claim.trial else 0
        self._observer(ChunkBuried(chunk.event_id, chunk.number, lone_ends))
        self._settler.bury(work, bury(chunk, known, now=now))

    async def _patiently(self, what: str, step: Callable[[], Awaitable[T]]) -> T:
        """Repeat a step until the store answers."""
        return await until_stored(
            step, refused=lambda error: self._observer(StoreFailed(what, str(error)))
        )


def _fault_of(target: Target) -> str:
    """Why a device is sent nothing by this version."""
    return target.fault or (
        f"this version does not know the device's provider {target.provider[:40]!r}"
    )
