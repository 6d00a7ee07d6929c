"""POST /v1/events/{event_id}/cancel over HTTP: what a body may say, and whose event is stopped."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.core.items import MAX_TEXT
from tests.kit.build import NOW
from tests.kit.handlers import user_token
from tests.kit.public import Answer, PublicListener, public_listener
from tests.kit.stores import Handle, accept, record

ANSWER = {
    "cancelled": 1,
    "taken": 1,
    "replaced_by": None,
    "reason": "",
}


@pytest.fixture
async def public(tmp_path: Path) -> AsyncIterator[PublicListener]:
    """One notification was taken, another one waits; a second source has the same id."""
    async with public_listener(tmp_path) as listener:
        listener.clock.now = NOW + 5
        handle = Handle(listener.store, listener.queue)
        for event_id in ("msg_1", "staging:msg_1"):
            await accept(handle, event_id, 2)
            await handle.journal.record([record(event_id)], [])
        yield listener


async def cancel(
    public: PublicListener, body: Any = b"", *, name: str = "msg_1", token: str | None = None
) -> Answer:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    key = token or await public.key("notifications:write")
    return await public.call("POST", f"/v1/events/{name}/cancel", token=key, data=data)


async def is_cancelled(public: PublicListener, name: str = "msg_1") -> bool:
    return await public.store.cancels.of(name) is not None


@pytest.mark.parametrize("body", [b"", b"{}", b" {}\n", {"reason": ""}, {"dry_run": False}])
async def test_a_body_may_be_left_out_and_need_say_nothing(
    public: PublicListener, body: Any
) -> None:
    first = await cancel(public, body)
    assert first.status == 200
    until = first.json.pop("may_still_appear_until")
    assert first.json == ANSWER
    again = await cancel(public, b"")
    assert (again.status, again.json) == (200, ANSWER | {"may_still_appear_until": until})


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        (b"null", 400, None),
        (b"[]", 400, None),
        (b"{", 400, None),
        (b"\xff", 400, None),
        (b"[" * 50_000, 400, None),
        (b" " * 600_000, 413, None),
        ({"replace": None}, 422, "replace"),
        ({"replace": {}}, 422, "replace"),
        ({"replace": []}, 422, "replace"),
        ({"replace": "x"}, 422, "replace"),
        ({"replace": True}, 422, "replace"),
        ({"replace": {"title": None}}, 422, "replace.title"),
        ({"replace": {"title": 5}}, 422, "replace.title"),
        ({"replace": {"body": ["x"]}}, 422, "replace.body"),
        ({"replace": {"title": "", "body": ""}}, 422, "replace.title"),
        ({"replace": {"title": "x" * (MAX_TEXT + 1)}}, 422, "replace.title"),
        ({"replace": {"title": "\ud800"}}, 422, "replace.title"),
        ({"replace": {"path": "learning"}}, 422, "replace.path"),
        ({"replace": {"path": "//elsewhere"}}, 422, "replace.path"),
        ({"replace": {"path": "https://elsewhere/"}}, 422, "replace.path"),
        ({"replace": {"path": 5}}, 422, "replace.path"),
        ({"replace": {"title": "x", "user_id": "mary"}}, 422, "replace.user_id"),
        ({"replace": {"title": "x", "phone_number": "+1"}}, 422, "replace.phone_number"),
        ({"replacement": {"title": "x"}}, 422, "replacement"),
        ({"title": "x"}, 422, "title"),
        ({"dry_run": 1}, 422, "dry_run"),
        ({"dry_run": "true"}, 422, "dry_run"),
        ({"dry_run": None}, 422, "dry_run"),
        ({"reason": 5}, 422, "reason"),
        ({"reason": None}, 422, "reason"),
    ],
)
async def test_what_is_not_understood_stops_nothing(
    public: PublicListener, body: Any, status: int, field: str | None
) -> None:
    answer = await cancel(public, body)
    assert answer.status == status
    if field is not None:
        assert field in [error["field"] for error in answer.json["errors"]]
    assert not await is_cancelled(public)


@pytest.mark.parametrize(
    "replace",
    [
        {"title": ""},
        {"body": "x"},
        {"path": "/right"},
        {"path": ""},
        {"path": None},
        {"title": "\U0001f600" * MAX_TEXT, "body": "\u1240" * MAX_TEXT, "path": "/" + "x" * 500},
        {"title": "a\0b"},
    ],
    ids=["title", "body", "path", "no path", "null path", "longest", "nul"],
)
async def test_any_text_that_a_notification_may_have_may_replace_it(
    public: PublicListener, replace: dict[str, Any]
) -> None:
    for _ in range(2):
        answer = await cancel(public, {"replace": replace})
        assert (answer.status, answer.json["replaced_by"]) == (200, "msg_1:r1")
    other = await cancel(public, {"replace": {"title": "Another"}})
    assert (other.status, other.code) == (409, "already_replaced")
    plain = await cancel(public)
    assert (plain.status, plain.json["replaced_by"]) == (200, "msg_1:r1")


@pytest.mark.parametrize(
    ("name", "other"), [("msg_1", "staging:msg_1"), ("staging:msg_1", "msg_1")]
)
async def test_an_event_of_the_same_id_at_another_source_goes_on(
    public: PublicListener, name: str, other: str
) -> None:
    assert (await cancel(public, {"replace": {"title": "x"}}, name=name)).status == 200
    assert await is_cancelled(public, name)
    assert not await is_cancelled(public, other)


@pytest.mark.parametrize(
    "name",
    ["msg_2", "msg_1:r1", "api:msg_1", "learnink:msg_1", "%20msg_1", "msg_1%0A", "msg%00", "MSG_1"],
)
async def test_an_event_that_nobody_knows_is_not_found(public: PublicListener, name: str) -> None:
    answer = await cancel(public, name=name)
    assert (answer.status, answer.code) == (404, "not_found")


@pytest.mark.parametrize("scope", ["deliveries:read", "devices:write", "receipts:read"])
async def test_only_who_may_send_may_stop(public: PublicListener, scope: str) -> None:
    for token in (await public.key(scope), user_token("mary")):
        answer = await cancel(public, token=token)
        assert (answer.status, answer.code) == (403, "forbidden")
    assert not await is_cancelled(public)
    assert (await cancel(public, token=await public.key("admin"))).status == 200
