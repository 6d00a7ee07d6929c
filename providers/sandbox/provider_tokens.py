"""APNs provider tokens: who signed this JWT, and is it still good.

Owns the check of the token a sender shows and the count of different ones. Facts: "Establishing
a token-based connection to APNs".
"""

from __future__ import annotations

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

from providers.sandbox.exchange import Session
from providers.sandbox.settings import Clock, Settings

MAX_AGE_S = 3600
UPDATE_INTERVAL_S = 1200
_CLOCK_SKEW_S = 60


class ProviderTokens:
    """Checks the tokens of the one team and key that the sandbox knows.

    A signature is checked once per token: senders show the same one with every push.
    """

    def __init__(
        self,
        key: EllipticCurvePublicKey,
        key_id: str,
        team_id: str,
        settings: Settings,
        clock: Clock,
    ) -> None:
        self._key = key
        self._key_id = key_id
        self._team_id = team_id
        self._settings = settings
        self._clock = clock
        self._issued_at: dict[bytes, float | None] = {}
        self.most_per_connection = 0

    @property
    def distinct(self) -> int:
        """How many different tokens were shown, good or bad."""
        return len(self._issued_at)

    def fault(self, authorization: bytes, session: Session) -> tuple[int, str] | None:
        """What APNs has against this `authorization` header: status and reason."""
        if authorization[:7].lower() != b"bearer " or not authorization[7:].strip():
            return 403, "MissingProviderToken"
        token = authorization[7:].strip()
        if token not in self._issued_at:
            self._issued_at[token] = self._read(token)
        issued_at = self._issued_at[token]
        now = self._clock()
        updated_too_soon = self._note(token, session, now)
        if issued_at is None or not self._settings.trust_apns_key:
            return 403, "InvalidProviderToken"
        if issued_at > now + _CLOCK_SKEW_S:
            return 403, "InvalidProviderToken"
        if now - issued_at > MAX_AGE_S:
            return 403, "ExpiredProviderToken"
        if updated_too_soon and self._settings.limit_token_updates:
            return 429, "TooManyProviderTokenUpdates"
        return None

    def _note(self, token: bytes, session: Session, now: float) -> bool:
        """Remember the token; true while the connection has replaced one within 20 minutes."""
        if token not in session.tokens:
            session.tokens[token] = now
            self.most_per_connection = max(self.most_per_connection, len(session.tokens))
        if len(session.tokens) < 2:
            return False
        *_, previous, newest = session.tokens.values()
        return token == next(reversed(session.tokens)) and newest - previous < UPDATE_INTERVAL_S

    def _read(self, token: bytes) -> float | None:
        """`iat` of a token that our key signed for our team, else None."""
        try:
            if jwt.get_unverified_header(token).get("kid") != self._key_id:
                return None
            claims = jwt.decode(
                token,
                self._key,
                algorithms=["ES256"],
                options={"verify_iat": False, "require": ["iss", "iat"]},
            )
        except jwt.InvalidTokenError:
            return None
        issued_at = claims["iat"]
        if claims["iss"] != self._team_id or not isinstance(issued_at, int | float):
            return None
        return float(issued_at)
