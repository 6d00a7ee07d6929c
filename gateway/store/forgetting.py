"""What is remembered of installations and addresses that went, and what an import may not undo.

Pure. Owns the names that are remembered, the numbers that stand for them (keyed hashes: they tell a
name to nobody), and the rule by which an import line is older than what is known. Keeping and
finding the rows of the table `forgotten` is each engine's matter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, partial
from typing import Any, NamedTuple

from gateway.core.hashes import keyed
from gateway.core.model import Registration, UserRef

Row = Mapping[str, Any]
"""A row of `devices`."""

Name = tuple[str, ...]
"""What is remembered: its kind, and what tells it from others of the kind."""

Number = Callable[[Name], int]
"""Tells the number that stands for a name in a store."""


class Gone(NamedTuple):
    """A name that no device has any more, since when, and whose device it was. `changed_at` is
    that device's last change of user. `erased`: it went with its user, who is not remembered."""

    name: Name
    at: float
    user_id: str | None = None
    custom_id: str | None = None
    changed_at: float | None = None
    erased: bool = False


class Mark(NamedTuple):
    """A row of `forgotten`: the columns in their order. `erased_at` 0: never by an erase."""

    hash: int
    at: float
    erased_at: float = 0.0
    user_hash: int | None = None
    custom_hash: int | None = None
    user_changed_at: float | None = None


def numbers(secret: bytes) -> Number:
    """The numbers of a store: 63 bits of the name's keyed hash, which both engines index."""
    return partial(_number, secret)


def numbers_of(secret: bytes, user: UserRef, devices: Iterable[int]) -> list[int]:
    """The numbers that stand for a person, by each of their ids; `devices` are those that they have
    or had, and may have forbidden to tell of pushes."""
    number = numbers(secret)
    ids = (("user_id", user.user_id), ("custom_id", user.custom_id))
    names: list[Name] = [(kind, who) for kind, who in ids if who is not None]
    names += [name for one in devices for name in refusals(one, user.user_id, user.custom_id)]
    return [number(name) for name in names]


def _number(secret: bytes, name: Name) -> int:
    return int.from_bytes(keyed(secret, "forgotten", *name)[:8]) >> 1


def installation(row: Row) -> Name:
    """The name of a device's installation."""
    return ("installation", row["app"], row["installation_id"])


def address(row: Row) -> Name:
    """The name of its address."""
    return ("address", row["app"], row["provider"], row["address"])


def asked_for(asked: Registration) -> tuple[Name, Name]:
    """The installation and the address of a registration."""
    return (
        ("installation", asked.app, asked.installation_id),
        ("address", asked.app, asked.provider, asked.address),
    )


def refusals(device_id: int, user_id: str | None, custom_id: str | None) -> list[Name]:
    """What stands for the answer of a device's former user, who did not let receipts be kept."""
    ids = (("user_id", user_id), ("custom_id", custom_id))
    return [("measure", str(device_id), kind, who) for kind, who in ids if who is not None]


def gone_with(
    row: Row, at: float, *, address_at: float | None = None, stays: bool = False
) -> list[Gone]:
    """What goes with a device: its installation and its address; and its user, if it said that no
    receipts may be kept, which is remembered, unless the row `stays` theirs.

    It goes after it was seen, whatever the clock says by which `at` is told.
    """
    at = max(at, row["last_seen_at"])
    whose = (row["user_id"], row["custom_id"], row["user_changed_at"])
    gone = [
        Gone(installation(row), at, *whose),
        Gone(address(row), at if address_at is None else address_at, *whose),
    ]
    if row["measure"] == "denied" and not stays:
        gone += [Gone(name, at) for name in refusals(row["id"], *whose[:2])]
    return gone


def purged(row: Row) -> list[Gone]:
    """What stays known of a dead device whose row is over its time: an import finds the same as
    before."""
    return gone_with(row, row["last_seen_at"], address_at=row["state_at"])


def gone_by_erase(rows: Iterable[Row], user: UserRef, now: float) -> list[Gone]:
    """What an erase leaves: the devices that went, and who shall not come back from a file."""
    found = [one for row in rows for one in gone_with(row, now)]
    now = max((now, *(one.at for one in found)))
    people = {("user_id", user.user_id), ("custom_id", user.custom_id)}
    people |= {(kind, getattr(one, kind)) for one in found for kind in ("user_id", "custom_id")}
    names = [one.name for one in found]
    names += sorted((kind, who) for kind, who in people if who is not None)
    return [Gone(name, now, erased=True) for name in names]


