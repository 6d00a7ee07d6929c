"""`[[experiments]]`: whether reminders lead to learning, found out by lot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StringConstraints

from config.section import Section
from config.suppress import event_type, place
from providers.settings import Count

_LONGEST_WINDOW_H = 24 * 60
_MOST = 50

Path = Annotated[str, StringConstraints(min_length=1, max_length=1_024), AfterValidator(place)]
EventType = Annotated[
    str, StringConstraints(min_length=1, max_length=128), AfterValidator(event_type)
]
Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]
Points = Annotated[float, Field(gt=0, le=100)]


def _day(value: str) -> str:
    """Check a date."""
    try:
        return date.fromisoformat(value).isoformat()
    except ValueError:
        raise ValueError('is no date; expected one such as "2027-02-01"') from None


class ExperimentSettings(Section):
    """By lot, a few people get their first reminder a window later than the others, and the two
    groups' share of people who completed something is compared. Nothing begins before
    `inkpush experiments start`; from then on all but `ends` and the two points stay as they are."""

    id: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")]
    """Name, for good: small letters, digits, `-` and `_`. One that has ended is not begun again."""
    approved_by: Words
    """Who allowed that people's reminders are held back; it is in the audit table."""
    purpose: Words
    """What it is to find out; it is in the audit table."""
    paths: Annotated[tuple[Path, ...], Field(min_length=1, max_length=_MOST)]
    """Places whose reminders may be held back, such as `/learning*`. A notification without a path
    never is."""
    never_paths: Annotated[tuple[Path, ...], Field(max_length=_MOST)] = ()
    """Places among them whose reminders never are."""
    sources: Annotated[tuple[str, ...], Field(min_length=1)] = ("learnink",)
    """Sources whose reminders may be held back. What comes by the API never is."""
    person: Literal["user_id", "custom_id"] = "user_id"
    """Which id people are told apart by: the kind that reminders and learning events both carry."""
    holdout: Annotated[float, Field(gt=0, le=0.2)] = 0.1
    """Share of people who are held back, a fifth at most."""
    window_h: Annotated[int, Field(ge=1, le=_LONGEST_WINDOW_H)] = 168
    """Hours that a person is held back, from their first reminder on, and never longer; in the same
    time an outcome counts."""
    completed: Annotated[tuple[EventType, ...], Field(max_length=_MOST)] = ()
    """Types of the learning events that say that somebody completed something."""
    began: Annotated[tuple[EventType, ...], Field(max_length=_MOST)] = ()
    """Types of those that say that somebody began. A tap that opens a course may send one."""
    main: Literal["completed", "began"] = "completed"
    """Which of the two is the main figure, named beforehand."""
    settle_days: Count = 3
    """Days after a window until which an outcome may become known."""
    dry_run_days: Annotated[int, Field(ge=0, le=60)] = 7
    """Days that it is noted whom the lot would hold back, before anybody is."""
    ends: Annotated[str, AfterValidator(_day)]
    """Day from which on nobody enters, such as `2027-02-01`: 60 days after its start at most."""
    stop_points: Points = 10
    """It ends by itself when even the cautious interval says that of 100 held back so many
    complete less."""
    worth_points: Points = 3
    """Of 100 people, how many more would have to complete for reminders to be worth it."""
    make_up: bool = True
    """Whether the newest reminder that was held back goes out when its person is let go."""


def misfits(entries: Sequence[Any], relay: Any, sources: Any) -> Iterator[str]:
    """What no key of a table can know alone. `relay` is that section, None if it is wrong."""
    seen: dict[str, int] = {}
    known = ["learnink", *(str(one.get("id")) for one in sources if isinstance(one, Mapping))]
    for i, entry in enumerate(entries):
        if not isinstance(entry, Mapping):
            continue
        where = f"experiments[{i}]"
        if "id" in entry and (first := seen.setdefault(str(entry["id"]), i)) != i:
            yield f"{where}.id: is the same as experiments[{first}].id; expected another name"
        main = entry.get("main", "completed")
        if main in ("completed", "began") and not entry.get(main):
            yield f"{where}.{main}: is missing; expected the types of events that count"
        named = entry.get("sources")
        for j, source in enumerate(named if isinstance(named, list) else ()):
            if str(source) not in known:
                yield f"{where}.sources[{j}]: is no source of webhooks; expected {', '.join(known)}"
        window_h, settle = entry.get("window_h", 168), entry.get("settle_days", 3)
        if relay is None or type(window_h) is not int or type(settle) is not int:
            continue
        if window_h / 24 + settle > relay.retention_days:
            yield (
                f"{where}.window_h: is {window_h}, which with settle_days ({settle}) is longer "
                f"than the journal is kept; expected window_h / 24 + settle_days of at most "
                f"relay.retention_days ({relay.retention_days})"
            )
