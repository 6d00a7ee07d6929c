"""Whose a push is, from the registration's answer to the phone; and ids that contradict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import aiohttp
import pytest

from gateway.core.fanout import CONTRADICTION
from gateway.events import IdsContradict
from providers.sandbox import PhoneChange
from tests.kit.audience import Phone, notification
from tests.kit.gateway import JWT_SECRET, eventually
from tests.kit.handlers import user_token
from tests.kit.relay_rig import RelayRig, Running

ANDROID, IPHONE = Phone("fcm", 1, 1), Phone("apns", 2, 1)
INK, OWN = "ink-1", "own-1"
SLOW = {"fcm": {"rate_per_s": 8.0, "ramp_s": 0}}
ODDITIES = 'inkpush_webhook_oddities_total{kind="ids"}'


async def put(running: Running, phone: Phone, sub: str, **claims: str) -> dict[str, Any]:
    """Register a phone as its app does, and log in with the answer's words."""
    document = {name: value for name, value in phone.body().items() if not name.endswith("_id")}
    url = f"http://127.0.0.1:{running.gateway.public_port}/v1/devices/{phone.installation}"
    token = {"Authorization": f"Bearer {user_token(sub, **claims)}"}
    async with (
        aiohttp.ClientSession() as http,
        http.put(url, json=document, headers=token) as response,
    ):
        assert response.status in (200, 201)
        answer: dict[str, Any] = await response.json()
        return answer


async def register(running: Running, phone: Phone, **ids: str) -> None:
    """As an API key would, with these ids."""
    user_id, custom_id = ids.get("user_id"), ids.get("custom_id")
    asked = replace(phone.registration(), user_id=user_id, custom_id=custom_id)
    await running.stores.registry.register(asked, proven=None, now=running.clock())


def words(pushes: Sequence[Any]) -> list[str]:
    return [push.data["for"] for push in pushes]


def oddities(running: Running) -> float:
    shown = running.gateway.metrics.render()[0].decode()
    (line,) = [line for line in shown.splitlines() if line.startswith(ODDITIES)]
    return float(line.removeprefix(ODDITIES))


# --- words ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("phone", [ANDROID, IPHONE], ids=["fcm", "apns"])
@pytest.mark.parametrize("transport", ["native", "sdk"])
async def test_a_push_has_a_word_of_the_registrations_answer(
    rig: RelayRig, phone: Phone, transport: str
) -> None:
    assert rig.settings().auth.jwt_secret.get_secret_value() == JWT_SECRET
    async with rig.running(**{phone.provider: {"transport": transport}}) as running:
        both = await put(running, phone, OWN, user_id=INK)
        assert len(set(both["for"])) == 2
        await running.queue("msg_1", [notification(1)])
        assert await running.settled("msg_1") == {"delivered": 1}
        (push,) = rig.sent_to(phone)
        assert push.data["for"] == both["for"][0]  # by user_id, which comes first

        again = await put(running, phone, OWN, user_id=INK)
        assert again["for"] == both["for"]

        await running.queue("msg_2", [notification(1) | {"user_id": None}])
        assert await running.settled("msg_2") == {"delivered": 1}
        assert words(rig.sent_to(phone)) == both["for"]


@pytest.mark.parametrize("phone", [ANDROID, IPHONE], ids=["fcm", "apns"])
async def test_the_former_users_word_is_not_among_the_next_users(
    rig: RelayRig, phone: Phone
) -> None:
    """What the vendor has taken reaches the phone after it has moved; its app drops it."""
    async with rig.running() as running:
        mary = await put(running, phone, OWN)
        await running.queue("msg_1", [notification(1)])
        await running.settled("msg_1")
        bob = await put(running, phone, "own-2")
        await running.queue("msg_2", [notification(2)])
        await running.settled("msg_2")

    assert not set(mary["for"]) & set(bob["for"])
    assert words(rig.sent_to(phone)) == [mary["for"][0], bob["for"][0]]


