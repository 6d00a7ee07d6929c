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

    async def recent(self, *, since: float) -> Sequence[Done]:
        """What came since then, the oldest first."""
