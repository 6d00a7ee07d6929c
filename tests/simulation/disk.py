"""The database of a history: the product's own SQL in memory, and the engines that work on it.

Owns when a group of writes is durable and when its answer comes, what fails, and the mirror:
triggers that tell of every row of the journal and the registry that moves. One connection outlives
all processes, as a file does. "Half written" is committed or not: pages, fsync and locks are for
tests of real files.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any, Literal, Protocol

from gateway.errors import StoreUnavailable
from gateway.store.sqlite.engine import Kind, Threadless
from gateway.store.sqlite.jobs import GROUP, Job, read_snapshot, write_group
from gateway.store.sqlite.opening import migrate
from tests.kit.stores import fresh_secret
from tests.simulation.chance import Chance
from tests.simulation.loop import Process
from tests.simulation.trace import Trace
from tests.simulation.truth import Truth

Trouble = Literal["away", "writes", "reads", "some", "halves", "commits", "slow"]
"""`away`: nothing is done. `writes`, `reads`: only these fail. `some`: single jobs of a group fail,
`halves`: after their first statement. `commits`: groups fail at their end. `slow`: everything takes
long."""

Work = Callable[[sqlite3.Connection], Any]

_SOME = 0.25
"""Share of the jobs that fail under `some`."""

_MIRROR = """
CREATE TEMP TRIGGER delivery_offered BEFORE INSERT ON main.deliveries BEGIN
    SELECT delivery_offered(NEW.event_id, NEW.item_index, NEW.device_id, NEW.state);
END;
CREATE TEMP TRIGGER delivery_new AFTER INSERT ON main.deliveries BEGIN
    SELECT delivery_moved(NEW.state, NEW.event_id, NEW.item_index, NEW.device_id,
                          NEW.attempts, NEW.reason);
END;
CREATE TEMP TRIGGER delivery_changed AFTER UPDATE OF state ON main.deliveries BEGIN
    SELECT delivery_moved(NEW.state, NEW.event_id, NEW.item_index, NEW.device_id,
                          NEW.attempts, NEW.reason);
END;
CREATE TEMP TRIGGER delivery_gone AFTER DELETE ON main.deliveries BEGIN
    SELECT delivery_gone(OLD.event_id, OLD.item_index, OLD.device_id);
END;
CREATE TEMP TRIGGER chunk_tried AFTER UPDATE OF lease_id ON main.queue
WHEN NEW.alone = 1 AND NEW.lease_id IS NOT NULL BEGIN
    SELECT chunk_tried(NEW.id, NEW.lease_id, NEW.event_id, NEW.items);
END;
CREATE TEMP TRIGGER chunk_gone AFTER DELETE ON main.queue BEGIN
    SELECT chunk_gone(OLD.id, OLD.lease_id);
END;
CREATE TEMP TRIGGER device_new AFTER INSERT ON main.devices BEGIN
    SELECT device_moved(NULL, NEW.state, NEW.id, NEW.address, 0);
END;
CREATE TEMP TRIGGER device_changed AFTER UPDATE ON main.devices BEGIN
    SELECT device_moved(OLD.state, NEW.state, NEW.id, NEW.address, 0);
END;
CREATE TEMP TRIGGER device_gone AFTER DELETE ON main.devices BEGIN
    SELECT device_moved(OLD.state, NULL, OLD.id, OLD.address,
                        (SELECT count(*) FROM main.devices WHERE custom_id = OLD.custom_id));
END;
"""


_TAKEN = """
SELECT event_id, item_index, device_id FROM deliveries
WHERE state = 'delivered' AND event_id IN (SELECT event_id FROM queue) ORDER BY 1, 2, 3
"""
"""Deliveries that were taken, of events that are not over."""
_READ = """
UPDATE deliveries SET state = 'read' WHERE event_id = ?1 AND item_index = ?2 AND device_id = ?3
"""
"""Puts a delivery into a state of a later version."""


class Mirror(Protocol):
    """Learns of every row that moves, once it is committed. A state is None where no row is."""

    def delivery_offered(self, event_id: str, index: int, device_id: int, state: str) -> None: ...

    def delivery_moved(
        self,
        after: str,
        event_id: str,
        index: int,
        device_id: int,
        attempts: int,
        reason: str,
    ) -> None: ...

    def delivery_gone(self, event_id: str, index: int, device_id: int) -> None: ...

    def chunk_tried(self, queue_id: int, lease_id: str, event_id: str, items: bytes) -> None: ...

    def chunk_gone(self, queue_id: int, lease_id: str | None) -> None: ...

    def device_moved(
        self, before: str | None, after: str | None, device_id: int, address: str, others: int
    ) -> None: ...


@cache
def _empty() -> bytes:
    """A database with this version's schema and no row."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection, "a history")
    connection.execute("INSERT INTO secrets VALUES ('hashes', ?)", (fresh_secret(),))
    image = connection.serialize()
    connection.close()
    return image


