"""What a phone gets of a notification: by every vendor, kind of address and platform."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from providers.contract import AddressKind, Platform
from providers.sandbox import ReceivedPush
from tests.kit.audience import Phone, notification
from tests.kit.relay_rig import RelayRig, both

ANDROID, FID, IPHONE = (
    Phone("fcm", 1, 1),
    Phone("fcm", 2, 1, AddressKind.FID),
    Phone("apns", 3, 1),
)


async def shown(rig: RelayRig, phone: Phone, **content: Any) -> ReceivedPush:
    """Send one notification to a phone; what its screen shows."""
    async with rig.running() as running:
        await running.register(phone)
        await running.queue("msg_1", [notification(phone.owner) | content])
        assert await running.settled("msg_1") == {"delivered": 1}
    (push,) = rig.shown_by(phone)
    return push


@pytest.mark.parametrize("phone", [ANDROID, FID, IPHONE], ids=["token", "fid", "apns"])
async def test_a_phone_shows_title_and_body_and_gets_path_and_ids(
    rig: RelayRig, phone: Phone
) -> None:
    push = await shown(rig, phone)
    ((word,),) = rig.sql("SELECT coalesce(user_word, custom_word) FROM devices")
    assert (push.title, push.body) == ("Hi Mary!", "Don't forget to complete your training today")
    assert push.data == {
        "path": "/learning",
        "event_id": "msg_1",
        "delivery_id": push.collapse_id,
        "for": word,
    }


async def test_apns_gets_the_delivery_id_as_its_own(rig: RelayRig) -> None:
    push = await shown(rig, IPHONE)
    assert push.id == push.collapse_id == push.data["delivery_id"]
    assert push.headers["topic"] == rig.sandbox.credentials.topic
    assert push.headers["push_type"] == "alert"


@pytest.mark.parametrize("platform", Platform)
async def test_fcm_reaches_every_platform(rig: RelayRig, platform: Platform) -> None:
    registration = replace(ANDROID.registration(), platform=platform)
    async with rig.running() as running:
        await running.stores.registry.register(registration, proven=None, now=rig.clock())
        await running.queue_for("msg_1", [ANDROID])
        assert await running.settled("msg_1") == {"delivered": 1}
    (push,) = rig.shown_by(ANDROID)
    assert (push.title, push.data["path"]) == ("Hi Mary!", "/learning")


async def test_every_phone_of_a_user_gets_it_once_under_an_id_of_its_own(rig: RelayRig) -> None:
    async with rig.running() as running:
        # FCM's are known by custom_id, Apple's by user_id: both are looked up
        await running.register(ANDROID, FID, IPHONE)
        await running.queue_for("msg_1", [ANDROID])
        assert await running.settled("msg_1") == {"delivered": 3}
    (first,), (second,), (third,) = map(rig.shown_by, (ANDROID, FID, IPHONE))
    assert len({push.data["delivery_id"] for push in (first, second, third)}) == 3


@pytest.mark.parametrize("phone", [ANDROID, IPHONE], ids=["fcm", "apns"])
async def test_texts_that_are_too_long_are_cut_and_the_path_never_is(
    rig: RelayRig, phone: Phone
) -> None:
    path = "/courses/" + "a" * 1000
    push = await shown(rig, phone, title="Hi Mary! ", body="✓ done " * 2000, path=path)
    assert push.data["path"] == path
    assert push.title == "Hi Mary! "
    assert 1000 < len(push.body.encode()) < 4096
    assert push.body.startswith("✓ done ✓ done ")
    assert push.body.endswith("…")


@pytest.mark.parametrize("phone", [ANDROID, IPHONE], ids=["fcm", "apns"])
async def test_a_notification_without_a_path_opens_the_app_where_it_opens(
    rig: RelayRig, phone: Phone
) -> None:
    assert "path" not in (await shown(rig, phone, path=None)).data


async def test_the_life_that_is_left_goes_to_the_vendors(rig: RelayRig) -> None:
    async with rig.running() as running:
        await running.register(*both([1]))
        now = rig.clock()
        await running.queue_for("msg_1", both([1]), max_age_s=1000)
        await running.settled("msg_1")
    (android,), (iphone,) = map(rig.shown_by, both([1]))
    assert 900 <= float(android.headers["ttl"].removesuffix("s")) <= 1000
    assert now + 900 <= int(iphone.headers["expiration"]) <= now + 1000


async def test_a_large_batch_reaches_everybody_once(rig: RelayRig) -> None:
    phones = both(range(600))
    async with rig.running() as running:
        await running.register(*phones)
        await running.queue_for("msg_1", phones)
        assert await running.settled("msg_1") == {"delivered": len(phones)}
        await running.empty()
    assert rig.times_delivered() == {1: len(phones)}
    assert all(len(rig.shown_by(phone)) == 1 for phone in phones)
