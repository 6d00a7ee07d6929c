"""User A against user B: no token reaches another user's devices, in any way there is.

Each test first lets B register, then lets A try, and then looks with an API key that B's device is
as it was.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.core.model import Item
from gateway.devices.auth import AuthRules
from tests.kit.handlers import JWT_SECRET, user_token
from tests.kit.public import PublicListener, public_listener

B_DEVICE = {"platform": "android", "provider": "fcm", "address": "address-of-b"}
A_DEVICE = {"platform": "android", "provider": "fcm", "address": "address-of-a"}
A_TOKEN = user_token("user-a", user_id="learner-a")
B_TOKEN = user_token("user-b", user_id="learner-b")


@pytest.fixture
async def public(tmp_path: Path) -> AsyncIterator[PublicListener]:
    async with public_listener(tmp_path) as listener:
        answer = await put(listener, B_TOKEN, "phone-of-b", **B_DEVICE)
        assert answer.status == 201
        yield listener


async def put(public: PublicListener, token: str, installation: str, **body: Any) -> Any:
    return await public.call("PUT", f"/v1/devices/{installation}", token=token, json=body)


async def devices_of(public: PublicListener, user: str) -> list[dict[str, Any]]:
    return await public.devices_of(user, token=await public.key("devices:read"))


async def addresses_reached(
    public: PublicListener, user_id: str, custom_id: str | None = None
) -> list[str]:
    """Where a push to this user would go."""
    item = Item(0, "title", "body", None, user_id, custom_id)
    (targets,) = await public.store.registry.targets([item])
    return sorted(target.address.value for target in targets)


async def assert_b_is_untouched(public: PublicListener) -> None:
    (device,) = await devices_of(public, "user-b")
    assert (device["installation_id"], device["user_id"], device["state"]) == (
        "phone-of-b",
        "learner-b",
        "active",
    )
    assert await addresses_reached(public, "learner-b", "user-b") == ["address-of-b"]


@pytest.mark.parametrize("user", ["user-b", "learner-b", "nobody", "user-a%20", "USER-A", "*"])
async def test_a_cannot_read_b(public: PublicListener, user: str) -> None:
    answer = await public.call("GET", f"/v1/users/{user}/devices", token=A_TOKEN)
    assert (answer.status, answer.code) == (403, "forbidden")


@pytest.mark.parametrize("user", ["user-b", "learner-b"])
async def test_a_cannot_erase_b(public: PublicListener, user: str) -> None:
    answer = await public.call("DELETE", f"/v1/users/{user}", token=A_TOKEN)
    assert (answer.status, answer.code) == (403, "forbidden")
    await assert_b_is_untouched(public)


async def test_a_cannot_delete_bs_installation_and_learns_nothing(public: PublicListener) -> None:
    taken = await public.call("DELETE", "/v1/devices/phone-of-b", token=A_TOKEN)
    unknown = await public.call("DELETE", "/v1/devices/no-such-phone", token=A_TOKEN)
    assert (taken.status, taken.json) == (unknown.status, unknown.json) == (204, None)
    await assert_b_is_untouched(public)


async def test_a_cannot_take_bs_installation_without_its_address(public: PublicListener) -> None:
    for guess in (
        A_DEVICE,
        A_DEVICE | {"old_address": "address-of-c"},
        A_DEVICE | {"old_address": "ADDRESS-OF-B"},
        A_DEVICE | {"old_address": ""},
        A_DEVICE | {"provider": "apns", "platform": "ios", "address": "ab" * 32},
    ):
        answer = await put(public, A_TOKEN, "phone-of-b", **guess)
        assert (answer.status, answer.code) == (409, "installation_owned")
    await assert_b_is_untouched(public)
    assert await devices_of(public, "user-a") == []


@pytest.mark.parametrize(
    "named",
    [
        {"custom_id": "user-b"},
        {"user_id": "learner-b"},
        {"custom_id": "user-a", "user_id": "learner-b"},
        {"custom_id": "user-b", "user_id": "learner-a"},
        {"user_id": "user-a"},
        {"custom_id": "learner-a"},
    ],
)
async def test_a_cannot_sign_its_phone_up_for_bs_pushes(
    public: PublicListener, named: dict[str, str]
) -> None:
    for installation in ("phone-of-a", "phone-of-b"):
        answer = await put(public, A_TOKEN, installation, **A_DEVICE, **named)
        assert (answer.status, answer.code) == (403, "id_not_proven")
    await assert_b_is_untouched(public)


async def test_an_id_proven_in_one_column_proves_nothing_in_the_other(
    public: PublicListener,
) -> None:
    """A user whose custom_id happens to be B's user_id is not B."""
    namesake = user_token("learner-b")
    await put(public, namesake, "phone-of-namesake", **A_DEVICE)
    assert [d["installation_id"] for d in await public.devices_of("learner-b", token=namesake)] == [
        "phone-of-namesake"
    ]
    await public.call("DELETE", "/v1/devices/phone-of-b", token=namesake)
    assert (await put(public, namesake, "phone-of-b", **A_DEVICE)).code == "installation_owned"
    await public.call("DELETE", "/v1/users/learner-b", token=namesake)
    (device,) = await devices_of(public, "user-b")
    assert device["installation_id"] == "phone-of-b"
    assert await addresses_reached(public, "learner-b") == ["address-of-b"]


