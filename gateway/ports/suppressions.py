"""What people have done already, so that a reminder of it need not go out."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from gateway.core.suppressing import Done


class Suppressions(Protocol):
    """Keeps what was done for as long as the event that said so. Rows are written with their event
    (`Queue.accept`), and go with their person's erase."""

    async def of(self, words: Collection[str], paths: Collection[str]) -> Sequence[Done]:
        """What people with any of these words have done at these places."""

    async def hasten(self, event_id: str, *, now: float, chunk_items: int) -> bool:
        """What waits in this database's queue for the people of this event, and was tried, is due
        now; whether anything is. `chunk_items` is how many items a chunk has at most."""

    async def recent(self, *, since: float) -> Sequence[Done]:
        """What came since then, the oldest first."""
