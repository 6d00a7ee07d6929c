"""What others do to the streams while gateways run: noticed, told, mended where nothing is lost."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import nats
import pytest
from nats.js.client import JetStreamContext

from config.settings import Settings
from gateway.app import replaying
from gateway.app.storage import open_store
from gateway.errors import StoreUnavailable
from gateway.queue.nats.stream import CONSUMER
from tests.kit.audience import Phone, androids
from tests.kit.build import ALICE
from tests.kit.gateway import eventually
from tests.kit.nats_cluster import running_cluster
from tests.kit.relay_rig import RelayRig, Running

T = TypeVar("T")


@dataclass
class Site:
    """A rig whose gateways share a stream."""

    rig: RelayRig
    stream: str

    @property
    def queue(self) -> dict[str, Any]:
        return {"url": running_cluster().url, "stream": self.stream, "max_bytes": 64 * 1024**2}

    def settings(self) -> Settings:
        return self.rig.settings(queue=self.queue)

    async def asked(self, act: Callable[[JetStreamContext], Awaitable[T]]) -> T:
        """What a person does by hand."""
        async with person() as jetstream:
            return await act(jetstream)

    def running(self, **overrides: Any) -> AbstractAsyncContextManager[Running]:
        return self.rig.running(queue=self.queue, **overrides)


@pytest.fixture
def site(shared_rig: RelayRig) -> Site:
    return Site(shared_rig, f"t{time.monotonic_ns()}")


@asynccontextmanager
async def person() -> AsyncIterator[JetStreamContext]:
    """Somebody with the `nats` command."""
    client = await nats.connect(running_cluster().servers)
    try:
        yield client.jetstream()
    finally:
        await client.close()


@contextmanager
def no_progress(_title: str, _whole: int | None) -> Iterator[Callable[[int], None]]:
    yield lambda _count: None


async def told(running: Running) -> str:
    """What /readyz says of the queue; "" when it is well."""
    return await running.gateway.probes()["queue"]() or ""


@asynccontextmanager
async def paused(running: Running, phones: list[Phone], event_id: str) -> AsyncIterator[None]:
    """Let a notification for each of these wait behind a paused lane while it is entered."""
    await running.stores.lanes.hold("demo", "fcm", "", by="operator", reason="", now=1.0)
    await eventually("the lane is paused", lambda: running.is_paused("fcm"))
    await running.queue_for(event_id, phones)
    yield
    await running.stores.lanes.resume("demo", "fcm", "", by="operator", now=running.clock())


async def delete_consumer(site: Site) -> None:
    async with person() as jetstream:
        await jetstream.delete_consumer(site.stream, CONSUMER)


async def recreate_consumer(site: Site) -> None:
    """By hand, as it was: it hands out everything from the start."""
    async with person() as jetstream:
        (info,) = await jetstream.consumers_info(site.stream)
        await jetstream.delete_consumer(site.stream, CONSUMER)
        await jetstream.add_consumer(site.stream, info.config)


@pytest.mark.parametrize("act", [delete_consumer, recreate_consumer])
@pytest.mark.parametrize("relays", [1, 2])
async def test_a_deleted_consumer_is_made_anew_under_what_waits(
    site: Site, relays: int, act: Callable[[Site], Awaitable[None]]
) -> None:
    phones = androids(range(400))
    async with site.running() as first:
        await first.register(*phones)
        async with paused(first, phones, "msg_1"):
            await act(site)
        if relays == 2:
            async with site.running():
                assert await first.settled("msg_1") == {"delivered": 400}
        assert await first.settled("msg_1") == {"delivered": 400}
        assert await told(first) == ""
    assert site.rig.times_delivered() == Counter({1: 400})


@pytest.mark.parametrize("act", [delete_consumer, recreate_consumer])
async def test_a_consumer_that_is_deleted_in_full_flight_doubles_nothing(
    site: Site, act: Callable[[Site], Awaitable[None]]
) -> None:
    """Two relays send slowly; the new consumer hands out anew what both have in work."""
    phones = androids(range(300))
    slow = {"fcm": {"rate_per_s": 60, "ramp_s": 0}}
    async with site.running(**slow) as first, site.running(**slow) as second:
        await first.register(*phones)
        for number in range(3):
            await first.queue_for(f"msg_{number}", phones[number * 100 : (number + 1) * 100])
        await eventually("some went", lambda: len(site.rig.sandbox.pushes) > 40)
        await act(site)
        for number in range(3):
            assert await second.settled(f"msg_{number}") == {"delivered": 100}
    assert site.rig.times_delivered() == Counter({1: 300})


async def lose(site: Site) -> None:
    async with person() as jetstream:
        await jetstream.delete_stream(site.stream)


async def recreate(site: Site) -> None:
    """By hand, from what was there: as it must be, and empty."""
    async with person() as jetstream:
        config = (await jetstream.stream_info(site.stream)).config
        await jetstream.delete_stream(site.stream)
        await jetstream.add_stream(config)


@pytest.mark.parametrize(("act", "says"), [(lose, "is lost"), (recreate, "was made anew")])
async def test_a_lost_stream_is_told_until_a_person_queues_again_what_it_held(
    site: Site, act: Callable[[Site], Awaitable[None]], says: str
) -> None:
    phones = androids(range(20))
    async with site.running() as running:
        await running.register(*phones)
        await running.stores.lanes.hold("demo", "fcm", "", by="operator", reason="", now=1.0)
        await eventually("the lane is paused", lambda: running.is_paused("fcm"))
        await running.queue_for("msg_1", phones)
        await act(site)

        async def is_told() -> bool:
            found = await told(running)
            return says in found and "inkpush events requeue" in found

        await eventually("it is told", is_told)
        with pytest.raises(StoreUnavailable, match="events requeue"):
            await running.queue_for("msg_2", phones)
        # nor does a process that starts take the new one for the old
        with pytest.raises(StoreUnavailable, match="events requeue"):
            async with site.running():
                pass
        # `inkpush events requeue` is a process of its own
        async with open_store(site.settings()) as command:
            found = await replaying.requeue(
                command.broker, since=0.0, progress=no_progress, actor=ALICE
            )
        assert found == 1

        async def is_well() -> bool:
            return await told(running) == ""

        await eventually("it is well", is_well)
        assert (await running.stores.queue.depth()).notifications >= 20
        await running.stores.lanes.resume("demo", "fcm", "", by="operator", now=2.0)
        assert await running.settled("msg_1") == {"delivered": 20}


async def longer_lease(site: Site) -> None:
    async with person() as jetstream:
        (info,) = await jetstream.consumers_info(site.stream)
        info.config.ack_wait = 300.0
        await jetstream.add_consumer(site.stream, info.config)


async def usual_lease(site: Site) -> None:
    async with person() as jetstream:
        (info,) = await jetstream.consumers_info(site.stream)
        info.config.ack_wait = 120.0
        await jetstream.add_consumer(site.stream, info.config)


async def with_age(site: Site) -> None:
    async with person() as jetstream:
        config = (await jetstream.stream_info(site.stream)).config
        config.max_age = 7 * 86_400.0
        await jetstream.update_stream(config)


async def without_age(site: Site) -> None:
    async with person() as jetstream:
        config = (await jetstream.stream_info(site.stream)).config
        config.max_age = 0.0
        await jetstream.update_stream(config)


@pytest.mark.parametrize(
    ("change", "back", "says"),
    [
        (longer_lease, usual_lease, "ack_wait = 300 s, expected 120 s"),
        (with_age, without_age, "max_age = 604800 s, expected 0 s"),
    ],
)
async def test_what_was_changed_is_told_and_not_used_until_it_is_put_right(
    site: Site,
    change: Callable[[Site], Awaitable[None]],
    back: Callable[[Site], Awaitable[None]],
    says: str,
) -> None:
    phones = androids(range(3))
    async with site.running() as running:
        await running.register(*phones)
        await change(site)

        async def is_told() -> bool:
            return says in await told(running)

        await eventually("it is told", is_told)
        with pytest.raises(StoreUnavailable, match="expected"):
            await running.queue_for("msg_1", phones)
        await back(site)

        async def is_well() -> bool:
            return await told(running) == ""

        await eventually("it is well", is_well)
        await running.queue_for("msg_2", phones)
        assert await running.settled("msg_2") == {"delivered": 3}


async def test_streams_of_which_nothing_waits_are_made_anew(site: Site) -> None:
    phones = androids(range(3))
    async with site.running() as running:
        await running.register(*phones)
        for name in (f"{site.stream}-dead", f"{site.stream}-tries"):
            await site.asked(lambda js, name=name: js.delete_stream(name))  # type: ignore[misc]

        async def are_there() -> bool:
            await told(running)
            streams = {one.config.name for one in await site.asked(lambda js: js.streams_info())}
            return {f"{site.stream}-dead", f"{site.stream}-tries"} <= streams

        await eventually("they are there", are_there)
        await running.queue_for("msg_1", phones)
        assert await running.settled("msg_1") == {"delivered": 3}


async def test_another_leader_makes_no_other_stream(site: Site) -> None:
    async with site.running() as running:
        for _ in range(3):
            async with person() as jetstream:
                before = await jetstream.stream_info(site.stream)
                for what in ("STREAM.LEADER.STEPDOWN", "CONSUMER.LEADER.STEPDOWN"):
                    of = f"{site.stream}.{CONSUMER}" if "CONSUMER" in what else site.stream
                    await jetstream._nc.request(f"$JS.API.{what}.{of}", timeout=5)

            async def is_well() -> bool:
                return await told(running) == ""

            await eventually("it is well", is_well)
            info = await site.asked(lambda js: js.stream_info(site.stream))
            assert info.created == before.created
