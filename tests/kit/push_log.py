"""The log of a vendor stand-in: a row for each push as it comes in, to be read meanwhile."""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

_ROW = struct.Struct("<dBHIQ")


class LoggedPush(NamedTuple):
    """`at` is of the monotonic clock, which all processes of a machine share; `place` the listener
    that took it, `name` the first half of its delivery id."""

    at: float
    place: int
    event: int
    device: int
    name: int

    @property
    def key(self) -> tuple[int, int]:
        return self.event, self.device


pack = _ROW.pack
"""A row of the values of `LoggedPush`, in their order."""


class PushLog:
    """Reads what has come in so far."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __len__(self) -> int:
        return self._path.stat().st_size // _ROW.size if self._path.exists() else 0

    def read(self, start: int = 0) -> list[LoggedPush]:
        """The rows from a place on."""
        data = self._path.read_bytes()[start * _ROW.size :] if self._path.exists() else b""
        whole = len(data) - len(data) % _ROW.size
        return [LoggedPush._make(row) for row in _ROW.iter_unpack(data[:whole])]

    def since(self, at: float, *, place: int) -> list[LoggedPush]:
        """What came to a listener after a moment."""
        return [push for push in self.read() if push.at > at and push.place == place]


def most_within(seconds: float, pushes: Iterable[LoggedPush]) -> int:
    """The most pushes that came in within any stretch of so many seconds."""
    times = sorted(push.at for push in pushes)
    return max((bisect_left(times, at + seconds) - i for i, at in enumerate(times)), default=0)
