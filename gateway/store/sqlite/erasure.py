"""Erasing a user: devices, addresses, and the names and texts the log keeps."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.core.model import UserRef


@dataclass(frozen=True, slots=True)
class Found:
    """Where a user is named: accepted events, other events, queued chunks."""

    accepted: tuple[str, ...]
    others: tuple[str, ...]
    queued: tuple[int, ...]


def find(connection: sqlite3.Connection, sql: Mapping[str, str], user: UserRef) -> Found:
    """Look for the user on a reading connection, for this goes through whole bodies."""
    who = _parameters(user)
    # In a body, an id stands as a JSON string; the quotes keep "mary" from matching "mary2".
    quoted = {
        name: value if value is None else json.dumps(value, ensure_ascii=False)
        for name, value in who.items()
    }
    queued = connection.execute(sql["erase_queued"], quoted).fetchall()
    accepted = {row[0] for row in connection.execute(sql["erase_accepted_events"], who)}
    accepted.update(event_id for _, event_id in queued)
    others = connection.execute(sql["erase_other_events"], quoted).fetchall()
    return Found(tuple(accepted), tuple(r[0] for r in others), tuple(r[0] for r in queued))


def erase(
    connection: sqlite3.Connection, sql: Mapping[str, str], user: UserRef, found: Found
) -> None:
    """Remove the user, in the caller's transaction."""
    who = _parameters(user)
    connection.execute(sql["devices_erase"], who)
    connection.execute(sql["held_erase"])
    for event_id in found.accepted:
        row = connection.execute(sql["event_body"], {"event_id": event_id}).fetchone()
        if row is not None:
            body = _without_user(row[0], user)
            connection.execute(sql["event_set_body"], {"event_id": event_id, "body": body})
    for event_id in found.others:
        connection.execute(sql["event_set_body"], {"event_id": event_id, "body": b""})
    for queue_id in found.queued:
        _erase_queued(connection, sql, queue_id, user)
    connection.execute(sql["erase_deliveries"], who)
    connection.execute(sql["erase_dead"], who)


def _erase_queued(
    connection: sqlite3.Connection, sql: Mapping[str, str], queue_id: int, user: UserRef
) -> None:
    row = connection.execute(sql["queue_items"], {"id": queue_id}).fetchone()
    if row is None:
        return
    kept = [
        entry for entry in json.loads(row[0]) if not _is_user(entry[4], entry[5], user)
    ]
    items = json.dumps(kept, ensure_ascii=False, separators=(",", ":")).encode()
    connection.execute(sql["queue_set_items"], {"id": queue_id, "items": items, "size": len(kept)})


def _without_user(body: bytes, user: UserRef) -> bytes:
    """The body with the user's notifications emptied; one that cannot be read goes whole."""
    try:
        document = json.loads(body)
        notifications = document["data"]["notifications"]
        document["data"]["notifications"] = [
            {"erased": True} if _item_is_user(item, user) else item for item in notifications
        ]
    except (ValueError, LookupError, TypeError):
        return b""
    return json.dumps(document, ensure_ascii=False).encode()


def _item_is_user(item: Any, user: UserRef) -> bool:
    return isinstance(item, dict) and _is_user(item.get("user_id"), item.get("custom_id"), user)


def _is_user(user_id: object, custom_id: object, user: UserRef) -> bool:
    return (user.user_id is not None and user_id == user.user_id) or (
        user.custom_id is not None and custom_id == user.custom_id
    )


def _parameters(user: UserRef) -> dict[str, str | None]:
    return {"user_id": user.user_id, "custom_id": user.custom_id}
