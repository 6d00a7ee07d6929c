"""The provider token of APNs: one for all, neither too old nor too young."""

from __future__ import annotations

from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from providers.apns.credentials import LIFE_S, ApnsCredentials
from providers.errors import CredentialError

KEY = ec.generate_private_key(ec.SECP256R1())
MINUTE = 60.0
NOW = 1_762_423_138.0


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


def credentials(clock: Clock) -> ApnsCredentials:
    return ApnsCredentials(KEY, "ABC123DEFG", "DEF123GHIJ", clock)


def pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def problems(file: Path, key_id: str = "ABC123DEFG", team_id: str = "DEF123GHIJ") -> str:
    with pytest.raises(CredentialError) as caught:
        ApnsCredentials.load(file, key_id, team_id, clock=Clock())
    return "\n".join(caught.value.problems)


def test_the_token_is_what_apple_asks_for() -> None:
    header = credentials(Clock()).header()
    token = header.removeprefix("bearer ")

    assert jwt.get_unverified_header(token) == {"alg": "ES256", "kid": "ABC123DEFG", "typ": "JWT"}
    claims = jwt.decode(
        token, KEY.public_key(), algorithms=["ES256"], options={"verify_iat": False}
    )
    assert claims == {"iss": "DEF123GHIJ", "iat": int(NOW)}


def test_a_token_is_shared_until_it_is_due_and_then_replaced() -> None:
    clock = Clock()
    shared = credentials(clock)
    first = shared.header()

    clock.now += 39 * MINUTE
    assert shared.header() == first
    clock.now += 2 * MINUTE
    assert shared.header() != first


def test_a_clock_that_was_set_back_gets_a_token_of_its_time() -> None:
    clock = Clock()
    shared = credentials(clock)
    first = shared.header()

    clock.now -= 5 * MINUTE

    assert shared.header() != first


def test_an_expired_token_is_replaced_once_for_all_who_complain() -> None:
    clock = Clock()
    shared = credentials(clock)
    first = shared.header()
    clock.now += 21 * MINUTE

    assert shared.expired(first)
    second = shared.header()
    assert second != first
    assert shared.expired(first)
    assert shared.header() == second


def test_a_young_token_is_not_replaced_however_often_it_is_called_expired() -> None:
    clock = Clock()
    shared = credentials(clock)
    first = shared.header()
    clock.now += 19 * MINUTE

    assert not shared.expired(first)
    assert shared.header() == first


def test_the_status_tells_the_tokens_end_and_the_last_success() -> None:
    clock = Clock()
    shared = credentials(clock)
    assert (shared.status.expires_at, shared.status.last_success_at) == (None, None)

    shared.header()
    clock.now += 5
    shared.accepted()

    assert shared.status.expires_at == NOW + LIFE_S
    assert shared.status.last_success_at == NOW + 5


def test_a_key_as_apple_gives_it_is_read(tmp_path: Path) -> None:
    file = tmp_path / "AuthKey.p8"
    file.write_bytes(pem(KEY))

    loaded = ApnsCredentials.load(file, "ABC123DEFG", "DEF123GHIJ", clock=Clock())

    assert loaded.header().startswith("bearer ")


def test_everything_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    told = problems(tmp_path / "none.p8", key_id="", team_id="DEF 123")

    assert "key_id" in told
    assert "team_id" in told
    assert "no such file" in told


def test_what_is_not_a_key_is_named_and_never_quoted(tmp_path: Path) -> None:
    file = tmp_path / "AuthKey.p8"
    for content, word in (
        (b"secret-of-somebody", "not a private key"),
        (pem(KEY).replace(b"M", b"!"), "not a private key"),
        (pem(ec.generate_private_key(ec.SECP384R1())), "P-256"),
        (pem(rsa.generate_private_key(public_exponent=65537, key_size=2048)), "P-256"),
    ):
        file.write_bytes(content)

        told = problems(file)

        assert word in told
        assert "secret-of-somebody" not in told


def test_a_folder_in_the_place_of_a_key_is_told(tmp_path: Path) -> None:
    assert "cannot be read" in problems(tmp_path)


def test_neither_key_nor_token_is_shown() -> None:
    shared = credentials(Clock())
    header = shared.header()

    assert header not in repr(shared)
    assert repr(shared) == "<ApnsCredentials key_id=ABC123DEFG>"
