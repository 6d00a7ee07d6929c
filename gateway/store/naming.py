"""What a body says of one person, and of nobody else. Pure.

Owns which parts of a body are theirs: the smallest object around each id, without the lists in it,
which may name others; of a learning event, all but what is another's. How an id is recognised is
`erasing`'s.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import orjson

from gateway.core.model import UserRef
from gateway.store.erasing import names_in, needles, parsed

_NOT_JSON = (ValueError, RecursionError)
_MANY = 50

Part = tuple[str, Any]
"""Where it stands in the body, and what it is."""


def parts_of(
    body: bytes, user: UserRef, indexes: Collection[int], *, learnt: bool = False
) -> tuple[list[Part], bool]:
    """The parts of a body that are about a person. True: it is no JSON, and cannot be told apart.
    `indexes` are those of entries of a batch that are theirs, whatever they say. `learnt`: it is
    one person's event, and tells what they did beside the id, and not around it."""
    if not body:
        return [], False
    try:
        document = parsed(body)
        found = dict(_parts("", None, document, user, [one.encode() for one in needles([user])]))
        if learnt and found:
            return [("", _without_others(None, document, user))], False
    except _NOT_JSON:
        return [], True
    for index, entry in _entries(document):
        if index in indexes:
            found.setdefault(f"data.notifications[{index}]", entry)
    return list(found.items()), False


def _entries(document: Any) -> Iterator[tuple[int, Any]]:
    data = document.get("data") if isinstance(document, dict) else None
    listed = data.get("notifications") if isinstance(data, dict) else None
    return enumerate(listed if isinstance(listed, list) else ())


def _parts(
    where: str, key: str | None, value: Any, user: UserRef, sieve: Sequence[bytes]
) -> Iterator[Part]:
    """`key` is the name under which a value stands, in lists too: it says which kind of id it may
    be."""
    if isinstance(value, list):
        for place, one in enumerate(value):
            if len(value) < _MANY or _may_name(one, sieve):
                yield from _parts(f"{where}[{place}]", key, one, user, sieve)
    elif isinstance(value, dict):
        plain = {name: one for name, one in value.items() if not isinstance(one, dict | list)}
        # "user": {"id": ...} is an id by the names of both
        if names_in({key: plain} if key == "user" else plain, [user]) or names_in([*value], [user]):
            yield where, {name: one for name, one in value.items() if not isinstance(one, list)}
        for name, one in value.items():
            if isinstance(one, dict | list):
                yield from _parts(f"{where}.{name}" if where else name, name, one, user, sieve)
    elif names_in([value] if key is None else {key: value}, [user]):
        yield where, value


def _without_others(key: str | None, value: Any, user: UserRef) -> Any:
    """All of a value but what is another's: entries of lists that do not name the person, and
    objects with another's id."""
    if isinstance(value, list):
        return [_without_others(key, one, user) for one in value if _names(key, one, user)]
    if isinstance(value, dict):
        return {
            name: _without_others(name, one, user)
            for name, one in value.items()
            if _names(name, one, user) or not _is_of_somebody(name, one)
        }
    return value


def _names(key: str | None, value: Any, user: UserRef) -> bool:
    return bool(names_in([value] if key is None else {key: value}, [user]))


def _is_of_somebody(key: str, value: Any) -> bool:
    if isinstance(value, dict):
        return key == "user" or not _IDS.isdisjoint(value)
    return key in _IDS


_IDS = frozenset(("user_id", "custom_id"))


def _may_name(value: Any, sieve: Sequence[bytes]) -> bool:
    """A cheap look before a thorough one."""
    try:
        text = orjson.dumps(value)
    except TypeError:
        return True  # a number that orjson does not write
    return any(needle in text for needle in sieve)
