"""A lane that stops: because an operator says so, or because the vendor rejects its credentials."""

from __future__ import annotations

import pytest

from gateway.core.model import UserRef
from gateway.events import LaneHeld, LaneResumed
from providers.sandbox import Answer
from tests.kit.audience import APP, androids, iphones
from tests.kit.gateway import eventually
from tests.kit.relay_rig import RelayRig, Running, both

FCM, APNS = "fcm", "apns"
QUICK_PROBES = {"relay": {"probe_s": 0.2}}
NO_PROBES = {"relay": {"probe_s": 3600}}


async def hold(running: Running, provider: str) -> None:
    """What `inkpush lanes pause` does; returns when the gateway has heard of it."""
    await running.stores.lanes.hold(
        APP, provider, "", by="operator", reason="maintenance", now=running.clock()
    )
    await eventually("the lane is held", lambda: running.is_paused(provider))


async def resume(running: Running, provider: str) -> bool:
    """What `inkpush lanes resume` does."""
    return await running.stores.lanes.resume(APP, provider, "", by="operator", now=running.clock())


async def waits(rig: RelayRig, running: Running, event_id: str, **states: int) -> None:
    """Wait until an event stands like this, with what is pending in the queue, not in memory."""

    async def queued() -> bool:
        leased = rig.sql("SELECT 1 FROM queue WHERE lease_id IS NOT NULL")
        return not leased and await running.states(event_id) == states

    await eventually(f"{event_id} waits as {states}", queued)


async def is_held(running: Running, provider: str, held: str) -> bool:
    return await running.held(provider) == held


# --- an operator's hold --------------------------------------------------------------------------


async def test_a_held_lane_keeps_its_pushes_in_the_queue_until_it_is_resumed(rig: RelayRig) -> None:
    phones = both(range(20))
    async with rig.running() as running:
        await running.register(*phones)
        await hold(running, APNS)
        await running.queue_for("msg_1", phones)
        await waits(rig, running, "msg_1", delivered=20, pending=20)
        assert rig.sent_to(*iphones(range(20))) == []
        assert {row.reason for row in await running.rows("msg_1") if row.next_at} == {"maintenance"}

        assert await resume(running, APNS)
        assert await running.settled("msg_1") == {"delivered": 40}
        assert {row.attempts for row in await running.rows("msg_1")} == {1}
        assert {event.held for event in running.told(LaneHeld)} == {"operator"}
        assert {event.part for event in running.told(LaneResumed)} == {"production", "sandbox"}
    assert rig.times_delivered() == {1: 40}


async def test_a_hold_gives_back_what_waits_in_memory(rig: RelayRig) -> None:
    phones = iphones(range(300))
    # ten at a time: most of the batch waits in the lane when the hold comes
    rig.sandbox.settings.stream_limit = 10
    rig.sandbox.latency_s = 0.5
    async with rig.running(apns={"max_connections": 1}) as running:
        await running.register(*phones)
        await running.queue_for("msg_1", phones)
        await eventually("the first arrived", lambda: bool(rig.sandbox.pushes))
        await hold(running, APNS)
        assert running.backlog(APNS) == 0
        rig.sandbox.latency_s = 0.0
        sent = len(rig.sandbox.pushes)
        await waits(rig, running, "msg_1", delivered=sent, pending=300 - sent)
        assert 0 < sent == len(rig.sandbox.pushes) < 300

        await resume(running, APNS)
        assert await running.settled("msg_1") == {"delivered": 300}
    assert rig.times_delivered() == {1: 300}


async def test_a_hold_survives_a_restart(rig: RelayRig) -> None:
    phones = both([1])
    async with rig.running() as running:
        await running.register(*phones)
        await hold(running, APNS)
    async with rig.running() as running:
        await running.queue_for("msg_1", phones)
        await waits(rig, running, "msg_1", delivered=1, pending=1)
        assert await running.held(APNS) == "operator"
        assert await resume(running, APNS)
        assert await running.settled("msg_1") == {"delivered": 2}


async def test_the_relay_does_not_lift_what_an_operator_holds(rig: RelayRig) -> None:
    """The vendor accepts the key again while a person holds the lane: it stays held."""
    rig.sandbox.settings.trust_apns_key = False
    async with rig.running(**QUICK_PROBES) as running:
        await running.register(*iphones([1]))
        await running.queue_for("msg_1", iphones([1]))
        await eventually("held", lambda: bool(running.told(LaneHeld)))
        await hold(running, APNS)
        rig.sandbox.settings.trust_apns_key = True
        await running.stores.lanes.resume(APP, APNS, "", by="relay", now=running.clock())
        await running.reload(rig.settings(**QUICK_PROBES))
        await running.queue_for("msg_2", both([1]))
        assert running.is_paused(APNS)
        assert await running.held(APNS) == "operator"
        assert await running.states("msg_1") == {"pending": 1}
        await resume(running, APNS)
        assert await running.settled("msg_1") == {"delivered": 1}


# --- credentials that the vendor rejects ---------------------------------------------------------


