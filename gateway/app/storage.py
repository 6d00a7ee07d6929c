"""Opening the database and the queue that the settings name."""

from __future__ import annotations

import fcntl
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.errors import ConfigurationError
from gateway.ports import Clock, Journal, Keys, Lanes, Queue, Registry, Store
from gateway.queue.in_store import InStoreQueue
from gateway.store.sqlite import open_sqlite

if TYPE_CHECKING:
    from config.settings import Settings


@dataclass(frozen=True, slots=True)
class Stores:
    """The open database with its ports, and the queue."""

    store: Store
    queue: Queue
    path: Path

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
    path = sqlite_path(settings.store.url)
    store = await open_sqlite(path, max_per_user=settings.devices.max_per_user)
    try:
        yield Stores(store, InStoreQueue(store.database, clock=clock), path)
    finally:
        await store.aclose()


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
