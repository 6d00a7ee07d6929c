"""The gateways of a history: relays, and the supervisors that start them again.

Owns how a process of the product is built from its own objects: what `open_gateway` does, without
sockets and threads. Only time, the disk's threads, the transports and ids are stood in for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Literal, cast

from config.settings import Settings
from gateway.app.erasing import eraser_of
from gateway.app.ids import RANDOM
from gateway.app.lanes import LanePlan
from gateway.app.relay import Relay
from gateway.app.settings import settings_model
from gateway.app.storage import Stores
from gateway.app.timekeeping import Timekeeper
from gateway.app.vendors import VENDORS
from gateway.core.agreement import Correction
from gateway.core.clocks import Clocks, Monotonic, Wall
from gateway.core.ids import Ids
from gateway.core.model import Chunk, Claim, lane_name
from gateway.core.pace import Pace
from gateway.core.stored import Forms
from gateway.events import (
    BrakeReleased,
    BrakeTripped,
    Fault,
    GatewayEvent,
    LaneHeld,
    LaneResumed,
    PartsFailing,
    PartsReached,
    StoreFailed,
)
from gateway.ports import ClockRow
from gateway.ports.replicas import REPLICA_ALIVE_S, look
from gateway.queue.in_store import InStoreQueue
from gateway.relay.device_counts import DeviceCounts
from gateway.relay.work import Delivery
from gateway.store.sqlite.database import SqliteDatabase
from gateway.store.sqlite.store import SqliteStore
from gateway.store.sqlite.times import SqliteTimes
from providers.contract import PushProvider
from providers.vendor import Plan as VendorPlan
from providers.vendor import Vendors
from tests.kit.stores import fresh_secret
from tests.simulation.disk import DiskEngine
from tests.simulation.doors import APP, Doors
from tests.simulation.invariants.leases import LeaseInvariants
from tests.simulation.loop import Process
from tests.simulation.plan import Sizes
from tests.simulation.trace import Trace
from tests.simulation.truth import EPOCH, MONOTONIC_BEGAN, POISON
from tests.simulation.vendors import WatchedTransport, key_of

if TYPE_CHECKING:
    from tests.simulation.world import World

Moment = Literal["claim", "verdict", "renewal"]
"""When something may happen to a process: it asks for chunks, has decided about verdicts, or asks
for more time for its chunks."""
_LOOK_S = 0.5


@cache
def _settings(relay: tuple[tuple[str, float], ...], collapse: str, receipts: str) -> Settings:
    app = {
        "id": APP,
        "collapse": collapse,
        "receipts": receipts,
        "fcm": {"credentials_file": "none.json"},
        "apns": {
            "key_file": "none.p8",
            "key_id": "ABCDEFGHIJ",
            "team_id": "ABCDEFGHIJ",
            "topic": "demo.app",
        },
    }
    return _model().model_validate({"relay": dict(relay), "apps": (app,)})


_model = cache(settings_model)


def settings_of(sizes: Sizes) -> Settings:
    """The configuration that these sizes come to."""
    names = (
        "max_age_s",
        "max_attempts",
        "lease_s",
        "drain_s",
        "brake_share",
        "brake_min_devices",
        "brake_window_s",
        "probe_s",
    )
    relay = tuple((name, getattr(sizes, name)) for name in names)
    return _settings(relay, sizes.collapse, "received" if sizes.asks_receipts else "off")


def pace_of(sizes: Sizes) -> Pace:
    """The pace that these sizes come to: every edge is near."""
    return Pace(
        chunk_items=sizes.chunk_items,
        claim_chunks=sizes.claim_chunks,
        fan_outs=sizes.fan_outs,
        idle_s=sizes.idle_s,
        full_s=0.25,
        backlog=sizes.backlog,
        flush_s=sizes.flush_s,
        flush_rows=sizes.flush_rows,
        slow_s=sizes.slow_s,
        beat_s=sizes.beat_s,
        follow_s=sizes.follow_s,
        watch_s=sizes.watch_s,
        silent_s=sizes.silent_s,
        purge_s=sizes.purge_s,
    )


class Household:
    """Which relays are alive on a store that several share: as PostgreSQL's table says."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.now = now
        self.beats: dict[str, float] = {}

    def beat(self, replica: str) -> int:
        now = self.now()
        self.beats[replica] = now
        return sum(at > now - REPLICA_ALIVE_S for at in self.beats.values())


