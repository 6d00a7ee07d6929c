"""Looking up devices, once for every notification: two searches for a whole chunk."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from gateway.core.model import Item, Target
from gateway.store.postgres.database import PostgresDatabase
from gateway.store.targets import per_item, target_of


async def targets(database: PostgresDatabase, items: Sequence[Item]) -> list[list[Target]]:
    """The active devices of each item's user, by either id and each once; one list per item."""
    users = _named(item.user_id for item in items)
    customs = _named(item.custom_id for item in items)
    return per_item(map(_target, await database.rows("targets", users, customs)), items)


def _named(ids: Iterable[str | None]) -> list[str]:
    """The ids that a row may have, each once: text has no NUL, so an id with one is nobody's."""
    return [one for one in dict.fromkeys(ids) if one is not None and "\0" not in one]


def _target(row: Any) -> Target:
    return target_of(row[:9], row[9], row[10])
