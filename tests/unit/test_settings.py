"""Settings: where they come from, what they become, and that every mistake is told at once."""

from __future__ import annotations

import base64
import json
import math
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from config import checks
from config.settings import Settings, SettingsError, masked
from gateway.app.settings import load, schema

SECRET = "whsec_" + base64.b64encode(b"a secret of twenty-four!").decode()
OTHER_SECRET = "whsec_" + base64.b64encode(b"another secret, also 24.").decode()
MINIMAL = f"""
[webhook]
secrets = ["{SECRET}"]
[[apps]]
id = "agent"
[apps.fcm]
credentials_file = "fcm.json"
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration folder, which is not the working directory."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    place = tmp_path / "etc"
    place.mkdir()
    (place / "fcm.json").write_text("{}")
    return place


def write(folder: Path, text: str = MINIMAL) -> Path:
    file = folder / "inkpush.toml"
    file.write_text(text)
    return file


def problems_of(file: Path | None, env: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(SettingsError) as refused:
        load(file, env or {})
    return refused.value.problems


# --- what settings become ----------------------------------------------------------------------


def test_a_minimal_file_is_enough_and_the_rest_has_defaults(folder: Path) -> None:
    settings = load(write(folder), {})
    assert settings.server.port == 8080
    assert settings.webhook.secrets[0].get_secret_value() == SECRET
    assert settings.apps[0].vendors["fcm"].rate_per_s == 9000
    assert "apns" not in settings.apps[0].vendors


def test_relative_names_in_the_file_are_relative_to_its_folder(folder: Path) -> None:
    settings = load(write(folder), {})
    assert settings.apps[0].vendors["fcm"].credentials_file == folder / "fcm.json"
    assert settings.store.url == f"sqlite:///{folder}/inkpush.db"


def test_relative_names_in_variables_are_relative_to_the_working_directory(folder: Path) -> None:
    (Path.cwd() / "here.json").write_text("{}")
    env = {
        "INKPUSH_APPS__0__FCM__CREDENTIALS_FILE": "here.json",
        "INKPUSH_STORE__URL": "sqlite:///here.db",
    }
    settings = load(write(folder), env)
    assert settings.apps[0].vendors["fcm"].credentials_file == Path.cwd() / "here.json"
    assert settings.store.url == f"sqlite:///{Path.cwd()}/here.db"


def test_an_absolute_database_stays_where_it_is(folder: Path) -> None:
    text = MINIMAL + '[store]\nurl = "sqlite:////srv/inkpush.db"\n'
    assert load(write(folder, text), {}).store.url == "sqlite:////srv/inkpush.db"


def test_a_postgresql_database_is_shown_without_its_password(folder: Path) -> None:
    url = "postgresql://ink:pass%2Fword@db.internal:5432/push?sslmode=verify-full"
    settings = load(write(folder, MINIMAL + f'[store]\nurl = "{url}"\n'), {})
    assert settings.store.url == url
    shown = "postgresql://ink:***@db.internal:5432/push?sslmode=verify-full"
    assert masked(settings)["store"]["url"] == shown
    assert "pass%2Fword" not in repr(settings) + str(settings)


@pytest.mark.parametrize(
    "url",
    [
        "postgres:///push?host=/run/postgresql",
        "postgresql://ink@[::1]:5432/push",
        "postgresql://ink:pw@a:5432,b:5433/push?target_session_attrs=primary",
    ],
)
def test_postgresql_is_addressed_as_its_own_tools_do(folder: Path, url: str) -> None:
    assert load(write(folder, MINIMAL + f'[store]\nurl = "{url}"\n'), {}).store.url == url


def test_a_wrong_database_address_is_told_without_its_password(folder: Path) -> None:
    for url in ("postgres://u:hush@h", "postgres://u:hush@h:port/db", "postgres://u:hush@[h/db"):
        with pytest.raises(SettingsError) as caught:
            load(write(folder, MINIMAL + f'[store]\nurl = "{url}"\n'), {})
        assert "hush" not in str(caught.value)


def test_the_environment_alone_can_configure_everything(folder: Path) -> None:
    env = {
        "INKPUSH_WEBHOOK__SECRETS": f"{SECRET}, {OTHER_SECRET}",
        "INKPUSH_SERVER__PORT": "0",
        "INKPUSH_RELAY__BRAKE_SHARE": "0.1",
        "INKPUSH_APPS__0__ID": "agent",
        "INKPUSH_APPS__0__FCM__CREDENTIALS_FILE": str(folder / "fcm.json"),
        "INKPUSH_APPS__1__ID": "learner",
        "INKPUSH_APPS__1__FCM__CREDENTIALS_FILE": str(folder / "fcm.json"),
        "INKPUSH_APPS__1__FCM__RATE_PER_S": "500",
    }
    settings = load(None, env)
    assert len(settings.webhook.secrets) == 2
    assert settings.relay.brake_share == 0.1
    assert [app.id for app in settings.apps] == ["agent", "learner"]
    assert settings.apps[1].vendors["fcm"].rate_per_s == 500


def test_a_variable_wins_over_the_file_and_leaves_its_neighbours(folder: Path) -> None:
    text = MINIMAL + '[server]\nport = 1000\nhost = "127.0.0.1"\n'
    settings = load(write(folder, text), {"INKPUSH_SERVER__PORT": "2000"})
    assert settings.server.port == 2000
    assert settings.server.host == "127.0.0.1"


def test_a_list_in_a_variable_may_be_json(folder: Path) -> None:
    env = {"INKPUSH_WEBHOOK__SECRETS": json.dumps([SECRET, OTHER_SECRET])}
    assert len(load(write(folder), env).webhook.secrets) == 2


def test_all_apps_may_come_as_one_json_variable(folder: Path) -> None:
    apps = [{"id": "other", "fcm": {"credentials_file": str(folder / "fcm.json")}}]
    settings = load(write(folder), {"INKPUSH_APPS": json.dumps(apps)})
    assert [app.id for app in settings.apps] == ["other"]


def test_text_that_looks_like_json_stays_text(folder: Path) -> None:
    settings = load(write(folder), {"INKPUSH_AUTH__ISSUER": "[not a list]"})
    assert settings.auth.issuer == "[not a list]"


def test_the_file_is_the_named_one_else_the_variables_else_the_working_directorys(
    folder: Path,
) -> None:
    named = write(folder)
    by_variable = folder / "variable.toml"
    by_variable.write_text(MINIMAL + "[server]\nport = 1\n")
    (Path.cwd() / "fcm.json").write_text("{}")
    (Path.cwd() / "inkpush.toml").write_text(MINIMAL + "[server]\nport = 2\n")
    env = {"INKPUSH_CONFIG": str(by_variable)}
    assert load(named, env).server.port == 8080
    assert load(None, env).server.port == 1
    assert load(None, {}).server.port == 2


def test_secrets_may_stand_in_files_of_their_own(folder: Path) -> None:
    (folder / "hooks").write_text(f"# rotated in May\n{OTHER_SECRET}\n\n")
    (folder / "jwt").write_text("a secret, long enough\n")
    text = MINIMAL.replace("[webhook]", '[webhook]\nsecrets_file = "hooks"')
    settings = load(write(folder, text + '[auth]\njwt_secret_file = "jwt"\n'), {})
    secrets = [secret.get_secret_value() for secret in settings.webhook.secrets]
    assert secrets == [SECRET, OTHER_SECRET]
    assert settings.auth.jwt_secret.get_secret_value() == "a secret, long enough"


def test_a_file_may_hold_several_public_keys(folder: Path) -> None:
    keys = [
        ec.generate_private_key(ec.SECP256R1())
        .public_key()
        .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        for _ in range(2)
    ]
    (folder / "keys.pem").write_bytes(b"\n".join(keys))
    text = MINIMAL + '[auth]\njwt_public_keys_file = "keys.pem"\n'
    loaded = load(write(folder, text), {}).auth.jwt_public_keys
    assert [key.encode() for key in loaded] == keys


def test_a_relay_needs_no_webhook_secret_and_an_ingest_no_app(folder: Path) -> None:
    relay = MINIMAL.replace(f'secrets = ["{SECRET}"]', "") + '[server]\nrole = "relay"\n'
    assert load(write(folder, relay), {}).server.role == "relay"
    ingest = f'[webhook]\nsecrets = ["{SECRET}"]\n[server]\nrole = "ingest"\n'
    assert load(write(folder, ingest), {}).apps == ()


# --- how mistakes are told ---------------------------------------------------------------------

#: (lines added to the minimal file, what the problem begins with, what it must tell)
MISTAKES: list[tuple[str, str, str]] = [
    ("[server]\nport = 99999", "server.port", "at most 65535"),
    ('[server]\nport = "abc"', "server.port", "a whole number"),
    ("[server]\nrol = 1", "server.rol", "did you mean server.role?"),
    ('[server]\nrole = "both"', "server.role", "'all', 'ingest' or 'relay'"),
    ('[server]\nhost = ""', "server.host", "some text"),
    ("[serber]\nport = 1", "serber", "did you mean server?"),
    ("[zzz]\nport = 1", "zzz", "config/README.md"),
    ('[ops]\nhost = "::"\nport = 8080', "ops.port", "two different ports"),
    ("[relay]\nmax_age_s = 0", "relay.max_age_s", "more than 0"),
    ("[relay]\nbrake_share = 1.5", "relay.brake_share", "at most 1"),
    ("[relay]\nlease_s = nan", "relay.lease_s", "finite"),
    ("[relay]\nmax_attempts = true\nretention_days = []", "relay.retention_days", "whole number"),
    ('[auth]\njwks_url = "ftp://keys"', "auth.jwks_url", "https://host"),
    ('[auth]\njwks_url = "https://u:p@host"', "auth.jwks_url", "https://host"),
    ('[auth]\njwt_public_keys = ["x"]', "auth.jwt_public_keys[0]", "BEGIN PUBLIC KEY"),
    ('[auth]\njwt_secret_file = "gone"', "auth.jwt_secret_file", "there is no file"),
    ('[auth]\njwt_secret_file = "empty"', "auth.jwt_secret_file", "holds no text"),
    ('[auth]\njwt_secret_file = "fcm.json"\njwt_secret="x"', "auth.jwt_secret", "one of them"),
    ('[store]\nurl = "postgresql://u:pw@h"', "store.url", "names no database"),
    ('[store]\nurl = "postgresql://u:pw@a,:5433/db"', "store.url", "names no host"),
    ('[store]\nurl = "postgresql:///db"', "store.url", "names no host"),
    ('[store]\nurl = "postgres://u:pw@h:port/db"', "store.url", "no usable host and port"),
    ('[store]\nurl = "inkpush.db"', "store.url", "expected sqlite:///file.db"),
    ('[queue]\nurl = "nats://h:4222,:4222"', "queue.url", "nats://host:4222,host2"),
    ('[queue]\nurl = "nats://"', "queue.url", "nats://host:4222,host2"),
    ('[queue]\nurl = "nats://u:p@h:4222"', "queue.url", "queue.user and queue.password"),
    ('[queue]\nurl = "nats://h:4222"', "queue.url", "inkpush store copy"),
    ('[queue]\nurl = "nats://h"\n[store]\nurl = "sqlite:///a.db"', "queue.url", "PostgreSQL"),
    ('[queue]\nstream = "a.b"', "queue.stream", "letters, digits"),
    ('[queue]\npassword_file = "fcm.json"\npassword = "x"', "queue.password", "one of them"),
    ('[queue]\nurl = "redis://h"', "queue.url", 'expected "store"'),
    ("store = 1", "store", "a table"),
    ('[[apps]]\nid = "bare"', "apps[1]", "apps.fcm, apps.apns or both"),
    ('[[apps]]\nid = "a b"\nfcm = {}', "apps[1].id", "letters, digits"),
    ('[[apps]]\nid = "agent"\nfcm = {}', "apps[1].id", "another name"),
    ('[[apps]]\nid = "x"\nfcm = {}', "apps[1].fcm.credentials_file", "is missing"),
    ('[[apps]]\nid = "x"\napns = { key_file = "k" }', "apps[1].apns.key_file", "no file"),
    ('[[apps]]\nid = "x"\nfcm = { transport = "curl" }', "apps[1].fcm.transport", "'native'"),
    ('[[apps]]\nid = "x"\napns = { transport = "x" }', "apps[1].apns.transport", "'sdk'"),
    ('[[apps]]\nid = "x"\nfcm = { proxy = "socks5://h:1" }', "apps[1].fcm.proxy", "http://host"),
]


@pytest.mark.parametrize(("lines", "key", "told"), MISTAKES)
def test_a_mistake_names_the_key_and_what_is_expected(
    folder: Path, lines: str, key: str, told: str
) -> None:
    (folder / "empty").touch()
    text = lines + MINIMAL if "=" in lines.partition("\n")[0] else MINIMAL + lines
    problems = problems_of(write(folder, text))
    assert any(line.startswith(f"{key}: ") and told in line for line in problems), problems


def test_all_mistakes_are_told_at_once(folder: Path) -> None:
    text = (
        "[server]\nport = -1\n"
        "[webhook]\nsecrets = []\ntolerance_s = 0\n"
        "[store]\nurl = 'nothing'\n"
        "[[apps]]\nid = 'x'\n[apps.fcm]\ncredentials_file = 'gone.json'\nrate = 1\n"
    )
    env = {"INKPUSH_OPS__PORT": "x", "INKPUSH_NOTHING": "1"}
    keys = {line.partition(":")[0] for line in problems_of(write(folder, text), env)}
    assert keys == {
        "server.port",
        "webhook.secrets",
        "webhook.tolerance_s",
        "store.url",
        "apps[0].fcm.credentials_file",
        "apps[0].fcm.rate",
        "ops.port (from INKPUSH_OPS__PORT)",
        "INKPUSH_NOTHING",
    }


def test_a_missing_secret_and_a_missing_app_are_told_together(folder: Path) -> None:
    keys = [line.partition(":")[0] for line in problems_of(write(folder, ""))]
    assert keys == ["webhook.secrets", "apps"]


def test_a_syntax_error_is_told_with_its_line_and_nothing_is_called_missing(folder: Path) -> None:
    (problem,) = problems_of(write(folder, "[server]\nport = = 1\n"))
    assert "not valid TOML" in problem
    assert "line 2" in problem


def test_a_missing_file_is_told(folder: Path) -> None:
    (problem,) = problems_of(folder / "gone.toml")
    assert "cannot be read (No such file or directory)" in problem


def test_an_unknown_variable_is_a_mistake_with_a_suggestion(folder: Path) -> None:
    (problem,) = problems_of(write(folder), {"INKPUSH_SEVER__PORT": "1"})
    assert problem == (
        "INKPUSH_SEVER__PORT: there is no such setting; did you mean INKPUSH_SERVER__PORT?"
    )


def test_a_variable_for_an_app_that_is_not_there_is_a_mistake(folder: Path) -> None:
    (problem,) = problems_of(write(folder), {"INKPUSH_APPS__7__ID": "x"})
    assert "expected the numbers 0, 1, 2" in problem


@pytest.mark.parametrize("secret", ["hunter2hunter2", "whsec_", "whsec_***", "whsec_aGkx*"])
def test_a_wrong_secret_is_refused_and_never_shown(folder: Path, secret: str) -> None:
    text = MINIMAL.replace(SECRET, secret).replace("[webhook]", "[webhook]\ntolerance_s = 'x'")
    problems = problems_of(write(folder, text))
    assert any(line.startswith("webhook.secrets[0]: ") for line in problems)
    assert not any(secret.removeprefix("whsec_") in line for line in problems if len(secret) > 6)


def test_a_secret_in_the_wrong_place_is_not_shown_either(folder: Path) -> None:
    problems = problems_of(write(folder), {"INKPUSH_SERVER__PORT": SECRET})
    assert SECRET not in str(problems)


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [*Settings.model_fields, "id", "fcm", "url", "role", "secrets", "secrets_file"]
            ),
            inner,
        )
    ),
    max_leaves=12,
)


def as_toml(value: Any) -> str:
    match value:
        case None:
            return '""'
        case bool():
            return str(value).lower()
        case float() if math.isnan(value) or math.isinf(value):
            return str(value)
        case dict():
            pairs = (f"{json.dumps(key)} = {as_toml(inner)}" for key, inner in value.items())
            return "{" + ", ".join(pairs) + "}"
        case list():
            return "[" + ", ".join(as_toml(inner) for inner in value) + "]"
        case str():
            return json.dumps(value.encode("ascii", "ignore").decode()).replace("\x7f", "")
        case _:
            return repr(value)


@given(data=st.dictionaries(st.sampled_from(sorted(Settings.model_fields)), json_like))
def test_whatever_the_file_holds_the_answer_is_settings_or_a_list_of_mistakes(
    data: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.mktemp("any") / "inkpush.toml"
    file.write_text("\n".join(f"{key} = {as_toml(value)}" for key, value in data.items()))
    problems = problems_of(file)
    assert not any("not valid TOML" in line for line in problems)


# --- what is shown -----------------------------------------------------------------------------


def test_secrets_never_appear_when_settings_are_shown(folder: Path) -> None:
    settings = load(write(folder, MINIMAL + '[auth]\njwt_secret = "hunter2-hunter2-hunter2"\n'), {})
    shown = json.dumps(masked(settings)) + repr(settings) + str(settings)
    assert SECRET not in shown
    assert "hunter2" not in shown
    assert masked(settings)["auth"]["jwt_secret"] == "*" * 10


def test_the_schema_describes_every_section() -> None:
    described = schema()
    assert set(described["properties"]) == set(Settings.model_fields)
    assert described["additionalProperties"] is False


def test_weak_values_are_allowed_and_advised_against(folder: Path) -> None:
    text = MINIMAL.replace(SECRET, "whsec_c2l4dGVlbiBieXRlcyAhIQ==") + "\n".join(
        [
            f"[apps.apns]\nkey_file = '{folder / 'fcm.json'}'",
            "key_id = 'AuthKey_X'\nteam_id = 'DEF123GHIJ'\ntopic = 'com.acme.agent'",
            "[auth]\njwt_secret = 'sixteen bytes !!'\n[ops]\nhost = '0.0.0.0'",
        ]
    )
    keys = [line.partition(":")[0] for line in checks.advice(load(write(folder, text), {}))]
    assert keys == ["auth.jwt_secret", "webhook.secrets[0]", "ops.host", "apps[0].apns.key_id"]


def test_good_settings_need_no_advice(folder: Path) -> None:
    assert checks.advice(load(write(folder), {})) == []


def test_the_replicas_of_a_stream_are_odd_and_may_come_as_a_variable(folder: Path) -> None:
    file = write(folder)
    assert load(file, {"INKPUSH_QUEUE__REPLICAS": "1"}).queue.replicas == 1
    (problem,) = problems_of(file, {"INKPUSH_QUEUE__REPLICAS": "2"})
    assert "expected 1, 3 or 5" in problem


# --- strangers at the door ---------------------------------------------------------------------


def test_proxies_are_addresses_and_networks(folder: Path) -> None:
    text = '[server]\ntrusted_proxies = ["10.0.0.7", "10.1.2.3/8", "::1", "fd00::/8"]\n' + MINIMAL
    settings = load(write(folder, text), {})
    assert settings.server.trusted_proxies == ("10.0.0.7", "10.1.2.3/8", "::1", "fd00::/8")
    settings = load(write(folder), {"INKPUSH_SERVER__TRUSTED_PROXIES": '["192.0.2.0/24"]'})
    assert settings.server.trusted_proxies == ("192.0.2.0/24",)


@pytest.mark.parametrize("value", ["", "proxy", "10.0.0.0/33", "10.0.0", "1.2.3.4:80", "*"])
def test_what_is_no_proxy_is_refused_by_its_place(folder: Path, value: str) -> None:
    text = f'[server]\ntrusted_proxies = ["::1", "{value}"]\n' + MINIMAL
    (problem,) = problems_of(write(folder, text))
    assert problem.startswith("server.trusted_proxies[1]")
    assert "is no address and no network" in problem


def test_the_memory_for_bodies_has_room_for_the_largest_webhook(folder: Path) -> None:
    largest = MINIMAL.replace("[webhook]", "[webhook]\nmax_body_bytes = {size}")
    server = "[server]\nmax_body_memory_mib = 16\n"
    load(write(folder, server + largest.format(size=12 * 2**20)), {})
    (problem,) = problems_of(write(folder, server + largest.format(size=12 * 2**20 + 1)))
    assert problem.startswith("server.max_body_memory_mib: has room for bodies of 12582912 bytes")
