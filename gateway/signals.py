"""The signals of this process, from its first line to its last.

Owns the handlers of SIGHUP, SIGTERM and SIGINT. Refuses to know what they ask for. It loads nothing
but `signal`, so that it stands before all else of ours is loaded. What comes before anybody listens
is remembered. No handler is ever taken away, for its place would be the default, which is to die:
at the end what comes is ignored.

An event loop's own handlers would not do: they come with the loop, and go with it.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType

Told = Callable[[signal.Signals], None]
"""Hears of a signal, in the main thread, between any two steps of what runs there."""

_early: list[signal.Signals] = []
_told: list[Told] = []
#: whoever started the process wants SIGHUP ignored: `nohup`
_ignored: list[bool] = []


def remember() -> None:
    """From now on SIGHUP and SIGTERM end nothing: they are kept for whoever listens."""
    _ignored.append(signal.getsignal(signal.SIGHUP) is signal.SIG_IGN)
    for number in (signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, _take)


def listen(told: Told) -> None:
    """Have a server told of every SIGHUP, SIGTERM and SIGINT, those that came before included."""
    _told.append(told)
    for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _take)
    while _early:
        told(_early.pop(0))


def as_usual() -> None:
    """Have signals end a command that is no server.

    SIGTERM does it as ever. SIGHUP, which says that the terminal is gone, does what Ctrl-C does: a
    command undoes what is half done. A process that was started to outlive its terminal does.
    """
    if not _ignored:
        return  # not a process of its own
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_IGN if _ignored[-1] else _interrupt)
    while _early:
        signal.raise_signal(_early.pop(0))


def ignore() -> None:
    """All is done: what comes now changes nothing, not even the exit status."""
    for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
        if signal.getsignal(number) in (_take, _interrupt):
            signal.signal(number, signal.SIG_IGN)


def _take(number: int, _frame: FrameType | None) -> None:
    one = signal.Signals(number)
    if _told:
        _told[-1](one)
    else:
        _early.append(one)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    if signal.getsignal(signal.SIGINT) in (signal.SIG_IGN, signal.SIG_DFL):
        raise KeyboardInterrupt
    signal.raise_signal(signal.SIGINT)
