"""The OAuth token endpoint: a signed JWT grant in, an access token out.

Owns the access tokens of the sandbox. Refuses to know HTTP servers: the control listener serves
it. Facts: RFC 7523 and Google's "Using OAuth 2.0 for server to server applications".
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from secrets import token_urlsafe
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from providers.sandbox.settings import Clock, Settings

GRANT_TYPE = "urn:ietf:params:oauth:grant-type:jwt-bearer"
SCOPES = frozenset(
    {
        "https://www.googleapis.com/auth/firebase.messaging",
        "https://www.googleapis.com/auth/cloud-platform",
    }
)
GOOGLE_AUDIENCE = "https://oauth2.googleapis.com/token"
"""google-auth names this one as audience, whatever `token_uri` the key file has."""

MAX_GRANT_LIFE_S = 3600
_CLOCK_SKEW_S = 60
_NOT_TIMELY = (
    "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. "
    "Check your iat and exp values in the JWT claim."
)


class AccessTokens:
    """The access tokens in force: opaque, each with its end in epoch seconds."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ends: dict[bytes, float] = {}
        self.issued = 0

    def issue(self, life_s: int) -> str:
        """Make a token that works from now on for this long."""
        token = "ya29." + token_urlsafe(48)
        self._ends[b"Bearer " + token.encode()] = self._clock() + life_s
        self.issued += 1
        return token

    def accepts(self, authorization: bytes) -> bool:
        """Whether this header shows a token in force."""
        end = self._ends.get(authorization)
        if end is None and authorization[:7].lower() == b"bearer ":
            end = self._ends.get(b"Bearer " + authorization[7:])
        return end is not None and self._clock() < end

    def revoke_all(self) -> None:
        """Make every token issued so far worthless."""
        self._ends.clear()


@dataclass(slots=True)
class Grants:
    """Checks grants against the one known service account."""

    key: RSAPublicKey
    client_email: str
    token_uri: str
    tokens: AccessTokens
    settings: Settings
    clock: Clock
    calls: int = 0
    refused: dict[str, int] = field(default_factory=dict)

    async def exchange(self, form: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        """Answer one call of the token endpoint: status and JSON body."""
        self.calls += 1
        if self.settings.oauth_delay_s:
            await asyncio.sleep(self.settings.oauth_delay_s)
        if self.settings.oauth_status != 200:
            return self._refuse(self.settings.oauth_status, "internal_failure", "Told to fail.")
        if form.get("grant_type") != GRANT_TYPE:
            return self._refuse(400, "unsupported_grant_type", f"Invalid grant_type: {GRANT_TYPE}")
        fault = self._fault(str(form.get("assertion", "")))
        if fault is not None:
            return self._refuse(400, *fault)
        life_s = self.settings.oauth_expires_in
        token = self.tokens.issue(life_s)
        return 200, {"access_token": token, "expires_in": life_s, "token_type": "Bearer"}

    def _refuse(self, status: int, error: str, text: str) -> tuple[int, dict[str, Any]]:
        self.refused[error] = self.refused.get(error, 0) + 1
        return status, {"error": error, "error_description": text}

    def _fault(self, assertion: str) -> tuple[str, str] | None:
        """What is wrong with a grant, as OAuth error and description."""
        try:
            claims = jwt.decode(
                assertion,
                self.key,
                algorithms=["RS256"],
                options={"verify_exp": False, "verify_iat": False, "verify_aud": False},
            )
        except jwt.InvalidTokenError:
            return "invalid_grant", "Invalid JWT Signature."
        if claims.get("iss") != self.client_email:
            return "invalid_grant", "Invalid grant: account not found"
        if claims.get("aud") not in (self.token_uri, GOOGLE_AUDIENCE):
            return "invalid_grant", "Invalid JWT: audience is not the token endpoint."
        if not self._is_timely(claims):
            return "invalid_grant", _NOT_TIMELY
        if SCOPES.isdisjoint(str(claims.get("scope", "")).split()):
            return "invalid_scope", "Invalid OAuth scope or ID token audience provided."
        return None

    def _is_timely(self, claims: Mapping[str, Any]) -> bool:
        now = self.clock()
        issued_at, expires_at = claims.get("iat"), claims.get("exp")
        if not isinstance(issued_at, int | float) or not isinstance(expires_at, int | float):
            return False
        return (
            issued_at - _CLOCK_SKEW_S <= now < expires_at
            and expires_at - issued_at <= MAX_GRANT_LIFE_S + _CLOCK_SKEW_S
        )
