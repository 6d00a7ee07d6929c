"""Looking up devices, once for every notification: two searches for a whole chunk."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from gateway.core.model import Found, Item, Target
from gateway.core.words import Words
from gateway.store.postgres.database import PostgresDatabase
from gateway.store.targets import per_item, target_of


async def targets(database: PostgresDatabase, items: Sequence[Item], words: Words | None) -> Found:
    """The active devices of each item's user, by either id and each once; one list per item.
    `words` makes those that a row of before does not have."""
    users = _named(item.user_id for item in items)
    customs = _named(item.custom_id for item in items)
    rows = await database.rows("targets", users, customs)
    return per_item(map(partial(_target, words), rows), items)


def _named(ids: Iterable[str | None]) -> list[str]:
    """The ids that a row may have, each once: text has no NUL, so an id with one is nobody's."""
    return [one for one in dict.fromkeys(ids) if one is not None and "\0" not in one]


def _target(words: Words | None, row: Any) -> Target:
    return target_of(row[:12], row[12], words, row[13], row[14])
