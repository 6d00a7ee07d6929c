"""A service account's key as it lies in a file, in any wrapping that people give it.

Owns what is said of a file that is none. What is said quotes nothing of it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from providers import pasted
from providers.errors import CredentialError

_CURE = (
    "expected the JSON of a key, from the Firebase console: Project settings, Service accounts, "
    "Generate new private key"
)
_FIELDS = ("project_id", "client_email", "private_key", "token_uri")
_DEEP = 4


def read(path: Path) -> dict[str, Any]:
    """The fields of a service account's key. Raises CredentialError with all that is wrong."""
    where = f"credentials_file {path}"
    try:
        raw = path.read_bytes()
    except FileNotFoundError as error:
        raise CredentialError([f"{where}: no such file; {_CURE}."]) from error
    except OSError as error:
        raise CredentialError([f"{where}: cannot be read ({error.strerror})."]) from error
    info = _account(raw, where)
    for name in _FIELDS:
        if isinstance(info.get(name), str):
            info[name] = pasted.trimmed(info[name])
    problems = [
        f"{where}: {name} is missing; download a new key."
        for name in _FIELDS
        if not isinstance(info.get(name), str) or not info[name]
    ]
    if isinstance(info.get("private_key"), str) and info["private_key"]:
        try:
            info["private_key"] = _rsa_pem(info["private_key"])
        except ValueError as error:
            problems.append(f"{where}: private_key {error}; download a new key.")
    if problems:
        raise CredentialError(problems)
    return info


def _account(raw: bytes, where: str) -> dict[str, Any]:
    try:
        found = pasted.document(raw)
    except ValueError as error:
        kind = pasted.what_is(raw)
        wrong = f"not a service account's key but {kind}" if kind else str(error)
        # the cause may hold a part of the file
        raise CredentialError([f"{where}: {wrong}; {_CURE}."]) from None
    accounts = _accounts(found, _DEEP)
    if len(accounts) > 1:
        told = (
            f"holds {len(accounts)} service accounts' keys; expected the one of the app's project"
        )
        raise CredentialError([f"{where}: {told}."])
    if not accounts:
        kind = pasted.what_is(raw)
        but = f" but {kind}" if kind else ""
        told = f'not a service account\'s key{but} ("type" must be "service_account")'
        raise CredentialError([f"{where}: {told}; {_CURE}."])
    return accounts[0]


def _accounts(found: Any, deep: int) -> list[dict[str, Any]]:
    """The keys of service accounts in a document, itself or wrapped into others."""
    if isinstance(found, dict):
        if found.get("type") == "service_account":
            return [dict(found)]
        inner = list(found.values())
    elif isinstance(found, list):
        inner = found
    else:
        inner = []
    if deep == 0:
        return []
    accounts = []
    for value in inner:
        if isinstance(value, str) and "service_account" in value:
            try:
                value = pasted.document(value.encode("utf-8", "replace"))  # noqa: PLW2901
            except ValueError:
                continue
        accounts += _accounts(value, deep - 1)
    return accounts


def _rsa_pem(text: str) -> str:
    """The key as PEM. Raises ValueError, which says what is wrong with it."""
    key = pasted.private_key(text.encode("utf-8", "replace"))
    if key is None:
        kind = pasted.what_is(text.encode("utf-8", "replace"))
        raise ValueError("is not a PEM key" + (f": it is {kind}" if kind else ""))
    if not isinstance(key, rsa.RSAPrivateKey):
        told = "is not a PEM key of the kind that Google makes (RSA)"
        raise ValueError(told)  # noqa: TRY004 - it is the value's kind, not Python's
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
