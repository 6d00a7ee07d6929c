"""Throw-away keys and certificates, in the files a real project would have.

Owns the sandbox's identity on disk: service account, APNs key, certificate authority. Refuses
to know listeners. Nothing here opens anything but a sandbox.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from providers.sandbox.certificates import Certificates, make_certificates

PROJECT_ID = "inkpush-sandbox"
KEY_ID = "INKPUSHKEY"
TEAM_ID = "INKPUSHDEV"
TOPIC = "com.example.inkpush"
CLIENT_EMAIL = f"push@{PROJECT_ID}.iam.gserviceaccount.com"

_FCM_FILE = "fcm-service-account.json"
_APNS_FILE = f"AuthKey_{KEY_ID}.p8"
_WRONG_APNS_FILE = "AuthKey_WRONGWRONG.p8"
_CA_FILE = "ca.pem"
_SERVER_FILE = "server.pem"
_FILES = (_FCM_FILE, _APNS_FILE, _WRONG_APNS_FILE, _CA_FILE, _SERVER_FILE)


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a gateway needs to talk to a sandbox. `wrong_apns_key_file` is a key it rejects."""

    fcm_file: Path
    apns_key_file: Path
    wrong_apns_key_file: Path
    ca_file: Path
    project_id: str = PROJECT_ID
    key_id: str = KEY_ID
    team_id: str = TEAM_ID
    topic: str = TOPIC


def control_url(directory: Path) -> str:
    """Where the sandbox that last wrote its files here is told things: beside its token endpoint.
    OSError, ValueError or KeyError: it is no sandbox's directory."""
    account = json.loads((directory / _FCM_FILE).read_text())
    return str(account["token_uri"]).removesuffix("/token")


@dataclass(frozen=True, slots=True, repr=False)
class Identity:
    """The keys of one sandbox, in memory."""

    service_account_pem: bytes
    apns_pem: bytes
    wrong_apns_pem: bytes
    certificates: Certificates

    @classmethod
    def make(cls, names: Sequence[str] = ()) -> Identity:
        """New keys; `names` are host names of the server besides those of loopback."""
        return cls(_service_account_pem(), _p256_pem(), _p256_pem(), make_certificates(names))

    @classmethod
    def load(cls, directory: Path) -> Identity | None:
        """The keys of an earlier run, or None if it left none or not all of them."""
        try:
            files = {name: (directory / name).read_bytes() for name in _FILES}
        except FileNotFoundError:
            return None
        account = json.loads(files[_FCM_FILE])
        return cls(
            account["private_key"].encode(),
            files[_APNS_FILE],
            files[_WRONG_APNS_FILE],
            Certificates(files[_CA_FILE], files[_SERVER_FILE]),
        )

    @property
    def service_account_key(self) -> rsa.RSAPublicKey:
        """What the token endpoint checks grants with."""
        key = serialization.load_pem_private_key(self.service_account_pem, None)
        assert isinstance(key, rsa.RSAPrivateKey)
        return key.public_key()

    @property
    def apns_key(self) -> ec.EllipticCurvePublicKey:
        """What APNs checks provider tokens with."""
        key = serialization.load_pem_private_key(self.apns_pem, None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return key.public_key()

    def write(self, directory: Path, token_uri: str) -> Credentials:
        """Write all files, readable by their owner alone, and say where they are."""
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        account = json.dumps(_service_account(self.service_account_pem, token_uri), indent=2)
        _write(directory / _FCM_FILE, account.encode())
        _write(directory / _APNS_FILE, self.apns_pem)
        _write(directory / _WRONG_APNS_FILE, self.wrong_apns_pem)
        _write(directory / _CA_FILE, self.certificates.ca_pem)
        _write(directory / _SERVER_FILE, self.certificates.server_pem)
        return Credentials(
            fcm_file=directory / _FCM_FILE,
            apns_key_file=directory / _APNS_FILE,
            wrong_apns_key_file=directory / _WRONG_APNS_FILE,
            ca_file=directory / _CA_FILE,
        )


def server_file(directory: Path) -> Path:
    """Where the certificate chain and key of the TLS listeners are."""
    return directory / _SERVER_FILE


def _service_account(private_pem: bytes, token_uri: str) -> dict[str, str]:
    """The JSON that the Firebase console hands out, with our own token endpoint."""
    return {
        "type": "service_account",
        "project_id": PROJECT_ID,
        "private_key_id": "0" * 40,
        "private_key": private_pem.decode(),
        "client_email": CLIENT_EMAIL,
        "client_id": "100000000000000000000",
        "auth_uri": "https://accounts.google.com/o/oauth2/auth",
        "token_uri": token_uri,
        "auth_provider_x509_cert_url": "https://www.googleapis.com/oauth2/v1/certs",
        "client_x509_cert_url": "https://www.googleapis.com/robot/v1/metadata/x509/sandbox",
        "universe_domain": "googleapis.com",
    }


@cache
def _service_account_pem() -> bytes:
    """One RSA key per process: making one costs more than a whole small test."""
    return _pkcs8(rsa.generate_private_key(public_exponent=65537, key_size=2048))


def _p256_pem() -> bytes:
    return _pkcs8(ec.generate_private_key(ec.SECP256R1()))


def _pkcs8(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _write(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, 0o600)
        file.write(content)
