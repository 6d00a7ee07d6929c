"""Clocks for tests: a test's own time, as the kind of time that a part asks for."""

from __future__ import annotations

from collections.abc import Callable

from gateway.core.clocks import Clocks, Monotonic, MonotonicClock, Wall, WallClock

Seconds = Callable[[], float]


def wall(seconds: Seconds) -> WallClock:
    """The time of day is what the test says."""
    return lambda: Wall(seconds())


def monotonic(seconds: Seconds) -> MonotonicClock:
    """The time that passes is what the test says."""
    return lambda: Monotonic(seconds())


def both(seconds: Seconds) -> Clocks:
    """Both kinds by one clock of the test's: it is moved on, and never back."""
    return Clocks(wall(seconds), monotonic(seconds))
