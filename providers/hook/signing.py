"""The signature of a hook, by the specification of Standard Webhooks. Pure.

What is signed is "{id}.{timestamp}.{body}"; while a secret is rotated there is a signature by each,
with a blank between, and a receiver takes any that it knows.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence

_PREFIX = "whsec_"


def key_of(secret: str) -> bytes:
    """The key in `whsec_...`. Raises ValueError, without the secret in its text."""
    try:
        return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("not base64 after whsec_") from None


def headers(
    keys: Sequence[bytes], message_id: str, body: bytes, *, timestamp: int
) -> Mapping[str, str]:
    """The headers that prove a body. The id is the same at every repeat, the timestamp is not."""
    signed = b".".join((message_id.encode(), str(timestamp).encode(), body))
    signatures = [
        "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        for key in keys
    ]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signatures),
    }
