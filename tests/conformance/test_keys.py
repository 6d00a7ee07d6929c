"""What keeping API keys promises: found by hash alone, and revoked once and for all."""

from __future__ import annotations

import hashlib

from gateway.ports import SCOPES, ApiKey
from tests.kit.build import NOW
from tests.kit.stores import Handle


def digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def key(key_id: str = "key_1", created_at: float = NOW, *scopes: str) -> ApiKey:
    return ApiKey(key_id, f"name of {key_id}", frozenset(scopes or SCOPES), created_at)


async def test_a_key_is_found_by_its_hash(handle: Handle, replica: Handle) -> None:
    kept = key("key_1", NOW, "devices:read", "deliveries:read")
    await handle.keys.add(kept, digest("one"))
    assert await replica.keys.find(digest("one")) == kept
    assert await handle.keys.find(digest("another")) is None
    assert await handle.keys.find(b"") is None


async def test_a_key_may_have_no_scope(handle: Handle) -> None:
    kept = ApiKey("key_1", "", frozenset(), NOW)
    await handle.keys.add(kept, digest("one"))
    assert await handle.keys.find(digest("one")) == kept


async def test_a_key_keeps_its_limits_and_its_end(handle: Handle, replica: Handle) -> None:
    kept = ApiKey(
        "key_1",
        "bi",
        frozenset({"events:read"}),
        NOW,
        expires_at=NOW + 60,
        sources=("learnink", "staging"),
        types=("user.course.*",),
    )
    await handle.keys.add(kept, digest("one"))
    assert await replica.keys.find(digest("one")) == kept
    assert await replica.keys.all() == [kept]


async def test_a_revoked_key_is_found_as_revoked_by_everyone_at_once(
    handle: Handle, replica: Handle
) -> None:
    await handle.keys.add(key(), digest("one"))
    assert await handle.keys.revoke("key_1", now=NOW + 60)
    found = await replica.keys.find(digest("one"))
    assert found is not None
    assert found.revoked_at == NOW + 60
    assert not found.in_force(NOW)


async def test_a_key_is_revoked_once(handle: Handle) -> None:
    await handle.keys.add(key(), digest("one"))
    assert await handle.keys.revoke("key_1", now=NOW + 60)
    assert not await handle.keys.revoke("key_1", now=NOW + 90)
    (only,) = await handle.keys.all()
    assert only.revoked_at == NOW + 60


async def test_a_key_that_is_not_there_cannot_be_revoked(handle: Handle) -> None:
    await handle.keys.add(key(), digest("one"))
    assert not await handle.keys.revoke("key_2", now=NOW)
    (only,) = await handle.keys.all()
    assert only.revoked_at is None


async def test_keys_are_listed_newest_first_revoked_ones_included(handle: Handle) -> None:
    for n in (1, 0, 2):
        await handle.keys.add(key(f"key_{n}", NOW + n), digest(str(n)))
    await handle.keys.revoke("key_1", now=NOW)
    assert [one.id for one in await handle.keys.all()] == ["key_2", "key_1", "key_0"]
