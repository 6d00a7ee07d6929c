"""Which counts of people may be shown. Pure.

No figure is about fewer than 20 people, and none can be had by subtracting shown ones: what is
shown is always made of whole cells, each of which has 20 people or more and never changes once it
was counted. A cell that is too small goes into "other", with as many of its neighbours as it needs;
where even that is too small, nothing of it is counted.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeVar

LEAST = 20
OTHER = "other"
#: counts from here on are told as they are
_EXACT = 1000
_STEP = 5

Key = TypeVar("Key")


class Day(NamedTuple):
    """How many people entered each group on one day, which ends at `end`."""

    end: float
    reminded: int
    held: int


def rounded(count: int) -> int:
    """A count as it is shown: to the nearest 5, from 1 000 on as it is."""
    return count if count >= _EXACT else (count + _STEP // 2) // _STEP * _STEP


def is_enough(count: int) -> bool:
    """Whether a cell of so many people may be told from others."""
    return count == 0 or count >= LEAST


def cuts(days: Iterable[Day]) -> list[float]:
    """The ends of the days up to which an experiment is shown, from the oldest on: between two of
    them, both groups grew by 20 people or more."""
    ends = []
    reminded = held = 0
    for day in days:
        reminded, held = reminded + day.reminded, held + day.held
        if reminded >= LEAST and held >= LEAST:
            ends.append(day.end)
            reminded = held = 0
    return ends


def merged(
    cells: Mapping[Key, Sequence[int]], least: int = LEAST, *, last: Collection[Key] = ()
) -> tuple[list[Key], list[Key]]:
    """The cells to show, and those to show together as "other", in the order given.

    A cell has a size for each group; its people are in no other cell. Each shown size is at least
    `least`. What is left over has nobody in a group, or 20 people or more; where that cannot be
    had, both lists are empty. The smallest cells join first what is left over, and those of `last`
    after all others.
    """
    return divided(cells, lambda sizes: min(sizes) >= least, last=last)


def divided(
    cells: Mapping[Key, Sequence[int]],
    is_fine: Callable[[Sequence[int]], bool],
    *,
    last: Collection[Key] = (),
) -> tuple[list[Key], list[Key]]:
    """The same for cells of which the fine ones may be shown."""
    shown = {key: sizes for key, sizes in cells.items() if is_fine(sizes)}
    rest = [key for key in cells if key not in shown]
    joining = sorted(shown, key=lambda key: (key in last, min(shown[key])))
    while not all(map(is_enough, _sum(cells, rest))):
        if not joining:
            return [], []
        rest.append(joining.pop(0))
    left = dict.fromkeys(rest)
    return [key for key in shown if key not in left], [key for key in cells if key in left]


def able(people: int, can_tell: int) -> int:
    """Over how many people of a cell is told what their phones showed.

    Those whose phones can tell, where they and the others are 20 or more; all of the cell where the
    others are too few to be told from them; nobody where they are too few themselves.
    """
    if can_tell < LEAST:
        return 0
    return can_tell if is_enough(people - can_tell) else people


def _sum(cells: Mapping[Key, Sequence[int]], keys: Sequence[Key]) -> list[int]:
    return [sum(sizes) for sizes in zip(*(cells[key] for key in keys), strict=True)]
