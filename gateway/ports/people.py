"""What is known of one person beyond their devices and deliveries: what waits for them, what names
them, and what else of them is kept."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from gateway.core.audit import Row
from gateway.core.drawn import HeldBack
from gateway.core.model import Event, UserRef
from gateway.ports.journal import DeadLetter


class Waiting(NamedTuple):
    """A notification that waits and was not fanned out yet, as its event's body names it. `status`
    is the event's, or `cancelled`: then it ends when its turn comes."""

    event_id: str
    index: int  # type: ignore[assignment]  # not the method of a tuple, which nobody needs
    source: str
    received_at: float
    occurred_at: float | None
    status: str
    user_id: str | None
    custom_id: str | None


class WaitingSlice(NamedTuple):
    """Some of the events that wait: the place of the last (None: there was none behind `after`),
    what waits for the person in them, and how many of them have no body to look into any more."""

    end: Any
    found: Sequence[Waiting]
    unread: int


class Content(NamedTuple):
    """What an event says of a person: the parts of its body that name them, each with where it
    stands. `unread`: it cannot be told apart, for the body is no JSON."""

    event: Event
    parts: Sequence[tuple[str, Any]]
    unread: bool


@dataclass(frozen=True, slots=True)
class Holdings:
    """What else is kept of a person. `named_in` are events that an index says name them. `removals`
    are (device id, app, provider, state, reason, seen at) that a brake holds back. `forgotten` are
    (went at, erased at, 0: never) of names that are kept as keyed hashes alone. `erasures` are
    (asked at, done at). `starts` are the times of events of which a push was started for a device,
    beside a keyed hash of what it replaces. `done` are (event id, path, at) of what they are said
    to have done, beside a keyed hash of who. `following`: events whose messages at a broker may
    name them. `acts` are about them, `reasons` name them in the words of whoever acted. `hooks` are
    those that were told of them or will be: (hook, how many batches that name them it did not
    take). `members` are (experiment, held, since, until, whether they also got something else),
    `left_out` (experiment, reason, since), `outcomes` (type, occurred at, object), and
    `exempt_since` is when they became exempt from experiments: all kept under a keyed hash.
    `reminders` are held back for them; one that cannot be read has the columns only."""

    named_in: Sequence[str] = ()
    letters: Sequence[DeadLetter] = ()
    removals: Sequence[tuple[Any, ...]] = ()
    forgotten: Sequence[tuple[float, float]] = ()
    erasures: Sequence[tuple[float, float | None]] = ()
    starts: Sequence[float] = ()
    following: Sequence[str] = ()
    done: Sequence[tuple[str, str, float]] = ()
    acts: Sequence[Row] = ()
    reasons: Sequence[Row] = ()
    hooks: Sequence[tuple[str, int]] = ()
    members: Sequence[tuple[Any, ...]] = ()
    left_out: Sequence[tuple[str, str, float]] = ()
    exempt_since: float | None = None
    reminders: Sequence[HeldBack] = ()
    outcomes: Sequence[tuple[Any, ...]] = ()


class People(Protocol):
    """Looks for one person. Whatever reads much keeps nobody waiting."""

    async def waiting(
        self, people: Sequence[UserRef], *, queued: bool, since: float, after: Any, rows: int
    ) -> WaitingSlice:
        """Look into the bodies of so many events whose chunks are not all done, behind a place
        (None: from the first), for what waits for these people.

        `queued`: those that the queue beside the journal holds. Else the queue is a broker, and
        they are looked for among all that were received `since`. What was fanned out is left out,
        and what is for somebody who was erased since.
        """

    async def events_waiting(self, *, queued: bool, since: float) -> int:
        """How many such events there are."""

    async def events(self, event_ids: Sequence[str]) -> list[Event]:
        """These events, without their bodies, newest first."""

    async def misread(self, user: UserRef, *, limit: int) -> list[Event]:
        """The newest events that name a person whom the journal does not: quarantined ones, and
        those of which items were rejected. Without bodies."""

    async def content(
        self, event_id: str, user: UserRef, indexes: Sequence[int] = ()
    ) -> Content | None:
        """What an event says of a person; `indexes` are those of their items, by the journal.
        None: the event is unknown."""

    async def held(self, user: UserRef, devices: Collection[int]) -> Holdings:
        """What else is kept of a person, by indexes. `devices` are the numbers of those that they
        have or had, as far as is known."""
