"""The backends that the behaviour suites run on, and builders of what the suites write.

A backend is a factory: each call opens another handle on the same data, as another replica would.
"The same data" is the same folder: what a backend keeps elsewhere is named after it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from gateway.app.clocks import SYSTEM
from gateway.app.erasing import Eraser
from gateway.app.ids import RANDOM
from gateway.core.chunks import cut
from gateway.core.clocks import Clocks
from gateway.core.hashes import SECRET_BYTES
from gateway.core.ids import NewId
from gateway.core.model import (
    Chunk,
    ChunkItem,
    Device,
    Event,
    Item,
    Record,
    Registration,
    Remainder,
    Removal,
    UserRef,
)
from gateway.core.pace import Pace
from gateway.core.prune import Brake, BrakeRule
from gateway.core.states import DeliveryState, DeviceState
from gateway.core.words import Words
from gateway.events import GatewayEvent, Observer
from gateway.ports import (
    Audit,
    BrokeredJournal,
    Journal,
    Keys,
    Lanes,
    Queue,
    Recorded,
    Registry,
    Starts,
    Store,
)
from gateway.queue.in_postgres import PostgresQueue
from gateway.queue.in_store import InStoreQueue
from gateway.queue.nats import Broker, JetStreamQueue, Link, StreamSpec, servers_of
from gateway.store.postgres import PostgresStore, open_postgres
from gateway.store.postgres import hearing as postgres_hearing
from gateway.store.sqlite import hearing as sqlite_hearing
from gateway.store.sqlite import open_sqlite
from gateway.store.sqlite.store import SqliteStore
from providers.contract import Platform
from tests.kit.build import NOW, item
from tests.kit.clocks import Seconds, wall
from tests.kit.gateway import eventually
from tests.kit.nats_cluster import running_cluster
from tests.kit.postgres import databases
from tests.kit.streams import STREAMS

SECRET = b"s" * SECRET_BYTES
WORDS = Words(SECRET)
"""The words of ids, in every store of the tests that has a secret."""


def fresh_secret() -> bytes:
    """The secret of every store of the tests that needs one."""
    return SECRET


LIFE_S = 86_400.0
#: leases that a test can wait for, and that a busy machine does not outlast
QUICK_LEASE_S = 3.0


@dataclass(frozen=True)
class Handle:
    """One process' view of a backend: its store, its queue, and how long leases are there."""

    store: Store
    queue: Queue
    lease_s: float = 60.0

    @property
    def registry(self) -> Registry:
        return self.store.registry

    @property
    def journal(self) -> Journal:
        return self.store.journal

    @property
    def brokered(self) -> BrokeredJournal:
        """The same journal, of a store that goes with a broker."""
        assert isinstance(self.store, PostgresStore)
        return self.store.journal

    @property
    def lanes(self) -> Lanes:
        return self.store.lanes

    @property
    def starts(self) -> Starts:
        return self.store.starts

    @property
    def keys(self) -> Keys:
        return self.store.keys

    @property
    def audit(self) -> Audit:
        return self.store.audit


Opener = Callable[[Path, Seconds], AbstractAsyncContextManager[Handle]]


@dataclass(frozen=True)
class Backend:
    """How to open a backend in a folder of its own, and what it cannot do, by name and reason.

    `own_clock`: leases are measured by a clock that no test can move. Suites wait for that one:
    `quick` opens the backend with leases that are short enough. `store_of` is the backend that has
    the same store, if one has.
    """

    open: Opener
    cannot: Mapping[str, str]
    quick: Opener | None = None
    store_of: str = ""

    @property
    def own_clock(self) -> bool:
        return self.quick is not None


@asynccontextmanager
async def _sqlite(folder: Path, clock: Seconds) -> AsyncIterator[Handle]:
    store = await open_sqlite(folder / "inkpush.db", fresh=fresh_secret)
    try:
        await store.secret(SECRET)
        yield Handle(store, sqlite_queue(store, clock=clock))
    finally:
        await store.aclose()


@asynccontextmanager
async def _postgres_store(folder: Path) -> AsyncIterator[PostgresStore]:
    """The store of the folder's database."""
    async with databases().using(folder) as url:
        store = await open_postgres(url, fresh=fresh_secret)
        try:
            await store.secret(SECRET)
            yield store
        finally:
            await store.aclose()


@asynccontextmanager
async def _postgres(folder: Path, clock: Seconds) -> AsyncIterator[Handle]:
    async with _postgres_store(folder) as store:
        yield Handle(store, postgres_queue(store, clock=clock))


@asynccontextmanager
async def _jetstream(
    folder: Path, clock: Seconds, lease_s: float = Handle.lease_s
) -> AsyncIterator[Handle]:
    """Events and journal in PostgreSQL, chunks in a stream of the folder's."""
    async with _postgres_store(folder) as store, STREAMS.using(folder, lease_s) as spec:
        queue = jetstream_queue(store, spec, clock=clock)
        try:
            await queue.start()
            yield Handle(store, queue, lease_s)
        finally:
            await queue.aclose()


