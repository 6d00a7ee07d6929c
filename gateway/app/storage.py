"""Opening the database and the queue that the settings name, for one process or for several."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import (
    AbstractAsyncContextManager,
    asynccontextmanager,
    contextmanager,
    nullcontext,
    suppress,
)
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from config.formats import is_postgres, no_broker_beside, without_password
from gateway.app.clocks import SYSTEM, clocks_beside
from gateway.app.hook_plans import plan_of
from gateway.app.ids import RANDOM
from gateway.app.replaying import cut_again
from gateway.core.clocks import Clocks
from gateway.core.hashes import SECRET_BYTES, keyed
from gateway.core.ids import Ids
from gateway.core.pace import Pace
from gateway.errors import (
    ConfigurationError,
    GatewayError,
    StoreEnded,
    StoreError,
    StoreUnavailable,
)
from gateway.events import GatewayEvent, Lifecycle, Observer, StoreFailed
from gateway.ports import (
    Audit,
    BrokeredJournal,
    Journal,
    Keys,
    Lanes,
    Queue,
    Registry,
    Standing,
    Starts,
    Store,
)
from gateway.queue.in_postgres import PostgresQueue
from gateway.queue.in_store import InStoreQueue
from gateway.queue.nats import Broker, JetStreamQueue, Link, StreamSpec, newest_event, servers_of
from gateway.store.sqlite import SqliteStore, open_sqlite
from gateway.store.sqlite.engine import Threadless
from gateway.store.sqlite.file import DatabaseFile
from gateway.store.sqlite.holding import Holder
from gateway.store.sqlite.lock_file import Reached

if TYPE_CHECKING:
    from config.settings import Settings

_HALF_COPIED = (
    "store.url: the copy of {source} into this database is not complete; run `inkpush store copy` "
    "again, which goes on where it stopped, or take an empty database"
)


def _nobody_else(_wake: Callable[[], None]) -> AbstractAsyncContextManager[None]:
    return nullcontext()


async def _nothing() -> None:
    """What a database that is near needs to get ready."""


class Threads(Protocol):
    """What works on a database in this process."""

    def standstill(self, limit_s: float) -> str:
        """What has not moved for so long although there is work for it; "" when all moves."""

    def on_end(self, told: Callable[[StoreEnded], None]) -> None:
        """Have it told when one of them has ended: nothing is stored from then on."""


NO_THREADS = Threadless()


@dataclass(frozen=True, slots=True)
class Stores:
    """The open database with its ports, and the queue; for people, `place` says where it is, and
    `advice` what to do when it does not work.

    `file` is the SQLite file if this process is the only relay on it. `waking`, while entered,
    calls back when another process may have queued something. `broker` is the queue if it is
    outside the database, `newest_queued` asks it for the event of its newest chunk, and `brokered`
    is the journal of a database that can be beside a broker. `secret` is what keyed hashes are made
    with, `clocks` say what time it is, `threads` are what a database in this process works with.
    `guarding` runs beside a gateway, looks every so many seconds whether the database is what it
    was, and mends what it can; `troubles` tells what it found, by part. `warm` gets ready what a
    webhook needs, as far as that can be done now.
    """

    store: Store
    queue: Queue
    place: str
    advice: str
    file: RelayFile | None = None
    waking: Callable[[Callable[[], None]], AbstractAsyncContextManager[None]] = _nobody_else
    broker: JetStreamQueue | None = None
    newest_queued: Callable[[], Awaitable[str | None]] | None = None
    brokered: BrokeredJournal | None = None
    secret: bytes = b""
    clocks: Clocks = SYSTEM
    threads: Threads = NO_THREADS
    guarding: Callable[[float], Coroutine[Any, Any, None]] | None = None
    warm: Callable[[], Awaitable[object]] = _nothing
    troubles: Callable[[], Mapping[str, Standing]] = dict

    @property
    def registry(self) -> Registry:
        return self.store.registry

    @property
    def journal(self) -> Journal:
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


def _ignore(_event: GatewayEvent) -> None:
    """The observer of a command, which ignores the events of a running gateway."""


@asynccontextmanager
async def open_store(
    settings: Settings,
    *,
    relay: bool = False,
    clocks: Clocks | None = None,
    ids: Ids = RANDOM,
    pace: Pace = Pace(),
    observer: Observer = _ignore,
) -> AsyncIterator[Stores]:
    """Open the store, creating or migrating it; closes it at the end. Without `clocks` of a gateway
    those of a command are made.

    The connection to a broker is made at its first use, so that commands that only read the store
    work without it. A `relay` is alone on a SQLite file, or refused with ConfigurationError: it
    ends the leases of those before it.
    """
    opened = _postgres if is_postgres(settings.store.url) else _sqlite
    stores = await opened(settings, relay, clocks or SYSTEM, ids, pace, observer)
    try:
        if clocks is not None:
            await stores.warm()
        clocks = clocks or await clocks_beside(stores.store)
        secret = await stores.store.secret(ids.secret(SECRET_BYTES))
        stores = replace(stores, secret=secret, clocks=clocks)
        stores.store.hooks.learn(plan_of(settings))
        if settings.queue.url == "store":
            yield stores
            return
        if stores.brokered is None:
            raise ConfigurationError([no_broker_beside(stores.place)])
        link, spec = _link(settings, ids), _stream(settings, pace)
        broker = JetStreamQueue(
            link,
            spec,
            journal=stores.brokered,
            cut=partial(
                cut_again, max_age_s=settings.relay.max_age_s, chunk_items=pace.chunk_items
            ),
            clocks=clocks,
            observer=observer,
        )
        try:
            yield replace(
                stores,
                queue=broker,
                broker=broker,
                newest_queued=partial(newest_event, link, spec),
                waking=_nobody_else,
            )
        finally:
            await broker.aclose()
    finally:
        if stores.file is not None:
            await stores.file.leave()
        await stores.store.aclose()


async def _sqlite(
    settings: Settings, relay: bool, clocks: Clocks, ids: Ids, pace: Pace, observer: Observer
) -> Stores:
    path = sqlite_path(settings.store.url)
    name = ids.new()
    holder = None
    if relay:
        holder = Holder(str(os.getpid()), ids.host(), running_system(), clocks.wall(), name)
    store = await open_sqlite(
        path,
        max_per_user=settings.devices.max_per_user,
        fresh=partial(ids.secret, SECRET_BYTES),
        may_make=settings.store.expect == "any",
        holder=holder,
    )
    opened = store.database.opened
    if opened is not None and opened.is_new:
        observer(Lifecycle("new_database", str(path)))
    for one in opened.unknown if opened is not None else ():
        told = f"{one}: it may be alive, so its leases run out by themselves"
        observer(Lifecycle("relay_unknown", told))
    queue = InStoreQueue(
        store.database,
        journal=store.journal,
        clock=clocks.wall,
        new_id=lambda: name,
        pace=pace,
        observer=observer,
    )
    advice = "Check the disk and the file's permissions."
    file = RelayFile(store, holder) if holder is not None else None
    return Stores(store, queue, str(path), advice, file=file, threads=store.database)


async def _postgres(
    settings: Settings, _relay: bool, clocks: Clocks, ids: Ids, pace: Pace, observer: Observer
) -> Stores:
    from gateway.store.postgres import open_postgres
    from gateway.store.postgres.arrivals import unfinished

    url = settings.store.url
    place = without_password(url)
    try:
        store = await open_postgres(
            url,
            max_per_user=settings.devices.max_per_user,
            fresh=partial(ids.secret, SECRET_BYTES),
            may_make=settings.store.expect == "any",
            waits=lambda told: observer(StoreFailed("migrate", told)),
        )
    except StoreError as error:
        raise type(error)(f"{place}: {error}") from error
    if store.is_new:
        observer(Lifecycle("new_database", place))
    try:
        if (source := await unfinished(store.database)) is not None:
            raise ConfigurationError([_HALF_COPIED.format(source=source)])
    except GatewayError:
        await store.aclose()
        raise
    queue = PostgresQueue(
        store.database,
        journal=store.journal,
        announce=store.wakeups.announce,
        clock=clocks.wall,
        new_id=ids.new,
        pace=pace,
        observer=observer,
        own_time=clocks.given,
    )
    return Stores(
        store,
        queue,
        place,
        advice=f"Look at PostgreSQL: {place}.",
        waking=store.wakeups.listening,
        brokered=store.journal,
        guarding=lambda every_s: store.guard(every_s=every_s),
        troubles=store.troubles,
        warm=store.spares.look,
    )


async def make_missing(settings: Settings) -> list[str]:
    """Make what somebody dropped of a PostgreSQL database, without what it held: tables and
    indexes, whose names are returned."""
    if not is_postgres(settings.store.url):
        return []
    from gateway.store.postgres import open_postgres

    store = await open_postgres(settings.store.url, whatever_is_missing=True)
    try:
        return await store.schema.make_missing()
    finally:
        await store.aclose()


def _link(settings: Settings, ids: Ids) -> Link:
    queue = settings.queue
    broker = Broker(
        servers=servers_of(queue.url),
        user=queue.user,
        password=queue.password.get_secret_value(),
        credentials_file=queue.credentials_file,
        ca_file=queue.ca_file,
    )
    return Link(broker, new_id=ids.new)


def _stream(settings: Settings, pace: Pace) -> StreamSpec:
    queue = settings.queue
    return StreamSpec(
        name=queue.stream,
        replicas=queue.replicas,
        duplicate_window_s=queue.duplicate_window_s,
        max_bytes=queue.max_bytes,
        ack_wait_s=settings.relay.lease_s,
        chunk_items=pace.chunk_items,
    )


async def complete_events(broker: JetStreamQueue, observer: Observer, *, every_s: float) -> None:
    """Complete events that an ingest left unfinished, every `every_s` seconds until cancelled. Any
    number of processes may do so at once."""
    while True:
        await asyncio.sleep(every_s)
        try:
            await broker.complete()
        except StoreUnavailable as error:
            observer(StoreFailed("complete events", str(error)))


def sqlite_path(url: str) -> Path:
    """The file that `sqlite:///relative` or `sqlite:////absolute` names."""
    return Path(url.removeprefix("sqlite:///"))


@contextmanager
def sole_relay(path: Path) -> Iterator[None]:
    """Be the only relay on a SQLite file, without working on it.

    The lock ends with the process, in whatever way that ends. Raises ConfigurationError where
    there is another one.
    """
    file = DatabaseFile.open(path, alone=True)
    try:
        yield
    finally:
        file.close()


def running_system() -> str:
    """The id of the running system, which changes at every boot; empty where none is known."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


class RelayFile:
    """A SQLite file on which this process is the only relay.

    `before` is how far the database had come when its lock file was written last; None: unknown.
    """

    def __init__(self, store: SqliteStore, holder: Holder) -> None:
        assert store.database.opened is not None
        self._store = store
        self._holder = holder
        self.is_new = store.database.opened.is_new
        self._lock_file = store.database.opened.file.lock_file
        assert self._lock_file is not None
        self.before = self._lock_file.reached()

    async def reached(self, secret: bytes) -> Reached:
        """How far the database has come."""
        name = keyed(secret, "store").hex()
        return Reached(name, await self._store.doubts.ids_given())

    def note(self, reached: Reached) -> None:
        """Write that into the lock file, where it outlives the database. Raises OSError."""
        assert self._lock_file is not None
        self._lock_file.write(self._holder, reached)

    async def leave(self) -> None:
        """This process ends in order, and has no leases."""
        sql = self._store.database.sql["relays_leave"]
        with suppress(StoreUnavailable):
            await self._store.database.write(
                lambda connection: connection.execute(sql, (self._holder.name,)).rowcount
            )
