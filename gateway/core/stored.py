"""Stored forms: how data that outlives a process is written as bytes and read again. Pure.

Owns the forms of a chunk's items with their remainders, of an event's rejections and of a dead
letter's content. Nothing else knows a field's place. `Forms` decides which form a process writes;
each store and queue decides where the bytes are kept.

Rules of this file:
1. A form begins with its version and a space, which is read without parsing the rest. Version 0 is
   JSON alone, begins with `[`, and is read for ever.
2. Fields are read by name. A field that an older reader may overlook can join a version; one that
   it must not overlook makes the next version.
3. Bytes that cannot be read raise `Unreadable`, in words without their content. They are never
   read as something else.
4. What a source may reach must not be overlooked: version 2 is version 1 with `limits`. It is
   written where there are any, whoever reads the store, and nowhere else: a release that reads
   version 1 sends the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import repeat
from typing import Any, NamedTuple

import orjson

from gateway.core.model import ChunkItem, Item, Rejection, Remainder
from gateway.core.sources import BUILT_IN, Limits
from gateway.core.stored_limits import limits_document, limits_in

OLDEST = 0
"""The version that every release reads."""
NEWEST = 2
"""The newest version that this release reads, and writes where it is needed."""
PLAIN = 1
"""The version of what has no limits, once all who share the store read it."""

EMPTY = b""
"""The bytes that are left after a user was erased: never readable, and of no version."""

Theirs = Callable[[int, object, object], bool]
"""Whether the item with this index, user id and custom id is a certain user's."""

_STR: frozenset[Any] = frozenset({str})
_MAYBE_STR: frozenset[Any] = frozenset({str, type(None)})
_TYPES: Mapping[str, frozenset[Any]] = {
    "index": frozenset({int}),
    "title": _STR,
    "body": _STR,
    "path": _MAYBE_STR,
    "user_id": _MAYBE_STR,
    "custom_id": _MAYBE_STR,
    "source": _MAYBE_STR,
    "part": _MAYBE_STR,
    "occurred_at": frozenset({float, int, type(None)}),
    "collapse_id": _MAYBE_STR,
    "limits": frozenset({Limits, type(None)}),
}
#: the fields of version 0, in the order of its rows; remainders are a seventh place
_ROW_0 = Item._fields[:6]
#: the values of later fields in a form that lacks them
_LATER = Item._fields[6:]
_NONE = (None,) * len(_LATER)
#: fields without personal data: they outlive an erasure
_NAMELESS = frozenset({"index", "remainders", "source", "part", "occurred_at", "limits"})
#: the sources without limits; LearnInk's is not named
_OVERLOOKED = BUILT_IN | {None}
#: a version has at most this many digits
_DIGITS = 4
_BROKEN = (ValueError, LookupError, TypeError, AttributeError)


class Unreadable(ValueError):
    """Stored bytes that this version cannot read. `form` is the version that they say, if any."""

    def __init__(self, why: str, form: int | None = None) -> None:
        self.form = form if form is None or 0 <= form < 10**_DIGITS else None
        super().__init__(why)

    @property
    def too_new(self) -> bool:
        """Whether a later release wrote it; another replica may run that release."""
        return self.form is not None and self.form > NEWEST


class Reading(NamedTuple):
    """The newest form that every replica on a store reads, and the newest that any reads."""

    least: int = NEWEST
    most: int = NEWEST


class Forms:
    """Which version this process writes: the newest that every replica reads.

    One object per process: the heartbeat updates it, the queue and the journal ask it.
    """

    def __init__(self, reading: Reading = Reading()) -> None:  # noqa: B008  # it cannot be changed
        self.learn(reading)

    def learn(self, reading: Reading) -> None:
        """Take over what the replicas read now."""
        self.writes = max(OLDEST, min(NEWEST, reading.least))
        self.most = reading.most


def form_of(data: bytes) -> int | None:
    """The version in front of the bytes, without reading the rest; None if there is none."""
    if data[:1] == b"[":
        return OLDEST
    version, space, _ = data[: _DIGITS + 1].partition(b" ")
    return int(version) if space and version.isdigit() else None


# --- the items of a chunk -------------------------------------------------------------------------


