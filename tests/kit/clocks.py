"""Clocks for tests: a test's own time, as the kind of time that a part asks for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from gateway.app.timekeeping import Timekeeper
from gateway.core.clocks import Clocks, Monotonic, MonotonicClock, Wall, WallClock

Seconds = Callable[[], float]

#: what a process is preloaded with whose clock is to be wrong; "" where it is not installed
FAKETIME_LIBRARY = next(map(str, Path("/usr/lib").glob("*/faketime/libfaketime.so.1")), "")


def wall(seconds: Seconds) -> WallClock:
    """The time of day is what the test says."""
    return lambda: Wall(seconds())


def monotonic(seconds: Seconds) -> MonotonicClock:
    """The time that passes is what the test says."""
    return lambda: Monotonic(seconds())


def both(seconds: Seconds) -> Clocks:
    """Both kinds by one clock of the test's: it is moved on, and never back."""
    return Clocks(wall(seconds), monotonic(seconds))


class Believer(Timekeeper):
    """Believes the clocks that a test owns, whatever anybody says."""

    def __init__(self, machine: Clocks) -> None:
        super().__init__(machine)
        self._took(self._agreement.accept(machine.monotonic()))
        self.clocks = replace(machine, given=True)

    def told(self, witness: str, low: float, high: float) -> None:
        """A test's time needs no witness."""

    def look(self) -> None:
        """It goes as the test lets it go."""

    @property
    def standing(self) -> None:
        """All is well."""
