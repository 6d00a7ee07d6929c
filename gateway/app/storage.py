"""Opening the database and the queue that the settings name, for one process or for several."""

from __future__ import annotations

import fcntl
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
    nullcontext,
)
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from config.formats import is_postgres, without_password
from gateway.errors import ConfigurationError
from gateway.ports import Clock, Journal, Keys, Lanes, Queue, Registry, Store
from gateway.queue.in_postgres import PostgresQueue
from gateway.queue.in_store import InStoreQueue
from gateway.store.sqlite import open_sqlite

if TYPE_CHECKING:
    from config.settings import Settings


def _nobody_else(_wake: Callable[[], None]) -> AbstractAsyncContextManager[None]:
    return nullcontext()


@dataclass(frozen=True, slots=True)
class Stores:
    """The open database with its ports, and the queue; `place` is where, for people.

    `alone` is held by a relay while it runs: where leases are ended at start, it is the only one.
    `waking` calls back when another process may have queued something, while it is entered.
    """

    store: Store
    queue: Queue
    place: str
    alone: Callable[[], AbstractContextManager[None]] = nullcontext
    waking: Callable[[Callable[[], None]], AbstractAsyncContextManager[None]] = _nobody_else

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


@asynccontextmanager
async def open_store(settings: Settings, *, clock: Clock = time.time) -> AsyncIterator[Stores]:
    """Open the store, creating or migrating it; closes it at the end."""
    opened = _postgres if is_postgres(settings.store.url) else _sqlite
    stores = await opened(settings.store.url, settings.devices.max_per_user, clock)
    try:
        yield stores
    finally:
        await stores.store.aclose()


async def _sqlite(url: str, max_per_user: int, clock: Clock) -> Stores:
    path = sqlite_path(url)
    store = await open_sqlite(path, max_per_user=max_per_user)
    queue = InStoreQueue(store.database, clock=clock)
    return Stores(store, queue, str(path), alone=partial(sole_relay, path))


async def _postgres(url: str, max_per_user: int, clock: Clock) -> Stores:
    from gateway.store.postgres import open_postgres

    store = await open_postgres(url, max_per_user=max_per_user)
    queue = PostgresQueue(store.database, announce=store.wakeups.announce, clock=clock)
    return Stores(store, queue, without_password(url), waking=store.wakeups.listening)


def sqlite_path(url: str) -> Path:
    """The file that `sqlite:///relative` or `sqlite:////absolute` names."""
    return Path(url.removeprefix("sqlite:///"))


@contextmanager
def sole_relay(path: Path) -> Iterator[None]:
    """Be the only relay on a SQLite file, for its leases are ended at start.

    The lock goes with the process, however it ends.
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
