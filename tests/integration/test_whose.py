"""An id that means two people: nobody is shown or erased in another's place."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import unquote

import pytest

from gateway.core.model import UserRef
from tests.kit.handlers import user_token
from tests.kit.public import PublicListener, public_listener

DEVICE = {"platform": "android", "provider": "fcm"}
ROUTES = [
    ("GET", "/v1/users/bob/devices", 200),
    ("GET", "/v1/users/bob/deliveries", 200),
    ("DELETE", "/v1/users/bob", 204),
]


@pytest.fixture
async def public(tmp_path: Path) -> AsyncIterator[PublicListener]:
    async with public_listener(tmp_path) as listener:
        yield listener


async def register(public: PublicListener, key: str, phone: str, **ids: str) -> None:
    body = DEVICE | ids | {"address": f"fcm-address-of-{phone}"}
    answer = await public.call("PUT", f"/v1/devices/{phone}", token=key, json=body)
    assert answer.status == 201


async def phones_of(public: PublicListener, user: UserRef) -> set[str]:
    devices = await public.store.registry.devices_of(user)
    return {device.installation_id for device in devices}


@pytest.mark.parametrize(("method", "path", "status"), ROUTES)
async def test_an_id_of_two_people_has_to_be_told_apart(
    public: PublicListener, method: str, path: str, status: int
) -> None:
    key = await public.key("admin")
    await register(public, key, "bobs", user_id="bob")
    await register(public, key, "mallorys", user_id="mallory", custom_id="bob")

    answer = await public.call(method, path, token=key)
    assert (answer.status, answer.code) == (409, "ambiguous_id")
    assert await phones_of(public, UserRef.either("bob")) == {"bobs", "mallorys"}

    for by in ("user_id", "custom_id"):
        assert (await public.call(method, f"{path}?by={by}", token=key)).status == status
    answer = await public.call(method, f"{path}?by=name", token=key)
    assert (answer.status, answer.json["errors"][0]["field"]) == (422, "by")


async def test_an_erase_by_one_id_leaves_the_other_person(public: PublicListener) -> None:
    key = await public.key("admin")
    await register(public, key, "bobs", user_id="bob")
    await register(public, key, "mallorys", user_id="mallory", custom_id="bob")

    await public.call("DELETE", "/v1/users/bob?by=user_id", token=key)

    assert await phones_of(public, UserRef.either("bob")) == {"mallorys"}


@pytest.mark.parametrize(("method", "path", "status"), ROUTES)
async def test_one_person_by_both_ids_is_no_two(
    public: PublicListener, method: str, path: str, status: int
) -> None:
    key = await public.key("admin")
    await register(public, key, "first", user_id="bob", custom_id="bob")
    await register(public, key, "second", user_id="bob")
    await register(public, key, "third", custom_id="bob")
    assert (await public.call(method, path, token=key)).status == status


@pytest.mark.parametrize(("method", "path", "status"), ROUTES)
async def test_an_id_that_nobody_has_is_no_two_either(
    public: PublicListener, method: str, path: str, status: int
) -> None:
    key = await public.key("admin")
    assert (await public.call(method, path, token=key)).status == status


async def test_a_users_own_token_needs_no_word(public: PublicListener) -> None:
    key = await public.key("admin")
    await register(public, key, "bobs", user_id="bob")
    await register(public, key, "mallorys", user_id="mallory", custom_id="bob")
    answer = await public.call("GET", "/v1/users/bob/devices", token=user_token("bob"))
    assert answer.status == 200
    assert [one["installation_id"] for one in answer.json["devices"]] == ["mallorys"]


@pytest.mark.parametrize(("method", "path", "_status"), ROUTES)
@pytest.mark.parametrize("no_id", ["%00", "a%0Ab", "a%C2%85", "x" * 257])
async def test_what_no_id_can_be_is_said_so(
    public: PublicListener, method: str, path: str, _status: int, no_id: str
) -> None:
    key = await public.key("admin")
    answer = await public.call(method, path.replace("bob", no_id), token=key)
    assert (answer.status, answer.json["errors"][0]["field"]) == (422, "id")


@pytest.mark.parametrize("written", ["%E2%80%8Cx", "a%20b", "%F0%9F%91%A8%E2%80%8D%F0%9F%91%A7"])
async def test_an_id_with_joiners_and_blanks_is_found_by_its_address(
    public: PublicListener, written: str
) -> None:
    key = await public.key("admin")
    await register(public, key, "phone", custom_id=unquote(written))
    (device,) = await public.devices_of(written, token=key)
    assert device["custom_id"] == unquote(written)