def write_items(entries: Sequence[ChunkItem], form: int = NEWEST) -> bytes:
    """Write the items of a chunk in a version, or in a later one if that has no room for their
    limits. Version 0 has none for any of the later fields."""
    columns: dict[str, Sequence[Any]] = dict(
        zip(Item._fields, zip(*[entry.item for entry in entries], strict=True), strict=False)
    )
    is_bound = _must_be_read(columns.get("source", ()), columns.get("limits", ()))
    if form == OLDEST and not is_bound:
        return orjson.dumps([_row_0(item, remainders) for item, remainders in entries])
    if is_bound:
        columns["limits"] = [limits_document(entry.item.limits) for entry in entries]
    lasting = [entry.remainders for entry in entries]
    if any(remainders is not None for remainders in lasting):
        columns["remainders"] = [
            None if some is None else [(one[0], one[1], int(one[2])) for one in some]
            for some in lasting
        ]
    return _document(columns, Remainder._fields, NEWEST if is_bound else PLAIN)


def _must_be_read(sources: Sequence[str | None], limits: Sequence[Limits | None]) -> bool:
    """Whether a release that overlooks these sources and limits must not send the items."""
    return not set(sources) <= _OVERLOOKED or limits.count(None) != len(limits)


def read_items(data: bytes) -> tuple[ChunkItem, ...]:
    """Read what `write_items` wrote, in whichever version. Raises Unreadable."""
    form = form_of(data)
    try:
        if form == OLDEST:
            return _read_0(data)
        if form in (PLAIN, NEWEST):
            return _read_1(data)
    except _BROKEN as error:
        raise Unreadable(f"its items are broken ({type(error).__name__})", form) from None
    raise _unknown(data, form)


def erase_items(data: bytes, theirs: Theirs) -> bytes:
    """The same items in the same version, with a user's emptied: index and remainders stay, so
    that they find no device and end in the journal. Raises Unreadable."""
    read_items(data)
    if form_of(data) == OLDEST:
        rows = [
            [row[0], "", "", None, None, None, *row[6:]] if theirs(row[0], row[4], row[5]) else row
            for row in orjson.loads(data)
        ]
        return orjson.dumps(rows)
    document = orjson.loads(data.partition(b" ")[2])
    entries = [
        {**document["all"], **dict(zip(document["fields"], row, strict=True))}
        for row in document["rows"]
    ]
    kept = [
        _emptied(one) if theirs(one["index"], one.get("user_id"), one.get("custom_id")) else one
        for one in entries
    ]
    columns = {name: [one[name] for one in kept] for name in (kept[0] if kept else ())}
    return _document(columns, document.get("remainders", ()), form_of(data) or PLAIN)


def _row_0(item: Item, remainders: tuple[Remainder, ...] | None) -> tuple[Any, ...]:
    fields = item[:6]
    if remainders is None:
        return fields
    return (*fields, [(one[0], one[1], int(one[2])) for one in remainders])


def _read_0(data: bytes) -> tuple[ChunkItem, ...]:
    rows = orjson.loads(data)
    if not rows:
        return ()
    places = zip(*[row[:6] for row in rows], strict=True)
    columns: list[Iterable[Any]] = [
        _typed(name, place) for name, place in zip(_ROW_0, places, strict=True)
    ]
    columns += [repeat(None, len(rows)) for _ in _LATER]
    order = range(len(Remainder._fields))
    lasting = [_remainders(_seventh(row), order) for row in rows]
    return _entries(columns, lasting)


def _seventh(row: list[Any]) -> Any:
    """The remainders of a row: they have one place, the last."""
    if len(row) == 6:
        return None
    (remainders,) = row[6:]
    return [] if remainders is None else remainders


def _read_1(data: bytes) -> tuple[ChunkItem, ...]:
    document = orjson.loads(data.partition(b" ")[2])
    shared, rows = document["all"], document["rows"]
    if not rows:
        return ()
    columns = dict(zip(document["fields"], zip(*rows, strict=True), strict=True))
    count = len(rows)
    items: list[Iterable[Any]] = []
    for name in Item._fields:
        if name in columns:
            items.append(_typed(name, _column(name, columns[name])))
        else:
            value = shared.get(name) if name in _LATER else shared[name]
            items.append(repeat(_typed(name, _column(name, (value,)))[0], count))
    lasting: Iterable[Any] = repeat(None, count)
    if "remainders" in columns:
        names = document["remainders"]
        order = [names.index(name) for name in Remainder._fields]
        lasting = [_remainders(some, order) for some in columns["remainders"]]
    return _entries(items, lasting)


def _entries(columns: Iterable[Iterable[Any]], lasting: Iterable[Any]) -> tuple[ChunkItem, ...]:
    items = map(Item._make, zip(*columns, strict=False))
    return tuple(map(ChunkItem._make, zip(items, lasting, strict=True)))


