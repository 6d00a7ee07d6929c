"""The control API, and the files and configuration a sandbox hands out."""

from __future__ import annotations

import asyncio
import json
import stat
import tomllib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from providers.sandbox import Answer, Sandbox, config_toml, describe
from tests.kit.sandbox_rig import TOKEN, SandboxRig, http_client, sandbox_rig, until


@pytest.fixture
async def rig() -> AsyncIterator[SandboxRig]:
    async with sandbox_rig() as rig:
        yield rig


async def call(rig: SandboxRig, method: str, path: str, body: object = None) -> httpx.Response:
    content = None if body is None else json.dumps(body).encode()
    return await rig.http.request(method, rig.sandbox.control_url + path, content=content)


# --- from another process ---------------------------------------------------------------------


async def test_scripts_come_in_bulk(rig: SandboxRig) -> None:
    scripts = [
        {"address": TOKEN, "answers": ["internal", {"kind": "status", "status": 418}]},
        {"address": "cd" * 32, "answers": ["unavailable"], "repeat_last": False},
    ]
    assert (await call(rig, "PUT", "/scripts", {"scripts": scripts})).json() == {"scripts": 2}
    assert [(await rig.apns()).status_code for _ in range(3)] == [500, 418, 418]
    assert [(await rig.apns("cd" * 32)).status_code for _ in range(2)] == [503, 200]
    assert (await call(rig, "DELETE", "/scripts")).status_code == 204
    assert (await rig.apns()).status_code == 200


async def test_one_bad_script_changes_nothing(rig: SandboxRig) -> None:
    scripts = [{"address": TOKEN, "answers": ["internal"]}, {"address": TOKEN, "answers": ["?"]}]
    assert (await call(rig, "PUT", "/scripts", {"scripts": scripts})).status_code == 400
    assert (await rig.apns()).status_code == 200


async def test_pushes_are_read_page_by_page(rig: SandboxRig) -> None:
    for number in range(3):
        await rig.apns(f"{number:064x}")
    page = (await call(rig, "GET", "/pushes?limit=2")).json()
    assert [push["address"][-1] for push in page["pushes"]] == ["0", "1"]
    rest = (await call(rig, "GET", f"/pushes?since={page['last']}")).json()
    assert [push["seq"] for push in rest["pushes"]] == [3]
    assert (await call(rig, "GET", "/pushes?since=3")).json() == {"pushes": [], "last": 3}
    assert (await call(rig, "DELETE", "/pushes")).status_code == 204
    assert (await call(rig, "GET", "/pushes")).json()["pushes"] == []


async def test_pushes_can_be_had_as_lines(rig: SandboxRig) -> None:
    await rig.apns()
    response = await rig.http.get(
        f"{rig.sandbox.control_url}/pushes", headers={"accept": "application/x-ndjson"}
    )
    assert response.headers["content-type"].startswith("application/x-ndjson")
    [line] = response.text.splitlines()
    push = json.loads(line)
    assert (push["title"], push["data"], push["status"]) == ("Hi Mary!", {"path": "/learning"}, 200)


async def test_phones_and_figures_can_be_looked_at(rig: SandboxRig) -> None:
    await rig.apns(apns_collapse_id="c")
    await rig.apns(apns_collapse_id="c")
    [shown] = (await call(rig, "GET", f"/phones/{TOKEN.upper()}")).json()["shown"]
    assert shown["seq"] == 2
    stats = (await call(rig, "GET", "/stats")).json()
    assert stats == rig.sandbox.stats()
    assert (stats["accepted"], stats["repeated"]) == (2, 0)


async def test_somebody_can_be_logged_in_on_a_phone(rig: SandboxRig) -> None:
    told = {"for": ["b", "a"], "app": "open"}
    assert (await call(rig, "PUT", f"/phones/{TOKEN.upper()}", told)).json()["for"] == ["a", "b"]
    await rig.apns()  # it is for nobody
    assert (await call(rig, "GET", f"/phones/{TOKEN}")).json()["shown"] == []
    assert (await call(rig, "GET", "/stats")).json()["dropped"] == 1