async def test_a_phone_drops_what_is_not_for_who_is_logged_in(rig: RelayRig) -> None:
    async with rig.running() as running:
        mary = await put(running, ANDROID, OWN)
        rig.sandbox.log_in(ANDROID.address, mary["for"])
        rig.sandbox.change_phone(ANDROID.address, PhoneChange(app="open"))  # it sees each first
        await running.queue("msg_1", [notification(1)])
        await running.settled("msg_1")
        assert len(rig.shown_by(ANDROID)) == 1

        rig.sandbox.log_in(ANDROID.address, ["somebody else's"])
        await running.queue("msg_2", [notification(1)])
        await running.settled("msg_2")
        assert len(rig.shown_by(ANDROID)) == 1
        assert rig.sandbox.stats()["dropped"] == 1


async def test_words_stay_the_same_over_a_restart(rig: RelayRig) -> None:
    async with rig.running() as running:
        before = await put(running, ANDROID, OWN)
    async with rig.running() as running:
        await running.queue("msg_1", [notification(1)])
        await running.settled("msg_1")
        assert words(rig.sent_to(ANDROID)) == before["for"]
        assert (await put(running, ANDROID, OWN))["for"] == before["for"]


# --- ids that contradict each other ---------------------------------------------------------------


async def test_an_item_whose_ids_contradict_ends_so_and_is_counted(rig: RelayRig) -> None:
    async with rig.running() as running:
        assert oddities(running) == 0
        await register(running, ANDROID, user_id=INK, custom_id="own-2")
        await register(running, IPHONE, user_id="ink-2", custom_id=OWN)
        await running.queue("msg_1", [notification(1)])

        assert await running.settled("msg_1") == {"no_device": 1}
        (row,) = await running.rows("msg_1")
        assert (row.reason, row.user_id, row.custom_id) == (CONTRADICTION, INK, OWN)
        assert rig.sandbox.pushes == []
        assert oddities(running) == 1
        assert running.told(IdsContradict) == [IdsContradict("msg_1", 1)]


async def test_what_is_left_of_an_item_is_sent_and_told_alone(rig: RelayRig) -> None:
    async with rig.running() as running:
        await register(running, ANDROID, user_id=INK, custom_id="own-2")
        await register(running, IPHONE, custom_id=OWN)
        await running.queue("msg_1", [notification(1), notification(9)])

        assert await running.settled("msg_1") == {"delivered": 1, "no_device": 1}
        rows = {row.index: (row.state, row.reason) for row in await running.rows("msg_1")}
        assert rows == {0: ("delivered", ""), 1: ("no_device", "")}
        assert [push.address for push in rig.sandbox.pushes] == [IPHONE.address]
        assert oddities(running) == 1


async def test_what_waits_in_a_lane_is_held_to_what_the_app_says_now(rig: RelayRig) -> None:
    waiting = 40
    async with rig.running(**SLOW) as running:
        await register(running, ANDROID, user_id=INK)
        await running.queue("msg_1", [notification(1) for _ in range(waiting)])
        await eventually("some are out", lambda: len(rig.sent_to(ANDROID)) >= 2)
        await register(running, ANDROID, user_id=INK, custom_id="own-2")
        out = len(rig.sent_to(ANDROID))

        states = await running.settled("msg_1")
        assert states["delivered"] <= out + 10
        reasons = [row.reason for row in await running.rows("msg_1") if row.state == "no_device"]
        assert set(reasons) == {CONTRADICTION}
        assert oddities(running) == len(reasons)


async def test_what_comes_back_from_the_queue_is_held_to_it_too(rig: RelayRig) -> None:
    async with rig.running() as running:
        await register(running, ANDROID, user_id=INK)
        await running.stores.lanes.hold(
            "demo", "fcm", "", by="operator", reason="", hint="", now=running.clock()
        )
        await eventually("the lane is paused", lambda: running.is_paused("fcm"))
        await running.queue("msg_1", [notification(1)])
        await running.row("msg_1", "pending")
        await register(running, ANDROID, user_id=INK, custom_id="own-2")
        await running.stores.lanes.resume("demo", "fcm", "", by="operator", now=running.clock())

        assert await running.settled("msg_1") == {"no_device": 1}
        (row,) = await running.rows("msg_1")
        assert row.reason == CONTRADICTION
        assert oddities(running) == 1
