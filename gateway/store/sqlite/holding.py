"""Who works on a database: a row for each relay that may have leases, in the table `relays`.

Owns what is known of relays that ended: a lease ends at the start of the next relay only if its
relay is known to be gone. Runs on a connection that nobody else uses.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from gateway.core.instants import to_iso

Sql = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Holder:
    """A relay: its process, the machine's name, the running system's id, and since when (epoch
    seconds) it works here. `name` is what its leases' ids begin with."""

    pid: str
    host: str
    boot: str
    since: float
    name: str = ""

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, since {to_iso(self.since)}"


def take(connection: sqlite3.Connection, sql: Sql, holder: Holder, path: Path) -> list[Holder]:
    """Enter a relay that has the lock on the file, by this name. Returns those of before that may
    be alive.

    Known to be gone is who ran under the same system, for it would have the lock, or on a machine
    of this name, which was started anew. Of any other nothing is known: its leases run out.
    """
    known = {"host": holder.host, "boot": holder.boot}
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.execute(sql["relays_gone"], known)
        rows = connection.execute(sql["relays_all"]).fetchall()
        connection.execute(sql["relays_enter"], known | _values(holder) | {"path": str(path)})
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    # who is refused reads the file alone: see `holder_in`
    connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
    return [_holder(row) for row in rows]


def holder_in(path: Path) -> Holder | None:
    """Who works on a file that another process has open, maybe under another name.

    What is in the file is read, and not the log beside it: under this name that may be another
    one. None where nothing can be read.
    """
    try:
        with closing(
            sqlite3.connect(f"file:{quote(str(path))}?mode=ro&immutable=1", uri=True)
        ) as connection:
            row = connection.execute(
                "SELECT name, pid, host, boot, since FROM relays ORDER BY since DESC LIMIT 1"
            ).fetchone()
    except sqlite3.Error:
        return None
    return None if row is None else _holder(row)


def _values(holder: Holder) -> dict[str, object]:
    return {"name": holder.name, "pid": holder.pid, "since": holder.since}


def _holder(row: tuple[str, str, str, str, float]) -> Holder:
    name, pid, host, boot, since = row
    return Holder(pid, host, boot, since, name)
