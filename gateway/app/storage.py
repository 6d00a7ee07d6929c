"""Opening the database and the queue that the settings name, for one process or for several."""

from __future__ import annotations

import asyncio
import fcntl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
    nullcontext,
)
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from config.formats import is_postgres, no_broker_beside, without_password
from gateway.app.clocks import SYSTEM, clocks_beside
from gateway.app.ids import RANDOM
from gateway.app.replaying import cut_again
from gateway.core.clocks import Clocks
from gateway.core.hashes import SECRET_BYTES
from gateway.core.ids import Ids
from gateway.core.pace import Pace
from gateway.errors import ConfigurationError, GatewayError, StoreUnavailable
from gateway.events import GatewayEvent, Observer, StoreFailed
from gateway.ports import BrokeredJournal, Journal, Keys, Lanes, Queue, Registry, Store
from gateway.queue.in_postgres import PostgresQueue
from gateway.queue.in_store import InStoreQueue
from gateway.queue.nats import Broker, JetStreamQueue, Link, StreamSpec, servers_of
from gateway.store.sqlite import open_sqlite

if TYPE_CHECKING:
    from config.settings import Settings

_HALF_COPIED = (
    "store.url: the copy of {source} into this database is not complete; run `inkpush store copy` "
    "again, which goes on where it stopped, or take an empty database"
)


def _nobody_else(_wake: Callable[[], None]) -> AbstractAsyncContextManager[None]:
    return nullcontext()


@dataclass(frozen=True, slots=True)
class Stores:
    """The open database with its ports, and the queue; for people, `place` says where it is, and
    `advice` what to do when it does not work.

    A relay enters `alone` while it runs: where leases are ended at start, it must be the only one.
    `waking`, while entered, calls back when another process may have queued something. `broker` is
    the queue if it is outside the database, and `brokered` the journal of a database that can be
    beside a broker. `secret` is what keyed hashes are made with, `clocks` say what time it is.
    """

    store: Store
    queue: Queue
    place: str
    advice: str
    alone: Callable[[], AbstractContextManager[None]] = nullcontext
    waking: Callable[[Callable[[], None]], AbstractAsyncContextManager[None]] = _nobody_else
    broker: JetStreamQueue | None = None
    brokered: BrokeredJournal | None = None
    secret: bytes = b""
    clocks: Clocks = SYSTEM

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
    def keys(self) -> Keys:
        return self.store.keys


def _ignore(_event: GatewayEvent) -> None:
    """The observer of a command, which ignores the events of a running gateway."""


@asynccontextmanager
async def open_store(
    settings: Settings,
    *,
    clocks: Clocks | None = None,
    ids: Ids = RANDOM,
    pace: Pace = Pace(),
    observer: Observer = _ignore,
) -> AsyncIterator[Stores]:
    """Open the store, creating or migrating it; closes it at the end. Without `clocks` of a gateway
    those of a command are made.

    The connection to a broker is made at its first use, so that commands that only read the store
    work without it.
    """
    opened = _postgres if is_postgres(settings.store.url) else _sqlite
    stores = await opened(
        settings.store.url, settings.devices.max_per_user, clocks or SYSTEM, ids, pace, observer
    )
    try:
        clocks = clocks or await clocks_beside(stores.store)
        secret = await stores.store.secret(ids.secret(SECRET_BYTES))
        stores = replace(stores, secret=secret, clocks=clocks)
        if settings.queue.url == "store":
            yield stores
            return
        if stores.brokered is None:
            raise ConfigurationError([no_broker_beside(stores.place)])
        broker = _broker(
            settings, stores.brokered, clocks=clocks, ids=ids, pace=pace, observer=observer
        )
        try:
            yield replace(stores, queue=broker, broker=broker, waking=_nobody_else)
        finally:
            await broker.aclose()
    finally:
        await stores.store.aclose()


async def _sqlite(
    url: str, max_per_user: int, clocks: Clocks, ids: Ids, pace: Pace, observer: Observer
) -> Stores:
    path = sqlite_path(url)
    fresh = partial(ids.secret, SECRET_BYTES)
    store = await open_sqlite(path, max_per_user=max_per_user, fresh=fresh)
    queue = InStoreQueue(
        store.database,
        journal=store.journal,
        clock=clocks.wall,
        new_id=ids.new,
        pace=pace,
        observer=observer,
    )
    advice = "Check the disk and the file's permissions."
    return Stores(store, queue, str(path), advice, alone=partial(sole_relay, path))


async def _postgres(
    url: str, max_per_user: int, clocks: Clocks, ids: Ids, pace: Pace, observer: Observer
) -> Stores:
    from gateway.store.postgres import open_postgres
    from gateway.store.postgres.arrivals import unfinished

    place = without_password(url)
    try:
        fresh = partial(ids.secret, SECRET_BYTES)
        store = await open_postgres(url, max_per_user=max_per_user, fresh=fresh)
    except StoreUnavailable as error:
        raise StoreUnavailable(f"{place}: {error}") from error
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
    )


def _broker(
    settings: Settings,
    journal: BrokeredJournal,
    *,
    clocks: Clocks,
    ids: Ids,
    pace: Pace,
    observer: Observer,
) -> JetStreamQueue:
    queue, relay = settings.queue, settings.relay
    broker = Broker(
        servers=servers_of(queue.url),
        user=queue.user,
        password=queue.password.get_secret_value(),
        credentials_file=queue.credentials_file,
        ca_file=queue.ca_file,
    )
    return JetStreamQueue(
        Link(broker, new_id=ids.new),
        StreamSpec(
            name=queue.stream,
            replicas=queue.replicas,
            duplicate_window_s=queue.duplicate_window_s,
            max_bytes=queue.max_bytes,
            ack_wait_s=relay.lease_s,
            chunk_items=pace.chunk_items,
        ),
        journal=journal,
        cut=partial(cut_again, max_age_s=relay.max_age_s, chunk_items=pace.chunk_items),
        clocks=clocks,
        observer=observer,
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
    """Be the only relay on a SQLite file, because a relay ends all leases at its start.

    The lock ends with the process, in whatever way that ends.
    """
    lock_path = path.with_name(path.name + ".relay.lock")
    with lock_path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ConfigurationError(
                [f"store.url: another relay works on {path}; stop it first"]
            ) from None
        yield
