"""Erasing people from what was kept: the work that a background job does after an erase."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

from gateway.core.model import UserRef


@dataclass(frozen=True, slots=True)
class Erasure:
    """How an erase stands; `done_at` is None while something may still name the person."""

    asked_at: float
    done_at: float | None


@dataclass(frozen=True, slots=True)
class Asked:
    """An erase that waits. `user` has no id any more when only the last step is left. `words` stand
    for the ids."""

    words: tuple[str, str]
    asked_at: float
    user: UserRef = field(repr=False)


Kept = Literal["bodies", "queue", "letters", "learning"]
"""What is searched: bodies of events, queued chunks, dead letters that nobody could read, and the
chain of learning events."""
KEPT: tuple[Kept, ...] = ("bodies", "queue", "letters", "learning")


class Slice(NamedTuple):
    """A part of what was searched: where it ends (None: there was nothing behind `after`), and the
    events that may name somebody."""

    end: Any
    events: Sequence[str]


class Cleared(NamedTuple):
    """What became of an event. `unread`: how many of its queued chunks cannot be read, and stay for
    a version that reads them. `later`: its body cannot go yet, so the event must be erased from
    again."""

    unread: int
    later: bool


class Erasures(Protocol):
    """Erases that were asked (by `Registry.erase`), and their steps. Every step is safe to repeat.

    Reading is done where nothing else waits behind it, and every write is small.
    """

    async def state(self, user: UserRef) -> Erasure | None:
        """How the newest erase of a user stands; None: there was none, or it is long over."""

    async def waiting(self) -> bool:
        """Whether any erase is not done."""

    async def take(self, holder: str, *, now: float, until: float) -> list[Asked]:
        """All erases that are not done, for one holder at a time until then; none while another
        holder has them."""

    async def hold(self, holder: str, *, until: float) -> None:
        """Keep what was taken for longer."""

    async def let_go(self, holder: str) -> None:
        """Leave what was taken to anybody."""

    async def settled(self) -> None:
        """Wait until all that is being written knows of the erases that were taken."""

    async def indexed(self, user: UserRef) -> list[str]:
        """The events of which an index says that they name the user."""

    async def search(self, what: Kept, needles: Sequence[str], *, after: Any, rows: int) -> Slice:
        """Search so many rows behind `after` (None: from the first) for these texts."""

    async def named(self, event_id: str, people: Sequence[UserRef]) -> list[UserRef]:
        """Which of these people an event still names, in its body, its queued chunks, or the bytes
        of its dead letters."""

    async def erase(self, event_id: str, asked: Asked, *, now: float, follow: bool) -> Cleared:
        """Remove the user from one event. `follow`: note the event, because a broker may have
        chunks of it."""

    async def followed(self, asked: Asked) -> list[str]:
        """The events that were noted."""

    async def unfollow(self, asked: Asked, event_id: str) -> None:
        """A broker's chunks of this event name the user no more."""

    async def unname(self, asked: Asked) -> None:
        """Nothing else names the user: nor does the erase, from now on. One that was asked again
        meanwhile stays."""

    async def swept(self) -> bool:
        """Overwrite what was deleted, where this is ours to do. False: not possible now."""

    async def done(self, asked: Asked, *, now: float) -> None:
        """An erase that was unnamed is over."""
