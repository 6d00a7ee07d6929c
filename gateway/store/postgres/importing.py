"""Taking in many registrations at once: those that meet nothing are written in one statement.

Owns which of a batch may be; all others go the way of a single registration.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from gateway.core.model import Registration
from gateway.store.postgres.database import Session

Name = tuple[str, str]
"""What a registration may meet others by: the kind of an id, and the id."""


async def part_new(
    session: Session, registrations: Sequence[Registration], *, max_per_user: int
) -> tuple[list[Registration], list[Registration]]:
    """Split a batch into those that meet no row and no other of the batch, and all else.

    Met by installation or address, or by a user who might have too many devices then.
    """
    asked = Counter(name for one in registrations for name in (*_own(one), *_owners(one)))
    rows = await session.rows(
        "devices_in_the_way",
        *([of for kind, of in asked if kind == wanted] for wanted in _KINDS),
    )
    known = Counter({(kind, of): count for kind, of, count in rows})

    def is_new(one: Registration) -> bool:
        if any(asked[name] > 1 or known[name] for name in _own(one)):
            return False
        return sum(asked[name] + known[name] for name in _owners(one)) <= max_per_user

    new: list[Registration] = []
    others: list[Registration] = []
    for one in registrations:
        (new if is_new(one) else others).append(one)
    return new, others


_KINDS = ("installation", "address", "user", "custom")


def _own(one: Registration) -> Iterator[Name]:
    yield "installation", one.installation_id
    yield "address", one.address
    if one.old_address is not None and one.old_address != one.address:
        yield "address", one.old_address


def _owners(one: Registration) -> Iterator[Name]:
    if one.user_id is not None:
        yield "user", one.user_id
    if one.custom_id is not None:
        yield "custom", one.custom_id
