"""The databases that a queue may live in, as the queue needs them.

Owns only their interface; `gateway.store` implements it, and `gateway.app` brings both together.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from gateway.core.audit import Act
from gateway.core.erased import Erased

T = TypeVar("T")


class Database(Protocol):
    """A SQL database whose writes share commits. `sql` holds the named queries."""

    @property
    def sql(self) -> Mapping[str, str]:
        """Queries by name."""

    async def write(self, work: Callable[[Any], Any]) -> Any:
        """Run `work(connection)` in a transaction; returns when it is durable (fsync)."""

    def write_rows(self, connection: Any, query: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """Run a named query that says `VALUES (?, ...)` for all rows, in a few statements."""

    async def read(self, work: Callable[[Any], Any]) -> Any:
        """Run `work(connection)` on a reading connection."""

    def note(self, connection: Any, act: Act | None, *, count: int) -> None:
        """Write the row of an act, if it is one, in the transaction that carries it out."""

    def has_learnt(self, connection: Any, event_id: str) -> bool:
        """Whether a learning event is kept by now, or was erased."""

    def erased_from(self, connection: Any, event_ids: Collection[str]) -> Erased | None:
        """Who was erased since these events came in; None, nearly always: nobody."""


class Session(Protocol):
    """A transaction on a database over a network: named queries."""

    async def rows(self, query: str, *values: Any) -> list[Any]:
        """All rows of a query."""

    async def run(self, query: str, *values: Any) -> int:
        """Run a query; returns how many rows it wrote."""

    async def note(self, act: Act | None, *, count: int) -> None:
        """Write the row of an act, if it is one."""

    async def erased_from(self, event_ids: Collection[str]) -> Erased | None:
        """Who was erased since these events came in; None, nearly always: nobody."""


class SharedDatabase(Protocol):
    """A SQL database that several processes work on at once."""

    async def rows(self, query: str, *values: Any) -> list[Any]:
        """All rows of one query, which must be safe to run twice."""

    async def row_or_again(self, query: str, *values: Any) -> tuple[Any, bool]:
        """The row of such a query, and whether it was asked again, because an answer was lost."""

    async def has_learnt(self, event_id: str) -> bool:
        """Whether a learning event is kept by now, or was erased."""

    async def write(self, work: Callable[[Any], Awaitable[T]]) -> T:
        """Run `work(session)`, perhaps several times, in a transaction; returns when it is durable.

        `work` gets a `Session`, and has no effects besides its queries.
        """