def marks_of(number: Number, gone: Iterable[Gone]) -> list[Mark]:
    """The rows to write, each number once, in the order in which all write them."""
    marks: dict[int, Mark] = {}
    for one in gone:
        mark = Mark(
            number(one.name),
            one.at,
            one.at if one.erased else 0.0,
            _person(number, "user_id", one.user_id),
            _person(number, "custom_id", one.custom_id),
            one.changed_at,
        )
        marks[mark.hash] = together(marks.get(mark.hash), mark)
    return [marks[key] for key in sorted(marks)]


def together(before: Mark | None, mark: Mark) -> Mark:
    """What is remembered after a name went once more, as the engines' upserts have it."""
    if before is None:
        return mark
    return mark._replace(
        at=max(before.at, mark.at), erased_at=max(before.erased_at, mark.erased_at)
    )


class Memory:
    """What is remembered of some names, and what is added to it."""

    def __init__(self, secret: bytes) -> None:
        self._number = cache(numbers(secret))
        self._marks: dict[int, Mark] = {}
        self._added: set[int] = set()

    def asked(self, names: Iterable[Name]) -> list[int]:
        """The numbers to look for."""
        return [self._number(name) for name in names]

    def load(self, marks: Iterable[Mark]) -> None:
        """Take in what was found of them."""
        self._marks.update((mark.hash, mark) for mark in marks)

    def add(self, gone: Sequence[Gone]) -> None:
        """Remember what went."""
        for mark in marks_of(self._number, gone):
            self._marks[mark.hash] = together(self._marks.get(mark.hash), mark)
            self._added.add(mark.hash)

    @property
    def added(self) -> list[Mark]:
        """What is to be written, in order."""
        return [self._marks[key] for key in sorted(self._added)]

    def changed_at(self, came: Iterable[Name], asked: Registration, now: float) -> float | None:
        """When the device that now has these names changed hands, if it did: another user had one
        of them before, or nobody may know who."""
        marks = self._of(came)
        if not marks:
            return None
        mine = {self._number(name) for name in _people(asked)}
        return latest(
            mark.user_changed_at if mine & {mark.user_hash, mark.custom_hash} else now
            for mark in marks
        )

    def forbids(
        self, asked: Registration, known: Row | None, holders: Iterable[Row], *, force: bool
    ) -> bool:
        """Whether an import line is older than what is known of what it asks for.

        A line without a time is older than anything. `force` leaves only what an erase forbids: an
        installation, an address or a person that was erased.
        """
        assert asked.seen_at is not None
        marks = self._of(asked_for(asked))
        erased_at = [one.erased_at for one in (*marks, *self._of(_people(asked))) if one.erased_at]
        if any(_is_older(asked.seen_at, at) for at in erased_at):
            return True
        times = [*_confirmed(asked, known, holders), *(mark.at for mark in marks)]
        return not force and any(_is_older(asked.seen_at, at) for at in times)

    def _of(self, names: Iterable[Name]) -> list[Mark]:
        if not self._marks:
            return []
        found = [self._number(name) for name in names]
        return [self._marks[one] for one in found if one in self._marks]


def names_in(registrations: Iterable[Registration]) -> list[Name]:
    """All names that `Memory` is asked about for these registrations."""
    return [name for one in registrations for name in (*asked_for(one), *_people(one))]


def latest(times: Iterable[float | None]) -> float | None:
    """The latest of those times that there are."""
    return max((one for one in times if one is not None), default=None)


def _confirmed(asked: Registration, known: Row | None, holders: Iterable[Row]) -> list[float]:
    """When the app last confirmed the rows that a line would change. Of an address that is out of
    service, its end is what is known last."""
    times = [] if known is None else [known["last_seen_at"]]
    for row in holders:
        times.append(row["last_seen_at"])
        if row["state"] != "active" and row["address"] == asked.address:
            times.append(row["state_at"])
    return times


def _is_older(seen_at: float, known_at: float) -> bool:
    return seen_at == 0 or seen_at <= known_at


def _people(asked: Registration) -> list[Name]:
    ids = (("user_id", asked.user_id), ("custom_id", asked.custom_id))
    return [(kind, who) for kind, who in ids if who is not None]


def _person(number: Number, kind: str, who: str | None) -> int | None:
    return None if who is None else number((kind, who))
