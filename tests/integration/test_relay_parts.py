"""What fails together, and what must not: platforms behind one Firebase project, environments
behind one Apple key. And whether a vendor is reached at all."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from gateway.core.pace import Pace
from gateway.events import LaneHeld, PartsFailing, PartsReached
from providers.contract import Environment, Platform
from providers.sandbox import Answer
from tests.kit.audience import APP, Phone, androids, iphones
from tests.kit.gateway import eventually
from tests.kit.http2_peers import free_port
from tests.kit.relay_rig import RelayRig, Running

THIRD_PARTY = Answer.status(401, "THIRD_PARTY_AUTH_ERROR")
NO_PROBES = {"relay": {"probe_s": 3600}}
#: finds out in a moment that nothing is reached
WATCHFUL = Pace(silent_s=0.4, watch_s=0.05, reach_soon_s=0.1, reach_s=0.2, follow_s=0.1)


def through_firebase(numbers: Sequence[int], platform: Platform) -> list[Phone]:
    """Phones that are no Android, reached through FCM."""
    return [Phone("fcm", number, number, runs_on=platform) for number in numbers]


async def stands(running: Running, event_id: str, **states: int) -> None:
    async def so() -> bool:
        return await running.states(event_id) == states

    await eventually(f"{event_id} is {states}", so)


# --- one platform that Firebase cannot reach ------------------------------------------------------


@pytest.mark.parametrize("batches", [1, 10])
async def test_iphones_that_firebase_cannot_reach_stop_no_android(
    rig: RelayRig, batches: int
) -> None:
    apples = through_firebase(range(1_000, 1_040), Platform.IOS)
    everyone = [*apples[:20], *androids(range(400)), *apples[20:]]
    for phone in apples:
        rig.sandbox.script(phone.address, THIRD_PARTY, repeat_last=True)
    async with rig.running() as running:
        await running.register(*everyone)
        for number in range(batches):
            await running.queue_for(f"msg_{number}", everyone[number::batches])
        for number in range(batches):
            count = len(set(everyone[number::batches]) & set(apples))
            delivered = len(everyone[number::batches]) - count
            expected = {"delivered": delivered} | ({"pending": count} if count else {})
            await stands(running, f"msg_{number}", **expected)
        (held,) = running.told(LaneHeld)
        assert (held.part, held.reason) == ("ios", "THIRD_PARTY_AUTH_ERROR")
        assert "Firebase console" in held.hint

        async def spend_no_attempt() -> bool:
            return {row.attempts for row in await running.rows("msg_0")} == {0, 1}

        await eventually("those that wait spend no attempt", spend_no_attempt)
    assert rig.times_delivered() == {1: 400}


@pytest.mark.parametrize("platform", [Platform.IOS, Platform.WEB])
async def test_one_target_holds_nothing_and_waits_alone(rig: RelayRig, platform: Platform) -> None:
    (culprit, *others) = through_firebase(range(100, 140), platform)
    rig.sandbox.script(culprit.address, THIRD_PARTY, repeat_last=True)
    async with rig.running(**NO_PROBES) as running:
        await running.register(culprit, *others, *androids(range(40)))
        await running.queue_for("msg_1", [culprit])
        row = await running.pending_for("msg_1", "THIRD_PARTY_AUTH_ERROR")
        assert row.attempts == 0
        assert row.next_at is not None
        assert row.next_at > rig.clock() + 500
        await running.queue_for("msg_2", [*others, *androids(range(40))])
        assert await running.settled("msg_2") == {"delivered": 79}
        assert running.told(LaneHeld) == []

        async def told() -> bool:
            standing = (await running.lane("fcm")).standing(platform.value, rig.clock())
            return (standing.state, standing.reason) == ("open", "THIRD_PARTY_AUTH_ERROR")

        await eventually("people can read why", told)
        assert (await running.device(culprit)).state == "active"


async def test_a_held_part_whose_others_succeed_is_opened_by_them(rig: RelayRig) -> None:
    """The first two that are asked are those that Firebase cannot reach; forty others it can."""
    bad, good = (
        through_firebase([100, 101], Platform.IOS),
        through_firebase(range(200, 240), Platform.IOS),
    )
    for phone in bad:
        rig.sandbox.script(phone.address, THIRD_PARTY, repeat_last=True)
    async with rig.running(relay={"probe_s": 0.2}) as running:
        await running.register(*bad, *good)
        await running.queue_for("msg_1", bad)

        async def held() -> bool:
            return await running.held("fcm") == "misconfigured"

        await eventually("held", held)
        await running.queue_for("msg_2", good)
        assert await running.settled("msg_2") == {"delivered": 40}


# --- one environment that the key is not for ------------------------------------------------------


@pytest.mark.parametrize(
    "reason", ["BadEnvironmentKeyInToken", "BadEnvironmentKeyIdInToken", "SomethingNew"]
)
async def test_a_developers_phone_stops_no_production_phone(rig: RelayRig, reason: str) -> None:
    developers = Phone("apns", 999, 999, environment=Environment.SANDBOX)
    rig.sandbox.script(developers.address, Answer.status(403, reason), repeat_last=True)
    phones = iphones(range(100))
    async with rig.running(**NO_PROBES) as running:
        await running.register(developers, *phones)
        await running.queue_for("msg_1", [developers, *phones])
        await stands(running, "msg_1", delivered=100, pending=1)
        assert running.told(LaneHeld) == []

        async def told() -> bool:
            standing = (await running.lane("apns")).standing("sandbox", rig.clock())
            return reason in standing.reason and bool(standing.hint)

        await eventually("people can read why", told)
        assert (await running.device(developers)).state == "active"


async def test_a_key_that_is_revoked_holds_its_part_also_right_after_successes(
    rig: RelayRig,
) -> None:
    phones = iphones(range(100))
    async with rig.running(**NO_PROBES) as running:
        await running.register(*phones)
        await running.queue_for("msg_1", phones)
        assert await running.settled("msg_1") == {"delivered": 100}
        rig.sandbox.settings.trust_apns_key = False
        await running.queue_for("msg_2", phones)

        async def held() -> bool:
            return await running.held("apns") == "misconfigured"

        await eventually("held", held)
        (event,) = running.told(LaneHeld)
        assert (event.part, event.reason) == ("production", "InvalidProviderToken")
        await stands(running, "msg_2", pending=100)

        async def all_on_record() -> bool:
            return len(await running.rows("msg_2")) == 100

        await eventually("all are on record", all_on_record)
        assert {row.attempts for row in await running.rows("msg_2")} == {0}
        assert await running.stores.registry.count() == {("apns", APP, "active"): 100}
        rig.sandbox.settings.trust_apns_key = True
        assert await running.stores.lanes.resume(APP, "apns", "", by="operator", now=rig.clock())
        assert await running.settled("msg_2") == {"delivered": 100}


async def test_a_rejection_among_successes_holds_nothing(rig: RelayRig) -> None:
    """A vendor's bad moment, or somebody in between: the other ninety-nine say that all is well."""
    phones = iphones(range(200))
    for phone in phones[50::100]:
        answer = Answer.status(403, "InvalidProviderToken")
        rig.sandbox.script(phone.address, answer, Answer.ok())
    async with rig.running(relay={"probe_s": 0.2}) as running:
        await running.register(*phones)
        await running.queue_for("msg_1", phones)
        assert await running.settled("msg_1") == {"delivered": 200}
        assert running.told(LaneHeld) == []


