"""How fast a lane sends: its limit, its ramp, and what the vendor asks for with a 429."""

from __future__ import annotations

import pytest

from gateway.app.vendors import VENDORS
from providers.sandbox import Answer, ReceivedPush
from tests.kit.audience import Phone, androids, iphones
from tests.kit.gateway import eventually
from tests.kit.relay_rig import RelayRig

FCM, APNS = "fcm", "apns"


def busiest(pushes: list[ReceivedPush], window_s: float) -> int:
    """The most pushes that came within any window of this length."""
    times = sorted(push.at for push in pushes)
    return max(sum(start <= at < start + window_s for at in times) for start in times)


def span(pushes: list[ReceivedPush]) -> float:
    """Seconds from the first push to the last."""
    return pushes[-1].at - pushes[0].at


# --- the lane's own limit ------------------------------------------------------------------------


@pytest.mark.parametrize("provider", VENDORS)
async def test_a_lane_keeps_to_its_limit(rig: RelayRig, provider: str) -> None:
    phones = androids(range(100)) if provider is FCM else iphones(range(100))
    limited = {provider: {"rate_per_s": 50, "ramp_s": 0}}
    async with rig.running(**limited) as running:
        await running.register(*phones)
        await running.queue_for("msg_1", phones)
        assert await running.settled("msg_1") == {"delivered": 100}
    # Five may go at once, then one each fiftieth of a second; a busy machine is only slower.
    assert span(rig.sandbox.pushes) > 1.5
    assert busiest(rig.sandbox.pushes, 0.5) <= 25 + 5 + 10


async def test_a_lane_that_was_idle_ramps_up(rig: RelayRig) -> None:
    """9 000 a second would have it done at once; a hundred a second is what it begins with."""
    phones = iphones(range(300))
    async with rig.running(apns={"rate_per_s": 9000}) as running:
        assert running.lane_in_memory(APNS).rate == 100
        await running.register(*phones)
        await running.queue_for("msg_1", phones)
        assert await running.settled("msg_1") == {"delivered": 300}
        assert 100 < running.lane_in_memory(APNS).rate < 9000
    assert span(rig.sandbox.pushes) > 1.0


# --- a 429 to the lane ---------------------------------------------------------------------------


@pytest.mark.parametrize("provider", VENDORS)
async def test_a_throttled_lane_is_quiet_for_as_long_as_the_vendor_says(
    rig: RelayRig, provider: str
) -> None:
    first, *others = androids(range(30)) if provider is FCM else iphones(range(30))
    throttled = Answer.throttled(retry_after=1, scope="project")
    rig.sandbox.script(first.address, throttled, Answer.ok())
    async with rig.running() as running:
        await running.register(first, *others)
        lane = running.lane_in_memory(provider)
        assert lane.rate == 0  # no limit
        await running.queue_for("msg_1", [first])
        await eventually("the lane is slowed down", lambda: lane.rate > 0)
        await running.queue_for("msg_2", others)
        assert await running.settled("msg_1") == {"delivered": 1}
        assert await running.settled("msg_2") == {"delivered": 29}
        rows = await running.rows("msg_1") + await running.rows("msg_2")
        # being throttled is no attempt
        assert {row.attempts for row in rows} == {1}
    told, *later = rig.sandbox.pushes
    assert told.status == 429
    assert min(push.at for push in later) >= told.at + 1
    assert rig.times_delivered() == {1: 30}


async def test_a_lane_that_is_throttled_goes_half_as_fast(rig: RelayRig) -> None:
    (phone,) = iphones([1])
    rig.sandbox.script(phone.address, Answer.throttled(1, scope="project"), Answer.ok())
    async with rig.running(apns={"rate_per_s": 1000, "ramp_s": 0}) as running:
        await running.register(phone)
        lane = running.lane_in_memory(APNS)
        assert lane.rate == 1000
        await running.queue_for("msg_1", [phone])
        await eventually("halved", lambda: lane.rate == 500)
        assert await running.settled("msg_1") == {"delivered": 1}
        # What the vendor asked for is over, and use brings the rate back little by little.
        assert 500 <= lane.rate < 600


# --- a 429 to one device -------------------------------------------------------------------------


@pytest.mark.parametrize("provider", VENDORS)
async def test_a_throttled_device_waits_alone_and_with_all_its_pushes(
    rig: RelayRig, provider: str
) -> None:
    throttled, other = (androids if provider is FCM else iphones)([1, 2])
    rig.sandbox.script(throttled.address, Answer.throttled(retry_after=300), Answer.ok())
    async with rig.running() as running:
        await running.register(throttled, other)
        await running.queue_for("msg_1", [throttled])
        reason = "QUOTA_EXCEEDED" if provider is FCM else "TooManyRequests"
        row = await running.pending_for("msg_1", reason)
        assert row.attempts == 0
        assert row.next_at is not None
        assert row.next_at >= row.at + 300

        await running.queue_for("msg_2", [throttled, other])

        async def the_other_has_it() -> bool:
            return await running.states("msg_2") == {"delivered": 1, "pending": 1}

        await eventually("the other device has its push", the_other_has_it)
        waiting = [each for each in await running.rows("msg_2") if each.state == "pending"]
        assert [each.reason for each in waiting] == ["the device is throttled"]
        assert len(rig.sent_to(throttled)) == 1

        rig.clock.ahead_s += 331
        assert await running.settled("msg_1") == {"delivered": 1}
        assert await running.settled("msg_2") == {"delivered": 2}
        rows = await running.rows("msg_1") + await running.rows("msg_2")
        assert {each.attempts for each in rows} == {1}
    assert len(rig.shown_by(throttled)) == 2


async def test_a_throttled_device_is_left_alone_after_a_push_expired_by_it(rig: RelayRig) -> None:
    """The wait is longer than the push lives: what the vendor asked for holds all the same."""
    phone = Phone(APNS, 1, 1)
    rig.sandbox.script(phone.address, Answer.throttled(retry_after=300), Answer.ok())
    async with rig.running() as running:
        await running.register(phone)
        await running.queue_for("msg_1", [phone], max_age_s=200)
        assert await running.settled("msg_1") == {"expired": 1}
        await running.queue_for("msg_2", [phone])
        await running.pending_for("msg_2", "the device is throttled")
        assert len(rig.sent_to(phone)) == 1
