"""Engines for SQLite that a test can look into, or that need no thread.

What is asked runs in the order it was asked, so that two runs of a test are the same.
"""

from __future__ import annotations

import sqlite3
from collections import deque
from pathlib import Path

from gateway.store.sqlite.engine import Engine, Kind, Threadless
from gateway.store.sqlite.jobs import GROUP, Job, read_snapshot, write_group
from gateway.store.sqlite.opening import migrate


def in_memory() -> sqlite3.Connection:
    """A new database of this version's schema, which ends with its connection."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection, Path(":memory:"))
    return connection


class LoopEngine(Threadless):
    """An `Engine` on one connection, which it closes at the end. `groups` is how many writes each
    commit so far had."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._writes: deque[Job] = deque()
        self._due = False
        self.groups: list[int] = []

    def submit(self, job: Job, kind: Kind) -> None:
        if kind != "write":
            job.loop.call_soon(self._read, job)
        else:
            self._writes.append(job)
            self._arrange()

    async def aclose(self) -> None:
        while self._writes:
            self._write()
        self._connection.close()

    def _arrange(self) -> None:
        if self._writes and not self._due:
            self._due = True
            self._writes[0].loop.call_soon(self._write)

    def _read(self, job: Job) -> None:
        read_snapshot(self._connection, job)
        job.resolve()

    def _write(self) -> None:
        jobs = [self._writes.popleft() for _ in range(min(len(self._writes), GROUP))]
        write_group(self._connection, jobs)
        self.groups.append(len(jobs))
        for job in jobs:
            job.resolve()
        self._due = False
        self._arrange()


class CountingEngine(Threadless):
    """An engine that counts the writes it was asked for, and has another one do them."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.writes = 0

    def submit(self, job: Job, kind: Kind) -> None:
        self.writes += kind == "write"
        self._engine.submit(job, kind)

    async def aclose(self) -> None:
        await self._engine.aclose()
