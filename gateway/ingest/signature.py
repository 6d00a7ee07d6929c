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
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from multidict import MultiMapping

Key = bytes | Ed25519PublicKey
"""What a sender's signature is checked with: a shared secret, or its public key."""

_PREFIXES = ("svix", "webhook")
_NAMES = ("id", "timestamp", "signature")
#: signatures looked at in one header; a sender has as many as it has live secrets
_MOST_SIGNATURES = 16
#: those that cost a pass over the body each, whoever made them
_MOST_PUBLIC = 4
_PUBLIC_PREFIX = "whpk_"
_LONGEST_ID = 256


class BadSignature(Exception):
    """The request does not prove who sent it."""


class Stale(BadSignature):
    """It was signed too far from now."""


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


@dataclass(frozen=True, slots=True)
class Claimed:
    """What the headers of a request say of themselves; only `proven` shows whether it is true."""

    message_id: str
    timestamp: int
    _signed: bytes
    _offered: Sequence[bytes]
    _public: Sequence[bytes]

    def check_time(self, *, now: float, tolerance_s: float) -> None:
        """Raises `Stale` for what was signed over `tolerance_s` from now, either way."""
        if abs(now - self.timestamp) > tolerance_s:
            raise Stale("the timestamp is too far from now")

    def proven(self, body: bytes, keys: Sequence[Key]) -> Verified:
        """Check the body against every secret, in constant time for each, and every public key.
        Raises `BadSignature`."""
        expected = [self._digest(key, body) for key in keys if isinstance(key, bytes)]
        matches = [hmac.compare_digest(one, other) for one in expected for other in self._offered]
        if not any(matches) and not self._signed_publicly(keys, body):
            raise BadSignature("no signature matches")
        return Verified(self.message_id, self.timestamp)

    def _signed_publicly(self, keys: Sequence[Key], body: bytes) -> bool:
        public = [key for key in keys if isinstance(key, Ed25519PublicKey)] if self._public else []
        for key in public:
            for signature in self._public:
                try:
                    key.verify(signature, self._signed + body)
                except InvalidSignature:
                    continue
                return True
        return False

    def _digest(self, key: bytes, body: bytes) -> bytes:
        digest = hmac.new(key, self._signed, hashlib.sha256)
        digest.update(body)
        return digest.digest()


def claimed(headers: MultiMapping[str]) -> Claimed:
    """Read the headers of a request. `headers` must be case-insensitive.

    Raises `BadSignature` for whatever is missing, malformed or given twice: no body can mend that.
    """
    message_id, timestamp_text, signatures = _read_headers(headers)
    if len(message_id) > _LONGEST_ID or not (message_id.isascii() and message_id.isprintable()):
        raise BadSignature("the id is malformed")
    timestamp = _timestamp(timestamp_text)
    offered = _offered(signatures, "v1")
    public = _offered(signatures, "v1a")[:_MOST_PUBLIC]
    if not offered and not public:
        raise BadSignature("there is no signature of a known version")
    # The sender signed the text of the header, so that text is what is checked.
    signed = f"{message_id}.{timestamp_text}.".encode()
    return Claimed(message_id, timestamp, signed, offered, public)


def verify(
    headers: MultiMapping[str],
    body: bytes,
    keys: Sequence[Key],
    *,
    now: float,
    tolerance_s: float,
) -> Verified:
    """Check a request whose body is here. Raises `BadSignature`."""
    claim = claimed(headers)
    claim.check_time(now=now, tolerance_s=tolerance_s)
    return claim.proven(body, keys)


def _read_headers(headers: MultiMapping[str]) -> tuple[str, str, str]:
    """Id, timestamp and signature, which one family of names gives whole; the other may say the
    same beside it."""
    given = {
        prefix: [headers.getall(f"{prefix}-{name}", []) for name in _NAMES] for prefix in _PREFIXES
    }
    for values in zip(*given.values(), strict=True):
        if any(len(one) > 1 for one in values) or len(set().union(*values)) > 1:
            raise BadSignature("a signature header is there twice")
    for family in given.values():
        if all(one and one[0] for one in family):
            message_id, timestamp, signature = (one[0] for one in family)
            return message_id, timestamp, signature
    raise BadSignature("signature headers are missing")


def _timestamp(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 12):
        raise BadSignature("the timestamp is malformed")
    return int(text)


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
