"""`why`, deliveries that wait, and all that is held of a person, over HTTP."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.core.fanout import CONTRADICTION
from gateway.core.model import Event, Record, Rejection, UserRef, day_of
from gateway.core.receipts import Key, Kind, Told
from gateway.core.states import DeliveryState
from gateway.errors import StoreUnavailable
from tests.kit.handlers import user_token
from tests.kit.public import PublicListener, public_listener

T0 = 1_800_000_000.0
DEVICE = {
    "platform": "android",
    "provider": "fcm",
    "address": "fcm-token-of-mary",
    "custom_id": "mary",
    "measure": "granted",
    "can": ["received", "displayed", "opened"],
}
PUSH = {"custom_id": "mary", "title": "Hi", "body": "secret text", "idempotency_key": "k1"}


@pytest.fixture
async def public(tmp_path: Path) -> AsyncIterator[PublicListener]:
    async with public_listener(tmp_path) as listener:
        listener.clock.now = T0
        listener.modes["agent"] = "opened"
        yield listener


async def look(public: PublicListener, path: str, *scopes: str, status: int = 200) -> Any:
    answer = await public.call("GET", path, token=await public.key(*scopes))
    assert answer.status == status, answer.json
    return answer.json


async def register(public: PublicListener) -> None:
    done = await public.call("PUT", "/v1/devices/phone", token=user_token("mary"), json=DEVICE)
    assert done.status == 201


async def push(public: PublicListener) -> str:
    key = await public.key("notifications:write")
    done = await public.call("POST", "/v1/notifications", token=key, json=PUSH)
    event_id: str = done.json["event_id"]
    return event_id


async def opened(public: PublicListener) -> None:
    """Mary opened a push."""
    await register(public)
    (device,) = await public.store.registry.devices_of(_mary())
    day = day_of(T0)
    record = Record(
        "msg_1", 0, device.id, DeliveryState.DELIVERED, 1, T0, None, "mary", "agent", "fcm", day=day
    )
    await public.queue.accept(Event("msg_1", "notifications.sent", "accepted", T0 - 9.0), [])
    await public.store.journal.record([record], [])
    told = Told(Key("msg_1", 0, device.id, day, "granted"), Kind.OPENED, T0 + 60.0, 5.0, True)
    await public.store.receipts.keep([told], rule="opt_in")


def _mary() -> UserRef:
    return UserRef(custom_id="mary")


async def acts(public: PublicListener) -> list[str]:
    return [row.what for row in await public.store.audit.page(limit=10, what="users.")]


# --- what waits -----------------------------------------------------------------------------------


async def test_a_push_that_waits_in_the_queue_is_told_as_pending(public: PublicListener) -> None:
    await register(public)
    event_id = await push(public)
    told = await look(public, "/v1/users/mary/deliveries", "deliveries:read")
    assert (told["complete"], told["waiting"]) == (True, None)
    (one,) = told["deliveries"]
    assert (one["event_id"], one["state"], one["device_id"]) == (event_id, "pending", None)
    assert (one["custom_id"], one["index"], one["source"]) == ("mary", 0, "api")
    assert "secret text" not in str(told)
    other = await look(public, "/v1/users/zoe/deliveries", "deliveries:read")
    assert other["deliveries"] == []
    for query in ("?since=2027-01-16", "?since=1800000001"):
        told = await look(public, f"/v1/users/mary/deliveries{query}", "deliveries:read")
        assert told["deliveries"] == []


async def test_why_is_about_what_waits_and_says_that_nobody_sends(public: PublicListener) -> None:
    await register(public)
    event_id = await push(public)
    public.clock.now += 120.0
    told = await look(public, "/v1/users/mary/why", "deliveries:read")
    assert (told["code"], told["event_id"], told["index"]) == ("no_relay", event_id, 0)
    assert told["verdict"].endswith("no relay is running.")
    assert [one["link"] for one in told["chain"]] == ["received", "stored", "queued"]
    assert {one["what"] for one in told["in_the_way"]} == {"no_relay"}
    assert told["next"]
    assert "secret text" not in str(told)
    assert "fcm-token" not in str(told)


async def test_why_by_each_kind_of_id(public: PublicListener) -> None:
    await register(public)
    assert (await look(public, "/v1/users/mary/why?by=custom_id", "deliveries:read"))["code"] == (
        "nothing_came"
    )
    told = await look(public, "/v1/users/mary/why?by=user_id", "deliveries:read")
    assert told["code"] == "unknown_person"


@pytest.mark.parametrize("asked", ["u-mary", "mary"])
@pytest.mark.parametrize("item", [{"user_id": "u-mary"}, {"custom_id": "mary"}])
@pytest.mark.parametrize("state", ["no_device", "ids contradict", "waits", "turned away"])
async def test_why_by_either_id_of_the_phone_whichever_the_item_has(
    public: PublicListener, asked: str, item: dict[str, str], state: str
) -> None:
    phone = {**DEVICE, "user_id": "u-mary"}
    key = await public.key("devices:write")
    assert (await public.call("PUT", "/v1/devices/phone", token=key, json=phone)).status == 201
    if state == "waits":
        key = await public.key("notifications:write")
        push = {"title": "Hi", "body": "x", "idempotency_key": "k1", **item}
        await public.call("POST", "/v1/notifications", token=key, json=push)
    elif state == "turned away":
        body = {"data": {"notifications": [{**item, "title": ""}]}}
        kept = Event(
            "msg_1",
            "notifications.sent",
            "accepted",
            T0,
            rejections=(Rejection(0, "title and body are both empty"),),
            body=json.dumps(body).encode(),
            people=tuple(item.values()),
        )
        await public.queue.accept(kept, [])
    else:
        is_other = state == "ids contradict"
        other = "another" if is_other else None
        ids = (item.get("user_id", other), item.get("custom_id", other))
        reason = CONTRADICTION if is_other else ""
        line = Record("msg_1", 0, 0, DeliveryState.NO_DEVICE, 0, T0, *ids, reason=reason)
        await public.queue.accept(Event("msg_1", "notifications.sent", "accepted", T0 - 9.0), [])
        await public.store.journal.record([line._replace(day=day_of(T0))], [])
    told = await look(public, f"/v1/users/{asked}/why", "deliveries:read")
    codes = {"ids contradict": "ids_contradict", "waits": "no_relay", "turned away": "rejected"}
    assert told["code"] == codes.get(state, "no_device")
    named = f"/v1/users/{asked}/why?event={told['event_id']}"
    assert (await look(public, named, "deliveries:read"))["code"] == told["code"]
    if state != "turned away":
        page = await look(public, f"/v1/users/{asked}/deliveries", "deliveries:read")
        assert [one["event_id"] for one in page["deliveries"]] == [told["event_id"]]


@pytest.mark.parametrize("asked", ["u-mary", "mary"])
@pytest.mark.parametrize("state", ["taken", "waits"])
async def test_the_phone_of_a_notification_is_known_under_either_of_its_ids(
    public: PublicListener, asked: str, state: str
) -> None:
    """Its app registers one of them alone."""
    await register(public)
    (device,) = await public.store.registry.devices_of(_mary())
    if state == "waits":
        key = await public.key("notifications:write")
        push = {**PUSH, "user_id": "u-mary"}
        await public.call("POST", "/v1/notifications", token=key, json=push)
    else:
        line = Record(
            "msg_1", 0, device.id, DeliveryState.DELIVERED, 1, T0, "u-mary", "mary", "agent", "fcm"
        )
        await public.queue.accept(Event("msg_1", "notifications.sent", "accepted", T0 - 9.0), [])
        await public.store.journal.record([line._replace(day=day_of(T0))], [])
        page = await look(public, f"/v1/users/{asked}/deliveries", "deliveries:read")
        assert page["deliveries"][0]["installation_id"] == "phone"
    told = await look(public, f"/v1/users/{asked}/why", "deliveries:read")
    assert told["code"] == {"taken": "taken", "waits": "no_relay"}[state]
    assert "no_device" not in {one["what"] for one in told["in_the_way"]}


async def test_a_phone_that_contradicts_is_not_theirs(public: PublicListener) -> None:
    other = {**DEVICE, "custom_id": "eve", "address": "fcm-token-of-eve"}
    done = await public.call("PUT", "/v1/devices/eves", token=user_token("eve"), json=other)
    assert done.status == 201
    key = await public.key("devices:write")
    mary = {**DEVICE, "user_id": "u-mary"}
    assert (await public.call("PUT", "/v1/devices/phone", token=key, json=mary)).status == 201
    key = await public.key("notifications:write")
    push = {**PUSH, "user_id": "u-mary", "custom_id": "eve"}
    await public.call("POST", "/v1/notifications", token=key, json=push)
    await public.store.registry.forget("phone", proven=None, now=T0)
    told = await look(public, "/v1/users/u-mary/why", "deliveries:read")
    # Eve's phone has the one id and says nothing of the other: the push would reach it
    assert "no_device" not in {one["what"] for one in told["in_the_way"]}
    both = {**other, "user_id": "u-eve"}
    key = await public.key("devices:write")
    assert (await public.call("PUT", "/v1/devices/eves", token=key, json=both)).status == 200
    told = await look(public, "/v1/users/u-mary/why", "deliveries:read")
    assert "no_device" in {one["what"] for one in told["in_the_way"]}


async def test_an_event_that_was_not_understood_is_found_behind_many_newer_ones(
    public: PublicListener,
) -> None:
    for number in range(9):
        body = b'{"data": {"who": "mary"}}'
        kept = Event(f"msg_{number}", "", "quarantined", T0 + number, body=body, people=("mary",))
        await public.queue.accept(kept, [])
    told = await look(public, "/v1/users/mary/why?event=msg_0", "deliveries:read")
    assert (told["code"], told["event_id"]) == ("not_understood", "msg_0")
    await look(public, "/v1/users/eve/why?event=msg_0", "deliveries:read", status=404)


# --- times ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["why", "deliveries"])
async def test_times_need_a_scope_and_whoever_reads_them_has_a_row(
    public: PublicListener, what: str
) -> None:
    await opened(public)
    path = f"/v1/users/mary/{what}"
    by_day = str(await look(public, path, "deliveries:read"))
    assert await acts(public) == []
    exactly = str(await look(public, path, "deliveries:read", "receipts:read"))
    assert ("2027-01-15T08:00:55" in by_day, "2027-01-15T08:00:55" in exactly) == (False, True)
    assert "2027-01-15" in by_day
    assert await acts(public) == ["users.read"]
    await look(public, f"/v1/users/zoe/{what}", "deliveries:read", "receipts:read")
    assert await acts(public) == ["users.read"]


async def test_the_row_tells_whose_times_they_were_and_not_by_name(public: PublicListener) -> None:
    await opened(public)
    await look(public, "/v1/users/mary/why", "deliveries:read", "receipts:read")
    (row,) = await public.store.audit.page(limit=10, user=_mary())
    assert row.what == "users.read"
    assert "mary" not in str(row)
    assert row.routine


# --- all that is held -----------------------------------------------------------------------------


async def test_all_that_is_held_is_for_the_person_and_for_administrators(
    public: PublicListener,
) -> None:
    await opened(public)
    await push(public)
    own = await public.call("GET", "/v1/users/mary", token=user_token("mary"))
    assert own.status == 200
    assert own.json["devices"][0]["address"] == "fcm-token-of-mary"
    assert {one["state"] for one in own.json["deliveries"]} == {"delivered", "pending"}
    parts = [part for one in own.json["events"] for part in one["parts"]]
    assert parts[0]["value"]["body"] == "secret text"
    assert own.json["complete"]
    held = await look(public, "/v1/users/mary", "admin")
    assert held["devices"] == own.json["devices"]
    assert await acts(public) == ["users.export", "users.export"]
    scopes = ("devices:read", "devices:write", "deliveries:read", "receipts:read")
    await look(public, "/v1/users/mary", *scopes, status=403)
    stranger = await public.call("GET", "/v1/users/mary", token=user_token("eve"))
    assert stranger.status == 403
    assert await acts(public) == ["users.export", "users.export"]


async def test_all_that_is_held_names_the_ids_that_are_to_be_asked_as_well(
    public: PublicListener,
) -> None:
    key = await public.key("devices:write")
    for name, custom_id in (("one", "mary"), ("two", "mary"), ("three", "m-2")):
        phone = {
            **DEVICE,
            "user_id": "u-mary",
            "custom_id": custom_id,
            "address": f"address-of-{name}",
        }
        done = await public.call("PUT", f"/v1/devices/{name}", token=key, json=phone)
        assert done.status == 201, done.json
    held = await look(public, "/v1/users/u-mary", "admin")
    assert held["other_ids"] == [{"custom_id": "m-2"}, {"custom_id": "mary"}]
    assert (await look(public, "/v1/users/m-2", "admin"))["other_ids"] == [{"user_id": "u-mary"}]
    assert (await look(public, "/v1/users/nobody", "admin"))["other_ids"] == []


async def test_nothing_is_shown_of_which_no_row_could_be_written(
    public: PublicListener, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_args: object, **_more: object) -> None:
        raise StoreUnavailable("the disk is full")

    await opened(public)
    monkeypatch.setattr(public.store.audit, "note", fail)
    for path in ("/v1/users/mary", "/v1/users/mary/why", "/v1/users/mary/deliveries"):
        told = await look(public, path, "admin", status=503)
        assert told["code"] == "unavailable"