async def test_the_current_address_takes_an_installation_over(public: PublicListener) -> None:
    """A shared phone, a new login: whoever holds the phone knows its address."""
    answer = await put(public, A_TOKEN, "phone-of-b", **B_DEVICE)
    assert (answer.status, answer.json["custom_id"], answer.json["user_id"]) == (
        200,
        "user-a",
        "learner-a",
    )
    assert await devices_of(public, "user-b") == []
    assert await addresses_reached(public, "learner-b", "user-b") == []
    assert await addresses_reached(public, "learner-a", "user-a") == ["address-of-b"]


async def test_the_current_address_as_old_address_takes_it_over_too(
    public: PublicListener,
) -> None:
    answer = await put(public, A_TOKEN, "phone-of-b", **A_DEVICE, old_address="address-of-b")
    assert answer.status == 200
    assert await devices_of(public, "user-b") == []
    assert await addresses_reached(public, "learner-a", "user-a") == ["address-of-a"]


async def test_an_address_that_was_current_once_is_not_enough(public: PublicListener) -> None:
    rotated = B_DEVICE | {"address": "newer-address-of-b"}
    assert (await put(public, B_TOKEN, "phone-of-b", **rotated)).status == 200
    answer = await put(public, A_TOKEN, "phone-of-b", **B_DEVICE)
    assert answer.code == "installation_owned"
    assert await addresses_reached(public, "learner-b", "user-b") == ["newer-address-of-b"]


async def test_a_new_login_leaves_nothing_of_the_user_before(public: PublicListener) -> None:
    key = await public.key("admin")
    profile = {"locale": "sw", "device_model": "Pixel"}
    await put(public, B_TOKEN, "phone-of-b", **B_DEVICE, **profile)
    answer = await put(public, key, "phone-of-b", **B_DEVICE, custom_id="user-a")
    assert (answer.json["custom_id"], answer.json["user_id"]) == ("user-a", None)
    assert await devices_of(public, "learner-b") == []


async def test_after_a_takeover_the_user_before_cannot_delete_the_phone(
    public: PublicListener,
) -> None:
    await put(public, A_TOKEN, "phone-of-b", **B_DEVICE)
    assert (await public.call("DELETE", "/v1/devices/phone-of-b", token=B_TOKEN)).status == 204
    assert len(await devices_of(public, "user-a")) == 1


async def test_many_at_once_cannot_take_it_either(public: PublicListener) -> None:
    tries = [
        put(public, user_token(f"evil-{number}"), "phone-of-b", **A_DEVICE) for number in range(10)
    ]
    again = [put(public, B_TOKEN, "phone-of-b", **B_DEVICE) for _ in range(5)]
    answers = await asyncio.gather(*tries, *again)
    assert [answer.status for answer in answers] == [409] * 10 + [200] * 5
    await assert_b_is_untouched(public)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/users/user-a/deliveries"),
        ("GET", "/v1/events/msg_1"),
        ("POST", "/v1/notifications"),
    ],
)
async def test_a_user_token_opens_nothing_but_devices(
    public: PublicListener, method: str, path: str
) -> None:
    answer = await public.call(method, path, token=A_TOKEN)
    assert (answer.status, answer.code) == (403, "forbidden")


async def test_an_api_key_acts_for_all(public: PublicListener) -> None:
    key = await public.key("devices:write", "devices:read")
    assert (await put(public, key, "phone-of-b", **A_DEVICE, custom_id="user-a")).status == 200
    assert await devices_of(public, "user-b") == []
    assert (await public.call("DELETE", "/v1/devices/phone-of-b", token=key)).status == 204
    assert await devices_of(public, "user-a") == []


async def test_with_user_ids_in_sub_the_columns_trade_places(tmp_path: Path) -> None:
    rules = AuthRules(jwt_secret=JWT_SECRET, subject="user_id")
    folder = tmp_path / "other"
    folder.mkdir()
    async with public_listener(folder, rules=rules) as public:
        answer = await put(public, user_token("learner-a"), "phone", **A_DEVICE)
        assert (answer.json["user_id"], answer.json["custom_id"]) == ("learner-a", None)
        refused = await put(
            public, user_token("learner-a"), "phone", **A_DEVICE, custom_id="user-a"
        )
        assert refused.code == "id_not_proven"
