"""Adding to the chain of learning events: which rows are written, and which hours are sealed. Pure.

Owns the order of the columns of `learning`, and the rule that an hour is closed before the first
entry of a later one. Finding what waits, and writing, are each engine's matter.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from gateway.core.hashes import keyed
from gateway.core.learning import (
    START,
    Day,
    Entry,
    Head,
    LearningEvent,
    Seal,
    digest_of,
    erase_digest,
    hour_of,
    next_head,
)

_PURPOSE = "learning"


class State(NamedTuple):
    """The row of `learning_chain`, without its id."""

    number: int = 0
    head: bytes = START
    sealed: int = 0
    hour: int = -1
    events: int = 0
    earliest: float | None = None
    latest: float | None = None

    @property
    def end(self) -> Head:
        return Head(self.number, self.head, self.sealed)


class Waiting(NamedTuple):
    """A row of `events` that is to be chained."""

    event_id: str
    source: str
    type: str
    occurred_at: float | None
    received_at: float
    user_id: str | None
    custom_id: str | None
    object: str | None
    digest: bytes | None
    salt: bytes | None
    body: bytes


class Emptied(NamedTuple):
    """An event of which the chain keeps its number, its digest, and a keyed hash of its id."""

    number: int
    digest: bytes
    id_hash: bytes

    @property
    def columns(self) -> tuple[Any, ...]:
        """Of its row, up to the salt."""
        blank = ("", "", None, 0.0, 0.0, None, None, None)
        return (self.number, "erased", None, self.id_hash, *blank, self.digest, None)


@dataclass(slots=True)
class Chain:
    """The chain as it will be. `rows` are those of `learning`, `seals` those of `learning_seals`;
    `placed` are the numbers of events by id, 0 for one that is not kept."""

    state: State
    now: float
    rows: list[tuple[Any, ...]] = field(default_factory=list)
    seals: list[Seal] = field(default_factory=list)
    placed: list[tuple[int, str]] = field(default_factory=list)
    outcomes: list[tuple[Any, ...]] = field(default_factory=list)

    def add(self, one: Waiting, *, secret: bytes, salt: Callable[[], bytes]) -> None:
        """Chain an event. One with a digest and without a salt was erased before its turn came: it
        is emptied at once."""
        digest, salted = one.digest, one.salt
        is_remade = digest is None
        if digest is None:
            salted = salted or salt()
            times = one.occurred_at, one.received_at
            digest = digest_of(salted, one.source, one.event_id, one.type, *times, one.body)
        at = one.received_at if one.occurred_at is None else one.occurred_at
        if salted is None:
            number = self._next(digest, hour_of(one.received_at), at)
            emptied = Emptied(number, digest, id_hash(secret, one.event_id))
            self.rows.append((*emptied.columns, self.state.head, 0, None, number + 1, None))
            self.empty(emptied)
        else:
            number = self._next(digest, hour_of(one.received_at), at)
            what = (one.source, one.type, one.occurred_at, one.received_at, at)
            who = (one.user_id, one.custom_id, one.object)
            row = (number, "event", one.event_id, None, *what, *who, digest, salted)
            self.rows.append((*row, self.state.head, int(is_remade), None, None, one.body))
        self.placed.append((number, one.event_id))

    def empty(self, one: Emptied) -> int:
        """Add the entry which says that an event was emptied. Returns its number."""
        digest = erase_digest(one.number, one.digest, one.id_hash, self.now)
        number = self._next(digest, hour_of(self.now), None, kind="erase")
        blank = ("", "", None, self.now, self.now, None, None, None)
        row = (number, "erase", None, None, *blank, digest, None)
        self.rows.append((*row, self.state.head, 0, one.number, None, None))
        return number

    def close(self, hour: int) -> None:
        """Seal the open hour if this one is later, and it has entries."""
        state = self.state
        if hour <= state.hour:
            return
        if state.number > state.sealed:
            spans = state.earliest, state.latest
            seal = Seal(
                state.hour, state.sealed + 1, state.number, state.events, state.head, *spans
            )
            self.seals.append(seal)
        self.state = State(state.number, state.head, state.number, hour)

    def _next(self, digest: bytes, hour: int, at: float | None, kind: str = "event") -> int:
        """A date of the future opens no hour: the clock was wrong."""
        self.close(min(hour, hour_of(self.now)))
        state = self.state
        number = state.number + 1
        counted = state._replace(number=number, head=next_head(state.head, number, kind, digest))
        if at is not None:
            counted = counted._replace(
                events=state.events + 1,
                earliest=at if state.earliest is None else min(at, state.earliest),
                latest=at if state.latest is None else max(at, state.latest),
            )
        self.state = counted
        return number


def id_hash(secret: bytes, event_id: str) -> bytes:
    """What stands for the id of an event that was erased."""
    return keyed(secret, _PURPOSE, event_id)


def chained(
    chain: Chain,
    waiting: Iterable[Waiting],
    *,
    known: Collection[str],
    hashes: Collection[bytes],
    secret: bytes,
    salt: Callable[[], bytes],
) -> int:
    """Chain those that are neither kept already (`known`) nor erased (`hashes`). Returns how many
    are not kept."""
    repeats = 0
    for one in waiting:
        if one.event_id in known or id_hash(secret, one.event_id) in hashes:
            chain.placed.append((0, one.event_id))
            repeats += 1
        else:
            chain.add(one, secret=secret, salt=salt)
    return repeats


def whole_days(seals: Sequence[Seal], *, before: float, today: int) -> list[Day]:
    """The days of these seals, by number, that ended before then and are closed."""
    found: dict[int, list[Seal]] = {}
    for seal in seals:
        found.setdefault(seal.day, []).append(seal)
    return [
        Day(day, of[0].first, of[-1].last, sum(one.events for one in of), of[-1].head)
        for day, of in sorted(found.items())
        if (day + 1) * 86_400 <= before and day < today
    ]


def outcome_rows(
    rows: Iterable[tuple[Any, ...]], types: Collection[str], secret: bytes
) -> list[tuple[Any, ...]]:
    """Rows of `learning_outcomes`: one for each id of the person of an event of these types."""
    return [
        (person_word(secret, kind, one), row[5], row[8], row[0], row[11] or "")
        for row in rows
        if row[1] == "event" and row[5] in types
        for kind, one in (("user_id", row[9]), ("custom_id", row[10]))
        if one is not None
    ]


def person_word(secret: bytes, kind: str, one: str) -> str:
    """What stands for a person in `learning_outcomes`; `kind` is the id's: user_id or custom_id."""
    return keyed(secret, "outcomes", kind, one).hex()


def event_of(row: Sequence[Any]) -> LearningEvent:
    """A row that was asked for by a reader."""
    values = [*row[:-1], bool(row[-1])]
    return LearningEvent(*values)


def entry_of(row: Sequence[Any]) -> Entry:
    """A row that was asked for by an audit."""
    return Entry(*row)
