"""Taking a user out of what was kept: bodies of events, and the items of queued chunks. Pure.

Owns how a user is recognised in stored bytes; which rows are looked at is each engine's matter.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable

from gateway.core.items import EMPTIED
from gateway.core.model import UserRef

ERASED = "erased"
"""The reason in the journal of an item that ended so."""

Theirs = Callable[[int, object, object], bool]
"""Whether the item with this index, user id and custom id is the user's."""


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


def items_without(items: bytes, theirs: Theirs) -> bytes:
    """The items of a chunk with the user's emptied: they find no device, and so end in the journal.

    Taken out, they would never end, and their event would never be settled.
    """
    rows = [
        [row[0], "", "", None, None, None, *row[6:]] if theirs(row[0], row[4], row[5]) else row
        for row in json.loads(items)
    ]
    return json.dumps(rows, ensure_ascii=False, separators=(",", ":")).encode()


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
    rejected = {index for index, _ in json.loads(rejections)}
    return [index for index in found if index not in rejected]


def _item_is_theirs(index: int, item: object, theirs: Theirs) -> bool:
    named = item if isinstance(item, dict) else {}
    return theirs(index, named.get("user_id"), named.get("custom_id"))


def _is_user(user_id: object, custom_id: object, user: UserRef) -> bool:
    return (user.user_id is not None and user_id == user.user_id) or (
        user.custom_id is not None and custom_id == user.custom_id
    )
