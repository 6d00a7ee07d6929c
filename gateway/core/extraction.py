"""What a learning event says of itself: whose it is, what was learnt, and what of it is kept. Pure.

A learning event is one that is not a push. What is left out of it is left out before anything else
looks at it, so that it is nowhere: neither in the body nor in what the body is found by.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from gateway.core.dotted import Keeping, Path, id_at, kept_of, parts_of, written
from gateway.core.learnt import Learnt
from gateway.core.private import MOST_PEOPLE, people_in

ALL = Keeping()
"""All of a body is kept."""


@dataclass(frozen=True, slots=True)
class LearningRules:
    """Where in a body stands whose it is and what was learnt, and what of a body is kept."""

    user_id: tuple[Path, ...] = ()
    custom_id: tuple[Path, ...] = ()
    object: tuple[Path, ...] = ()
    keeping: Keeping = ALL


class Extract(NamedTuple):
    """A learning event as it is kept; `people` are ids that it names."""

    body: bytes
    learnt: Learnt
    people: tuple[str, ...]


def rules_by(
    *,
    user_id: Iterable[str],
    custom_id: Iterable[str],
    object: Iterable[str],  # noqa: A002 - the contract's name
    drop: Iterable[str] = (),
    keep: Iterable[str] = (),
) -> LearningRules:
    """The rules that dotted paths come to. Raises ValueError for what names no place."""

    def read(paths: Iterable[str]) -> tuple[Path, ...]:
        return tuple(map(parts_of, paths))

    return LearningRules(
        read(user_id), read(custom_id), read(object), Keeping(read(drop), read(keep))
    )


DEFAULT = rules_by(
    user_id=("data.user_id", "data.user.id"),
    custom_id=("data.custom_id", "data.user.custom_id"),
    object=("data.course_id", "data.course.id"),
)
"""What holds where nothing is configured."""


def extract(
    document: Any, body: bytes, *, rules: LearningRules = DEFAULT, salt: bytes = b""
) -> Extract:
    """What is kept of a body that says this. Where there are rules of what is kept, the body is
    written anew: a name that stands in it twice is read once, and must not be kept twice."""
    if any(rules.keeping):
        document = kept_of(document, rules.keeping)
        body = written(document)
    learnt = Learnt(
        id_at(document, rules.user_id),
        id_at(document, rules.custom_id),
        id_at(document, rules.object),
        salt,
    )
    named = [one for one in (learnt.user_id, learnt.custom_id) if one is not None]
    people = tuple(dict.fromkeys([*named, *people_in(document)]))
    return Extract(body, learnt, people[:MOST_PEOPLE])
