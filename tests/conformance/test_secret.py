"""What the key of keyed hashes promises: one for all replicas, whoever asks first."""

from __future__ import annotations

import asyncio

from gateway.core.hashes import SECRET_BYTES
from gateway.store.postgres import PostgresStore
from gateway.store.sqlite.store import SqliteStore
from tests.kit.stores import Handle


async def test_everyone_has_the_same_secret_whoever_asks_first(
    handle: Handle, replica: Handle
) -> None:
    await _forget(handle)
    fresh = [bytes([number]) * SECRET_BYTES for number in range(3)]
    kept = await asyncio.gather(
        handle.store.secret(fresh[0]),
        replica.store.secret(fresh[1]),
        handle.store.secret(fresh[2]),
    )
    assert len(set(kept)) == 1
    assert kept[0] in fresh
    assert await replica.store.secret(b"!" * SECRET_BYTES) == kept[0]


async def _forget(handle: Handle) -> None:
    """As in a new store: the suites' stores have their secret."""
    store = handle.store
    if isinstance(store, PostgresStore):
        await store.database.write(lambda session: session.statement("DELETE FROM secrets"))
    else:
        assert isinstance(store, SqliteStore)
        await store.database.write(
            lambda connection: connection.execute("DELETE FROM secrets").rowcount
        )
