"""User tokens: what a JWT of the customer's backend proves.

Owns every check on a token. The token never chooses how it is checked: HS256 goes with the shared
secret alone, every other algorithm with a public key of its own kind. An error names the claim and
what kind of thing it holds, and no part of the token.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from jwt.algorithms import OKPAlgorithm

from gateway.core.clocks import Clocks
from gateway.core.identifiers import id_fault
from gateway.core.model import UserRef
from gateway.devices.jwks import RemoteKeys
from gateway.devices.public_keys import ALGORITHMS, PublicKey

LEEWAY_S = 30.0
"""How far the customer's clock may be off."""
MAX_TOKEN = 8_000
"""Characters a token may have; aiohttp takes no longer header line either."""

_FAR = 1e15
_EDWARDS = ("Ed25519", "Ed448")


def _signatures() -> jwt.PyJWS:
    """PyJWT's signatures, with the names that RFC 9864 gives to what it knows as EdDSA."""
    signatures = jwt.PyJWS()
    known = signatures.get_algorithms()
    for name in _EDWARDS:
        if name not in known:
            signatures.register_algorithm(name, OKPAlgorithm())
    return signatures


_SIGNATURES = _signatures()

SubjectKind = Literal["user_id", "custom_id"]


class BadToken(ValueError):
    """Why a token proves nothing."""


class TimeDoubted(Exception):
    """Why a token would prove nothing, were this machine's clock not doubted."""


class TokenVerifier:
    """Checks tokens against the configured keys, `issuer` and `audience` ("" is not checked).

    `subject` says which of a user's ids the claim `sub` holds.
    """

    def __init__(
        self,
        *,
        secret: str,
        keys: Sequence[PublicKey],
        remote: RemoteKeys | None,
        issuer: str,
        audience: str,
        subject: SubjectKind,
        clocks: Clocks,
    ) -> None:
        # HMAC fills short keys up with zero bytes (RFC 2104). Doing so here yields the same key;
        # PyJWT else warns at every request, while `inkpush check` is the place for that advice.
        self._secret = secret.encode().ljust(32, b"\0") if secret else b""
        self._keys = list(keys)
        self._remote = remote
        self._issuer = issuer or None
        self._audience = audience or None
        self._subject: SubjectKind = subject
        self._clocks = clocks

    async def verify(self, token: str) -> UserRef:
        """Tell which ids the token proves. Raises `BadToken`; for now only,
        `KeysUnavailable` or `TimeDoubted`."""
        if token.count(".") != 2:
            raise BadToken("neither a user token, which has three parts, nor an API key, ik_...")
        if len(token) > MAX_TOKEN or not token.isascii():
            raise BadToken("the token is malformed")
        algorithm, kid = _read_header(token)
        claims = self._decode(token, algorithm, self._local(algorithm, kid))
        if claims is None and self._remote is not None and algorithm in ALGORITHMS:
            published = await self._remote.find(algorithm, kid)
            claims = self._decode(token, algorithm, [key.material for key in published])
        if claims is None:
            raise BadToken("the token is not signed with a key this gateway knows")
        self._check_origin(claims)
        proven = self._proven(claims)
        self._check_times(claims)
        return proven

    def _local(self, algorithm: str, kid: str | None) -> list[Any]:
        """The configured keys for this algorithm; this is where the secret and HS256 meet."""
        if algorithm == "HS256":
            return [self._secret] if self._secret else []
        if algorithm not in ALGORITHMS:
            return []
        return [key.material for key in self._keys if key.fits(algorithm, kid)]

    def _decode(self, token: str, algorithm: str, keys: Sequence[Any]) -> dict[str, Any] | None:
        """The claims, or None when none of the keys made the signature."""
        for key in keys:
            try:
                payload = _SIGNATURES.decode(token, key, algorithms=[algorithm])
            except jwt.InvalidSignatureError:
                continue
            except _FOREIGN as error:
                raise BadToken("the token is malformed") from error
            return _read_claims(payload)
        return None

    def _check_origin(self, claims: Mapping[str, Any]) -> None:
        """Who made the token and for whom, as far as that is configured."""
        if self._issuer is not None and _text(claims, "iss") != self._issuer:
            raise BadToken("the token comes from another issuer: `iss` is a text, not auth.issuer")
        if self._audience is None:
            return
        audience = claims.get("aud")
        if not isinstance(audience, list):
            audience = [_text(claims, "aud")]
        if self._audience not in audience:
            kind = _kind(claims["aud"])
            raise BadToken(
                f"the token is meant for another audience: `aud` is {kind} without auth.audience"
            )

    def _check_times(self, claims: Mapping[str, Any]) -> None:
        now = self._clocks.wall()
        expires, begins = _number(claims, "exp"), _number(claims, "nbf")
        bad = TimeDoubted if self._clocks.doubted() else BadToken
        if expires is not None and now >= expires + LEEWAY_S:
            raise bad("the token has expired: `exp` is past")
        if begins is not None and now < begins - LEEWAY_S:
            raise bad("the token is not valid yet: `nbf` is still to come")

    def _proven(self, claims: Mapping[str, Any]) -> UserRef:
        subject = _identifier(claims, "sub")
        if subject is None:
            raise BadToken("the token lacks the claim `sub`")
        if self._subject == "custom_id":
            return UserRef(user_id=_identifier(claims, "user_id"), custom_id=subject)
        return UserRef(user_id=subject, custom_id=_identifier(claims, "custom_id"))


