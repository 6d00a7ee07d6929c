"""`[[suppress]]`: which events say that something is done, so that no reminder of it goes out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, Field, StringConstraints

from config.section import Section

_DAY_S = 86_400
_MOST_PARTS = 32
_BATCHES = "notifications.sent"
_LONGEST = 1_024


def event_type(value: str) -> str:
    """Check the type of a learning event."""
    if value == _BATCHES:
        raise ValueError("is a batch of pushes; expected the type of a learning event")
    if "*" in value:
        raise ValueError('holds a "*"; expected one type of events, whole')
    return value


def _dotted(value: str) -> str:
    if value and (not all(value.split(".")) or value.count(".") >= _MOST_PARTS):
        raise ValueError('is no dotted path; expected one such as "data.course.path"')
    return value


def place(value: str) -> str:
    """Check a path of pushes, which may end in `*`."""
    if value and (not value.startswith("/") or value.startswith("//")):
        raise ValueError("does not start with one /; expected a path as pushes carry it")
    if "*" in value[:-1]:
        raise ValueError('holds a "*" before its end; expected it at the end alone')
    return value


class SuppressSettings(Section):
    """An event after which reminders of the same thing, to the same person, need not go out. All
    processes need the same."""

    on: Annotated[str, StringConstraints(min_length=1, max_length=128), AfterValidator(event_type)]
    """Type of the learning events that say so, such as `user.course.completed`."""
    match: Annotated[str, AfterValidator(_dotted)] = ""
    """Dotted path to the place in the event that was done, such as `data.course.path`: reminders
    with exactly this `path` end. Empty: those with `path`."""
    path: Annotated[str, StringConstraints(max_length=_LONGEST), AfterValidator(place)] = ""
    """With `match`: only places like this; it may end in `*`. Without it: the place itself."""
    within_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 86_400
    """Seconds for which a reminder that comes after the event is superfluous, too; by the times
    that the events themselves name. `relay.retention_days` at most, so long an event is kept."""


def misfits(entries: Sequence[Any], relay: Any) -> Iterator[str]:
    """What no key of a table can know alone. `relay` is that section, None if it is wrong."""
    for i, entry in enumerate(entries):
        if not isinstance(entry, Mapping):
            continue
        path, within_s = entry.get("path") or "", entry.get("within_s")
        if not entry.get("match") and not path:
            yield f"suppress[{i}].path: is missing; expected a path, for match is not given either"
        elif not entry.get("match") and "*" in str(path):
            yield f'suppress[{i}].path: holds a "*"; expected a whole path, for match is not given'
        if relay is None or type(within_s) not in (int, float):
            continue
        if within_s > (most := relay.retention_days * _DAY_S):
            yield (
                f"suppress[{i}].within_s: is {within_s}, which is longer than events are kept; "
                f"expected at most relay.retention_days ({most})"
            )
