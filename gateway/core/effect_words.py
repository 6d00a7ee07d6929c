"""The figure of an experiment in words. Pure.

Bounds are rounded outwards. There is no word for the verdict while people still come in, none about
a part of the people, and never a percentage of a percentage.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor

from gateway.core.effect import Figure, Groups, Interval, Verdict
from gateway.core.effect_cells import LEAST, rounded

_HOUR, _DAY, _WEEK = 1, 24, 168
_NOTHING_ELSE = 1e-9


def number(count: int) -> str:
    """`7 300`."""
    return f"{count:,}".replace(",", " ")


def people(count: int) -> str:
    """A count of people as it is shown."""
    return number(rounded(count)) if count >= LEAST else f"fewer than {LEAST}"


def span(hours: int) -> str:
    """How long a window is: `a week`, `3 days`, `36 hours`."""
    if hours % _WEEK == 0:
        weeks = hours // _WEEK
        return "a week" if weeks == 1 else f"{weeks} weeks"
    if hours % _DAY == 0:
        days = hours // _DAY
        return "a day" if days == 1 else f"{days} days"
    return "an hour" if hours == _HOUR else f"{hours} hours"


def listed(words: Sequence[str]) -> str:
    """`agent`, `agent and field`, `agent, field and tutor`."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def shares(groups: Groups, did: str, window_h: int, *, decimals: int = 0) -> str:
    """The two shares, of 100 people each."""
    reminded, held = (f"{100 * group.share:.{decimals}f}" for group in groups)
    return (
        f"Of 100 people who were reminded, {reminded} {did} within {span(window_h)}. "
        f"Of 100 who were not, {held}."
    )


def decimals_of(interval: Interval, groups: Groups) -> int:
    """How many decimals make the two shares and their difference agree."""
    for decimals in (0, 1):
        first, second = (round(100 * group.share, decimals) for group in groups)
        off = abs(first - second - round(100 * interval.lift, decimals))
        if off < _NOTHING_ELSE:
            return decimals
    return 1


def difference(interval: Interval, decimals: int = 0) -> str:
    """The lift, and what chance allows."""
    lift = round(100 * interval.lift, decimals)
    told = f"{_of(lift, decimals)} {_side(lift)} in 100" if lift else "no difference in 100"
    return f"That is {told}. Allowing for chance: {between(interval)}."


def between(interval: Interval) -> str:
    """`between 1 and 9 more`, `between 1 fewer and 11 more`."""
    low, high = floor(100 * interval.low), ceil(100 * interval.high)
    if low >= 0:
        return f"between {low} and {high} more"
    if high <= 0:
        return f"between {-high} and {-low} fewer"
    return f"between {-low} fewer and {high} more"


def verdict(figure: Figure) -> str:
    """What the figure says, in a sentence; "" beside "so far"."""
    match figure.verdict:
        case Verdict.HELPED:
            return "The reminders helped."
        case Verdict.LESS:
            return "People with reminders completed less: look into it."
        case Verdict.LITTLE:
            return "If they do anything, it is little."
        case Verdict.UNCLEAR:
            assert figure.interval is not None
            assert figure.needed is not None
            return (
                f"This cannot tell yet: it could be {between(figure.interval)}; "
                f"with about {number(figure.needed)} people it could."
            )
        case Verdict.TOO_FEW:
            return "There are too few people to tell."
        case Verdict.SIZES_DIFFER:
            return (
                "No lift is shown: the groups do not have the sizes that the lot must give, so "
                "something other than the lot decided who is in them."
            )
        case Verdict.UNNAMED:
            return (
                "No lift is shown: more than 10 in 100 of the events that count name nobody. Look "
                "at the paths in [learning]."
            )
        case Verdict.NO_EVENTS:
            return (
                "No lift is shown: no event of the listed types ever came. `inkpush events types` "
                "shows what comes."
            )
        case Verdict.SO_FAR:
            return ""


def told(figure: Figure, did: str, window_h: int) -> list[str]:
    """The whole figure, a sentence or two a line."""
    lines = []
    if figure.interval is not None:
        decimals = decimals_of(figure.interval, figure.groups)
        lines.append(shares(figure.groups, did, window_h, decimals=decimals))
        lines.append(difference(figure.interval, decimals))
    if figure.verdict in {Verdict.HELPED, Verdict.LESS, Verdict.LITTLE}:
        lines[-1] = f"{lines[-1]} {verdict(figure)}"
    elif figure.verdict is Verdict.UNCLEAR:
        # it names the bounds itself
        lines[-1] = f"{lines[-1].partition(' Allowing')[0]} {verdict(figure)}"
    elif said := verdict(figure):
        lines.append(said)
    if figure.differed_before:
        lines.append(
            "Careful: the groups already differed in the time before they entered, by more than "
            "chance allows."
        )
    return lines


def _of(lift: float, decimals: int) -> str:
    return f"{abs(lift):.{decimals}f}"


def _side(lift: float) -> str:
    return "more" if lift > 0 else "fewer"
