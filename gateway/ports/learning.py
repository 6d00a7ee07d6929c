"""Learning events: kept in one chain, read in its order."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Protocol

from gateway.core.learning import Chained, Day, Entry, Head, Page, Seal, TypeCount, Wanted
from gateway.core.model import UserRef


class Learning(Protocol):
    """Learning events. One comes in by `Queue.accept`, with `Event.learnt`, and shows here once it
    is chained: numbers are given then, so nothing comes up behind a number that was read."""

    async def page(self, wanted: Wanted, *, after: int = 0, limit: int) -> Page:
        """The events behind this number that are asked for, at most so many, in the order of the
        chain. Those that were erased are left out."""

    async def of_person(self, user: UserRef, *, after: int = 0, limit: int) -> Page:
        """The same of one person, by either id."""

    async def types(self) -> list[TypeCount]:
        """Each type that is kept, by name."""

    async def head(self) -> Head:
        """Where the chain ends."""

    async def chain(
        self,
        *,
        now: float,
        limit: int,
        salt: Callable[[], bytes],
        outcomes: Collection[str] = (),
    ) -> Chained:
        """Chain the oldest events that wait, at most so many, and seal hours that are over on the
        way. One process does it at a time: others get `Chained(0)`. `salt` makes 32 random bytes,
        for those that came in without. Of the types in `outcomes` a row is written for each person
        and thing learnt (`learning_outcomes`). A repeat of an event that is there, or was erased,
        is not kept."""

    async def seal(self, *, now: float) -> Seal | None:
        """Seal the open hour, if it is over and has entries."""

    async def retain(self, *, before: float) -> list[Day]:
        """Remove the sealed days that ended before then, from the oldest. What stays of each is
        returned. Safe to repeat."""

    async def entries(self, *, after: int = 0, limit: int) -> list[Entry]:
        """The chain itself, behind a number: for an audit."""

    async def seals(self) -> list[Seal]:
        """All seals of days that are kept, by number."""

    async def days(self) -> list[Day]:
        """What stays of days that were removed, by number."""
