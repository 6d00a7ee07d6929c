"""How far the pushes of a day came: from whom they were for to who tapped one. Pure.

A person counts once a day, in one cell: the app, platform and source of the first push that a
vendor took, else of the first that was tried; with no app where there was no phone. Whoever was
only held out of an experiment was not reminded, and does not count.

Owns what is counted of a day (`Counter`), and what may be shown of it (`told`): a day's cells and
the reasons in them are a tree, in which every part has 20 people or more.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import NamedTuple

from gateway.core.effect_cells import LEAST, OTHER, able, merged
from gateway.core.fanout import CONTRADICTION, GONE
from gateway.core.receipts import IMPLIED, Measure, Mode, is_measured
from gateway.core.sources import NO_APP, NO_TESTER
from gateway.core.states import DeliveryState
from gateway.core.why_words import ERASED, NEWER, SUPERSEDED

HELD_OUT = "held_out"

_TAKEN, _CAN, _SHOWN, _OPENED = 1, 2, 4, 8
_REASON_AT, _CELL_AT = 4, 20
_SHOWS, _OPENS = (
    frozenset(kind.value for kind in IMPLIED[name]) for name in ("displayed_at", "opened_at")
)
_CAN_TELL = {"displayed", "opened"}
#: reasons of a delivery that reached no phone, by how they begin
_UNREACHED = (
    (CONTRADICTION, "ids_contradict"),
    (GONE, "moved"),
    (ERASED, "erased"),
    (NO_TESTER, "source_limits"),
    (NO_APP, "source_limits"),
)


class Pushed(NamedTuple):
    """A delivery with its phone, in the order of the query's columns. `told` are the kinds of its
    receipts, with commas; the phone's columns are None where it is gone."""

    event_id: str
    index: int  # type: ignore[assignment]  # not the method of a tuple, which nobody needs
    device_id: int
    state: str
    reason: str
    user_id: str | None
    custom_id: str | None
    app: str
    platform: str | None
    phone_user: str | None
    phone_custom: str | None
    measure: str | None
    can: str | None
    told: str | None


class Cell(NamedTuple):
    """Which people: those without a phone have no app and no platform."""

    app: str
    platform: str
    source: str


class Sums(NamedTuple):
    """People, and of them: whose push a vendor took; whose phone can tell whether it was shown and
    tapped; and of these, on whose phone it was."""

    people: int = 0
    taken: int = 0
    can_tell: int = 0
    shown: int = 0
    opened: int = 0

    def plus(self, other: Sums) -> Sums:
        """Both together."""
        return Sums(*map(sum, zip(self, other, strict=True)))


class Counted(NamedTuple):
    """A day, and for each cell the people whom no push reached, by the reason."""

    cells: Mapping[Cell, Sums]
    reasons: Mapping[tuple[Cell, str], int]


class Told(NamedTuple):
    """What may be shown of some people. The figures of phones are about `over` of them."""

    people: int
    taken: int
    over: int
    shown: int
    opened: int
    reasons: Mapping[str, int]


Name = Callable[[str | None, str | None], bytes | None]
"""A word for a person, by `user_id` and `custom_id`; None: nobody to be counted."""


class Counter:
    """Counts the people of one day, as its deliveries come by in any order of events.

    `modes` are what apps report, `rule` says whose receipts are kept. It holds a word and a number
    for each person, some 150 bytes.
    """

    def __init__(self, name: Name, modes: Mapping[str, Mode], rule: Measure) -> None:
        self._name = name
        self._modes = modes
        self._rule = rule
        self._people: dict[bytes, int] = {}
        self._cells: dict[Cell, int] = {}
        self._reasons: dict[str, int] = {"": 0}

    def add(self, source: str, pushed: Pushed) -> None:
        """Take in a delivery of an event of this source."""
        if pushed.state == HELD_OUT:
            return
        person = self._name(pushed.user_id, pushed.custom_id)
        if person is None:
            return
        known = self._people.get(person)
        flags = self._flags(pushed)
        if known is not None and (known & _TAKEN or not flags & _TAKEN):
            self._people[person] = known | flags
            return
        cell = Cell(pushed.app, (pushed.platform or "") if pushed.app else "", source)
        place = self._cells.setdefault(cell, len(self._cells))
        reason = "" if flags & _TAKEN else reason_of(pushed.state, pushed.reason)
        why = self._reasons.setdefault(reason, len(self._reasons))
        self._people[person] = flags | why << _REASON_AT | place << _CELL_AT

    def counted(self, only: Collection[bytes] | None = None) -> Counted:
        """What was counted; `only` of these people."""
        sums = [[0] * len(Sums._fields) for _ in self._cells]
        reasons: dict[tuple[int, int], int] = {}
        for person, known in self._people.items():
            if only is not None and person not in only:
                continue
            place, why = known >> _CELL_AT, known >> _REASON_AT & 0xFFFF
            of_cell = sums[place]
            of_cell[0] += 1
            for column, flag in enumerate((_TAKEN, _CAN, _SHOWN, _OPENED), 1):
                of_cell[column] += bool(known & flag)
            if why:
                reasons[place, why] = reasons.get((place, why), 0) + 1
        cells, words = list(self._cells), list(self._reasons)
        return Counted(
            {cell: Sums(*found) for cell, found in zip(cells, sums, strict=True) if found[0]},
            {(cells[place], words[why]): count for (place, why), count in reasons.items()},
        )

    def _flags(self, pushed: Pushed) -> int:
        if pushed.state != DeliveryState.DELIVERED:
            return 0
        if not self._can_tell(pushed):
            return _TAKEN
        told = set((pushed.told or "").split(","))
        shown = _SHOWN if told & _SHOWS else 0
        return _TAKEN | _CAN | shown | (_OPENED if told & _OPENS else 0)

    def _can_tell(self, pushed: Pushed) -> bool:
        """Whether silence would say that it was neither shown nor tapped."""
        if pushed.can is None or self._modes.get(pushed.app, "off") == "off":
            return False
        theirs = (pushed.user_id is not None and pushed.user_id == pushed.phone_user) or (
            pushed.custom_id is not None and pushed.custom_id == pushed.phone_custom
        )
        can = pushed.can.split()
        return theirs and is_measured(pushed.measure, self._rule) and {*can} >= _CAN_TELL