def _nobody(_event: GatewayEvent) -> None:
    """Hears nothing."""


def sqlite_queue(
    store: SqliteStore,
    *,
    clock: Seconds,
    new_id: NewId = RANDOM.new,
    observer: Observer = _nobody,
) -> InStoreQueue:
    """The queue in a file."""
    return InStoreQueue(
        store.database,
        journal=store.journal,
        clock=wall(clock),
        new_id=new_id,
        observer=observer,
    )


def postgres_queue(
    store: PostgresStore, *, clock: Seconds, observer: Observer = _nobody
) -> PostgresQueue:
    """The queue in a database that replicas share."""
    return PostgresQueue(
        store.database,
        journal=store.journal,
        announce=store.wakeups.announce,
        clock=wall(clock),
        new_id=RANDOM.new,
        observer=observer,
        own_time=True,
    )


def jetstream_queue(
    store: PostgresStore,
    spec: StreamSpec,
    *,
    clock: Seconds,
    observer: Observer = _nobody,
    url: str = "",
    **changed: Any,
) -> JetStreamQueue:
    """A queue on the tests' cluster that waits for next to nothing. `url`: by another way there."""
    quick: dict[str, Any] = {"cut": cut_again, "wait_s": 0.4, "lane_nap_s": 0.1, "nap_s": 0.1}
    return JetStreamQueue(
        Link(Broker(servers_of(url or running_cluster().url)), new_id=RANDOM.new),
        spec,
        journal=store.journal,
        clocks=Clocks(wall(clock), SYSTEM.monotonic),
        observer=observer,
        **(quick | changed),
    )


def cut_again(event: Event) -> list[Chunk]:
    """What the suites' events were cut into: their body says nothing, their count does."""
    deadline = event.received_at + LIFE_S
    items = [item(index) for index in range(event.notifications)]
    return cut(event.event_id, items, received_at=event.received_at, deadline=deadline)


BACKENDS = {
    "sqlite": Backend(
        _sqlite, cannot={"a broker": "a broker goes with PostgreSQL alone: settings refuse it here"}
    ),
    "jetstream": Backend(
        _jetstream,
        cannot={
            "rescue": "whether a process is dead is for the broker to find out",
            "sees the queue": "the store has no look into the stream; the journal's lines tell",
            "erases the queue": "a message cannot be rewritten; it ends when its turn comes",
            "order": "what comes back comes when its NAK ends, behind what is new",
            "tries": "chunks that others sent back unread count, up to four times",
            "one answer": "a repeat that meets an event half way completes it, and says so",
        },
        quick=partial(_jetstream, lease_s=QUICK_LEASE_S),
        store_of="postgres",
    ),
    "postgres": Backend(
        _postgres, cannot={"rescue": "behind every lease another replica may be alive"}
    ),
}
"""A further backend joins every suite by its entry here."""


async def erase(handle: Handle, user: UserRef, *, now: float = NOW) -> Eraser:
    """Erase a user, and do what is left to do now, as a gateway does. A broker may still name them:
    returns who carries on."""
    await handle.registry.erase(user, now=now)
    eraser = eraser_of_handle(handle, now=now)
    await eraser.carry_on()
    return eraser


def eraser_of_handle(handle: Handle, *, now: float = NOW, name: str = "a test") -> Eraser:
    """The background job of a process."""
    return eraser_on(handle.store, lambda: now, queue=handle.queue, name=name)


def eraser_on(
    store: Store, clock: Seconds, *, queue: Queue | None = None, name: str = "a test"
) -> Eraser:
    """The same on a store, with a clock that moves."""
    return Eraser(
        store.erasures,
        hooks=store.hooks,
        texts_of=queue.texts_of if isinstance(queue, JetStreamQueue) else None,
        name=name,
        observer=_nobody,
        clocks=Clocks(wall(clock), SYSTEM.monotonic),
        pace=Pace(),
    )


async def die(handle: Handle, now: float) -> float:
    """What `kill -9` of this process leaves: what it claimed, until the leases end. Returns when
    they have."""
    queue = handle.queue
    if not isinstance(queue, JetStreamQueue):
        return now + handle.lease_s
    # ended here at once, and by somebody who does not count it: as the broker does
    for reply in [lease.reply for lease in queue._leases.take_all()]:
        await queue._link.ask(reply, b"-NAK")
    return now


# --- builders ---------------------------------------------------------------------------------


def registration(
    installation_id: str = "phone", address: str = "address-1", **changed: Any
) -> Registration:
    """Mary's Android phone, unless told otherwise."""
    values: dict[str, Any] = {
        "installation_id": installation_id,
        "app": "agent",
        "platform": Platform.ANDROID,
        "provider": "fcm",
        "address": address,
    }
    if not changed.keys() & {"user_id", "custom_id"}:
        values["user_id"] = "mary"
    return Registration(**(values | changed))


