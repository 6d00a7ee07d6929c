"""Pieces of work for the SQLite file, and how they run: alone, or several in one commit.

Owns transactions, savepoints and the translation of SQLite's errors. Refuses to know threads and
tables: whoever has a connection may call this, wherever they run.

Jobs that are written together become durable with one fsync (group commit): each runs under a
savepoint of its own, so one that fails takes nothing along.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

from gateway.errors import GatewayError, StoreUnavailable

_FAILURES = (sqlite3.Error, MemoryError)
"""What SQLite fails with: memory that it does not get is no error of its own to the driver."""

GROUP = 64
"""Writes that may share one commit: enough to spread an fsync, few enough to answer soon."""


class Job:
    """A piece of work, and the future its caller awaits. Made on the caller's event loop.

    `alone`: it is one query, which needs no transaction.
    """

    __slots__ = ("alone", "error", "future", "loop", "result", "work")

    def __init__(self, work: Callable[[sqlite3.Connection], Any], *, alone: bool = False) -> None:
        self.work = work
        self.alone = alone
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Any] = self.loop.create_future()
        self.result: Any = None
        self.error: BaseException | None = None

    def resolve(self) -> None:
        """Tell the caller what came of it. Called on the caller's loop."""
        if self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


def read_snapshot(connection: sqlite3.Connection, job: Job) -> None:
    """Run the job in one transaction: its queries see the same data, whatever is written."""
    try:
        if not job.alone:
            connection.execute("BEGIN")
        job.result = job.work(connection)
    except BaseException as error:  # noqa: BLE001  # the caller gets it
        job.error = _translated(error)
    finally:
        _undo(connection)


def write_group(connection: sqlite3.Connection, jobs: Sequence[Job]) -> None:
    """Run the jobs in one transaction; what fails is undone alone, a failed commit fails all.

    Raises when what failed cannot be undone: the connection is good for nothing any more.
    """
    try:
        connection.execute("BEGIN IMMEDIATE")
        if len(jobs) > 1:
            for job in jobs:
                _write_beside_others(connection, job)
        elif not _write_alone(connection, jobs[0]):
            return
        connection.execute("COMMIT")
    except _FAILURES as error:
        for job in jobs:
            job.error = job.error or _translated(error)
        _undo(connection)


def _undo(connection: sqlite3.Connection) -> None:
    """Undo what is open. SQLite may have done it itself: a full disk ends the transaction."""
    with contextlib.suppress(sqlite3.Error):
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    if connection.in_transaction:
        raise StoreUnavailable("What failed cannot be undone.")


def _write_alone(connection: sqlite3.Connection, job: Job) -> bool:
    """Run a job without a savepoint: the transaction is its own. False: all of it was undone."""
    try:
        job.result = job.work(connection)
        return True
    except BaseException as error:  # noqa: BLE001  # the caller gets it
        job.error = _translated(error)
        _undo(connection)
        return False


def _write_beside_others(connection: sqlite3.Connection, job: Job) -> None:
    connection.execute("SAVEPOINT job")
    try:
        job.result = job.work(connection)
    except BaseException as error:  # noqa: BLE001  # the caller gets it
        job.error = _translated(error)
        # A full disk ends the whole transaction: then there is nothing to go back to.
        connection.execute("ROLLBACK TO job")
    connection.execute("RELEASE job")


def _translated(error: BaseException) -> BaseException:
    if isinstance(error, GatewayError) or not isinstance(error, _FAILURES):
        return error
    why = str(error) or "there is no memory left"
    unavailable = StoreUnavailable(f"The database did not do it: {why}")
    unavailable.__cause__ = error
    return unavailable
