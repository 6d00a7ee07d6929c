"""What the lot made of reminders, and how an experiment stands: as a store keeps it. Pure.

Owns the shapes alone. Who may enter, and whom the lot holds, is `lots.py`'s.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from gateway.core.model import Item


class Stage(StrEnum):
    """How far an experiment is."""

    #: it is noted whom the lot would hold, and nobody is held
    DRY = "dry"
    #: people enter, and some are held
    RUNNING = "running"
    #: nobody enters, nobody is held
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Kept:
    """An experiment that was begun. `terms` is what was fixed then, as JSON; `key` is the lot's,
    32 bytes, and gone (b"") once the experiment has ended. `dry_at` is when the dry run began,
    `started_at` when people began to enter (0: they did not), `ends_at` when the last may, and
    `ended_at` when it ended, for the `reason` (0: it did not)."""

    id: str
    stage: Stage
    terms: str
    key: bytes = field(repr=False)
    dry_at: float
    started_at: float
    ends_at: float
    ended_at: float = 0.0
    reason: str = ""


class What(StrEnum):
    """What became of a reminder of a person of an experiment."""

    #: it goes out
    REMINDED = "reminded"
    #: the lot holds it back
    HELD = "held"
    #: the person does not enter, for a reason
    LEFT_OUT = "left_out"
    #: something else went to a person who is held
    ALSO = "also"


class Drawn(NamedTuple):
    """A row for the journal's transaction, drawn at a `stage`. `person` is the word of the id that
    the item carries; `since` is when they entered and `until` when they are let go; `seen_at` is
    when the item's event was first seen, and `keeps` whether it goes out once they are let go. A
    person who is a member already stays what they were, and since when."""

    what: What
    stage: Stage
    experiment: str
    person: str
    event_id: str
    item: Item
    since: float
    until: float
    seen_at: float
    app: str = ""
    platform: str = ""
    source: str = ""
    reason: str = ""
    keeps: bool = False


class Member(NamedTuple):
    """A person of an experiment, as far as a relay needs it."""

    experiment: str
    person: str
    held: bool
    since: float
    until: float


class Met(NamedTuple):
    """What is known of people and their devices before the lot. `exempt` are words; `changed` says
    when each device came from another user, and `platforms` what it is, by its number."""

    members: Sequence[Member] = ()
    exempt: Collection[str] = frozenset()
    changed: Mapping[int, float | None] = {}
    platforms: Mapping[int, str] = {}


class HeldBack(NamedTuple):
    """A reminder whose person is let go. `until` is when they were."""

    experiment: str
    person: str
    event_id: str
    item: Item
    seen_at: float
    until: float


class Tally(NamedTuple):
    """How many people an experiment has: by group, left out by reason, and of the held, how many
    also got something else; `waiting` reminders are held back now."""

    reminded: int = 0
    held: int = 0
    left_out: Mapping[str, int] = {}
    also_got: int = 0
    waiting: int = 0
