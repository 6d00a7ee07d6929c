"""What single values must look like. Pure: opens no file, and shows no secret in a message.

A message says what is wrong, then what is expected; `config.wording` puts the key before it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from ipaddress import ip_network
from urllib.parse import urlsplit

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from pydantic import SecretStr

#: sources that are always there: what [webhook] describes, own notifications, `inkpush send`
RESERVED_SOURCES = frozenset({"learnink", "api", "cli"})
_SOURCE_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_HMAC_BLOCK = 64
SECRET_PREFIX = "whsec_"  # noqa: S105 - the prefix that marks a secret, not one
SQLITE_PREFIX = "sqlite:///"
_POSTGRES = "postgresql://user:password@host:5432/database"


def signing_secret(value: SecretStr) -> SecretStr:
    """Check a webhook signing secret: `whsec_` and base64, as Svix shows it."""
    text = value.get_secret_value()
    if not text.startswith(SECRET_PREFIX):
        raise ValueError("is not a signing secret; expected whsec_ and base64, as Svix shows it")
    try:
        key = base64.b64decode(text.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error:
        key = b""
    if not key:
        raise ValueError("has no base64 after whsec_; expected the secret as Svix shows it, whole")
    return value


def signing_key(text: str) -> bytes:
    """What a signing secret is to HMAC-SHA256: two texts may be one key. b"": it is none."""
    try:
        key = base64.b64decode(text.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        return b""
    # RFC 2104: a longer key is hashed, a shorter one filled up with zeros
    return (hashlib.sha256(key).digest() if len(key) > _HMAC_BLOCK else key).rstrip(b"\0")


def source_id(value: str) -> str:
    """Check the name of a source."""
    if value in RESERVED_SOURCES:
        raise ValueError(
            f'is "{value}", which is always there; expected another name than learnink, api, cli'
        )
    if not _SOURCE_ID.fullmatch(value):
        raise ValueError(
            "is not the name of a source; expected letters, digits, - and _, 64 characters at most"
        )
    return value


def public_key(value: str) -> str:
    """Check a PEM public key that tokens may be verified with."""
    try:
        load_pem_public_key(value.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ValueError(
            "is not a public key; expected PEM that begins with -----BEGIN PUBLIC KEY-----"
        ) from error
    return value


def network(value: str) -> str:
    """Check an address or a network of a proxy."""
    try:
        ip_network(value.strip(), strict=False)
    except ValueError:
        raise ValueError(
            "is no address and no network; expected such as 10.0.0.7, 10.0.0.0/8 or fd00::/8"
        ) from None
    return value


def store_url(value: str) -> str:
    """Check the database's address."""
    if is_postgres(value):
        return _postgres_url(value)
    if not value.startswith(SQLITE_PREFIX) or value == SQLITE_PREFIX:
        raise ValueError(
            "is not a database address; expected sqlite:///file.db, sqlite:////path "
            "or postgresql://user:password@host/database"
        )
    return value


def is_postgres(url: str) -> bool:
    """Whether an address is PostgreSQL's."""
    return url.partition(":")[0] in {"postgresql", "postgres"}


def _postgres_url(value: str) -> str:
    """Several hosts may be given, `a:5432,b:5432`, for who is asked when one is down."""
    try:
        parts = urlsplit(value)
        hosts = [urlsplit(f"//{one}") for one in parts.netloc.rpartition("@")[2].split(",")]
        sound = all(one.port != 0 for one in hosts)
    except ValueError:  # its own words may hold the password
        sound, parts, hosts = False, urlsplit(""), []
    if not sound:
        raise ValueError(f"has no usable host and port; expected {_POSTGRES}")
    if not all(one.hostname for one in hosts) and "host=" not in parts.query:
        raise ValueError(f"names no host; expected {_POSTGRES}")
    if not parts.path.strip("/") or "/" in parts.path[1:]:
        raise ValueError(f"names no database; expected {_POSTGRES}")
    return value


def without_password(url: str) -> str:
    """An address as it may be shown."""
    parts = urlsplit(url)
    login, at, place = parts.netloc.rpartition("@")
    user, colon, _ = login.partition(":")
    shown = f"{user}{colon and ':***'}{at}{place}"
    query = "&".join(
        pair for pair in parts.query.split("&") if not pair.startswith(("password=", "passfile="))
    )
    return parts._replace(netloc=shown, query=query).geturl() if is_postgres(url) else url


def no_broker_beside(place: str) -> str:
    """What is wrong with a broker beside a SQLite file, and how to move."""
    return (
        f"queue.url: names a broker beside the SQLite file {place}; expected a PostgreSQL store "
        "with it, for several machines share its journal (`inkpush store copy` moves the file "
        'there: deploy/docs/scaling.md), or queue.url = "store"'
    )


def odd_replicas(value: int) -> int:
    """Check how many nodes keep a stream."""
    if value not in (1, 3, 5):
        raise ValueError("is not a number of nodes that can agree; expected 1, 3 or 5")
    return value


def queue_url(value: str) -> str:
    """Check the queue's address."""
    if value == "store":
        return value
    scheme, separator, rest = value.partition("://")
    if scheme not in {"nats", "tls"} or not separator:
        raise ValueError('is not a queue address; expected "store" or nats://host:4222,host2')
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
