"""Stopping in the middle of a batch, going on with it, and several processes on one file."""

from __future__ import annotations

import aiohttp
import pytest

from gateway.errors import ConfigurationError
from providers.sandbox import Answer
from tests.kit.audience import iphones, notifications_to
from tests.kit.gateway import SECRET, eventually
from tests.kit.relay_rig import RelayRig, both
from tests.kit.sender import event, signed

INGEST = {"server": {"role": "ingest", "host": "127.0.0.1", "port": 0}}
RELAY = {"server": {"role": "relay", "host": "127.0.0.1", "port": 0}}


async def test_a_gateway_that_stops_in_mid_batch_leaves_the_rest_to_the_next(
    rig: RelayRig,
) -> None:
    phones = both(range(1_500))
    rig.sandbox.latency_s = 0.2
    async with rig.running() as running:
        await running.register(*phones)
        await running.queue_for("msg_1", phones)
        await eventually("some arrived", lambda: len(rig.sandbox.pushes) >= 240)
    taken = len(rig.sandbox.pushes)
    assert 240 <= taken < len(phones)
    # What the vendors took is on record, and no chunk is under a lease any more.
    assert rig.sql("SELECT count(*) FROM deliveries WHERE state = 'delivered'") == [(taken,)]
    assert rig.sql("SELECT count(*) FROM queue WHERE lease_id IS NOT NULL") == [(0,)]
    rig.sandbox.latency_s = 0.0
    async with rig.running() as running:
        assert await running.settled("msg_1") == {"delivered": len(phones)}
        await running.empty()
        assert {row.attempts for row in await running.rows("msg_1")} == {1}
    assert rig.times_delivered() == {1: len(phones)}


async def test_a_push_without_an_answer_does_not_hold_up_the_end(rig: RelayRig) -> None:
    (phone,) = iphones([1])
    rig.sandbox.script(phone.address, Answer.hang(taken=True), Answer.ok())
    async with rig.running(relay={"drain_s": 0.1}) as running:
        await running.register(phone)
        await running.queue_for("msg_1", [phone])
        await rig.arrived(phone)
    ((state, attempts),) = rig.sql("SELECT state, attempts FROM deliveries")
    # stopping was our doing, so that no attempt is spent
    assert (state, attempts) == ("pending", 0)
    async with rig.running() as running:
        assert await running.settled("msg_1") == {"delivered": 1}
    assert len(rig.sent_to(phone)) == 2
    assert len(rig.shown_by(phone)) == 1


async def test_a_stop_while_a_key_is_rejected_leaves_nothing_behind(rig: RelayRig) -> None:
    phones = iphones(range(300))
    rig.sandbox.settings.trust_apns_key = False
    async with rig.running() as running:
        await running.register(*phones)
        await running.queue_for("msg_1", phones)
        await eventually("the first is rejected", lambda: bool(rig.sandbox.pushes))
    rig.sandbox.settings.trust_apns_key = True
    async with rig.running() as running:
        assert await running.settled("msg_1") == {"delivered": 300}
    assert rig.times_delivered() == {1: 300}


async def test_a_file_has_one_relay(rig: RelayRig) -> None:
    async with rig.running():
        with pytest.raises(ConfigurationError, match="another relay"):
            async with rig.running(**RELAY):
                pass
    # and the next one after it
    async with rig.running(**RELAY):
        pass


async def test_ingest_and_relay_work_on_one_file_as_two_processes(rig: RelayRig) -> None:
    phones = both(range(50))
    body = event(notifications_to(phones))
    async with (
        rig.running(**INGEST) as ingest,
        rig.running(**RELAY) as relay,
        aiohttp.ClientSession() as http,
    ):
        await ingest.register(*phones)
        url = f"http://127.0.0.1:{ingest.gateway.public_port}/webhooks/learnink"
        headers = signed("msg_1", body, SECRET)
        async with http.post(url, data=body, headers=headers) as response:
            assert response.status == 200
        assert await ingest.settled("msg_1") == {"delivered": 100}
        assert ingest.gateway.relay is None
        assert relay.gateway.public_port == 0
    assert rig.times_delivered() == {1: 100}
