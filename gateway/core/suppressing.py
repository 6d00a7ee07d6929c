"""Said already done: which reminders a learning event makes superfluous. Pure.

Owns what an event does away with (`Rules`), as rows that name nobody, and whether a row is about a
notification (`reason_of`). Ids are compared kind by kind as they are given, and paths as they are
written: another spelling is another place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from gateway.core.dotted import Path, id_at, parts_of, value_at
from gateway.core.erased import NOBODY, words_of
from gateway.core.model import Item
from gateway.core.paths import path_fault
from gateway.core.sources import LEARNINK

SUPERSEDED = "superseded by "
"""The reason of what ended so begins like this; the id of the event follows."""
USER_ID = (("data", "user_id"), ("data", "user", "id"))
CUSTOM_ID = (("data", "custom_id"), ("data", "user", "custom_id"))
"""Where an event says whose it is."""
ANY = "*"
"""At the end of a path: whatever follows."""

Words = Callable[[str | None, str | None], tuple[str, str]]
"""Makes the words that stand for a person's user_id and custom_id."""


class Rule(NamedTuple):
    """An event of the type `on` does away with reminders of the place that it says at `match`, if
    that fits `path`; without `match`, of `path` itself."""

    on: str
    match: str
    path: str
    within_s: float


class Done(NamedTuple):
    """What somebody has done, as a row: the event, the place, the source, keyed words of who it
    was, when it happened, for how long after that a reminder of it is superfluous as well, and when
    it came."""

    event_id: str
    path: str
    source: str
    who_user: str
    who_custom: str
    at: float
    within_s: float
    received_at: float


class Rules:
    """What is configured. False: nothing is."""

    def __init__(
        self,
        rules: Sequence[Rule],
        words: Words,
        *,
        user_id: Sequence[Path] = USER_ID,
        custom_id: Sequence[Path] = CUSTOM_ID,
    ) -> None:
        self._words = words
        self._user_id = user_id
        self._custom_id = custom_id
        self._by_type: dict[str, list[Rule]] = {}
        for rule in rules:
            self._by_type.setdefault(rule.on, []).append(rule)

    def __bool__(self) -> bool:
        return bool(self._by_type)

    def done_by(
        self,
        event_id: str,
        event_type: str,
        document: object,
        *,
        source: str,
        occurred_at: float | None,
        received_at: float,
    ) -> tuple[Done, ...]:
        """What an event says that its person has done; nothing where it names nobody. A time of its
        own that is still to come counts as when it was received."""
        rules = self._by_type.get(event_type)
        if not rules:
            return ()
        within: dict[str, float] = {}
        for rule in rules:
            path = _place(rule, document)
            if path is not None:
                within[path] = max(rule.within_s, within.get(path, 0.0))
        if not within:
            return ()
        user_id, custom_id = id_at(document, self._user_id), id_at(document, self._custom_id)
        if user_id is None and custom_id is None:
            return ()
        who = self._words(user_id, custom_id)
        at = received_at if occurred_at is None else min(occurred_at, received_at)
        return tuple(
            Done(event_id, path, source, *who, at, within_s, received_at)
            for path, within_s in within.items()
        )


def words_with(secret: bytes) -> Words:
    """Makes the words with the store's secret: those by which an erase looks for a person."""
    return lambda user_id, custom_id: words_of(user_id, custom_id, secret)


def no_words(_user_id: str | None, _custom_id: str | None) -> tuple[str, str]:
    """Words that stand for nobody."""
    return NOBODY, NOBODY


NO_RULES = Rules((), no_words)


def fits(pattern: str, path: str) -> bool:
    """Whether a path is the pattern's, which may end in `*`. "": any path is."""
    if pattern.endswith(ANY):
        return path.startswith(pattern[:-1])
    return pattern in ("", path)


def is_reminder(item: Item) -> bool:
    """Whether a notification may be superfluous at all: it names a place and a person. A correction
    is none: what it corrects is on the phone."""
    has_person = item.user_id is not None or item.custom_id is not None
    return bool(item.path) and item.collapse_id is None and has_person


def reason_of(
    item: Item, who: tuple[str, str], first_seen: float, done: Iterable[Done]
) -> str | None:
    """Why a notification is not needed any more; None: it is. `who` are the words of its ids, and
    `first_seen` is when its event came. The earliest of what was done is named."""
    at = first_seen if item.occurred_at is None else min(item.occurred_at, first_seen)
    source = item.source or LEARNINK
    found = [
        (one.at, one.event_id)
        for one in done
        if one.path == item.path
        and one.source == source
        and one.at >= at - one.within_s
        and _is_same(who, (one.who_user, one.who_custom))
    ]
    return f"{SUPERSEDED}{min(found)[1]}" if found else None


def _place(rule: Rule, document: object) -> str | None:
    """The place that an event of a rule's type says was done; None: it says none."""
    if not rule.match:
        return rule.path
    value = value_at(document, parts_of(rule.match))
    if not isinstance(value, str) or path_fault(value) is not None:
        return None
    return value if fits(rule.path, value) else None


def _is_same(one: tuple[str, str], other: tuple[str, str]) -> bool:
    """Whether these are one person: an id of a kind is the same, and none contradicts."""
    both = [pair for pair in zip(one, other, strict=True) if NOBODY not in pair]
    return bool(both) and all(mine == theirs for mine, theirs in both)
