"""What time it is at Google: the `Date` of its answers, for a clock that learns.

Owns how often one is read: a date says no more than the one of seconds ago.
"""

from __future__ import annotations

from collections.abc import Sequence

from providers.contract import read_date
from providers.http2.exchange import Response
from providers.vendor import Clock, told_by

WITNESS = "fcm"
"""Whose time it is: one clock, whichever of Google's hosts shows it."""
_EVERY_S = 10.0
_AGAIN_S = 1.0
#: seconds that an answer may be on its way
_ON_ITS_WAY_S = 1.0


class Dates:
    """Reads the dates of answers, one every ten seconds."""

    def __init__(self, clock: Clock) -> None:
        self._told = told_by(clock)
        self._next_at = 0.0

    def wanted(self, now: float) -> bool:
        """Whether another date is worth reading."""
        return not self._next_at - _EVERY_S <= now < self._next_at

    def read(self, answers: Sequence[Response], now: float) -> None:
        """Read the date of the newest answer that has one."""
        self._next_at = now + _AGAIN_S
        for answer in reversed(answers):
            if (at := read_date(answer.header(b"date"))) is not None:
                self._next_at = now + _EVERY_S
                self._told(WITNESS, at, at + 1.0 + _ON_ITS_WAY_S)
                return
