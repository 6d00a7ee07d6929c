"""Svix signatures: whether a request really comes from the sender. Pure.

The scheme (docs.svix.com, "verifying payloads"; the same as Standard Webhooks) signs
"{id}.{timestamp}.{raw body}": `v1` is HMAC-SHA256 with the base64-decoded part of `whsec_...`,
`v1a` is Ed25519, checked with the public key in `whpk_...`. The signature header is a
space-separated list of "version,base64": several while a secret is rotated, and of versions this
code need not know.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

Key = bytes | Ed25519PublicKey
"""What a sender's signature is checked with: a shared secret, or its public key."""

_PREFIXES = ("svix", "webhook")
#: signatures looked at in one header; a sender has as many as it has live secrets
_MOST_SIGNATURES = 16
#: those that cost a pass over the body each, whoever made them
_MOST_PUBLIC = 4
_PUBLIC_PREFIX = "whpk_"
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


def decode_key(text: str) -> Key:
    """The key of a line of the settings, `whsec_...` or `whpk_...`. Raises ValueError."""
    if not text.startswith(_PUBLIC_PREFIX):
        return decode_secret(text)
    try:
        key = base64.b64decode(text.removeprefix(_PUBLIC_PREFIX), validate=True)
        return Ed25519PublicKey.from_public_bytes(key)
    except (binascii.Error, ValueError):
        raise ValueError("not an Ed25519 public key after whpk_") from None


def verify(
    headers: Mapping[str, str],
    body: bytes,
    keys: Sequence[Key],
    *,
    now: float,
    tolerance_s: float,
) -> Verified:
    """Check a request against every secret, in constant time for each, and every public key.

    `headers` must be case-insensitive. Raises `BadSignature` for whatever is missing, malformed,
    stale by more than `tolerance_s` seconds either way, or wrong.
    """
    message_id, timestamp_text, signatures = _read_headers(headers)
    timestamp = _timestamp(timestamp_text, now, tolerance_s)
    # The sender signed the text of the header, so that text is what is checked.
    signed = b".".join((message_id.encode(), timestamp_text.encode(), body))
    offered = _offered(signatures, "v1")
    secrets = [key for key in keys if isinstance(key, bytes)]
    expected = [hmac.new(key, signed, hashlib.sha256).digest() for key in secrets]
    matches = [hmac.compare_digest(one, other) for one in expected for other in offered]
    if not any(matches) and not _signed_publicly(keys, signatures, signed):
        raise BadSignature("no signature matches")
    return Verified(message_id, timestamp)


def _signed_publicly(keys: Sequence[Key], signatures: str, signed: bytes) -> bool:
    public = [key for key in keys if isinstance(key, Ed25519PublicKey)]
    offered = _offered(signatures, "v1a")[:_MOST_PUBLIC] if public else []
    for key in public:
        for signature in offered:
            try:
                key.verify(signature, signed)
            except InvalidSignature:
                continue
            return True
    return False


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


def _offered(header: str, wanted: str) -> list[bytes]:
    """The signatures of one version. Other versions and malformed entries are passed over."""
    offered = []
    for entry in header.split(" ")[:_MOST_SIGNATURES]:
        version, comma, encoded = entry.partition(",")
        if version != wanted or not comma:
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