async def test_settings_can_be_changed(rig: SandboxRig) -> None:
    change: dict[str, Any] = {"trust_apns_key": False, "latency_s": 0.01}
    response = await call(rig, "PUT", "/settings", change)
    assert response.json() == (await call(rig, "GET", "/settings")).json()
    assert (await rig.apns()).status_code == 403
    await call(rig, "PUT", "/settings", {"trust_apns_key": True, "default_answer": "internal"})
    assert (await rig.apns()).status_code == 500


async def test_addresses_can_be_tied_to_an_environment(rig: SandboxRig) -> None:
    response = await call(rig, "PUT", "/addresses", {"only_in": {TOKEN: "sandbox"}})
    assert response.status_code == 200
    assert (await rig.apns()).json()["reason"] == "BadDeviceToken"


async def test_tokens_can_be_revoked(rig: SandboxRig) -> None:
    token = await rig.access_token()
    assert (await call(rig, "POST", "/tokens/revoke")).status_code == 204
    assert (await rig.fcm({"token": "x" * 20}, token=token)).status_code == 401


async def test_connections_can_be_ended(rig: SandboxRig) -> None:
    async with rig.wire() as one, rig.wire() as two:
        await until(lambda: one.limits and two.limits)
        assert (await call(rig, "POST", "/connections/goaway")).json() == {"told": 2}
        await until(lambda: one.closed and two.closed)
    async with rig.wire() as one:
        await until(lambda: one.limits)
        assert (await call(rig, "POST", "/connections/drop")).json() == {"dropped": 1}
        await until(lambda: one.closed)


@pytest.mark.parametrize(
    ("method", "path", "body", "words"),
    [
        ("PUT", "/scripts", "x", "the body must be a JSON object"),
        ("PUT", "/scripts", {}, 'the body must hold "scripts", a list'),
        ("PUT", f"/phones/{TOKEN}", {}, "a phone is told one or more of app, for, notif"),
        ("PUT", f"/phones/{TOKEN}", {"words": ["a"]}, "a phone is told one or more of"),
        ("PUT", f"/phones/{TOKEN}", {"for": "a"}, 'the body must hold "for", a list'),
        ("PUT", f"/phones/{TOKEN}", {"state": "asleep"}, "state must be on or off"),
        ("PUT", f"/phones/{TOKEN}", {"state": "off", "app": "open"}, "a phone that is off has no"),
        ("POST", f"/phones/{TOKEN}/reinstall", {}, 'the body must hold "address"'),
        ("POST", f"/phones/{TOKEN}/reinstall", {"address": TOKEN}, "the same one"),
        ("PUT", "/scripts", {"scripts": [1]}, "a script is an object"),
        ("PUT", "/scripts", {"scripts": [{"address": 1}]}, "a script is an object"),
        ("PUT", "/scripts", {"scripts": [{"address": "a"}]}, 'the body must hold "answers"'),
        (
            "PUT",
            "/scripts",
            {"scripts": [{"address": "a", "answers": [], "repeat_last": 1}]},
            "repeat_last must be true or false",
        ),
        ("PUT", "/settings", {"colour": 1}, "there is no setting 'colour'"),
        ("PUT", "/addresses", {"only_in": 1}, 'the body must hold "only_in"'),
        ("PUT", "/addresses", {"only_in": {"a": "moon"}}, "an environment is"),
        ("GET", "/pushes?since=-1", None, "since must be a number"),
        ("GET", "/pushes?limit=many", None, "limit must be a number"),
        ("PUT", "/settings", None, "the body is not JSON"),
    ],
)
async def test_bad_input_is_a_400_in_words(
    rig: SandboxRig, method: str, path: str, body: object, words: str
) -> None:
    response = await call(rig, method, path, body)
    assert response.status_code == 400
    assert words in response.json()["error"]


# --- files and configuration ------------------------------------------------------------------


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_credentials_are_for_their_owner_alone(rig: SandboxRig, tmp_path: Path) -> None:
    folder = tmp_path / "new"
    files = rig.sandbox.write_credentials(folder)
    assert mode_of(folder) == 0o700
    assert {mode_of(folder / name) for name in contents(folder)} == {0o600}
    account = json.loads(files.fcm_file.read_text())
    assert account["token_uri"] == f"{rig.sandbox.control_url}/token"
    assert account["type"] == "service_account"


