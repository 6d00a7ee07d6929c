"""The two kinds of time, as two types that never stand in for each other.

Wall time says when something happened, to people and to other machines; it may jump. Monotonic time
says how long ago, in this process only; it never goes back. Both are passed as one `Clocks`, so
that neither can take the place of the other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, NewType

Wall = NewType("Wall", float)
"""Epoch seconds."""

Monotonic = NewType("Monotonic", float)
"""Seconds since some moment before this process started."""

WallClock = Callable[[], Wall]
MonotonicClock = Callable[[], Monotonic]

Told = Callable[[str, float, float], None]
"""Hears a witness of the time: who it is, and between which two times (epoch seconds) it is now."""


class Unsure(NamedTuple):
    """The time is doubted. What was dated before `since`, by the time in force, was dated by
    another process, whose clock may have shown another time. `contradicted`: somebody says that it
    did. `settling`: the time was moved just now, and what is stored is still dated as before."""

    since: float
    contradicted: bool = False
    settling: bool = False


def sure() -> None:
    """The time is not doubted."""


def ignored(_witness: str, _low: float, _high: float) -> None:
    """Nobody learns from what a witness says."""


@dataclass(frozen=True, slots=True)
class Clocks:
    """What time it is: `wall()` and `monotonic()`.

    A gateway's wall time is what was agreed on with others. While there is a `doubt` of it, nothing
    is done for its sake that cannot be undone. Whoever hears what time it is elsewhere has it
    `told`. `given`: a test gives the time, also for what else goes by the database's clock.
    """

    wall: WallClock
    monotonic: MonotonicClock
    doubt: Callable[[], Unsure | None] = sure
    told: Told = ignored
    given: bool = False

    def doubted(self) -> bool:
        """Whether the time is doubted."""
        return self.doubt() is not None
