"""Text and keys as people save and paste them: any editor's encoding, any wrapping. Pure.

Owns what is still the same thing in another form: a byte order mark, UTF-16, line ends that became
`\\n` in letters or blanks, quotes, PEM without its armour, base64 of a whole file. Refuses to know
settings and vendors. No error and no name quotes what was read.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import json
import re
from dataclasses import dataclass, field
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes
from cryptography.hazmat.primitives.serialization import (
    load_der_private_key,
    load_der_public_key,
    load_pem_private_key,
)

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark is its beginning
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_UNSEEN = "\ufeff\u200b\u200c\u200d\u2060"
_EDGES = " \t\n\r\f\v\0\x1a\u00a0" + _UNSEEN
_ARMOUR = re.compile(r"-----BEGIN ([A-Z0-9 ]+?)-----(.*?)-----END \1-----", re.DOTALL)
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{16,}={0,2}")
_BASE64_TAIL = re.compile(r"[A-Za-z0-9+/_\-\s]+={0,2}\s*\Z")
_NESTED = 6
"""How deep wrappings are looked into: base64 of JSON that holds JSON as text."""
# a few bytes tell two kinds of DER files that the library does not name: PKCS#12, and CMS
_PKCS12 = re.compile(rb"\x30(?:[\x00-\x7f]|[\x80-\x84].{0,4}?)\x02\x01\x03\x30", re.DOTALL)
_CMS = bytes.fromhex("06092a864886f70d010702")


class NotText(ValueError):
    """The bytes are no text in UTF-8 or UTF-16; the message says where, without the content."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One PEM block, or what may be the inside of one without its armour."""

    label: str
    der: bytes = field(repr=False)
    inside: str = field(repr=False, default="")


def encoding_of(head: bytes) -> str:
    """The encoding of a text file by its first bytes; UTF-8 where nothing speaks against it."""
    for bom, name in _BOMS:
        if head.startswith(bom):
            return "utf-8-sig" if name == "utf-8" else name
    sample = head[:64]
    if len(sample) >= 4 and len(sample) % 2 == 0:
        # ASCII in UTF-16 without a mark: every second byte is zero
        if not any(sample[1::2]) and all(sample[::2]):
            return "utf-16-le"
        if not any(sample[::2]) and all(sample[1::2]):
            return "utf-16-be"
    return "utf-8"


def text_of(raw: bytes) -> str:
    """The text of a file, without marks of its editor and with plain line ends. Raises NotText."""
    try:
        text = raw.decode(encoding_of(raw[:64]))
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise NotText(f"is not UTF-8 text (line {line})") from None
    # marks also stand inside, where files were joined
    return text.replace("\ufeff", "").replace("\r\n", "\n").replace("\r", "\n")


def trimmed(text: str) -> str:
    """Text without blanks, line ends and what cannot be seen at its edges."""
    return text.strip(_EDGES)


def unquoted(text: str) -> str:
    """Text without a pair of quotes around the whole of it."""
    text = trimmed(text)
    inside, quote = text[1:-1], text[:1]
    if len(text) < 2 or quote not in "\"'`" or text[-1] != quote:
        return text
    # "a", "b" is no text in quotes
    return text if quote in inside.replace(f"\\{quote}", "") else trimmed(inside)


def pieces(raw: bytes, *, depth: int = _NESTED) -> list[Piece]:
    """Every PEM block in a file; else the whole of it as DER, if it may be that."""
    if raw[:1] == b"\x30" and any(byte < 9 or byte > 126 for byte in raw[:64]):
        return [Piece("", raw)]
    try:
        text = text_of(raw)
    except NotText:
        return []
    # a key holds no backslash: it stands for a line end that was written as `\n`
    text = re.sub(r"\\+r(?:\\+n)?|\\+n|\\+(?=\n)", "\n", text)
    found = [_piece(label, inside) for label, inside in _ARMOUR.findall(text)]
    if found or depth == 0:
        return found
    inner = _base64(unquoted(text))
    if not inner:
        return []
    return pieces(inner, depth=depth - 1) or [Piece("", inner)]


def _piece(label: str, inside: str) -> Piece:
    return Piece(label, _base64(inside) or b"", inside)


def _base64(text: str) -> bytes | None:
    """What is wrapped in base64 of either alphabet, with or without padding; None if it is not."""
    packed = re.sub(r"[\s\"'`,;>\u00a0\u200b\u200c\u200d\u2060]+", "", text)
    if not _BASE64.fullmatch(packed):
        return None
    packed = packed.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(packed + "=" * (-len(packed) % 4), validate=True)
    except binascii.Error:
        return None


def armoured(piece: Piece) -> str:
    """A block as PEM with lines of 64 characters."""
    packed = base64.b64encode(piece.der).decode()
    lines = "\n".join(packed[at : at + 64] for at in range(0, len(packed), 64))
    label = piece.label or "PRIVATE KEY"
    return f"-----BEGIN {label}-----\n{lines}\n-----END {label}-----\n"


