"""Taking a user out of what was kept: bodies of events, and the items of queued chunks. Pure.

Owns how a user is recognised in what was kept; the forms of chunks are `core.stored`'s, and which
rows are looked at is each engine's matter.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable

from gateway.core.items import EMPTIED
from gateway.core.model import UserRef
from gateway.core.stored import EMPTY, Theirs, Unreadable, erase_items, read_rejections

ERASED = "erased"
"""The reason in the journal of an item that ended so."""


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
        entries = json.loads(body)["data"]["notifications"]
        return {
            index: (_text(entry.get("user_id")), _text(entry.get("custom_id")))
            for index, entry in enumerate(entries)
            if isinstance(entry, dict)
        }
    except (ValueError, LookupError, TypeError, RecursionError):
        return {}


def body_without(body: bytes, theirs: Theirs) -> tuple[bytes, list[int]]:
    """The body with the user's notifications emptied, and their indexes; one that is no batch goes
    whole."""
    try:
        document = json.loads(body)
        notifications = document["data"]["notifications"]
        found = [i for i, item in enumerate(notifications) if _item_is_theirs(i, item, theirs)]
        for index in found:
            notifications[index] = EMPTIED
    except (ValueError, LookupError, TypeError, RecursionError):
        return b"", []
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


def _item_is_theirs(index: int, item: object, theirs: Theirs) -> bool:
    named = item if isinstance(item, dict) else {}
    return theirs(index, named.get("user_id"), named.get("custom_id"))


def _is_user(user_id: object, custom_id: object, user: UserRef) -> bool:
    return (user.user_id is not None and user_id == user.user_id) or (
        user.custom_id is not None and custom_id == user.custom_id
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