class SharedReplicas:
    """The port `gateway.ports.Replicas` for several relays."""

    def __init__(self, household: Household) -> None:
        self.forms = Forms()
        self.time: float | None = None
        self._household = household

    async def beat(self, replica: str, role: str, *, now: float) -> int:  # noqa: ARG002
        await self.look()
        return self._household.beat(replica)

    async def look(self) -> None:
        """Every form is read by everybody; the database tells the time."""
        self.time = EPOCH + self._household.now()
        await asyncio.sleep(0.001)

    async def leave(self, replica: str) -> None:
        self._household.beats.pop(replica, None)


class SharedTimes(SqliteTimes):
    """The port `gateway.ports.Times` for several relays: the database's clock counts."""

    async def redate(self, correction: Correction, *, now: float) -> None:
        """Nothing, as on PostgreSQL."""

    async def newest(self) -> None:
        """None, as on PostgreSQL."""

    async def recall(self, *, now: float, began: float, wrong: Sequence[ClockRow] = ()) -> None:  # noqa: ARG002
        await super().recall(now=now, began=began)


class WatchedQueue(InStoreQueue):
    """The product's queue; `shared`: no relay ends the leases of another, as on PostgreSQL."""

    shared = False
    trace: Trace
    invariants: LeaseInvariants
    reached: Callable[[Moment], None]

    async def claim(
        self, *, limit: int, lease_s: float, now: float, skip_lanes: Sequence[str] = ()
    ) -> list[Claim]:
        self.reached("claim")
        claims = await super().claim(limit=limit, lease_s=lease_s, now=now, skip_lanes=skip_lanes)
        self.invariants.claimed(claims)
        return claims

    async def claim_suspect(
        self, *, lease_s: float, now: float, skip_lanes: Sequence[str] = ()
    ) -> Claim | None:
        asked_at = asyncio.get_running_loop().time()
        claim = await super().claim_suspect(lease_s=lease_s, now=now, skip_lanes=skip_lanes)
        if claim is not None:
            self.invariants.tried(claim, asked_at)
        return claim

    async def rescue(self) -> int:
        return 0 if self.shared else await super().rescue()

    async def extend(self, claims: Sequence[Claim], *, lease_s: float, now: float) -> set[int]:
        self.reached("renewal")
        lost = await super().extend(claims, lease_s=lease_s, now=now)
        if lost:
            self.trace.count("a lease was lost")
        return lost

    async def settle(
        self, claim: Claim, leftovers: Sequence[Chunk], postponed: Sequence[Chunk] = ()
    ) -> bool:
        if leftovers:
            self.trace.count("leftovers")
        if postponed:
            self.trace.count("the journal was ahead")
        settled = await super().settle(claim, leftovers, postponed)
        if settled:
            self.invariants.settled(claim)
        return settled


