"""The attempts of a delivery that failed, as they are kept: the last ones, newest first. Pure.

Owns their stored form: a line each, with the time, the verdict, and the vendor's word. A store puts
new lines in front of the old ones and cuts the end off, so the last line may be a part, which is
not read. No line says whose the delivery was.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

KEPT = 600
"""Characters that are kept of a delivery: about ten lines."""
_LONGEST = 100
_BLANK = re.compile(r"[\0-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

Key = tuple[str, int, int]
"""A delivery: (event id, index, device id)."""


class Attempt(NamedTuple):
    """An attempt that failed: when its verdict came (epoch seconds), the verdict's label, and the
    vendor's word for it."""

    at: float
    verdict: str
    word: str


class Failures(NamedTuple):
    """What failed of a delivery: how often, and the last ones, newest first."""

    count: int = 0  # type: ignore[assignment]  # not the method of a tuple, as below
    last: tuple[Attempt, ...] = ()


class Failed(NamedTuple):
    """What failed of a delivery since it was written last: `said` are the lines. The ids are its
    person's, and are not written."""

    event_id: str
    index: int  # type: ignore[assignment]  # not the method of a tuple, which nobody needs
    device_id: int
    failures: int
    said: str
    user_id: str | None = None
    custom_id: str | None = None

    def before(self, earlier: Failed | None) -> Failed:
        """Both as one, this one in front."""
        if earlier is None:
            return self
        said = (self.said + earlier.said)[:KEPT]
        return self._replace(failures=self.failures + earlier.failures, said=said)


def line(at: float, verdict: str, word: str) -> str:
    """An attempt as it is kept."""
    return f"{at:.3f} {verdict} {_BLANK.sub(' ', word)[:_LONGEST]}\n"


def read(count: int, said: str) -> Failures:
    """What is kept of a delivery. What cannot be read is left out; a line that a store was told
    twice counts once."""
    lines = said.split("\n")[:-1]
    found = [one for one in map(_attempt, dict.fromkeys(lines)) if one is not None]
    return Failures(count, tuple(found))


def _attempt(line: str) -> Attempt | None:
    at, _, rest = line.partition(" ")
    verdict, _, word = rest.partition(" ")
    try:
        return Attempt(float(at), verdict, word)
    except ValueError:
        return None


def columns(failed: Sequence[Failed]) -> list[tuple[str, int, int, int, str]]:
    """Rows to write, in the order of their keys."""
    return sorted(one[:5] for one in failed)