class FailingConnection(sqlite3.Connection):
    """A connection that fails when it is told to. `left`: after so many statements more."""

    commits = True
    left: int | None = None

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        self._count(sql)
        return super().execute(sql, parameters)

    def executemany(self, sql: str, parameters: Any, /) -> sqlite3.Cursor:
        self._count(sql)
        return super().executemany(sql, parameters)

    def _count(self, sql: str) -> None:
        if self.left == 0 or (sql == "COMMIT" and not self.commits):
            raise sqlite3.OperationalError("disk I/O error")
        if self.left is not None:
            self.left -= 1


class Disk:
    """The database, what is wrong with it now, and how long it takes."""

    def __init__(self, chance: Chance, trace: Trace, wait_s: tuple[float, float]) -> None:
        self.connection = sqlite3.connect(
            ":memory:", isolation_level=None, factory=FailingConnection
        )
        self.connection.deserialize(_empty())
        self.trouble: Trouble | None = None
        self.slower = 1.0
        self._chance = chance
        self._trace = trace
        self._wait_s = wait_s
        self._moves: list[Callable[[], None]] = []
        #: process -> what is done after so many of its groups of writes
        self._awaited: dict[str, tuple[int, Callable[[], None]]] = {}

    def watch(self, mirror: Mirror) -> None:
        """Tell this mirror what moves."""
        for name, tell, facts in (
            ("delivery_offered", mirror.delivery_offered, 4),
            ("delivery_moved", mirror.delivery_moved, 6),
            ("delivery_gone", mirror.delivery_gone, 3),
            ("chunk_tried", mirror.chunk_tried, 4),
            ("chunk_gone", mirror.chunk_gone, 2),
            ("device_moved", mirror.device_moved, 5),
        ):
            note = partial(self._note, tell)
            self.connection.create_function(name, facts, note)
        self.connection.executescript(_MIRROR)

    def calm(self) -> None:
        """The faults are over."""
        self.trouble = None
        self._awaited.clear()

    def after_writes(self, process: str, writes: int, do: Callable[[], None]) -> None:
        """Do something once so many groups of writes of a process are durable, and one more."""
        self._awaited[process] = writes, do

    def written(self, process: str) -> None:
        """A group of writes of a process is durable."""
        writes, do = self._awaited.pop(process, (-1, _nothing))
        if writes > 0:
            self._awaited[process] = writes - 1, do
        else:
            do()

    def wait(self, name: str) -> float:
        """How long the next step of the disk takes."""
        low, high = self._wait_s
        wait = low + (high - low) * self._chance.turn(name)
        return wait * self.slower if self.trouble == "slow" else wait

    def write(self, jobs: Sequence[Job]) -> None:
        """Run a group of jobs in one transaction, or fail as the trouble says."""
        if self.trouble in ("away", "writes"):
            _fail(jobs)
            return
        for job in jobs:
            job.work = self._work_of(job)
        self.connection.commits = self.trouble != "commits" or self._chance.turn("some") > 0.5
        write_group(self.connection, jobs)
        moves, self._moves = self._moves, []
        if not self.connection.commits:
            return
        for move in moves:
            move()

    def read(self, job: Job) -> None:
        """Run a job that reads."""
        if self.trouble in ("away", "reads"):
            _fail([job])
        else:
            read_snapshot(self.connection, job)

    def spoil(self, table: str, turn: int, truth: Truth) -> None:
        """Leave a row as a later version might, if there is one: what it says, this one cannot
        read."""
        spoilt, ids = self._spoilt(table)
        if not ids:
            return
        chosen = ids[turn % len(ids)]
        for statement in spoilt:
            self.connection.execute(statement, chosen)
        self._moves.clear()
        self._trace.count(f"fault: unreadable {table}")
        if table == "devices":
            truth.spoilt_devices[chosen[0]] = None
        elif table != "deliveries":
            truth.unreadable[chosen[1]] = None

    def _spoilt(self, table: str) -> tuple[Sequence[str], list[tuple[Any, ...]]]:
        """The statements that spoil a row, and the keys of the rows that may be chosen."""
        queued = "UPDATE queue SET items = x'7b' WHERE id = ?1 AND event_id = ?2"
        ids = "SELECT id, event_id FROM queue WHERE lease_id IS NULL ORDER BY id"
        match table:
            case "queue":
                spoilt = [queued]
            case "events":
                spoilt = [queued, "UPDATE events SET rejections = '{' WHERE event_id = ?2"]
            case "devices":
                spoilt = ["UPDATE devices SET platform = 'watch' WHERE id = ?1"]
                ids = "SELECT id FROM devices ORDER BY id"
            case _:
                spoilt = [_READ]
                ids = _TAKEN
        return spoilt, self.connection.execute(ids).fetchall()

    def close(self) -> None:
        self.connection.close()

    def _note(self, tell: Callable[..., None], *facts: Any) -> None:
        """A trigger speaks: believed once the job it belongs to has succeeded."""
        self._moves.append(partial(tell, *facts))

    def _work_of(self, job: Job) -> Work:
        """What becomes of a job in this trouble."""
        fails = self.trouble in ("some", "halves") and self._chance.turn("some") < _SOME
        if not fails:
            return partial(self._told, job.work)
        return _broken if self.trouble == "some" else partial(self._told, partial(_half, job.work))

    def _told(self, work: Work, connection: sqlite3.Connection) -> Any:
        before = len(self._moves)
        try:
            return work(connection)
        except BaseException:
            del self._moves[before:]
            raise


