"""The servers that a distributed gateway stands on: a PostgreSQL and three JetStream nodes.

They are started as the tests start them, on loopback and in folders of their own, but PostgreSQL
with its own defaults: what it has committed is on the disk. Owns the account of their CPU time.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

from gateway.app.benching.failure import BenchFailure
from tests.kit.nats_cluster import SERVER, NatsCluster, nats_cluster
from tests.kit.postgres import Cluster, find_binaries

_TICKS = os.sysconf("SC_CLK_TCK")
#: what the tests set otherwise, as PostgreSQL 15 ships it
_DEFAULTS = {
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "shared_buffers": "128MB",
    "max_wal_size": "1GB",
    "autovacuum": "on",
}


@dataclass(frozen=True, slots=True)
class Servers:
    """Both, running."""

    postgres: Cluster
    nats: NatsCluster

    def postgres_cpu_s(self) -> float:
        """CPU seconds of all processes of PostgreSQL so far, those that ended included."""
        first = self.postgres.pid
        return _cpu_s(first, ended=True) + sum(_cpu_s(pid) for pid in _children(first))

    def nats_cpu_s(self) -> float:
        """CPU seconds of the three nodes so far."""
        return sum(_cpu_s(node.process.pid) for node in self.nats.nodes if node.process)

    def database(self, name: str) -> str:
        """Make an empty database; returns its URL."""
        asyncio.run(_create(self.postgres.url(), name))
        return self.postgres.url(name)


def find_postgres() -> str | None:
    """The program, where Debian has it."""
    try:
        return str(find_binaries() / "postgres")
    except pytest.skip.Exception:  # the kit's way to say that there is none
        return None


@contextmanager
def running_servers(**settings: str) -> Iterator[Servers]:
    """Run both for the length of the block; `settings` are of PostgreSQL. Raises BenchFailure when
    one is not installed."""
    if SERVER is None:
        raise BenchFailure("nats-server is not installed: apt-get install nats-server")
    if find_postgres() is None:
        raise BenchFailure("PostgreSQL is not installed: apt-get install postgresql")
    postgres = Cluster(**(_DEFAULTS | settings))
    with contextlib.ExitStack() as stack:
        stack.callback(postgres.destroy)
        yield Servers(postgres, stack.enter_context(nats_cluster()))


async def _create(url: str, name: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(f"CREATE DATABASE {name}")
    finally:
        await connection.close()


def _children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _cpu_s(pid: int, *, ended: bool = False) -> float:
    """CPU of a process, and with `ended` of the children that it has buried; 0 for one that ended
    just now."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    # utime, stime, cutime and cstime are fields 14 to 17
    fields = text.rpartition(")")[2].split()[11 : 15 if ended else 13]
    return sum(map(int, fields)) / _TICKS
