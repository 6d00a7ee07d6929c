"""POST /v1/notifications over HTTP: what is taken, once, and what is refused."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gateway.events import NotificationsPosted
from tests.kit.public import Answer, PublicListener, public_listener
from tests.kit.stores import eraser_on

ITEM = {"title": "Hi Mary!", "body": "Training", "path": "/learning", "user_id": "u1"}


@pytest.fixture
async def public(tmp_path: Path) -> AsyncIterator[PublicListener]:
    async with public_listener(tmp_path) as listener:
        yield listener


async def post(public: PublicListener, token: str, body: Any) -> Answer:
    return await public.call("POST", "/v1/notifications", token=token, json=body)


async def test_one_notification_is_durable_and_waits_for_the_relay(public: PublicListener) -> None:
    key = await public.key("notifications:write")
    answer = await post(public, key, ITEM | {"idempotency_key": "k1", "phone_number": "+254"})
    assert answer.status == 200
    event_id = answer.json["event_id"]
    assert re.fullmatch(r"api:ntf_[0-9a-f]{32}", event_id)
    assert answer.json == {
        "status": "accepted",
        "event_id": event_id,
        "notifications": 1,
        "rejected": 0,
    }
    assert public.woken == 1
    assert public.events == [NotificationsPosted(event_id, notifications=1, rejected=0)]
    (claim,) = await public.queue.claim(limit=10, lease_s=60, now=public.clock())
    (entry,) = claim.chunk.items
    assert (entry.item.title, entry.item.path, entry.item.user_id) == (
        "Hi Mary!",
        "/learning",
        "u1",
    )
    assert claim.chunk.event_id == event_id
    assert claim.chunk.deadline == pytest.approx(public.clock() + 3_600)


async def test_a_list_is_cut_into_chunks_and_bad_items_are_counted(public: PublicListener) -> None:
    key = await public.key("notifications:write")
    items = [ITEM | {"user_id": f"u{number}"} for number in range(300)]
    items[7] = {"title": "nobody's"}
    answer = await post(public, key, {"notifications": items, "idempotency_key": "k1"})
    assert (answer.json["notifications"], answer.json["rejected"]) == (299, 1)
    claims = await public.queue.claim(limit=10, lease_s=60, now=public.clock())
    assert [len(claim.chunk.items) for claim in claims] == [256, 43]


async def test_the_same_key_is_taken_once_even_at_once(public: PublicListener) -> None:
    key = await public.key("notifications:write")
    body = ITEM | {"idempotency_key": "k1"}
    answers = await asyncio.gather(*(post(public, key, body) for _ in range(20)))
    assert sorted(answer.json["status"] for answer in answers) == ["accepted"] + ["duplicate"] * 19
    assert len({answer.json["event_id"] for answer in answers}) == 1
    assert public.woken == 1
    assert (await public.queue.depth()).notifications == 1


async def test_a_call_that_a_version_before_took_is_not_taken_again(
    public: PublicListener, tmp_path: Path
) -> None:
    """Its events' ids named no source."""
    key = await public.key("notifications:write")
    body = ITEM | {"idempotency_key": "k1"}
    first = await post(public, key, body)
    summary = await public.store.journal.event(first.json["event_id"])
    assert summary is not None
    assert summary.event.source == "api"
    with closing(sqlite3.connect(tmp_path / "inkpush.db")) as connection, connection:
        connection.execute(
            "UPDATE events SET event_id = replace(event_id, 'api:', ''), source = 'learnink'"
        )
    again = await post(public, key, body)
    assert again.json["status"] == "duplicate"
    assert again.json["event_id"] == first.json["event_id"].removeprefix("api:")
    assert (await public.queue.depth()).notifications == 1


async def test_an_idempotency_key_belongs_to_its_api_key(public: PublicListener) -> None:
    body = ITEM | {"idempotency_key": "k1"}
    answers = [await post(public, await public.key("notifications:write"), body) for _ in range(2)]
    assert [answer.json["status"] for answer in answers] == ["accepted", "accepted"]
    assert answers[0].json["event_id"] != answers[1].json["event_id"]


@pytest.mark.parametrize("given", [None, "", 7, "k" * 129, "a\nb", ["k"]])
async def test_an_idempotency_key_is_needed(public: PublicListener, given: Any) -> None:
    key = await public.key("notifications:write")
    for body in (ITEM | {"idempotency_key": given}, ITEM):
        answer = await post(public, key, body)
        assert (answer.status, answer.json["errors"][0]["field"]) == (422, "idempotency_key")


