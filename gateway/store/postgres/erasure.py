"""Erasing a user: devices, addresses, and the names and texts the log keeps.

Works event by event, each in a transaction of its own, so that the relays' own writes get their
turn in between.
"""

from __future__ import annotations

from gateway.core.hashes import Fresh
from gateway.core.model import UserRef, day_of
from gateway.store.erasing import ERASED, body_without, ended, items_without, spellings, whose
from gateway.store.forgetting import erased
from gateway.store.postgres import memory
from gateway.store.postgres.database import Session
from gateway.store.postgres.partitions import make_partition
from gateway.store.postgres.texts import findable


async def erase_devices(
    session: Session, user: UserRef, *, now: float, fresh: Fresh | None
) -> list[int]:
    """Remove the user's devices: from then on nothing is sent to them, and no import brings them
    back. Returns which they were."""
    gone = await session.rows("erase_devices", *_ids(user))
    await memory.remember(session, fresh, erased(gone, user, now))
    await session.run("erase_held")
    return [row["id"] for row in gone]


async def find_events(session: Session, user: UserRef) -> list[str]:
    """The events that may name the user. Goes through whole bodies."""
    names = [name.encode() for name in spellings(user)]
    rows = await session.rows("erase_find_events", *_ids(user), names)
    return [row[0] for row in rows]


async def erase_event(session: Session, event_id: str, user: UserRef, *, now: float) -> int:
    """Remove the user from one event: body, queued chunks, dead letters and journal. Returns how
    many chunks could not be read.

    An item is the user's when it names them, or when the journal says that it went to them: it may
    have named only the other of their two ids.
    """
    ids = _ids(user)
    kept = await session.row("erase_body", event_id)
    if kept is not None:
        # first of all: who drops a day takes the same locks in this order
        await make_partition(session, day_of(kept["received_at"]))
    indexes = sorted(row[0] for row in await session.rows("erase_indexes", event_id, *ids))
    theirs = whose(user, frozenset(indexes))
    if kept is not None:
        body, found = body_without(kept["body"], theirs)
        await session.run("erase_set_body", event_id, body)
        if open_ := ended(kept["status"], kept["rejections"], found):
            day = day_of(kept["received_at"])
            await session.run("erase_end", event_id, open_, now, ERASED, day)
    unread = 0
    for queue_id, items in await session.rows("erase_queued", event_id):
        kept = items_without(items, theirs, spellings(user))
        if kept is None:
            unread += 1
        else:
            await session.run("erase_set_queued", queue_id, kept)
    await session.run("erase_dead", event_id, *ids, indexes)
    await session.run("erase_raw", event_id)
    await session.run("erase_deliveries", event_id, indexes)
    return unread


def _ids(user: UserRef) -> tuple[str | None, str | None]:
    return findable(user.user_id), findable(user.custom_id)
