"""The table `forgotten` on PostgreSQL, and the secret that its numbers are made with.

Owns its rows; what they say is `gateway.store.forgetting`'s. Every function works in the caller's
transaction. Who finds rows of `devices` first and asks here afterwards misses nothing: what goes
meanwhile was either still a row, or is written here already.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gateway.core.hashes import Fresh
from gateway.core.model import Registration
from gateway.errors import StoreError
from gateway.store.forgetting import (
    Gone,
    Mark,
    Memory,
    Name,
    marks_of,
    names_in,
    numbers,
)
from gateway.store.postgres.database import Session
from gateway.store.postgres.erased import HASHES, kept_secret


async def secret(session: Session, fresh: Fresh | None) -> bytes:
    """The key of keyed hashes; `fresh` makes it where there is none yet."""
    key = await kept_secret(session)
    if key is None:
        if fresh is None:
            raise StoreError("The store has no secret yet, and was not told where to get one.")
        # another replica may be first
        await session.run("secret_keep", HASHES, fresh())
        key = await kept_secret(session)
    assert key is not None
    return key


async def of_names(session: Session, names: Iterable[Name]) -> Memory | None:
    """What is remembered of these names; None in a store that never forgot anything."""
    key = await kept_secret(session)
    if key is None:
        return None
    return await _find(session, key, names)


async def of_registrations(
    session: Session, fresh: Fresh | None, registrations: Sequence[Registration]
) -> Memory:
    """What is remembered of all that a batch asks for, in one query."""
    key = await secret(session, fresh)
    return await _find(session, key, names_in(registrations))


async def remember(session: Session, fresh: Fresh | None, gone: Sequence[Gone]) -> None:
    """Write down what went."""
    if gone:
        await keep(session, marks_of(numbers(await secret(session, fresh)), gone))


async def keep(session: Session, marks: Sequence[Mark]) -> None:
    """Write rows, or bring those up to date that are there."""
    if marks:
        await session.run("forgotten_keep", *zip(*marks, strict=True))


async def _find(session: Session, key: bytes, names: Iterable[Name]) -> Memory:
    found = Memory(key)
    rows = await session.rows("forgotten_find", found.asked(names))
    found.load(Mark(*row) for row in rows)
    return found
