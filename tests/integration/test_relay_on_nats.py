"""A whole gateway on JetStream: what is redelivered is not sent again, and nothing is lost."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import Any

import nats
import pytest

from gateway.app.storage import complete_events
from gateway.core.states import DeliveryState
from gateway.errors import StoreUnavailable
from gateway.events import ChunkBuried, DeliveriesSettled
from gateway.queue.nats import JetStreamQueue
from providers.sandbox import Answer
from tests.kit.audience import Phone, androids
from tests.kit.gateway import eventually
from tests.kit.nats_cluster import running_cluster
from tests.kit.relay_rig import RelayRig, Running, both
from tests.kit.stores import Handle, die, queued

ANDROID = Phone("fcm", 1, 1)
INGEST: dict[str, Any] = {"role": "ingest", "host": "127.0.0.1", "port": 0}


def on_nats(name: str = "") -> dict[str, Any]:
    """The settings' section of a stream of one's own."""
    return {
        "url": running_cluster().url,
        "stream": name or f"t{time.monotonic_ns()}",
        "max_bytes": 64 * 1024**2,
    }


def broker(running: Running) -> JetStreamQueue:
    found = running.stores.broker
    assert found is not None
    return found


def deliver_all_twice(queue: JetStreamQueue, counted: Counter[str] | None = None) -> Counter[str]:
    """Let the first acknowledgement of every chunk get lost, and its lease end at once. Counts the
    acknowledgements by message; relays that share a stream share the count."""
    link = queue._link
    ask = link.ask
    asked: Counter[str] = Counter() if counted is None else counted

    async def lossy(subject: str, data: bytes = b"", *args: Any, **kwargs: Any) -> bytes:
        if data == b"+ACK":
            sequence = subject.split(".")[5]
            asked[sequence] += 1
            if asked[sequence] == 1:
                await link.say(subject, b"-NAK")
                return b""
        return await ask(subject, data, *args, **kwargs)

    link.ask = lossy  # type: ignore[method-assign]  # a network that loses acknowledgements
    return asked


async def test_a_batch_goes_the_whole_way(shared_rig: RelayRig) -> None:
    phones = both(range(300))
    async with shared_rig.running(queue=on_nats()) as running:
        await running.register(*phones)
        await running.queue_for("msg_1", phones)
        assert await running.settled("msg_1") == {"delivered": 600}
        await running.empty()
    assert shared_rig.times_delivered() == Counter({1: 600})


async def test_every_chunk_delivered_twice_gives_no_second_push(shared_rig: RelayRig) -> None:
    phones = both(range(300))
    slow = phones[:40]
    for phone in slow:
        shared_rig.sandbox.script(phone.address, Answer.unavailable(), Answer.ok())
    async with shared_rig.running(queue=on_nats()) as running:
        acknowledged = deliver_all_twice(broker(running))
        await running.register(*phones)
        await running.queue_for("msg_1", phones)

        async def first_round_over() -> bool:
            states = await running.states("msg_1")
            return states.get("delivered", 0) == len(phones) - len(slow)

        await eventually("all others are delivered", first_round_over)
        shared_rig.clock.ahead_s += 300
        assert await running.settled("msg_1") == {"delivered": 600}
        await running.empty()
    assert shared_rig.times_delivered() == Counter({1: 600})
    assert {len(shared_rig.sent_to(phone)) for phone in slow} == {2}
    assert len(acknowledged) > 2
    assert set(acknowledged.values()) == {2}


async def test_every_chunk_delivered_twice_to_two_relays_gives_no_second_push(
    shared_rig: RelayRig,
) -> None:
    phones, events = both(range(300)), 6
    queue = on_nats()
    acknowledged: Counter[str] = Counter()
    async with shared_rig.running(queue=queue) as one, shared_rig.running(queue=queue) as two:
        for each in (one, two):
            deliver_all_twice(broker(each), acknowledged)
        await one.register(*phones)
        for n in range(events):
            await (one, two)[n % 2].queue_for(f"msg_{n}", phones)
        for n in range(events):
            assert await two.settled(f"msg_{n}") == {"delivered": 600}
        await one.empty()
        shares = [
            sum(sum(told.outcomes.values()) for told in each.told(DeliveriesSettled))
            for each in (one, two)
        ]
    assert shared_rig.times_delivered() == Counter({1: 600 * events})
    assert len(acknowledged) >= 2 * events
    assert set(acknowledged.values()) == {2}
    # what came again was often the other's: neither may tell of a delivery that it did not make
    assert sum(shares) == 600 * events
    assert min(shares) > 0


async def test_a_chunk_that_comes_again_leaves_a_delivery_until_it_is_due(
    shared_rig: RelayRig,
) -> None:
    shared_rig.sandbox.script(ANDROID.address, Answer.unavailable(), Answer.ok())
    async with shared_rig.running(queue=on_nats()) as running:
        await running.register(ANDROID)
        deliver_all_twice(broker(running))
        await running.queue_for("msg_1", [ANDROID])
        await shared_rig.arrived(ANDROID)
        await asyncio.sleep(1.5)  # in which the chunk came again
        (row,) = await running.rows("msg_1")
        assert (row.state, row.attempts) == (DeliveryState.PENDING, 1)
        assert len(shared_rig.sent_to(ANDROID)) == 1
        await queued(running.stores.queue, 1)


async def test_a_stream_made_anew_under_a_relay_gives_its_chunks_their_own_pushes(
    shared_rig: RelayRig,
) -> None:
    """Its messages have the numbers of those that were lost, of which one is at work."""
    phones, others = androids(range(3)), androids(range(3, 6))
    queue = on_nats()
    shared_rig.sandbox.latency_s = 3.0
    async with shared_rig.running(queue=queue) as running:
        await running.register(*phones, *others)
        await running.queue_for("msg_1", phones)
        await shared_rig.arrived(phones[0])
        client = await nats.connect(running_cluster().servers)
        await client.jetstream().delete_stream(queue["stream"])
        await client.close()
        await broker(running).requeue(since=time.time() + 60)
        await running.queue_for("msg_2", others)
        assert await running.settled("msg_2") == {"delivered": 3}
        assert await running.states("msg_1") == {"delivered": 3}
    assert shared_rig.times_delivered() == Counter({1: 6})


async def test_a_relay_that_stops_gives_back_what_it_has_and_the_next_goes_on(
    shared_rig: RelayRig,
) -> None:
    phones = androids(range(300))
    shared_rig.sandbox.latency_s = 0.2
    queue = on_nats()
    async with shared_rig.running(queue=queue, relay={"drain_s": 1}) as running:
        await running.register(*phones)
        await running.queue_for("msg_1", phones)
        await shared_rig.arrived(phones[0])
    shared_rig.sandbox.latency_s = 0.0
    async with shared_rig.running(queue=queue) as running:
        assert await running.settled("msg_1") == {"delivered": 300}
        await running.empty()
    assert shared_rig.times_delivered() == Counter({1: 300})


async def test_an_event_left_half_way_is_completed_from_its_kept_body(
    shared_rig: RelayRig,
) -> None:
    phones = androids(range(600))
    async with shared_rig.running(queue=on_nats()) as running:
        await running.register(*phones)
        queue = broker(running)
        publish = queue._stream.publish

        async def half(chunks: Any, *, again: bool = False) -> None:
            await publish(list(chunks)[:1], again=again)
            raise StoreUnavailable("the test cut the cable")

        queue._stream.publish = half  # type: ignore[method-assign]  # a broker that goes away
        with pytest.raises(StoreUnavailable):
            await running.queue_for("msg_1", phones)
        queue._stream.publish = publish  # type: ignore[method-assign]  # and comes back
        shared_rig.clock.ahead_s += 61
        keeper = asyncio.create_task(complete_events(queue, lambda _event: None, every_s=0.05))
        assert await running.settled("msg_1") == {"delivered": 600}
        keeper.cancel()
        await asyncio.wait([keeper])
    assert shared_rig.times_delivered() == Counter({1: 600})


async def test_a_chunk_that_ended_twenty_processes_alone_is_given_up_and_others_go_out(
    shared_rig: RelayRig,
) -> None:
    queue = on_nats()
    neighbour = Phone("fcm", 2, 2)
    async with shared_rig.running(queue=queue, server=INGEST) as ingest:
        await ingest.register(ANDROID, neighbour)
        await ingest.queue_for("msg_poison", [ANDROID])
        broker(ingest)._wait_s = 0.1  # for what nobody queues
        lone_ends = -1
        while lone_ends < 19:
            # a relay begins it, and is gone
            if not await broker(ingest).claim(limit=9, lease_s=60, now=shared_rig.clock()):
                tried = await broker(ingest).claim_suspect(lease_s=60, now=shared_rig.clock())
                assert tried is not None
                assert tried.trial is not None
                lone_ends = tried.trial.lone_ends
            await die(Handle(ingest.stores.store, broker(ingest)), shared_rig.clock())
        await ingest.queue_for("msg_1", [neighbour])
    async with shared_rig.running(queue=queue) as running:
        assert await running.settled("msg_1") == {"delivered": 1}
        assert await running.settled("msg_poison") == {"dead": 1}
        assert [told.lone_ends for told in running.told(ChunkBuried)] == [20]
        await running.empty()
    assert shared_rig.sent_to(ANDROID) == []