async def hear(store: object, heard: Mapping[int, float]) -> None:
    """Receipts came from these devices at these times: what keeps them notes that, as here."""
    if isinstance(store, SqliteStore):
        database = store.database
        await database.write(
            lambda connection: sqlite_hearing.seen(connection, database.sql, heard)
        )
    else:
        assert isinstance(store, PostgresStore)
        await store.database.write(lambda session: postgres_hearing.seen(session, heard))


async def register(handle: Handle, *args: Any, now: float = NOW, **changed: Any) -> Device:
    """Register as an API key would."""
    asked = registration(*args, **changed)
    return (await handle.registry.register(asked, proven=None, now=now)).device


def record(event_id: str = "msg_1", index: int = 0, device_id: int = 1, **changed: Any) -> Record:
    """A delivered push to Mary."""
    values: dict[str, Any] = {
        "state": DeliveryState.DELIVERED,
        "attempts": 1,
        "at": NOW,
        "user_id": "mary",
        "app": "agent",
        "provider": "fcm",
        "address_hash": "0123456789ab",
    }
    return Record(event_id, index, device_id, **(values | changed))


NONE_MAY_GO = BrakeRule(share=0.0, minimum=0)


async def prune(
    handle: Handle,
    removals: Sequence[Removal],
    *,
    rule: BrakeRule,
    devices: int = 0,
    counted: bool = True,
    now: float = NOW,
) -> Recorded:
    """Journal that these devices are dead, as a relay does, under such a brake."""
    lines = [
        record("msg_dead", index, one.device_id, state=DeliveryState.PRUNED, at=now)
        for index, one in enumerate(removals)
    ]
    brake = Brake(rule, devices, counted, wall(lambda: now))
    brakes = {(one.app, one.provider): brake for one in removals}
    return await handle.journal.record(lines, list(enumerate(removals)), brakes=brakes)


async def hold_back(handle: Handle, removals: Sequence[Removal], *, now: float = NOW) -> None:
    """Let the brakes hold these removals back."""
    recorded = await prune(handle, removals, rule=NONE_MAY_GO, now=now)
    assert not recorded.went


async def trip(handle: Handle, app: str, provider: str, *, now: float) -> None:
    """Let a lane's brake trip over a device of its own."""
    name = f"dead-{app}-{provider}"
    dead = await register(handle, name, name, app=app, provider=provider, user_id=name)
    await hold_back(handle, [removal(dead)], now=now)


def removal(
    device: Device,
    to: Literal[DeviceState.PRUNED, DeviceState.QUARANTINED] = DeviceState.PRUNED,
    reason: str = "UNREGISTERED",
) -> Removal:
    """The order to take a device out of service as it is now."""
    return Removal(
        device.id,
        device.address,
        device.last_seen_at,
        device.app,
        device.provider,
        to,
        reason,
    )


async def take_out(
    handle: Handle,
    device: Device,
    to: Literal[DeviceState.PRUNED, DeviceState.QUARANTINED] = DeviceState.PRUNED,
    *,
    at: float = NOW,
) -> None:
    """Prune or quarantine a device, the way the relay does."""
    line = record("msg_that_proved_it", 0, device.id, state=DeliveryState.PRUNED, at=at)
    assert (await handle.journal.record([line], [(0, removal(device, to))])).gone == {0}


def batch(
    event_id: str = "msg_1",
    items: Sequence[Item] | int = 1,
    *,
    at: float = NOW,
    **changed: Any,
) -> tuple[Event, list[Chunk]]:
    """An accepted event with its chunks."""
    taken = [item(index) for index in range(items)] if isinstance(items, int) else list(items)
    chunks = cut(event_id, taken, received_at=at, deadline=at + LIFE_S)
    values: dict[str, Any] = {
        "event_id": event_id,
        "type": "notifications.sent",
        "status": "accepted",
        "received_at": at,
        "notifications": len(taken),
        "chunks": len(chunks),
        "body": b"{}",
    }
    return Event(**(values | changed)), chunks


async def accept(handle: Handle, *args: Any, **changed: Any) -> Event:
    """Make an event durable that was not known."""
    event, chunks = batch(*args, **changed)
    assert await handle.queue.accept(event, chunks)
    return event


def leftover(
    event_id: str = "msg_1",
    *remainders: Remainder,
    due_at: float = NOW,
    lane: str = "",
    part: str = "",
    deadline: float = NOW + LIFE_S,
    day: int = 0,
) -> Chunk:
    """What a chunk could not settle: Mary's notification for some of her devices."""
    entry = ChunkItem(item(), remainders or (Remainder(1, 1),))
    return Chunk(event_id, 0, NOW, deadline, (entry,), due_at, lane, part, day=day)


async def queued(queue: Queue, notifications: int) -> None:
    """Wait until so many wait: a broker removes a message a moment after it said so."""

    async def told() -> bool:
        return (await queue.depth()).notifications == notifications

    await eventually(f"{notifications} are queued", told)
