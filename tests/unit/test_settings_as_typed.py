"""Settings as people save, paste and type them: read wherever they have one meaning, and refused by
their name where not."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from asyncpg import connect_utils
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from config import databases, shape, typed
from config.formats import store_url, without_password
from config.settings import Settings, SettingsError, masked
from gateway.app.settings import load, settings_model

SECRET = "whsec_" + base64.b64encode(b"a secret of twenty-five!!").decode()
OTHER = "whsec_" + base64.b64encode(b"another secret, of 25 by.").decode()
MODEL = settings_model()
MINIMAL = f"""
[webhook]
secrets = ["{SECRET}"]
[[apps]]
id = "agent"
[apps.fcm]
credentials_file = "fcm.json"
"""
WITH_APNS = (
    MINIMAL
    + """
[apps.apns]
key_file = "fcm.json"
key_id = "ABC123DEFG"
team_id = "DEF123GHIJ"
topic = "com.acme.agent"
"""
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fcm.json").write_text("{}")
    return tmp_path


def write(folder: Path, text: str | bytes = MINIMAL) -> Path:
    file = folder / "inkpush.toml"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return file


def problems_of(file: Path | None, env: Mapping[str, str] | None = None) -> list[str]:
    with pytest.raises(SettingsError) as refused:
        load(file, env or {})
    return refused.value.problems


# --- text files ----------------------------------------------------------------------------------

SAVED: dict[str, Callable[[str], bytes]] = {
    "as it is": str.encode,
    "with a byte order mark": lambda text: text.encode("utf-8-sig"),
    "UTF-16": lambda text: text.encode("utf-16"),
    "CRLF": lambda text: text.replace("\n", "\r\n").encode(),
    "trailing blanks": lambda text: text.replace("\n", " \t\n").encode() + b"\n\n",
    "a mark and CRLF": lambda text: text.replace("\n", "\r\n").encode("utf-8-sig"),
    "a blank that cannot be seen": lambda text: f"{text.rstrip()}\u200b\n".encode(),
}


@pytest.mark.parametrize("saved", SAVED.values(), ids=SAVED)
def test_every_text_file_is_read_as_any_editor_saves_it(
    folder: Path, saved: Callable[[str], bytes]
) -> None:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    (folder / "jwt").write_bytes(saved("a secret of somebody\n"))
    (folder / "hooks").write_bytes(saved(f"{OTHER}\n"))
    (folder / "nats").write_bytes(saved("a password\n"))
    (folder / "keys").write_bytes(saved(pem))
    text = MINIMAL.replace("[webhook]", '[webhook]\nsecrets_file = "hooks"')
    text += '[auth]\njwt_secret_file = "jwt"\njwt_public_keys_file = "keys"\n'
    text += '[queue]\npassword_file = "nats"\n#'

    settings = load(write(folder, saved(text)), {})

    assert settings.auth.jwt_secret.get_secret_value() == "a secret of somebody"
    assert [secret.get_secret_value() for secret in settings.webhook.secrets] == [SECRET, OTHER]
    assert settings.queue.password.get_secret_value() == "a password"
    assert settings.auth.jwt_public_keys == (pem,)


def test_a_file_in_another_encoding_is_told_with_its_line(folder: Path) -> None:
    (problem,) = problems_of(write(folder, MINIMAL.encode() + b"# caf\xe9\n"))
    assert "is not UTF-8 text (line 8)" in problem

    (folder / "jwt").write_bytes(b"caf\xe9")
    text = MINIMAL + '[auth]\njwt_secret_file = "jwt"\n'
    (problem,) = problems_of(write(folder, text))
    assert problem.startswith("auth.jwt_secret_file: ")
    assert "is not UTF-8 text (line 1)" in problem


@pytest.mark.parametrize(
    ("line", "cure"),
    [
        ("[server]\nhost = “0.0.0.0”", "straight quotes"),
        ('[auth]\njwt_secret_file = "C:\\Users\\x"', "in single quotes"),
        ("[log]\nlevel = info", "text in quotes"),
        ("[server]\nport = yes", "true or false"),
        ("[server]\nport: 8080", "an equals sign"),
    ],
)
def test_a_slip_in_toml_is_told_with_its_line_and_its_cure(
    folder: Path, line: str, cure: str
) -> None:
    (problem,) = problems_of(write(folder, f"{line}\n{MINIMAL}"))
    assert "line 2" in problem
    assert cure in problem


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[apps]\nid = "agent"\n', "write [[apps]] in place of [apps]"),
        (MINIMAL + "[[server]]\nport = 1\n", "write [server] in place of [[server]]"),
    ],
)
def test_a_table_in_the_place_of_a_list_is_told_with_its_cure(
    folder: Path, text: str, told: str
) -> None:
    assert any(told in line for line in problems_of(write(folder, text)))


# --- secrets and keys ----------------------------------------------------------------------------

BARE = SECRET.removeprefix("whsec_")
PASTED_SECRETS = {
    "unpadded": SECRET.rstrip("="),
    "blanks around": f"  {SECRET}\t",
    "in quotes": f"'{SECRET}'",
    "the alphabet of URLs": "whsec_" + BARE.replace("+", "-").replace("/", "_"),
    "a line end in it": f"{SECRET}\n",
}


@pytest.mark.parametrize("given_", PASTED_SECRETS.values(), ids=PASTED_SECRETS)
def test_a_signing_secret_is_read_as_it_was_pasted(folder: Path, given_: str) -> None:
    by_variable = load(write(folder), {"INKPUSH_WEBHOOK__SECRETS": given_}).webhook.secrets
    by_file = load(write(folder, MINIMAL.replace(f'"{SECRET}"', json.dumps(given_))), {})

    assert [one.get_secret_value() for one in by_variable] == [SECRET]
    assert [one.get_secret_value() for one in by_file.webhook.secrets] == [SECRET]


@pytest.mark.parametrize(
    "content",
    [
        f"{SECRET}, {OTHER}",
        f"{SECRET} {OTHER},",
        f"{SECRET}  # old\n{OTHER}\n",
        f"{SECRET};{OTHER}",
    ],
)
def test_a_file_of_secrets_may_be_parted_by_commas_and_explained(
    folder: Path, content: str
) -> None:
    (folder / "hooks").write_text(content)
    text = MINIMAL.replace(f'secrets = ["{SECRET}"]', 'secrets_file = "hooks"')

    secrets = load(write(folder, text), {}).webhook.secrets

    assert [secret.get_secret_value() for secret in secrets] == [SECRET, OTHER]


@pytest.mark.parametrize("written", [f'"{SECRET}"', f'"{SECRET}, {OTHER}"'])
def test_a_list_of_one_may_be_written_without_brackets(folder: Path, written: str) -> None:
    text = MINIMAL.replace(f'["{SECRET}"]', written)
    secrets = [one.get_secret_value() for one in load(write(folder, text), {}).webhook.secrets]
    assert secrets == [SECRET, OTHER][: written.count("whsec_")]


@pytest.mark.parametrize("before", ["v1,", "SECRET=", "Bearer "])
def test_something_before_a_signing_secret_is_told(folder: Path, before: str) -> None:
    text = MINIMAL.replace(SECRET, before + SECRET)
    (problem,) = problems_of(write(folder, text))
    assert "has something before whsec_" in problem
    assert BARE not in problem


def _public_forms() -> dict[str, str]:
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    key = private.public_key()
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "somebody")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key)
        .serial_number(1)
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2050, 1, 1, tzinfo=UTC))
        .sign(private, hashes.SHA256())
    )
    return {
        "PEM": pem,
        "PKCS1": key.public_bytes(Encoding.PEM, PublicFormat.PKCS1).decode(),
        "certificate": certificate.public_bytes(Encoding.PEM).decode(),
        "literal line ends": pem.replace("\n", "\\n"),
        "without armour": "".join(pem.splitlines()[1:-1]),
        "one line": pem.replace("\n", " "),
        "base64 of PEM": base64.b64encode(pem.encode()).decode(),
    }


PUBLIC = _public_forms()


@pytest.mark.parametrize("form", PUBLIC.values(), ids=PUBLIC)
def test_a_public_key_is_read_in_every_shape_from_text_and_file(folder: Path, form: str) -> None:
    (folder / "keys").write_text(form)
    text = MINIMAL + f"[auth]\njwt_public_keys = [{json.dumps(form)}]\n"
    text += 'jwt_public_keys_file = "keys"\n'

    assert load(write(folder, text), {}).auth.jwt_public_keys == (PUBLIC["PEM"],) * 2


def test_a_private_key_in_the_place_of_a_public_one_is_named(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    (folder / "keys").write_text(pem)
    text = MINIMAL + '[auth]\njwt_public_keys_file = "keys"\n'

    (problem,) = problems_of(write(folder, text))

    assert problem.startswith("auth.jwt_public_keys[0]: is not a public key but a private key;")


# --- variables -----------------------------------------------------------------------------------

#: what Kubernetes puts beside a Service named inkpush, and Docker beside a link of that name
LINKS = {
    "INKPUSH_SERVICE_HOST": "10.96.12.7",
    "INKPUSH_SERVICE_PORT": "8080",
    "INKPUSH_SERVICE_PORT_HTTP": "8080",
    "INKPUSH_PORT": "tcp://10.96.12.7:8080",
    "INKPUSH_PORT_8080_TCP": "tcp://10.96.12.7:8080",
    "INKPUSH_PORT_8080_TCP_PROTO": "tcp",
    "INKPUSH_PORT_8080_TCP_PORT": "8080",
    "INKPUSH_PORT_8080_TCP_ADDR": "10.96.12.7",
    "INKPUSH_PORT_53_UDP_ADDR": "10.96.12.7",
    "INKPUSH_NAME": "/web/inkpush",
    "INKPUSH_ENV_PATH": "/usr/bin",
}


@pytest.mark.parametrize("service", ["", "OPS_", "SERVER_", "STAGING_INGEST_", "1_"])
def test_what_orchestrators_put_beside_a_service_is_no_setting(folder: Path, service: str) -> None:
    env = {name.replace("INKPUSH_", f"INKPUSH_{service}"): value for name, value in LINKS.items()}

    assert masked(load(write(folder), env)) == masked(load(write(folder), {}))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("INKPUSH_PORT", "8080"),
        ("INKPUSH_SERVER_PORT", "8081"),
        ("INKPUSH_NAME", "agent"),
        ("INKPUSH_ENV_PATH", "x"),
        ("INKPUSH_STORE_URL", "postgres://h/db"),
    ],
)
def test_a_variable_that_a_person_meant_as_a_setting_stays_a_mistake(
    folder: Path, name: str, value: str
) -> None:
    (problem,) = problems_of(write(folder), {name: value})
    assert problem.startswith(f"{name}: there is no such setting")


def test_a_variable_is_read_without_what_env_files_and_secrets_add(folder: Path) -> None:
    env = {
        "INKPUSH_SERVER__PORT": ' "8081"\r\n',
        "INKPUSH_SERVER__ROLE": "'ingest'",
        "INKPUSH_AUTH__JWT_SECRET": "a secret of somebody\n",
        "INKPUSH_STORE__URL": '"postgres://u:p@h/db"',
        "INKPUSH_WEBHOOK__SECRETS": f'"{SECRET}", "{OTHER}"',
        "INKPUSH_APPS__0__FCM__PROXY": "'http://u:p@h:1'",
        "INKPUSH_CONFIG": f"'{write(folder)}'\n",
    }
    settings = load(None, env)
    assert settings.server.port == 8081
    assert settings.server.role == "ingest"
    assert settings.auth.jwt_secret.get_secret_value() == "a secret of somebody"
    assert settings.store.url == "postgres://u:p@h/db"
    assert len(settings.webhook.secrets) == 2


def test_a_table_may_come_as_one_json_variable(folder: Path) -> None:
    env = {"INKPUSH_SERVER": '{"port": 1, "host": "::"}', "INKPUSH_RELAY": "{}"}
    settings = load(write(folder), env)
    assert (settings.server.port, settings.server.host) == (1, "::")


@given(
    loc=st.sampled_from([*shape.leaves(MODEL), ("server",), ("apps",), ("apps", 0), ("auth",)]),
    text=st.text(max_size=30)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
        max_leaves=6,
    ).map(json.dumps),
)
def test_whatever_a_variable_holds_the_answer_is_settings_or_mistakes(
    loc: shape.Loc, text: str
) -> None:
    with contextlib.suppress(SettingsError):
        load(None, {"INKPUSH_" + shape.variable(loc): text})


def test_a_password_in_quotes_has_two_meanings_and_is_refused_by_name(folder: Path) -> None:
    for name in ("INKPUSH_AUTH__JWT_SECRET", "INKPUSH_QUEUE__PASSWORD"):
        (problem,) = problems_of(write(folder), {name: '"hush-hush-hush-hush"'})
        assert problem.startswith(f"{name}: stands in quotes")
        assert "hush" not in problem


def test_an_empty_variable_is_no_value_where_empty_means_nothing(folder: Path) -> None:
    env = {
        "INKPUSH_SERVER__PORT": "",
        "INKPUSH_SERVER__ROLE": " ",
        "INKPUSH_STORE__URL": "",
        "INKPUSH_RELAY__MAX_AGE_S": "",
        "INKPUSH_APPS__0__FCM__CREDENTIALS_FILE": "",
    }
    assert masked(load(write(folder), env)) == masked(load(write(folder), {}))


def test_an_empty_variable_takes_a_text_of_the_file_back(folder: Path) -> None:
    text = MINIMAL + '[auth]\nissuer = "x"\n'
    assert load(write(folder, text), {"INKPUSH_AUTH__ISSUER": ""}).auth.issuer == ""


def test_an_empty_name_of_a_needed_file_is_told(folder: Path) -> None:
    (problem,) = problems_of(write(folder, MINIMAL.replace("fcm.json", " ")))
    assert problem == "apps[0].fcm.credentials_file: is empty; expected the name of a file"


# --- addresses of databases ----------------------------------------------------------------------

PLAIN = ("u", "p@s/s#w?rd: 100%", "db.example", 5432, "push")
RAW, CODED = PLAIN[1], "p%40s%2Fs%23w%3Frd%3A%20100%25"

#: an address as a hoster or a person writes it, and what of PLAIN it says
ADDRESSES = [
    f"postgresql://u:{CODED}@db.example:5432/push",
    f"postgres://u:{CODED}@db.example:5432/push",
    f"postgres://u:{RAW}@db.example:5432/push",
    f"postgres://u:{RAW}@db.example/push?sslmode=require",
    f"'postgresql://u:{CODED}@db.example/push'",
    f'"postgresql://u:{CODED}@db.example/push"  ',
    f"psql 'postgresql://u:{CODED}@db.example/push?sslmode=require&channel_binding=require'",
    f"DATABASE_URL=postgres://u:{CODED}@db.example:5432/push",
    f'export DATABASE_URL="postgres://u:{CODED}@db.example:5432/push"',
    f"postgresql+asyncpg://u:{CODED}@db.example/push",
    f"postgresql+psycopg2://u:{RAW}@db.example/push",
    f"POSTGRESQL://u:{CODED}@db.example/push",
    f"jdbc:postgresql://db.example:5432/push?user=u&password={CODED}&ssl=true",
    f"postgresql://u:{CODED}@db.example/push?pgbouncer=true&connection_limit=1",
    f"postgresql://u:{CODED}@db.example/push?schema=public&connect_timeout=10&sslmode=no-verify",
    f"postgresql://u:{CODED}@db.example/push?sslmode=REQUIRED&",
    f"postgresql://u:{CODED}@db.example/push?application_name=",
    f"host=db.example port=5432 dbname=push user=u password='{RAW}' sslmode=require",
    f"dbname=push host=db.example user = u password='{RAW}'",
]


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_database_is_found_by_its_address_as_it_was_pasted(folder: Path, address: str) -> None:
    text = MINIMAL + f"[store]\nurl = {json.dumps(address)}\n"

    url = load(write(folder, text), {}).store.url

    assert parsed(url)[0] == PLAIN
    assert RAW not in without_password(url)
    assert CODED not in without_password(url)


def parsed(url: str) -> tuple[tuple[Any, ...], dict[str, str]]:
    """What asyncpg makes of an address, and what it would hand to the server as a setting."""
    hosts, parameters = connect_utils._parse_connect_dsn_and_args(
        dsn=url,
        host=None,
        port=None,
        user=None,
        password=None,
        passfile=None,
        database=None,
        ssl=None,
        service=None,
        servicefile=None,
        direct_tls=None,
        server_settings=None,
        target_session_attrs=None,
        krbsrvname=None,
        gsslib=None,
    )
    ((host, port),) = hosts
    who = (parameters.user, parameters.password, host, port, parameters.database)
    return who, parameters.server_settings or {}


@pytest.mark.parametrize("address", ADDRESSES)
def test_options_of_other_clients_do_not_reach_the_server(address: str) -> None:
    assert parsed(store_url(address))[1] == {}


@given(password=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1))
def test_a_password_with_any_sign_is_found_escaped_or_in_libpqs_form(password: str) -> None:
    if databases._STANDS_FOR.fullmatch(password):
        return
    quoted = password.replace("\\", "\\\\").replace("'", "\\'")
    for address in (
        f"postgresql://u:{quote(password, safe='')}@h/db",
        f"host=h dbname=db user=u password='{quoted}'",
    ):
        assert parsed(store_url(address))[0][1] == password


@given(password=st.text(st.sampled_from("abc@/#?:!$&[]^ "), min_size=1, max_size=8))
def test_a_password_that_was_not_escaped_is_found(password: str) -> None:
    if databases._STANDS_FOR.fullmatch(password) or password != password.strip():
        return
    who, _ = parsed(store_url(f"postgres://u:{password}x@db.example:5432/push"))
    assert who == ("u", f"{password}x", "db.example", 5432, "push")


@pytest.mark.parametrize("word", ["[YOUR-PASSWORD]", "<password>", "${PGPASS}", "********"])
def test_what_only_stands_for_a_password_is_told(folder: Path, word: str) -> None:
    text = (
        MINIMAL + f'[store]\nurl = "postgresql://postgres:{word}@db.x.supabase.co:5432/postgres"\n'
    )
    (problem,) = problems_of(write(folder, text))
    assert problem.startswith("store.url: holds no password")


def test_a_schema_that_is_not_the_usual_one_is_told(folder: Path) -> None:
    text = MINIMAL + '[store]\nurl = "postgresql://u:hush@h/db?schema=push"\n'
    (problem,) = problems_of(write(folder, text))
    assert "names a schema by schema" in problem
    assert "hush" not in problem


@pytest.mark.parametrize(
    ("address", "plain"),
    [
        ("nats://a:4222,nats://b:4222", "nats://a:4222,b:4222"),
        ("nats://a:4222/, b/", "nats://a:4222,b"),
        (" NATS://a ", "nats://a"),
        ("tls://a,tls://b", "tls://a,b"),
        ("Store", "store"),
    ],
)
def test_a_queue_is_found_by_its_address_as_it_was_pasted(
    folder: Path, address: str, plain: str
) -> None:
    text = f'{MINIMAL}[store]\nurl = "postgres://h/db"\n[queue]\nurl = "{address}"\n'
    assert load(write(folder, text), {}).queue.url == plain


# --- values that people type ---------------------------------------------------------------------

#: a setting, what is typed, and what it is
TYPED: list[tuple[str, Any, Any]] = [
    ("relay.max_age_s", "24h", 86_400),
    ("relay.max_age_s", "1d", 86_400),
    ("relay.max_age_s", "1 day", 86_400),
    ("relay.max_age_s", "90 min", 5_400),
    ("relay.max_age_s", "1h30m", 5_400),
    ("relay.max_age_s", "1h 30m 5s", 5_405),
    ("relay.max_age_s", "PT24H", 86_400),
    ("relay.max_age_s", "P1DT1H", 90_000),
    ("relay.max_age_s", "1W", 604_800),
    ("relay.max_age_s", "500ms", 0.5),
    ("relay.max_age_s", "0.5 h", 1_800),
    ("relay.max_age_s", " 60 ", 60),
    ("relay.max_age_s", "86 400", 86_400),
    ("relay.retention_days", "14d", 14),
    ("relay.retention_days", "2 weeks", 14),
    ("relay.retention_days", "48h", 2),
    ("webhook.max_body_bytes", "8 MiB", 8 * 1024**2),
    ("webhook.max_body_bytes", "8mib", 8 * 1024**2),
    ("webhook.max_body_bytes", "8MB", 8_000_000),
    ("queue.max_bytes", "1 GiB", 1024**3),
    ("queue.max_bytes", "1.5GiB", 3 * 1024**3 // 2),
    ("auth.jwt_requests_per_minute", "10/s", 600),
    ("apps.0.fcm.rate_per_s", "600 000/min", None),
    ("apps.0.fcm.rate_per_s", "600000 / minute", 10_000),
    ("relay.brake_share", "5%", 0.05),
    ("relay.brake_share", "12.5 %", 0.125),
    ("relay.max_backlog", "1 000 000", 1_000_000),
    ("relay.max_backlog", "1\u00a0000\u202f000", 1_000_000),
    ("server.role", "ALL", "all"),
    ("server.role", " Ingest", "ingest"),
    ("log.level", "WARN", "warning"),
    ("log.level", "Info", "info"),
    ("log.format", "JSON", "json"),
    ("auth.subject", "USER_ID", "user_id"),
    ("apps.0.apns.transport", "Native", "native"),
    ("server.host", " 0.0.0.0 ", "0.0.0.0"),
    # what has no meaning, or two
    ("relay.max_age_s", "1 month", None),
    ("relay.max_age_s", "1y", None),
    ("relay.max_age_s", "5M", None),
    ("relay.max_age_s", "1:30", None),
    ("relay.max_age_s", "1,5 h", None),
    ("relay.max_age_s", "-1h", None),
    ("relay.max_age_s", "1h 1h", None),
    ("relay.max_age_s", "8 MiB", None),
    ("relay.max_age_s", "forever", None),
    ("relay.retention_days", "36h", None),
    ("webhook.max_body_bytes", "8M", None),
    ("webhook.max_body_bytes", "24h", None),
    ("apps.0.fcm.rate_per_s", "24h", None),
    ("relay.max_backlog", "1,000", None),
    ("relay.max_backlog", "5%", None),
    ("relay.brake_share", "200%", None),
    ("relay.max_attempts", True, None),
    ("server.port", False, None),
    ("server.role", "both", None),
]


def at(key: str) -> shape.Loc:
    return tuple(int(part) if part.isdecimal() else part for part in key.split("."))


@pytest.mark.parametrize(("key", "value", "meaning"), TYPED)
def test_a_value_is_read_where_it_has_one_meaning_and_refused_by_name_where_not(
    folder: Path, key: str, value: Any, meaning: Any
) -> None:
    variable = "INKPUSH_" + shape.variable(at(key))
    text = str(value).lower() if isinstance(value, bool) else value
    file = write(folder, WITH_APNS)
    if meaning is None:
        (problem,) = problems_of(file, {variable: text})
        assert problem.startswith(f"{shape.dotted(at(key))} (from {variable}): ")
        assert "expected" in problem
    else:
        found: Any = load(file, {variable: text})
        assert value_at(found, at(key)) == meaning


def value_at(settings: Settings, loc: shape.Loc) -> Any:
    return shape.get(settings.model_dump(), loc)


@pytest.mark.parametrize(("key", "value", "meaning"), [row for row in TYPED if "." in row[0]])
def test_the_file_and_the_variable_mean_the_same(
    folder: Path, key: str, value: Any, meaning: Any
) -> None:
    loc = at(key)
    if loc[0] == "apps":
        return
    typed_in = f"[{loc[0]}]\n{loc[1]} = {json.dumps(value, ensure_ascii=False)}\n"
    file = write(folder, MINIMAL.replace("[webhook]\n", "") if loc[0] == "webhook" else MINIMAL)
    if loc[0] == "webhook":
        typed_in += f'secrets = ["{SECRET}"]\n'
        file = write(folder, typed_in + MINIMAL.split("\n", 3)[3])
    else:
        file = write(folder, MINIMAL + typed_in)
    if meaning is None:
        (problem,) = problems_of(file)
        assert problem.startswith(f"{key}: ")
    else:
        assert value_at(load(file, {}), loc) == meaning


def test_a_date_of_toml_is_the_text_of_a_setting(folder: Path) -> None:
    text = f"{MINIMAL}[auth]\nissuer = 2027-02-01\naudience = 2027-02-01T10:00:00Z\n"
    auth = load(write(folder, text), {}).auth
    assert (auth.issuer, auth.audience) == ("2027-02-01", "2027-02-01T10:00:00+00:00")


def test_what_may_be_typed_is_told() -> None:
    assert "24h" in typed.expected("max_age_s")
    assert "MiB" in typed.expected("max_body_bytes")
    assert typed.expected("rate_per_s") == ""


@given(
    st.lists(
        st.tuples(st.integers(0, 99), st.sampled_from(["d", "h", "m", "s"])),
        min_size=1,
        max_size=4,
        unique_by=lambda part: part[1],
    ),
    st.sampled_from(["", " "]),
)
def test_parts_of_a_time_add_up_in_any_order(parts: list[tuple[int, str]], between: str) -> None:
    units = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
    text = " ".join(f"{count}{between}{unit}" for count, unit in parts)
    assert typed.seconds_of(text) == sum(count * units[unit] for count, unit in parts)


@given(st.text(max_size=20))
def test_no_text_makes_it_fail(text: str) -> None:
    typed.seconds_of(text)
    data = {
        "relay": {"max_age_s": text, "brake_share": text, "retention_days": text},
        "webhook": {"max_body_bytes": text},
        "log": {"level": text},
    }
    typed.read(MODEL, data)


# --- nothing that is secret is told --------------------------------------------------------------

PLANTED = [
    SECRET,
    "whsec_short",
    "-----BEGIN PRIVATE KEY-----hush",
    "-----BEGIN PRIVATE KEY-----\nhush/hush/+",
    "hush" * 11,
    '{"type": "service_account", "x": "hush"}',
    "eyJ" + "hush" * 300,
]


@pytest.mark.parametrize(
    ("loc", "planted"),
    list(zip(shape.leaves(MODEL), itertools.cycle(PLANTED), strict=False)),
    ids=lambda value: shape.dotted(value) if isinstance(value, tuple) else "",
)
def test_a_secret_in_any_wrong_place_is_not_told(
    folder: Path, loc: shape.Loc, planted: str
) -> None:
    file = write(folder, WITH_APNS)
    try:
        load(file, {"INKPUSH_" + shape.variable(loc): planted})
    except SettingsError as refused:
        told = "\n".join(refused.problems)
        assert planted not in told
        assert planted.removeprefix("whsec_") not in told


@pytest.mark.parametrize("planted", PLANTED)
def test_a_secret_in_the_place_of_a_key_is_not_told(folder: Path, planted: str) -> None:
    text = f'"{planted}" = 1\n{MINIMAL}[auth]\n"{planted}" = 1\n'
    assert planted not in "\n".join(problems_of(write(folder, text)))
