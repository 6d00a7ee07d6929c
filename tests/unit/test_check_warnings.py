"""`inkpush check` warns of what works and is likely a slip, and of nothing in a sound setup."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import resource
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path

import pytest

from config import checks
from gateway.app import surroundings
from gateway.app.checking import Finding, examine
from gateway.app.dates import Site
from gateway.app.settings import load
from providers.sandbox.certificates import make_certificates
from tests.unit.test_key_files import ACCOUNT, P8

ROOT = Path(__file__).parents[2]
SECRET = "whsec_" + base64.b64encode(b"a secret of twenty-five!!").decode()
SOUND = """
[webhook]
secrets_file = "hooks"
[auth]
jwt_secret_file = "jwt"
issuer = "acme"
audience = "push"
[[apps]]
id = "agent"
[apps.fcm]
credentials_file = "fcm.json"
[apps.apns]
key_file = "AuthKey.p8"
key_id = "ABC123DEFG"
team_id = "DEF123GHIJ"
topic = "com.acme.agent"
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A production setup, as README tells to make it."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1_024, 65_536))
    contents = {
        "inkpush.toml": SOUND,
        "hooks": SECRET,
        "jwt": "0123456789abcdef0123456789abcdef",
        "fcm.json": json.dumps(ACCOUNT),
        "AuthKey.p8": P8.decode(),
    }
    for name, content in contents.items():
        (tmp_path / name).write_text(content)
        (tmp_path / name).chmod(0o640)
    return tmp_path


async def warnings(folder: Path) -> list[str]:
    file = folder / "inkpush.toml"
    found = await examine(load(file, {}), online=False, file=file)
    assert [one.what for one in found if one.level == "error"] == []
    return [one.what for one in found if one.level == "warning"]


def change(folder: Path, name: str, old: str, new: str) -> None:
    file = folder / name
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def without_fcm_key(folder: Path) -> None:
    """An app that is reached by APNs alone, and asks for what is FCM's."""
    change(folder, "inkpush.toml", '[apps.fcm]\ncredentials_file = "fcm.json"\n', "")
    change(folder, "inkpush.toml", 'id = "agent"', 'id = "agent"\ncollapse = "none"')


async def test_a_sound_setup_has_no_warning(folder: Path) -> None:
    assert await warnings(folder) == []


def name_after_another_key(folder: Path) -> None:
    (folder / "AuthKey.p8").rename(folder / "AuthKey_XYZ123DEFG.p8")
    change(folder, "inkpush.toml", "AuthKey.p8", "AuthKey_XYZ123DEFG.p8")


Change = Callable[[Path], object]
#: what is done to the setup, and the words of the one warning
SLIPS: dict[str, tuple[Change, str]] = {
    "a tolerance over an hour": (
        lambda place: change(place, "inkpush.toml", "[auth]", "tolerance_s = 3601\n[auth]"),
        "webhook.tolerance_s: is over an hour",
    ),
    "a tolerance as people type it": (
        lambda place: change(place, "inkpush.toml", "[auth]", 'tolerance_s = "365d"\n[auth]'),
        "webhook.tolerance_s: is over an hour",
    ),
    "the example's secret": (
        lambda place: change(place, "hooks", SECRET, next(iter(checks.EXAMPLES))),
        "webhook.secrets[0]: is the example of the documents",
    ),
    "another key's id": (
        name_after_another_key,
        "apps[0].apns.key_id: is not the one in the key file's name",
    ),
    "a vendor that keeps nothing": (
        lambda place: change(place, "inkpush.toml", "[apps.apns]", "vendor_ttl_s = 0\n[apps.apns]"),
        "apps[0].fcm.vendor_ttl_s: is 0, so that a phone that is off gets nothing",
    ),
    "Apple keeps nothing": (
        lambda place: change(place, "inkpush.toml", "key_id", "vendor_ttl_s = 0\nkey_id"),
        "apps[0].apns.vendor_ttl_s: is 0, so that a phone that is off gets nothing",
    ),
    "no collapse key to leave out": (
        without_fcm_key,
        "apps[0].collapse: leaves out a collapse key that no push service of the app has",
    ),
    "FCM over plain http": (
        lambda place: change(
            place, "inkpush.toml", "[apps.apns]", 'endpoint = "http://fcm.example"\n[apps.apns]'
        ),
        "apps[0].fcm.endpoint: fcm.example is asked over plain http",
    ),
    "APNs over plain http": (
        lambda place: change(
            place, "inkpush.toml", "key_id", 'endpoint = "http://10.0.0.7:80"\nkey_id'
        ),
        "apps[0].apns.endpoint: 10.0.0.7 is asked over plain http",
    ),
    "APNs' sandbox over plain http": (
        lambda place: change(
            place, "inkpush.toml", "key_id", 'sandbox_endpoint = "http://127.0.0.1.evil"\nkey_id'
        ),
        "apps[0].apns.sandbox_endpoint: 127.0.0.1.evil is asked over plain http",
    ),
    "a token address over plain http": (
        lambda place: change(place, "fcm.json", "https://oauth2.googleapis.com", "http://oauth2"),
        "apps[0].fcm.credentials_file: oauth2 is asked over plain http",
    ),
    "secrets for all to read": (
        lambda place: (place / "hooks").chmod(0o644),
        "webhook.secrets_file: ",
    ),
    "a JWT secret for all to read": (
        lambda place: (place / "jwt").chmod(0o604),
        "auth.jwt_secret_file: ",
    ),
    "a service account for all to read": (
        lambda place: (place / "fcm.json").chmod(0o664),
        "apps[0].fcm.credentials_file: ",
    ),
    "a key for all to read": (
        lambda place: (place / "AuthKey.p8").chmod(0o444),
        "apps[0].apns.key_file: ",
    ),
}


