"""Takes out of log lines what must never be there: secrets, addresses, phone numbers, texts.

Nothing of the kind is meant to be logged in the first place; this is the net below, for messages
of libraries and for mistakes. What a key's name gives away is masked whole, what a value's shape
gives away is masked inside its text. Pure: knows no logging library.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

MASK = "[redacted]"

_SECRET_NAMES = frozenset(
    {
        "address",
        "api_key",
        "apikey",
        "authorization",
        "body",
        "cookie",
        "custom_data",
        "device_token",
        "digest",
        "fid",
        "jwt",
        "key",
        "old_address",
        "password",
        "phone",
        "phone_number",
        "private_key",
        "registration_token",
        "secret",
        "secrets",
        "signature",
        "svix_signature",
        "title",
        "token",
        "webhook_signature",
    }
)
_SECRET_ENDINGS = ("_secret", "_token", "_password", "_private_key", "_api_key", "-signature")

_SHAPES = (
    # PEM, whole
    r"-----BEGIN [A-Z ]+-----.*?(?:-----END [A-Z ]+-----|\Z)",
    # webhook signing secrets, and the gateway's own API keys
    r"whsec_[A-Za-z0-9+/=_-]*",
    r"\bik_[0-9a-f]{8}_[A-Za-z0-9_-]+",
    # an Authorization header, JWTs, Google's access tokens, webhook signatures
    r"(?i:\b(?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{6,}",
    r"\beyJ[A-Za-z0-9_-]{6,}(?:\.[A-Za-z0-9_-]*){0,2}",
    r"\bya29\.[A-Za-z0-9._-]+",
    r"\bv1a?,[A-Za-z0-9+/=]{20,}",
    # FCM registration tokens, and Firebase installation ids: 22 characters that begin with c to f
    r"[A-Za-z0-9_-]{11,}:APA91[A-Za-z0-9_-]*",
    r"(?<![\w-])(?=[\w-]*[A-Z])(?=[\w-]*[a-z])(?=[\w-]*[0-9])[c-f][\w-]{21}(?![\w-])",
    # APNs device tokens and digests; anything else that long holds no word for people
    r"(?<![0-9A-Fa-f])[0-9A-Fa-f]{40,}",
    r"[A-Za-z0-9_+/=:-]{80,}",
    # phone numbers, E.164
    r"(?<!\w)\+[1-9][0-9]{7,14}(?![0-9])",
    # a password in a URL
    r"(?<=://)[^\s/@:]+:[^\s/@]+(?=@)",
)
_PATTERN = re.compile("|".join(_SHAPES), re.DOTALL)


def redact_text(text: str) -> str:
    """Mask what looks like a secret, an address or a phone number."""
    return _PATTERN.sub(MASK, text)


def redact(value: Any, name: str = "") -> Any:
    """Mask a value of a log line by its name, or whatever in it has a telling shape.

    Tables and lists are walked; anything that is no plain value becomes its masked text.
    """
    if value is None or isinstance(value, bool | int | float):
        return MASK if value is not None and _is_secret(name) else value
    if _is_secret(name):
        return MASK
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, Mapping):
        return {redact_text(str(key)): redact(inner, str(key)) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [redact(inner) for inner in value]
    if isinstance(value, bytes):
        return f"[{len(value)} bytes]"
    return redact_text(str(value))


def _is_secret(name: str) -> bool:
    lowered = name.lower()
    return lowered in _SECRET_NAMES or lowered.endswith(_SECRET_ENDINGS)
