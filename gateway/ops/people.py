"""One person, by all ids that are known to be theirs: those that were asked for, and those that
their phones have.

An item that found no phone, or waits, bears no more ids than its sender gave it; whoever asks may
name the other one.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

from gateway.core.model import Device, Record, UserRef
from gateway.ports import Journal


def people_of(user: UserRef, devices: Sequence[Device]) -> list[UserRef]:
    """A person by the ids that were asked for, and by those that their phones have: as few as name
    each id once."""
    whose = [(user.user_id, user.custom_id), *((one.user_id, one.custom_id) for one in devices)]
    users, customs = (
        [one for one in dict.fromkeys(ids) if one is not None] for ids in zip(*whose, strict=True)
    )
    return [UserRef(*pair) for pair in zip_longest(users, customs)]


def is_theirs(record: Record, people: Sequence[UserRef]) -> bool:
    """Whether a line of the journal is a person's."""
    return any(
        (record.user_id is not None and record.user_id == one.user_id)
        or (record.custom_id is not None and record.custom_id == one.custom_id)
        for one in people
    )


async def deliveries_of(
    journal: Journal, people: Sequence[UserRef], *, limit: int, since: float | None = None
) -> list[Record]:
    """A person's deliveries, newest first."""
    found: dict[tuple[str, int, int], Record] = {}
    for one in people:
        records = await journal.deliveries_of(one, limit=limit, since=since)
        found.update((record[:3], record) for record in records)
    return sorted(found.values(), key=lambda record: (-record.at, *record[:3]))[:limit]
