"""One user's token against another user's devices, over the running process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import jwt
import pytest

from providers.sandbox import Sandbox
from tests.kit.audience import Phone, notification
from tests.kit.figures import Figures
from tests.kit.gateway import JWT_SECRET, Installation, Process, Reply
from tests.kit.sender import event

ANNA, BEN = 1, 2
ANNAS = Phone("fcm", 11, ANNA)
BENS = Phone("fcm", 22, BEN)


@dataclass
class Town:
    """A running gateway where Anna and Ben have a phone each; `key` may do everything."""

    gateway: Process
    key: str

    async def as_user(self, owner: int, method: str, path: str, body: Any = None) -> Reply:
        token = jwt.encode({"sub": f"own-{owner}"}, JWT_SECRET, algorithm="HS256")
        return await self.gateway.call(method, path, key=token, body=body)

    async def installations_of(self, owner: int) -> dict[str, str]:
        """Installation ids and address hashes, as the customer's backend sees them."""
        reply = await self.gateway.get(f"/v1/users/own-{owner}/devices", key=self.key)
        devices = reply.json["devices"]
        return {device["installation_id"]: device["address_hash"] for device in devices}


@pytest.fixture
async def town(installation: Installation) -> AsyncIterator[Town]:
    key = await installation.key()
    async with installation.serving() as gateway:
        made = Town(gateway, key)
        for phone in (ANNAS, BENS):
            path = f"/v1/devices/{phone.installation}"
            assert (await made.as_user(phone.owner, "PUT", path, phone.body())).status == 201
        yield made
        assert await gateway.terminate() == 0


def code(reply: Reply) -> tuple[int, str]:
    return reply.status, reply.json["code"]


async def test_a_user_can_neither_read_nor_erase_another(town: Town, figures: Figures) -> None:
    before = await town.installations_of(BEN)
    for path in ("/v1/users/own-2/devices", "/v1/users/own-2/deliveries"):
        assert (await town.as_user(ANNA, "GET", path)).status == 403
    assert (await town.as_user(ANNA, "DELETE", "/v1/users/own-2")).status == 403
    assert await town.installations_of(BEN) == before
    assert (await town.as_user(BEN, "GET", "/v1/users/own-2/devices")).status == 200
    figures("read 403, deliveries 403, erase 403; Ben himself 200")


async def test_a_user_cannot_delete_anothers_device(town: Town) -> None:
    reply = await town.as_user(ANNA, "DELETE", f"/v1/devices/{BENS.installation}")
    assert reply.status == 204
    assert set(await town.installations_of(BEN)) == {BENS.installation}
    assert (await town.as_user(BEN, "DELETE", f"/v1/devices/{BENS.installation}")).status == 204
    assert await town.installations_of(BEN) == {}


@pytest.mark.parametrize("ids", [{"custom_id": "own-2"}, {"user_id": "ink-2"}])
async def test_a_user_cannot_sign_a_phone_up_for_anothers_pushes(
    town: Town, sandbox: Sandbox, ids: dict[str, str]
) -> None:
    body = {**ANNAS.body(), "custom_id": "own-1", **ids}
    reply = await town.as_user(ANNA, "PUT", f"/v1/devices/{ANNAS.installation}", body)
    assert code(reply) == (403, "id_not_proven")
    reply = await town.as_user(ANNA, "PUT", "/v1/devices/anna-2", body)
    assert code(reply) == (403, "id_not_proven")
    await town.gateway.post("msg_ben", event([notification(BEN)]))
    assert await town.gateway.settled("msg_ben", town.key) == {"delivered": 1}
    assert [push.address for push in sandbox.pushes] == [BENS.address]


async def test_an_installation_is_taken_over_only_with_its_current_address(
    town: Town, sandbox: Sandbox, figures: Figures
) -> None:
    path = f"/v1/devices/{BENS.installation}"
    other = replace(BENS, number=33, owner=ANNA).body()
    for guess in (other, {**other, "old_address": ANNAS.address}):
        assert code(await town.as_user(ANNA, "PUT", path, guess)) == (409, "installation_owned")
    assert set(await town.installations_of(BEN)) == {BENS.installation}
    # Ben hands the phone over; the app logs Anna in and knows the address it had.
    proof = {**other, "old_address": BENS.address}
    assert (await town.as_user(ANNA, "PUT", path, proof)).status == 200
    assert await town.installations_of(BEN) == {}
    assert set(await town.installations_of(ANNA)) == {ANNAS.installation, BENS.installation}
    await town.gateway.post("msg_both", event([notification(ANNA), notification(BEN)]))
    assert await town.gateway.settled("msg_both", town.key) == {"delivered": 2, "no_device": 1}
    assert BENS.address not in {push.address for push in sandbox.pushes}
    figures("409 without and with a wrong address, 200 with the current one; pushes moved with it")