def _column(name: str, column: Sequence[Any]) -> Sequence[Any]:
    return [limits_in(said) for said in column] if name == "limits" else column


def _typed(name: str, column: Sequence[Any]) -> Sequence[Any]:
    if not set(map(type, column)) <= _TYPES[name]:
        raise TypeError
    return column


def _remainders(some: Any, order: Iterable[int]) -> tuple[Remainder, ...] | None:
    if some is None:
        return None
    device, attempts, flipped = order
    left = tuple([Remainder(one[device], one[attempts], bool(one[flipped])) for one in some])
    if not all(type(one[0]) is int and type(one[1]) is int for one in left):
        raise TypeError
    return left


def _document(columns: Mapping[str, Sequence[Any]], remainders: Sequence[str], form: int) -> bytes:
    """Since version 1: values that all items share are written once, the others in rows, all by
    name."""
    shared: dict[str, Any] = {}
    varying: dict[str, Sequence[Any]] = {}
    for name, column in columns.items():
        first = column[0]
        if name in ("index", "remainders") or column.count(first) != len(column):
            varying[name] = column
        elif first is not None or name not in _LATER:
            shared[name] = first
    document = {
        "all": shared,
        "fields": list(varying),
        "rows": list(zip(*varying.values(), strict=True)),
    }
    if "remainders" in varying:
        document["remainders"] = list(remainders)
    return b"%d %s" % (form, orjson.dumps(document))


def _emptied(entry: Mapping[str, Any]) -> dict[str, Any]:
    empty = {"title": "", "body": ""}
    return {name: value if name in _NAMELESS else empty.get(name) for name, value in entry.items()}


# --- the rejections of an event -------------------------------------------------------------------


def write_rejections(rejections: Iterable[Rejection], form: int = NEWEST) -> str:
    """Write the items of an event that were rejected, and why."""
    rows = [[one.index, one.reason] for one in rejections]
    if form == OLDEST or not rows:
        return orjson.dumps(rows).decode()
    return f"{PLAIN} " + orjson.dumps({"fields": ["index", "reason"], "rows": rows}).decode()


def read_rejections(text: str) -> tuple[Rejection, ...]:
    """Read what `write_rejections` wrote, in whichever version. Raises Unreadable."""
    form = form_of(text.encode(errors="replace"))
    try:
        if form == OLDEST:
            return tuple(_rejections(orjson.loads(text), 0, 1))
        if form == PLAIN:
            document = orjson.loads(text.partition(" ")[2])
            places = map(document["fields"].index, ("index", "reason"))
            return tuple(_rejections(document["rows"], *places))
    except _BROKEN as error:
        raise Unreadable(f"its rejections are broken ({type(error).__name__})", form) from None
    raise _unknown(text.encode(errors="replace"), form)


def _rejections(rows: Iterable[Any], index: int, reason: int) -> Iterator[Rejection]:
    for row in rows:
        if type(row[index]) is not int or type(row[reason]) is not str:
            raise TypeError
        yield Rejection(row[index], row[reason])


# --- the content of a dead letter -----------------------------------------------------------------


def write_later(item: Item) -> str | None:
    """The fields of a dead letter's item that have no column; None: there are none."""
    if item[6:] == _NONE:
        return None
    said: dict[str, Any] = {
        name: value for name, value in zip(_LATER, item[6:], strict=True) if value is not None
    }
    if item.limits is not None:
        said["limits"] = limits_document(item.limits)
    form = NEWEST if _must_be_read([item.source], [item.limits]) else PLAIN
    return f"{form} {orjson.dumps(said).decode()}"


def read_letter(columns: Sequence[Any], later: str | None) -> Item:
    """The item of a dead letter: its columns in the order of `Item`, then what `write_later` wrote.
    Raises Unreadable."""
    if later is None:
        return Item(*columns)
    form = form_of(later.encode(errors="replace"))
    if form not in (PLAIN, NEWEST):
        raise _unknown(later.encode(errors="replace"), form)
    try:
        said = orjson.loads(later.partition(" ")[2])
        rest = [_typed(name, _column(name, (said.get(name),)))[0] for name in _LATER]
    except _BROKEN as error:
        raise Unreadable(f"its content is broken ({type(error).__name__})", form) from None
    return Item(*columns, *rest)


def _unknown(data: bytes, form: int | None) -> Unreadable:
    if not data:
        return Unreadable("its content went with an erased user")
    if form is None:
        return Unreadable("it says no version")
    return Unreadable(f"it is of version {form}, and this Inkpush reads up to {NEWEST}", form)
