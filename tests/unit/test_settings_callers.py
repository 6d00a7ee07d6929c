"""Settings of who may call: origins, user tokens, signing keys."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from config import checks
from config.settings import Settings, SettingsError
from gateway.app.process import auth_rules
from gateway.app.settings import load
from gateway.app.sources import webhook_limits
from gateway.core.sources import LEARNINK


def coded(size: int) -> str:
    return base64.b64encode(b"k" * size).decode()


SECRET = f"whsec_{coded(24)}"
JWKS = "https://id.example.com/keys"


def settings(folder: Path, *, server: str = "", auth: str = "", secret: str = SECRET) -> Settings:
    file = folder / "inkpush.toml"
    file.write_text(
        f'[server]\nrole = "ingest"\n{server}\n[auth]\n{auth}\n[webhook]\nsecrets = ["{secret}"]\n'
    )
    return load(file, {})


def refused(folder: Path, **given: str) -> str:
    with pytest.raises(SettingsError) as caught:
        settings(folder, **given)
    (problem,) = caught.value.problems
    return problem


@pytest.mark.parametrize(
    ("written", "origin"),
    [
        ("capacitor://localhost", "capacitor://localhost"),
        ("ionic://localhost", "ionic://localhost"),
        ("https://localhost", "https://localhost"),
        ("http://localhost:8100", "http://localhost:8100"),
        ("https://App.Example.com/", "https://app.example.com"),
        ("https://app.example.com:443", "https://app.example.com"),
        ("http://app.example.com:443", "http://app.example.com:443"),
        ("http://[::1]:3000", "http://[::1]:3000"),
        ("null", "null"),
    ],
)
def test_an_origin_is_written_as_browsers_send_it(
    tmp_path: Path, written: str, origin: str
) -> None:
    found = settings(tmp_path, server=f'allowed_origins = ["{written}"]')
    assert found.server.allowed_origins == (origin,)


@pytest.mark.parametrize(
    "written",
    ["*", "", "localhost", "https://", "https://a/b", "https://a?b", "https://*.a", "https://u@a"],
)
def test_what_is_no_origin_is_refused(tmp_path: Path, written: str) -> None:
    problem = refused(tmp_path, server=f'allowed_origins = ["{written}"]')
    assert problem.startswith("server.allowed_origins[0]: ")
    assert "capacitor://localhost" in problem


@pytest.mark.parametrize("written", ["file://", "file:///android_asset/www"])
def test_pages_from_files_have_an_origin_of_their_own_name(tmp_path: Path, written: str) -> None:
    assert '"null"' in refused(tmp_path, server=f'allowed_origins = ["{written}"]')


def test_published_keys_need_an_issuer_or_an_audience(tmp_path: Path) -> None:
    problem = refused(tmp_path, auth=f'jwks_url = "{JWKS}"')
    assert problem.startswith("auth.jwks_url: ")
    assert 'audience = "any"' in problem


@pytest.mark.parametrize(
    ("more", "issuer", "audience"),
    [
        ('issuer = "acme"', "acme", ""),
        ('audience = "agent"', "", "agent"),
        ('issuer = "acme"\naudience = "agent"', "acme", "agent"),
        ('audience = "any"', "", ""),
        ('issuer = "acme"\naudience = "any"', "acme", ""),
    ],
)
def test_what_is_said_of_issuer_and_audience_is_demanded(
    tmp_path: Path, more: str, issuer: str, audience: str
) -> None:
    rules = auth_rules(settings(tmp_path, auth=f'jwks_url = "{JWKS}"\n{more}'))
    assert (rules.issuer, rules.audience) == (issuer, audience)


@pytest.mark.parametrize(
    "url",
    [
        "https://a.example/discovery/v2.0/keys?p=B2C_1_signin",
        "https://login.example/common/discovery/keys?appid=1-2-3&x=%2F",
        "https://a.example:8443/keys/",
        "http://127.0.0.1:9/jwks",
    ],
)
def test_an_address_of_keys_is_taken_as_it_is_written(tmp_path: Path, url: str) -> None:
    rules = auth_rules(settings(tmp_path, auth=f'jwks_url = "{url}"\nissuer = "acme"'))
    assert rules.jwks_url == url


@pytest.mark.parametrize(
    "url", ["ftp://keys", "https://u:p@host", "https://h/#k", "https://h/a b", "https://h:0/"]
)
def test_what_is_no_address_of_keys_is_refused(tmp_path: Path, url: str) -> None:
    problem = refused(tmp_path, auth=f'jwks_url = "{url}"\nissuer = "acme"')
    assert problem.startswith("auth.jwks_url: is not a valid URL")


def test_a_secret_of_tokens_has_sixteen_bytes(tmp_path: Path) -> None:
    assert "too short" in refused(tmp_path, auth=f'jwt_secret = "{"x" * 15}"')
    for good in ("", "x" * 16, "é" * 8):
        found = settings(tmp_path, auth=f'jwt_secret = "{good}"').auth.jwt_secret
        assert found.get_secret_value() == good


@pytest.mark.parametrize(
    ("key", "said"),
    [
        (f"whsec_{coded(15)}", "too short"),
        (f"whpk_{coded(31)}", "not an Ed25519 public key"),
        (f"whpk_{coded(33)}", "not an Ed25519 public key"),
        ("whpk_", "not an Ed25519 public key"),
        ("whpk_***", "not an Ed25519 public key"),
        ("whsec_***", "no base64"),
        (f"whsk_{coded(64)}", "private key"),
    ],
)
def test_what_can_check_no_signature_is_refused(tmp_path: Path, key: str, said: str) -> None:
    problem = refused(tmp_path, secret=key)
    assert said in problem
    assert coded(15)[:8] not in problem


def test_a_public_key_stands_beside_the_secrets(tmp_path: Path) -> None:
    both = settings(tmp_path, secret=f'{SECRET}", "whpk_{coded(32)}')
    limits = webhook_limits(both, LEARNINK, {})
    assert limits is not None
    assert len(limits.keys) == 2
    (told,) = checks.advice(both)
    assert told.startswith("webhook.secrets: has 2 secrets, which is right only while")