def _nothing() -> None:
    pass


def _fail(jobs: Sequence[Job]) -> None:
    for job in jobs:
        job.error = StoreUnavailable("The database did not do it: it is away")


def _half(work: Work, connection: FailingConnection) -> Any:
    connection.left = 1
    try:
        return work(connection)
    finally:
        connection.left = None


def _broken(_connection: sqlite3.Connection) -> Any:
    raise sqlite3.OperationalError("disk I/O error")


class DiskEngine(Threadless):
    """The port `gateway.store.sqlite.engine.Engine` of one process, on its event loop.

    A killed process leaves behind what is committed: a group is written at one moment, and its
    answer comes later. `written` is called when a write was answered, and is durable.
    """

    def __init__(
        self, disk: Disk, process: Process, written: Callable[[], None] = lambda: None
    ) -> None:
        self._disk = disk
        self._told = written
        self._loop = asyncio.get_running_loop()
        self._writes: deque[Job] = deque()
        self._writing = False
        self._reading = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._name = process.name

    def submit(self, job: Job, kind: Kind) -> None:
        self._idle.clear()
        if kind != "write":
            self._reading += 1
            self._loop.call_later(self._disk.wait(f"{self._name}/read"), self._read, job)
            return
        self._writes.append(job)
        if not self._writing:
            self._writing = True
            self._loop.call_later(self._disk.wait(f"{self._name}/write"), self._write)

    async def aclose(self) -> None:
        await self._idle.wait()

    def _read(self, job: Job) -> None:
        self._disk.read(job)
        job.resolve()
        self._reading -= 1
        self._rest()

    def _write(self) -> None:
        jobs = [self._writes.popleft() for _ in range(min(len(self._writes), GROUP))]
        self._disk.write(jobs)
        self._disk.written(self._name)
        self._loop.call_later(self._disk.wait(f"{self._name}/sync"), self._written, jobs)

    def _written(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            job.resolve()
        if any(job.error is None for job in jobs):
            self._told()
        if self._writes:
            self._loop.call_later(self._disk.wait(f"{self._name}/write"), self._write)
        else:
            self._writing = False
            self._rest()

    def _rest(self) -> None:
        if not self._writing and not self._reading:
            self._idle.set()
