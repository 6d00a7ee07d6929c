"""Whether a learning event came in before, asked in the transaction that takes one in."""

from __future__ import annotations

import json
import sqlite3

from gateway.store.chaining import id_hash
from gateway.store.sqlite.erased import Sql, secret_of


def has_learnt(connection: sqlite3.Connection, sql: Sql, event_id: str) -> bool:
    """Whether it is kept by now, or was erased."""
    if connection.execute(sql["learning_known"], {"ids": json.dumps([event_id])}).fetchone():
        return True
    if not connection.execute(sql["learning_any_hash"]).fetchone()[0]:
        return False
    named = (id_hash(secret_of(connection, sql), event_id),)
    return connection.execute(sql["learning_hash"], named).fetchone() is not None
