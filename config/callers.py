"""What the settings of callers must look like: origins, secrets, and places of keys.

Pure: opens no file, and shows no secret in a message.
"""

from __future__ import annotations

import base64
import binascii
import re
from urllib.parse import urlsplit

from pydantic import SecretStr

from config.formats import SECRET_PREFIX, signing_secret
from providers import pasted

PUBLIC_PREFIX = "whpk_"
LEAST_SECRET_BYTES = 16
"""What cannot be guessed by trying: 128 bits."""

_ED25519_BYTES = 32
_VISIBLE = re.compile(r"[!-~]+").fullmatch
_ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*)://([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?")
_PORTS = {"http": "80", "https": "443"}


def signing_key(value: SecretStr) -> SecretStr:
    """Check what webhooks may be signed with: a secret (`whsec_`) or a public key (`whpk_`)."""
    text = pasted.unquoted(value.get_secret_value())
    if text.startswith("whsk_"):
        raise ValueError("is the sender's private key; expected the public one, whpk_ and base64")
    if text.startswith(PUBLIC_PREFIX):
        if len(_decoded(text.removeprefix(PUBLIC_PREFIX))) != _ED25519_BYTES:
            raise ValueError("is not an Ed25519 public key; expected whpk_ and base64 of 32 bytes")
        return SecretStr(text)
    secret = signing_secret(value)
    key = _decoded(secret.get_secret_value().removeprefix(SECRET_PREFIX))
    if len(key) < LEAST_SECRET_BYTES:
        raise ValueError(f"is too short; expected {LEAST_SECRET_BYTES} bytes at least")
    return secret


def token_secret(value: SecretStr) -> SecretStr:
    """Check a secret that user tokens are signed with: too short a one can be guessed."""
    if 0 < len(value.get_secret_value().encode()) < LEAST_SECRET_BYTES:
        raise ValueError(f"is too short; expected {LEAST_SECRET_BYTES} random bytes at least")
    return value


def jwks_url(value: str) -> str:
    """Check where keys are published: an http(s) address, which may have a query."""
    if not value:
        return value
    try:
        parts = urlsplit(value)
        sound = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    else:
        sound = sound and not parts.fragment and not parts.username and _VISIBLE(value) is not None
    if not sound:
        raise ValueError("is not a valid URL; expected e.g. https://host/keys.json")
    return value


def origin(value: str) -> str:
    """Check an origin, and write it as browsers send it: lower case, without a usual port."""
    if value == "null":
        return value
    text = value.lower().removesuffix("/")
    match = _ORIGIN.fullmatch(text)
    if text.startswith("file:"):
        raise ValueError('is no origin: pages from file:// have the origin "null"')
    if match is None:
        raise ValueError(
            "is not an origin; expected a scheme and a host without a path, such as "
            "capacitor://localhost or https://app.example.com"
        )
    scheme, host, port = match.groups()
    return f"{scheme}://{host}" + ("" if port in (None, _PORTS.get(scheme)) else f":{port}")


def _decoded(text: str) -> bytes:
    """What base64 stands for; nothing where it is none."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