async def test_a_rejected_key_pauses_its_lane_alone_and_prunes_nothing(rig: RelayRig) -> None:
    phones = both(range(300))
    rig.sandbox.settings.trust_apns_key = False
    async with rig.running(**NO_PROBES) as running:
        await running.register(*phones)
        await running.queue_for("msg_1", phones)
        await waits(rig, running, "msg_1", delivered=300, pending=300)
        await eventually("told", lambda: is_held(running, APNS, "misconfigured"))
        (event,) = running.told(LaneHeld)
        assert (event.provider, event.reason) == (APNS, "InvalidProviderToken")
        assert "key_id" in event.hint
        standing = running.gateway.gauges.lane_states()["demo/apns/production"]
        assert (standing.state, standing.reason) == ("held", "InvalidProviderToken")
        assert await running.stores.registry.count() == {
            ("fcm", APP, "active"): 300,
            ("apns", APP, "active"): 300,
        }
        assert {row.attempts for row in await running.rows("msg_1")} == {0, 1}


async def test_a_paused_lane_is_probed_by_one_push_at_a_time(rig: RelayRig) -> None:
    phones = iphones(range(300))
    rig.sandbox.settings.trust_apns_key = False
    async with rig.running(**QUICK_PROBES) as running:
        await running.register(*phones)
        await running.queue_for("msg_1", phones[:1])
        await eventually("paused", lambda: is_held(running, APNS, "misconfigured"))
        before = len(rig.sandbox.pushes)
        await running.queue_for("msg_2", phones)
        await eventually("two probes", lambda: len(rig.sandbox.pushes) >= before + 2)
        # a burst instead of a probe would have been all 300 at once
        assert len(rig.sandbox.pushes) <= before + 3
        assert {push.status for push in rig.sandbox.pushes} == {403}


async def test_a_lane_resumes_by_itself_when_the_vendor_accepts_it_again(rig: RelayRig) -> None:
    phones = iphones(range(300))
    rig.sandbox.settings.trust_apns_key = False
    async with rig.running(**QUICK_PROBES) as running:
        await running.register(*phones)
        await running.queue_for("msg_1", phones)
        await eventually("paused", lambda: is_held(running, APNS, "misconfigured"))
        rig.sandbox.settings.trust_apns_key = True
        assert await running.settled("msg_1") == {"delivered": 300}
        await eventually("told", lambda: is_held(running, APNS, ""))
        assert running.gateway.gauges.lane_states() == {}
        assert {row.attempts for row in await running.rows("msg_1")} == {1}
    assert rig.times_delivered() == {1: 300}


async def test_a_restart_tries_a_paused_lane_at_once(rig: RelayRig) -> None:
    rig.sandbox.settings.trust_apns_key = False
    async with rig.running(**NO_PROBES) as running:
        await running.register(*iphones([1]))
        await running.queue_for("msg_1", iphones([1]))
        await eventually("paused", lambda: is_held(running, APNS, "misconfigured"))
    rig.sandbox.settings.trust_apns_key = True
    async with rig.running(**NO_PROBES) as running:
        assert await running.settled("msg_1") == {"delivered": 1}
        assert await running.held(APNS) == ""


async def test_an_operator_lets_a_paused_lane_try_at_once(rig: RelayRig) -> None:
    rig.sandbox.settings.trust_apns_key = False
    async with rig.running(**NO_PROBES) as running:
        await running.register(*iphones([1]))
        await running.queue_for("msg_1", iphones([1]))
        await eventually("paused", lambda: is_held(running, APNS, "misconfigured"))
        rig.sandbox.settings.trust_apns_key = True
        assert await resume(running, APNS)
        assert await running.settled("msg_1") == {"delivered": 1}


@pytest.mark.parametrize("part", ["", "production"])
async def test_a_running_gateway_tells_a_pause_without_who_was_erased(
    rig: RelayRig, part: str
) -> None:
    async with rig.running() as running:

        def told() -> set[str]:
            states = running.gateway.gauges.lane_states()
            return {one.reason for one in states.values() if one.state == "paused"}

        for app_part, reason in ((part, "mary gets all twice"), ("sandbox", "quota")):
            await running.stores.lanes.hold(
                APP, APNS, app_part, by="operator", reason=reason, now=running.clock()
            )
        await eventually("it is told", lambda: "mary gets all twice" in told())
        await running.stores.registry.erase(UserRef("mary"), now=running.clock())
        await eventually("it is told anew", lambda: "(erased) gets all twice" in told())
        assert "mary" not in str(told())
        assert running.told(LaneResumed) == []


@pytest.mark.parametrize(
    ("provider", "answer", "reason"),
    [
        (APNS, Answer.status(400, "TopicDisallowed"), "TopicDisallowed"),
        (FCM, Answer.status(403), "PERMISSION_DENIED"),
    ],
    ids=["topic", "permission"],
)
async def test_what_is_wrong_with_the_whole_part_holds_it(
    rig: RelayRig, provider: str, answer: Answer, reason: str
) -> None:
    (phone,) = iphones([1]) if provider is APNS else androids([1])
    rig.sandbox.script(phone.address, answer, Answer.ok())
    async with rig.running(**NO_PROBES) as running:
        await running.register(phone)
        await running.queue_for("msg_1", [phone])
        row = await running.pending_for("msg_1", reason)
        assert row.attempts == 0
        assert (await running.device(phone)).state == "active"
        await eventually("paused", lambda: is_held(running, provider, "misconfigured"))
        assert await resume(running, provider)
        assert await running.settled("msg_1") == {"delivered": 1}
