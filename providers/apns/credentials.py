"""The provider token of APNs: a JWT signed with the customer's key, the same everywhere.

Owns the key, and which token is in force. Refuses to know connections: all of them share one token,
because Apple counts new ones and answers 429 TooManyProviderTokenUpdates. So that all replicas and
apps show the same token without telling each other, it is made of the key and the clock alone: its
`iat` stands still for 50 minutes, and its signature is deterministic (RFC 6979).

Source: Apple, "Establishing a token-based connection to APNs": a token is valid for an hour and
must not be replaced within 20 minutes.
"""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from providers import pasted
from providers.contract import CredentialStatus
from providers.errors import CredentialError

__all__ = ["ApnsCredentials", "CredentialError"]

PERIOD_S = 50 * 60
"""How long one token is in force: between Apple's 20 and 60 minutes, with room for clocks that
differ."""

SHIFT_S = 25 * 60
"""How much later than the first the second key of a team changes its token: so tokens of a team
change at least 20 minutes apart."""

YOUNGEST_RENEWAL_S = 20 * 60
LIFE_S = 60 * 60
LAST_USE_S = 58 * 60
"""The age at which a token is left at the latest, wherever a younger one is not welcome."""

_STEP_BACK_S = 60
"""How far a clock may be set back without another token: NTP corrects itself by less."""

# Apple's have 10 characters of A-Z and 0-9; a stand-in's need not, and a wrong one is told by APNs.
_ID = re.compile(r"[A-Za-z0-9]{1,64}\Z")

_in_use: WeakValueDictionary[tuple[Any, ...], ApnsCredentials] = WeakValueDictionary()


class ApnsCredentials:
    """A signing key and the one provider token made with it. `clock`: epoch seconds.

    `is_second`: the token changes half a period later, for the key is the second of its team.
    """

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
        self.is_second = False
        self._header = ""
        #: from when to when the token in force is: its `iat`, less what a clock may be set back
        self._from = self._until = 0.0
        self._issued_at = 0
        self._before: tuple[str, int] | None = None
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

        While the same key is in use, for another app or from before a reload, this is the same
        object. `prefix` stands before the names of settings: "sandbox_" for the second key.
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
        public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        made = cls(key, key_id, team_id, clock)
        return _in_use.setdefault((public, key_id, team_id, clock), made)

    def header(self) -> str:
        """The authorization header in force."""
        now = self._clock()
        if not self._from <= now < self._until:
            self._change(self._began(now))
        return self._header

    def expired(self, header: str) -> bool:
        """APNs called the token of this header expired. True: another one is in force now.

        It is one of the same period, in steps of 20 minutes, so that others who are told the same
        take the same. False: the token is younger than 20 minutes. Not its age is wrong, then, but
        a clock, and one more token would only be one too many.
        """
        if header != self._header:
            return True
        now = self._clock()
        steps = int(now - self._issued_at) // YOUNGEST_RENEWAL_S
        if steps <= 0:
            return False
        until = max(self._until, now + YOUNGEST_RENEWAL_S)
        self._change(self._issued_at + steps * YOUNGEST_RENEWAL_S)
        self._until = until
        return True

    def too_many(self, header: str) -> None:
        """APNs refused the token of this header, for tokens change too often: while the one before
        is good, it stays."""
        now = self._clock()
        if header == self._header and self._before is not None:
            before, issued_at = self._before
            if now < issued_at + LAST_USE_S:
                self._header, self._issued_at = before, issued_at
                self._from, self._until = now - _STEP_BACK_S, issued_at + LAST_USE_S
            self._before = None

    def accepted(self) -> None:
        """APNs took the token."""
        self._last_success_at = self._clock()

    @property
    def status(self) -> CredentialStatus:
        """Until when the token in force is valid, and when APNs last took one."""
        expires_at = float(self._issued_at + LIFE_S) if self._header else None
        return CredentialStatus(expires_at, self._last_success_at)

    # --- inside ---------------------------------------------------------------------------------

    def _began(self, now: float) -> int:
        """When the period began that this moment is in."""
        shift = SHIFT_S if self.is_second else 0
        return int(now - shift) // PERIOD_S * PERIOD_S + shift

    def _change(self, issued_at: int) -> None:
        """Put the token of this `iat` in force, until its period ends."""
        if self._header and issued_at != self._issued_at:
            self._before = self._header, self._issued_at
        self._header = f"bearer {self._sign(issued_at)}"
        self._issued_at = issued_at
        self._from, self._until = issued_at - _STEP_BACK_S, issued_at + PERIOD_S

    def _sign(self, issued_at: int) -> str:
        head = {"alg": "ES256", "kid": self.key_id, "typ": "JWT"}
        signed = f"{_coded(head)}.{_coded({'iat': issued_at, 'iss': self.team_id})}"
        r, s = decode_dss_signature(self._key.sign(signed.encode(), _signature()))
        return f"{signed}.{_base64(r.to_bytes(32) + s.to_bytes(32))}"


def _signature() -> ec.ECDSA:
    """Signatures that are the same wherever they are made."""
    try:
        return ec.ECDSA(SHA256(), deterministic_signing=True)
    except UnsupportedAlgorithm:
        # an OpenSSL before 3.2: each process has a token of its own, of the same `iat`
        return ec.ECDSA(SHA256())


def _coded(part: dict[str, Any]) -> str:
    return _base64(json.dumps(part, sort_keys=True, separators=(",", ":")).encode())


def _base64(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")


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
