"""Looking up devices, once for every notification: how a chunk's devices leave SQLite.

Owns the form in which a row travels; which device is whose is `gateway.store.targets`' matter.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from gateway.core.model import Item, Target
from gateway.store.sqlite.database import SqliteDatabase
from gateway.store.targets import per_item, target_of

_FRACTION = 2.0**-52


async def targets(database: SqliteDatabase, items: Sequence[Item]) -> list[list[Target]]:
    """The active devices of each item's user, by either id and each once; one list per item."""
    wanted = {
        "user_ids": _named(item.user_id for item in items),
        "custom_ids": _named(item.custom_id for item in items),
    }
    ((found,),) = await database.rows("targets", wanted)
    return per_item(map(_target, orjson.loads(found)), items)


def _named(ids: Iterable[str | None]) -> str:
    """The ids as a JSON array, each once; None stands for an item without."""
    return orjson.dumps([one for one in dict.fromkeys(ids) if one is not None]).decode()


def _target(row: Sequence[Any]) -> Target:
    seconds, fraction, erased_at = row[9:]
    return target_of(row[:9], seconds + fraction * _FRACTION, float(erased_at))
