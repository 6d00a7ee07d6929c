"""The two kinds of time, as two types that never stand in for each other.

Wall time says when something happened, to people and to other machines; it may jump. Monotonic time
says how long ago, in this process only; it never goes back. Both are passed as one `Clocks`, so
that neither can take the place of the other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NewType

Wall = NewType("Wall", float)
"""Epoch seconds."""

Monotonic = NewType("Monotonic", float)
"""Seconds since some moment before this process started."""

WallClock = Callable[[], Wall]
MonotonicClock = Callable[[], Monotonic]


@dataclass(frozen=True, slots=True)
class Clocks:
    """What time it is: `wall()` and `monotonic()`."""

    wall: WallClock
    monotonic: MonotonicClock
