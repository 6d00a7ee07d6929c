"""Taking a user out of what was kept: bodies of events, and the items of queued chunks. Pure.

Owns how a user is recognised in what was kept; the forms of chunks are `core.stored`'s, and which
rows are looked at is each engine's matter.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from gateway.core.items import EMPTIED
from gateway.core.model import UserRef, day_of
from gateway.core.stored import EMPTY, Theirs, Unreadable, erase_items, read_rejections

ERASED = "erased"
"""The reason in the journal of an item that ended so."""

_NOT_JSON = (ValueError, RecursionError)
_NO_BATCH = (*_NOT_JSON, LookupError, TypeError)
_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})")
#: the ids of a user by the names of the fields that hold them; other fields may hold either
_KINDS = ("user_id", "custom_id")
#: where a number is an id: there alone, for numbers stand everywhere
_NUMBERS = (*_KINDS, "user.id")
_WHOLE = re.compile(r"-?[0-9]+")
#: what may be a whole number of over 64 bits, which orjson makes a float of
_LONG = re.compile(rb"[0-9]{19}")


def spellings(user: UserRef) -> list[str]:
    """How the user's ids may stand in a body, as JSON strings; the quotes keep "mary" from
    matching "mary2"."""
    return sorted(
        {
            json.dumps(value, ensure_ascii=ascii_only)
            for value in (user.user_id, user.custom_id)
            if value is not None
            for ascii_only in (False, True)
        }
    )


def needles(people: Iterable[UserRef]) -> list[str]:
    """Texts of which each body in UTF-8 that names one of these people has some: the spellings, the
    same in JSON within a string, and what else a spelling may be written with. A cheap sieve."""
    people = list(people)
    names = {name for user in people for name in spellings(user)}
    numbers = {number for user in people for number in _as_numbers(user)}
    nested = {json.dumps(name, ensure_ascii=False)[1:-1] for name in names}
    nested |= {f"{name[:-1]}\\" for name in names}
    odd = {r"\u"} | ({r"\/"} if any("/" in name for name in names) else set())
    return sorted(names | numbers | nested | odd)


def who_is_named(body: bytes, people: Sequence[UserRef]) -> list[UserRef]:
    """Which of these people a body names, in any field, at any depth, as value or as key."""
    try:
        document = parsed(body)
    except _NOT_JSON:
        text = _plain(body.replace(b"\0", b"").decode("utf-8", "replace"))
        return [user for user in people if _spelt(text, user)]
    found = names_in(document, people)
    return [user for place, user in enumerate(people) if place in found]


def whose(user: UserRef, indexes: Collection[int]) -> Theirs:
    """Tells the user's items: those that name them, and those that the journal says, by index,
    went to them: such a one may have named only the other of their two ids."""

    def theirs(index: int, user_id: object, custom_id: object) -> bool:
        return index in indexes or _is_user(user_id, custom_id, user)

    return theirs


def items_without(items: bytes, theirs: Theirs, names: Iterable[str]) -> bytes | None:
    """The items of a chunk with the user's emptied: they find no device, and so end in the journal.
    None: they cannot be read, and stay as they are.

    Taken out, they would never end, and their event would never be settled. A chunk that cannot be
    read goes whole where it names the user: better is it that its others end as unreadable than
    that anybody stays named. One that does not stays, for a later version that reads it; the
    journal has ended the user's items by then, and its bytes are not kept when it is put aside.
    """
    try:
        return erase_items(items, theirs)
    except Unreadable:
        return EMPTY if any(name.encode() in items for name in names) else None


def names_of(body: bytes) -> dict[int, tuple[str | None, str | None]]:
    """Whom the entries of a batch name, by index: (user id, custom id). Nobody where it is none."""
    try:
        entries = parsed(body)["data"]["notifications"]
        return {
            index: (_text(entry.get("user_id")), _text(entry.get("custom_id")))
            for index, entry in enumerate(entries)
            if isinstance(entry, dict)
        }
    except _NO_BATCH:
        return {}


def body_without(body: bytes, theirs: Theirs, user: UserRef) -> tuple[bytes, list[int]]:
    """The body with the user's notifications emptied, and their indexes. It goes whole when it is
    no batch, and when it names the user elsewhere as well."""
    try:
        document = parsed(body)
        notifications = document["data"]["notifications"]
        if not isinstance(notifications, list):
            return b"", []
        found = [i for i, item in enumerate(notifications) if _item_is_theirs(i, item, theirs)]
        for index in found:
            notifications[index] = EMPTIED
    except _NO_BATCH:
        return b"", []
    if names_in(document, [user]):
        return b"", found
    return json.dumps(document).encode() if found else body, found


def ended(status: str, rejections: str, found: Iterable[int]) -> list[int]:
    """The items of an event that end with the erasure, if nothing is journaled of them: those that
    may still wait in a queue whose messages nobody can rewrite. When their turn comes, the relay
    finds them ended, and writes down no name."""
    if status not in ("accepting", "accepted"):
        return []
    try:
        rejected = {one.index for one in read_rejections(rejections)}
    except Unreadable:
        rejected = set()
    return [index for index in found if index not in rejected]


@dataclass(slots=True)
class Rewrite:
    """What an erase writes into one event: the body (None: it stays), the items that end, on the
    event's day, and queued chunks by id. `indexes` are the user's items, by the journal and by the
    body. `unread` counts chunks that cannot be read and do not show the user. `later`: the body
    must go whole, and is still needed to queue the event."""

    indexes: list[int]
    body: bytes | None = None
    ended: list[int] = field(default_factory=list)
    day: int = 0
    queued: list[tuple[int, bytes]] = field(default_factory=list)
    unread: int = 0
    later: bool = False


def came_later(event: Any, asked_at: float) -> bool:
    """Whether an event, as `rewrite` has it, was received after an erase was asked: it is for
    somebody who came back, and stays."""
    return event is not None and event[1] > asked_at


def rewrite(
    user: UserRef, indexes: Iterable[int], event: Any, queued: Iterable[tuple[int, bytes]]
) -> Rewrite:
    """Work out what is to be written. `event` is (status, received at, rejections, body), or None
    where it is unknown; `queued` are (id, items).

    An item is the user's when it names them, or when the journal says that it went to them: it may
    have named only the other of their two ids.
    """
    found = Rewrite(sorted(indexes))
    theirs = whose(user, frozenset(found.indexes))
    if event is not None:
        status, received_at, rejections, body = event
        left, emptied = body_without(body, theirs, user)
        found.later = status == "accepting" and bool(body) and not left
        found.body = None if left == body or found.later else left
        found.ended, found.day = ended(status, rejections, emptied), day_of(received_at)
        # what is on its way to them has no line in the journal yet, and may have a receipt
        found.indexes = sorted({*found.indexes, *found.ended})
    for queue_id, items in queued:
        kept = items_without(items, theirs, spellings(user))
        if kept is None:
            found.unread += 1
        elif kept != items:
            found.queued.append((queue_id, kept))
    return found


def parsed(body: bytes) -> Any:
    """What a body says. orjson is quick and strict: what it will not read, the other one may."""
    try:
        return json.loads(body) if _LONG.search(body) else orjson.loads(body)
    except _NOT_JSON:
        return json.loads(body)


def names_in(document: Any, people: Sequence[UserRef]) -> set[int]:
    """The places of those people whom a document names. A field that is made for one kind of id
    names nobody by the other."""
    kinds = {
        kind: {
            value: place
            for place, user in enumerate(people)
            if (value := getattr(user, kind)) is not None
        }
        for kind in _KINDS
    }
    user_ids, custom_ids = kinds["user_id"], kinds["custom_id"]
    found: set[int] = set()
    for key, text in _texts(document):
        if key != "custom_id" and text in user_ids:
            found.add(user_ids[text])
        if key != "user_id" and text in custom_ids:
            found.add(custom_ids[text])
        if '"' in text:
            plain = _plain(text)
            found |= {place for place, user in enumerate(people) if _spelt(plain, user)}
    return found


# --- inside ---------------------------------------------------------------------------------------


def _texts(document: Any) -> Iterator[tuple[object, str]]:
    """All texts of a document, and the numbers where ids stand, each with the key it stands under;
    keys stand under none."""
    waiting: list[tuple[object, Any]] = [(None, document)]
    while waiting:
        key, value = waiting.pop()
        if isinstance(value, str):
            yield key, value
        elif type(value) is int and key in _NUMBERS:
            yield key, str(value)
        elif isinstance(value, list):
            waiting += [(key, one) for one in value]
        elif isinstance(value, dict):
            of_user = key == "user"
            waiting += [
                ("user.id" if of_user and name == "id" else name, one)
                for name, one in value.items()
            ]
            waiting += [(None, name) for name in value]


def _plain(text: str) -> str:
    """A piece of JSON with its escapes undone, but for those of quotes and line ends."""
    undone = _ESCAPE.sub(lambda found: chr(int(found[1], 16)), text).replace(r"\/", "/")
    return undone.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _spelt(text: str, user: UserRef) -> bool:
    """Whether a plain text has one of the spellings; in JSON within JSON, quotes are escaped."""
    texts = (text, text.replace("\\", ""))
    return any(_plain(name) in one for name in spellings(user) for one in texts) or any(
        re.search(rf'"(?:user_id|custom_id|id)"\s*:\s*{value}(?![0-9.])', one)
        for value in _as_numbers(user)
        for one in texts
    )


def _as_numbers(user: UserRef) -> list[str]:
    """Those of the user's ids that a body may hold as a number."""
    return [one for one in (user.user_id, user.custom_id) if one and _WHOLE.fullmatch(one)]


def _item_is_theirs(index: int, item: object, theirs: Theirs) -> bool:
    named = item if isinstance(item, dict) else {}
    return theirs(index, named.get("user_id"), named.get("custom_id"))


def _is_user(user_id: object, custom_id: object, user: UserRef) -> bool:
    return (user.user_id is not None and _id(user_id) == user.user_id) or (
        user.custom_id is not None and _id(custom_id) == user.custom_id
    )


def _id(value: object) -> object:
    """An id as text: a number was rejected, and is kept as it came."""
    return str(value) if type(value) is int else value


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
