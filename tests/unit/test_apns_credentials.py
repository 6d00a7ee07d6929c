"""The provider token of APNs: one for all, neither too old nor too young."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from providers.apns.credentials import LIFE_S, PERIOD_S, ApnsCredentials
from providers.errors import CredentialError

KEY = ec.generate_private_key(ec.SECP256R1())
MINUTE = 60.0
NOW = 1_762_423_138.0
PERIOD = NOW // PERIOD_S * PERIOD_S
"""When the period began that NOW is in: 19 minutes before."""


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


def iat(header: str) -> int:
    """When a token says that it was issued, once its signature is checked."""
    claims = jwt.decode(
        header.removeprefix("bearer "),
        KEY.public_key(),
        algorithms=["ES256"],
        options={"verify_iat": False},
    )
    assert claims["iss"] == "DEF123GHIJ"
    return int(claims["iat"])


def test_the_token_is_what_apple_asks_for() -> None:
    header = credentials(Clock()).header()

    head = jwt.get_unverified_header(header.removeprefix("bearer "))
    assert head == {"alg": "ES256", "kid": "ABC123DEFG", "typ": "JWT"}
    assert iat(header) == PERIOD


def test_a_token_is_the_same_wherever_and_whenever_in_its_period_it_is_made() -> None:
    clock, later = Clock(), Clock()
    later.now = PERIOD + 50 * MINUTE - 1

    assert credentials(clock).header() == credentials(later).header()


def test_a_token_is_in_force_for_fifty_minutes() -> None:
    clock = Clock()
    shared = credentials(clock)
    first = shared.header()

    clock.now = PERIOD + 50 * MINUTE - 1
    assert shared.header() == first
    clock.now += 1
    assert iat(shared.header()) == PERIOD + 50 * MINUTE


def test_the_second_key_of_a_team_changes_its_token_in_between() -> None:
    clock = Clock()
    second = credentials(clock)
    second.is_second = True

    assert iat(second.header()) == PERIOD - 25 * MINUTE
    clock.now = PERIOD + 25 * MINUTE
    assert iat(second.header()) == PERIOD + 25 * MINUTE


def test_a_key_that_becomes_the_second_keeps_its_token_to_its_end() -> None:
    clock = Clock()
    shared = credentials(clock)
    first = shared.header()

    shared.is_second = True
    clock.now = PERIOD + 50 * MINUTE - 1
    assert shared.header() == first
    clock.now = PERIOD + 50 * MINUTE
    assert iat(shared.header()) == PERIOD + 25 * MINUTE


def test_a_clock_that_ntp_sets_back_changes_no_token() -> None:
    clock = Clock()
    clock.now = PERIOD + 1
    shared = credentials(clock)
    first = shared.header()

    clock.now -= 30

    assert shared.header() == first


def test_a_clock_that_was_set_back_far_gets_a_token_of_its_time() -> None:
    clock = Clock()
    shared = credentials(clock)
    shared.header()

    clock.now -= 60 * MINUTE

    assert iat(shared.header()) <= clock.now


@pytest.mark.parametrize(
    ("age", "later", "until"), [(20, 20, 50), (39, 20, 59), (40, 40, 60), (49, 40, 69)]
)
def test_an_expired_token_is_replaced_by_the_same_one_for_all_who_complain(
    age: int, later: int, until: int
) -> None:
    """The clock is late, so a token of now is good, and one from the future would not be."""
    clock = Clock()
    one, other = credentials(clock), credentials(clock)
    first = one.header()
    assert other.header() == first
    clock.now = PERIOD + age * MINUTE

    assert one.expired(first)
    second = one.header()
    assert iat(second) == PERIOD + later * MINUTE
    assert one.expired(first)
    clock.now += MINUTE / 2
    assert other.expired(first)
    assert one.header() == other.header() == second
    # and that one stays for 20 minutes at least
    clock.now = PERIOD + until * MINUTE - 1
    assert one.header() == second
    clock.now += 1
    assert iat(one.header()) == PERIOD + 50 * MINUTE


def test_a_young_token_is_not_replaced_however_often_it_is_called_expired() -> None:
    clock = Clock()
    shared = credentials(clock)
    first = shared.header()
    clock.now = PERIOD + 19 * MINUTE

    assert not shared.expired(first)
    assert shared.header() == first


def test_a_token_that_is_one_too_many_leaves_the_old_one_in_force_while_that_is_good() -> None:
    clock = Clock()
    shared = credentials(clock)
    first = shared.header()
    clock.now = PERIOD + 50 * MINUTE
    second = shared.header()

    shared.too_many(second)
    shared.too_many(second)
    assert shared.header() == first
    clock.now = PERIOD + 58 * MINUTE - 1
    assert shared.header() == first
    clock.now += 1
    assert shared.header() == second
    shared.too_many(second)
    assert shared.header() == second


def test_the_only_token_there_is_stays_whatever_apns_says() -> None:
    shared = credentials(Clock())
    first = shared.header()

    shared.too_many(first)

    assert shared.header() == first


def test_the_status_tells_the_tokens_end_and_the_last_success() -> None:
    clock = Clock()
    shared = credentials(clock)
    assert (shared.status.expires_at, shared.status.last_success_at) == (None, None)

    shared.header()
    clock.now += 5
    shared.accepted()

    assert shared.status.expires_at == PERIOD + LIFE_S
    assert shared.status.last_success_at == NOW + 5


def test_one_key_is_one_object_for_all_apps_and_over_reloads(tmp_path: Path) -> None:
    file, copy, other = (tmp_path / name for name in ("a.p8", "b.p8", "c.p8"))
    file.write_bytes(pem(KEY))
    copy.write_bytes(pem(KEY))
    other.write_bytes(pem(ec.generate_private_key(ec.SECP256R1())))
    clock = Clock()

    def load(file: Path, key_id: str = "ABC123DEFG", team_id: str = "DEF123GHIJ") -> Any:
        return ApnsCredentials.load(file, key_id, team_id, clock=clock)

    one = load(file)

    assert load(copy) is one
    for another in (load(other), load(file, "OTHERKEY01"), load(file, team_id="OTHERTEAM1")):
        assert another is not one


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
