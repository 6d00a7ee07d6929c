"""One lane's trouble is not another's: FCM flows while APNs hangs, is slow or is throttled."""

from __future__ import annotations

from providers.sandbox import Answer
from tests.kit.audience import Phone, androids, iphones
from tests.kit.gateway import eventually
from tests.kit.relay_rig import RelayRig, Running, both

CHUNK = 256


async def fcm_delivered(running: Running, event_id: str, count: int) -> None:
    """Wait until FCM took so many pushes of an event, and each is on record."""

    async def taken() -> bool:
        rows = await running.rows(event_id)
        return sum(row.provider == "fcm" and row.state == "delivered" for row in rows) == count

    await eventually(f"FCM took {count}", taken)


async def test_fcm_flows_while_apns_hangs(rig: RelayRig) -> None:
    """Users with 17 iPhones each: more waits for APNs than all lanes together may hold."""
    each = 17
    hanging = [
        Phone("apns", each * owner + number, owner)
        for owner in range(CHUNK)
        for number in range(each)
    ]
    for phone in hanging:
        rig.sandbox.script(phone.address, Answer.hang())
    rig.sandbox.settings.stream_limit_before_auth = 1000
    async with rig.running(relay={"drain_s": 0.1}, apns={"timeout_s": 60}) as running:
        await running.register(*hanging, *androids(range(CHUNK, 3 * CHUNK)))
        await running.queue_for("msg_1", hanging)
        lane = running.lane_in_memory("apns")
        await eventually("APNs hangs", lambda: lane.transport.free("production") == 0)
        await eventually("the rest waits", lambda: running.load("apns") == len(hanging))
        await running.queue_for("msg_2", androids(range(CHUNK, 3 * CHUNK)))
        await fcm_delivered(running, "msg_2", 2 * CHUNK)
        assert running.load("apns") == len(hanging)


async def test_what_waits_for_a_slow_lane_is_not_fetched_again_and_again(rig: RelayRig) -> None:
    chunks = 16
    phones = iphones(range(chunks * CHUNK))
    async with rig.running(apns={"rate_per_s": 400, "ramp_s": 0}) as running:
        await running.register(*phones)
        await running.queue_for("msg_1", phones)
        await eventually("some went", lambda: len(rig.sandbox.pushes) >= 3 * CHUNK)
        # What came back unsent was queued anew: the half of them once, at the most.
        ((queued,),) = rig.sql("SELECT seq FROM sqlite_sequence WHERE name = 'queue'")
        assert queued <= 1.5 * chunks
        assert running.backlog("apns") < 3 * 1024


async def test_a_throttled_lane_does_not_keep_anothers_retries_waiting(rig: RelayRig) -> None:
    """APNs is to be left alone for an hour; FCM's retry, in the same chunk, is due much sooner."""
    phones = both(range(20))
    android, iphone = phones[0], phones[20]
    rig.sandbox.script(android.address, Answer.unavailable(), Answer.ok())
    rig.sandbox.script(iphone.address, Answer.throttled(retry_after=3600, scope="project"))
    rig.sandbox.settings.stream_limit = 1
    async with rig.running(apns={"max_connections": 1}) as running:
        await running.register(*phones)
        await running.queue_for("msg_1", phones)
        await rig.arrived(iphone)
        await fcm_delivered(running, "msg_1", 19)
        rig.clock.ahead_s += 21
        await fcm_delivered(running, "msg_1", 20)
        assert len(rig.sent_to(*iphones(range(20)))) == 1
