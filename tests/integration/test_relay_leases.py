"""Leases: what a relay does with a chunk that is not its own any more, or that ends processes."""

from __future__ import annotations

import asyncio
from typing import Any, Literal

import pytest

from gateway.core.states import DeliveryState
from gateway.errors import StoreUnavailable
from gateway.events import ChunkBuried
from providers.sandbox import Answer
from tests.kit.audience import Phone, androids, iphones
from tests.kit.gateway import eventually
from tests.kit.relay_rig import RelayRig, Running, both

ANDROID, IPHONE = Phone("fcm", 1, 1), Phone("apns", 1, 1)
SHORT = {"relay": {"lease_s": 0.3}}

STEAL = "UPDATE queue SET lease_id = 'another relay', due_at = ?"
HOPELESS = "UPDATE queue SET tries = 22, lone_ends = 19, alone = 1, claimed_at = ?"


async def lost(running: Running) -> None:
    """Wait until the relay knows that it holds no lease."""
    relay = running.gateway.relay
    assert relay is not None
    await eventually("the lease is lost", lambda: relay._dispatcher.unfinished == 0)


async def test_a_lease_is_prolonged_while_its_pushes_are_in_flight(rig: RelayRig) -> None:
    rig.sandbox.script(ANDROID.address, Answer.slow(1.0))
    async with rig.running(**SHORT) as running:
        await running.register(ANDROID)
        await running.queue_for("msg_1", [ANDROID])
        assert await running.settled("msg_1") == {"delivered": 1}
        await running.empty()
    assert len(rig.sent_to(ANDROID)) == 1


async def test_a_lost_chunk_is_not_sent_on_and_not_queued_twice(rig: RelayRig) -> None:
    """Of three phones one takes its push after the lease is gone, one asks for a retry, and the
    third's has not been sent: the first is on record, the others are up to the new owner."""
    delivered, retried, waiting = iphones([1, 2, 3])
    rig.sandbox.script(delivered.address, Answer.slow(1.0))
    rig.sandbox.script(retried.address, Answer.slow(1.0, Answer.unavailable()), Answer.ok())
    rig.sandbox.settings.stream_limit_before_auth = 2
    rig.sandbox.settings.stream_limit = 2
    async with rig.running(**SHORT, apns={"max_connections": 1}) as running:
        await running.register(delivered, retried, waiting)
        await running.queue_for("msg_1", [delivered, retried, waiting])
        await rig.arrived(delivered)
        await rig.arrived(retried)
        rig.sql(STEAL, rig.clock() + 3600)
        await lost(running)

        async def on_record() -> bool:
            return [row.state for row in await running.rows("msg_1")] == ["delivered"]

        await eventually("what was delivered is on record", on_record)
        transport = running.lane_in_memory("apns").transport
        await eventually("all answers are in", lambda: transport.in_flight == 0)
        assert rig.sent_to(waiting) == []
        assert rig.sql("SELECT lease_id FROM queue") == [("another relay",)]

        # The other relay dies; its lease runs out, and the chunk comes back as it was.
        rig.sql("UPDATE queue SET due_at = ?", rig.clock())
        assert await running.settled("msg_1") == {"delivered": 3}
        await running.empty()
    assert len(rig.sent_to(delivered)) == 1
    assert rig.times_delivered() == {1: 3}


@pytest.mark.parametrize("scope", ["project", "device"])
async def test_a_back_off_is_kept_although_the_chunk_it_was_told_for_is_lost(
    rig: RelayRig, scope: Literal["project", "device"]
) -> None:
    throttled = Answer.throttled(retry_after=300, scope=scope)
    rig.sandbox.script(ANDROID.address, Answer.slow(1.0, throttled))
    async with rig.running(**SHORT) as running:
        await running.register(ANDROID)
        await running.queue_for("msg_1", [ANDROID])
        await rig.arrived(ANDROID)
        rig.sql(STEAL, rig.clock() + 3600)
        await lost(running)
        lane = running.lane_in_memory("fcm")
        if scope == "project":
            await eventually("the lane is quiet", lambda: lane.quiet_for_s > 200)
        else:
            await eventually("the device is left alone", lambda: len(lane._silence.devices) == 1)
            assert lane.quiet_for_s == 0.0
    assert rig.sql("SELECT count(*) FROM deliveries") == [(0,)]


