"""Svix signatures: whether a request really comes from the sender. Pure; stdlib only.

The scheme (docs.svix.com, "verifying payloads"; the same as Standard Webhooks): HMAC-SHA256 with
the base64-decoded part of `whsec_...` over "{id}.{timestamp}.{raw body}". The signature header is
a space-separated list of "version,base64": several while a secret is rotated, and of versions
this code need not know.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_PREFIXES = ("svix", "webhook")
#: signatures looked at in one header; a sender has as many as it has live secrets
_MOST_SIGNATURES = 16
_LONGEST_ID = 256


class BadSignature(Exception):
    """The request does not prove who sent it."""


@dataclass(frozen=True, slots=True)
class Verified:
    """What a good signature vouches for."""

    message_id: str
    timestamp: int


def decode_secret(secret: str) -> bytes:
    """Turn `whsec_...` into the key. Raises ValueError, without the secret in its text."""
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("not base64 after whsec_") from None
    if not key:
        raise ValueError("empty")
    return key


def verify(
    headers: Mapping[str, str],
    body: bytes,
    keys: Sequence[bytes],
    *,
    now: float,
    tolerance_s: float,
) -> Verified:
    """Check a request against every secret, in constant time for each.

    `headers` must be case-insensitive. Raises `BadSignature` for whatever is missing, malformed,
    stale by more than `tolerance_s` seconds either way, or wrong.
    """
    message_id, timestamp_text, signatures = _read_headers(headers)
    timestamp = _timestamp(timestamp_text, now, tolerance_s)
    # The sender signed the text of the header, so that text is what is checked.
    signed = b".".join((message_id.encode(), timestamp_text.encode(), body))
    offered = _offered(signatures)
    expected = [hmac.new(key, signed, hashlib.sha256).digest() for key in keys]
    matches = [hmac.compare_digest(one, other) for one in expected for other in offered]
    if not any(matches):
        raise BadSignature("no signature matches")
    return Verified(message_id, timestamp)


def _read_headers(headers: Mapping[str, str]) -> tuple[str, str, str]:
    for prefix in _PREFIXES:
        values = [headers.get(f"{prefix}-{name}") for name in ("id", "timestamp", "signature")]
        message_id, timestamp, signature = values
        if message_id and timestamp and signature:
            if len(message_id) > _LONGEST_ID or not message_id.isascii():
                raise BadSignature("the id is malformed")
            if not message_id.isprintable():
                raise BadSignature("the id is malformed")
            return message_id, timestamp, signature
    raise BadSignature("signature headers are missing")


def _timestamp(text: str, now: float, tolerance_s: float) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 12):
        raise BadSignature("the timestamp is malformed")
    timestamp = int(text)
    if abs(now - timestamp) > tolerance_s:
        raise BadSignature("the timestamp is too far from now")
    return timestamp


def _offered(header: str) -> list[bytes]:
    """The v1 signatures of a header. Unknown versions and malformed entries are passed over."""
    offered = []
    for entry in header.split(" ")[:_MOST_SIGNATURES]:
        version, comma, encoded = entry.partition(",")
        if version != "v1" or not comma:
            continue
        try:
            offered.append(base64.b64decode(encoded, validate=True))
        except (binascii.Error, ValueError):
            continue
    return offered


def sign(key: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    """The signature a sender would put in the header: for demos, `webhook sign` and tests."""
    signed = b".".join((message_id.encode(), str(timestamp).encode(), body))
    digest = hmac.new(key, signed, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()
