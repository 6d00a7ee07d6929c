"""Putting into a queue, or a journal, what this version did not write."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from gateway.core.model import Chunk
from gateway.queue.in_postgres import PostgresQueue
from gateway.queue.in_store import InStoreQueue
from gateway.queue.nats import JetStreamQueue
from gateway.queue.nats.coding import messages_of
from gateway.store.postgres import PostgresStore
from gateway.store.sqlite.store import SqliteStore
from tests.kit.stores import Handle

TOO_NEW = b"3 \x00what a later version writes"
GARBAGE = b"\xff\x00no form at all"
_LATER_S = 1e6


async def plant(handle: Handle, chunk: Chunk, items: bytes) -> None:
    """Queue a chunk whose items are these bytes."""
    match handle.queue:
        case InStoreQueue() | PostgresQueue():
            # not due until its bytes are these: a relay that runs would take it before
            await handle.queue.publish([replace(chunk, due_at=chunk.due_at + _LATER_S)])
            await change(
                handle,
                f"UPDATE queue SET items = {literal(handle, items)}, "  # ours
                f"due_at = {chunk.due_at} "
                f"WHERE event_id = '{chunk.event_id}' AND number = {chunk.number} "
                f"AND lane = '{chunk.lane}'",
            )
        case JetStreamQueue() as queue:
            (message,) = messages_of(chunk, form=0, max_payload=1_000_000)
            head = message.data.partition(b"\n")[0]
            subject = f"{queue._spec.name}.{message.subject}"
            await queue._link.ask(subject, head + b"\n" + items, {"Nats-Msg-Id": message.id})
        case _:
            raise AssertionError(handle.queue)


async def change(handle: Handle, statement: str) -> None:
    """Run a statement of any kind on the store."""
    store: Any = handle.store
    if isinstance(store, SqliteStore):
        await store.database.write(lambda connection: connection.execute(statement).rowcount)
    else:
        assert isinstance(store, PostgresStore)
        await store.database.write(lambda session: session.statement(statement))


def change_file(path: Path, statement: str) -> None:
    """The same on a SQLite file that a running gateway works on."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(statement)
        connection.commit()


def literal(handle: Handle, data: bytes) -> str:
    """Bytes, as a statement for this store has them."""
    digits = data.hex()
    return f"x'{digits}'" if isinstance(handle.store, SqliteStore) else f"'\\x{digits}'::bytea"
