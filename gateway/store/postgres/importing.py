"""Taking in many registrations at once: what a batch meets is found in a few queries for all of it.

Owns which of a batch are settled by that: those that say nothing new, those older than what is
known here, and those that meet nothing, which are written in one statement. All others go the way
of a single registration.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from gateway.core.hashes import Fresh
from gateway.core.model import Registration
from gateway.store.forgetting import Memory, Name, Row, address, asked_for, installation
from gateway.store.ownership import says_nothing_new
from gateway.store.postgres import memory
from gateway.store.postgres.database import Session

Owner = tuple[str, str]
"""The kind of a user's id, and the id."""


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch, parted: places of the lines that are `newer` here, lines that meet nothing
    (`fresh`), and `others`, with their places. What is in none of them is known. `past` is what is
    remembered of all."""

    past: Memory
    newer: list[int] = field(default_factory=list)
    fresh: list[Registration] = field(default_factory=list)
    others: list[tuple[int, Registration]] = field(default_factory=list)


async def part(
    session: Session,
    registrations: Sequence[Registration],
    *,
    max_per_user: int,
    fresh: Fresh | None,
    force: bool,
) -> Batch:
    """Part a batch. The rows it meets are locked, and what went is asked for after that: so
    nothing goes unseen between the two."""
    asked = Counter(name for one in registrations for name in _names(one))
    owners = Counter(owner for one in registrations for owner in _owners(one))
    met: dict[Name, Row] = {}
    for row in await session.rows(
        "devices_in_the_way",
        [name[-1] for name in asked if name[0] == "installation"],
        [name[-1] for name in asked if name[0] == "address"],
    ):
        met[installation(row)] = met[address(row)] = row
    for kind, of, count in await session.rows("devices_of_users", *_by_kind(owners)):
        owners[kind, of] += count
    past = await memory.of_registrations(session, fresh, registrations)
    batch = Batch(past)
    for place, one in enumerate(registrations):
        names = list(_names(one))
        if any(asked[name] > 1 for name in names):
            batch.others.append((place, one))
            continue
        known = met.get(names[0])
        holders = [met[name] for name in names[1:] if name in met]
        if one.seen_at is not None:
            if says_nothing_new(known, one):
                continue
            if past.forbids(one, known, holders, force=force):
                batch.newer.append(place)
                continue
        alone = known is None and not holders
        if alone and sum(owners[owner] for owner in _owners(one)) <= max_per_user:
            batch.fresh.append(one)
        else:
            batch.others.append((place, one))
    return batch


def _names(one: Registration) -> Iterator[Name]:
    """What a registration may meet others by: its installation first, then its addresses."""
    yield from asked_for(one)
    if one.old_address is not None and one.old_address != one.address:
        yield ("address", one.app, one.provider, one.old_address)


def _owners(one: Registration) -> Iterator[Owner]:
    if one.user_id is not None:
        yield "user", one.user_id
    if one.custom_id is not None:
        yield "custom", one.custom_id


def _by_kind(owners: Counter[Owner]) -> tuple[list[str], list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for kind, of in owners:
        found[kind].append(of)
    return found["user"], found["custom"]
