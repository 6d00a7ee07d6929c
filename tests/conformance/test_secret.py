"""What the key of keyed hashes promises: one for all replicas, whoever asks first."""

from __future__ import annotations

import asyncio

from gateway.core.hashes import SECRET_BYTES
from tests.kit.stores import SECRET, Handle


async def test_everyone_has_the_same_secret_whoever_asks_first(
    handle: Handle, replica: Handle
) -> None:
    fresh = [bytes([number]) * SECRET_BYTES for number in range(3)]
    kept = await asyncio.gather(
        handle.store.secret(fresh[0]),
        replica.store.secret(fresh[1]),
        handle.store.secret(fresh[2]),
    )
    assert len(set(kept)) == 1
    assert kept[0] in {*fresh, SECRET}
    assert await replica.store.secret(b"!" * SECRET_BYTES) == kept[0]
