"""Erasing a user: devices, addresses, and the names and texts the log keeps.

Works event by event, each in a transaction of its own: a body of 5 000 notifications takes tens of
milliseconds to rewrite, and the relay's own writes must get their turn in between.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping
from typing import Any

from gateway.core.model import UserRef

Theirs = Callable[[int, object, object], bool]
"""Whether the item with this index, user id and custom id is the user's."""


def erase_devices(connection: sqlite3.Connection, sql: Mapping[str, str], user: UserRef) -> None:
    """Remove the user's devices: from then on nothing is sent to them."""
    connection.execute(sql["erase_devices"], _ids(user))
    connection.execute(sql["erase_held"])


def find_events(connection: sqlite3.Connection, sql: Mapping[str, str], user: UserRef) -> list[str]:
    """The events that may name the user. Goes through whole bodies: for a reading connection."""
    # In a body, an id stands as a JSON string; the quotes keep "mary" from matching "mary2".
    names = {
        json.dumps(value, ensure_ascii=ascii_only)
        for value in (user.user_id, user.custom_id)
        if value is not None
        for ascii_only in (False, True)
    }
    oldest, newest = connection.execute(sql["runs"]).fetchone()
    runs = {"oldest": oldest, "newest": newest}
    parameters = {**_ids(user), **runs, "names": json.dumps(list(names))}
    return [row[0] for row in connection.execute(sql["erase_find_events"], parameters)]


def erase_event(
    connection: sqlite3.Connection, sql: Mapping[str, str], event_id: str, user: UserRef
) -> None:
    """Remove the user from one event: body, queued chunks, dead letters and journal.

    An item is the user's when it names them, or when the journal says that it went to them: it may
    have named only the other of their two ids.
    """
    key: dict[str, Any] = {**_ids(user), "event_id": event_id}
    indexes = {row[0] for row in connection.execute(sql["erase_indexes"], key)}
    key["indexes"] = json.dumps(sorted(indexes))

    def theirs(index: int, user_id: object, custom_id: object) -> bool:
        return index in indexes or _is_user(user_id, custom_id, user)

    row = connection.execute(sql["erase_body"], key).fetchone()
    if row is not None:
        connection.execute(sql["erase_set_body"], {**key, "body": _body_without(row[0], theirs)})
    for queue_id, items in connection.execute(sql["erase_queued"], key).fetchall():
        kept = {"id": queue_id, "items": _items_without(items, theirs)}
        connection.execute(sql["erase_set_queued"], kept)
    connection.execute(sql["erase_dead"], key)
    connection.execute(sql["erase_deliveries"], key)


def _items_without(items: bytes, theirs: Theirs) -> bytes:
    """The items of a chunk with the user's emptied: they find no device, and so end in the journal.

    Taken out, they would never end, and their event would never be settled.
    """
    rows = [
        [row[0], "", "", None, None, None, *row[6:]] if theirs(row[0], row[4], row[5]) else row
        for row in json.loads(items)
    ]
    return json.dumps(rows, ensure_ascii=False, separators=(",", ":")).encode()


def _body_without(body: bytes, theirs: Theirs) -> bytes:
    """The body with the user's notifications emptied; one that is no batch goes whole."""
    try:
        document = json.loads(body)
        notifications = document["data"]["notifications"]
        found = [i for i, item in enumerate(notifications) if _item_is_theirs(i, item, theirs)]
        for index in found:
            notifications[index] = {"erased": True}
    except (ValueError, LookupError, TypeError, RecursionError):
        return b""
    return json.dumps(document).encode() if found else body


def _item_is_theirs(index: int, item: object, theirs: Theirs) -> bool:
    named = item if isinstance(item, dict) else {}
    return theirs(index, named.get("user_id"), named.get("custom_id"))


def _is_user(user_id: object, custom_id: object, user: UserRef) -> bool:
    return (user.user_id is not None and user_id == user.user_id) or (
        user.custom_id is not None and custom_id == user.custom_id
    )


def _ids(user: UserRef) -> dict[str, str | None]:
    return {"user_id": user.user_id, "custom_id": user.custom_id}
