"""APNs, as a real HTTP/2 client finds it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest

from providers.sandbox import Answer
from tests.kit.sandbox_rig import ALERT, TOKEN, SandboxRig, sandbox_rig

UUID = "123e4567-e89b-12d3-a456-426614174000"


@pytest.fixture
async def rig() -> AsyncIterator[SandboxRig]:
    async with sandbox_rig() as rig:
        yield rig


# --- who sends --------------------------------------------------------------------------------


async def test_a_push_is_taken_and_its_id_given_back(rig: SandboxRig) -> None:
    response = await rig.apns(
        apns_id=UUID, apns_priority="10", apns_expiration="0", apns_collapse_id="c"
    )
    assert (response.http_version, response.status_code) == ("HTTP/2", 200)
    assert (response.headers["apns-id"], response.content) == (UUID, b"")
    [push] = rig.sandbox.phone(TOKEN)
    assert (push.id, push.collapse_id, push.environment) == (UUID, "c", "production")
    assert (push.title, push.body, push.data) == ("Hi Mary!", "Train!", {"path": "/learning"})
    assert push.headers == {
        "topic": rig.files.topic,
        "push_type": "alert",
        "priority": "10",
        "expiration": "0",
    }


async def test_a_push_without_an_id_gets_one(rig: SandboxRig) -> None:
    assert len((await rig.apns()).headers["apns-id"]) == 36


async def test_every_way_to_show_a_wrong_provider_token(rig: SandboxRig) -> None:
    wrong_key = rig.files.wrong_apns_key_file.read_text()
    shown: dict[str | None, str] = {
        None: "MissingProviderToken",
        "bearer ": "MissingProviderToken",
        "basic abc": "MissingProviderToken",
        "bearer abc": "InvalidProviderToken",
        f"bearer {rig.provider_token(key=wrong_key)}": "InvalidProviderToken",
        f"bearer {rig.provider_token(kid='ANOTHERKEY')}": "InvalidProviderToken",
        f"bearer {rig.provider_token(iss='OTHERTEAMS')}": "InvalidProviderToken",
        f"bearer {rig.provider_token(iat='now')}": "InvalidProviderToken",
        f"bearer {rig.provider_token(iat=int(rig.clock()) + 600)}": "InvalidProviderToken",
        f"bearer {rig.provider_token(iat=int(rig.clock()) - 3700)}": "ExpiredProviderToken",
    }
    said = {each: await rig.apns(authorization=each) for each in shown}
    assert {each: response.json()["reason"] for each, response in said.items()} == shown
    assert {response.status_code for response in said.values()} == {403}
    assert rig.sandbox.stats()["accepted"] == 0


async def test_a_good_token_grows_old(rig: SandboxRig) -> None:
    token = f"bearer {rig.provider_token()}"
    assert (await rig.apns(authorization=token)).status_code == 200
    rig.clock.ahead_s = 3601
    response = await rig.apns(authorization=token)
    assert (response.status_code, response.json()) == (403, {"reason": "ExpiredProviderToken"})


async def test_a_key_that_lost_its_trust_gets_it_back(rig: SandboxRig) -> None:
    token = f"bearer {rig.provider_token()}"
    rig.sandbox.settings.trust_apns_key = False
    response = await rig.apns(authorization=token)
    assert response.json() == {"reason": "InvalidProviderToken"}
    rig.sandbox.settings.trust_apns_key = True
    assert (await rig.apns(authorization=token)).status_code == 200


async def test_a_second_token_within_20_minutes_is_one_too_many(rig: SandboxRig) -> None:
    rig.sandbox.settings.limit_token_updates = True
    first = f"bearer {rig.provider_token(iat=int(rig.clock()) - 5)}"
    second = f"bearer {rig.provider_token(iat=int(rig.clock()) - 4)}"
    assert (await rig.apns(authorization=first)).status_code == 200
    refused = await rig.apns(authorization=second)
    assert (refused.status_code, refused.json()["reason"]) == (429, "TooManyProviderTokenUpdates")
    assert (await rig.apns(authorization=first)).status_code == 200


async def test_a_second_token_after_20_minutes_is_fine(rig: SandboxRig) -> None:
    rig.sandbox.settings.limit_token_updates = True
    assert (await rig.apns(authorization=f"bearer {rig.provider_token()}")).status_code == 200
    rig.clock.ahead_s = 1201
    assert (await rig.apns(authorization=f"bearer {rig.provider_token()}")).status_code == 200
    assert rig.sandbox.stats()["distinct_jwts_per_connection"] == 2


# --- what APNs refuses by itself --------------------------------------------------------------

REFUSED: dict[str, tuple[dict[str, Any], int, str]] = {
    "no topic": ({"apns_topic": None}, 400, "MissingTopic"),
    "another's topic": ({"apns_topic": "com.example.other"}, 400, "BadTopic"),
    "an odd push type": ({"apns_push_type": "shout"}, 400, "InvalidPushType"),
    "an odd priority": ({"apns_priority": "7"}, 400, "BadPriority"),
    "a hasty background push": (
        {"apns_push_type": "background", "apns_priority": "10"},
        400,
        "BadPriority",
    ),
    "a background push by default": ({"apns_push_type": "background"}, 400, "BadPriority"),
    "expiration in words": ({"apns_expiration": "soon"}, 400, "BadExpirationDate"),
    "expiration before 1970": ({"apns_expiration": "-1"}, 400, "BadExpirationDate"),
    "an id in capitals": ({"apns_id": UUID.upper()}, 400, "BadMessageId"),
    "an id without dashes": ({"apns_id": uuid4().hex}, 400, "BadMessageId"),
    "a long collapse id": ({"apns_collapse_id": "x" * 65}, 400, "BadCollapseId"),
    "no hex": ({"token": "zz" * 32}, 400, "BadDeviceToken"),
    "half a byte": ({"token": "ab" * 32 + "a"}, 400, "BadDeviceToken"),
    "a short token": ({"token": "ab" * 15}, 400, "BadDeviceToken"),
    "a long token": ({"token": "ab" * 101}, 400, "BadDeviceToken"),
    "no token": ({"path": "/3/device/"}, 400, "MissingDeviceToken"),
    "a path too many": ({"path": f"/3/device/{TOKEN}/x"}, 404, "BadPath"),
    "another path": ({"path": f"/2/device/{TOKEN}"}, 404, "BadPath"),
    "another method": ({"method": "PUT"}, 405, "MethodNotAllowed"),
    "no payload": ({"payload": b""}, 400, "PayloadEmpty"),
    "no JSON": ({"payload": b"{"}, 400, "PayloadEmpty"),
    "no object": ({"payload": b"[]"}, 400, "PayloadEmpty"),
    "no aps": ({"payload": {"data": {}}}, 400, "PayloadEmpty"),
    "too deep": ({"payload": b"[" * 4000}, 400, "PayloadEmpty"),
    "4097 bytes": ({"payload": b'{"aps":{}}' + b" " * 4087}, 413, "PayloadTooLarge"),
    "a million bytes": ({"payload": b'{"aps":{}}' + b" " * 1_000_000}, 413, "PayloadTooLarge"),
}


@pytest.mark.parametrize(("request_", "status", "reason"), REFUSED.values(), ids=REFUSED)
async def test_a_request_against_the_rules_is_refused_in_apples_words(
    rig: SandboxRig, request_: dict[str, Any], status: int, reason: str
) -> None:
    response = await rig.apns(**request_)
    assert (response.status_code, response.json()) == (status, {"reason": reason})
    assert "apns-id" in response.headers
    assert rig.sandbox.stats()["by_reason"]["apns"] == {reason: 1}


TAKEN: dict[str, dict[str, Any]] = {
    "a background push": {"apns_push_type": "background", "apns_priority": "5"},
    "a long collapse id": {"apns_collapse_id": "x" * 64},
    "a payload of 4096 bytes": {"payload": b'{"aps":{}}' + b" " * 4086},
    "a call of 5120 bytes": {"payload": b'{"aps":{}}' + b" " * 5110, "apns_push_type": "voip"},
    "a plain alert": {"payload": {"aps": {"alert": "Hi"}}},
    "a short token": {"token": "ab" * 16},
    "a long token": {"token": "ab" * 100},
    "no push type": {"apns_push_type": None},
}


@pytest.mark.parametrize("request_", TAKEN.values(), ids=TAKEN)
async def test_a_request_within_the_rules_is_taken(
    rig: SandboxRig, request_: dict[str, Any]
) -> None:
    assert (await rig.apns(**request_)).status_code == 200


async def test_a_header_that_comes_twice_is_refused(rig: SandboxRig) -> None:
    headers = [*rig.apns_headers().items(), ("apns-topic", rig.files.topic)]
    response = await rig.http.post(
        f"{rig.sandbox.apns_url}/3/device/{TOKEN}", headers=headers, json=ALERT
    )
    assert (response.status_code, response.json()["reason"]) == (400, "DuplicateHeaders")


async def test_a_token_belongs_to_its_environment(rig: SandboxRig) -> None:
    rig.sandbox.only_in("sandbox", TOKEN.upper())
    response = await rig.apns()
    assert (response.status_code, response.json()["reason"]) == (400, "BadDeviceToken")
    assert (await rig.apns(development=True)).status_code == 200
    assert [push.environment for push in rig.sandbox.pushes] == ["production", "sandbox"]


async def test_a_token_belongs_to_its_topic(rig: SandboxRig) -> None:
    rig.sandbox.only_for("com.example.second", TOKEN)
    response = await rig.apns()
    assert response.json()["reason"] == "DeviceTokenNotForTopic"
    assert (await rig.apns(apns_topic="com.example.second")).status_code == 200
    assert (await rig.apns("cd" * 32)).status_code == 200


async def test_a_suffix_stays_within_the_topic(rig: SandboxRig) -> None:
    assert (await rig.apns(apns_topic=f"{rig.files.topic}.voip")).status_code == 200
    assert (await rig.apns(apns_topic=f"{rig.files.topic}.evil")).status_code == 400


# --- what it says when told to ----------------------------------------------------------------

SAID: dict[str, tuple[Answer, int, dict[str, Any]]] = {
    "unregistered since": (
        Answer.unregistered(1_700_000_000_000),
        410,
        {"reason": "Unregistered", "timestamp": 1_700_000_000_000},
    ),
    "expired": (Answer.status(410, "ExpiredToken"), 410, {"reason": "ExpiredToken"}),
    "device rate": (Answer.throttled(), 429, {"reason": "TooManyRequests"}),
    "sender's rate": (
        Answer.throttled(scope="project"),
        429,
        {"reason": "TooManyProviderTokenUpdates"},
    ),
    "unavailable": (Answer.unavailable(), 503, {"reason": "ServiceUnavailable"}),
    "internal": (Answer.internal(), 500, {"reason": "InternalServerError"}),
    "bad token": (Answer.bad_token(), 400, {"reason": "BadDeviceToken"}),
    "anything": (Answer.status(418, "Teapot"), 418, {"reason": "Teapot"}),
}


@pytest.mark.parametrize(("answer", "status", "body"), SAID.values(), ids=SAID)
async def test_a_scripted_answer_comes_in_apples_words(
    rig: SandboxRig, answer: Answer, status: int, body: dict[str, Any]
) -> None:
    rig.sandbox.script(TOKEN, answer)
    response = await rig.apns(apns_id=UUID)
    assert (response.status_code, response.json()) == (status, body)
    assert response.headers["apns-id"] == UUID
    assert rig.sandbox.phone(TOKEN) == []


async def test_a_dead_token_is_dead_since_now_unless_told(rig: SandboxRig) -> None:
    rig.sandbox.script(TOKEN, Answer.unregistered())
    before = int(rig.clock() * 1000)
    since = (await rig.apns()).json()["timestamp"]
    assert before <= since <= rig.clock() * 1000


async def test_retry_after_is_sent_as_it_is(rig: SandboxRig) -> None:
    date = "Wed, 21 Oct 2026 07:28:00 GMT"
    rig.sandbox.script(TOKEN, Answer.throttled(7), Answer.unavailable(1.5), Answer.throttled(date))
    said = [(await rig.apns()).headers["retry-after"] for _ in range(3)]
    assert said == ["7", "1.5", date]


async def test_an_empty_answer_is_really_empty(rig: SandboxRig) -> None:
    rig.sandbox.script(TOKEN, Answer.empty(410), Answer.status(502, html=True))
    empty, proxy = await rig.apns(), await rig.apns()
    assert (empty.status_code, empty.content) == (410, b"")
    assert (proxy.status_code, proxy.headers["content-type"]) == (502, "text/html")


async def test_answers_come_in_the_order_of_the_script(rig: SandboxRig) -> None:
    rig.sandbox.script(TOKEN, Answer.internal(), Answer.unavailable(), repeat_last=False)
    assert [(await rig.apns()).status_code for _ in range(3)] == [500, 503, 200]
    assert [push.status for push in rig.sandbox.pushes] == [500, 503, 200]


async def test_a_request_against_the_rules_uses_up_no_answer(rig: SandboxRig) -> None:
    rig.sandbox.script(TOKEN, Answer.internal(), repeat_last=False)
    assert (await rig.apns(apns_priority="7")).status_code == 400
    assert (await rig.apns()).status_code == 500


async def test_the_default_answer_is_for_everybody_else(rig: SandboxRig) -> None:
    rig.sandbox.default_answer = Answer.unavailable()
    rig.sandbox.script(TOKEN, Answer.ok())
    assert (await rig.apns("cd" * 32)).status_code == 503
    assert (await rig.apns()).status_code == 200


async def test_the_same_push_twice_is_counted_as_a_repeat(rig: SandboxRig) -> None:
    for _ in range(2):
        await rig.apns(apns_id=UUID, apns_collapse_id=UUID)
    stats = rig.sandbox.stats()
    assert (stats["accepted"], stats["repeated"], stats["largest_repeat"]) == (2, 1, 2)
    assert len(rig.sandbox.phone(TOKEN)) == 1
