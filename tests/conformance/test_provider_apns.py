"""What transports to APNs promise beyond the common: streams, provider tokens, environments."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from providers.apns.credentials import PERIOD_S, ApnsCredentials
from providers.apns.sdk import MAX_IN_FLIGHT
from providers.apns.verdicts import CLOCK_WRONG
from providers.contract import (
    Delivered,
    Environment,
    Misconfigured,
    Refused,
    TokenGone,
    Unavailable,
)
from providers.sandbox import Answer, Sandbox, Settings
from tests.kit.http2_peers import free_port
from tests.kit.provider_rig import FACTORIES, Clock, Rig, rig, until

APNS = sorted(name for name, (kind, _) in FACTORIES.items() if kind == "apns")
MINUTE = 60.0


def begin_a_period(clock: Clock) -> None:
    """Move the clock on to where a provider token is new."""
    clock.ahead_s += PERIOD_S - clock() % PERIOD_S


@pytest.fixture(params=APNS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def ready(name: str, sandbox: Sandbox, tmp_path: Path, clock: Clock) -> AsyncIterator[Rig]:
    async with rig(name, sandbox, tmp_path, clock) as made:
        yield made


async def test_the_headers_are_those_of_an_alert_that_ends_when_the_push_does(ready: Rig) -> None:
    push = ready.push()

    await ready.one(push)

    (seen,) = ready.seen
    assert seen.id == str(push.delivery_id)
    assert seen.headers == {
        "topic": ready.files.topic,
        "push_type": "alert",
        "priority": "10",
        "expiration": str(int(push.expires_at)),
    }


@pytest.mark.parametrize(
    ("status", "reason", "opened"),
    [
        (503, "Shutdown", 2),
        (400, "IdleTimeout", 2),
        (403, "UnrelatedKeyIdInToken", 2),
        (503, "ServiceUnavailable", 1),
        (403, "InvalidProviderToken", 1),
    ],
)
async def test_a_reason_of_the_connections_own_ends_it_and_no_other_does(
    name: str, sandbox: Sandbox, tmp_path: Path, status: int, reason: str, opened: int
) -> None:
    async with rig(name, sandbox, tmp_path, max_connections=1) as ready:
        sandbox.script(ready.address(1).value, Answer.status(status, reason))

        verdict = await ready.one(ready.push(ready.address(1)))

        assert not isinstance(verdict, Delivered)
        assert verdict.reason == reason
        assert isinstance(await ready.one(ready.push(ready.address(2))), Delivered)
        assert sandbox.stats()["connections_opened"]["apns"] == opened


@pytest.mark.parametrize(("status", "reason"), [(503, "Shutdown"), (400, "IdleTimeout")])
async def test_a_vendor_that_sends_every_connection_away_is_not_connected_to_in_haste(
    name: str, sandbox: Sandbox, tmp_path: Path, status: int, reason: str
) -> None:
    """Apple takes rapid connecting for an attack."""
    sandbox.default_answer = Answer.status(status, reason)
    loop = asyncio.get_running_loop()
    async with rig(name, sandbox, tmp_path, timeout_s=2.0) as ready:
        ends_at, number = loop.time() + 4.0, 0
        while loop.time() < ends_at:
            if ready.free:
                number += 1
                ready.send([ready.push(ready.address(number))])
            await asyncio.sleep(0.001)

        # waits of 0.5 to 1 s, then twice and four times that
        assert 2 <= sandbox.stats()["connections_opened"]["apns"] <= 5
        trouble = ready.provider.trouble("production")
        assert trouble is None or "ends them without serving" in trouble.reason

        sandbox.default_answer = Answer.ok()
        await until(lambda: ready.free > 0)
        assert isinstance(await ready.one(), Delivered)


async def test_a_connection_that_served_and_ends_is_replaced_at_once(
    name: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    async with rig(name, sandbox, tmp_path, max_connections=1) as ready:
        for number in range(5):
            assert isinstance(await ready.one(), Delivered)
            sandbox.script(ready.address(100 + number).value, Answer.status(503, "Shutdown"))
            await ready.one(ready.push(ready.address(100 + number)))
            await until(lambda: ready.provider.connections == 0)
            assert ready.free > 0


async def test_thousands_of_rejections_on_one_connection_do_not_stall_it(
    name: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.default_answer = Answer.unregistered()
    async with rig(name, sandbox, tmp_path, max_connections=1) as ready:
        verdicts = await ready.deliver(*(ready.push(ready.address(n)) for n in range(6000)))

        assert {type(verdict) for verdict in verdicts} == {TokenGone}
        assert sandbox.stats()["connections_opened"]["apns"] == 1


async def test_one_stream_is_used_until_the_vendor_allows_more(
    name: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    async with rig(name, sandbox, tmp_path, max_connections=1) as ready:
        assert ready.free == 1
        first = ready.push()
        ready.send([first])
        assert ready.free == 0
        await ready.outcome(first)

        # SETTINGS and answer may come in different reads
        most = MAX_IN_FLIGHT if name == "apns-sdk" else Settings().stream_limit
        await until(lambda: ready.free == most)


async def test_a_lowered_limit_is_kept_and_a_raised_one_used(
    name: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    async with rig(name, sandbox, tmp_path, max_connections=1) as ready:
        sandbox.script(ready.address(1).value, Answer.set_stream_limit(2))
        sandbox.script(ready.address(2).value, Answer.set_stream_limit(150))
        assert isinstance(await ready.one(ready.push(ready.address(1))), Delivered)
        await until(lambda: ready.free == 2)

        verdicts = await ready.deliver(*(ready.push(ready.address(n)) for n in range(10, 40)))
        assert {type(verdict) for verdict in verdicts} == {Delivered}
        assert isinstance(await ready.one(ready.push(ready.address(2))), Delivered)

        await until(lambda: ready.free == 150)


async def test_what_waits_for_a_stream_and_was_never_sent_was_surely_not_taken(
    name: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.default_answer = Answer.hang()
    async with rig(name, sandbox, tmp_path, max_connections=1, timeout_s=3.0) as ready:
        pushes = [ready.push(ready.address(number)) for number in range(4)]

        ready.send(pushes)
        first, *others = await ready.outcome(*pushes)

        assert first == Unavailable("Timeout", outcome_known=False)
        assert set(others) == {Unavailable.not_looked_at("Timeout", 10.0)}
        assert len(ready.seen) == 1


async def test_streams_after_a_goaway_are_free_and_those_before_it_are_answered(
    name: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    async with rig(name, sandbox, tmp_path, max_connections=1) as ready:
        assert isinstance(await ready.one(ready.push(ready.address(9))), Delivered)
        sandbox.script(ready.address(1).value, Answer.slow(0.3))
        sandbox.script(ready.address(2).value, Answer.goaway(process_current=False))

        verdicts = await ready.deliver(*(ready.push(ready.address(number)) for number in (1, 2, 3)))

        free = Unavailable.not_looked_at("GoAway")
        assert isinstance(verdicts[0], Delivered)
        assert verdicts[1:] == [free, free]
        assert isinstance(await ready.one(ready.push(ready.address(4))), Delivered)
        assert sandbox.stats()["connections_opened"]["apns"] == 2
        assert sandbox.stats()["largest_repeat"] == 1


async def test_a_polite_end_of_the_connection_costs_no_push(ready: Rig) -> None:
    ready.sandbox.latency_s = 0.1
    pushes = [ready.push(ready.address(number)) for number in range(20)]
    assert isinstance(await ready.one(), Delivered)
    ready.send(pushes)
    await until(lambda: len(ready.seen) == 21)

    ready.sandbox.go_away()
    verdicts = await ready.outcome(*pushes)

    assert {type(verdict) for verdict in verdicts} == {Delivered}


async def test_a_connection_that_gives_no_stream_is_as_good_as_gone(
    name: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    async with rig(name, sandbox, tmp_path, max_connections=1) as ready:
        sandbox.script(ready.address(1).value, Answer.set_stream_limit(0))
        assert isinstance(await ready.one(ready.push(ready.address(1))), Delivered)

        verdicts = await ready.deliver(*(ready.push(ready.address(n)) for n in range(2, 40)))

        assert {type(verdict) for verdict in verdicts} == {Delivered}
        assert sandbox.stats()["connections_opened"]["apns"] == 2


async def test_all_connections_share_one_provider_token(
    name: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.settings.stream_limit = 2
    sandbox.latency_s = 0.02
    async with rig(name, sandbox, tmp_path, max_connections=4) as ready:
        await ready.deliver(*(ready.push(ready.address(number)) for number in range(40)))

        stats = sandbox.stats()
        assert stats["connections_opened"]["apns"] == 4
        assert stats["distinct_jwts"] == 1


async def test_a_provider_token_is_renewed_before_it_ends(ready: Rig, clock: Clock) -> None:
    ready.sandbox.settings.limit_token_updates = True
    begin_a_period(clock)

    for _ in range(4):
        assert isinstance(await ready.one(), Delivered)
        clock.ahead_s += 25 * MINUTE

    assert ready.sandbox.stats()["distinct_jwts"] == 2


async def test_an_old_token_called_expired_is_replaced_and_the_push_may_go_again(
    ready: Rig, clock: Clock
) -> None:
    begin_a_period(clock)
    ready.sandbox.script(
        ready.address().value,
        Answer.ok(),
        Answer.status(403, "ExpiredProviderToken"),
        repeat_last=False,
    )
    assert isinstance(await ready.one(), Delivered)
    clock.ahead_s += 21 * MINUTE

    verdict = await ready.one()

    assert verdict == Unavailable.not_looked_at("ExpiredProviderToken")
    assert isinstance(await ready.one(), Delivered)
    assert ready.sandbox.stats()["distinct_jwts"] == 2


async def test_a_young_token_called_expired_is_a_clock_to_be_set(ready: Rig, clock: Clock) -> None:
    begin_a_period(clock)
    ready.sandbox.default_answer = Answer.status(403, "ExpiredProviderToken")

    assert await ready.one() == CLOCK_WRONG
    assert await ready.one() == CLOCK_WRONG
    assert ready.sandbox.stats()["distinct_jwts"] == 1


async def test_a_wrong_key_is_a_matter_for_people_and_prunes_nobody(
    name: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    key_file = sandbox.write_credentials(tmp_path).wrong_apns_key_file
    async with rig(name, sandbox, tmp_path, key_file=key_file) as ready:
        verdicts = await ready.deliver(*(ready.push(ready.address(n)) for n in range(5)))

        assert {type(verdict) for verdict in verdicts} == {Misconfigured}
        assert {verdict.reason for verdict in verdicts if isinstance(verdict, Misconfigured)} == {
            "InvalidProviderToken"
        }
        assert isinstance(await ready.check(), Misconfigured)
        assert ready.provider.credential.last_success_at is None


async def test_a_wrong_topic_is_found_by_a_check(
    name: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    async with rig(name, sandbox, tmp_path, topic="com.example.other") as ready:
        found = await ready.check()

        assert isinstance(found, Misconfigured)
        assert found.reason == "BadTopic"


async def test_each_device_is_reached_in_its_own_environment(ready: Rig) -> None:
    phone = ready.address(1, Environment.PRODUCTION)
    developer = ready.address(2, Environment.SANDBOX)
    ready.sandbox.only_in("production", phone.value)
    ready.sandbox.only_in("sandbox", developer.value)

    verdicts = await ready.deliver(ready.push(phone), ready.push(developer))

    assert {type(verdict) for verdict in verdicts} == {Delivered}
    assert {seen.environment for seen in ready.seen} == {"production", "sandbox"}


async def test_a_device_in_the_wrong_environment_may_be_tried_in_the_other(ready: Rig) -> None:
    ready.sandbox.only_in("sandbox", ready.address(1).value)

    first = await ready.one(ready.push(ready.address(1)))
    second = await ready.one(ready.push(ready.address(1, Environment.SANDBOX)))

    assert first == Refused("BadDeviceToken", "environment")
    assert isinstance(second, Delivered)


async def test_one_endpoint_alone_is_one_environment_for_all(
    name: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    async with rig(name, sandbox, tmp_path, sandbox_endpoint="") as ready:
        developer = ready.address(1, Environment.SANDBOX)
        assert isinstance(await ready.one(ready.push(developer)), Delivered)
        sandbox.only_in("sandbox", developer.value)

        assert await ready.one(ready.push(developer)) == Refused("BadDeviceToken", "address")
        assert {seen.environment for seen in ready.seen} == {"production"}


@pytest.mark.parametrize("reason", ["BadEnvironmentKeyIdInToken", "BadEnvironmentKeyInToken"])
async def test_a_production_key_goes_on_beside_a_developers_phone(ready: Rig, reason: str) -> None:
    developer = ready.address(2, Environment.SANDBOX)
    ready.sandbox.script(developer.value, Answer.status(403, reason))

    verdicts = await ready.deliver(ready.push(ready.address(1)), ready.push(developer))

    assert isinstance(verdicts[0], Delivered)
    assert isinstance(verdicts[1], Misconfigured)
    assert (verdicts[1].reason, verdicts[1].about) == (reason, "target")


async def test_a_second_key_signs_what_goes_to_the_sandbox(
    name: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    """The key for production is wrong; the sandbox has one of its own, and takes it."""
    files = sandbox.write_credentials(tmp_path)
    own = ApnsCredentials.load(files.apns_key_file, files.key_id, files.team_id, clock=time.time)
    given: dict[str, Any] = {"key_file": files.wrong_apns_key_file, "sandbox_credentials": own}
    async with rig(name, sandbox, tmp_path, **given) as ready:
        production = await ready.one(ready.push(ready.address(1)))
        developers = await ready.one(ready.push(ready.address(2, Environment.SANDBOX)))
        assert isinstance(production, Misconfigured)
        assert isinstance(developers, Delivered)
        assert isinstance(await ready.provider.check("production"), Misconfigured)
        assert await ready.provider.check("sandbox") is None


async def test_each_environment_is_reached_by_itself(
    name: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    nowhere = f"https://127.0.0.1:{free_port()}"
    async with rig(name, sandbox, tmp_path, sandbox_endpoint=nowhere) as ready:
        assert await ready.provider.reach("production") is None
        trouble = await ready.provider.reach("sandbox")
        assert trouble is not None
        assert "127.0.0.1: it refuses the connection" in trouble.reason
        assert ready.provider.trouble("sandbox") == trouble
        assert ready.provider.trouble("production") is None
        assert ready.seen == []


async def test_an_environment_that_hangs_leaves_the_other_its_room(
    name: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    async with rig(name, sandbox, tmp_path, timeout_s=5.0) as ready:
        assert isinstance(await ready.one(ready.push(ready.address(1))), Delivered)
        developers = [ready.address(number, Environment.SANDBOX) for number in range(2, 30)]
        for address in developers:
            sandbox.script(address.value, Answer.hang())
        stuck = [ready.push(address) for address in developers]
        ready.send(stuck)

        assert isinstance(await ready.one(ready.push(ready.address(1))), Delivered)
        assert not ready.verdicts.keys() & {push.delivery_id for push in stuck}
        await ready.outcome(*stuck)


async def test_a_vendor_that_is_away_is_not_hammered(
    name: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    async with rig(name, sandbox, tmp_path) as ready:
        sandbox.default_answer = Answer.drop()
        assert isinstance(await ready.one(), Unavailable)

        assert ready.free == 0  # until the time of the next try has come
        push = ready.push()
        ready.send([push])
        (verdict,) = await ready.outcome(push)

        assert isinstance(verdict, Unavailable)
        assert (verdict.reason, verdict.outcome_known) == ("Unreachable", True)
        assert verdict.retry_after is not None
        assert 0 < verdict.retry_after <= 1
        assert sandbox.stats()["connections_opened"]["apns"] == 1


def test_the_sandbox_plays_apples_first_stream_limit() -> None:
    assert (Settings().stream_limit_before_auth, Settings().stream_limit) == (1, 1000)
