"""Erasing a user: devices, addresses, and the names and texts the log keeps.

Works event by event, each in a transaction of its own: a body of 5 000 notifications takes tens of
milliseconds to rewrite, and the relay's own writes must get their turn in between.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from typing import Any

from gateway.core.hashes import Fresh
from gateway.core.model import UserRef, day_of
from gateway.store.erasing import ERASED, body_without, ended, items_without, spellings, whose
from gateway.store.forgetting import erased
from gateway.store.sqlite import memory
from gateway.store.sqlite.bulk import rows_of


def erase_devices(
    connection: sqlite3.Connection,
    sql: Mapping[str, str],
    user: UserRef,
    *,
    now: float,
    fresh: Fresh | None,
) -> list[int]:
    """Remove the user's devices: from then on nothing is sent to them, and no import brings them
    back. Returns which they were."""
    gone = rows_of(connection.execute(sql["erase_devices"], _ids(user)))
    memory.remember(connection, sql, fresh, erased(gone, user, now))
    connection.execute(sql["erase_held"])
    return [row["id"] for row in gone]


def find_events(connection: sqlite3.Connection, sql: Mapping[str, str], user: UserRef) -> list[str]:
    """The events that may name the user. Goes through whole bodies: for a reading connection."""
    oldest, newest = connection.execute(sql["runs"]).fetchone()
    runs = {"oldest": oldest, "newest": newest}
    parameters = {**_ids(user), **runs, "names": json.dumps(spellings(user))}
    return [row[0] for row in connection.execute(sql["erase_find_events"], parameters)]


def erase_event(
    connection: sqlite3.Connection,
    sql: Mapping[str, str],
    event_id: str,
    user: UserRef,
    *,
    now: float,
) -> int:
    """Remove the user from one event: body, queued chunks, dead letters and journal. Returns how
    many chunks could not be read.

    An item is the user's when it names them, or when the journal says that it went to them: it may
    have named only the other of their two ids.
    """
    key: dict[str, Any] = {**_ids(user), "event_id": event_id}
    indexes = {row[0] for row in connection.execute(sql["erase_indexes"], key)}
    key["indexes"] = json.dumps(sorted(indexes))

    theirs = whose(user, indexes)
    row = connection.execute(sql["erase_body"], key).fetchone()
    if row is not None:
        status, received_at, rejections, body = row
        body, found = body_without(body, theirs)
        connection.execute(sql["erase_set_body"], {**key, "body": body})
        open_ = ended(status, rejections, found)
        told = {"ended": json.dumps(open_), "reason": ERASED, "day": day_of(received_at)}
        connection.execute(sql["erase_end"], {**key, **told, "now": now})
    unread = 0
    for queue_id, items in connection.execute(sql["erase_queued"], key).fetchall():
        kept = items_without(items, theirs, spellings(user))
        if kept is None:
            unread += 1
        else:
            connection.execute(sql["erase_set_queued"], {"id": queue_id, "items": kept})
    connection.execute(sql["erase_dead"], key)
    connection.execute(sql["erase_raw"], key)
    connection.execute(sql["erase_deliveries"], key)
    return unread


def _ids(user: UserRef) -> dict[str, str | None]:
    return {"user_id": user.user_id, "custom_id": user.custom_id}
