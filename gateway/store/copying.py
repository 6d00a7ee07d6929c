"""Which tables a copy from one engine to another takes along, and when two of them are the same.

Pure. Owns the order in which they go and the checksum; reading is `sqlite.snapshot`'s, writing is
`postgres.arrivals`'.
"""

from __future__ import annotations

import marshal
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from gateway.errors import StoreError

Row = tuple[Any, ...]
Key = tuple[Any, ...]

_PAGE_ROWS = 10_000
_PAGE_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Table:
    """A table that is copied. `start` lies before every key, and the key's columns come first in
    a row. `bulk` is the column whose size limits a page. `identity`: its ids are given by the
    database. `lossy`: a NUL, which PostgreSQL cannot hold, is dropped from a text, as the journal
    does; elsewhere it would make two names one."""

    name: str
    start: Key
    bulk: int | None = None
    identity: bool = False
    lossy: bool = False


TABLES = (
    Table("devices", (0,), identity=True),
    Table("api_keys", ("",)),
    Table("secrets", ("",)),
    Table("forgotten", (-1,)),
    Table("erasures", ("", ""), lossy=True),
    Table("erased_events", ("", "", ""), lossy=True),
    Table("audit", (-1.0, "", "", "", "", "")),
    Table("hooks", ("",)),
    Table("hook_told", ("", "")),
    Table("lanes", ("", "")),
    Table("lane_parts", ("", "", "")),
    Table("brake_window", ("", "", -1.0)),
    Table("held_removals", (0,)),
    Table("starts", (0, "")),
    Table("effect_marks", ("", -1.0)),
    Table("effect_days", (-1.0, "", "", "", "")),
    Table("effect_reasons", (-1.0, "", "", "", "", "")),
    Table("effect_phones", (-1.0, "", "", "")),
    Table("effect_terms", ("",)),
    Table("effect_outcomes", ("", -1.0, "", "", -1)),
    Table("experiments", ("",)),
    Table("experiment_members", ("", "")),
    Table("experiment_left_out", ("", "")),
    Table("experiment_also", ("", "")),
    Table("experiment_exempt", ("",)),
    Table("experiment_held", ("", ""), bulk=5, lossy=True),
    Table("events", ("",), bulk=10, lossy=True),
    Table("learning", (0,), bulk=18, lossy=True),
    Table("learning_chain", (0,)),
    Table("learning_seals", (0,)),
    Table("learning_days", (0,)),
    Table("learning_outcomes", ("", "", -math.inf, 0), lossy=True),
    Table("event_people", ("", ""), lossy=True),
    Table("cancelled", ("",), lossy=True),
    Table("suppressions", ("", ""), lossy=True),
    Table("chunks_done", ("", -1), lossy=True),
    Table("deliveries", ("", -1, -1), lossy=True),
    Table("failed_attempts", ("", -1, -1), lossy=True),
    Table("receipts", ("", -1, -1, ""), lossy=True),
    Table("dead_letters", (0,), identity=True, lossy=True),
    Table("hook_batches", (0,), bulk=9, identity=True, lossy=True),
    Table("queue", (0,), bulk=10, identity=True, lossy=True),
)
"""All that lasts, the registry first. Heartbeats are not copied: they are about processes."""
QUEUE = "queue"
DELIVERIES = "deliveries"


def storable_rows(table: Table, rows: Sequence[Row]) -> list[Row]:
    """The rows as PostgreSQL can hold them. Raises StoreError where that would change a name."""
    return [_without_nul(table, row) if _has_nul(row) else row for row in rows]


def is_full(rows: int, size: int) -> bool:
    """Whether so much is enough for one transaction."""
    return rows >= _PAGE_ROWS or size >= _PAGE_BYTES


class Checksum:
    """How many rows, and a sum over them that does not depend on their order."""

    __slots__ = ("rows", "total")

    def __init__(self) -> None:
        self.rows = 0
        self.total = 0

    def add(self, rows: Iterable[Sequence[Any]]) -> None:
        """Take in rows of either driver: both give the same plain values."""
        for row in rows:
            # version 2: as later ones, but a value is written the same whoever else refers to it
            written = marshal.dumps(tuple(row), 2)
            digest = blake2b(written, digest_size=8).digest()
            self.total += int.from_bytes(digest)
            self.rows += 1

    @property
    def text(self) -> str:
        return f"{self.total % 2**64:016x}"

    def difference(self, there: Checksum) -> str:
        """What tells this one, the source's, from the other: "" if nothing does."""
        if self.rows != there.rows:
            return f"{self.rows} rows in the source, {there.rows} in the copy"
        return "" if self.text == there.text else f"not all of the {self.rows} rows are the same"


def _has_nul(row: Row) -> bool:
    for value in row:  # noqa: SIM110  # `any` takes twice the time, for every row there is
        if type(value) is str and "\0" in value:
            return True
    return False


def _without_nul(table: Table, row: Row) -> Row:
    if not table.lossy:
        raise StoreError(
            f"{table.name}: a row has a NUL character, which PostgreSQL cannot hold; its key is "
            f"{row[: len(table.start)]!r}. Remove it from the source first."
        )
    return tuple(value.replace("\0", "") if type(value) is str else value for value in row)