class Life:
    """One process of a relay, from its start to its death. `who` names it: "relay 0.2".

    `relay` and `doors` are there once it is `ready`.
    """

    relay: Relay
    doors: Doors

    def __init__(self, house: Replica, number: int) -> None:
        self._house = house
        self.who = f"relay {house.number}.{number}"
        self.process = Process(self.who)
        self.ready = False
        self.failure: BaseException | None = None
        self.ended = asyncio.get_running_loop().create_future()
        self._stopping = asyncio.Event()
        self._ids = 0
        self.timekeeper = Timekeeper(Clocks(self._wall, self._monotonic))

    def start(self) -> None:
        """Run it in its own context."""
        loop = asyncio.get_running_loop()
        self._task = loop.create_task(self._run(), context=self.process.context)

    def finish(self) -> None:
        """SIGTERM: drain, then end."""
        self.ready = False
        world = self._house.world
        world.findings.draining[self.who] = world.truth.now
        self.process.context.run(self._stopping.set)

    @property
    def name_in_leases(self) -> str:
        """What the ids of its leases begin with, up to an x."""
        return self.who.replace(" ", "")

    def clocks(self) -> Clocks:
        return self.timekeeper.clocks

    def pushing(self, delivery: Delivery) -> None:
        """A push leaves: what is poison ends the process."""
        claim, world = delivery.work.claim, self._house.world
        held = "SELECT lease_id FROM queue WHERE id = ?"
        row = world.disk.connection.execute(held, (claim.queue_id,)).fetchone()
        world.pushes.held(
            self.who, key_of(delivery), claim.lease_id, None if row is None else row[0]
        )
        self._probes(delivery)
        if delivery.item.title == POISON:
            self._house.kill("poison")

    def reached(self, moment: Moment) -> None:
        """The process comes to such a moment: what waits for it happens."""
        for happen in self._house.waiting.pop(moment, ()):
            happen()

    # --- inside ---------------------------------------------------------------------------------

    def _probes(self, delivery: Delivery) -> None:
        """Who else has a push in memory that may go, while one of this part leaves."""
        lane, name = delivery.place
        now, wall = self._monotonic(), self.timekeeper()
        others = {
            other.target.device_id
            for other in self.relay.lanes[lane].parts[name].backlog
            if other.work.proven_until > now and other.expires_at > wall
        }
        name_of_part = (self.who, lane, name)
        parts = self._house.world.pushes.parts
        parts.probes(name_of_part, delivery.target.device_id, others)

    def _wall(self) -> Wall:
        return Wall(EPOCH + self._house.world.loop.time() + self._house.clock_off)

    def _monotonic(self) -> Monotonic:
        return Monotonic(MONOTONIC_BEGAN + self._house.world.loop.time())

    @property
    def _lease_prefix(self) -> str:
        """What the ids of its leases begin with."""
        return f"{self.name_in_leases}x"

    def _new_id(self) -> str:
        self._ids += 1
        return f"{self._lease_prefix}{self._ids}"

    def _written(self) -> None:
        self._house.world.findings.wrote_at[self.who] = self._house.world.truth.now

    def _observe(self, event: GatewayEvent) -> None:
        trace = self._house.world.trace
        self._observe_parts(event)
        match event:
            case BrakeTripped(app=app, provider=provider):
                trace.count("the brake was on")
                self._house.world.findings.braked(lane_name(app, provider))
            case BrakeReleased(app=app, provider=provider):
                self._house.world.findings.let_go(lane_name(app, provider))
            case StoreFailed(what=what):
                trace.count(f"store failed: {what}")
            case Fault(what=what, error=error):
                self._house.world.findings.broken("it_lives", f"{what}: {error}")
            case _:
                pass
        trace.count(type(event).__name__)

    def _observe_parts(self, event: GatewayEvent) -> None:
        parts = self._house.world.pushes.parts
        match event:
            case LaneHeld(app=app, provider=provider, part=part, held="misconfigured"):
                parts.held((self.who, lane_name(app, provider), part))
            case LaneResumed(app=app, provider=provider, part=part):
                parts.resumed((self.who, lane_name(app, provider), part))
            case PartsFailing(parts=failing):
                for app, provider, part in failing:
                    parts.fails((self.who, lane_name(app, provider), part))
            case PartsReached(parts=reached):
                for app, provider, part in reached:
                    parts.reached((self.who, lane_name(app, provider), part))
            case _:
                pass

    def _failed(self, error: BaseException) -> None:
        self.failure = error
        self._house.world.findings.broken("it_lives", f"{self.who} failed: {error!r}")
        self._stopping.set()

    async def _run(self) -> None:
        world = self._house.world
        sizes = world.plan.sizes
        if self._house.clock_off and sizes.relays == 1:
            world.findings.began_wrong = True
        clocks, pace, settings = self.clocks(), pace_of(sizes), settings_of(sizes)
        store = SqliteStore(
            SqliteDatabase(DiskEngine(world.disk, self.process, self._written)),
            max_per_user=sizes.most_devices,
            fresh=fresh_secret,
        )
        if sizes.relays > 1:
            store.replicas = SharedReplicas(world.household)  # type: ignore[assignment]
            store.times = SharedTimes(store.database)
        queue = WatchedQueue(
            store.database,
            journal=store.journal,
            clock=clocks.wall,
            new_id=self._new_id,
            observer=self._observe,
            pace=pace,
        )
        queue.shared, queue.trace = sizes.relays > 1, world.trace
        queue.invariants = LeaseInvariants(
            world.findings, world.disk.connection, self._lease_prefix
        )
        stores = Stores(store, queue, "a disk in memory", "", secret=fresh_secret())
        counts = DeviceCounts(
            store.registry, observer=self._observe, monotonic=clocks.monotonic, every_s=10.0
        )
        queue.reached = self.reached
        self.relay = relay = Relay(
            settings,
            self._vendors(),
            stores,
            counts,
            observer=self._observe,
            clocks=clocks,
            ids=Ids(self._new_id, lambda: "host", RANDOM.secret),
            pace=pace,
            failed=self._failed,
        )
        eraser = eraser_of(
            stores,
            name=self._new_id(),
            observer=self._observe,
            clocks=clocks,
            pace=pace,
        )
        self.timekeeper.listeners += [relay.moved, self._moved]
        self.timekeeper.paused.append(relay.stood_still)

        async def known(event_id: str) -> bool:
            return await store.journal.event(event_id) is not None

        self.doors = Doors(
            queue,
            store.registry,
            store.erasures,
            store.receipts,
            store.keys,
            sizes,
            known=known,
            wake=relay.wake,
            changed=relay.changed,
            erasing=eraser.wake,
            observer=self._observe,
            clocks=clocks,
        )
        try:
            await look(store.replicas, clocks=clocks)
            await self.timekeeper.start(
                store.times,
                self._new_id(),
                ask=self._ask_google,
                observer=self._observe,
                failed=self._failed,
            )
            await relay.start(self._plans())
        except Exception as error:  # noqa: BLE001  # the supervisor starts it again
            world.trace.add(self.who, "start failed", type(error).__name__)
            self._house.kill("start")
            return
        counting = asyncio.get_running_loop().create_task(counts.run())
        erasing = asyncio.get_running_loop().create_task(eraser.run())
        self.ready = True
        if self.process.patience is not None:
            self.process.patience.tell(self._stood_still)
        if sizes.relays == 1:
            world.ends.no_orphan(self._lease_prefix, alone=True)
        world.findings.relay_began()
        self._look()
        world.trace.add(self.who, "ready")
        await self._stopping.wait()
        self.ready = False
        drains_since = world.truth.now
        await relay.stop(sizes.drain_s)
        could_store = world.disk.trouble is None and world.findings.store_mended_at < drains_since
        if could_store and self.failure is None:
            world.ends.no_orphan(self._lease_prefix, alone=False)
        counting.cancel()
        erasing.cancel()
        await self.timekeeper.stop()
        await store.aclose()
        self._house.kill("drained")

    def _stood_still(self, _seconds: float) -> None:
        self._house.world.trace.count("a standstill was noticed")
        self.relay.stood_still()

    def _moved(self, by: float) -> None:
        world = self._house.world
        world.trace.add(self.who, "moves its time", round(by))
        world.trace.count("the time was moved")
        world.findings.time_moved_at = world.truth.now

    async def _ask_google(self) -> None:
        """Google is asked what time it is."""
        await asyncio.sleep(0.02)
        self._google_tells()

    def _google_tells(self) -> None:
        """An answer of Google's has a date, in whole seconds."""
        date = int(EPOCH + self._house.world.loop.time())
        self.timekeeper.told("fcm", date, date + 2.0)

    def _look(self) -> None:
        """Look now and then at what tells nobody."""
        trace = self._house.world.trace
        if self.relay._writer.gate.closed_s:
            trace.count("the gate was closed")
        if self.relay._leases._behind:
            trace.count("a chunk waited for its own earlier pushes")
        self._look_at_parts()
        asyncio.get_running_loop().call_later(_LOOK_S, self._look)

    def _look_at_parts(self) -> None:
        world = self._house.world
        for lane in self.relay.lanes.values():
            for part in lane.parts.values():
                # the real transports have ways of their own
                is_reached = world.wires is not None or world.services.is_reached(
                    lane.vendor, part.name
                )
                name = (self.who, lane.name, part.name)
                world.pushes.parts.look(name, part.state, is_reached=is_reached)

    def _vendors(self) -> Vendors:
        return {
            name: replace(vendor, plan=partial(self._plan, name))
            for name, vendor in VENDORS.items()
        }

    def _plan(self, provider: str, *_: Any) -> VendorPlan:
        sizes = self._house.world.plan.sizes
        return VendorPlan(sizes.rate_per_s, sizes.ramp_s, partial(self._transport, provider))

    def _plans(self) -> list[LanePlan]:
        sizes = self._house.world.plan.sizes
        return [
            LanePlan(
                APP, vendor, sizes.rate_per_s, sizes.ramp_s, partial(self._transport, vendor.name)
            )
            for vendor in self._vendors().values()
        ]

    def _transport(self, provider: str) -> PushProvider:
        world = self._house.world
        inner = world.transport(provider, self.who)
        lane = lane_name(APP, provider)

        def is_in_use(transport: object) -> bool:
            return self.relay.lanes[lane].transport is transport

        def heard() -> None:
            if provider == "fcm":
                self._google_tells()
            self.reached("verdict")

        watched = WatchedTransport(
            inner, world.pushes, self.who, lane, self.pushing, heard, is_in_use=is_in_use
        )
        return cast(PushProvider, watched)


