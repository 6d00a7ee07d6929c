"""A proxy, of the settings or the environment: pushes and access tokens go through it, and nothing
goes around it."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest

from gateway.app.checking import examine
from gateway.app.lanes import plan_lanes
from gateway.app.vendors import VENDORS
from gateway.errors import ConfigurationError
from providers.sandbox.credentials import server_file
from tests.kit.audience import androids, iphones
from tests.kit.proxy import ConnectProxy, tls_front
from tests.kit.relay_rig import RelayRig

LOGIN = "relay:s3cret-of-the-proxy"
HEADER = "Basic " + base64.b64encode(LOGIN.encode()).decode()
FCM, APNS = "fcm", "apns"


@dataclass
class Office:
    """A network with a way out by the proxy only; `fcm_file` names a token endpoint with TLS."""

    rig: RelayRig
    proxy: ConnectProxy
    fcm_file: str
    token_place: str

    def settings(self, login: str = LOGIN) -> dict[str, dict[str, object]]:
        through: dict[str, object] = {"proxy": self.proxy.url(login)}
        fcm: dict[str, object] = {"rate_per_s": 0, "credentials_file": self.fcm_file}
        return {FCM: fcm | through, APNS: through}

    @property
    def places(self) -> dict[str, str]:
        """Who is where."""
        sandbox = self.rig.sandbox
        return {
            urlsplit(sandbox.fcm_url).netloc: FCM,
            urlsplit(sandbox.apns_url).netloc: APNS,
            urlsplit(sandbox.apns_sandbox_url).netloc: APNS,
            self.token_place: "token",
        }


@pytest.fixture
async def office(rig: RelayRig) -> AsyncIterator[Office]:
    files = rig.sandbox.credentials
    certificate = server_file(files.ca_file.parent)
    control_port = urlsplit(rig.sandbox.control_url).port
    assert control_port is not None
    proxy = ConnectProxy(login=HEADER)
    async with tls_front(certificate, control_port) as token_port, proxy.running():
        place = f"127.0.0.1:{token_port}"
        account = json.loads(files.fcm_file.read_text()) | {"token_uri": f"https://{place}/token"}
        fcm_file = rig.folder / "account.json"
        fcm_file.write_text(json.dumps(account))
        yield Office(rig, proxy, str(fcm_file), place)


WAYS_TO_NAME_IT = ("setting", "environment")


@pytest.mark.parametrize("transport", ["native", "sdk"])
@pytest.mark.parametrize("named_by", WAYS_TO_NAME_IT)
async def test_pushes_and_the_access_token_go_through_the_proxy(
    office: Office, monkeypatch: pytest.MonkeyPatch, named_by: str, transport: str
) -> None:
    phones = androids(range(50)) + iphones(range(50, 100))
    settings = office.settings()
    if named_by == "environment":
        monkeypatch.setenv("HTTPS_PROXY", office.proxy.url(LOGIN))
        settings = {name: table | {"proxy": ""} for name, table in settings.items()}
    settings = {name: table | {"transport": transport} for name, table in settings.items()}
    async with office.rig.running(**settings) as running:
        await running.register(*phones)
        await running.queue_for("msg_1", phones)
        assert await running.settled("msg_1") == {"delivered": 100}

    told = {office.places[place] for place in office.proxy.places}
    assert told == {FCM, APNS, "token"}
    # nothing went around it
    opened = office.rig.sandbox.stats()["connections_opened"]
    went = [office.places[place] for place in office.proxy.places]
    assert opened == {FCM: went.count(FCM), APNS: went.count(APNS)}
    # and it saw no more than where they went
    for head in office.proxy.heads:
        assert head.startswith("CONNECT ")
        assert "/token" not in head
        assert "messages:send" not in head
    assert {first[:1] for first in office.proxy.first_bytes} == {b"\x16"}


async def test_a_host_in_no_proxy_is_reached_directly_by_pushes_and_token_fetches_alike(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", office.proxy.url(LOGIN))
    monkeypatch.setenv("NO_PROXY", "127.0.0.0/8")
    settings = {name: table | {"proxy": ""} for name, table in office.settings().items()}
    phones = androids(range(2)) + iphones(range(2, 4))
    async with office.rig.running(**settings) as running:
        await running.register(*phones)
        await running.queue_for("msg_1", phones)
        assert await running.settled("msg_1") == {"delivered": 4}
    assert office.proxy.places == []


async def test_check_says_which_host_is_reached_how(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", office.proxy.url(LOGIN))
    fcm, apns = office.settings()[FCM], office.settings()[APNS] | {"proxy": ""}
    settings = office.rig.settings(fcm=fcm, apns=apns)

    told = [one.what for one in await examine(settings, online=True)]

    by = f"by the proxy 127.0.0.1:{office.proxy.port}"
    assert f"demo/fcm: reaches 127.0.0.1 {by} (proxy)" in told
    assert f"demo/apns: reaches 127.0.0.1 {by} (HTTPS_PROXY)" in told
    assert not [text for text in told if "s3cret" in text]
    assert {office.places[place] for place in office.proxy.places} == {FCM, APNS, "token"}


async def test_a_proxy_of_the_environment_that_cannot_be_used_is_named(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "socks5://relay:s3cret@127.0.0.1:9")
    settings = {name: table | {"proxy": ""} for name, table in office.settings().items()}

    with pytest.raises(ConfigurationError) as refused:
        plan_lanes(office.rig.settings(**settings), VENDORS)

    assert [text.partition(" must")[0] for text in refused.value.problems] == [
        "apps[0].fcm.proxy: HTTPS_PROXY in the environment",
        "apps[0].apns.proxy: HTTPS_PROXY in the environment",
    ]
    assert "s3cret" not in str(refused.value)


async def test_the_setting_goes_before_what_the_environment_names(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    (phone,) = androids([1])
    async with office.rig.running(**office.settings()) as running:
        await running.register(phone)
        await running.queue_for("msg_1", [phone])
        assert await running.settled("msg_1") == {"delivered": 1}
    assert "token" in {office.places[place] for place in office.proxy.places}


async def test_a_proxy_that_refuses_makes_pushes_wait_and_its_password_is_told_nobody(
    office: Office, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    wrong = "relay:not-the-p4ssword"
    (phone,) = iphones([1])
    android = androids([2])
    async with office.rig.running(**office.settings(wrong)) as running:
        await running.register(phone, *android)
        await running.queue_for("msg_1", [phone])
        await running.pending_for("msg_1", "Unreachable")
        await running.queue_for("msg_2", android)
        await running.pending_for("msg_2", "OAuthUnreachable")
        trouble = await running.lane_in_memory(APNS).transport.reach("production")
        assert trouble is not None
        assert "the proxy answered 407" in trouble.reason
        told = repr(running.events) + repr(await running.rows("msg_1")) + repr(trouble)

    for secret in ("not-the-p4ssword", base64.b64encode(wrong.encode()).decode()):
        assert secret not in caplog.text
        assert secret not in told
    assert office.rig.sandbox.stats()["connections_opened"] == {FCM: 0, APNS: 0}