async def test_a_relay_that_stood_still_leaves_nothing_behind_that_waits(rig: RelayRig) -> None:
    """Another relay took the chunk meanwhile, and ended it: who would end a row that comes now?"""
    rig.sandbox.script(ANDROID.address, Answer.slow(0.5, Answer.unavailable()))
    async with rig.running() as running:
        await running.register(ANDROID)
        await running.queue_for("msg_1", [ANDROID])
        await rig.arrived(ANDROID)
        relay = running.gateway.relay
        assert relay is not None
        (work,) = relay._leases.works.values()
        work.proven_until = 0.0
        rig.sql("DELETE FROM queue")
        await lost(running)
    assert rig.sql("SELECT count(*) FROM deliveries") == [(0,)]


async def test_a_relay_that_cannot_journal_keeps_its_chunk_no_longer_than_a_lease(
    rig: RelayRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_args: object) -> None:
        raise StoreUnavailable("the test cut the cable")

    async with rig.running(**SHORT) as running:
        await running.register(ANDROID)
        with monkeypatch.context() as broken:
            broken.setattr(running.stores.journal, "record", refuse)
            await running.queue_for("msg_1", [ANDROID])
            await rig.arrived(ANDROID)
            over = "SELECT due_at < ? FROM queue"
            await eventually("its lease is over", lambda: rig.sql(over, rig.clock()) == [(1,)])
        assert await running.settled("msg_1") == {"delivered": 1}
        await running.empty()
    assert len(rig.sent_to(ANDROID)) == 1


async def test_a_relay_that_stood_still_goes_on_with_its_own_chunk(rig: RelayRig) -> None:
    """The machine slept, and every lease ran out meanwhile: nothing in flight is sent twice."""
    phones = both(range(20))
    rig.sandbox.latency_s = 0.5
    async with rig.running() as running:
        await running.register(*phones)
        await running.queue_for("msg_1", phones)
        await eventually("all arrived", lambda: len(rig.sandbox.pushes) == 40)
        rig.clock.ahead_s += 200

        async def claimed_again() -> bool:
            return rig.sql("SELECT tries FROM queue") == [(2,)]

        await eventually("the chunk was claimed again", claimed_again)
        assert await running.settled("msg_1") == {"delivered": 40}
        await running.empty()
    assert rig.times_delivered() == {1: 40}


async def test_a_chunk_that_comes_again_skips_what_is_on_record(rig: RelayRig) -> None:
    """A process that died between the journal and the queue leaves exactly this behind."""
    phones = androids(range(10))
    async with rig.running() as running:
        await running.register(*phones)
        await running.queue_for("msg_1", phones)
        (chunk,) = rig.sql("SELECT * FROM queue")
        assert await running.settled("msg_1") == {"delivered": 10}
        await running.empty()
        rig.sql("DELETE FROM deliveries WHERE item_index = 7")
        rig.sql(f"INSERT INTO queue VALUES ({', '.join('?' * len(chunk))})", *chunk)
        running.gateway.wake()
        await rig.arrived(phones[7], 2)
        assert await running.settled("msg_1") == {"delivered": 10}
        await running.empty()
    assert len(rig.sandbox.pushes) == 11
    # under the same id, so that the phone shows it once
    assert len(rig.shown_by(phones[7])) == 1


async def test_a_chunk_that_no_process_could_finish_becomes_dead_letters(rig: RelayRig) -> None:
    async with rig.running(server={"role": "ingest", "host": "127.0.0.1", "port": 0}) as ingest:
        await ingest.register(ANDROID, IPHONE)
        await ingest.queue_for("msg_1", [ANDROID, IPHONE])
    rig.sql(HOPELESS, rig.clock())
    async with rig.running() as running:
        assert await running.settled("msg_1") == {"dead": 1}
        (row,) = await running.rows("msg_1")
        assert (row.device_id, row.state) == (0, DeliveryState.DEAD)
        assert "no process could finish" in row.reason
        assert [event.lone_ends for event in running.told(ChunkBuried)] == [20]
        await running.empty()
        assert rig.sandbox.pushes == []

        # A person who mended the cause sends it again.
        await running.stores.queue.replay_dead(None, now=rig.clock(), max_age_s=3600)
        running.gateway.wake()
        assert await running.settled("msg_1") == {"delivered": 2}


