"""Reloading while pushes are on their way: new lanes and keys, and what the old ones still say."""

from __future__ import annotations

import shutil

import pytest

from gateway.errors import ConfigurationError
from gateway.events import LaneHeld
from providers.contract import Provider
from tests.kit.audience import androids, iphones
from tests.kit.gateway import eventually
from tests.kit.relay_rig import RelayRig, both

LATENCY_S = 0.5
"""What a vendor's answer takes, so that a reload finds pushes in flight."""


async def test_an_answer_to_the_old_key_does_not_pause_a_lane_that_has_a_new_one(
    rig: RelayRig,
) -> None:
    files = rig.sandbox.credentials
    key_file = rig.folder / "AuthKey.p8"
    shutil.copyfile(files.wrong_apns_key_file, key_file)
    phones = iphones(range(20))
    rig.sandbox.latency_s = LATENCY_S
    changes = {"apns": {"key_file": str(key_file)}, "relay": {"probe_s": 3600}}
    async with rig.running(**changes) as running:
        await running.register(*phones)
        await running.queue_for("msg_1", phones)
        lane = running.lane_in_memory(Provider.APNS)
        await eventually("in flight", lambda: len(rig.sandbox.pushes) > 0)
        shutil.copyfile(files.apns_key_file, key_file)
        await running.reload(rig.settings(**changes))
        assert await running.settled("msg_1") == {"delivered": len(phones)}
        assert running.told(LaneHeld) == []
        assert not lane.paused
    assert {push.status for push in rig.sandbox.pushes} == {403, 200}


async def test_an_end_soon_after_a_reload_waits_for_what_the_old_transports_sent(
    rig: RelayRig,
) -> None:
    phones = both(range(20))
    rig.sandbox.latency_s = 4.0
    async with rig.running() as running:
        await running.register(*phones)
        await running.queue_for("msg_1", phones)
        # APNs lets a new connection send one until it knows the sender.
        await eventually("in flight", lambda: len(rig.sandbox.pushes) > 20)
        await running.reload(rig.settings())
    sent = len(rig.sandbox.pushes)
    assert rig.sql("SELECT count(*) FROM deliveries WHERE state = 'delivered'") == [(sent,)]


async def test_a_lane_that_is_gone_from_the_settings_ends_and_one_that_comes_begins(
    rig: RelayRig,
) -> None:
    phones = both(range(5))
    async with rig.running(fcm=None) as running:
        await running.register(*phones)
        await running.queue_for("msg_1", phones)
        assert await running.settled("msg_1") == {"delivered": 5, "refused": 5}
        await running.reload(rig.settings(apns=None))
        await running.queue_for("msg_2", phones)
        assert await running.settled("msg_2") == {"delivered": 5, "refused": 5}
        assert running.gateway.relay is not None
        assert list(running.gateway.relay.lanes) == ["demo/fcm"]
    assert [len(rig.shown_by(phone)) for phone in phones] == [1] * 10


@pytest.mark.parametrize("provider", Provider)
async def test_a_trust_anchor_that_cannot_be_read_is_refused_and_nothing_changes(
    rig: RelayRig, provider: Provider
) -> None:
    wrong = rig.folder / "wrong.pem"
    wrong.write_text("no certificate")
    phones = androids([1]) + iphones([2])
    async with rig.running() as running:
        await running.register(*phones)
        transports = [running.lane_in_memory(each).provider for each in Provider]
        with pytest.raises(ConfigurationError) as refused:
            await running.reload(rig.settings(**{provider: {"ca_file": str(wrong)}}))
        (problem,) = refused.value.problems
        assert problem.startswith(f"apps[0].{provider}.ca_file {wrong}: ")
        assert [running.lane_in_memory(each).provider for each in Provider] == transports
        await running.queue_for("msg_1", phones)
        assert await running.settled("msg_1") == {"delivered": 2}


async def test_reloads_in_the_middle_of_a_batch_lose_and_repeat_nothing(rig: RelayRig) -> None:
    phones = both(range(200))
    rig.sandbox.latency_s = 0.05
    async with rig.running() as running:
        await running.register(*phones)
        await running.queue_for("msg_1", phones)
        for wanted in (50, 150, 250):
            await eventually("on", lambda most=wanted: len(rig.sandbox.pushes) >= most)
            await running.reload(rig.settings())
        assert await running.settled("msg_1") == {"delivered": len(phones)}
    assert rig.times_delivered() == {1: len(phones)}
