"""The relay as a whole: its parts, and how they start, reload and end together."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from gateway.app.correcting import Corrector
from gateway.app.experimenting import Experimenter
from gateway.app.lanes import (
    LanePlan,
    brake_rule,
    collapses_of,
    make_lane,
    plan_lanes,
    receipts_of,
)
from gateway.app.learning import keep_of
from gateway.app.replaying import cut_again
from gateway.app.sources import limits_of, word_with
from gateway.app.storage import Stores
from gateway.core.clocks import Clocks
from gateway.core.ids import Ids
from gateway.core.newer import NEWER_SENT
from gateway.core.pace import Pace
from gateway.core.receipts import ReceiptWords
from gateway.core.states import DeliveryState
from gateway.core.suppressing import words_with
from gateway.errors import StoreUnavailable
from gateway.events import Observer
from gateway.relay.collapsing import Collapsing
from gateway.relay.device_counts import DeviceCounts
from gateway.relay.dispatcher import Dispatcher
from gateway.relay.gate import Gate
from gateway.relay.heartbeat import Heartbeat
from gateway.relay.holds import Holds
from gateway.relay.housekeeping import Housekeeping
from gateway.relay.lane import Lane
from gateway.relay.leases import Leases
from gateway.relay.listeners import Listeners
from gateway.relay.lookups import Lookups
from gateway.relay.order import Order
from gateway.relay.ports import RelayPorts
from gateway.relay.reaching import Reaching
from gateway.relay.receipting import Receipting
from gateway.relay.settle import Settler
from gateway.relay.stopping import Stops
from gateway.relay.superseding import Superseding
from gateway.relay.watch import Watch
from gateway.relay.work import Delivery
from gateway.relay.write import Writer
from gateway.tasks import end
from providers.contract import PushProvider
from providers.vendor import Vendors

if TYPE_CHECKING:
    from config.settings import Settings

_CLOSE_S = 60.0


class Relay:
    """Sends the queued chunks. `failed` is called when a fault ends one of its loops."""

    def __init__(
        self,
        settings: Settings,
        vendors: Vendors,
        stores: Stores,
        device_counts: DeviceCounts,
        *,
        observer: Observer,
        clocks: Clocks,
        ids: Ids,
        pace: Pace,
        failed: Callable[[BaseException], None],
    ) -> None:
        self._settings = settings
        self._vendors = vendors
        self._stores = stores
        self._device_counts = device_counts
        self._observer = observer
        self._clocks = clocks
        self._pace = pace
        self._failed = failed
        self.lanes: dict[str, Lane] = {}
        #: what each lane's transport is made of
        self._identities: dict[str, object] = {}
        gate = Gate(self.lanes, monotonic=clocks.monotonic)
        wake = asyncio.Event()
        self._word = word_with(stores.secret)
        self.reaching = Reaching(
            limits_of(settings, self._word),
            self._word,
            observer=observer,
            clocks=clocks,
            nap_s=pace.unknown_s,
            stale_after_days=settings.devices.stale_after_days,
        )
        self._receipting = Receipting(ReceiptWords(stores.secret))
        self._receipting.learn(receipts_of(settings))
        self._collapsing = Collapsing(collapses_of(settings))
        done, words = stores.store.suppressions, words_with(stores.secret)
        self._superseding = Superseding(done, words, pace.chunk_items, woken=wake.set)
        self._superseding.learn(bool(settings.suppress))
        self.experimenter = Experimenter(
            stores, wake=wake.set, observer=observer, clocks=clocks, pace=pace
        )
        ports = RelayPorts(
            stores.registry,
            stores.journal,
            stores.queue,
            stores.lanes,
            frozenset(vendors),
            self.reaching,
            self._collapsing,
            self._receipting,
            self._superseding,
            self.experimenter.drawing,
        )
        self._leases = Leases(
            stores.queue,
            lanes=self.lanes,
            gate=gate,
            wake=wake.set,
            observer=observer,
            clocks=clocks,
            lease_s=settings.relay.lease_s,
            pace=pace,
        )
        if stores.broker is not None:
            stores.broker.when_lost(self._leases.doubt)
        self._order = Order(
            stores.starts,
            self.lanes,
            collapsing=self._collapsing,
            overtaken=self._overtaken,
            name=ids.process(),
            observer=observer,
            clocks=clocks,
        )
        self._writer = Writer(
            ports=ports,
            device_counts=device_counts,
            leases=self._leases,
            order=self._order,
            gate=gate,
            observer=observer,
            clocks=clocks,
            pace=pace,
        )
        cancelled: set[str] = set()
        self._settler = Settler(
            self._writer,
            cancelled=cancelled,
            observer=observer,
            clocks=clocks,
            max_attempts=settings.relay.max_attempts,
        )
        self._holds = Holds(stores.lanes, observer=observer, wall=clocks.wall)
        self._lookups = Lookups(
            ports,
            stores.store.cancels,
            order=self._order,
            gone=self._settler.gone,
            returned=self._settler.returned,
            observer=observer,
            monotonic=clocks.monotonic,
        )
        self._listeners = Listeners(
            verdicts=self._settler.verdicts,
            returned=self._settler.returned,
            old=self._lookups.ask,
            held=self._holds.changed,
            changed=self._lookups.changed,
            observer=observer,
        )
        corrector = Corrector(
            stores.journal,
            stores.store.cancels,
            stores.queue,
            partial(cut_again, max_age_s=settings.relay.max_age_s, chunk_items=pace.chunk_items),
            observer,
            pace.chunk_items,
            wake.set,
        )
        self._stops = Stops(
            ports,
            stores.store.cancels,
            self.lanes,
            known=cancelled,
            stopped=self._lookups.stop,
            correct=corrector.correct,
            observer=observer,
            clocks=clocks,
            every_s=pace.follow_s,
        )
        self._watch = Watch(self.lanes, observer=observer, monotonic=clocks.monotonic, pace=pace)
        self._dispatcher = Dispatcher(
            ports=ports,
            lanes=self.lanes,
            leases=self._leases,
            settler=self._settler,
            writer=self._writer,
            wake=wake,
            observer=observer,
            clocks=clocks,
            pace=pace,
        )
        self._housekeeping = Housekeeping(
            registry=stores.registry,
            journal=stores.journal,
            lane_store=stores.lanes,
            audit=stores.audit,
            lanes=self.lanes,
            observer=observer,
            clocks=clocks,
            pace=pace,
            keep=keep_of(settings),
        )
        self._heartbeat = Heartbeat(
            stores.store.replicas,
            name=ids.process(),
            role=settings.server.role,
            lanes=self.lanes,
            observer=observer,
            clocks=clocks,
            every_s=pace.beat_s,
        )
        self._claiming: asyncio.Task[None] | None = None
        self._duties: list[asyncio.Task[None]] = []
        self._retiring: dict[asyncio.Task[None], None] = {}
        self._broken = False

    async def start(self, plans: list[LanePlan]) -> None:
        """Open the lanes and begin to claim."""
        await self._heartbeat.beat()
        await self.experimenter.learn(self._settings)
        for plan in plans:
            self.lanes[plan.name] = await self._open_lane(plan, self._settings)
        await self._stores.queue.rescue()
        await self._device_counts.count()
        self._claiming = self._run(self._dispatcher.run())
        self._duties = [
            self._run(self._writer.run()),
            self._run(self._leases.keep()),
            self._run(self._housekeeping.run()),
            self._run(self._heartbeat.run()),
            self._run(self._watch.run()),
            self._run(self._lookups.run()),
            self._run(self._order.run()),
            self._run(self._stops.run()),
            self._run(self.experimenter.run()),
        ]

    def wake(self) -> None:
        """Something was queued by this process."""
        self._dispatcher.wake()

    def moved(self, by: float) -> None:
        """The gateway's time was moved by so many seconds."""
        self._leases.moved()
        for lane in self.lanes.values():
            lane.moved(by)

    def changed(self, device_ids: Sequence[int]) -> None:
        """This process changed these devices: they have another user or address, or are gone."""
        self._lookups.change(device_ids)

    def cancelled(self, event_id: str) -> None:
        """This process cancelled an event."""
        self._stops.learn([event_id])

    def stood_still(self) -> None:
        """The process did not run for a while: leases are checked before anything is sent."""
        self._leases.doubt()

    def given_up(self) -> str:
        """What would be given up by an end at once, for people."""
        in_flight = sum(lane.transport.in_flight for lane in self.lanes.values())
        return (
            f"{in_flight} pushes in flight and {self._writer.batch.size} results that are not on "
            f"record yet (they may be sent again), {self._dispatcher.unfinished} chunks (they go "
            "on at the next start)"
        )

    async def reload(self, settings: Settings) -> None:
        """Apply new credentials, limits and apps, and what each source may reach; pushes in flight
        end on the old transports.

        Raises ConfigurationError, with nothing changed, when a credential cannot be read.
        """
        planned = plan_lanes(settings, self._vendors, clock=self._clocks.wall)
        plans = {plan.name: plan for plan in planned}
        await self.experimenter.learn(settings)
        self.reaching.learn(limits_of(settings, self._word), settings.devices.stale_after_days)
        self._receipting.learn(receipts_of(settings))
        self._superseding.learn(bool(settings.suppress))
        self._collapsing.learn(collapses_of(settings))
        for name, plan in plans.items():
            lane = self.lanes.get(name)
            if lane is None:
                self.lanes[name] = await self._open_lane(plan, settings)
            else:
                await self._renew(lane, plan, settings)
        for name in [name for name in self.lanes if name not in plans]:
            lane = self.lanes.pop(name)
            del self._identities[name]
            lane.stop()
            self._retire(lane.transport)
            await self._stores.lanes.report([lane.last_row()])
        self._settings = settings
        self._dispatcher.wake()

    async def stop(self, limit_s: float) -> None:
        """Stop claiming, finish what is in flight within the limit, put back the rest."""
        await end(self._claiming)
        ends_at = self._clocks.monotonic() + limit_s
        # First the transports that a reload replaced: the last flush needs their verdicts, too.
        await self._end_retiring(limit_s)
        await self._dispatcher.drain(max(0.0, ends_at - self._clocks.monotonic()))
        for duty in self._duties:
            await end(duty)
        await self._holds.aclose()
        if not self._broken:
            # After a fault the tries stand: a chunk in hand may have been the cause.
            with contextlib.suppress(StoreUnavailable):  # their leases run out
                await self._stores.queue.let_go()
        if self._heartbeat.relays > 1:
            await self._housekeeping.hand_over()
        await self._heartbeat.leave()

    # --- inside -------------------------------------------------------------------------------

    def _overtaken(self, deliveries: Sequence[Delivery]) -> None:
        self._settler.gone(deliveries, DeliveryState.CANCELLED, NEWER_SENT, False)

    async def _open_lane(self, plan: LanePlan, settings: Settings) -> Lane:
        lane = make_lane(
            plan, settings, clocks=self._clocks, pace=self._pace, listeners=self._listeners
        )
        self._heartbeat.share(lane)
        await self._housekeeping.take_over(lane)
        await lane.transport.start()
        self._identities[plan.name] = plan.identity
        return lane

    async def _renew(self, lane: Lane, plan: LanePlan, settings: Settings) -> None:
        """Apply a plan to a lane. A transport that would be made of the same stays, with its
        connections and tokens."""
        transport = lane.transport
        if self._identities[plan.name] != plan.identity:
            transport = plan.make()
            await transport.start()
            self._identities[plan.name] = plan.identity
        lane.set_limits(plan.rate_per_s, plan.ramp_s, brake_rule(settings))
        old = lane.replace_transport(transport)
        if old is not transport:
            self._retire(old)

    def _retire(self, provider: PushProvider) -> None:
        """Close a transport once its pushes have their verdicts."""

        async def close() -> None:
            try:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_CLOSE_S):
                        while provider.in_flight:  # noqa: ASYNC110  # it has no event
                            await asyncio.sleep(0.1)
            finally:
                await provider.aclose()

        task = asyncio.get_running_loop().create_task(close())
        self._retiring[task] = None
        task.add_done_callback(self._retiring.pop)

    async def _end_retiring(self, limit_s: float) -> None:
        """Wait for the transports that a reload replaced; meanwhile the others start nothing."""
        retiring = list(self._retiring)
        if not retiring:
            return
        for lane in self.lanes.values():
            lane.stop()
        await asyncio.wait(retiring, timeout=limit_s)
        for task in retiring:
            task.cancel()
        await asyncio.wait(retiring)

    def _run(self, loop: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(loop)
        task.add_done_callback(self._look_at)
        return task

    def _look_at(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._broken = True
            self._failed(error)
