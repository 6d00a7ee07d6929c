"""From a push to a receipt: the word goes out with every push of an app that is asked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import aiohttp
import pytest

from gateway.core.model import Profile, day_of
from gateway.core.receipts import Key, ReceiptWords
from providers.contract import Platform
from providers.sandbox.phonebook import PhoneChange
from tests.kit.audience import Phone, notification
from tests.kit.relay_rig import RelayRig, Running

ANDROID, IPHONE = Phone("fcm", 1, 1), Phone("apns", 2, 1)
BY_FIREBASE = Phone("fcm", 3, 1, runs_on=Platform.IOS)
COUNTED = 'inkpush_receipts_total{app="demo",kind="opened",platform='


async def register(running: Running, phone: Phone, measure: str | None = "granted") -> int:
    profile = Profile(measure=measure, can="received opened")
    asked = replace(phone.registration(), profile=profile)
    done = await running.stores.registry.register(asked, proven=None, now=running.clock())
    return done.device.id


async def pushed(rig: RelayRig, running: Running, phone: Phone, event_id: str) -> Any:
    await running.queue(event_id, [notification(1)])
    assert await running.settled(event_id) == {"delivered": 1}
    return rig.sent_to(phone)[-1].data


async def tell(running: Running, data: Any, kind: str = "opened") -> Any:
    receipt = {"event_id": data["event_id"], "receipt": data["receipt"], "kind": kind}
    url = f"http://127.0.0.1:{running.gateway.public_port}/v1/receipts"
    now = running.clock()
    sent = {"sent_at": now, "receipts": [receipt | {"at": now}]}
    async with aiohttp.ClientSession() as client, client.post(url, json=sent) as answer:
        assert answer.status == 202
        return await answer.json()


def counted(running: Running, platform: str) -> float:
    shown = running.gateway.metrics.render()[0].decode()
    (line,) = [line for line in shown.splitlines() if line.startswith(f'{COUNTED}"{platform}"')]
    return float(line.rpartition(" ")[2])


@pytest.mark.parametrize("phone", [ANDROID, IPHONE, BY_FIREBASE], ids=["fcm", "apns", "firebase"])
@pytest.mark.parametrize("transport", ["native", "sdk"])
@pytest.mark.parametrize("mode", ["opened", "received"])
async def test_the_word_of_a_push_proves_its_receipt(
    rig: RelayRig, phone: Phone, transport: str, mode: str
) -> None:
    ways = {phone.provider: {"transport": transport}}
    async with rig.running(receipts=mode, **ways) as running:
        device_id = await register(running, phone)
        data = await pushed(rig, running, phone, "msg_1")

        words = ReceiptWords(running.stores.secret)
        day = day_of(running.clock())
        assert words.read("msg_1", data["receipt"]) == Key("msg_1", 0, device_id, day, "granted")
        assert await tell(running, data) == {"accepted": 1, "ignored": []}
        assert await tell(running, data) == {"accepted": 1, "ignored": []}
        told = await running.stores.store.receipts.of(await running.rows("msg_1"))
        (row,) = told.rows
        assert row.kind == "opened"
        assert abs(row.at - running.clock()) < 60
        platform = "android" if phone is ANDROID else "ios"
        assert counted(running, platform) == 1


@pytest.mark.parametrize("phone", [ANDROID, IPHONE], ids=["fcm", "apns"])
@pytest.mark.parametrize("transport", ["native", "sdk"])
async def test_no_push_of_an_app_that_is_not_asked_carries_a_word(
    rig: RelayRig, phone: Phone, transport: str
) -> None:
    async with rig.running(**{phone.provider: {"transport": transport}}) as running:
        await register(running, phone)
        assert "receipt" not in await pushed(rig, running, phone, "msg_1")


@pytest.mark.parametrize("phone", [ANDROID, IPHONE], ids=["fcm", "apns"])
async def test_a_phone_of_the_sandbox_tells_what_became_of_its_pushes(
    rig: RelayRig, phone: Phone
) -> None:
    async with rig.running(receipts="received") as running:
        await register(running, phone)
        rig.sandbox.change_phone(phone.address, PhoneChange(state="on"))
        await pushed(rig, running, phone, "msg_1")
        rig.sandbox.tap(phone.address)
        told = rig.sandbox.receipts(phone.address)
        url = f"http://127.0.0.1:{running.gateway.public_port}/v1/receipts"
        async with aiohttp.ClientSession() as client, client.post(url, json=told) as answer:
            assert (await answer.json())["ignored"] == []
        kept = await running.stores.store.receipts.of(await running.rows("msg_1"))
        # of a notification message no code runs on Android; an iPhone's extension sees it first
        kinds = {"opened"} if phone is ANDROID else {"opened", "received"}
        assert {row.kind for row in kept.rows} == kinds
        assert {row.clock for row in kept.rows} == {"ok"}


async def test_a_reload_asks_and_asks_no_more(rig: RelayRig) -> None:
    async with rig.running() as running:
        await register(running, ANDROID, measure=None)
        assert "receipt" not in await pushed(rig, running, ANDROID, "msg_1")
        await running.reload(rig.settings(receipts="opened"))
        data = await pushed(rig, running, ANDROID, "msg_2")
        # whose are kept is asked when they come
        ignored = {"accepted": 0, "ignored": [{"index": 0, "reason": "not_measured"}]}
        assert await tell(running, data) == ignored
        await running.reload(rig.settings(receipts="opened", privacy={"measure": "opt_out"}))
        assert await tell(running, data) == {"accepted": 1, "ignored": []}
        await running.reload(rig.settings(privacy={"measure": "opt_out"}))
        assert "receipt" not in await pushed(rig, running, ANDROID, "msg_3")
        # what was pushed before may still be told
        assert await tell(running, data, "dismissed") == {"accepted": 1, "ignored": []}


async def test_a_word_of_before_a_restart_holds(rig: RelayRig) -> None:
    async with rig.running(receipts="opened") as running:
        await register(running, ANDROID)
        data = await pushed(rig, running, ANDROID, "msg_1")
    async with rig.running(receipts="opened") as running:
        assert await tell(running, data) == {"accepted": 1, "ignored": []}
