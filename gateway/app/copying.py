"""`inkpush store copy`: copies all lasting data from a SQLite file to a PostgreSQL database.

Owns the order of the steps: look, refuse, copy, verify, and only then report success.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from gateway.app.clocks import SYSTEM
from gateway.app.storage import sole_relay
from gateway.core.audit import Actor
from gateway.core.clocks import Clocks
from gateway.errors import ConfigurationError, StoreError
from gateway.store.copying import QUEUE, TABLES, Checksum, Table
from gateway.store.postgres import open_postgres
from gateway.store.postgres.arrivals import PostgresArrivals
from gateway.store.sqlite.snapshot import SqliteSnapshot

Advance = Callable[[int], None]
Progress = Callable[[str, int], AbstractContextManager[Advance]]
"""Shows the progress of a step with this many rows, while it is entered."""


@dataclass(frozen=True, slots=True)
class CopiedTable:
    """A table that is equal on both sides; this run copied `copied` of its rows."""

    table: str
    rows: int
    copied: int
    checksum: str


@dataclass(slots=True)
class Copied:
    """The result of a copy. `verified_at` is when it was verified; `before`: by an earlier run."""

    verified_at: float
    before: bool = False
    resumed: bool = False
    seconds: float = 0.0
    tables: list[CopiedTable] = field(default_factory=list)

    @property
    def rows(self) -> int:
        return sum(one.rows for one in self.tables)


async def run(
    source: Path,
    target: str,
    *,
    queued: bool,
    live: bool,
    progress: Progress,
    actor: Actor,
    clocks: Clocks = SYSTEM,
) -> Copied:
    """Copy, or continue an interrupted copy. `queued`: the target's queue is in its database.

    `live`: a relay may work on the source; the copy has the rows of now.
    """
    started = clocks.monotonic()
    with _alone(source, live=live), SqliteSnapshot(source) as snapshot:
        counts = snapshot.counts()
        if counts[QUEUE] and not queued:
            raise StoreError(
                f"{counts[QUEUE]} chunks wait in the queue of {source}, and queue.url names a "
                "broker, which they cannot be copied to. Let the gateway on the source send them "
                "first: stop what posts webhooks, and wait until inkpush_queue_depth is 0. Then "
                "stop it, and copy."
            )
        store = await open_postgres(target)
        try:
            arrivals = PostgresArrivals(store.database, snapshot.place)
            verified_at = await arrivals.begin()
            if verified_at is not None:
                return Copied(verified_at, before=True)
            copied = Copied(0.0, resumed=any(arrivals.begun(table).rows for table in TABLES))
            taken = await _take(snapshot, arrivals, sum(counts.values()), progress)
            await arrivals.analyze()
            copied.tables = await _verify(snapshot, arrivals, counts, taken, progress)
            copied.verified_at = clocks.wall()
            act = actor.does("store.copy", snapshot.place, at=copied.verified_at)
            await arrivals.finish(snapshot.ids(), now=copied.verified_at, act=act)
        finally:
            await store.aclose()
    copied.seconds = clocks.monotonic() - started
    return copied


@contextmanager
def _alone(source: Path, *, live: bool) -> Iterator[None]:
    """Keep relays away from the source: their changes during the copy would be lost."""
    with ExitStack() as stack:
        if not live and source.is_file():
            try:
                stack.enter_context(sole_relay(source))
            except ConfigurationError:
                raise StoreError(
                    f"A relay works on {source}: stop it first, or its later changes would be "
                    "missing. --live copies beside it, to try it out."
                ) from None
        yield


async def _take(
    snapshot: SqliteSnapshot, arrivals: PostgresArrivals, total: int, progress: Progress
) -> dict[str, int]:
    """Copy the missing rows; returns how many of each table."""
    taken = {}
    with progress("Copying", total) as advance:
        for table in TABLES:
            begun = arrivals.begun(table)
            before = begun.rows
            advance(before)
            columns = snapshot.columns(table)
            for page in snapshot.pages(table, after=begun.last_key):
                await arrivals.add(table, columns, page)
                advance(len(page))
            taken[table.name] = begun.rows - before
    return taken


async def _verify(
    snapshot: SqliteSnapshot,
    arrivals: PostgresArrivals,
    counts: dict[str, int],
    taken: dict[str, int],
    progress: Progress,
) -> list[CopiedTable]:
    """Compare all rows of both sides. Raises StoreError for the tables that differ."""
    verified, wrong = [], []
    with progress("Verifying", 2 * sum(counts.values())) as advance:
        for table in TABLES:
            here = _checksum(snapshot, table, advance)
            there = await arrivals.checksum(table, snapshot.columns(table), advance)
            if difference := here.difference(there):
                wrong.append(f"{table.name}: {difference}")
            verified.append(CopiedTable(table.name, here.rows, taken[table.name], here.text))
    if wrong:
        raise StoreError(
            f"The copy is not what the source is. {'; '.join(wrong)}. Either of them was changed "
            "since the copy began: stop what works on them, and copy into an empty database."
        )
    return verified


def _checksum(snapshot: SqliteSnapshot, table: Table, advance: Advance) -> Checksum:
    found = Checksum()
    for page in snapshot.pages(table, after=table.start):
        found.add(page)
        advance(len(page))
    return found
