"""Where the work on a SQLite file runs: the port, and the threads that do it in life.

Owns threads, the way back from them to the event loop, and that no job waits for ever: a thread
that ends, for whatever reason, fails all that was asked, and says so. Refuses to know transactions,
which are `jobs`' matter, and tables.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Literal, Protocol

from gateway.errors import StoreEnded
from gateway.store.sqlite.file import DatabaseFile
from gateway.store.sqlite.jobs import GROUP, Job, read_snapshot, write_group
from gateway.store.sqlite.opening import Connections

Kind = Literal["write", "read", "search"]


Ended = Callable[[StoreEnded], None]
"""Is told that the store has ended, on its event loop."""

#: a query that goes on for long tells after so many steps of SQLite that it moves: a tenth of a
#: second, for it has to wait for the interpreter then
_STEPS = 1_000_000
_AGAIN_S = 0.05


class Engine(Protocol):
    """Runs jobs. Those that write run one after the other, in the order they came; those that
    read see what is committed, and those that search keep no reader waiting."""

    def submit(self, job: Job, kind: Kind) -> None:
        """Run a job soon, and resolve it on its loop then. Not after `aclose`."""

    def standstill(self, limit_s: float) -> str:
        """What has not moved for so long although there is work for it; "" when all moves."""

    def on_end(self, told: Ended) -> None:
        """Have it told when nothing is done any more, though nobody closed."""

    async def aclose(self) -> None:
        """Finish what was submitted, then close the connections. May be called again."""


class Threadless:
    """What is worked on by nothing of its own: on the event loop, which its callers wait for."""

    def standstill(self, limit_s: float) -> str:  # noqa: ARG002  # as `Engine`
        return ""

    def on_end(self, told: Ended) -> None:
        """Nothing ends."""


class _Line:
    """Jobs that wait, and when one was last taken (the loop's time)."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._taken_at = now()

    def put(self, job: Job | None) -> None:
        if self._jobs.empty():
            self._taken_at = self._now()
        self._jobs.put(job)

    def take(self, *, wait: bool = True) -> Job | None:
        """The next job; None: there will be no more. Raises queue.Empty."""
        job = self._jobs.get(block=wait)
        self._taken_at = self._now()
        return job

    def empty(self) -> list[Job]:
        """Take all jobs at once; what tells threads to end stays."""
        jobs: list[Job] = []
        ends = 0
        with contextlib.suppress(queue.Empty):
            while True:
                job = self._jobs.get_nowait()
                if job is None:
                    ends += 1
                else:
                    jobs.append(job)
        for _ in range(ends):
            self._jobs.put(None)
        return jobs

    def waits_since(self) -> float | None:
        """Since when a job waits and none is taken."""
        return None if self._jobs.empty() else self._taken_at


class _Worker:
    """A thread, the jobs in its hands, and when it last moved (the loop's time)."""

    def __init__(
        self, name: str, connection: sqlite3.Connection, line: _Line, now: Callable[[], float]
    ) -> None:
        self.name = name
        self.connection = connection
        self.line = line
        self.jobs: list[Job] = []
        self.moved_at = 0.0
        self._now = now
        connection.set_progress_handler(self.moves, _STEPS)

    def moves(self) -> None:
        self.moved_at = self._now()

    def begins(self, first: Job) -> list[Job]:
        """Take a job in hand; returns what it has in hand, to which more may be added."""
        self.jobs = [first]
        self.moves()
        return self.jobs

    def ends(self) -> None:
        """Tell of the jobs in hand, and put them down."""
        _resolve(self.jobs)
        self.jobs = []


class ThreadEngine:
    """An `Engine` of one thread that writes, one for each connection that reads, and one that
    searches.

    Writes that arrive while a commit is on its way to the disk wait together, and share the next.
    """

    def __init__(self, connections: Connections) -> None:
        self._loop = asyncio.get_running_loop()
        self._told: list[Ended] = []
        self._ended: StoreEnded | None = None
        now = self._loop.time
        self._lines: dict[Kind, _Line] = {
            "write": _Line(now),
            "read": _Line(now),
            "search": _Line(now),
        }
        self._workers = [
            _Worker("sqlite-writer", connections.writing, self._lines["write"], now),
            *(
                _Worker(f"sqlite-reader-{number}", one, self._lines["read"], now)
                for number, one in enumerate(connections.reading)
            ),
            _Worker("sqlite-searcher", connections.searching, self._lines["search"], now),
        ]
        self._threads = [
            threading.Thread(target=self._run, args=(worker,), name=worker.name)
            for worker in self._workers
        ]
        self._file = connections.file
        self._closed = False
        for thread in self._threads:
            thread.start()

    def submit(self, job: Job, kind: Kind) -> None:
        self._lines[kind].put(job)
        if self._ended is not None:
            self._fail_waiting(self._ended)

    def standstill(self, limit_s: float) -> str:
        if self._ended is not None:
            return str(self._ended)
        now = self._loop.time()
        for worker in self._workers:
            if worker.jobs and (quiet_s := now - worker.moved_at) > limit_s:
                return f"the database's thread {worker.name} has not moved for {quiet_s:.0f} s"
            since = worker.line.waits_since()
            if since is not None and now - since > limit_s:
                return f"nothing was taken up for {now - since:.0f} s by {worker.name}"
        return ""

    def on_end(self, told: Ended) -> None:
        self._told.append(told)

    async def aclose(self) -> None:
        # The writer closes last: the last connection to close moves the log into the file, and one
        # that only reads may not.
        writer, *readers = self._workers
        if not self._closed:
            self._closed = True
            for worker in readers:
                worker.line.put(None)
        try:
            for thread in self._threads[1:]:
                await asyncio.to_thread(thread.join)
        finally:
            writer.line.put(None)
        await asyncio.to_thread(self._threads[0].join)

    # --- in the threads -----------------------------------------------------------------------

    def _run(self, worker: _Worker) -> None:
        try:
            with contextlib.closing(worker.connection):
                if worker is self._workers[0]:
                    _write(worker, self._file)
                else:
                    _read(worker)
        except BaseException as error:  # noqa: BLE001  # whatever it is: nobody else would tell
            self._end(worker, error)

    def _end(self, worker: _Worker, error: BaseException) -> None:
        """A thread is over, and so is the store: fail all jobs, end the other threads, and tell."""
        ended = StoreEnded(worker.name, error)
        # First known, then emptied: a job that comes in between is failed by `submit`.
        self._ended = self._ended or ended
        for job in worker.jobs:
            job.error = ended
        worker.ends()
        self._fail_waiting(ended)
        for other in self._workers:
            other.line.put(None)
        for told in self._told:
            _tell(self._loop, partial(told, ended))

    def _fail_waiting(self, ended: StoreEnded) -> None:
        for line in self._lines.values():
            for job in line.empty():
                job.error = ended
                _resolve([job])


def _read(worker: _Worker) -> None:
    while (job := worker.line.take()) is not None:
        worker.begins(job)
        read_snapshot(worker.connection, job)
        worker.ends()


def _write(worker: _Worker, file: DatabaseFile) -> None:
    while (first := worker.line.take()) is not None:
        jobs = worker.begins(first)
        last = False
        while len(jobs) < GROUP:
            try:
                job = worker.line.take(wait=False)
            except queue.Empty:
                break
            if job is None:
                last = True
                break
            jobs.append(job)
        if (gone := file.gone()) is None:
            write_group(worker.connection, jobs)
        else:
            for waiting in jobs:
                waiting.error = gone
        worker.ends()
        if last:
            return


def _resolve(jobs: Iterable[Job]) -> None:
    """Wake the callers; one wake-up for all that share a loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Job]] = {}
    for job in jobs:
        by_loop.setdefault(job.loop, []).append(job)
    for loop, waiting in by_loop.items():
        _tell(loop, partial(_wake, waiting))


def _tell(loop: asyncio.AbstractEventLoop, what: Callable[[], None]) -> None:
    """Call on a loop. One that was closed has nobody left who waits."""
    while True:
        try:
            loop.call_soon_threadsafe(what)
            return
        except RuntimeError:
            return
        except MemoryError:
            threading.Event().wait(_AGAIN_S)  # nobody is woken otherwise


def _wake(jobs: Sequence[Job]) -> None:
    for job in jobs:
        job.resolve()