@pytest.mark.parametrize("given", [[], {}, "x", None, 7])
async def test_a_batch_must_be_a_list_of_something(public: PublicListener, given: Any) -> None:
    key = await public.key("notifications:write")
    answer = await post(public, key, {"notifications": given, "idempotency_key": "k1"})
    assert (answer.status, answer.json["errors"][0]["field"]) == (422, "notifications")


async def test_a_batch_of_nothing_but_bad_items_is_a_422_and_leaves_no_trace(
    public: PublicListener,
) -> None:
    key = await public.key("notifications:write")
    body = {"notifications": [{"title": "secret"}, 5, None], "idempotency_key": "k1"}
    answer = await post(public, key, body)
    assert answer.code == "invalid"
    fields = [error["field"] for error in answer.json["errors"]]
    assert fields == ["notifications[0]", "notifications[1]", "notifications[2]"]
    assert "secret" not in str(answer.json)
    mended = await post(public, key, ITEM | {"idempotency_key": "k1"})
    assert mended.json["status"] == "accepted"


INSTRUCTIONS = {
    "send_at": 2030,
    "silent": True,
    "ttl_s": 60,
    "priority": "low",
    "image": "https://example.com/a.png",
    "badge": 3,
    "data": {"a": "b"},
    "collapse_key": "k",
    "Title": "x",
    "": "x",
    "x" * 500: "x",
}


@pytest.mark.parametrize(("name", "value"), INSTRUCTIONS.items())
async def test_what_is_not_known_is_named_and_nothing_is_sent(
    public: PublicListener, name: str, value: object
) -> None:
    """It may be an instruction, and the push would go out now and loud."""
    key = await public.key("notifications:write")
    more = {name: value, "idempotency_key": "k1"}
    in_an_item = {"notifications": [ITEM, ITEM | {name: value}], "idempotency_key": "k2"}
    around = {"notifications": [ITEM], name: value, "idempotency_key": "k3"}
    for body, place in ((ITEM | more, ""), (in_an_item, "notifications[1]."), (around, "")):
        answer = await post(public, key, body)
        assert (answer.status, answer.json["code"]) == (422, "invalid")
        assert answer.json["errors"] == [
            {"field": f"{place}{name}"[:96], "message": "is not known"}
        ]
    assert (await public.queue.depth()).notifications == 0
    assert await public.store.journal.events(limit=10) == []


async def test_the_fields_of_an_item_are_not_known_around_a_list(public: PublicListener) -> None:
    key = await public.key("notifications:write")
    answer = await post(
        public, key, {"notifications": [ITEM], "title": "x"} | {"idempotency_key": "k"}
    )
    assert [error["field"] for error in answer.json["errors"]] == ["title"]


async def test_no_phone_number_is_kept(public: PublicListener) -> None:
    key = await public.key("notifications:write")
    item = ITEM | {"phone_number": "+254705408079"}
    one = await post(public, key, item | {"idempotency_key": "k1"})
    many = await post(public, key, {"notifications": [item], "idempotency_key": "k2"})
    for answer in (one, many):
        kept = await public.store.journal.event(answer.json["event_id"])
        assert kept is not None
        assert b"phone" not in kept.event.body
        assert b"254705408079" not in kept.event.body


async def test_half_a_backlog_is_a_503_and_keeps_nothing(public: PublicListener) -> None:
    key = await public.key("notifications:write")
    public.backlog = 500  # the other half is LearnInk's
    answer = await post(public, key, ITEM | {"idempotency_key": "k1"})
    assert (answer.status, answer.code) == (503, "unavailable")
    assert "Retry-After" in answer.headers
    public.backlog = 499
    answer = await post(public, key, ITEM | {"idempotency_key": "k1"})
    assert answer.json["status"] == "accepted"


async def test_erasing_a_user_takes_the_text_out_of_what_was_posted(
    public: PublicListener,
) -> None:
    key = await public.key("notifications:write", "devices:write", "deliveries:read")
    other = ITEM | {"user_id": "u2", "title": "Hi John!"}
    body = {"notifications": [ITEM, other], "idempotency_key": "k1"}
    event_id = (await post(public, key, body)).json["event_id"]
    assert (await public.call("DELETE", "/v1/users/u1", token=key)).status == 204
    await eraser_on(public.store, public.clock).carry_on()
    summary = await public.store.journal.event(event_id)
    assert summary is not None
    kept = json.loads(summary.event.body)["data"]["notifications"]
    assert "Mary" not in str(kept)
    assert kept[1]["title"] == "Hi John!"