@pytest.mark.parametrize(("slip", "told"), SLIPS.values(), ids=SLIPS)
async def test_a_slip_is_told_by_its_setting_and_once(
    folder: Path, slip: Change, told: str
) -> None:
    slip(folder)
    (warning,) = await warnings(folder)
    assert warning.startswith(told)


async def test_a_configuration_with_secrets_inside_is_a_file_with_secrets(folder: Path) -> None:
    file = folder / "inkpush.toml"
    file.chmod(0o644)
    assert await warnings(folder) == []
    change(folder, "inkpush.toml", 'jwt_secret_file = "jwt"', f'jwt_secret = "{"x" * 40}"')
    (warning,) = await warnings(folder)
    assert warning == f"configuration: {file} may be read by every user of this machine"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "127.9.9.9"])
async def test_a_stand_in_on_this_machine_may_be_plain(folder: Path, host: str) -> None:
    change(folder, "inkpush.toml", "[apps.apns]", f'endpoint = "http://{host}:1"\n[apps.apns]')
    change(folder, "fcm.json", "https://oauth2.googleapis.com", f"http://{host}:2")
    assert await warnings(folder) == []


@pytest.mark.parametrize(
    ("limit", "told"),
    [((256, 1_024), True), ((1_024, 4_095), True), ((1_024, 4_096), False), ((1_024, -1), False)],
)
async def test_few_files_are_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch, limit: tuple[int, int], told: bool
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: limit)
    assert [line.partition(":")[0] for line in await warnings(folder)] == ["files"] * told


def test_every_secret_of_our_documents_is_known_as_an_example() -> None:
    pages = [ROOT / "README.md", *(ROOT / "deploy").rglob("*.md"), *(ROOT / "config").glob("*.*")]
    written = {
        found
        for page in pages
        if page.suffix in {".md", ".toml"}
        for found in re.findall(r"whsec_[A-Za-z0-9+/=]{16,}", page.read_text())
    }
    assert written == checks.EXAMPLES


# --- over the network ----------------------------------------------------------------------------


@pytest.fixture
def several(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[tuple[int, str]]], None]:
    """Give the name `vendor.test` addresses of several families."""

    def resolve(addresses: list[tuple[int, str]]) -> None:
        async def look_up(
            _loop: object, host: str, port: int, **_: object
        ) -> list[tuple[object, ...]]:
            assert host == "vendor.test"
            return [
                (family, socket.SOCK_STREAM, 6, "", (address, port))
                for family, address in addresses
            ]

        monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", look_up)

    return resolve


@pytest.mark.parametrize(
    ("v6", "v4", "told"),
    [
        (True, True, []),
        (False, True, ["IPv6"]),
        (True, False, ["IPv4"]),
        (False, False, []),  # then the vendor is away, which is told elsewhere
        (None, True, []),  # this machine has no IPv6: that costs nothing
    ],
)
async def test_a_dead_family_is_told_where_the_other_answers(
    monkeypatch: pytest.MonkeyPatch,
    several: Callable[[list[tuple[int, str]]], None],
    v6: bool | None,
    v4: bool,
    told: list[str],
) -> None:
    several([(socket.AF_INET6, "::1"), (socket.AF_INET6, "::2"), (socket.AF_INET, "127.0.0.1")])

    async def answers(family: int, address: tuple[object, ...]) -> bool | None:
        return v6 if family == socket.AF_INET6 else v4

    monkeypatch.setattr(surroundings, "_answers", answers)
    found = await surroundings.dead_families([Site("apps[0].fcm.endpoint", "https://vendor.test")])
    assert [re.findall(r"no (\S+) address of vendor\.test", what)[0] for what, _ in found] == told


async def test_an_address_answers_or_does_not() -> None:
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        assert await surroundings._answers(socket.AF_INET, ("127.0.0.1", port)) is True
    assert await surroundings._answers(socket.AF_INET, ("127.0.0.1", port)) is False


async def test_behind_a_proxy_addresses_are_not_ours_to_try(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    site = Site("apps[0].fcm.endpoint", "https://vendor.test", proxy=True)
    assert await surroundings.dead_families([site]) == []
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    assert await surroundings.dead_families([replace(site, proxy=False)]) == []


@pytest.mark.parametrize(
    ("ahead", "told"), [(0.0, ""), (50.0, ""), (-3_600.0, "behind"), (3_600.0, "ahead of")]
)
async def test_a_clock_that_is_off_is_told_by_the_dates_of_answers(
    tmp_path: Path, ahead: float, told: str
) -> None:
    certificates = make_certificates()
    (tmp_path / "ca.pem").write_bytes(certificates.ca_pem)
    (tmp_path / "server.pem").write_bytes(certificates.server_pem)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        date = formatdate(time.time() - ahead, usegmt=True)
        writer.write(
            f"HTTP/1.1 404 Not Found\r\nDate: {date}\r\nContent-Length: 0\r\n\r\n".encode()
        )
        await writer.drain()
        writer.close()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem")
    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    async with server:
        port = server.sockets[0].getsockname()[1]
        site = Site("x", f"https://localhost:{port}", str(tmp_path / "ca.pem"))
        found = await surroundings.wrong_clock([site, Site("y", "https://127.0.0.1:1")])

    assert [told in what and "localhost" in what for what, _ in found] == [True] * bool(told)


async def test_findings_are_warnings_with_a_cure(folder: Path) -> None:
    (folder / "jwt").chmod(0o644)
    found = await examine(load(folder / "inkpush.toml", {}), online=False)
    (warning,) = [one for one in found if one.level == "warning"]
    assert isinstance(warning, Finding)
    assert warning.advice == f"chmod o-rwx {folder / 'jwt'}"