# --- whether the vendor is reached ----------------------------------------------------------------


async def failing(running: Running, *parts: str) -> None:
    wanted = {f"{APP}/{part}" for part in parts}

    def so() -> bool:
        states = running.gateway.gauges.lane_states()
        return {name for name, one in states.items() if one.state == "failing"} == wanted

    await eventually(f"failing: {wanted}", so)


async def test_a_vendor_that_is_not_there_shows_before_the_first_push(rig: RelayRig) -> None:
    nowhere = f"https://127.0.0.1:{free_port()}"
    async with rig.gateway(
        rig.settings(apns={"endpoint": nowhere, "sandbox_endpoint": nowhere}), WATCHFUL
    ) as running:
        await failing(running, "apns/production", "apns/sandbox")
        (event,) = running.told(PartsFailing)
        assert event.parts == ((APP, "apns", "production"), (APP, "apns", "sandbox"))
        assert "refuses the connection" in event.reason
        assert "firewall" in event.hint

        async def stored() -> bool:
            standing = (await running.lane("apns")).standing("production", rig.clock())
            return (standing.state, standing.reason) == ("failing", event.reason)

        await eventually("people can read it", stored)
        await running.register(*androids([1]), *iphones([2]))
        await running.queue_for("msg_1", [*androids([1]), *iphones([2])])
        await stands(running, "msg_1", delivered=1, pending=1)
        assert len(running.told(PartsFailing)) == 1
        assert running.told(PartsReached) == []


async def test_a_token_endpoint_that_is_away_stops_all_parts_and_its_return_starts_them(
    rig: RelayRig,
) -> None:
    phones = androids(range(20))
    rig.sandbox.settings.oauth_status = 503
    async with rig.gateway(rig.settings(), replace(WATCHFUL, silent_s=4.0)) as running:
        await failing(running, "fcm/android", "fcm/ios", "fcm/web")
        await running.register(*phones)
        await running.queue_for("msg_1", phones)
        rig.sandbox.settings.oauth_status = 200
        assert await running.settled("msg_1") == {"delivered": 20}
        await failing(running)
        (began,) = running.told(PartsFailing)
        assert [part for _, _, part in began.parts] == ["android", "ios", "web"]
        assert "token endpoint" in began.reason


async def test_a_vendor_that_hangs_fails_and_its_first_answer_ends_it(rig: RelayRig) -> None:
    (slow, *others) = iphones(range(5))
    rig.sandbox.script(slow.address, Answer.hang())
    async with rig.gateway(rig.settings(apns={"timeout_s": 3}), WATCHFUL) as running:
        await running.register(slow, *others)
        await running.queue_for("msg_1", [slow])
        await failing(running, "apns/production")
        await running.queue_for("msg_2", others)
        assert await running.settled("msg_2") == {"delivered": 4}
        # it hangs on, so the part may fail again at once
        await eventually("told", lambda: bool(running.told(PartsReached)))


async def test_a_vendor_that_answers_5xx_alone_fails(rig: RelayRig) -> None:
    pace = Pace(broken_s=0.3, watch_s=0.05, follow_s=0.1, reach_s=3600)
    phones = androids(range(3))
    for phone in phones:
        rig.sandbox.script(phone.address, *[Answer.unavailable()] * 2, Answer.ok())
    async with rig.gateway(rig.settings(), pace) as running:
        await running.register(*phones)
        await running.queue_for("msg_1", phones)
        await eventually("the first came", lambda: len(rig.sandbox.pushes) == 3)
        await stands(running, "msg_1", pending=3)
        assert running.gateway.gauges.lane_states() == {}
        await asyncio.sleep(pace.broken_s)
        rig.clock.ahead_s += 60
        await failing(running, "fcm/android")
        (event,) = running.told(PartsFailing)
        assert event.reason == "UNAVAILABLE"
        rig.clock.ahead_s += 60
        assert await running.settled("msg_1") == {"delivered": 3}
        await failing(running)
