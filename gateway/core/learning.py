"""Learning events: what is kept of one, what is asked, and the chain that shows changes. Pure.

Owns what a digest covers, how entries are chained, and what one reader's page is. Where rows are
kept, and when they are chained, are others' matter. See
deploy/docs/decisions/0047-one-chain-of-learning-events.md.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Literal, NamedTuple

from gateway.core.model import UserRef

SALT_BYTES = 32
START = bytes(32)
"""The head of a chain that has no entry yet."""
HOUR_S = 3_600
LATE_AFTER_S = 86_400.0
"""How far reception may be behind the event's own time until it is late, where nobody says."""

EntryKind = Literal["event", "erased", "erase"]
"""`erased`: was an event, and is emptied; `erase`: the entry which says so of an earlier one."""


@dataclass(frozen=True, slots=True)
class LearningEvent:
    """A learning event as it is read: `number` is its place in the chain, and a reader's cursor.

    `occurred_at` None: it named no time. `remade`: its digest was made when it was chained, for it
    came in without one, or its date was put right before it was chained.
    """

    number: int
    event_id: str
    source: str
    type: str
    occurred_at: float | None
    received_at: float
    user_id: str | None = field(repr=False)
    custom_id: str | None = field(repr=False)
    object: str | None = field(repr=False)
    body: bytes = field(repr=False)
    digest: bytes = field(repr=False)
    salt: bytes = field(repr=False)
    remade: bool = False

    @property
    def at(self) -> float:
        """When it happened, as far as anybody knows: what windows go by."""
        return self.received_at if self.occurred_at is None else self.occurred_at

    def is_late(self, late_after_s: float = LATE_AFTER_S) -> bool:
        """Whether it came in long after it happened, or long before."""
        return abs(self.received_at - self.at) > late_after_s


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which learning events are asked for. None, or empty: any.

    `type` takes a trailing `*`. `since` and `until` are compared with the event's own time, else
    with its reception; `until` itself is not in. `user` has one of the ids, or both: either will
    do. `sources` and `types` limit what a key may read; types there take a trailing `*`, too.
    """

    type: str | None = None
    source: str | None = None
    since: float | None = None
    until: float | None = None
    user: UserRef | None = field(default=None, repr=False)
    sources: Collection[str] = ()
    types: Collection[str] = ()

    def has_type(self, name: str) -> bool:
        """Whether events of this type are asked for."""
        one = self.type is None or fits(self.type, name)
        return one and (not self.types or any(fits(pattern, name) for pattern in self.types))

    def has_source(self, name: str) -> bool:
        """Whether events of this source are asked for."""
        one = self.source is None or self.source == name
        return one and (not self.sources or name in self.sources)

    @property
    def names_types(self) -> bool:
        return self.type is not None or bool(self.types)


class Page(NamedTuple):
    """A page in the order of the chain, and the number behind which to go on. Fewer events than
    were asked for: there are no more now."""

    events: list[LearningEvent]
    after: int


class TypeCount(NamedTuple):
    """A type: how many events are kept, when the last came in, and in how many a person is."""

    type: str
    events: int
    last_at: float
    with_person: int


class Head(NamedTuple):
    """Where the chain ends: its last number, and what stands for all up to there. `sealed` is the
    last number of the last seal."""

    number: int
    head: bytes
    sealed: int = 0


class Seal(NamedTuple):
    """An hour of the chain that is closed: its numbers, how many events (not entries of erases),
    the head at its end, and between which times its events are."""

    hour: int
    first: int
    last: int
    events: int
    head: bytes
    earliest: float | None
    latest: float | None

    @property
    def day(self) -> int:
        return self.hour // 24


class Day(NamedTuple):
    """A day of which the events are over their time: what stays of it."""

    day: int
    first: int
    last: int
    events: int
    head: bytes


class Entry(NamedTuple):
    """An entry of the chain, as an audit reads it. `erases` is the number of the event that an
    entry of an erase is about; `erased_by` of an emptied event, the number of that entry."""

    number: int
    kind: str
    event_id: str | None
    id_hash: bytes | None
    source: str
    type: str
    occurred_at: float | None
    received_at: float
    body: bytes | None
    salt: bytes | None
    digest: bytes
    head: bytes
    erases: int | None
    erased_by: int | None


class Chained(NamedTuple):
    """What a step of chaining came to: how many entries were added, how many repeats were left
    out, and the hours that were sealed."""

    entries: int
    repeats: int = 0
    seals: tuple[Seal, ...] = ()


def fits(pattern: str, name: str) -> bool:
    """Whether a type is what a pattern names; a trailing `*` stands for any end."""
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern


def digest_of(
    salt: bytes,
    source: str,
    event_id: str,
    name: str,
    occurred_at: float | None,
    received_at: float,
    body: bytes,
) -> bytes:
    """SHA-256 of a learning event, `name` is its type: each part with its length before it, times
    as IEEE 754 in big endian, and none for a time that it did not name."""
    times = (b"" if occurred_at is None else _time(occurred_at), _time(received_at))
    return _hashed((salt, _text(source), _text(event_id), _text(name), *times, body))


def erase_digest(number: int, digest: bytes, id_hash: bytes, at: float) -> bytes:
    """The digest of the entry which says that the event of this number was emptied."""
    return _hashed((b"erase", number.to_bytes(8), digest, id_hash, _time(at)))


def next_head(head: bytes, number: int, kind: str, digest: bytes) -> bytes:
    """The head behind one more entry. An event that is emptied later has the same."""
    what = b"erase" if kind == "erase" else b"event"
    return _hashed((head, number.to_bytes(8), what, digest))


def hour_of(at: float) -> int:
    """The hour of a time, in UTC, since 1970."""
    return int(at // HOUR_S)


def _time(at: float) -> bytes:
    return struct.pack(">d", at)


def _text(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _hashed(parts: Iterable[bytes]) -> bytes:
    made = sha256()
    for part in parts:
        made.update(len(part).to_bytes(8))
        made.update(part)
    return made.digest()
