"""Experiments: which were begun, who is in them, and what is held back."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from gateway.core.audit import Act
from gateway.core.drawn import HeldBack, Kept, Met, Tally


class Experiments(Protocol):
    """What the lot needs and made. Rows of people come in with the journal (`Journal.record`), and
    go with their erase."""

    async def all(self) -> Sequence[Kept]:
        """Every experiment that was begun, by id."""

    async def begin(self, kept: Kept, *, act: Act | None = None) -> bool:
        """Begin a dry run, or have people enter; either forgets whom the one before it noted.
        False, and nothing is changed: it runs already, or has ended."""

    async def end(self, name: str, *, at: float, reason: str, act: Act | None = None) -> bool:
        """End one: whoever is held is let go `at` then or when they would have been, whichever is
        earlier, and the key goes. False: it had ended, or is not known."""

    async def met(self, words: Collection[str], device_ids: Collection[int]) -> Met:
        """What is known of people with these words, in any experiment, and of these devices. Whom
        a dry run noted is among them, though nobody is held there."""

    async def exempt(
        self, words: Sequence[str], *, is_exempt: bool, at: float, act: Act | None = None
    ) -> None:
        """Nothing more is held of a person with these words, in any experiment: they are let go
        `at` then, and stay in their group. Or take that back. The act has a row where that
        changes anything."""

    async def due(self, *, now: float, limit: int) -> Sequence[HeldBack]:
        """Reminders of people who were let go by now, the longest ago first. One of somebody who
        is no member was let go when it came; one that cannot be read stays, and is left out."""

    async def sent(self, held: HeldBack) -> None:
        """This one needs not be kept any more; a newer one of the same person stays."""

    async def tally(self, name: str) -> Tally:
        """How many people one has."""

    async def forget(self, name: str) -> None:
        """Remove all rows of people of an experiment that has ended; it and its counts stay."""
