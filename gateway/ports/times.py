"""What the processes think of their clocks, what a person said of them, and what follows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from gateway.core.agreement import Correction
from gateway.core.audit import Act

KEEP_S = 86_400.0
"""How much older than a new row another one may be: its process is gone."""
REPORTED_S = 60.0
"""Seconds between two reports of a process, while nothing changes."""
PERSON = "a person"
"""The name of the row that `inkpush clock accept` writes."""


class ClockRow(NamedTuple):
    """One process' clock, at that time by the time in force there. `offset` is how far that time
    is ahead of the machine's clock; `doubt` why it is doubted, "" if it is not; `told` is for
    people. A person's row has the time that the machine's clock showed. A doubt of "contradicted"
    stays when the process ends: what it dated from `since` to `at` is put right by the next one.
    So is what was dated by a clock that nobody had confirmed, if `at` proves to be of the
    future."""

    name: str
    at: float
    offset: float = 0.0
    doubt: str = ""
    told: str = ""
    since: float | None = None


class Times(Protocol):
    """What is known of clocks."""

    async def report(self, row: ClockRow, *, act: Act | None = None) -> None:
        """Keep a row, in place of the one of that name. Rows older by `KEEP_S` are dropped, but for
        those of clocks that were contradicted."""

    async def all(self) -> list[ClockRow]:
        """All rows, by name."""

    async def leave(self, name: str) -> None:
        """Drop the row of a process that ends."""

    async def redate(self, correction: Correction, *, now: float) -> None:
        """Put right what one relay dated while its time was wrong, and give back what it had under
        a lease. Where processes share a database, whose clock counts from the first moment, there
        is nothing to put right."""

    async def rouse(self, *, now: float) -> None:
        """The time is doubted, and may be behind: what waits and came in the future is due now. Its
        dates stay. Where the database's clock counts, there is nothing to do."""

    async def newest(self) -> float | None:
        """The newest date of an event, an erase, or what else went: another process may have given
        it by a clock that was ahead. None: there is none, or the database's clock counts."""

    async def recall(self, *, now: float, began: float, wrong: Sequence[ClockRow] = ()) -> None:
        """The time is agreed on: what waits, and was dated by a clock that was ahead of it, is due
        now. Another process, which may be gone, a command or an earlier version dated it so.
        `wrong`: these ended while their clocks were wrong. So all that waits is due, also what is
        leased, and what they took in has the life that it had, from now on. What they dated, and
        all that is dated in the future, gets dates of right before this process `began`, in the
        order that it had: an erase stays between what came before it and what came after it."""
