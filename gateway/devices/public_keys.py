"""Public keys that user tokens may be signed for, and which algorithm each may be used with.

Owns the closed list of asymmetric algorithms and the fit of key and algorithm, which is what keeps
a token from choosing how it is checked. Fetches nothing and knows no claims.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from gateway.errors import ConfigurationError

KeyMaterial = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey | Ed448PublicKey
_KEY_TYPES = (RSAPublicKey, EllipticCurvePublicKey, Ed25519PublicKey, Ed448PublicKey)

_CURVES = {"ES256": "secp256r1", "ES384": "secp384r1"}
_EDDSA = "EdDSA"  # either of the two that follow
_EDWARDS = ("Ed25519", "Ed448")
ALGORITHMS = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", *_CURVES, _EDDSA, *_EDWARDS}
)
"""What a token may be signed with besides HS256 (RFC 7518, RFC 8037, RFC 9864)."""

MIN_RSA_BITS = 2048
"""RFC 7518, section 3.3."""
MAX_KEYS = 64
"""Keys read from one set: a token without `kid` is tried against all that fit."""

_PEM = re.compile(r"-----BEGIN ([A-Z ]*PUBLIC KEY)-----.+?-----END \1-----", re.DOTALL)


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key; `kid` and `algorithm` narrow what it is used for when its source gives them."""

    material: KeyMaterial
    kid: str | None = None
    algorithm: str | None = None

    def fits(self, algorithm: str, kid: str | None) -> bool:
        """Whether a token with this header may be checked with this key."""
        if self.algorithm not in (None, algorithm) and not self._has_two_names(algorithm):
            return False
        if self.kid is not None and kid is not None and self.kid != kid:
            return False
        return _fits(self.material, algorithm)

    def _has_two_names(self, algorithm: str) -> bool:
        """Whether the key and the token say the same by its old and its new name."""
        return self.algorithm in (_EDDSA, *_EDWARDS) and _fits(self.material, algorithm)


def _fits(material: KeyMaterial, algorithm: str) -> bool:
    if isinstance(material, RSAPublicKey):
        return algorithm[:2] in ("RS", "PS") and material.key_size >= MIN_RSA_BITS
    if isinstance(material, EllipticCurvePublicKey):
        return _CURVES.get(algorithm) == material.curve.name
    own = "Ed25519" if isinstance(material, Ed25519PublicKey) else "Ed448"
    return algorithm in (_EDDSA, own)


def load_pem(texts: Sequence[str]) -> list[PublicKey]:
    """Read PEM public keys; one text may hold several. Raises `ConfigurationError`."""
    keys = [_load_one(match.group()) for text in texts for match in _PEM.finditer(text)]
    if any(text.strip() for text in texts) and not keys:
        raise ConfigurationError(["auth.jwt_public_keys: no PEM public key was found"])
    return keys


def _load_one(pem: str) -> PublicKey:
    try:
        material = load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ConfigurationError(["auth.jwt_public_keys: a key cannot be read"]) from error
    if isinstance(material, _KEY_TYPES) and any(_fits(material, name) for name in ALGORITHMS):
        return PublicKey(material)
    expected = f"RSA of {MIN_RSA_BITS} bits or more, P-256, P-384 or Ed25519"
    raise ConfigurationError([f"auth.jwt_public_keys: a key is of an unfit kind: use {expected}"])


def parse_jwks(document: Any) -> list[PublicKey]:
    """Read a JWK set (RFC 7517), leaving out what is not a fit public signing key.

    Symmetric entries are left out as well: a published secret proves nothing. Raises `ValueError`
    when the document is no key set at all.
    """
    match document:
        case {"keys": [*entries]}:
            pass
        case _:
            raise ValueError("not a JWK set")
    keys = (_parse_jwk(entry) for entry in entries[:MAX_KEYS] if isinstance(entry, dict))
    return [key for key in keys if key is not None]


def _parse_jwk(entry: Mapping[str, Any]) -> PublicKey | None:
    if entry.get("use", "sig") != "sig" or "d" in entry:
        return None
    kid, algorithm = entry.get("kid"), entry.get("alg")
    try:
        match entry.get("kty"):
            case "RSA":
                material: Any = RSAAlgorithm.from_jwk(dict(entry))
            case "EC":
                material = ECAlgorithm.from_jwk(dict(entry))
            case "OKP":
                material = OKPAlgorithm.from_jwk(dict(entry))
            case _:
                return None
    except (jwt.PyJWTError, ValueError, TypeError, LookupError, UnsupportedAlgorithm):
        return None  # one bad entry must not take the others along
    if not isinstance(material, _KEY_TYPES):
        return None
    return PublicKey(
        material,
        kid if isinstance(kid, str) else None,
        algorithm if isinstance(algorithm, str) else None,
    )
