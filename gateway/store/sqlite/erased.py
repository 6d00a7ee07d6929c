"""Who was erased, asked and told in the transactions of others: registry, journal, queue."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Mapping

from gateway.core.erased import Erased, words_of
from gateway.core.hashes import person_words
from gateway.core.model import UserRef
from gateway.errors import StoreError

Sql = Mapping[str, str]
HASHES = "hashes"
"""The name of the secret that keyed hashes are made with."""
OF_EXPERIMENTS = ("erase_members", "erase_left_out", "erase_also")
"""What takes somebody out of all experiments, by their words there."""


def ask(connection: sqlite3.Connection, sql: Sql, user: UserRef, *, now: float) -> None:
    """Note that all that names the user is to go, when the devices went in this transaction."""
    connection.execute(sql["erase_held"])
    connection.execute(sql["erase_letters"], ids_of(user))
    who = words(connection, sql, user)
    learners = learner(connection, sql, user)
    for query in ("erase_exempt", *OF_EXPERIMENTS, "erase_held_back", "erase_outcomes"):
        connection.execute(sql[query], learners)
    connection.execute(sql["suppressions_erase"], who)
    connection.execute(sql["erasure_ask"], {**ids_of(user), **who, "now": now})


def erased_at(
    connection: sqlite3.Connection, sql: Sql, user_id: str | None, custom_id: str | None
) -> float:
    """When somebody with one of these ids was erased last; 0: never."""
    if not connection.execute(sql["erasure_exists"]).fetchone()[0]:
        return 0.0
    who = words(connection, sql, UserRef(user_id, custom_id))
    at: float | None = connection.execute(sql["erasure_state"], who).fetchone()[0]
    return at or 0.0


def erased_from(
    connection: sqlite3.Connection, sql: Sql, event_ids: Collection[str]
) -> Erased | None:
    """Who was erased since these events came in. None, nearly always: nobody."""
    events = {"events": json.dumps(sorted(event_ids))}
    received = dict(connection.execute(sql["erased_since"], events).fetchall())
    if not received:
        return None
    rows = connection.execute(sql["erasures_since"], {"since": min(received.values())}).fetchall()
    items = connection.execute(
        sql["erased_items"], {"events": json.dumps(sorted(received))}
    ).fetchall()
    return Erased(secret_of(connection, sql), rows, received, set(items))


def kept_secret(connection: sqlite3.Connection, sql: Sql) -> bytes | None:
    """The key of keyed hashes, if there is one yet."""
    row = connection.execute(sql["secret_find"], {"name": HASHES}).fetchone()
    return None if row is None else row[0]


def secret_of(connection: sqlite3.Connection, sql: Sql) -> bytes:
    """The key of keyed hashes. Raises StoreError where there is none."""
    secret = kept_secret(connection, sql)
    if secret is None:
        raise StoreError("The store has no secret yet.")
    return secret


def words(connection: sqlite3.Connection, sql: Sql, user: UserRef) -> dict[str, str]:
    """The words for a user's ids, as the queries name them."""
    said = words_of(user.user_id, user.custom_id, secret_of(connection, sql))
    return dict(zip(("who_user", "who_custom"), said, strict=True))


def learner(connection: sqlite3.Connection, sql: Sql, user: UserRef) -> dict[str, str]:
    """The words for a user in experiments and in what people learnt, as the queries name them."""
    said = person_words(secret_of(connection, sql), user.user_id, user.custom_id)
    return dict(zip(("who_user", "who_custom"), said, strict=True))


def ids_of(user: UserRef) -> dict[str, str | None]:
    """A user's ids, as the queries name them."""
    return {"user_id": user.user_id, "custom_id": user.custom_id}
