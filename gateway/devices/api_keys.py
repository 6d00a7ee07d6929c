"""API keys: how one looks, how one is made, and how one is looked up.

The store keeps the SHA-256 of the whole key: 32 random bytes need no slow hash, and a lookup by
digest compares nothing that timing could give away.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections import OrderedDict
from collections.abc import Callable, Iterable

from gateway.core.clocks import Clocks
from gateway.core.event_types import type_fault
from gateway.ports import LIMITED, SCOPES, ApiKey, Keys

CACHE_S = 5.0
"""How long a key that was found is trusted: a revoked one ends at most this much later."""

_FORM = re.compile(r"ik_[0-9a-f]{8}_[A-Za-z0-9_-]{43}")
_MAX_CACHED = 1_024


def new_key(
    name: str,
    scopes: Iterable[str],
    *,
    now: float,
    random: Callable[[int], bytes],
    expires_at: float | None = None,
    sources: Iterable[str] = (),
    types: Iterable[str] = (),
) -> tuple[ApiKey, str]:
    """Make a key and its text, `ik_<id>_<secret>`, which is shown once and never kept.

    `random` gives that many unpredictable bytes (`secrets.token_bytes`). `sources` and `types`
    limit it to these events. Raises `ValueError` for an unknown scope, or for none, and for a
    limit that some of its scopes know nothing of.
    """
    wanted = frozenset(scopes)
    unknown = wanted - set(SCOPES)
    if unknown or not wanted:
        raise ValueError(f"a key needs scopes out of {', '.join(SCOPES)}")
    limits = (tuple(dict.fromkeys(sources)), tuple(dict.fromkeys(types)))
    if any(limits) and wanted != {LIMITED}:
        raise ValueError(f"a key that is limited to sources or types has the scope {LIMITED} alone")
    if fault := next((fault for one in limits[1] if (fault := type_fault(one))), ""):
        raise ValueError(fault)
    if any(not one or one.split() != [one] for one in limits[0]):
        raise ValueError("a source is one word, such as learnink")
    key = ApiKey(random(4).hex(), name, wanted, now, None, expires_at, *limits)
    secret = base64.urlsafe_b64encode(random(32)).decode().rstrip("=")
    return key, f"ik_{key.id}_{secret}"


def key_digest(text: str) -> bytes:
    """What the store knows a key by."""
    return hashlib.sha256(text.encode()).digest()


def looks_like_key(text: str) -> bool:
    """Whether a credential means to be an API key, as no JWT does."""
    return text.startswith("ik_")


class KeyRing:
    """Finds keys in force, remembering those found for `CACHE_S` seconds.

    Misses are not remembered: a new key works at once, and guesses cannot fill the memory.
    """

    def __init__(self, keys: Keys, *, clocks: Clocks) -> None:
        self._keys = keys
        self._clocks = clocks
        self._found: OrderedDict[bytes, tuple[float, ApiKey]] = OrderedDict()

    def knows(self, text: str) -> bool:
        """Whether a key with this text was in force when it was last looked up. Looks nothing up,
        and is no proof."""
        return _FORM.fullmatch(text) is not None and key_digest(text) in self._found

    async def find(self, text: str) -> ApiKey | None:
        """The key in force with this text."""
        if _FORM.fullmatch(text) is None:
            return None
        digest, now = key_digest(text), self._clocks.monotonic()
        at, key = self._found.get(digest, (float("-inf"), None))
        if key is not None and now < at + CACHE_S and key.in_force(self._clocks.wall()):
            return key
        self._found.pop(digest, None)
        key = await self._keys.find(digest)
        if key is None or not key.in_force(self._clocks.wall()):
            return None
        self._found[digest] = (now, key)
        while len(self._found) > _MAX_CACHED:
            self._found.popitem(last=False)
        return key
