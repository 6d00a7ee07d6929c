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
#: what whoever started the process wants ignored: `nohup` does so with SIGHUP
_ignored: list[set[signal.Signals]] = []
_ALL = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def remember() -> None:
    """From now on no signal ends anything: each is kept for whoever listens."""
    _ignored.append({one for one in _ALL if signal.getsignal(one) is signal.SIG_IGN})
    _take_all()


def listen(told: Told) -> None:
    """Have a server told of each, those that came before included."""
    _told.append(told)
    _take_all()
    while _early:
        told(_early.pop(0))


def as_usual() -> None:
    """Have signals end a command that is no server.

    SIGTERM and SIGINT do it as ever. SIGHUP, which says that the terminal is gone, does what Ctrl-C
    does: a command undoes what is half done. A process that was started to outlive its terminal
    does.
    """
    if not _ignored:
        return  # not a process of its own
    usual: dict[signal.Signals, Callable[[int, FrameType | None], object] | signal.Handlers] = {
        signal.SIGTERM: signal.SIG_DFL,
        signal.SIGINT: signal.default_int_handler,
        signal.SIGHUP: _interrupt,
    }
    for number, handler in usual.items():
        signal.signal(number, signal.SIG_IGN if number in _ignored[-1] else handler)
    while _early:
        signal.raise_signal(_early.pop(0))


def ignore() -> None:
    """All is done: what comes now changes nothing, not even the exit status."""
    for number in _ALL:
        if signal.getsignal(number) in (_take, _interrupt):
            signal.signal(number, signal.SIG_IGN)


def _take_all() -> None:
    for number in _ALL:
        signal.signal(number, _take)


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
