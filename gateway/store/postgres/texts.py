"""Texts that PostgreSQL cannot hold: NUL, and halves of surrogate pairs.

Owns what is done about them. What comes from a vendor or a webhook may have them.
"""

from __future__ import annotations

from typing import Any, TypeVar

T = TypeVar("T", bound=tuple[Any, ...])


def findable(name: str | None) -> str | None:
    """A name to look for: one that no row can have is nobody's."""
    return None if name is None or storable(name) != name else name


def storable(text: str) -> str:
    """The text without what cannot be kept."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def storable_row(row: T) -> T:
    """A row, or a named tuple, with texts that can be kept."""
    clean = [storable(value) if type(value) is str else value for value in row]
    made: T = type(row)._make(clean) if hasattr(row, "_make") else type(row)(clean)
    return made
