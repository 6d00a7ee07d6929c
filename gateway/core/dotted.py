"""Dotted paths into what a body says: `data.user.id`. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from gateway.core.identifiers import id_fault

Path = tuple[str, ...]
"""A path in its parts."""
MOST_PARTS = 32
"""Parts that a path may have."""


def parts_of(path: str) -> Path:
    """The parts of a dotted path. Raises ValueError for what can name no place."""
    parts = tuple(path.strip().split("."))
    if not all(parts) or len(parts) > MOST_PARTS:
        raise ValueError(f"expected names with dots between them, at most {MOST_PARTS}")
    return parts


def value_at(document: Any, path: Sequence[str]) -> Any:
    """What stands at a path; None: nothing does."""
    for name in path:
        if not isinstance(document, dict):
            return None
        document = document.get(name)
    return document


def id_at(document: Any, paths: Iterable[Sequence[str]]) -> str | None:
    """The first of these places that holds an id, as text. A whole number is one, too."""
    for path in paths:
        value = value_at(document, path)
        if type(value) is int:
            value = str(value)
        if isinstance(value, str) and id_fault(value) is None:
            return value
    return None
