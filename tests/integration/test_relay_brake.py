"""The prune brake at work: where it stops, what it keeps, and how a person lets it go."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from gateway.events import BrakeReleased, BrakeTripped
from providers.sandbox import Answer
from tests.kit.audience import APP, Phone, androids
from tests.kit.gateway import eventually
from tests.kit.nats_cluster import running_cluster
from tests.kit.older import as_of_version
from tests.kit.postgres import databases
from tests.kit.relay_rig import RelayRig, Running

FCM = "fcm"
AUDIENCE = 1200
THRESHOLD = 60
"""5 % of 1 200."""


def die(rig: RelayRig, phones: list[Phone]) -> list[Phone]:
    """Let the vendor call these phones dead."""
    for phone in phones:
        rig.sandbox.script(phone.address, Answer.unregistered())
    return phones


async def register(running: Running, phones: list[Phone]) -> None:
    """Register phones and count them, so that the share is of all from the first removal on."""
    await running.register(*phones)
    await running.gateway.device_counts.count()


async def counts(running: Running) -> dict[str, int]:
    """FCM's devices by state."""
    counted = await running.stores.registry.count()
    return {state: n for (provider, _, state), n in counted.items() if provider == "fcm"}


async def release(running: Running) -> int:
    """What `inkpush lanes release` does; returns how many devices went."""
    return await running.stores.lanes.release(APP, FCM, now=running.clock())


async def test_pruning_stops_at_the_threshold_and_pushes_go_on(rig: RelayRig) -> None:
    phones = androids(range(AUDIENCE))
    dead = die(rig, phones[:100])
    async with rig.running() as running:
        await register(running, phones)
        await running.queue_for("msg_1", phones[:200])
        assert await running.settled("msg_1") == {
            "delivered": 100,
            "pruned": THRESHOLD,
            "refused": 100 - THRESHOLD,
        }
        assert await counts(running) == {"active": AUDIENCE - THRESHOLD, "pruned": THRESHOLD}
        kept = [row for row in await running.rows("msg_1") if row.state == "refused"]
        assert {row.reason for row in kept} == {"UNREGISTERED; the prune brake keeps the device"}
        (tripped,) = running.told(BrakeTripped)
        assert (tripped.provider, tripped.devices) == (FCM, AUDIENCE)
        lane = await running.lane(FCM)
        assert lane.brake_at is not None
        assert lane.held_back == 100 - THRESHOLD
        assert lane.held == ""

        # the kept ones are still tried, and kept again
        still_there = [phones[row.index] for row in kept]
        await running.queue_for("msg_2", still_there)
        assert await running.settled("msg_2") == {"refused": len(still_there)}
        assert (await running.lane(FCM)).held_back == len(still_there)
    assert len(dead) == 100


async def test_the_brake_survives_a_restart_and_its_release_carries_out_what_was_held_back(
    rig: RelayRig,
) -> None:
    phones = androids(range(AUDIENCE))
    die(rig, phones[:100])
    async with rig.running() as running:
        await register(running, phones)
        await running.queue_for("msg_1", phones[:100])
        await running.settled("msg_1")
    async with rig.running() as running:
        die(rig, phones[100:105])
        await running.queue_for("msg_2", phones[100:105])
        assert await running.settled("msg_2") == {"refused": 5}
        assert await counts(running) == {"active": AUDIENCE - THRESHOLD, "pruned": THRESHOLD}

        # Who comes back meanwhile outlives the proof.
        rig.clock.ahead_s += 1
        await running.register(*phones[100:103])
        assert await release(running) == 100 - THRESHOLD + 5 - 3
        assert await counts(running) == {"active": AUDIENCE - 102, "pruned": 102}

        await eventually("the gateway heard of it", lambda: bool(running.told(BrakeReleased)))
        die(rig, phones[200:205])
        await running.queue_for("msg_3", phones[200:205])
        assert await running.settled("msg_3") == {"pruned": 5}


async def test_a_brake_that_is_released_at_once_is_released(rig: RelayRig) -> None:
    """Before the gateway has looked, even: it must not stay braked with nothing left to release."""
    phones = androids(range(AUDIENCE))
    die(rig, phones[:100])
    async with rig.running() as running:
        await running.register(*phones)
        await running.queue_for("msg_1", phones[:100])

        async def tripped() -> bool:
            return (await running.lane(FCM)).brake_at is not None

        await eventually("the brake is on", tripped)
        await running.settled("msg_1")
        await release(running)
        lane = running.lane_in_memory(FCM)
        await eventually("the gateway heard of it", lambda: not lane.braked)
        assert (await running.lane(FCM)).brake_at is None


async def test_fifty_devices_may_always_go(rig: RelayRig) -> None:
    phones = androids(range(100))
    die(rig, phones)
    async with rig.running() as running:
        await running.register(*phones)
        await running.queue_for("msg_1", phones)
        assert await running.settled("msg_1") == {"pruned": 50, "refused": 50}