def private_key(raw: bytes) -> PrivateKeyTypes | None:
    """The private key in a file, of whatever algorithm; None where there is none to be read."""
    for piece in pieces(raw):
        try:
            return load_der_private_key(piece.der, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            pass
        if "OPENSSH" in piece.label:
            try:
                return load_pem_private_key(armoured(piece).encode(), password=None)
            except (ValueError, TypeError, UnsupportedAlgorithm):
                pass
    return None


def public_key(piece: Piece) -> PublicKeyTypes | None:
    """The public key that a block is, or that it certifies."""
    for load in (load_der_public_key, _certified):
        try:
            return load(piece.der)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            continue
    return None


def certificates(raw: bytes) -> bytes:
    """Every certificate in a file, PEM or not, as DER one after the other; b"" without any."""
    found = []
    for piece in pieces(raw):
        try:
            x509.load_der_x509_certificate(piece.der)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            continue
        found.append(piece.der)
    return b"".join(found)


def _certified(der: bytes) -> PublicKeyTypes:
    return x509.load_der_x509_certificate(der).public_key()


def document(raw: bytes, *, depth: int = _NESTED) -> Any:
    """The JSON in a file, out of whatever it is wrapped in. Raises ValueError where there is none.

    The message of the error tells the place, and nothing of the content.
    """
    text = trimmed(text_of(raw))
    try:
        found = json.loads(text, strict=False)
    except json.JSONDecodeError as error:
        wrong = f"is not JSON (line {error.lineno}, column {error.colno})"
    except (ValueError, RecursionError):
        wrong = "is not JSON"
    else:
        if isinstance(found, str) and depth:
            return document(found.encode("utf-8", "replace"), depth=depth - 1)
        return found
    if depth:
        for inner in _unwrapped(text):
            try:
                return document(inner, depth=depth - 1)
            except ValueError:
                continue
    raise ValueError(wrong)


def _unwrapped(text: str) -> list[bytes]:
    """What a text that is not JSON may hold as JSON: base64, an assignment, escaped quotes."""
    found = []
    if (bare := unquoted(text)) != text:
        found.append(bare.encode("utf-8", "replace"))
    tail = _BASE64_TAIL.search(text)
    if tail is not None and (inner := _base64(tail.group())) is not None:
        found.append(inner)
    start, end = text.find("{"), text.rfind("}")
    if 0 <= start < end and (start > 0 or end < len(text) - 1):
        found.append(text[start : end + 1].encode("utf-8", "replace"))
    if '\\"' in text:
        found.append(f'"{text}"'.encode("utf-8", "replace"))
    return found


# --- what else a file is -------------------------------------------------------------------------


def what_is(raw: bytes) -> str:
    """What a file is that is not what was expected, for people; "" where nobody can tell."""
    if raw.startswith((b"PK\x03\x04", b"\x1f\x8b")):
        return "a packed archive"
    if raw.startswith(b"bplist00"):
        return "a property list such as GoogleService-Info.plist, which is for the app"
    try:
        text = trimmed(text_of(raw))
    except NotText:
        text = ""
    else:
        if plain := _kind_of_text(text):
            return plain
    if "{" in text and not text.startswith("-----BEGIN"):
        try:
            return _kind_of_document(document(raw))
        except ValueError:
            return ""
    found = pieces(raw)
    return _kind_of_piece(found[-1], raw) if found else ""


def _kind_of_text(text: str) -> str:
    if not text:
        return "empty"
    if text.startswith("-----BEGIN") and _ARMOUR.search(text) is None:
        return "cut off: it has a BEGIN line and no END line that fits"
    if text.startswith("<"):
        if "GOOGLE_APP_ID" in text or "<plist" in text:
            return "a property list such as GoogleService-Info.plist, which is for the app"
        return "a web page"
    if re.fullmatch(r"AIza[\w-]{35}", text):
        return "an API key"
    if re.fullmatch(r"[\w-]{11}:[\w-]{100,}", text):
        return "a legacy server key, which Google has switched off"
    return ""


def _kind_of_piece(piece: Piece, raw: bytes) -> str:
    der = piece.der
    if "ENCRYPTED" in piece.label or "ENCRYPTED" in piece.inside:
        return "a private key that is locked with a passphrase"
    if private_key(raw) is not None:
        return "a private key"
    if _PKCS12.match(der[:32]):
        return "a .p12 file, which holds a certificate and its key"
    if _CMS in der[:32]:
        return "a provisioning profile or another signed file"
    loads = (
        ("a public key", load_der_public_key),
        ("a certificate", x509.load_der_x509_certificate),
        ("a request for a certificate", x509.load_der_x509_csr),
    )
    for name, load in loads:
        try:
            load(der)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            continue
        return name
    try:
        load_der_private_key(der, password=None)
    except TypeError:
        return "a private key that is locked with a passphrase"
    except (ValueError, UnsupportedAlgorithm):
        pass
    if piece.label:
        return "a damaged or cut off key or certificate"
    try:
        return _kind_of_document(document(der))
    except ValueError:
        return ""


_BY_TYPE = {
    "service_account": "a service account's key",
    "authorized_user": "a person's login (application default credentials of gcloud)",
    "external_account": "a configuration of workload identity federation",
    "external_account_authorized_user": "a configuration of workforce identity federation",
    "impersonated_service_account": "a login that impersonates a service account",
}


def _kind_of_document(found: Any) -> str:
    if isinstance(found, list):
        return _kind_of_document(found[0]) if len(found) == 1 else "a JSON list"
    if not isinstance(found, dict):
        return "JSON, and no object"
    if (kind := _BY_TYPE.get(str(found.get("type")))) is not None:
        return kind
    if found.keys() & {"installed", "web"}:
        return "an OAuth client file"
    if "project_info" in found:
        return "google-services.json, which is for the app"
    if found.keys() & {"apiKey", "authDomain", "messagingSenderId"}:
        return "the configuration of a web app"
    if "private_key" in found or "client_email" in found:
        return "a part of a service account's key"
    return ""
