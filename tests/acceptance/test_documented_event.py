"""LearnInk's documented example, signed by packages not ours, reaches the user's phones."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from providers.sandbox import Sandbox
from tests.kit.figures import Figures
from tests.kit.gateway import Installation
from tests.kit.sender import DOCUMENTED_EVENT, Signer

USER_ID = "le2bB6Fi4CMgrIOIqMCJryZb9PR2"
CUSTOM_ID = "3c2143e4-3e8e-478a-bf0b-9dc6e284fa33"
ANDROID = {
    "platform": "android",
    "provider": "fcm",
    "address": "dQw4w9WgXcQ:APA91b" + "x" * 120,
    "user_id": USER_ID,
}
IPHONE = {
    "platform": "ios",
    "provider": "apns",
    "address": "ab" * 32,
    "custom_id": CUSTOM_ID,
}
SIGNERS: tuple[Signer, ...] = ("standardwebhooks", "svix")
TEN_YEARS_S = 315_360_000


def fresh() -> bytes:
    """The example as if it occurred now."""
    event = json.loads(DOCUMENTED_EVENT)
    event["timestamp"] = datetime.now(UTC).isoformat()
    return json.dumps(event).encode()


@pytest.mark.parametrize("signer", SIGNERS)
@pytest.mark.parametrize("wording", ["occurring now", "to the letter"])
async def test_the_documented_event_reaches_the_android_and_the_iphone_of_its_user(
    installation: Installation, sandbox: Sandbox, figures: Figures, signer: Signer, wording: str
) -> None:
    if wording == "to the letter":
        installation.configure(relay={"max_age_s": TEN_YEARS_S})
    key = await installation.key()
    async with installation.serving() as gateway:
        for name, device in (("android", ANDROID), ("iphone", IPHONE)):
            reply = await gateway.call("PUT", f"/v1/devices/{name}", key=key, body=device)
            assert reply.status == 201
        body = DOCUMENTED_EVENT.encode() if wording == "to the letter" else fresh()
        reply = await gateway.post("msg_example", body, signer=signer)
        assert (reply.status, reply.json) == (
            200,
            {"status": "accepted", "event_id": "msg_example", "notifications": 1, "rejected": 0},
        )
        assert await gateway.settled("msg_example", key) == {"delivered": 2}
        assert await gateway.terminate() == 0
    for device in (ANDROID, IPHONE):
        (shown,) = sandbox.phone(device["address"])
        assert (shown.title, shown.body, shown.data["path"]) == (
            "Hi Mary!",
            "Don't forget to complete your training today",
            "/learning",
        )
    by_status = sandbox.stats()["by_status"]
    assert by_status == {"fcm": {"200": 1}, "apns": {"200": 1}}
    figures(f"1 FCM push by user_id, 1 APNs push by custom_id: {by_status}")


async def test_the_documented_event_to_the_letter_is_too_old_by_default(
    installation: Installation, sandbox: Sandbox
) -> None:
    key = await installation.key()
    async with installation.serving() as gateway:
        await gateway.call("PUT", "/v1/devices/android", key=key, body=ANDROID)
        assert (await gateway.post("msg_old", DOCUMENTED_EVENT.encode())).status == 200
        assert await gateway.settled("msg_old", key) == {"expired": 1}
    assert sandbox.pushes == []
