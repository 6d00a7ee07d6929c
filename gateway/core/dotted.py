"""Dotted paths over what a body says: finding a value, leaving parts out, listing places. Pure.

A path names the members on the way, `data.user.id`. A list on the way is passed through: what is
said of it holds for each of its entries; a number names one of them, counted from 0. In a pattern
`*` is one member or entry, whatever its name, and `**` is any number of them, also none. Nothing
here raises for an odd body: what nests too deep to be looked through holds no id, and of it nothing
is kept that a rule might leave out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import orjson

from gateway.core.identifiers import id_fault

Path = tuple[str, ...]
"""A path, or a pattern, in its parts."""
ONE, ANY = "*", "**"
MOST_PARTS = 32
"""Parts that a path may have."""
MOST_PLACES = 200
"""Places of one body that are listed: a body may have as many as it has bytes."""
#: entries of one list that are looked into for an id, and values of a body for its places
_MOST_VALUES = 2_000
_LIST = "[]"
#: digits that name an entry of a list; bits of a number that is an id; where a float is rounded
_MOST_DIGITS, _BITS, _EXACT = 9, 64, 2**53
_GONE = object()


class Keeping(NamedTuple):
    """What of a body is kept: what `keep` names (none: all), without what `drop` names."""

    drop: tuple[Path, ...] = ()
    keep: tuple[Path, ...] = ()


def parts_of(path: str) -> Path:
    """The parts of a dotted path. Raises ValueError for what can name no place."""
    parts = tuple(path.strip().split("."))
    if not all(parts) or len(parts) > MOST_PARTS:
        raise ValueError(f"expected names with dots between them, at most {MOST_PARTS}")
    return parts


def value_at(document: Any, path: Sequence[str]) -> Any:
    """What stands at a path of members alone; None: nothing does."""
    for name in path:
        if not isinstance(document, dict):
            return None
        document = document.get(name)
    return document


def id_at(document: Any, paths: Iterable[Sequence[str]]) -> str | None:
    """The first of these places that holds an id, as text. A number is one too; an empty text, a
    truth value, a list and what no store can hold are none."""
    try:
        every = (_id(value) for path in paths for value in _values(document, path, 0))
        return next((one for one in every if one is not None), None)
    except RecursionError:
        return None


def kept_of(document: Any, keeping: Keeping) -> Any:
    """The document with what is kept of it; a new one, where anything is left out."""
    try:
        kept = _only(document, _started(keeping.keep)) if keeping.keep else document
        return {} if kept is _GONE else _without(kept, _started(keeping.drop))
    except RecursionError:
        return {}


def written(document: Any) -> bytes:
    """A document as bytes, whatever a lenient parser made of it."""
    try:
        return orjson.dumps(document)
    except (TypeError, ValueError, RecursionError):
        # half of a surrogate pair, a number of more than 64 bits, over 250 levels
        return json.dumps(document).encode()


def places_in(document: Any) -> tuple[str, ...]:
    """The dotted paths of the values in a document, without the values, in order. Entries of lists
    are `[]`."""
    found: dict[str, None] = {}
    waiting: list[tuple[str, Any]] = [("", document)]
    for _ in range(_MOST_VALUES):
        if not waiting or len(found) >= MOST_PLACES:
            break
        place, one = waiting.pop()
        if isinstance(one, dict) and one:
            under = f"{place}." if place else ""
            waiting += [(under + _plain(name), part) for name, part in one.items()]
        elif isinstance(one, list) and one:
            waiting += [(place + _LIST, part) for part in one[:_MOST_VALUES]]
        elif place:
            found[place] = None
    return tuple(sorted(found))


def _values(value: Any, path: Sequence[str], at: int) -> Iterator[Any]:
    if isinstance(value, list):
        if at < len(path) and (index := _index(path[at])) is not None and index < len(value):
            yield from _values(value[index], path, at + 1)
        for entry in value[:_MOST_VALUES]:
            yield from _values(entry, path, at)
    elif at == len(path):
        yield value
    elif isinstance(value, dict) and path[at] in value:
        yield from _values(value[path[at]], path, at + 1)


def _index(part: str) -> int | None:
    """The entry of a list that a part of a path names."""
    is_one = part.isascii() and part.isdecimal() and len(part) < _MOST_DIGITS
    return int(part) if is_one else None


def _id(value: Any) -> str | None:
    if type(value) is float and value.is_integer() and abs(value) < _EXACT:
        value = int(value)
    if type(value) is int and value.bit_length() <= _BITS:
        value = str(value)
    is_one = isinstance(value, str) and not value.isspace() and id_fault(value) is None
    return value if is_one else None


#: where the patterns stand: each with how many of its parts are behind
_Standing = frozenset[tuple[Path, int]]


def _started(patterns: Iterable[Path]) -> _Standing:
    return _settled((pattern, 0) for pattern in patterns)


def _settled(standing: Iterable[tuple[Path, int]]) -> _Standing:
    """With the places that `**` reaches where it stands for nothing."""
    found = set(standing)
    waiting = sorted(found)
    while waiting:
        pattern, at = waiting.pop()
        if at < len(pattern) and pattern[at] == ANY and (pattern, at + 1) not in found:
            found.add((pattern, at + 1))
            waiting.append((pattern, at + 1))
    return frozenset(found)


def _after(standing: _Standing, name: str) -> _Standing:
    """Where the patterns stand below a member or an entry of this name."""
    return _settled(
        (pattern, at if pattern[at] == ANY else at + 1)
        for pattern, at in standing
        if at < len(pattern) and pattern[at] in (name, ONE, ANY)
    )


def _ends(standing: _Standing) -> bool:
    return any(at == len(pattern) for pattern, at in standing)


def _without(value: Any, standing: _Standing) -> Any:
    if not standing:
        return value
    if isinstance(value, dict):
        below = {name: _after(standing, name) for name in value}
        return {
            name: _without(part, below[name])
            for name, part in value.items()
            if not _ends(below[name])
        }
    if isinstance(value, list):
        kept = []
        for index, part in enumerate(value):
            below_it = _after(standing, str(index))
            if not _ends(below_it):
                kept.append(_without(part, below_it | standing))
        return kept
    return value


def _only(value: Any, standing: _Standing) -> Any:
    """What the patterns name, or `_GONE`."""
    if _ends(standing):
        return value
    if isinstance(value, dict):
        parts = {name: _only(part, _after(standing, name)) for name, part in value.items()}
        members = {name: part for name, part in parts.items() if part is not _GONE}
        return members or _GONE
    if isinstance(value, list):
        every = [
            _only(part, _after(standing, str(index)) | standing) for index, part in enumerate(value)
        ]
        entries = [part for part in every if part is not _GONE]
        return entries or _GONE
    return _GONE


def _plain(name: str) -> str:
    """A member's name that a terminal can show and a store can hold."""
    return name if name.isprintable() else name.encode("unicode_escape", "replace").decode()