class Replica:
    """A place where a relay runs, and its supervisor, which starts a dead one again."""

    def __init__(self, world: World, number: int) -> None:
        self.world = world
        self.number = number
        self.clock_off = 0.0
        self.life: Life | None = None
        #: what happens when its process next comes to a moment
        self.waiting: dict[Moment, list[Callable[[], None]]] = {}
        self._lives = 0
        self._resting = False

    @property
    def running(self) -> Life | None:
        """The life that answers requests now."""
        life = self.life
        return life if life is not None and life.ready and life.process.alive else None

    def start(self) -> None:
        """Start a process."""
        self._resting = False
        self.life = Life(self, self._lives)
        self._lives += 1
        self.life.start()

    def kill(self, why: str) -> None:
        """End the process now; the supervisor starts another one soon."""
        life = self.life
        if life is None or not life.process.alive:
            return
        self.world.trace.add(life.who, "dies", why)
        self.world.loop.kill(life.process)
        life.ready = False
        if why != "drained":
            self.world.findings.quake(f"kill ({why})")
            self.world.findings.killed[life.name_in_leases] = self.world.truth.now
        self.world.in_world(self._buried, life)

    def _buried(self, life: Life) -> None:
        """What the world does at a death: connections are reset, and the supervisor wakes."""
        if not life.ended.done():
            life.ended.set_result(None)
        self.world.died(life)
        wait = 0.1 + 0.9 * self.world.chance.turn(f"supervisor {self.number}")
        self.world.loop.call_later(wait, self.start)