def reason_of(state: str, reason: str) -> str:
    """Why a push reached nobody: a word of ours, with the vendor's own where that matters."""
    match state:
        case DeliveryState.NO_DEVICE:
            found = [word for start, word in _UNREACHED if reason.startswith(start)]
            return found[0] if found else "no_device"
        case DeliveryState.CANCELLED if reason == NEWER:
            return "overtaken"
        case DeliveryState.CANCELLED if reason.startswith(SUPERSEDED):
            return "superseded"
        case DeliveryState.REFUSED | DeliveryState.DEAD | DeliveryState.PRUNED if reason:
            return f"{state} {reason}"
    return state


def told(counted: Counted) -> dict[Cell | None, Told]:
    """What may be shown of a day, by cell.

    Cells of an app that are too small are told together, under the platform "other"; apps that
    are too small, under None.
    """
    return {name: of_cells(counted, cells) for name, cells in units(counted.cells).items()}


def units(cells: Mapping[Cell, Sums]) -> dict[Cell | None, list[Cell]]:
    """Which cells are told together, under which name."""
    sizes = {cell: (sums.people,) for cell, sums in cells.items()}
    found: dict[Cell, list[Cell]] = {}
    few: list[Cell] = []
    for app in dict.fromkeys(cell.app for cell in cells):
        theirs = {cell: size for cell, size in sizes.items() if cell.app == app}
        shown, rest = merged(theirs)
        found |= {cell: [cell] for cell in shown}
        if rest:
            found[Cell(app, OTHER if app else "", "")] = rest
        elif not shown:
            few += theirs
    whole = {name: (sum(sizes[cell][0] for cell in of),) for name, of in found.items()}
    whole |= {cell: sizes[cell] for cell in few}
    # nobody's phone is the most telling of all: it is mixed with others last
    named, rest = merged(whole, last=[cell for cell in found if not cell.app])
    together = [cell for name in rest for cell in found.get(name, [name])]
    told_alone: dict[Cell | None, list[Cell]] = {name: found.get(name, [name]) for name in named}
    return told_alone | ({None: together} if together else {})


def sum_of(counted: Counted) -> Sums:
    """All cells together."""
    total = Sums()
    for sums in counted.cells.values():
        total = total.plus(sums)
    return total


def of_cells(counted: Counted, cells: Iterable[Cell]) -> Told:
    """What may be shown of the people of these cells together, who are 20 or more."""
    sums = Sums()
    reasons: dict[str, int] = {}
    of = set(cells)
    for cell, found in counted.cells.items():
        if cell in of:
            sums = sums.plus(found)
    for (cell, reason), people in counted.reasons.items():
        if cell in of:
            reasons[reason] = reasons.get(reason, 0) + people
    # those who were reached are a part of the whole like each reason
    parts = {"": (sums.taken,)} | {reason: (count,) for reason, count in reasons.items()}
    named, rest = merged(parts)
    told_reasons = {reason: reasons[reason] for reason in named if reason}
    if "" in named and (others := sum(reasons[reason] for reason in rest)) >= LEAST:
        told_reasons["other"] = others
    over = able(sums.people, sums.can_tell)
    shown, opened = (sums.shown, sums.opened) if over else (0, 0)
    return Told(sums.people, sums.taken, over, shown, opened, told_reasons)
