"""From SQLite to PostgreSQL: how long a copy takes, and what a look-up costs there afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import asyncpg
import pytest

from gateway.app import copy_store
from gateway.app.benching.failure import BenchFailure
from gateway.app.benching.served import write_config
from gateway.app.copying import Advance, Copied
from gateway.core.audit import Actor
from gateway.core.model import CHUNK_SIZE, Item
from gateway.store.postgres import PostgresStore, open_postgres
from tests.benchmarks.registry import fill, users
from tests.benchmarks.report import Line, at_most
from tests.benchmarks.stage import Stage
from tests.kit.postgres import Databases, own_cluster

_RATIO = 1.3
_CHUNKS = 20
"""Look-ups in a round, each for 256 users; rounds take turns."""
_ROUNDS = 25
_WHAT = {"cpu_us": "CPU", "server_us": "CPU of the server", "wall_us": "time"}
_TARGET = "cpu_us"
"""As for the whole way: time is the machine's, and the server's memory is its own matter."""
_WARM = 200
"""Look-ups before the first round: a database that runs has its upper pages in memory."""
_SERVER = {
    # as it is installed, but for what a server of a gigabyte or two is given
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "autovacuum": "on",
    "shared_buffers": "512MB",
    "max_wal_size": "1GB",
}


@dataclass(frozen=True, slots=True)
class Lookups:
    """A round of look-ups, in microseconds a user: CPU of ours and of the server, and until the
    answer was there."""

    cpu_us: float
    server_us: float
    wall_us: float


def copy_and_look_up(stage: Stage) -> None:
    """Copy a small registry and a large one, and look users up in both, taking turns."""
    try:
        asyncio.run(_measure(stage))
    except pytest.skip.Exception as skipped:  # the kit's way to say that there is none
        raise BenchFailure(str(skipped)) from None


async def _measure(stage: Stage) -> None:
    sizes = stage.sizes
    async with own_cluster(**_SERVER) as databases, contextlib.AsyncExitStack() as stack:
        stores: dict[int, PostgresStore] = {}
        results: dict[int, Copied] = {}
        for devices in (sizes.few_devices, sizes.many_devices):
            url, results[devices] = await _copied(stage, databases, devices)
            stores[devices] = await open_postgres(url)
            stack.push_async_callback(stores[devices].aclose)
        copied = results[sizes.many_devices]
        rate = copied.rows / copied.seconds
        stage.report.add(Line(f"copy and verify {copied.rows:,} devices", "s", copied.seconds))
        stage.report.add(Line("the same, a second", "rows/s", rate))
        rounds = await _look_up(stage, stores)
    stage.report.rounds["copy"] = {
        "seconds": copied.seconds,
        **{str(size): [asdict(one) for one in several] for size, several in rounds.items()},
    }
    for what, named in _WHAT.items():
        _line(stage, rounds, what, named)


async def _copied(stage: Stage, databases: Databases, devices: int) -> tuple[str, Copied]:
    folder = stage.folder / f"copy-{devices}"
    folder.mkdir()
    config = write_config(folder, stage.vendors.places, stage.secret)
    stage.say(f"registering {devices:,} devices")
    await asyncio.to_thread(fill, config, folder / "inkpush.db", devices)
    url = await databases.create(empty=True)
    copied = await copy_store(
        folder / "inkpush.db",
        url,
        queued=True,
        live=False,
        progress=_Steps(stage, devices),
        actor=Actor("bench", "cli"),
    )
    stage.say(
        f"{copied.rows:,} devices copied and verified in {copied.seconds:.1f} s, "
        f"{copied.rows / copied.seconds:,.0f} rows/s"
    )
    return url, copied


class _Steps:
    """Says how long each step of a copy took."""

    def __init__(self, stage: Stage, devices: int) -> None:
        self._stage = stage
        self._devices = devices

    @contextlib.contextmanager
    def __call__(self, what: str, _total: int) -> Iterator[Advance]:
        started, cpu = time.monotonic(), time.process_time()
        yield lambda _done: None
        seconds, cpu_s = time.monotonic() - started, time.process_time() - cpu
        self._stage.say(f"{what} {self._devices:,}: {seconds:.1f} s, of it {cpu_s:.1f} s our CPU")


async def _look_up(stage: Stage, stores: dict[int, PostgresStore]) -> dict[int, list[Lookups]]:
    chunks = {
        devices: iter(_chunks(devices, _WARM + (_ROUNDS + 1) * _CHUNKS)) for devices in stores
    }
    rounds: dict[int, list[Lookups]] = {devices: [] for devices in stores}
    for devices, store in stores.items():
        for _ in range(_WARM):
            await store.registry.targets(next(chunks[devices]))
    for _ in range(_ROUNDS):
        for devices, store in stores.items():
            mine = [next(chunks[devices]) for _ in range(_CHUNKS)]
            server, cpu, wall = await _server_cpu(store), time.process_time(), time.perf_counter()
            for items in mine:
                if not all(await store.registry.targets(items)):
                    raise BenchFailure("a user was not found")
            spent = (time.process_time() - cpu, 0.0, time.perf_counter() - wall)
            spent = (spent[0], await _server_cpu(store) - server, spent[2])
            rounds[devices].append(Lookups(*(s * 1e6 / (_CHUNKS * CHUNK_SIZE) for s in spent)))
    for devices, several in rounds.items():
        cpu_us, server_us, wall_us = (
            median(getattr(one, what) for one in several) for what in _WHAT
        )
        stage.say(
            f"look-up at {devices:,}, a user: {cpu_us:.2f} us CPU, {server_us:.2f} us of the "
            f"server's, {wall_us:.2f} us in all"
        )
    return rounds


def _chunks(devices: int, count: int) -> Iterator[list[Item]]:
    half = users("fcm", devices, count * CHUNK_SIZE // 2)
    names = [*half, *users("apns", devices, count * CHUNK_SIZE // 2)]
    # both providers in each chunk
    for start in range(count):
        yield [
            Item(index, "Hi", "there", None, None, name)
            for index, name in enumerate(names[start::count])
        ]


async def _server_cpu(store: PostgresStore) -> float:
    """Seconds of CPU that the server's processes for our connections have had so far."""
    connection = await asyncpg.connect(store.database.url)
    try:
        query = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> $1"
        pids = await connection.fetch(query, connection.get_server_pid())
    finally:
        await connection.close()
    files = [Path(f"/proc/{pid}/schedstat") for (pid,) in pids]
    return sum(int(file.read_text().split()[0]) for file in files) / 1e9


def _line(stage: Stage, rounds: dict[int, list[Lookups]], what: str, named: str) -> None:
    sizes = stage.sizes
    few = [getattr(one, what) for one in rounds[sizes.few_devices]]
    many = [getattr(one, what) for one in rounds[sizes.many_devices]]
    stage.report.add(
        at_most(
            _RATIO if what == _TARGET else None,
            f"look-up in PostgreSQL, {sizes.many_devices:,} devices, {named}",
            many,
            f"{sizes.few_devices:,} devices",
            few,
        )
    )
