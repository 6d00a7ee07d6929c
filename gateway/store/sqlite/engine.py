"""Where the work on a SQLite file runs: the port, and the threads that do it in life.

Owns threads and the way back from them to the event loop. Refuses to know transactions, which are
`jobs`' matter, and tables.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
import threading
from collections.abc import Sequence
from typing import Literal, Protocol

from gateway.store.sqlite.jobs import GROUP, Job, read_snapshot, write_group
from gateway.store.sqlite.opening import Connections

Kind = Literal["write", "read", "search"]


class Engine(Protocol):
    """Runs jobs. Those that write run one after the other, in the order they came; those that
    read see what is committed, and those that search keep no reader waiting."""

    def submit(self, job: Job, kind: Kind) -> None:
        """Run a job soon, and resolve it on its loop then. Not after `aclose`."""

    async def aclose(self) -> None:
        """Finish what was submitted, then close the connections. May be called again."""


class ThreadEngine:
    """An `Engine` of one thread that writes, one for each connection that reads, and one that
    searches.

    Writes that arrive while a commit is on its way to the disk wait together, and share the next.
    """

    def __init__(self, connections: Connections) -> None:
        self._writes: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._reads: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._searches: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(
                target=self._write_loop, args=(connections.writing,), name="sqlite-writer"
            )
        ]
        self._threads += [
            threading.Thread(
                target=self._read_loop, args=(one, self._reads), name=f"sqlite-reader-{number}"
            )
            for number, one in enumerate(connections.reading)
        ]
        self._threads.append(
            threading.Thread(
                target=self._read_loop,
                args=(connections.searching, self._searches),
                name="sqlite-searcher",
            )
        )
        self._file = connections.file
        self._queues = {"write": self._writes, "read": self._reads, "search": self._searches}
        self._closed = False
        for thread in self._threads:
            thread.start()

    def submit(self, job: Job, kind: Kind) -> None:
        self._queues[kind].put(job)

    async def aclose(self) -> None:
        if not self._closed:
            self._closed = True
            self._writes.put(None)
            self._searches.put(None)
            for _ in self._threads[1:-1]:
                self._reads.put(None)
        for thread in self._threads:
            await asyncio.to_thread(thread.join)

    # --- in the threads -----------------------------------------------------------------------

    def _read_loop(
        self, connection: sqlite3.Connection, jobs: queue.SimpleQueue[Job | None]
    ) -> None:
        with contextlib.closing(connection):
            while (job := jobs.get()) is not None:
                read_snapshot(connection, job)
                _resolve([job])

    def _write_loop(self, connection: sqlite3.Connection) -> None:
        with contextlib.closing(connection):
            while (first := self._writes.get()) is not None:
                jobs = [first]
                last = False
                while len(jobs) < GROUP:
                    try:
                        job = self._writes.get_nowait()
                    except queue.Empty:
                        break
                    if job is None:
                        last = True
                        break
                    jobs.append(job)
                if (gone := self._file.gone()) is None:
                    write_group(connection, jobs)
                else:
                    for job in jobs:
                        job.error = gone
                _resolve(jobs)
                if last:
                    return


def _resolve(jobs: Sequence[Job]) -> None:
    """Wake the callers; one wake-up for all that share a loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Job]] = {}
    for job in jobs:
        by_loop.setdefault(job.loop, []).append(job)
    for loop, waiting in by_loop.items():
        # A loop that was closed has nobody left who waits.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(_wake, waiting)


def _wake(jobs: Sequence[Job]) -> None:
    for job in jobs:
        job.resolve()
