"""What transports to FCM promise beyond the common: access tokens, platforms, capacity."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from providers.contract import (
    AddressKind,
    Delivered,
    Misconfigured,
    Platform,
    Unavailable,
)
from providers.fcm.payload import FcmStyle
from providers.fcm.verdicts import ACCESS_TOKEN_REFUSED, NEW_TOKEN_WAIT_S
from providers.sandbox import Answer, Sandbox
from providers.wording.between import PROXY_LOGIN
from tests.kit.provider_rig import FACTORIES, Clock, Rig, rig, until

FCM = sorted(name for name, (kind, _) in FACTORIES.items() if kind == "fcm")


@pytest.fixture(params=FCM)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def ready(name: str, sandbox: Sandbox, tmp_path: Path, clock: Clock) -> AsyncIterator[Rig]:
    async with rig(name, sandbox, tmp_path, clock) as made:
        yield made


async def test_android_is_woken_and_keeps_the_push_as_long_as_it_lives(
    name: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    async with rig(name, sandbox, tmp_path, style=FcmStyle("learning")) as ready:
        push = ready.push()

        await ready.one(push)

        (seen,) = ready.seen
        assert seen.headers["priority"] == "high"
        assert seen.headers["collapse_key"] == str(push.delivery_id)
        assert seen.headers["channel"] == "learning"
        assert seen.headers["ttl"] in ("3600s", "3599s")


@pytest.mark.parametrize("platform", Platform)
@pytest.mark.parametrize("kind", AddressKind)
async def test_every_platform_is_reached_by_token_and_by_installation_id(
    platform: Platform, kind: AddressKind, ready: Rig
) -> None:
    address = replace(ready.address(), platform=platform, kind=kind)

    assert isinstance(await ready.one(ready.push(address)), Delivered)


async def test_one_access_token_serves_all_who_wait_for_it(ready: Rig) -> None:
    ready.sandbox.settings.oauth_delay_s = 0.2

    verdicts = await ready.deliver(*(ready.push(ready.address(n)) for n in range(50)))

    assert {type(verdict) for verdict in verdicts} == {Delivered}
    assert ready.sandbox.stats()["oauth_calls"] == 1


async def test_a_slow_token_endpoint_does_not_stop_the_event_loop(
    name: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.settings.oauth_delay_s = 1.0
    async with rig(name, sandbox, tmp_path) as ready:
        push = ready.push()
        ready.send([push])
        turns = 0
        while push.delivery_id not in ready.verdicts:
            turns += 1
            await asyncio.sleep(0)

        # a loop that was blocked for the whole second would have turned a handful of times
        assert turns > 500
        assert isinstance(ready.verdicts[push.delivery_id], Delivered)


async def test_a_token_that_worked_and_is_revoked_is_replaced_once(ready: Rig) -> None:
    assert isinstance(await ready.one(), Delivered)
    ready.sandbox.revoke_tokens()

    refused = await ready.deliver(*(ready.push(ready.address(n)) for n in range(5)))
    again = await ready.deliver(*(ready.push(ready.address(n)) for n in range(5)))

    expected = Unavailable.not_looked_at("UNAUTHENTICATED", NEW_TOKEN_WAIT_S)
    assert set(refused) == {expected}
    assert {type(verdict) for verdict in again} == {Delivered}
    assert ready.sandbox.stats()["oauth_calls"] == 2


async def test_a_token_that_is_refused_from_the_start_is_a_matter_for_people(ready: Rig) -> None:
    await until(lambda: ready.provider.credential.expires_at is not None)
    ready.sandbox.revoke_tokens()

    assert await ready.one() == ACCESS_TOKEN_REFUSED


async def test_a_token_is_replaced_ahead_of_time_even_when_nothing_is_sent(
    name: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.settings.oauth_expires_in = 2
    async with rig(name, sandbox, tmp_path):
        await until(lambda: sandbox.stats()["oauth_calls"] >= 2)


async def test_a_token_endpoint_that_is_away_makes_pushes_wait(
    name: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.settings.oauth_status = 503
    async with rig(name, sandbox, tmp_path) as ready:
        verdicts = await ready.deliver(*(ready.push(ready.address(n)) for n in range(20)))

        assert set(verdicts) == {Unavailable.not_looked_at("OAuthUnavailable", 10.0)}
        assert ready.seen == []
        sandbox.settings.oauth_status = 200
        assert await ready.check() is None
        assert isinstance(await ready.one(), Delivered)


PAGE = "<html><title>Log in to the network</title></html>"


@pytest.mark.parametrize(
    ("status", "page", "reason"),
    [
        (200, PAGE, "OAuthForeign"),
        (302, PAGE, "OAuthForeign"),
        (307, PAGE, "OAuthForeign"),
        (403, PAGE, "OAuthForeign"),
        (404, PAGE, "OAuthForeign"),
        (404, " ", "OAuthForeign"),
        (404, '{"message": "no such route"}', "OAuthForeign"),
        (407, PAGE, PROXY_LOGIN),
        (502, PAGE, "OAuthForeign"),
        (502, "", "OAuthUnavailable"),
        (504, PAGE, "OAuthForeign"),
        (200, '{"expires_in": 3600}', "OAuthForeign"),
        (200, "[]", "OAuthForeign"),
        (400, '{"error": ["invalid_grant"]}', "OAuthUnavailable"),
    ],
)
async def test_what_is_not_googles_at_the_token_endpoint_holds_nothing(
    name: str, sandbox: Sandbox, tmp_path: Path, status: int, page: str, reason: str
) -> None:
    sandbox.settings.oauth_status, sandbox.settings.oauth_page = status, page
    async with rig(name, sandbox, tmp_path) as ready:
        assert await ready.one() == Unavailable.not_looked_at(reason, 10.0)
        trouble = ready.provider.trouble("android")
        assert trouble is not None
        assert "token endpoint" in trouble.reason

        sandbox.settings.oauth_status, sandbox.settings.oauth_page = 200, ""
        assert await ready.check() is None
        assert isinstance(await ready.one(), Delivered)
        # no redirect was followed
        assert sandbox.stats()["oauth_calls"] <= 4


async def test_a_token_endpoint_slower_than_the_deadline_costs_the_push_nothing(
    name: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.settings.oauth_delay_s = 1.0
    async with rig(name, sandbox, tmp_path, timeout_s=0.2) as ready:
        assert await ready.one() == Unavailable.not_looked_at("Timeout", 10.0)
        assert ready.seen == []


async def test_a_service_account_that_google_does_not_know_is_a_matter_for_people(
    name: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    files = sandbox.write_credentials(tmp_path)
    account = json.loads(files.fcm_file.read_text()) | {"client_email": "gone@example.com"}
    other = tmp_path / "other.json"
    other.write_text(json.dumps(account))
    async with rig(name, sandbox, tmp_path, fcm_file=other) as ready:
        verdict = await ready.one()

        assert isinstance(verdict, Misconfigured)
        assert verdict.reason == "invalid_grant"
        assert await ready.check() == verdict


@pytest.mark.parametrize(
    ("project", "reason"),
    [("somebody-elses-project", "PERMISSION_DENIED"), ("no-such-project", "NOT_FOUND")],
)
async def test_a_wrong_project_is_found_by_a_check_and_prunes_nobody(
    name: str, project: str, reason: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    async with rig(name, sandbox, tmp_path, project_id=project) as ready:
        found = await ready.check()

        assert isinstance(found, Misconfigured)
        assert found.reason == reason
        assert await ready.one() == found


async def test_a_second_provider_can_be_made_of_the_same_options(ready: Rig) -> None:
    assert isinstance(await ready.one(), Delivered)
    first = ready.provider
    await first.aclose()
    ready.clock.ahead_s += 4000  # the token in hand has come to its end meanwhile

    options = first._options  # type: ignore[attr-defined]  # every transport has them
    ready.provider = type(first)(options, ready.clock)  # type: ignore[call-arg]
    await ready.provider.start()

    assert isinstance(await ready.one(), Delivered)
    assert ready.sandbox.stats()["oauth_calls"] == 2
    await ready.provider.aclose()


async def test_two_lanes_in_one_process_keep_to_themselves(
    name: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    async with (
        rig(name, sandbox, tmp_path) as one,
        rig(name, sandbox, tmp_path, project_id="no-such-project") as other,
    ):
        assert isinstance(await one.one(), Delivered)
        assert isinstance(await other.one(), Misconfigured)
        assert isinstance(await one.one(), Delivered)


async def test_http_1_is_spoken_where_there_is_no_tls(
    name: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    async with _answering_in_http_1(b'{"name":"projects/p/messages/1"}') as endpoint:  # noqa: SIM117
        async with rig(name, sandbox, tmp_path, endpoint=endpoint, max_connections=3) as ready:
            verdicts = await ready.deliver(*(ready.push(ready.address(n)) for n in range(10)))

            assert set(verdicts) == {Delivered("projects/p/messages/1")}
            assert 1 <= ready.provider.connections <= 3


async def test_an_answer_that_breaks_the_sdk_is_still_judged_by_its_status(
    name: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    for body in (b"\xff\xfe not text", b'{"error": "text"}', b'{"error": {"details": [1]}}'):
        async with (
            _answering_in_http_1(body, b"503 Service Unavailable") as endpoint,
            rig(name, sandbox, tmp_path, endpoint=endpoint) as ready,
        ):
            assert await ready.one() == Unavailable("HTTP 503", outcome_known=True)


async def test_capacity_follows_what_the_vendor_allows(
    name: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.settings.stream_limit = 7
    async with rig(name, sandbox, tmp_path, max_connections=2) as ready:
        sandbox.latency_s = 0.05
        await ready.deliver(*(ready.push(ready.address(n)) for n in range(250)))

        assert ready.free == 14
        assert ready.provider.connections == 2
        assert ready.sandbox.stats()["largest_repeat"] == 1


async def test_a_dry_run_leaves_scripts_and_phones_alone(ready: Rig) -> None:
    ready.sandbox.default_answer = Answer.unregistered()

    assert await ready.check() is None


class _answering_in_http_1:  # noqa: N801 - used like a function
    """A server that gives every request one answer."""

    def __init__(self, body: bytes, status: bytes = b"200 OK") -> None:
        self._answer = b"HTTP/1.1 %b\r\ncontent-length: %d\r\n\r\n%b" % (status, len(body), body)

    async def __aenter__(self) -> str:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = next(
                    int(line.split(b":")[1])
                    for line in head.lower().splitlines()
                    if line.startswith(b"content-length")
                )
                await reader.readexactly(length)
                writer.write(self._answer)
        except asyncio.IncompleteReadError:
            pass  # the client has gone
        finally:
            writer.close()
