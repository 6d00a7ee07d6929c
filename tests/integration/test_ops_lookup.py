"""The deliveries API over HTTP: why did Mary not get it?"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.core.chunks import cut
from gateway.core.model import MAYBE_TAKEN, Event, Item, Record, Rejection, UserRef
from gateway.core.states import DeliveryState
from gateway.ports import Cancelling
from tests.kit.handlers import user_token
from tests.kit.public import PublicListener, public_listener

T0 = 1_800_000_000.0


@pytest.fixture
async def public(tmp_path: Path) -> AsyncIterator[PublicListener]:
    async with public_listener(tmp_path) as listener:
        listener.clock.now = T0
        yield listener


async def accept(public: PublicListener, event_id: str, count: int, **changed: Any) -> None:
    items = [Item(number, "t", "b", None, f"u{number}", None) for number in range(count)]
    chunks = cut(event_id, items, received_at=T0, deadline=T0 + 60)
    values: dict[str, Any] = {
        "event_id": event_id,
        "type": "notifications.sent",
        "status": "accepted",
        "received_at": T0,
        "occurred_at": T0 - 5.5,
        "notifications": count,
        "chunks": len(chunks),
    }
    await public.queue.accept(Event(**(values | changed)), chunks)


def record(event_id: str, index: int, **changed: Any) -> Record:
    values: dict[str, Any] = {
        "event_id": event_id,
        "index": index,
        "device_id": 1,
        "state": DeliveryState.DELIVERED,
        "attempts": 1,
        "at": T0 + index,
        "user_id": "u0",
        "custom_id": "mary",
        "app": "agent",
        "provider": "fcm",
        "address_hash": "0123456789ab",
        "vendor_id": "projects/p/messages/1",
    }
    return Record(**(values | changed))


async def journal(public: PublicListener, *records: Record, done: int = 0) -> None:
    finished = [(records[0].event_id, number) for number in range(done)]
    await public.store.journal.record(records, [], done=finished)


async def look(public: PublicListener, path: str) -> Any:
    return await public.call("GET", path, token=await public.key("deliveries:read"))


async def test_a_delivery_tells_what_the_vendor_said_and_when_it_goes_on(
    public: PublicListener,
) -> None:
    key = await public.key("devices:write")
    body = {"user_id": "u0", "custom_id": "mary", "address": "fcm-address"}
    body |= {"platform": "web", "provider": "fcm"}
    await public.call("PUT", "/v1/devices/phone", token=key, json=body)
    (device,) = await public.store.registry.devices_of(UserRef(custom_id="mary"))
    waiting = record(
        "msg_1",
        3,
        device_id=device.id,
        state=DeliveryState.PENDING,
        attempts=2,
        reason="UNAVAILABLE",
        vendor_id="",
        next_at=T0 + 70,
    )
    await journal(public, waiting)
    answer = await look(public, "/v1/users/mary/deliveries")
    assert answer.json == {
        "deliveries": [
            {
                "event_id": "msg_1",
                "source": "learnink",
                "index": 3,
                "device_id": device.id,
                "installation_id": "phone",
                "user_id": "u0",
                "custom_id": "mary",
                "app": "agent",
                "provider": "fcm",
                "state": "pending",
                "attempts": 2,
                "reason": "UNAVAILABLE",
                "vendor_id": None,
                "address_hash": "0123456789ab",
                "at": "2027-01-15T08:00:03.000Z",
                "next_attempt_at": "2027-01-15T08:01:10.000Z",
                "received_at": "unknown",
                "displayed_at": "unknown",
                "opened_at": "unknown",
                "clock": None,
                "receipts": [],
            }
        ],
        "complete": True,
        "waiting": None,
    }
    assert (await look(public, "/v1/users/u0/deliveries")).json == answer.json


async def test_a_notification_that_reached_no_device_is_told_too(public: PublicListener) -> None:
    nowhere = record(
        "msg_1",
        0,
        device_id=0,
        state=DeliveryState.NO_DEVICE,
        app="",
        provider="",
        address_hash="",
        vendor_id="",
    )
    await journal(public, nowhere)
    (shown,) = (await look(public, "/v1/users/mary/deliveries")).json["deliveries"]
    assert (shown["state"], shown["device_id"], shown["app"]) == ("no_device", None, None)


async def test_newest_first_a_page_at_a_time_and_since(public: PublicListener) -> None:
    await journal(public, *(record("msg_1", index) for index in range(150)))

    async def indexes(query: str) -> list[int]:
        answer = await look(public, f"/v1/users/mary/deliveries{query}")
        return [delivery["index"] for delivery in answer.json["deliveries"]]

    assert await indexes("") == list(range(149, 49, -1))
    assert await indexes("?limit=2") == [149, 148]
    assert len(await indexes("?limit=1000")) == 150
    for since in (
        str(T0 + 148),
        "2027-01-15T08:02:28Z",
        "2027-01-15T08:02:28",
        "2027-01-15T11:02:28%2B03:00",
    ):
        assert await indexes(f"?since={since}") == [149, 148]
    nobodys = (await look(public, "/v1/users/somebody/deliveries")).json
    assert nobodys == {"deliveries": [], "complete": True, "waiting": None}


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=-1", "limit"),
        ("limit=ten", "limit"),
        ("limit=", "limit"),
        ("limit=" + "9" * 5_000, "limit"),
        ("since=yesterday", "since"),
        ("since=", "since"),
        ("since=nan", "since"),
        ("since=inf", "since"),
    ],
)
async def test_a_wrong_question_is_a_422_that_names_the_field(
    public: PublicListener, query: str, field: str
) -> None:
    answer = await look(public, f"/v1/users/mary/deliveries?{query}")
    assert (answer.status, answer.code) == (422, "invalid")
    assert [error["field"] for error in answer.json["errors"]] == [field]


async def test_an_event_counts_its_deliveries_until_none_is_pending(
    public: PublicListener,
) -> None:
    rejections = (Rejection(1, "title is not a string"),)
    await accept(public, "msg_1", 2, rejections=rejections)
    nothing = dict.fromkeys((state.value for state in DeliveryState), 0)
    expected = {
        "event_id": "msg_1",
        "source": "learnink",
        "type": "notifications.sent",
        "timestamp": "2027-01-15T07:59:54.500Z",
        "received_at": "2027-01-15T08:00:00.000Z",
        "status": "accepted",
        "reason": "",
        "notifications": 2,
        "rejected": 1,
        "deliveries": nothing | {"pending": 2},
        "settled": False,
        "cancelled_at": None,
        "replaced_by": None,
    }
    answer = await look(public, "/v1/events/msg_1")
    assert (answer.status, answer.json) == (200, expected)

    refused = record("msg_1", 2, state=DeliveryState.REFUSED)
    await journal(public, record("msg_1", 0), refused, done=1)
    (claim,) = await public.queue.claim(limit=10, lease_s=60, now=T0)
    assert await public.queue.settle(claim, [])
    answer = await look(public, "/v1/events/msg_1?items=0")
    settled = {"deliveries": nothing | {"delivered": 1, "refused": 1}, "settled": True}
    assert answer.json == expected | settled


async def test_items_account_for_every_index(public: PublicListener) -> None:
    await accept(public, "msg_1", 3, rejections=(Rejection(1, "the item is not an object"),))
    await journal(public, record("msg_1", 2), record("msg_1", 2, device_id=2))
    answer = await look(public, "/v1/events/msg_1?items=1")
    shown = [(i["index"], i["device_id"], i["state"]) for i in answer.json["items"]]
    assert shown == [
        (0, None, "pending"),
        (2, 1, "delivered"),
        (2, 2, "delivered"),
        (3, None, "pending"),
    ]
    assert answer.json["rejections"] == [{"index": 1, "reason": "the item is not an object"}]


async def test_an_event_without_a_timestamp_and_one_that_was_ignored(
    public: PublicListener,
) -> None:
    await accept(public, "msg_2", 0, status="ignored", type="user.created", occurred_at=None)
    answer = await look(public, "/v1/events/msg_2?items=1")
    assert (answer.json["status"], answer.json["timestamp"], answer.json["settled"]) == (
        "ignored",
        None,
        True,
    )
    assert answer.json["items"] == []


async def test_an_unknown_event_is_a_404_and_a_wrong_flag_a_422(public: PublicListener) -> None:
    assert (await look(public, "/v1/events/none")).code == "not_found"
    assert (await look(public, "/v1/events/%00")).code == "not_found"
    assert (await look(public, "/v1/events/none?items=yes")).code == "invalid"


async def test_lookups_are_for_keys_of_their_scope(public: PublicListener) -> None:
    for token, status in (
        (None, 401),
        (user_token("mary"), 403),
        (await public.key("devices:read", "devices:write", "notifications:write"), 403),
        (await public.key("admin"), 200),
    ):
        answer = await public.call("GET", "/v1/users/mary/deliveries", token=token)
        assert answer.status == status


async def test_a_correction_is_there_from_the_moment_it_was_asked(public: PublicListener) -> None:
    """It waits for the end of what it corrects: `accepting`, until its chunks are queued."""
    await accept(public, "msg_1", 2)
    assert (await look(public, "/v1/events/msg_1:r1")).status == 404
    asked = Cancelling(T0, 60.0, '{"title": "Another"}')
    assert await public.store.cancels.cancel("msg_1", asked) is not None
    shown = (await look(public, "/v1/events/msg_1:r1?items=1")).json
    assert (shown["status"], shown["source"], shown["settled"]) == ("accepting", "learnink", False)
    assert (shown["notifications"], shown["items"], set(shown["deliveries"].values())) == (
        0,
        [],
        {0},
    )
    first = (await look(public, "/v1/events/msg_1")).json
    assert (first["cancelled_at"], first["replaced_by"]) == (first["received_at"], "msg_1:r1")
    await public.store.cancels.corrected("msg_1")
    assert (await look(public, "/v1/events/msg_1:r1")).status == 404
    assert (await look(public, "/v1/events/msg_2:r1")).status == 404


async def test_that_it_may_have_been_taken_is_no_id_of_the_vendor(public: PublicListener) -> None:
    await accept(public, "msg_1", 1)
    maybe = record("msg_1", 0, state=DeliveryState.EXPIRED, vendor_id=MAYBE_TAKEN)
    await journal(public, maybe)
    (item,) = (await look(public, "/v1/events/msg_1?items=1")).json["items"]
    assert item["vendor_id"] is None
