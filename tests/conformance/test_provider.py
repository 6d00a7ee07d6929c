"""What every transport promises, against the vendor sandbox."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from providers.contract import (
    Delivered,
    Message,
    Misconfigured,
    Push,
    Refused,
    Throttled,
    TokenGone,
    Unavailable,
    Verdict,
)
from providers.sandbox import Answer, Sandbox
from providers.wording.between import PROXY_LOGIN
from tests.kit.gateway import eventually
from tests.kit.provider_rig import FACTORIES, MESSAGE, Rig, rig, until

ALL = sorted(FACTORIES)
FCM = [name for name in ALL if FACTORIES[name][0] == "fcm"]
APNS = [name for name in ALL if FACTORIES[name][0] == "apns"]


@pytest.fixture(params=ALL)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def ready(name: str, sandbox: Sandbox, tmp_path: Path) -> AsyncIterator[Rig]:
    async with rig(name, sandbox, tmp_path) as made:
        yield made


async def test_a_push_arrives_with_text_path_and_ids(ready: Rig) -> None:
    push = ready.push()

    verdict = await ready.one(push)

    (seen,) = ready.seen
    assert verdict == Delivered(seen.id)
    assert seen.accepted
    assert seen.address == push.address.value
    assert (seen.title, seen.body) == (MESSAGE.title, MESSAGE.body)
    assert seen.data["path"] == "/learning"
    assert seen.data["event_id"] == "msg_1"
    assert seen.data["delivery_id"] == str(push.delivery_id)
    assert seen.data["for"] == push.word
    assert seen.collapse_id == str(push.delivery_id)


async def test_a_repeat_replaces_its_first_copy_on_the_phone(ready: Rig) -> None:
    push = ready.push()

    await ready.one(push)
    ready.verdicts.clear()
    ready.settled.clear()
    await ready.one(push)

    assert len(ready.seen) == 2
    assert len(ready.sandbox.phone(push.address.value)) == 1


async def test_a_correction_arrives_with_the_collapse_id_of_what_it_replaces(ready: Rig) -> None:
    push = ready.push()
    push.collapse_id = other = "11111111-2222-5333-8444-555555555555"

    await ready.one(push)

    (seen,) = ready.seen
    assert (seen.data["delivery_id"], seen.collapse_id) == (push.delivery_id, other)


async def test_many_pushes_arrive_once_each(ready: Rig) -> None:
    pushes = [ready.push(ready.address(number)) for number in range(400)]

    verdicts = await ready.deliver(*pushes)

    assert all(isinstance(verdict, Delivered) for verdict in verdicts)
    stats = ready.sandbox.stats()
    assert (stats["accepted"], stats["largest_repeat"]) == (400, 1)
    assert ready.provider.in_flight == 0
    assert ready.provider.connections >= 1


async def test_more_than_the_transport_takes_still_gets_one_verdict_each(ready: Rig) -> None:
    pushes = [ready.push(ready.address(number)) for number in range(1500)]

    ready.send(pushes)
    verdicts = await ready.outcome(*pushes)

    assert {type(verdict) for verdict in verdicts} <= {Delivered, Unavailable}
    assert all(verdict.outcome_known for verdict in verdicts if isinstance(verdict, Unavailable))
    assert len(ready.seen) == sum(isinstance(verdict, Delivered) for verdict in verdicts)


ANSWERS: dict[str, tuple[list[str], Answer, Verdict]] = {
    # --- FCM
    "unregistered": (FCM, Answer.unregistered(), TokenGone("UNREGISTERED")),
    "never a token": (FCM, Answer.bad_token(), TokenGone("INVALID_ARGUMENT")),
    "dead at Apple's": (FCM, Answer.apns_error(), TokenGone("Unregistered")),
    "device quota": (FCM, Answer.throttled(7), Throttled("QUOTA_EXCEEDED", "device", 7.0)),
    "project quota": (
        FCM,
        Answer.throttled(scope="project"),
        Throttled("QUOTA_EXCEEDED", "lane", 60.0),
    ),
    "FCM is down": (
        FCM,
        Answer.unavailable(9),
        Unavailable("UNAVAILABLE", outcome_known=True, retry_after=9.0),
    ),
    "FCM is broken": (FCM, Answer.internal(), Unavailable("INTERNAL", outcome_known=True)),
    "another project": (
        FCM,
        Answer.status(403, "SENDER_ID_MISMATCH"),
        Refused("SENDER_ID_MISMATCH", "address"),
    ),
    "a proxy's page": (
        FCM,
        Answer.status(502, html=True),
        Unavailable("HTTP 502", outcome_known=False),
    ),
    "FCM's empty 500": (FCM, Answer.empty(500), Unavailable("HTTP 500", outcome_known=False)),
    "a teapot in FCM's place": (
        FCM,
        Answer.status(418, html=True),
        Unavailable.not_looked_at("HTTP 418", 10.0),
    ),
    "a portal's 404": (
        ALL,
        Answer.status(404, html=True),
        Unavailable.not_looked_at("HTTP 404", 10.0),
    ),
    "a proxy that wants a login": (
        ALL,
        Answer.status(407, html=True),
        Unavailable.not_looked_at(PROXY_LOGIN, 10.0),
    ),
    "a portal's 200": (
        ALL,
        Answer.status(200, html=True),
        Unavailable("HTTP 200", outcome_known=False),
    ),
    # --- APNs
    "gone since": (
        APNS,
        Answer.unregistered(1_700_000_000_000),
        TokenGone("Unregistered", 1_700_000_000_000),
    ),
    "expired": (APNS, Answer.status(410, "ExpiredToken"), TokenGone("ExpiredToken")),
    "wrong environment": (APNS, Answer.bad_token(), Refused("BadDeviceToken", "environment")),
    "wrong topic": (
        APNS,
        Answer.status(400, "DeviceTokenNotForTopic"),
        Refused("DeviceTokenNotForTopic", "address"),
    ),
    "device rate": (APNS, Answer.throttled(7), Throttled("TooManyRequests", "device", 7.0)),
    "token rate": (
        APNS,
        Answer.throttled(scope="project"),
        Throttled("TooManyProviderTokenUpdates", "lane", 60.0),
    ),
    "APNs is down": (
        APNS,
        Answer.unavailable(9),
        Unavailable("ServiceUnavailable", outcome_known=True, retry_after=9.0),
    ),
    "APNs shuts down": (
        APNS,
        Answer.status(503, "Shutdown"),
        Unavailable("Shutdown", outcome_known=True, later_floor_s=900.0),
    ),
    "idle": (
        APNS,
        Answer.status(400, "IdleTimeout"),
        Unavailable.not_looked_at("IdleTimeout"),
    ),
    "an empty 410": (APNS, Answer.empty(410), Unavailable.not_looked_at("HTTP 410", 10.0)),
    "a proxy's 502": (
        APNS,
        Answer.status(502, html=True),
        Unavailable("HTTP 502", outcome_known=False),
    ),
    "a teapot of APNs": (APNS, Answer.status(418, "Teapot"), Refused("HTTP 418", "message")),
    # --- both
    "going away": (
        ALL,
        Answer.goaway(process_current=False),
        Unavailable.not_looked_at("GoAway"),
    ),
    "FCM's empty 503": (FCM, Answer.empty(503), Unavailable("HTTP 503", outcome_known=True)),
    "APNs' empty 503": (
        APNS,
        Answer.empty(503),
        Unavailable("HTTP 503", outcome_known=True, later_floor_s=900.0),
    ),
    "a refused stream": (
        ALL,
        Answer.reset(),
        Unavailable.not_looked_at("StreamRefused"),
    ),
    "a cut connection": (ALL, Answer.drop(), Unavailable("ConnectionLost", outcome_known=False)),
}
CASES = [
    pytest.param(name, answer, verdict, id=f"{name}: {what}")
    for what, (names, answer, verdict) in ANSWERS.items()
    for name in names
]


@pytest.mark.parametrize(("name", "answer", "expected"), CASES)
async def test_every_answer_is_one_verdict_after_one_request_and_the_next_push_goes_on(
    name: str, answer: Answer, expected: Verdict, sandbox: Sandbox, tmp_path: Path
) -> None:
    async with rig(name, sandbox, tmp_path) as ready:
        sandbox.script(ready.address(1).value, answer)

        verdict = await ready.one(ready.push(ready.address(1)))

        assert verdict == expected
        assert len(ready.seen) == 1  # nothing was repeated behind our back

        async def is_taken() -> bool:
            """The relay repeats what nobody has looked at, and nothing else."""
            verdict = await ready.one(ready.push(ready.address(2)))
            if isinstance(verdict, Unavailable) and not verdict.looked_at:
                return False
            assert isinstance(verdict, Delivered)
            return True

        await eventually("the next push is taken", is_taken, every_s=0.1)


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        *((name, Answer.status(403)) for name in FCM),
        *((name, Answer.status(404)) for name in FCM),
        *((name, Answer.status(401, "THIRD_PARTY_AUTH_ERROR")) for name in FCM),
        *((name, Answer.status(400, "TopicDisallowed")) for name in APNS),
        *((name, Answer.status(403, "UnrelatedKeyIdInToken")) for name in APNS),
    ],
)
async def test_what_a_person_must_mend_is_said_with_a_hint(
    name: str, answer: Answer, sandbox: Sandbox, tmp_path: Path
) -> None:
    async with rig(name, sandbox, tmp_path) as ready:
        sandbox.default_answer = answer

        verdict = await ready.one()

        assert isinstance(verdict, Misconfigured)
        assert len(verdict.hint) > 20
        sandbox.default_answer = Answer.ok()
        async with asyncio.timeout(60):
            while isinstance(verdict := await ready.one(), Unavailable):
                assert not verdict.looked_at, "its connection had to go"
                await asyncio.sleep(verdict.retry_after or 0.0)
        assert isinstance(verdict, Delivered)


async def test_a_reset_that_promises_nothing_leaves_the_outcome_open(ready: Rig) -> None:
    ready.sandbox.script(ready.address().value, Answer.reset(2, taken=True))

    verdict = await ready.one()

    assert isinstance(verdict, Unavailable)
    assert not verdict.outcome_known


async def test_no_answer_ends_at_the_deadline_with_an_open_outcome(
    name: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    async with rig(name, sandbox, tmp_path, timeout_s=3.0) as ready:
        assert isinstance(await ready.one(ready.push(ready.address(2))), Delivered)
        sandbox.script(ready.address(1).value, Answer.hang())

        verdict = await ready.one(ready.push(ready.address(1)))

        assert verdict == Unavailable("Timeout", outcome_known=False)
        assert isinstance(await ready.one(ready.push(ready.address(2))), Delivered)


async def test_unanswered_requests_do_not_use_the_connections_up(
    name: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    async with rig(name, sandbox, tmp_path, timeout_s=5.0, max_connections=1) as ready:
        assert isinstance(await ready.one(), Delivered)
        sandbox.default_answer = Answer.hang()
        lost = [ready.push(ready.address(number)) for number in range(60)]
        assert {type(verdict) for verdict in await ready.deliver(*lost)} == {Unavailable}
        sandbox.default_answer = Answer.ok()

        verdicts = await ready.deliver(*(ready.push(ready.address(n)) for n in range(150)))

        assert {type(verdict) for verdict in verdicts} == {Delivered}


async def test_a_late_answer_harms_nobody(name: str, sandbox: Sandbox, tmp_path: Path) -> None:
    async with rig(name, sandbox, tmp_path, timeout_s=2.0) as ready:
        assert isinstance(await ready.one(ready.push(ready.address(2))), Delivered)
        sandbox.script(ready.address(1).value, Answer.slow(2.3))
        late = await ready.one(ready.push(ready.address(1)))
        assert late == Unavailable("Timeout", outcome_known=False)

        # the late answer comes while these are in flight
        sandbox.script(ready.address(3).value, Answer.slow(0.5))
        verdicts = await ready.deliver(*(ready.push(ready.address(3)) for _ in range(5)))

        assert {type(verdict) for verdict in verdicts} == {Delivered}


async def test_a_lost_connection_is_a_verdict_for_all_that_were_on_it(ready: Rig) -> None:
    assert isinstance(await ready.one(ready.push(ready.address(99))), Delivered)
    ready.sandbox.default_answer = Answer.hang()
    pushes = [ready.push(ready.address(number)) for number in range(50)]
    ready.send(pushes)
    await until(lambda: len(ready.seen) == 51)

    ready.sandbox.drop_connections()
    verdicts = await ready.outcome(*pushes)

    assert set(verdicts) == {Unavailable("ConnectionLost", outcome_known=False)}
    ready.sandbox.default_answer = Answer.ok()
    assert isinstance(await ready.one(ready.push(ready.address(99))), Delivered)


async def test_a_vendor_that_cannot_be_reached_took_nothing(
    name: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        endpoint = f"https://127.0.0.1:{taken.getsockname()[1]}"
    async with rig(name, sandbox, tmp_path, endpoint=endpoint) as ready:
        verdict = await ready.one()

        assert isinstance(verdict, Unavailable)
        assert (verdict.reason, verdict.outcome_known) == ("Unreachable", True)
        assert isinstance(await ready.check(), Unavailable)


async def test_a_vendor_that_cannot_prove_who_it_is_gets_nothing(
    name: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    async with rig(name, sandbox, tmp_path, ca_file="") as ready:
        verdict = await ready.one()

        assert isinstance(verdict, Unavailable)
        assert (verdict.reason, verdict.outcome_known) == ("Unreachable", True)
        assert ready.seen == []


async def test_a_bad_push_spoils_no_other(ready: Rig) -> None:
    bad = [
        ready.push(message=replace(MESSAGE, path="/" + "x" * 5000)),
        ready.push(message=replace(MESSAGE, path="/\ud800")),
        ready.push(replace(ready.address(), value="bad\ud800/..\r\naddress")),
        ready.push(replace(ready.address(), value="")),
    ]
    good = [
        ready.push(ready.address(1)),
        ready.push(ready.address(2), replace(MESSAGE, title="\ud800", body="y" * 9000)),
        ready.push(ready.address(3), Message("msg_1", "", "", None)),
    ]

    verdicts = await ready.deliver(*bad, *good)

    assert {type(verdict) for verdict in verdicts[: len(bad)]} == {Refused}
    assert {type(verdict) for verdict in verdicts[len(bad) :]} == {Delivered}
    assert all(seen.accepted for seen in ready.seen)


async def test_one_failure_of_a_settle_costs_another_batch_nothing(ready: Rig) -> None:
    def broken(_: object) -> None:
        raise RuntimeError("a fault of the caller")

    reported: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: reported.append(context))
    ready.provider.send([ready.push(ready.address(1))], broken)

    assert isinstance(await ready.one(ready.push(ready.address(2))), Delivered)
    await until(lambda: len(reported) == 1)


async def test_check_asks_the_vendor_and_tells_nobody(ready: Rig) -> None:
    assert await ready.check() is None

    assert ready.sandbox.stats()["accepted"] == 0
    assert ready.provider.credential.last_success_at is not None
    assert ready.provider.credential.expires_at is not None


async def test_closing_gives_what_is_in_flight_a_verdict_and_takes_nothing_new(
    name: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    async with rig(name, sandbox, tmp_path) as ready:
        sandbox.script(ready.address(1).value, Answer.hang())
        sandbox.script(ready.address(2).value, Answer.slow(0.3))
        assert isinstance(await ready.one(ready.push(ready.address(3))), Delivered)
        unanswered, slow = ready.push(ready.address(1)), ready.push(ready.address(2))
        ready.send([unanswered, slow])
        await until(lambda: len(ready.seen) == 3)

        await ready.provider.aclose()

        assert ready.verdicts[unanswered.delivery_id] == Unavailable("Closed", outcome_known=False)
        assert isinstance(ready.verdicts[slow.delivery_id], Delivered)
        assert (ready.free, ready.provider.in_flight) == (0, 0)
        after = ready.push()
        ready.send([after])
        assert await ready.outcome(after) == [Unavailable.not_looked_at("Closed")]
        assert await ready.check() == Unavailable.not_looked_at("Closed")


async def test_nothing_is_left_behind(name: str, sandbox: Sandbox, tmp_path: Path) -> None:
    before = asyncio.all_tasks()
    async with rig(name, sandbox, tmp_path, timeout_s=0.5) as ready:
        sandbox.script(ready.address(1).value, Answer.hang())
        sandbox.script(ready.address(2).value, Answer.drop())
        await ready.deliver(*(ready.push(ready.address(number)) for number in range(5)))

    assert ready.provider.connections == 0
    await until(lambda: not sandbox.stats()["connections_open"][ready.kind])
    await until(lambda: asyncio.all_tasks() <= before)
    gc.collect()  # what was not closed warns now, and warnings are errors


async def test_a_provider_that_was_never_started_can_be_asked_and_closed(
    name: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    _, make = FACTORIES[name]
    async with rig(name, sandbox, tmp_path) as ready:
        provider = make(sandbox, ready.files, ready.clock, {})

        assert (provider.free(ready.part), provider.connections, provider.in_flight) == (0, 0, 0)
        assert isinstance(await provider.check(ready.part), Unavailable)
        await provider.aclose()


async def test_no_secret_and_no_address_is_ever_shown(
    name: str, sandbox: Sandbox, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    shown: list[str] = []
    asyncio.get_running_loop().set_debug(True)  # asyncio's own words count as well
    async with rig(name, sandbox, tmp_path, timeout_s=0.5) as ready:
        answers = [Answer.unregistered(), Answer.drop(), Answer.hang(), Answer.internal()]
        for number, answer in enumerate(answers):
            sandbox.script(ready.address(number).value, answer)
        pushes = [ready.push(ready.address(number)) for number in range(6)]
        pushes.append(ready.push(replace(ready.address(7), value="bad\ud800address")))
        verdicts = await ready.deliver(*pushes)
        await ready.check()
        options = ready.provider._options  # type: ignore[attr-defined]  # every transport has them
        shown += [repr(each) for each in (ready.provider, options, verdicts, pushes)]
        secrets = _secrets(ready, options.credentials, pushes)

    shown += [caplog.text, *(repr(record.__dict__) for record in caplog.records)]
    everything = "\n".join(shown)
    for secret in secrets:
        assert secret not in everything


def _secrets(ready: Rig, credentials: Any, pushes: list[Push]) -> list[str]:
    secrets = [MESSAGE.title, MESSAGE.body, "bad\ud800address"]
    secrets += [push.address.value for push in pushes]
    if ready.kind == "fcm":
        key = json.loads(ready.files.fcm_file.read_text())["private_key"]
        secrets += [key.splitlines()[1], credentials.held.value]
    else:
        secrets += [
            ready.files.apns_key_file.read_text().splitlines()[1],
            credentials.header().removeprefix("bearer "),
        ]
    return secrets
