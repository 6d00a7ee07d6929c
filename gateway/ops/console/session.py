"""Sessions of the console: a signed cookie that names an API key and when it ends. Pure.

The signing secret lives and dies with the process, so a restart logs everybody out. That the key
is still in force is asked of the store at every request, not of the cookie.
"""

from __future__ import annotations

import hashlib
import hmac

LIFE_S = 30 * 60
"""How long a login lasts."""


def seal(key_id: str, *, now: float, secret: bytes) -> str:
    """Make a cookie for this API key."""
    content = f"{key_id}.{int(now) + LIFE_S}"
    return f"{content}.{_mac(content, secret)}"


def unseal(cookie: str, *, now: float, secret: bytes) -> str | None:
    """The API key's id, from a cookie of ours that has not ended."""
    content, _, mac = cookie.rpartition(".")
    # bytes, for compare_digest refuses text that is not ASCII, and a cookie may be any text
    if not hmac.compare_digest(mac.encode(errors="replace"), _mac(content, secret).encode()):
        return None
    key_id, _, ends_at = content.rpartition(".")
    return key_id if now < int(ends_at) else None


def _mac(content: str, secret: bytes) -> str:
    return hmac.new(secret, content.encode(errors="replace"), hashlib.sha256).hexdigest()
