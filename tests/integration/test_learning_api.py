"""Learning events over HTTP: what comes in by the webhook is read by a cursor alone."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from gateway.devices.api_keys import key_digest, new_key
from gateway.ingest.signature import sign
from tests.kit.handlers import WEBHOOK_KEY, user_token
from tests.kit.public import Answer, PublicListener, public_listener
from tests.kit.signers import headers_of
from tests.kit.stores import eraser_on

T0 = 1_800_000_000.0
READ = "events:read"


@pytest.fixture
async def public(tmp_path: Path) -> AsyncIterator[PublicListener]:
    async with public_listener(tmp_path) as listener:
        listener.clock.now = T0
        yield listener


async def post(public: PublicListener, name: str, kind: str, data: Any, **more: Any) -> None:
    """A webhook of LearnInk, of now."""
    body = json.dumps({"type": kind, "timestamp": public.clock(), "data": data} | more).encode()
    at = int(public.clock())
    headers = headers_of("svix", name, at, sign(WEBHOOK_KEY, name, at, body))
    answer = await public.call("POST", "/webhooks/learnink", data=body, headers=headers)
    assert (answer.status, answer.json["status"]) == (200, "ignored")


async def chain(public: PublicListener) -> None:
    await public.store.learning.chain(
        now=public.clock(), limit=10_000, salt=lambda: secrets.token_bytes(32)
    )


async def limited(public: PublicListener, *sources: str, types: tuple[str, ...] = ()) -> str:
    key, text = new_key(
        "bi", [READ], now=T0, random=secrets.token_bytes, sources=sources, types=types
    )
    await public.store.keys.add(key, key_digest(text))
    return text


async def look(public: PublicListener, path: str, token: str = "") -> Answer:
    return await public.call("GET", path, token=token or await public.key(READ))


def ids(answer: Answer) -> list[str]:
    assert answer.status == 200, answer.json
    return [event["event_id"] for event in answer.json["events"]]


async def some_events(public: PublicListener) -> None:
    await post(public, "msg_1", "user.course.started", {"user_id": "u1", "course": {"id": 7}})
    await post(public, "msg_2", "user.course.completed", {"user": {"id": "u2"}, "x": [1]})
    await post(public, "msg_3", "user.signed_up", {"custom_id": "mary"}, timestamp=T0 - 2 * 86_400)
    await post(public, "msg_4", "user.course.completed", {"user_id": "u1"}, timestamp="soon")
    await chain(public)


async def test_an_event_is_read_whole_and_says_whose_it_is(public: PublicListener) -> None:
    await some_events(public)
    answer = await look(public, "/v1/events")
    first, _, third, fourth = answer.json["events"]
    assert first == {
        "event_id": "msg_1",
        "source": "learnink",
        "type": "user.course.started",
        "occurred_at": "2027-01-15T08:00:00.000Z",
        "received_at": "2027-01-15T08:00:00.000Z",
        "late": False,
        "user_id": "u1",
        "custom_id": None,
        "object": "7",
        "body": {
            "type": "user.course.started",
            "timestamp": T0,
            "data": {"user_id": "u1", "course": {"id": 7}},
        },
    }
    assert (third["custom_id"], third["late"]) == ("mary", True)
    assert (fourth["occurred_at"], fourth["late"]) == (None, False)
    assert answer.json["undated"] == 1


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("type=user.course.*", ["msg_1", "msg_2", "msg_4"]),
        ("type=user.course.completed", ["msg_2", "msg_4"]),
        ("type=user.course.completed&user=u1", ["msg_4"]),
        ("type=user.course", []),
        ("type=*", ["msg_1", "msg_2", "msg_3", "msg_4"]),
        ("source=staging", []),
        ("user=mary&by=custom_id", ["msg_3"]),
        ("user=mary&by=user_id", []),
        (f"since={T0}", ["msg_1", "msg_2", "msg_4"]),
        (f"until={T0}", ["msg_3"]),
        ("since=0&limit=2", ["msg_1", "msg_2"]),
    ],
)
async def test_what_is_asked_for_is_found(
    public: PublicListener, query: str, found: list[str]
) -> None:
    await some_events(public)
    assert ids(await look(public, f"/v1/events?{query}")) == found


async def test_one_persons_are_found_by_all_ids_of_their_phones(public: PublicListener) -> None:
    await some_events(public)
    key = await public.key("devices:write")
    body = {"user_id": "u1", "custom_id": "mary", "address": "fcm-address", "platform": "web"}
    body |= {"provider": "fcm"}
    assert (await public.call("PUT", "/v1/devices/p", token=key, json=body)).status == 201
    for name in ("u1", "mary"):
        answer = await look(public, f"/v1/users/{name}/events?limit=2")
        assert ids(answer) == ["msg_1", "msg_3"]
        after = answer.json["after"]
        assert ids(await look(public, f"/v1/users/{name}/events?after={after}")) == ["msg_4"]


async def test_an_erased_person_has_no_events_and_stays_out_of_all_others(
    public: PublicListener,
) -> None:
    await some_events(public)
    after = (await look(public, "/v1/events?limit=1")).json["after"]
    key = await public.key("devices:write")
    assert (await public.call("DELETE", "/v1/users/u1", token=key)).status == 204
    await eraser_on(public.store, public.clock).carry_on()
    assert ids(await look(public, "/v1/users/u1/events")) == []
    assert "u1" not in json.dumps((await look(public, "/v1/events")).json)
    assert ids(await look(public, f"/v1/events?after={after}")) == ["msg_2", "msg_3"]


ODD: list[tuple[str, str]] = [
    ("after=1", "after"),
    ("after=", "after"),
    ("after=bGUxLjAx", "after"),  # a number that is written in another way
    ("limit=0", "limit"),
    ("limit=1001", "limit"),
    ("limit=1e2", "limit"),
    ("limit=%C2%B2", "limit"),
    ("since=yesterday", "since"),
    ("until=", "until"),
    ("type=a*b", "type"),
    ("type=", "type"),
    ("kind=a", "kind"),
    ("user=", "id"),
    ("by=name", "by"),
]


@pytest.mark.parametrize(("query", "field"), ODD)
async def test_what_is_wrong_in_a_question_is_named(
    public: PublicListener, query: str, field: str
) -> None:
    answer = await look(public, f"/v1/events?{query}")
    assert (answer.status, answer.code) == (422, "invalid")
    assert [error["field"] for error in answer.json["errors"]] == [field]


async def test_a_limited_key_sees_its_events_and_nothing_else(public: PublicListener) -> None:
    await some_events(public)
    key = await limited(public, types=("user.course.*",))
    assert ids(await look(public, "/v1/events", key)) == ["msg_1", "msg_2", "msg_4"]
    assert ids(await look(public, "/v1/events?type=user.*", key)) == ["msg_1", "msg_2", "msg_4"]
    assert ids(await look(public, "/v1/events?type=user.signed_up", key)) == []
    assert ids(await look(public, "/v1/users/mary/events", key)) == []
    staging = await limited(public, "staging")
    assert ids(await look(public, "/v1/events", staging)) == []
    assert ids(await look(public, "/v1/events?source=learnink", staging)) == []
    assert ids(await look(public, "/v1/users/u1/events", staging)) == []


async def test_a_limited_key_opens_no_other_door(public: PublicListener) -> None:
    await some_events(public)
    keys = [await limited(public, "learnink"), await limited(public, types=("user.*",))]
    for resource in public.app.router.resources():
        path = resource.canonical
        if path in {"/openapi.json", "/webhooks/{source}", "/v1/receipts"}:
            continue
        if path in {"/v1/events", "/v1/users/{id}/events"}:
            continue
        for route in resource:
            filled = path.format(installation_id="p", id="u1", event_id="msg_1")
            for key in keys:
                answer = await public.call(route.method, filled, token=key, json={})
                assert (answer.status, answer.code) == (403, "forbidden"), path


async def test_a_user_token_reads_none_of_them(public: PublicListener) -> None:
    for path in ("/v1/events", "/v1/users/mary/events"):
        assert (await look(public, path, user_token("mary"))).status == 403


async def test_who_read_of_whom_is_in_the_audit_table(public: PublicListener) -> None:
    await some_events(public)
    await look(public, "/v1/users/u1/events")
    await look(public, "/v1/users/nobody/events")
    (row,) = await public.store.audit.page(limit=10)
    assert (row.what, row.affected, bool(row.routine)) == ("events.read", 2, True)
    assert row.user_word


async def test_a_reader_misses_none_and_doubles_none_while_two_ingests_write(
    public: PublicListener,
) -> None:
    key, seen = await public.key(READ), list[str]()
    writing, written = True, asyncio.Event()

    async def write(who: str) -> None:
        for number in range(40):
            await post(public, f"msg_{who}_{number}", "user.course.completed", {"user_id": who})

    async def chaining() -> None:
        while writing:
            await chain(public)
            await asyncio.sleep(0)

    async def follow() -> None:
        after = ""
        while True:
            is_whole = written.is_set()
            query = f"?limit=7{after and '&after='}{quote(after)}"
            answer = await look(public, f"/v1/events{query}", key)
            seen.extend(ids(answer))
            after = answer.json["after"]
            if is_whole and len(answer.json["events"]) < 7:
                return

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(follow())
        chainer = tasks.create_task(chaining())
        await asyncio.gather(write("a"), write("b"))
        writing = False
        await chainer
        await chain(public)
        written.set()
    assert len(seen) == len(set(seen)) == 80
