"""The provider token of APNs: a JWT signed with the customer's key.

Owns the key and how old a token may be. Refuses to know connections: all of them share one token,
because Apple counts new ones and answers 429 TooManyProviderTokenUpdates.

Source: Apple, "Establishing a token-based connection to APNs": a token is valid for an hour and
must not be replaced within 20 minutes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

from providers import pasted
from providers.contract import CredentialStatus
from providers.errors import CredentialError

__all__ = ["ApnsCredentials", "CredentialError"]

RENEW_AFTER_S = 40 * 60.0
"""Between Apple's 20 and 60 minutes, with room for clocks that differ."""

YOUNGEST_RENEWAL_S = 20 * 60.0
LIFE_S = 60 * 60.0

# Apple's have 10 characters of A-Z and 0-9; a stand-in's need not, and a wrong one is told by APNs.
_ID = re.compile(r"[A-Za-z0-9]{1,64}\Z")


class ApnsCredentials:
    """A signing key and the one provider token made with it. `clock`: epoch seconds."""

    def __init__(
        self,
        key: ec.EllipticCurvePrivateKey,
        key_id: str,
        team_id: str,
        clock: Callable[[], float],
    ) -> None:
        self._key = key
        self.key_id = key_id
        self.team_id = team_id
        self._clock = clock
        self._header = ""
        self._minted_at = 0.0
        self._last_success_at: float | None = None

    def __repr__(self) -> str:
        return f"<ApnsCredentials key_id={self.key_id}>"

    @classmethod
    def load(
        cls,
        key_file: str | Path,
        key_id: str,
        team_id: str,
        *,
        clock: Callable[[], float],
        prefix: str = "",
    ) -> ApnsCredentials:
        """Read a .p8 key. Raises CredentialError with everything that is wrong at once.

        `prefix` stands before the names of settings: "sandbox_" for the second key.
        """
        problems = [
            f"{name}: must be letters and digits: the 10 that Apple's developer account shows "
            f"as the {label}."
            for name, label, value in (
                (f"{prefix}key_id", "Key ID", key_id),
                ("team_id", "Team ID", team_id),
            )
            if not _ID.match(value)
        ]
        key: ec.EllipticCurvePrivateKey | None = None
        try:
            key = _load_key(Path(key_file), f"{prefix}key_file {key_file}")
        except CredentialError as error:
            problems += error.problems
        if problems or key is None:
            raise CredentialError(problems)
        return cls(key, key_id, team_id, clock)

    def header(self) -> str:
        """The authorization header in force; a new token when the last one is 40 minutes old."""
        now = self._clock()
        # a clock that was set back makes a token from the future, which APNs refuses as well
        if not self._header or not 0 <= now - self._minted_at < RENEW_AFTER_S:
            self._mint(now)
        return self._header

    def expired(self, header: str) -> bool:
        """APNs called the token of this header expired. True: another one is in force now.

        False: the token is younger than 20 minutes. Not its age is wrong, then, but a clock, and
        one more token would only be one too many.
        """
        if header != self._header:
            return True
        now = self._clock()
        if 0 <= now - self._minted_at < YOUNGEST_RENEWAL_S:
            return False
        self._mint(now)
        return True

    def accepted(self) -> None:
        """APNs took the token."""
        self._last_success_at = self._clock()

    @property
    def status(self) -> CredentialStatus:
        """Until when the token in force is valid, and when APNs last took one."""
        expires_at = self._minted_at + LIFE_S if self._header else None
        return CredentialStatus(expires_at, self._last_success_at)

    def _mint(self, now: float) -> None:
        token = jwt.encode(
            {"iss": self.team_id, "iat": int(now)},
            self._key,
            algorithm="ES256",
            headers={"kid": self.key_id},
        )
        self._header = f"bearer {token}"
        self._minted_at = now


def _load_key(path: Path, where: str) -> ec.EllipticCurvePrivateKey:
    try:
        raw = path.read_bytes()
    except FileNotFoundError as error:
        raise CredentialError(
            [f"{where}: no such file; download the .p8 key from Apple's account."]
        ) from error
    except OSError as error:
        raise CredentialError([f"{where}: cannot be read ({error.strerror})."]) from error
    key = pasted.private_key(raw)
    if key is None:
        kind = pasted.what_is(raw)
        but = f" but {kind}" if kind else ""
        raise CredentialError(
            [f"{where}: not a private key{but}; it must be the .p8 file as Apple gave it."]
        )
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        kind = pasted.what_is(raw)
        but = f" but {kind}" if kind != "a private key" else ""
        told = (
            f"{where}: not an APNs key{but}; Apple's keys (AuthKey_....p8, from its developer "
            "account under Keys) are on the curve P-256."
        )
        raise CredentialError([told])
    return key
