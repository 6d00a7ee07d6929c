"""Looking up devices, once for every notification: how a chunk's devices leave SQLite.

Owns the form in which a row travels; which device is whose is `gateway.store.targets`' matter.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import orjson

from gateway.core.model import Found, Item, Target
from gateway.core.words import Words
from gateway.store.sqlite.database import SqliteDatabase
from gateway.store.targets import per_item, target_of

_FRACTION = 2.0**-52


async def targets(database: SqliteDatabase, items: Sequence[Item], words: Words | None) -> Found:
    """The active devices of each item's user, by either id and each once; one list per item.
    `words` makes those that a row of before does not have."""
    wanted = {
        "user_ids": _named(item.user_id for item in items),
        "custom_ids": _named(item.custom_id for item in items),
    }
    ((found,),) = await database.rows("targets", wanted)
    return per_item(map(partial(_target, words), orjson.loads(found)), items)


def _named(ids: Iterable[str | None]) -> str:
    """The ids as a JSON array, each once; None stands for an item without."""
    return orjson.dumps([one for one in dict.fromkeys(ids) if one is not None]).decode()


def _target(words: Words | None, row: Sequence[Any]) -> Target:
    seconds, fraction, erased_at, met_at = row[12:]
    seen_at = seconds + fraction * _FRACTION
    return target_of(row[:12], seen_at, words, float(erased_at), met_at or seconds)