async def test_a_chunk_is_buried_without_another_look_at_its_devices(
    rig: RelayRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be that look that no process survives."""

    async def fatal(*_args: object) -> None:
        raise SystemExit("the process is gone")

    async with rig.running(server={"role": "ingest", "host": "127.0.0.1", "port": 0}) as ingest:
        await ingest.register(ANDROID)
        await ingest.queue_for("msg_1", [ANDROID])
    rig.sql(HOPELESS, rig.clock())
    async with rig.running() as running:
        monkeypatch.setattr(type(running.stores.registry), "targets", fatal)
        assert await running.settled("msg_1") == {"dead": 1}


async def test_what_a_dead_process_had_under_its_lease_is_taken_at_once(rig: RelayRig) -> None:
    async with rig.running(server={"role": "ingest", "host": "127.0.0.1", "port": 0}) as ingest:
        await ingest.register(ANDROID)
        await ingest.queue_for("msg_1", [ANDROID])
    rig.sql(STEAL, rig.clock() + 3600)
    async with rig.running() as running:
        assert await running.settled("msg_1") == {"delivered": 1}


async def test_a_lease_that_cannot_be_proven_starts_no_push_until_it_can(rig: RelayRig) -> None:
    phones = androids(range(40))
    rig.sandbox.latency_s = 0.1
    async with rig.running(fcm={"rate_per_s": 100, "ramp_s": 0}) as running:
        await running.register(*phones)
        await running.queue_for("msg_1", phones)
        await rig.arrived(phones[0])
        relay = running.gateway.relay
        assert relay is not None
        (work,) = relay._leases.works.values()
        proven_until, work.proven_until = work.proven_until, 0.0
        await asyncio.sleep(0.3)
        started = len(rig.sandbox.pushes)
        await asyncio.sleep(0.5)
        assert len(rig.sandbox.pushes) == started < 40
        work.proven_until = proven_until
        assert await running.settled("msg_1") == {"delivered": 40}
        await running.empty()
    assert len(rig.sandbox.pushes) == 40


async def test_a_journal_that_stands_still_stops_the_lanes_and_lets_them_go_on(
    rig: RelayRig,
) -> None:
    """Nothing fails: the database takes writes, and does not finish them."""
    phones = androids(range(200))
    async with rig.running(fcm={"rate_per_s": 100, "ramp_s": 0}) as running:
        await running.register(*phones)
        await running.queue_for("msg_1", phones)
        await rig.arrived(phones[0])
        with rig.locked():
            await asyncio.sleep(0.6)
            started = len(rig.sandbox.pushes)
            await asyncio.sleep(0.5)
            assert len(rig.sandbox.pushes) == started < 200
        assert await running.settled("msg_1") == {"delivered": 200}
        await running.empty()
    assert len(rig.sandbox.pushes) == 200


# --- after a standstill -------------------------------------------------------------------------


@pytest.mark.parametrize("stolen", [True, False], ids=["taken over", "still ours"])
async def test_after_a_standstill_nothing_starts_before_the_lease_is_asked_for(
    rig: RelayRig, stolen: bool
) -> None:
    """By this process' clock the lease holds for half a minute more; how long the machine really
    stood still, nobody knows."""
    first, *waiting = iphones([1, 2, 3, 4])
    rig.sandbox.script(first.address, Answer.slow(0.5))
    rig.sandbox.settings.stream_limit_before_auth = 1
    rig.sandbox.settings.stream_limit = 1
    async with rig.running(apns={"max_connections": 1}) as running:
        await running.register(first, *waiting)
        await running.queue_for("msg_1", [first, *waiting])
        await rig.arrived(first)
        if stolen:
            rig.sql(STEAL, rig.clock() + 3600)
        running.gateway.stood_still(5.0)
        if stolen:
            await lost(running)
            await eventually("the answer is here", lambda: rig_is_idle(running))
        else:
            assert await running.settled("msg_1") == {"delivered": 4}
            await running.empty()
    assert len(rig.sent_to(first)) == 1
    assert [len(rig.sent_to(one)) for one in waiting] == [0 if stolen else 1] * 3


def rig_is_idle(running: Running) -> bool:
    relay = running.gateway.relay
    assert relay is not None
    return not any(lane.transport.in_flight for lane in relay.lanes.values())


async def test_a_chunk_whose_devices_are_looked_up_in_a_standstill_goes_on_at_once(
    rig: RelayRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with rig.running() as running:
        await running.register(ANDROID)
        registry = running.gateway.stores.registry
        targets = type(registry).targets
        stood_still = 0

        async def slow(self: Any, items: Any) -> Any:
            nonlocal stood_still
            found = await targets(self, items)
            if not stood_still:
                running.gateway.stood_still(5.0)
            stood_still += 1
            return found

        monkeypatch.setattr(type(registry), "targets", slow)
        await running.queue_for("msg_1", [ANDROID])
        assert await running.settled("msg_1") == {"delivered": 1}
    assert stood_still
    assert len(rig.sent_to(ANDROID)) == 1
