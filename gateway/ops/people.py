"""One person, by all ids that are known to be theirs: those that were asked for, and those that
their phones have.

An item that found no phone, or waits, bears no more ids than its sender gave it; whoever asks may
name the other one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import zip_longest

from gateway.core.model import Device, Record, UserRef
from gateway.ports import Journal, Registry


def people_of(user: UserRef, devices: Sequence[Device]) -> list[UserRef]:
    """A person by the ids that were asked for, and by those that their phones have: as few as name
    each id once."""
    whose = [(user.user_id, user.custom_id), *((one.user_id, one.custom_id) for one in devices)]
    users, customs = (
        [one for one in dict.fromkeys(ids) if one is not None] for ids in zip(*whose, strict=True)
    )
    return [UserRef(*pair) for pair in zip_longest(users, customs)]


async def phones_of(
    registry: Registry, devices: Sequence[Device], named: Iterable[UserRef]
) -> list[Device]:
    """A person's devices, and those that notifications to them found by another id; `named` are the
    ids of those notifications. A device that contradicts one is another's."""
    found = {device.id: device for device in devices}
    for ids in dict.fromkeys(named):
        others = [] if ids == UserRef() else await registry.devices_of(ids)
        found |= {
            one.id: one
            for one in others
            if one.id not in found
            and (ids.user_id is None or one.user_id in (None, ids.user_id))
            and (ids.custom_id is None or one.custom_id in (None, ids.custom_id))
        }
    return list(found.values())


async def installations_of(
    registry: Registry, devices: Sequence[Device], records: Sequence[Record]
) -> dict[int, str]:
    """The installations of a person's deliveries that are known, by their devices' numbers."""
    known = {0, *(device.id for device in devices)}
    named = [UserRef(one.user_id, one.custom_id) for one in records if one.device_id not in known]
    found = await phones_of(registry, devices, named)
    return {device.id: device.installation_id for device in found}


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
