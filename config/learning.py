"""What is kept of events that are not pushes (`[learning]`), and how long what has no time of its
own is kept (`[retention]`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from config.section import Section
from providers.settings import Count, Seconds

_MOST_PARTS = 32
_MOST_TYPES = 200
_LONGEST_TYPE = 128


def _path(text: str) -> str:
    """A place in a body: names with dots between them."""
    parts = text.split(".")
    if not all(parts) or len(parts) > _MOST_PARTS or not text.isprintable():
        raise ValueError('expected names with dots between them, such as "data.user.id"')
    return text


def _place(text: str) -> str:
    """A path that names one place."""
    if "*" in _path(text):
        raise ValueError('expected one place, such as "data.user.id", without *')
    return text


def _pattern(text: str) -> str:
    """A path in which `*` is any one name, and `**` any number of them."""
    parts = _path(text).split(".")
    if any("*" in part and part not in ("*", "**") for part in parts):
        raise ValueError('expected * or ** as a whole name, such as "**.email" or "data.*.id"')
    return text


def _type(text: str) -> str:
    if not text or len(text) > _LONGEST_TYPE or not text.isprintable() or "*" in text:
        raise ValueError('expected the type of an event, such as "user.course.completed"')
    return text


Places = tuple[Annotated[str, AfterValidator(_place)], ...]
Patterns = tuple[Annotated[str, AfterValidator(_pattern)], ...]


class LearningSettings(Section):
    """Events that are not pushes: whose they are, and what of them is kept. Where this table is,
    `retention.learning_days` must be given."""

    user_id: Places = ("data.user_id", "data.user.id")
    """Where an event's user stands (LearnInk's id): dotted paths, of which the first that is there
    counts. A list on the way is looked through, entry by entry."""
    custom_id: Places = ("data.custom_id", "data.user.custom_id")
    """Where the customer's own id of the user stands."""
    object: Places = ("data.course_id", "data.course.id")
    """Where it stands what was learnt: a second event of the same person, type and object counts
    once."""
    types: Annotated[
        tuple[Annotated[str, AfterValidator(_type)], ...], Field(max_length=_MOST_TYPES)
    ] = ()
    """Types of events that the metric `learning_events_total` tells apart; all others are
    `other`."""
    late_after_s: Seconds = 86_400
    """Seconds between an event and its receipt after which it is marked `late`."""
    drop: Patterns = ()
    """What is taken out of an event before it is kept: dotted paths, `*` for any one name and `**`
    for any number of them, as in `**.phone_number`."""
    keep: Patterns = ()
    """What of an event is kept, in the same way, and nothing else of its body; `drop` wins. Empty:
    all. A user is found by what is kept, so that the paths of their ids belong here."""


class RetentionSettings(Section):
    """How long is kept what has no time of its own."""

    learning_days: Count | None = None
    """Days that events that are not pushes are kept. Not given: `relay.retention_days`. It must be
    given where there is a `[learning]` table, for then it is a decision."""
    audit_days: Count = 400
    """Days that it is kept who did what (`inkpush audit`). Over a year, to look back at the last
    time. What a backend does all day, its registrations, its own notifications and its reads of
    when somebody saw a push, is kept for `relay.retention_days` only."""


def misfits(sections: Mapping[str, Any], data: Mapping[str, Any]) -> Iterator[str]:
    """What no table can know alone."""
    retention = sections.get("retention")
    if "learning" in data and retention is not None and retention.learning_days is None:
        yield (
            "retention.learning_days: is missing, and there is a [learning]; expected how many "
            "days learning events are kept, such as 400"
        )


def advice(learning: LearningSettings) -> Iterator[str]:
    """What is allowed, and likely a slip."""
    places = (*learning.user_id, *learning.custom_id)
    if learning.keep and not any(_names(one, place) for one in learning.keep for place in places):
        yield (
            "learning.keep: leaves out every place where a user's id stands, so that no event has "
            f"a user; better one of {', '.join(places)} beside it"
        )


def _names(pattern: str, place: str) -> bool:
    """Whether a pattern names a place, or what it stands in."""
    return _matches(pattern.split("."), place.split("."))


def _matches(pattern: list[str], place: list[str]) -> bool:
    if not pattern:
        return True
    if pattern[0] == "**":
        return any(_matches(pattern[1:], place[at:]) for at in range(len(place) + 1))
    return bool(place) and pattern[0] in ("*", place[0]) and _matches(pattern[1:], place[1:])
