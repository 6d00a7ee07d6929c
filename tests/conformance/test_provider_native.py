"""What the native transports promise beyond those on the vendors' own libraries."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from providers.apns.credentials import PERIOD_S
from providers.contract import Delivered, Message, Unavailable
from providers.fcm import credentials
from providers.sandbox import Answer, Sandbox
from tests.kit.provider_rig import FACTORIES, MESSAGE, Clock, Rig, rig, until

NATIVE = sorted(name for name in FACTORIES if name.endswith("-native"))
FREE = Unavailable.not_looked_at("GoAway")
REFUSED = Unavailable.not_looked_at("StreamRefused")
MINUTE = 60.0


@pytest.fixture(params=NATIVE)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def opened(ready: Rig) -> int:
    """How many connections were made to this vendor."""
    count: int = ready.sandbox.stats()["connections_opened"][ready.kind]
    return count


# --- GOAWAY --------------------------------------------------------------------------------------


async def test_streams_after_a_goaway_are_free_and_those_before_it_are_answered(
    name: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    async with rig(name, sandbox, tmp_path, max_connections=1) as ready:
        assert isinstance(await ready.one(ready.push(ready.address(9))), Delivered)
        sandbox.script(ready.address(1).value, Answer.slow(0.3))
        sandbox.script(ready.address(2).value, Answer.goaway(process_current=False))

        verdicts = await ready.deliver(*(ready.push(ready.address(number)) for number in (1, 2, 3)))

        assert isinstance(verdicts[0], Delivered)
        assert verdicts[1:] == [FREE, FREE]
        assert isinstance(await ready.one(ready.push(ready.address(4))), Delivered)
        assert opened(ready) == 2
        assert sandbox.stats()["largest_repeat"] == 1


async def test_a_goaway_after_an_answer_costs_nothing(
    name: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    async with rig(name, sandbox, tmp_path, max_connections=1) as ready:
        sandbox.script(ready.address(1).value, Answer.goaway(process_current=True))

        assert isinstance(await ready.one(ready.push(ready.address(1))), Delivered)
        assert isinstance(await ready.one(ready.push(ready.address(2))), Delivered)

        assert opened(ready) == 2


async def test_a_polite_end_of_the_connection_costs_no_push(
    name: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    async with rig(name, sandbox, tmp_path) as ready:
        assert isinstance(await ready.one(), Delivered)
        sandbox.latency_s = 0.1
        pushes = [ready.push(ready.address(number)) for number in range(200)]
        ready.send(pushes)
        await until(lambda: len(ready.seen) == 201)

        sandbox.go_away()
        verdicts = await ready.outcome(*pushes)

        assert {type(verdict) for verdict in verdicts} == {Delivered}
        assert sandbox.stats()["largest_repeat"] == 1


# --- streams and windows -------------------------------------------------------------------------


async def test_a_refused_stream_costs_no_other_and_three_in_a_row_the_connection(
    name: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    async with rig(name, sandbox, tmp_path, max_connections=1) as ready:
        assert isinstance(await ready.one(ready.push(ready.address(9))), Delivered)
        sandbox.script(ready.address(1).value, Answer.reset())

        mixed = [ready.push(ready.address(n)) for n in (1, 2, 1, 3)]
        verdicts = await ready.deliver(*mixed)
        assert verdicts[0] == verdicts[2] == REFUSED
        assert isinstance(verdicts[1], Delivered)
        assert isinstance(verdicts[3], Delivered)
        assert opened(ready) == 1

        for _ in range(3):
            assert await ready.one(ready.push(ready.address(1))) == REFUSED
        assert isinstance(await ready.one(ready.push(ready.address(4))), Delivered)
        assert opened(ready) == 2


async def test_a_lowered_limit_is_kept_and_a_raised_one_used(
    name: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    async with rig(name, sandbox, tmp_path, max_connections=1) as ready:
        sandbox.script(ready.address(1).value, Answer.set_stream_limit(2))
        sandbox.script(ready.address(2).value, Answer.set_stream_limit(150))
        assert isinstance(await ready.one(ready.push(ready.address(1))), Delivered)
        await until(lambda: ready.free == 2)

        # a stream over the limit would be refused
        verdicts = await ready.deliver(*(ready.push(ready.address(n)) for n in range(10, 60)))
        assert {type(verdict) for verdict in verdicts} == {Delivered}
        assert isinstance(await ready.one(ready.push(ready.address(2))), Delivered)

        await until(lambda: ready.free == 150)


@pytest.mark.parametrize("window", [0, 100_000])
async def test_small_windows_of_the_vendor_slow_pushes_down_and_lose_none(
    window: int, name: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    """65 535 bytes is what a connection begins with: less than thirty pushes of this size."""
    sandbox.settings.receive_window = window
    async with rig(name, sandbox, tmp_path, max_connections=1) as ready:
        message = replace(MESSAGE, body="a long story " * 200)
        pushes = [ready.push(ready.address(number), message) for number in range(600)]

        verdicts = await ready.deliver(*pushes)

        assert {type(verdict) for verdict in verdicts} == {Delivered}
        assert opened(ready) == 1
        assert sandbox.stats()["largest_repeat"] == 1
        assert {len(seen.body) for seen in ready.seen} == {len(ready.seen[0].body)}


async def test_megabytes_of_error_bodies_do_not_stall_a_connection(
    name: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    filler = {"@type": "type.googleapis.com/google.rpc.Help", "links": ["x" * 8_000]}
    sandbox.default_answer = Answer.status(503, "UNAVAILABLE" + "x" * 8_000, details=[filler])
    async with rig(name, sandbox, tmp_path, max_connections=1) as ready:
        pushes = [ready.push(ready.address(number)) for number in range(3000)]

        verdicts = await ready.deliver(*pushes)

        assert {type(verdict) for verdict in verdicts} == {Unavailable}
        assert {v.outcome_known for v in verdicts if isinstance(v, Unavailable)} == {True}
        assert opened(ready) == 1
        sandbox.default_answer = Answer.ok()
        assert isinstance(await ready.one(), Delivered)


# --- credentials ---------------------------------------------------------------------------------


async def test_one_provider_token_serves_all_connections_and_is_renewed_in_time(
    sandbox: Sandbox, tmp_path: Path, clock: Clock
) -> None:
    """Apple: not within 20 minutes, and not after 60."""
    sandbox.settings.stream_limit = 2
    sandbox.settings.limit_token_updates = True
    sandbox.latency_s = 0.01
    changed: list[float] = []
    begins_s = PERIOD_S - clock() % PERIOD_S
    async with rig("apns-native", sandbox, tmp_path, clock, max_connections=3) as ready:
        for minutes in range(0, 180, 10):
            clock.ahead_s = begins_s + minutes * MINUTE
            before = sandbox.stats()["distinct_jwts"]
            pushes = [ready.push(ready.address(number)) for number in range(20)]
            verdicts = await ready.deliver(*pushes)
            assert {type(verdict) for verdict in verdicts} == {Delivered}
            if sandbox.stats()["distinct_jwts"] > before:
                changed.append(minutes)
        assert opened(ready) == 3

    waits = [later - earlier for earlier, later in pairwise(changed)]
    assert len(waits) >= 3
    assert all(20 <= wait <= 50 for wait in waits)


@pytest.mark.parametrize("status", [400, 403, 410, 429, 500, 503])
async def test_no_error_makes_a_new_provider_token(
    status: int, sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.default_answer = Answer.status(status, "SomeReason")
    async with rig("apns-native", sandbox, tmp_path) as ready:
        for number in range(30):
            await ready.one(ready.push(ready.address(number)))

        assert sandbox.stats()["distinct_jwts"] == 1


async def test_one_fetch_serves_all_connections_and_all_who_wait(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.settings.oauth_delay_s = 0.2
    sandbox.settings.stream_limit = 3
    sandbox.latency_s = 0.01
    async with rig("fcm-native", sandbox, tmp_path, max_connections=3) as ready:
        verdicts = await ready.deliver(*(ready.push(ready.address(n)) for n in range(100)))

        assert {type(verdict) for verdict in verdicts} == {Delivered}
        assert opened(ready) == 3
        assert sandbox.stats()["oauth_calls"] == 1


async def test_an_access_token_is_fetched_ahead_of_time_and_pushes_never_wait_for_it(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credentials, "RENEW_AT", 0.001)  # after a second or so, of ten minutes
    sandbox.settings.oauth_expires_in = 600
    async with rig("fcm-native", sandbox, tmp_path) as ready:
        assert isinstance(await ready.one(), Delivered)
        sandbox.settings.oauth_delay_s = 0.6
        during: set[int] = set()
        async with asyncio.timeout(60):
            while len(during) < 3:
                fetch = asked_and_unanswered(sandbox)
                assert isinstance(await ready.one(), Delivered)
                if fetch and fetch == asked_and_unanswered(sandbox):
                    during.add(fetch)  # who waited for the endpoint would end after its answer


def asked_and_unanswered(sandbox: Sandbox) -> int:
    """The number of the fetch of an access token that is on its way; 0: there is none."""
    stats = sandbox.stats()
    return stats["oauth_calls"] if stats["oauth_calls"] > stats["oauth_issued"] else 0


# --- headers -------------------------------------------------------------------------------------


async def test_texts_of_all_the_world_arrive_as_they_are(
    name: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    texts: list[dict[str, Any]] = [
        {"title": 'a "quote" and \\ and \x00\x1f', "body": "line\nbreak\ttab", "path": "/a?b=c&d"},
        {"title": "Ķurzeme 日本語 🎉", "body": "עברית", "path": "/ünï/コード"},
        {"title": "", "body": "", "path": None},
    ]
    async with rig(name, sandbox, tmp_path) as ready:
        for text in texts:
            message = Message("msg_1", **text)
            assert isinstance(await ready.one(ready.push(message=message)), Delivered)
            seen = ready.seen[-1]
            assert (seen.title, seen.body) == (text["title"], text["body"])
            assert seen.data.get("path") == text["path"]
            assert json.dumps(dict(seen.data))
