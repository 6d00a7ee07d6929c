"""What speaks against a database being the one that was worked on last."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

Doubtful = Literal["copy", "future", "queue"]
"""`copy`: it had come further before. `future`: it has dates that are not yet. `queue`: what waits
at the broker is of events that it does not know."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """A reason, for people, and `value`: what it was found by. The same one is told once."""

    what: Doubtful
    value: str
    reason: str
    at: float


class Doubts(Protocol):
    """The doubts that people were told, and what new ones are found by."""

    async def newest(self) -> float | None:
        """The latest time that is written in the database (epoch seconds): of what came in, of
        phones that were seen, of heartbeats. Exact for what came in last; None: there is none."""

    async def tell(self, doubt: Doubt) -> bool:
        """Keep a doubt. False: the same one was kept before."""

    async def told(self) -> list[Doubt]:
        """Those that were kept."""
