"""Which types of events a word means: one type, or with a `*` at its end all that begin so."""

from __future__ import annotations

from collections.abc import Iterable

LONGEST = 128
"""Characters a type may have."""
EVERY = "*"


def type_fault(word: str) -> str | None:
    """Why this means no types, as a sentence; None: it does."""
    if not 0 < len(word) <= LONGEST or not word.isprintable() or word.split() != [word]:
        return f"a type is one word of at most {LONGEST} characters, such as user.course.completed"
    if EVERY in word[:-1]:
        return "a type may have a * at its end alone, such as user.course.*"
    return None


def label_of(event_type: str, labels: Iterable[str]) -> str:
    """The label by which a metric counts an event: its type, if that is one of the labels."""
    return event_type if event_type in labels else OTHER


OTHER = "other"
"""The label of all types that are not told apart."""
