"""What happened in a history: its lines, their hash, and counts of what must be seen.

Owns the order of the lines. They are kept as they come, and written as text only when somebody
reads them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from hashlib import blake2b
from typing import Any


class Trace:
    """The lines of one history: (time, who, what, facts)."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._lines: list[tuple[float, str, str, tuple[Any, ...]]] = []
        self.seen: Counter[str] = Counter()

    def add(self, who: str, what: str, *facts: Any) -> None:
        """Something happened."""
        self._lines.append((self._now(), who, what, facts))

    def count(self, what: str) -> None:
        """Something was seen that must be seen now and then; it makes no line."""
        self.seen[what] += 1

    def digest(self) -> str:
        """Names the history: two runs of one seed have the same."""
        return blake2b(repr(self._lines).encode(), digest_size=16).hexdigest()

    def lines(self) -> Iterator[str]:
        """The history for people."""
        for at, who, what, facts in self._lines:
            told = " ".join(str(fact) for fact in facts)
            yield f"{at:10.5f}  {who:<12} {what:<14} {told}".rstrip()