async def test_devices_of_the_last_seconds_count_for_the_share(rig: RelayRig) -> None:
    """The gateway counted none at its start: 90 of 2 000 are under 5 % all the same."""
    phones = androids(range(2000))
    die(rig, phones[:90])
    async with rig.running() as running:
        await running.register(*phones)
        await running.queue_for("msg_1", phones[:90])
        assert await running.settled("msg_1") == {"pruned": 90}
        assert running.told(BrakeTripped) == []


async def test_several_notifications_to_one_dead_phone_count_once(rig: RelayRig) -> None:
    phones = androids(range(100))
    die(rig, phones[:30])
    async with rig.running() as running:
        await running.register(*phones)
        for number in range(3):
            await running.queue_for(f"msg_{number}", phones[:30])
        for number in range(3):
            await running.settled(f"msg_{number}")
        assert await counts(running) == {"active": 70, "pruned": 30}
        assert running.told(BrakeTripped) == []


# --- over lives and relays --------------------------------------------------------------------


@asynccontextmanager
async def on(where: str, rig: RelayRig) -> AsyncIterator[RelayRig]:
    """One whose store is a file, or a PostgreSQL, whose queue may be a JetStream."""
    if where == "sqlite":
        yield rig
        return
    async with databases().using(rig.folder) as url:
        rig.store_url = url
        if where == "nats":
            stream = f"t{time.monotonic_ns()}"
            rig.common["queue"] = {
                "url": running_cluster().url,
                "stream": stream,
                "max_bytes": 64 * 1024**2,
            }
        yield rig


@pytest.fixture(params=["sqlite", "postgres", "nats"])
async def any_rig(request: pytest.FixtureRequest, rig: RelayRig) -> AsyncIterator[RelayRig]:
    """One on any store and queue."""
    async with on(request.param, rig) as made:
        yield made


@pytest.fixture(params=["postgres", "nats"])
async def many_rig(request: pytest.FixtureRequest, rig: RelayRig) -> AsyncIterator[RelayRig]:
    """One on which several relays may run at once."""
    async with on(request.param, rig) as made:
        yield made


async def test_the_brake_counts_over_restarts(any_rig: RelayRig) -> None:
    """45 dead phones between two restarts, ten times: each life alone would let all go."""
    phones = androids(range(1000))
    for life in range(10):
        async with any_rig.running() as running:
            if life == 0:
                await running.register(*phones)
            dead = die(any_rig, phones[life * 45 : (life + 1) * 45])
            await running.queue_for(f"msg_{life}", dead)
            states = await running.settled(f"msg_{life}")
            assert (
                states
                == ({"pruned": 45}, {"pruned": 5, "refused": 40}, {"refused": 45})[min(life, 2)]
            )
            assert (await counts(running))["pruned"] == min(50, (life + 1) * 45)
            row = await running.lane(FCM)
            assert (row.brake_at is not None) == (life > 0)


async def prune_together(relays: Sequence[Running], event_id: str, dead: Sequence[Phone]) -> None:
    """A notification for each of these, in chunks that any of these relays may take."""
    for number, phone in enumerate(dead):
        await relays[number % len(relays)].queue_for(f"{event_id}_{number}", [phone])
    for number in range(len(dead)):
        await relays[0].settled(f"{event_id}_{number}")


async def test_relays_share_the_threshold_and_not_only_a_share_of_it(many_rig: RelayRig) -> None:
    phones = androids(range(1000))
    dead = die(many_rig, phones[:150])
    async with AsyncExitStack() as stack:
        relays = [await stack.enter_async_context(many_rig.running()) for _ in range(4)]
        await relays[0].register(*phones)
        await prune_together(relays, "msg", dead)
        assert (await counts(relays[0])) == {"active": 950, "pruned": 50}
        assert (await relays[0].lane(FCM)).held_back == 100
        # told once, by the relay over which it tripped
        assert sum(len(one.told(BrakeTripped)) for one in relays) == 1


async def test_a_rolling_upgrade_begins_no_window_of_its_own(many_rig: RelayRig) -> None:
    """One relay after another is replaced by a new one, and phones die all the while."""
    phones = androids(range(1000))
    async with many_rig.running() as stays:
        await stays.register(*phones)
        for turn in range(4):
            async with many_rig.running() as comes:
                dead = die(many_rig, phones[turn * 20 : (turn + 1) * 20])
                await prune_together([stays, comes], f"msg_{turn}", dead)
        assert (await counts(stays)) == {"active": 950, "pruned": 50}
        assert (await stays.lane(FCM)).held_back == 30


async def test_what_the_version_before_pruned_lately_counts(rig: RelayRig) -> None:
    """The upgrade itself is a restart, too: the migration fills the window."""
    phones = androids(range(1000))
    async with rig.running() as running:
        await running.register(*phones)
        await running.queue_for("msg_1", die(rig, phones[:40]))
        await running.settled("msg_1")
    as_of_version(rig.database, 5)
    async with rig.running() as running:
        await running.queue_for("msg_2", die(rig, phones[40:60]))
        assert await running.settled("msg_2") == {"pruned": 10, "refused": 10}