# PyJWT lets these through for hostile input: RecursionError from deeply nested JSON, others from
# claims of unforeseen types and from keys the installed OpenSSL does not do.
_FOREIGN = (
    jwt.PyJWTError,
    ValueError,
    TypeError,
    OverflowError,
    RecursionError,
    UnsupportedAlgorithm,
)


def _read_header(token: str) -> tuple[str, str | None]:
    try:
        header = jwt.get_unverified_header(token)
    except _FOREIGN as error:
        raise BadToken("the token is malformed") from error
    algorithm, kid = header.get("alg"), header.get("kid")
    if "crit" in header or "b64" in header:
        raise BadToken("the token asks for an extension that is not supported")
    if not isinstance(algorithm, str):
        raise BadToken(f"`alg` is {_kind(algorithm)}, and must be a text")
    if not (kid is None or isinstance(kid, str)):
        raise BadToken(f"`kid` is {_kind(kid)}, and must be a text")
    return algorithm, kid


def _read_claims(payload: bytes) -> dict[str, Any]:
    try:
        claims = json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise BadToken("the token's claims are not JSON") from error
    if not isinstance(claims, dict):
        raise BadToken(f"the token's claims are {_kind(claims)}, and must be an object")
    return claims


def _kind(value: Any) -> str:
    """What kind of thing a claim holds, and nothing of it."""
    match value:
        case None:
            return "null"
        case bool():
            return "a truth value"
        case int() | float():
            return "a number"
        case str():
            return "a text"
        case list():
            return "a list"
        case _:
            return "an object"


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name)
    if name not in claims:
        raise BadToken(f"the token lacks the claim `{name}`")
    if not isinstance(value, str):
        raise BadToken(f"`{name}` is {_kind(value)}, and must be a text")
    return value


def _number(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadToken(f"`{name}` is {_kind(value)}, and must be a number of seconds")
    # The bound keeps out NaN, infinities and integers that no float can hold.
    if not abs(value) < _FAR:
        raise BadToken(f"`{name}` is a number that is no time")
    return value


def _identifier(claims: Mapping[str, Any], name: str) -> str | None:
    if claims.get(name) is None:
        return None
    value = _text(claims, name)
    if fault := id_fault(value):
        raise BadToken(f"`{name}` is no user id: it {fault}")
    return value
