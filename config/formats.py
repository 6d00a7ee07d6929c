"""What single values must look like. Pure: opens no file, and shows no secret in a message.

A message says what is wrong, then what is expected; `config.wording` puts the key before it.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import json
import re
from ipaddress import ip_address, ip_network
from typing import Any
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import SecretStr

from config import databases
from providers import pasted

#: sources that are always there: what [webhook] describes, own notifications, `inkpush send`
RESERVED_SOURCES = frozenset({"learnink", "api", "cli"})
_SOURCE_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_HMAC_BLOCK = 64
SECRET_PREFIX = "whsec_"  # noqa: S105 - the prefix that marks a secret, not one
SQLITE_PREFIX = "sqlite:///"
_POSTGRES = "postgresql://user:password@host:5432/database"


EVERYWHERE = "*"
"""All addresses of both families."""

HOSTS_SCHEMA: dict[str, Any] = {
    "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]
}
_HOSTS = 'an address such as "127.0.0.1", a list of them, or "*" for all'
_HOST_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9_.])?\Z")


def signing_secret(value: SecretStr) -> SecretStr:
    """Check a webhook signing secret: `whsec_` and base64, as Svix shows it."""
    text = pasted.unquoted(value.get_secret_value())
    if not text.startswith(SECRET_PREFIX):
        beside = SECRET_PREFIX in text
        raise ValueError(
            "has something before whsec_; expected the secret alone, as Svix shows it"
            if beside
            else "is not a signing secret; expected whsec_ and base64, as Svix shows it"
        )
    packed = _usual_base64(text.removeprefix(SECRET_PREFIX))
    try:
        key = base64.b64decode(packed, validate=True)
    except binascii.Error:
        key = b""
    if not key:
        raise ValueError("has no base64 after whsec_; expected the secret as Svix shows it, whole")
    return SecretStr(SECRET_PREFIX + packed)


def _usual_base64(packed: str) -> str:
    """Base64 with its padding, in the usual alphabet: that of URLs says the same."""
    packed = packed.rstrip("=")
    if not ("+" in packed or "/" in packed):
        packed = packed.replace("-", "+").replace("_", "/")
    return packed + "=" * (-len(packed) % 4)


def signing_key(text: str) -> bytes:
    """What a signing secret is to HMAC-SHA256: two texts may be one key. b"": it is none."""
    packed = _usual_base64(pasted.unquoted(text).removeprefix(SECRET_PREFIX))
    try:
        key = base64.b64decode(packed, validate=True)
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
    """Check a public key that tokens may be verified with, and bring it into PEM."""
    raw = value.encode("utf-8", "replace")
    for piece in pasted.pieces(raw):
        if (key := pasted.public_key(piece)) is not None:
            return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    kind = pasted.what_is(raw)
    but = f" but {kind}" if kind else ""
    raise ValueError(
        f"is not a public key{but}; expected PEM that begins with -----BEGIN PUBLIC KEY-----"
    )


def network(value: str) -> str:
    """Check an address or a network of a proxy."""
    try:
        ip_network(value.strip(), strict=False)
    except ValueError:
        raise ValueError(
            "is no address and no network; expected such as 10.0.0.7, 10.0.0.0/8 or fd00::/8"
        ) from None
    return value


def hosts(value: Any) -> str:
    """Check what to listen on: an address, several, or `*`; several are joined by commas."""
    if isinstance(value, str) and value.startswith("["):
        # a list in a variable, unless it is an IPv6 address in brackets
        with contextlib.suppress(ValueError):
            value = json.loads(value)
    listed = value.split(",") if isinstance(value, str) else value
    if not isinstance(listed, list | tuple) or not all(isinstance(one, str) for one in listed):
        raise ValueError(f"is no address; expected {_HOSTS}")
    names = [one.strip().removeprefix("[").removesuffix("]") for one in listed]
    if not names or "" in names:
        raise ValueError(f"is empty; expected some text: {_HOSTS}")
    if EVERYWHERE in names and len(names) > 1:
        raise ValueError(f'has "*" among others; expected {_HOSTS}')
    for name in names:
        if name != EVERYWHERE and not _is_host(name):
            raise ValueError(f"has something that is no address; expected {_HOSTS}")
    return ",".join(dict.fromkeys(names))


def _is_host(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        # digits and dots alone are an address that is wrong
        return bool(_HOST_NAME.match(name)) and not name.replace(".", "").isdigit()
    return True


def hosts_of(checked: str) -> list[str]:
    """The addresses that a checked value stands for."""
    return ["0.0.0.0", "::"] if checked == EVERYWHERE else checked.split(",")  # noqa: S104


def is_everywhere(checked: str) -> bool:
    """Whether a checked value has all addresses of a family in it."""
    return any(_is_unspecified(name) for name in hosts_of(checked))


def _is_unspecified(name: str) -> bool:
    try:
        return ip_address(name).is_unspecified
    except ValueError:
        return False


def store_url(value: str) -> str:
    """Check the database's address, and bring it into the form that its client takes."""
    value = databases.plain(value)
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
    """Check the queue's address, and bring it into the form `nats://host:4222,host2`."""
    if value.lower() == "store":
        return "store"
    scheme, separator, rest = value.partition("://")
    scheme = scheme.lower()
    if scheme not in {"nats", "tls"} or not separator:
        raise ValueError('is not a queue address; expected "store" or nats://host:4222,host2')
    if "@" in rest:
        raise ValueError("holds a login; expected queue.user and queue.password for that")
    # NATS' own tools write the scheme before every server
    hosts = [
        host.strip().removeprefix(f"{scheme}://").removesuffix("/") for host in rest.split(",")
    ]
    for host in hosts:
        try:
            parts = urlsplit(f"//{host}")
            sound = bool(parts.hostname) and parts.port != 0 and not parts.path
        except ValueError:
            sound = False
        if not sound:
            raise ValueError("names no server; expected nats://host:4222,host2,host3")
    return f"{scheme}://{','.join(hosts)}"
