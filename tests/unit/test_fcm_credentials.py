"""The key of FCM is judged when it is read; what the token endpoint does is in the conformance."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from providers.contract import Misconfigured
from providers.errors import CredentialError
from providers.fcm.credentials import AccessToken, FcmCredentials
from providers.fcm.fetching import EndpointAway, Grant, NotGranted
from providers.transport.trust import client_context

PEM = (
    rsa.generate_private_key(public_exponent=65537, key_size=2048)
    .private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    .decode()
)
ACCOUNT = {
    "type": "service_account",
    "project_id": "inkpush-demo",
    "private_key_id": "1",
    "private_key": PEM,
    "client_email": "push@inkpush-demo.iam.gserviceaccount.com",
    "token_uri": "https://oauth2.googleapis.com/token",
}
NOW = 1_762_423_138.0


def write(folder: Path, content: object) -> Path:
    file = folder / "fcm.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return file


def problems(file: Path, **options: Any) -> str:
    with pytest.raises(CredentialError) as caught:
        FcmCredentials.load(file, clock=lambda: NOW, **options)
    return "\n".join(caught.value.problems)


def load(folder: Path) -> FcmCredentials:
    return FcmCredentials.load(write(folder, ACCOUNT), clock=lambda: NOW)


class Script:
    """Answers a fetch as it is told to, on the event loop."""

    def __init__(self, *answers: Grant | Exception) -> None:
        self.answers = list(answers)

    async def __call__(self) -> Grant:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


async def test_one_fetch_serves_all_who_wait_and_lasts_as_long_as_it_was_granted_for(
    tmp_path: Path,
) -> None:
    fetch = Script(Grant("ya29.secret", 1_200.0))
    loaded = FcmCredentials.load(write(tmp_path, ACCOUNT), clock=lambda: NOW, fetch=fetch)

    first, second = await asyncio.gather(loaded.token(), loaded.token())

    assert isinstance(first, AccessToken)
    assert first is second
    assert (first.value, first.expires_at) == ("ya29.secret", NOW + 1_200.0)
    await loaded.aclose()


async def test_an_endpoint_that_is_away_is_asked_once_more(tmp_path: Path) -> None:
    fetch = Script(EndpointAway(), Grant("ya29.secret", 3_600.0))
    loaded = FcmCredentials.load(write(tmp_path, ACCOUNT), clock=lambda: NOW, fetch=fetch)

    assert isinstance(await loaded.token(), AccessToken)
    await loaded.aclose()


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (NotGranted(Misconfigured("invalid_grant", "a hint")), "invalid_grant"),
        (KeyError("access_token"), "OAuthUnreachable"),
    ],
)
async def test_a_fetch_that_fails_is_the_verdict_of_who_waits(
    tmp_path: Path, answer: Exception, verdict: str
) -> None:
    fetch = Script(answer)
    loaded = FcmCredentials.load(write(tmp_path, ACCOUNT), clock=lambda: NOW, fetch=fetch)

    failure = await loaded.token()

    assert not isinstance(failure, AccessToken)
    assert failure.reason == verdict
    await loaded.aclose()


def test_a_service_accounts_key_names_its_project(tmp_path: Path) -> None:
    loaded = load(tmp_path)

    assert loaded.project_id == "inkpush-demo"
    assert loaded.held is None


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    assert "no such file" in problems(tmp_path / "none.json")


def test_a_folder_in_the_place_of_a_key_is_told(tmp_path: Path) -> None:
    assert "cannot be read" in problems(tmp_path)


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ("PEM-of-somebody", "not JSON"),
        ("[]", "service_account"),
        ({**ACCOUNT, "type": "authorized_user"}, "service_account"),
        ({**ACCOUNT, "private_key": "PEM-of-somebody"}, "not a PEM key"),
        ({**ACCOUNT, "private_key": 5}, "private_key is missing"),
    ],
)
def test_what_is_not_a_key_is_named_and_never_quoted(
    tmp_path: Path, content: object, word: str
) -> None:
    told = problems(write(tmp_path, content))

    assert word in told
    assert "PEM-of-somebody" not in told


def test_all_missing_fields_are_told_at_once(tmp_path: Path) -> None:
    told = problems(write(tmp_path, {"type": "service_account"}))

    for name in ("project_id", "client_email", "private_key", "token_uri"):
        assert name in told


def test_a_trust_anchor_that_is_none_is_told(tmp_path: Path) -> None:
    file = write(tmp_path, ACCOUNT)
    (tmp_path / "ca.pem").write_text("nothing")

    assert "not a PEM certificate" in problems(file, ca_file=str(tmp_path / "ca.pem"))
    assert "cannot be read" in problems(file, ca_file=str(tmp_path / "none.pem"))


def test_a_trust_anchor_joins_the_systems_own_and_verification_stays_on() -> None:
    context = client_context()

    assert context.check_hostname
    assert context.verify_mode.name == "CERT_REQUIRED"


def test_a_token_that_worked_and_is_refused_is_worth_another_one(tmp_path: Path) -> None:
    loaded = load(tmp_path)
    token = AccessToken("ya29.secret", NOW - 5, NOW + 3600, after_refusal=False)
    loaded._token = token
    loaded.accepted(token)

    assert loaded.refused(token)
    assert loaded.held is None


def test_a_token_fetched_just_now_that_never_worked_is_not(tmp_path: Path) -> None:
    loaded = load(tmp_path)
    token = loaded._token = AccessToken("ya29.secret", NOW - 5, NOW + 3600, after_refusal=False)

    assert not loaded.refused(token)
    assert loaded.held is None  # yet whoever asks next gets a new one


def test_an_old_token_that_never_worked_is_given_one_more_chance(tmp_path: Path) -> None:
    loaded = load(tmp_path)
    token = loaded._token = AccessToken("ya29.secret", NOW - 600, NOW + 3000, after_refusal=False)

    assert loaded.refused(token)


def test_a_second_token_in_a_row_is_not(tmp_path: Path) -> None:
    loaded = load(tmp_path)
    token = loaded._token = AccessToken("ya29.secret", NOW - 600, NOW + 3000, after_refusal=True)

    assert not loaded.refused(token)


def test_a_late_refusal_of_an_older_token_leaves_the_new_one_alone(tmp_path: Path) -> None:
    loaded = load(tmp_path)
    old = AccessToken("ya29.old", NOW - 3000, NOW + 600, after_refusal=False)
    new = loaded._token = AccessToken("ya29.new", NOW - 1, NOW + 3600, after_refusal=False)

    assert loaded.refused(old)
    assert loaded.held is new


def test_a_token_near_its_end_is_not_used_any_more(tmp_path: Path) -> None:
    loaded = load(tmp_path)
    loaded._token = AccessToken("ya29.secret", NOW - 3590, NOW + 10, after_refusal=False)

    assert loaded.held is None


def test_neither_key_nor_token_is_shown(tmp_path: Path) -> None:
    loaded = load(tmp_path)
    loaded._token = AccessToken("ya29.secret", NOW, NOW + 3600, after_refusal=False)

    assert repr(loaded) == "<FcmCredentials project_id=inkpush-demo>"
    assert "ya29.secret" not in repr(loaded._token)
