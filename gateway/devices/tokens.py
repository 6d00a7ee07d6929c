"""User tokens: what a JWT of the customer's backend proves.

Owns every check on a token. The token never chooses how it is checked: HS256 goes with the shared
secret alone, every other algorithm with a public key of its own kind. Texts of errors hold no part
of the token.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NoReturn, cast

import jwt
from cryptography.exceptions import UnsupportedAlgorithm

from gateway.core.clocks import WallClock
from gateway.core.identifiers import id_fault
from gateway.core.model import UserRef
from gateway.devices.jwks import RemoteKeys
from gateway.devices.public_keys import ALGORITHMS, PublicKey

LEEWAY_S = 30.0
"""How far the customer's clock may be off."""
MAX_TOKEN = 8_000
"""Characters a token may have; aiohttp takes no longer header line either."""

_FAR = 1e15

SubjectKind = Literal["user_id", "custom_id"]


class BadToken(ValueError):
    """Why a token proves nothing."""


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
        clock: WallClock,
    ) -> None:
        # HMAC fills short keys up with zero bytes (RFC 2104). Doing so here yields the same key;
        # PyJWT else warns at every request, while `inkpush check` is the place for that advice.
        self._secret = secret.encode().ljust(32, b"\0") if secret else b""
        self._keys = list(keys)
        self._remote = remote
        self._issuer = issuer or None
        self._audience = audience or None
        self._subject: SubjectKind = subject
        self._clock = clock

    async def verify(self, token: str) -> UserRef:
        """Tell which ids the token proves. Raises `BadToken`, or `KeysUnavailable` for now."""
        if len(token) > MAX_TOKEN or not token.isascii():
            raise BadToken("the token is malformed")
        algorithm, kid = _read_header(token)
        claims = self._decode(token, algorithm, self._local(algorithm, kid))
        if claims is None and self._remote is not None and algorithm in ALGORITHMS:
            published = await self._remote.find(algorithm, kid)
            claims = self._decode(token, algorithm, [key.material for key in published])
        if claims is None:
            raise BadToken("the token is not signed with a key this gateway knows")
        self._check_times(claims)
        return self._proven(claims)

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
                return jwt.decode(
                    token,
                    key,
                    algorithms=[algorithm],
                    issuer=self._issuer,
                    audience=self._audience,
                    options={
                        "require": ["sub"],
                        "verify_aud": self._audience is not None,
                        "verify_iss": self._issuer is not None,
                        "verify_jti": False,
                        # times are checked here, against the gateway's own clock
                        "verify_exp": False,
                        "verify_nbf": False,
                        "verify_iat": False,
                    },
                )
            except jwt.InvalidSignatureError:
                continue
            except _FOREIGN as error:
                _refuse(error)
        return None

    def _check_times(self, claims: Mapping[str, Any]) -> None:
        now = self._clock()
        expires, begins = _number(claims, "exp"), _number(claims, "nbf")
        if expires is not None and now >= expires + LEEWAY_S:
            raise BadToken("the token has expired")
        if begins is not None and now < begins - LEEWAY_S:
            raise BadToken("the token is not valid yet")

    def _proven(self, claims: Mapping[str, Any]) -> UserRef:
        subject = _identifier(claims, "sub")
        if subject is None:
            raise BadToken("the token names no user in `sub`")
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
    if not isinstance(algorithm, str) or not (kid is None or isinstance(kid, str)):
        raise BadToken("the token is malformed")
    return algorithm, kid


def _refuse(error: BaseException) -> NoReturn:
    """Translate at the border: PyJWT's own words may quote the token."""
    match error:
        case jwt.InvalidAudienceError():
            reason = "the token is meant for another audience"
        case jwt.InvalidIssuerError():
            reason = "the token comes from another issuer"
        case jwt.MissingRequiredClaimError():
            reason = "the token lacks a claim: sub, iss and aud are looked at"
        case _:
            reason = "the token is malformed"
    raise BadToken(reason) from error


def _number(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    # The bound keeps out NaN, infinities and integers that no float can hold.
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _FAR:
        raise BadToken(f"`{name}` is not a time")
    return value


def _identifier(claims: Mapping[str, Any], name: str) -> str | None:
    value = claims.get(name)
    if value is None:
        return None
    if fault := id_fault(value):
        raise BadToken(f"`{name}` is no user id: it {fault}")
    return cast("str", value)
