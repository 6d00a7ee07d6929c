"""What single values must look like. Pure: opens no file, and shows no secret in a message.

A message says what is wrong, then what is expected; `config.wording` puts the key before it.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any
from urllib.parse import urlsplit

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from pydantic import SecretStr

SECRET_PREFIX = "whsec_"  # noqa: S105 - the prefix that marks a secret, not one
SQLITE_PREFIX = "sqlite:///"


def empty_is_none(value: Any) -> Any:
    """Let "" stand for "no file", as it does for other optional settings."""
    return None if value == "" else value


def signing_secret(value: SecretStr) -> SecretStr:
    """Check a webhook signing secret: `whsec_` and base64, as Svix shows it."""
    text = value.get_secret_value()
    if not text.startswith(SECRET_PREFIX):
        raise ValueError("is no signing secret; expected whsec_ and base64, as Svix shows it")
    try:
        key = base64.b64decode(text.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error:
        key = b""
    if not key:
        raise ValueError("has no base64 after whsec_; expected the secret as Svix shows it, whole")
    return value


def public_key(value: str) -> str:
    """Check a PEM public key that tokens may be verified with."""
    try:
        load_pem_public_key(value.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ValueError(
            "is no public key; expected PEM that begins with -----BEGIN PUBLIC KEY-----"
        ) from error
    return value


def http_url(value: str) -> str:
    """Check an http(s) URL without query; a slash at its end is dropped."""
    try:
        parts = urlsplit(value)
        sound = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    else:
        sound = sound and not parts.query and not parts.fragment and not parts.username
    if not sound:
        raise ValueError("is no web address; expected one like https://host or https://host:port")
    return value.rstrip("/")


def optional_http_url(value: str) -> str:
    """Check an http(s) URL that may be empty."""
    return http_url(value) if value else value


def proxy_url(value: SecretStr) -> SecretStr:
    """Check a proxy's address, which may hold a login."""
    text = value.get_secret_value()
    try:
        parts = urlsplit(text)
        sound = parts.scheme == "http" and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    else:
        sound = sound and parts.path in {"", "/"} and not parts.query and not parts.fragment
    if text and not sound:
        raise ValueError("is no proxy; expected http://host:port or http://user:password@host:port")
    return value


def store_url(value: str) -> str:
    """Check the database's address."""
    scheme = value.partition(":")[0]
    if scheme in {"postgresql", "postgres"}:
        raise ValueError("is PostgreSQL, which this version does not have; expected sqlite:///file")
    if not value.startswith(SQLITE_PREFIX) or value == SQLITE_PREFIX:
        raise ValueError("is no database address; expected sqlite:///file.db or sqlite:////path")
    return value


def queue_url(value: str) -> str:
    """Check the queue's address."""
    if value == "store":
        return value
    scheme, separator, rest = value.partition("://")
    if scheme not in {"nats", "tls"} or not separator:
        raise ValueError('is no queue address; expected "store" or nats://host:4222,host2')
    if "@" in rest:
        raise ValueError("holds a login; expected queue.user and queue.password for that")
    for host in rest.split(","):
        try:
            parts = urlsplit(f"//{host.strip()}")
            sound = bool(parts.hostname) and parts.port != 0 and not parts.path
        except ValueError:
            sound = False
        if not sound:
            raise ValueError("names no server; expected nats://host:4222,host2,host3")
    return value