def contents(directory: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in directory.iterdir()}


def port_of(url: str) -> int:
    return int(url.rsplit(":", 1)[1])


async def test_a_restarted_sandbox_serves_its_old_senders(tmp_path: Path) -> None:
    async with sandbox_rig(credentials_dir=tmp_path) as old:
        assert (await old.apns()).status_code == 200
        written = contents(tmp_path)
        sandbox = old.sandbox
        await sandbox.aclose()
        async with Sandbox(
            fcm_port=port_of(sandbox.fcm_url),
            apns_port=port_of(sandbox.apns_url),
            apns_sandbox_port=port_of(sandbox.apns_sandbox_url),
            control_port=port_of(sandbox.control_url),
            credentials_dir=tmp_path,
        ) as restarted:
            assert contents(tmp_path) == written
            assert describe(restarted, restarted.credentials) == describe(sandbox, old.files)
            async with http_client(old.files) as http:
                sender = replace(old, http=http)
                assert (await sender.apns()).status_code == 200
                assert (await sender.fcm({"token": "x" * 20})).status_code == 200
            assert restarted.stats()["accepted"] == 2


async def test_a_new_sandbox_does_not_know_the_keys_of_another(rig: SandboxRig) -> None:
    async with sandbox_rig() as other:
        key = other.files.apns_key_file.read_text()
        response = await rig.apns(authorization=f"bearer {rig.provider_token(key=key)}")
        assert response.json()["reason"] == "InvalidProviderToken"


async def test_a_port_that_is_taken_leaves_nothing_open(rig: SandboxRig) -> None:
    taken = port_of(rig.sandbox.apns_url)
    sandbox = Sandbox(apns_sandbox_port=taken)
    with pytest.raises(OSError, match="address already in use"):
        await sandbox.start()
    with pytest.raises(OSError):  # noqa: PT011 - the words are the system's own
        await asyncio.open_connection("127.0.0.1", port_of(sandbox.apns_url))
    assert not sandbox.credentials.ca_file.exists()


async def test_a_sandbox_can_be_reached_by_a_name() -> None:
    async with sandbox_rig(name="localhost") as rig:
        assert rig.sandbox.apns_url.startswith("https://localhost:")
        assert (await rig.apns()).status_code == 200


async def test_the_configuration_names_both_vendors(rig: SandboxRig) -> None:
    text = config_toml(
        rig.sandbox,
        rig.files,
        store={"url": "sqlite:///x.db"},
        webhook={"secrets": ["whsec_x"]},
        fcm={"rate_per_s": 0, "transport": None},
    )
    read = tomllib.loads(text)
    assert read["store"] == {"url": "sqlite:///x.db"}
    assert read["webhook"] == {"secrets": ["whsec_x"]}
    [app] = read["apps"]
    assert app["id"] == "demo"
    assert app["fcm"] == {
        "credentials_file": str(rig.files.fcm_file),
        "project_id": rig.files.project_id,
        "endpoint": rig.sandbox.fcm_url,
        "ca_file": str(rig.files.ca_file),
        "rate_per_s": 0,
    }
    assert (app["apns"]["sandbox_endpoint"], app["apns"]["transport"]) == (
        rig.sandbox.apns_sandbox_url,
        "native",
    )


async def test_the_configuration_can_leave_a_vendor_out(rig: SandboxRig) -> None:
    [app] = tomllib.loads(config_toml(rig.sandbox, rig.files, id="x", apns=None))["apps"]
    assert (app["id"], sorted(app)) == ("x", ["fcm", "id"])


async def test_a_delay_is_added_to_every_answer(rig: SandboxRig) -> None:
    rig.sandbox.latency_s = 3600
    rig.sandbox.script(TOKEN, Answer.internal())
    async with rig.wire() as wire:
        wire.push()
        await until(lambda: rig.sandbox.pushes)
        assert wire.ended == []
