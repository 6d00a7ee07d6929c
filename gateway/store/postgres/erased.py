"""Who was erased, asked and told in the transactions of others: registry, journal, queue."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, Protocol

from gateway.core.erased import NOBODY, Erased, words_of
from gateway.core.hashes import person_words
from gateway.core.model import UserRef
from gateway.errors import StoreError
from gateway.store.postgres.texts import findable

HASHES = "hashes"
"""The name of the secret that keyed hashes are made with."""
OF_EXPERIMENTS = ("erase_members", "erase_left_out", "erase_also")
"""What takes somebody out of all experiments, by their words there."""


class Session(Protocol):
    """What is asked of a transaction here."""

    async def rows(self, query: str, *values: Any) -> list[Any]: ...

    async def row(self, query: str, *values: Any) -> Any: ...

    async def run(self, query: str, *values: Any) -> int: ...


Ids = tuple[str | None, str | None]


async def ask(session: Session, user: UserRef, *, now: float) -> None:
    """Note that all that names the user is to go, when the devices went in this transaction."""
    ids = ids_of(user)
    await session.run("erase_held")
    await session.run("erase_letters", *ids)
    if ids != (None, None):
        who = await words(session, user)
        learners = await learner(session, user)
        for query in ("erase_exempt", *OF_EXPERIMENTS, "erase_held_back", "erase_outcomes"):
            await session.run(query, *learners)
        await session.run("suppressions_erase", *who)
        await session.run("erasure_ask", *who, now, *ids)


async def erased_at(session: Session, people: Iterable[Ids]) -> dict[Ids, float]:
    """When these people, by either id, were erased last; who never was is left out."""
    if not (await session.row("erasure_exists"))[0]:
        return {}
    secret = await secret_of(session)
    said = {ids: words_of(*ids, secret) for ids in people}
    asked = sorted({word for pair in said.values() for word in pair} - {NOBODY})
    found = dict(map(tuple, await session.rows("erasures_of", asked)))
    times = {ids: max(found.get(word, 0.0) for word in pair) for ids, pair in said.items()}
    return {ids: at for ids, at in times.items() if at}


async def erased_from(session: Session, event_ids: Collection[str]) -> Erased | None:
    """Who was erased since these events came in. None, nearly always: nobody."""
    names = [name for name in event_ids if findable(name) is not None]
    received = dict(map(tuple, await session.rows("erased_since", names)))
    if not received:
        return None
    rows = await session.rows("erasures_since", min(received.values()))
    items = await session.rows("erased_items", list(received))
    return Erased(
        await secret_of(session), map(tuple, rows), received, {(row[0], row[1]) for row in items}
    )


async def kept_secret(session: Session) -> bytes | None:
    """The key of keyed hashes, if there is one yet."""
    row = await session.row("secret_find", HASHES)
    return None if row is None else row[0]


async def secret_of(session: Session) -> bytes:
    """The key of keyed hashes. Raises StoreError where there is none."""
    secret = await kept_secret(session)
    if secret is None:
        raise StoreError("The store has no secret yet.")
    return secret


async def words(session: Session, user: UserRef) -> tuple[str, str]:
    """The words for a user's ids."""
    return words_of(*ids_of(user), await secret_of(session))


async def learner(session: Session, user: UserRef) -> tuple[str, str]:
    """The words for a user in experiments and in what people learnt."""
    return person_words(await secret_of(session), user.user_id, user.custom_id)


def ids_of(user: UserRef) -> Ids:
    """A user's ids, as far as a row can have them."""
    return findable(user.user_id), findable(user.custom_id)
