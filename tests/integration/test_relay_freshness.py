"""A notification that would come too late is not sent: wherever it waits, it ends as expired."""

from __future__ import annotations

from providers.sandbox import Answer
from tests.kit.audience import APP, Phone, iphones
from tests.kit.gateway import eventually
from tests.kit.relay_rig import RelayRig, both

ANDROID, IPHONE = Phone("fcm", 1, 1), Phone("apns", 1, 1)


async def test_an_event_that_comes_too_late_is_not_sent(rig: RelayRig) -> None:
    async with rig.running() as running:
        await running.register(ANDROID)
        await running.queue_for("msg_1", [ANDROID], max_age_s=-1)
        assert await running.settled("msg_1") == {"expired": 1}
        await running.empty()
    assert rig.sandbox.pushes == []


async def test_what_waits_for_a_paused_lane_expires_there(rig: RelayRig) -> None:
    async with rig.running() as running:
        await running.register(ANDROID, IPHONE)
        await running.stores.lanes.hold(APP, "apns", "", by="operator", reason="", now=rig.clock())
        await eventually("held", lambda: running.is_paused("apns"))
        await running.queue_for("msg_1", [ANDROID], max_age_s=3600)

        async def delivered() -> bool:
            return (await running.states("msg_1")).get("delivered") == 1

        await eventually("FCM took it", delivered)
        rig.clock.ahead_s += 3601
        assert await running.settled("msg_1") == {"delivered": 1, "expired": 1}
        await running.empty()
    assert rig.sent_to(IPHONE) == []


async def test_what_waits_in_a_lanes_memory_expires_there(rig: RelayRig) -> None:
    phones = iphones(range(60))
    # one at a time, and the first takes its time
    rig.sandbox.settings.stream_limit = 1
    rig.sandbox.latency_s = 0.5
    async with rig.running(apns={"max_connections": 1}) as running:
        await running.register(*phones)
        await running.queue_for("msg_1", phones, max_age_s=3600)
        await eventually("one is sent", lambda: bool(rig.sandbox.pushes))
        rig.clock.ahead_s += 3601
        rig.sandbox.latency_s = 0.0
        states = await running.settled("msg_1")
        await running.empty()
    taken = sum(push.accepted for push in rig.sandbox.pushes)
    assert states == {"delivered": taken, "expired": 60 - taken}
    assert taken < 60


async def test_a_retry_that_would_come_too_late_is_not_made(rig: RelayRig) -> None:
    for phone in (ANDROID, IPHONE):
        rig.sandbox.script(phone.address, Answer.unavailable())
    async with rig.running() as running:
        await running.register(ANDROID, IPHONE)
        await running.queue_for("msg_1", [ANDROID], max_age_s=9)
        assert await running.settled("msg_1") == {"expired": 2}
        rows = await running.rows("msg_1")
        assert {row.reason for row in rows} == {"UNAVAILABLE", "ServiceUnavailable"}
        assert {row.attempts for row in rows} == {1}
    assert len(rig.sandbox.pushes) == 2


async def test_a_retry_whose_time_comes_too_late_is_not_sent(rig: RelayRig) -> None:
    rig.sandbox.script(ANDROID.address, Answer.unavailable(), Answer.ok())
    async with rig.running() as running:
        await running.register(ANDROID)
        await running.queue_for("msg_1", [ANDROID], max_age_s=3600)
        await running.pending_for("msg_1", "UNAVAILABLE")
        rig.clock.ahead_s += 3601
        assert (await running.row("msg_1", "expired")).attempts == 1
    assert len(rig.sandbox.pushes) == 1


async def test_a_later_try_gives_the_vendor_less_life(rig: RelayRig) -> None:
    for phone in both([1]):
        rig.sandbox.script(phone.address, Answer.unavailable(), Answer.ok())
    async with rig.running() as running:
        await running.register(ANDROID, IPHONE)
        await running.queue_for("msg_1", [ANDROID], max_age_s=1000)
        await eventually("both were tried", lambda: len(rig.sandbox.pushes) == 2)

        async def both_wait() -> bool:
            return await running.states("msg_1") == {"pending": 2}

        await eventually("both wait", both_wait)
        rig.clock.ahead_s += 500
        assert await running.settled("msg_1") == {"delivered": 2}
    ttls = [float(push.headers["ttl"].removesuffix("s")) for push in rig.sent_to(ANDROID)]
    assert 900 <= ttls[0] <= 1000
    assert 400 <= ttls[1] <= 500
    assert len({push.headers["expiration"] for push in rig.sent_to(IPHONE)}) == 1
