"""The devices API over HTTP, as one caller sees it."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from gateway.app.vendors import VENDORS
from gateway.core.model import Record, Registration, Removal, UserRef
from gateway.core.states import DeliveryState, DeviceState
from gateway.devices.records import record_of, registration_of
from gateway.ports import SCOPES, Imported
from providers.contract import Platform
from tests.kit.handlers import user_token
from tests.kit.public import PublicListener, public_listener
from tests.kit.stores import WORDS, hear

FCM = {"platform": "android", "provider": "fcm", "address": "fcm-address-1"}
APNS = {"platform": "ios", "provider": "apns", "address": "AB" * 32}


@pytest.fixture
async def public(tmp_path: Path) -> AsyncIterator[PublicListener]:
    async with public_listener(tmp_path) as listener:
        yield listener


async def put(public: PublicListener, token: str, installation: str = "phone", **body: Any) -> Any:
    return await public.call("PUT", f"/v1/devices/{installation}", token=token, json=FCM | body)


def shown(answer: Any) -> dict[str, Any]:
    """The device that a registration answers with, as a list of devices has it."""
    return {name: value for name, value in answer.json.items() if name != "ignored"}


async def test_a_registration_answers_201_and_then_200_with_the_device(
    public: PublicListener,
) -> None:
    key = await public.key("devices:write", "devices:read")
    public.clock.now = 1_800_000_000.1239
    profile: dict[str, Any] = {
        "locale": "sw-KE",
        "timezone": "Africa/Nairobi",
        "app_version": "1.2",
        "os_version": "14",
        "device_model": "Pixel",
        "notifications": "granted",
        "measure": "denied",
        "can": ["received", "opened"],
    }
    first = await put(public, key, user_id="u1", custom_id="mary", **profile)
    assert first.status == 201
    assert first.json == profile | {
        "installation_id": "phone",
        "user_id": "u1",
        "custom_id": "mary",
        "app": "agent",
        "platform": "android",
        "provider": "fcm",
        "address_kind": "token",
        "address_hash": hashlib.sha256(b"fcm-address-1").hexdigest()[:12],
        "environment": None,
        "state": "active",
        "state_reason": "",
        "stale": False,
        "registered_at": "2027-01-15T08:00:00.123Z",
        "last_seen_at": "2027-01-15T08:00:00.123Z",
        "for": [WORDS.of_user("u1"), WORDS.of_custom("mary")],
        "ignored": [],
    }
    public.clock.now += 60
    again = await put(public, key, user_id="u1", custom_id="mary", **profile)
    assert again.status == 200
    assert again.json == first.json | {"last_seen_at": "2027-01-15T08:01:00.123Z"}
    for name in ("u1", "mary"):
        assert await public.devices_of(name, token=key) == [shown(again)]


async def test_a_device_is_stale_when_it_was_silent_for_longer_than_is_set(
    public: PublicListener,
) -> None:
    public.clock.now = 1_800_000_000.75
    key = await public.key("admin")
    await put(public, key, custom_id="mary")
    began, day = public.clock.now, 86_400

    async def told(days: float) -> tuple[bool, str]:
        public.clock.now = began + days * day
        (device,) = await public.devices_of("mary", token=key)
        return device["stale"], device["last_seen_at"][:10]

    assert await told(60) == (False, "2027-01-15")
    assert await told(60.01) == (True, "2027-01-15")
    public.stale_after_days = 400
    assert await told(399) == (False, "2027-01-15")
    public.stale_after_days = 0
    assert await told(4_000) == (False, "2027-01-15")
    public.stale_after_days = 60
    (device,) = await public.store.registry.installations("phone")
    await hear(public.store, {device.id: public.clock.now - 59 * day})
    assert await told(4_000) == (False, "2037-10-30")
    assert await told(4_002) == (True, "2037-10-30")
    answer = await put(public, key, custom_id="mary")
    assert answer.json["stale"] is False


async def test_an_import_of_which_nobody_knows_is_stale_when_it_was_here_for_so_long(
    public: PublicListener,
) -> None:
    key, began = await public.key("admin"), public.clock.now
    line = Registration(
        "phone", "agent", Platform.ANDROID, "fcm", "fcm-address-1", custom_id="mary", seen_at=0.0
    )
    await public.store.registry.register_many([line], now=began)

    async def told(days: float) -> tuple[bool, str | None]:
        public.clock.now = began + days * 86_400
        (device,) = await public.devices_of("mary", token=key)
        return device["stale"], device["last_seen_at"]

    assert await told(60) == (False, None)
    assert await told(60.01) == (True, None)


async def test_no_answer_ever_holds_an_address(public: PublicListener) -> None:
    key = await public.key("admin")
    token = user_token("john")
    answers = [
        await put(public, key, user_id="u1", address="s3cret-address"),
        await put(public, key, user_id="u1", address="s3cret\0address"),
        await put(public, token, user_id="u1", address="s3cret-address"),
        await put(public, token, old_address="s3cret-addres5"),
        await public.call("GET", "/v1/users/u1/devices", token=key),
    ]
    assert [answer.status for answer in answers] == [201, 422, 403, 409, 200]
    assert not any("s3cret" in str(answer.json) for answer in answers)


async def test_a_user_token_fills_in_what_it_proves(public: PublicListener) -> None:
    answer = await put(public, user_token("mary", user_id="u1"))
    assert (answer.status, answer.json["user_id"], answer.json["custom_id"]) == (201, "u1", "mary")
    answer = await put(public, user_token("john"), "other", address="fcm-address-2")
    assert (answer.status, answer.json["user_id"], answer.json["custom_id"]) == (201, None, "john")


async def test_a_new_address_replaces_the_old_one(public: PublicListener) -> None:
    token = user_token("mary")
    before = await put(public, token)
    public.clock.now += 5
    after = await put(public, token, address="fcm-address-2", old_address="fcm-address-1")
    assert after.status == 200
    assert after.json["address_hash"] != before.json["address_hash"]
    assert after.json["registered_at"] > before.json["registered_at"]
    assert await public.devices_of("mary", token=token) == [shown(after)]


async def test_the_same_phone_after_a_reinstall_is_one_device(public: PublicListener) -> None:
    token = user_token("mary")
    await put(public, token, "first-install")
    await put(public, token, "second-install")
    devices = await public.devices_of("mary", token=token)
    assert [device["installation_id"] for device in devices] == ["second-install"]


async def test_apns_tokens_in_another_spelling_are_the_same_device(public: PublicListener) -> None:
    token = user_token("mary")
    first = await public.call("PUT", "/v1/devices/a", token=token, json=APNS)
    second = await public.call(
        "PUT", "/v1/devices/b", token=token, json=APNS | {"address": "ab" * 32}
    )
    assert first.json["address_hash"] == second.json["address_hash"]
    assert len(await public.devices_of("mary", token=token)) == 1


async def test_the_environment_stays_as_it_was_said_until_said_otherwise(
    public: PublicListener,
) -> None:
    token = user_token("mary")
    said = []
    for extra in ({}, {"environment": "sandbox"}, {}, {"environment": "production"}):
        answer = await public.call("PUT", "/v1/devices/a", token=token, json=APNS | extra)
        said.append(answer.json["environment"])
    assert said == ["production", "sandbox", "sandbox", "production"]


async def test_deleting_is_always_204_and_ends_the_device(public: PublicListener) -> None:
    token = user_token("mary")
    await put(public, token)
    for path in ("/v1/devices/phone", "/v1/devices/phone", "/v1/devices/never", "/v1/devices/%00"):
        answer = await public.call("DELETE", path, token=token)
        assert (answer.status, answer.json) == (204, None)
    assert await public.devices_of("mary", token=token) == []


async def logout(public: PublicListener, token: str) -> Any:
    return await public.call("DELETE", "/v1/devices/phone", token=token)


async def erase(public: PublicListener, token: str) -> Any:
    return await public.call("DELETE", "/v1/users/mary", token=token)


async def rotation(public: PublicListener, token: str) -> Any:
    return await put(public, token, address="fcm-address-2")


async def another_login(public: PublicListener, _token: str) -> Any:
    return await put(public, user_token("bob"))


@pytest.mark.parametrize("act", [logout, erase, rotation, another_login])
async def test_no_export_of_before_undoes_what_an_app_asked_for(
    public: PublicListener, act: Callable[[PublicListener, str], Awaitable[Any]]
) -> None:
    token, apps = user_token("mary"), {"agent": frozenset(VENDORS)}
    await put(public, token)
    records = [
        record_of(one, VENDORS) async for page in public.store.registry.export() for one in page
    ]
    public.clock.now += 5
    assert (await act(public, token)).status in (200, 204)
    before = [page async for page in public.store.registry.export()]
    lines = [registration_of(one, vendors=VENDORS, apps=apps) for one in records]
    done = await public.store.registry.register_many(lines, now=public.clock.now + 5)
    assert done == Imported(0, 0, newer=(0,))
    assert [page async for page in public.store.registry.export()] == before
    # and the phone itself is welcome
    assert (await put(public, token)).status in (200, 201)


async def test_the_twenty_first_device_pushes_out_the_least_recently_seen(
    public: PublicListener,
) -> None:
    token = user_token("mary")
    for number in range(20):
        public.clock.now += 1
        await put(public, token, f"phone-{number}", address=f"fcm-address-{number}")
    public.clock.now += 1
    await put(public, token, "phone-0", address="fcm-address-0")  # seen again
    public.clock.now += 1
    await put(public, token, "phone-20", address="fcm-address-20")
    kept = [device["installation_id"] for device in await public.devices_of("mary", token=token)]
    assert kept == ["phone-20", "phone-0", *[f"phone-{n}" for n in range(19, 1, -1)]]


@pytest.mark.parametrize("state", [DeviceState.PRUNED, DeviceState.QUARANTINED])
async def test_a_removed_device_is_shown_with_its_reason_and_revives(
    public: PublicListener, state: Any
) -> None:
    token = user_token("mary")
    await put(public, token)
    device = (await public.store.registry.devices_of(_user("mary")))[0]
    removal = Removal(
        device.id,
        device.address,
        device.last_seen_at,
        device.app,
        "fcm",
        state,
        "UNREGISTERED",
    )
    await _remove(public, removal)
    (shown,) = await public.devices_of("mary", token=token)
    assert (shown["state"], shown["state_reason"]) == (state.value, "UNREGISTERED")
    public.clock.now += 1
    revived = await put(public, token)
    assert (revived.status, revived.json["state"], revived.json["state_reason"]) == (
        200,
        "active",
        "",
    )


async def test_concurrent_launches_make_one_device(public: PublicListener) -> None:
    token = user_token("mary")
    answers = await asyncio.gather(*(put(public, token) for _ in range(20)))
    assert sorted(answer.status for answer in answers) == [200] * 19 + [201]
    assert len(await public.devices_of("mary", token=token)) == 1


async def test_concurrent_users_of_one_address_leave_one_owner(public: PublicListener) -> None:
    users = [f"user-{number}" for number in range(12)]
    answers = await asyncio.gather(
        *(put(public, user_token(user), f"phone-of-{user}") for user in users)
    )
    assert {answer.status for answer in answers} == {201}
    key = await public.key("devices:read")
    owned = [await public.devices_of(user, token=key) for user in users]
    assert sum(len(devices) for devices in owned) == 1


async def test_erasing_leaves_nothing_of_the_user_and_all_of_the_others(
    public: PublicListener,
) -> None:
    key = await public.key("devices:write", "devices:read")
    await put(public, key, "a", user_id="u1", custom_id="mary")
    await put(public, key, "b", user_id="u1", address="fcm-address-2")
    await put(public, key, "c", user_id="u2", address="fcm-address-3")
    answer = await public.call("DELETE", "/v1/users/u1", token=key)
    assert (answer.status, answer.json) == (204, None)
    assert await public.devices_of("u1", token=key) == []
    assert await public.devices_of("mary", token=key) == []
    assert len(await public.devices_of("u2", token=key)) == 1
    assert (await public.call("DELETE", "/v1/users/u1", token=key)).status == 204


async def test_one_installation_id_in_two_apps_is_two_devices(tmp_path: Path) -> None:
    apps = {"agent": frozenset(VENDORS), "field": frozenset({"fcm"})}
    async with public_listener(tmp_path, apps=apps) as public:
        token = user_token("mary")
        assert (await put(public, token)).code == "invalid"
        assert (await put(public, token, app="elsewhere")).code == "invalid"
        assert (await put(public, token, app="agent")).status == 201
        assert (await put(public, token, app="field")).status == 201
        assert (
            await public.call("PUT", "/v1/devices/x", token=token, json=APNS | {"app": "field"})
        ).code == "invalid"
        devices = await public.devices_of("mary", token=token)
        assert sorted(device["app"] for device in devices) == ["agent", "field"]
        await public.call("DELETE", "/v1/devices/phone?app=field", token=token)
        devices = await public.devices_of("mary", token=token)
        assert [device["app"] for device in devices] == ["agent"]
        await put(public, token, app="field")
        await public.call("DELETE", "/v1/devices/phone", token=token)
        assert await public.devices_of("mary", token=token) == []


async def test_an_app_that_a_reload_brings_is_known_at_once(public: PublicListener) -> None:
    token = user_token("mary")
    assert (await put(public, token, app="field")).code == "invalid"
    public.apps["field"] = frozenset({"fcm"})
    assert (await put(public, token, app="field")).status == 201


@pytest.mark.parametrize("user", ["a b", "a/b", "50%", "a{b}", "Zoë", "?&#", "%2F", "..a"])
async def test_any_printable_user_id_finds_its_way_through_a_path(
    public: PublicListener, user: str
) -> None:
    key = await public.key("admin")
    await put(public, key, custom_id=user)
    path = quote(user, safe="")
    (device,) = await public.devices_of(path, token=key)
    assert device["custom_id"] == user
    assert (await public.devices_of(path, token=user_token(user))) == [device]
    assert (await public.call("DELETE", f"/v1/users/{path}", token=key)).status == 204
    assert await public.devices_of(path, token=key) == []


async def test_a_phone_is_registered_whatever_it_tells_of_itself(public: PublicListener) -> None:
    told: dict[str, Any] = {
        "locale": "en_US@rg=kezzzz",
        "timezone": "Mars/Olympus",
        "app_version": 412,
        "os_version": ["18"],
        "device_model": "x" * 300,
        "notifications": "maybe",
        "measure": None,
        "can": {"received": True},
        "enviroment": "sandbox",
    }
    answer = await put(public, user_token("mary"), **told)
    assert answer.status == 201
    assert answer.json["ignored"] == [
        "enviroment",
        "timezone",
        "os_version",
        "notifications",
        "can",
    ]
    kept = {name: answer.json[name] for name in ("locale", "app_version", "device_model")}
    assert kept == {"locale": "en-US", "app_version": "412", "device_model": "x" * 128}


@pytest.mark.parametrize("user", ["%FF", "%ED%A0%80", "'%3B--"])
async def test_an_odd_user_id_in_a_path_is_nobody(public: PublicListener, user: str) -> None:
    key = await public.key("admin")
    assert await public.devices_of(user, token=key) == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff",
        b"[]",
        b'"x"',
        b"null",
        b"7",
        b"[" * 8_000,
        b'{"a":' + b"9" * 9_000 + b"}",
    ],
)
async def test_a_body_that_is_no_json_object_is_a_400(public: PublicListener, body: bytes) -> None:
    answer = await public.call("PUT", "/v1/devices/a", token=user_token("mary"), data=body)
    assert (answer.status, answer.code) == (400, "bad_request")


async def test_a_body_over_16_kib_is_a_413_whether_or_not_it_says_so(
    public: PublicListener,
) -> None:
    async def in_pieces() -> AsyncIterator[bytes]:
        for _ in range(17):
            yield b" " * 1024

    token = user_token("mary")
    bodies: list[bytes | AsyncIterator[bytes]] = [b" " * (16 * 1024 + 1), in_pieces()]
    for body in bodies:
        answer = await public.call("PUT", "/v1/devices/a", token=token, data=body)
        assert (answer.status, answer.code) == (413, "body_too_large")
    padded = FCM | {"ignored": "x" * 15_000}
    answer = await public.call("PUT", "/v1/devices/a", token=token, json=padded)
    assert answer.status == 201


async def test_unknown_addresses_and_methods_are_problems_too(public: PublicListener) -> None:
    assert (await public.call("GET", "/v1/nothing")).code == "not_found"
    answer = await public.call("PATCH", "/v1/devices/a")
    assert answer.code == "method_not_allowed"
    assert set(answer.headers["Allow"].split(",")) == {"PUT", "DELETE"}


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("PUT", "/v1/devices/a", "devices:write"),
        ("DELETE", "/v1/devices/a", "devices:write"),
        ("GET", "/v1/users/u1/devices", "devices:read"),
        ("DELETE", "/v1/users/u1", "devices:write"),
        ("GET", "/v1/users/u1/deliveries", "deliveries:read"),
        ("GET", "/v1/events/none", "deliveries:read"),
        ("POST", "/v1/notifications", "notifications:write"),
    ],
)
async def test_each_route_takes_its_own_scope_and_admin_alone(
    public: PublicListener, method: str, path: str, scope: str
) -> None:
    for held in SCOPES:
        token = await public.key(held)
        body: Any = None if method in ("GET", "DELETE") else {}
        answer = await public.call(method, path, token=token, json=body)
        if held in (scope, "admin"):
            assert answer.status in (200, 204, 404, 422), held
        else:
            assert (answer.status, answer.code) == (403, "forbidden"), held
    everything_else = await public.key(*(held for held in SCOPES if held not in (scope, "admin")))
    assert (await public.call(method, path, token=everything_else)).status == 403


def _user(custom_id: str) -> Any:
    return UserRef(custom_id=custom_id)


async def _remove(public: PublicListener, removal: Removal) -> None:
    record = Record("e", 0, removal.device_id, DeliveryState.PRUNED, 1, public.clock())
    assert (await public.store.journal.record([record], [(0, removal)])).gone == {0}
