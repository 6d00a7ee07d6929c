"""What comes due while the process stands still waits until the loop has read what came meanwhile.

A process that is stopped, paused with its machine or swapped out finds two things when it goes on:
answers in its sockets, and timers that are over. A loop may run the timers first, and libuv does
when a signal ends its wait: then what was answered long ago counts as unanswered, and a push goes
out twice. So a timer that is late by a standstill lets the loop go round first, and begins anew
when the process stands still once more meanwhile. That holds for every wait there is, in our code
and in the libraries', because all of them are timers of the loop.

Owns how late is late. Refuses to know what a timer is for, and loops: they hand their timers over.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from typing import Any, Protocol

LATE_S = 0.75
"""A timer that is so late shows a standstill. One that may last a second unnoticed is noticed so,
for some timer of a gateway is due every quarter of a second."""

TURNS = 1024
"""How often the loop goes round first: each time it reads all that is there, and takes every task
that waits for it one step on. In a library that has its requests read by turns, one after the
other, each takes a few. An idle loop is round in ten milliseconds. After so many turns it is
enough, however often the process stood still."""

FEWEST = 64
LONGEST_S = 1.0
"""Where a turn takes long, there is much to do: after so many turns since it stood still, and so
many seconds of the processor's time, it is enough. The processor's, because on a machine that has
more to do than it can a turn takes long although nothing is done in it."""


class Soon(Protocol):
    """A loop's `call_soon`: calls at its next turn, before which it reads."""

    def __call__(
        self, callback: Callable[[], None], /, *, context: contextvars.Context | None = None
    ) -> object:
        """Call back soon."""


class Handle(Protocol):
    """What a loop returns for a timer."""

    def cancelled(self) -> bool:
        """Whether nobody wants it any more."""


class Timer:
    """The callback of a timer, as a loop is to call it; `handle` is what the loop returned."""

    __slots__ = ("_args", "_callback", "_patience", "due", "handle")

    handle: Handle

    def __init__(
        self, patience: Patience, due: float, callback: Callable[..., Any], args: tuple[Any, ...]
    ) -> None:
        self._patience = patience
        self._callback = callback
        self._args = args
        self.due = due

    def __call__(self) -> None:
        self._patience.come(self)

    def run(self) -> None:
        """Call back, unless somebody has cancelled it since it was put off."""
        if not self.handle.cancelled():
            self._callback(*self._args)


class Patience:
    """One for each loop. `now` is a clock that also goes on while the machine sleeps; `spent` is
    the processor's time that the loop took."""

    def __init__(self, soon: Soon, now: Callable[[], float], spent: Callable[[], float]) -> None:
        self._soon = soon
        self._now = now
        self._spent = spent
        self._put_off: list[tuple[contextvars.Context, Timer]] | None = None
        #: of what is put off: turns in all, and since the process last stood still
        self._turns = 0
        self._turns_since = 0
        #: the last turn, by both clocks
        self._turned = (0.0, 0.0)
        self._enough = 0.0
        self._told: Callable[[float], None] = _nobody

    def tell(self, told: Callable[[float], None]) -> None:
        """Tell of each standstill that is found, by about how many seconds it lasted, before any
        timer that came due in it."""
        self._told = told

    def timer(self, delay_s: float, callback: Callable[..., Any], args: tuple[Any, ...]) -> Timer:
        """What a loop is to call in so many seconds."""
        return Timer(self, self._now() + max(0.0, delay_s), callback, args)

    def come(self, timer: Timer) -> None:
        """A timer is due: run it, or put it off."""
        if self._put_off is None:
            now = self._now()
            late_s = now - timer.due
            if late_s < LATE_S:
                timer.run()
                return
            self._put_off, self._turns = [], 0
            self._begin(late_s, now, self._spent())
            self._soon(self._turn)
        self._put_off.append((contextvars.copy_context(), timer))

    def _begin(self, stood_s: float, now: float, spent: float) -> None:
        """The process stood still: go round from now on."""
        self._turns_since, self._turned, self._enough = 0, (now, spent), spent + LONGEST_S
        self._told(stood_s)

    def _turn(self) -> None:
        now, spent = self._now(), self._spent()
        self._turns += 1
        self._turns_since += 1
        stood_s = now - self._turned[0] - (spent - self._turned[1])
        self._turned = (now, spent)
        if self._turns < TURNS:
            if stood_s >= LATE_S:
                self._begin(stood_s, now, spent)
            if self._turns_since < FEWEST or spent < self._enough:
                self._soon(self._turn)
                return
        put_off, self._put_off = self._put_off or [], None
        for context, timer in put_off:
            timer.due = now  # from here on it is late if the process stands still once more
            self._soon(timer, context=context)


def _nobody(_seconds: float) -> None:
    pass
