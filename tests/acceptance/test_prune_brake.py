"""An audience of which a fifth dies at once is more likely a fault: the brake keeps it."""

from __future__ import annotations

import json
from pathlib import Path

from gateway.app.vendors import VENDORS
from providers.sandbox import Answer, Sandbox
from tests.kit.audience import Phone, androids, iphones, notifications_to
from tests.kit.figures import Figures
from tests.kit.fleet import Replica, fleet
from tests.kit.gateway import Installation, Process, eventually
from tests.kit.sender import event

HALF = 2_500
EVERY = 5
"""One phone in five is dead: 20 %."""
THRESHOLD = 125
"""5 % of a lane's 2 500 devices."""
LANES = tuple(VENDORS)


async def pruned_per_lane(gateway: Process) -> dict[str, float]:
    return {
        lane: await gateway.metric("inkpush_pruned_total", provider=lane, app="demo")
        for lane in LANES
    }


async def brakes(gateway: Process) -> set[float]:
    """What the brakes of both lanes say."""
    return {
        await gateway.metric("inkpush_prune_brake_active", provider=lane, app="demo")
        for lane in LANES
    }


async def test_a_fifth_of_the_audience_dead_trips_the_brake_until_a_person_releases_it(
    installation: Installation, sandbox: Sandbox, figures: Figures
) -> None:
    audience = androids(range(HALF)) + iphones(range(HALF, 2 * HALF))
    dead = audience[::EVERY]
    alive = len(audience) - len(dead)
    await installation.register(audience)
    for phone in dead:
        sandbox.script(phone.address, Answer.unregistered())
    key = await installation.key()

    async with installation.serving() as gateway:
        await gateway.post("msg_1", event(notifications_to(audience)))
        first = await gateway.settled("msg_1", key)
        braked = 2 * THRESHOLD
        assert first == {"delivered": alive, "pruned": braked, "refused": len(dead) - braked}
        assert await pruned_per_lane(gateway) == dict.fromkeys(LANES, THRESHOLD)
        assert await brakes(gateway) == {1.0}

        # Pushes go on, to those that were kept as well, and nothing more is pruned.
        pruned = await installation.installations("pruned")
        assert len(pruned) == braked
        kept = [phone for phone in dead if phone.installation not in pruned]
        second_batch = [*kept, *audience[1:100:EVERY]]
        await gateway.post("msg_2", event(notifications_to(second_batch)))
        assert await gateway.settled("msg_2", key) == {
            "refused": len(kept),
            "delivered": len(second_batch) - len(kept),
        }
        assert await installation.installations("pruned") == pruned

        # A phone that registers again outlives the proof that was held against it.
        returned = kept[:10]
        await gateway.register(returned, key)
        done = await installation.run("lanes", "release", "--json")
        assert done.status == 0, done.err
        went = {row["lane"]: row["pruned"] for row in done.json["released"]}
        assert sum(went.values()) == len(kept) - len(returned)
        assert await installation.installations("pruned") == {
            phone.installation for phone in dead if phone not in returned
        }

        async def released() -> bool:
            return await brakes(gateway) == {0.0} and bool(gateway.logged("brake released"))

        await eventually("the gateway heard of the release", released)
        assert await gateway.terminate() == 0
    assert sandbox.stats()["largest_repeat"] == 1
    figures(
        f"{len(dead)} of {len(audience)} dead: {braked} pruned ({THRESHOLD} a lane), "
        f"{len(kept)} kept, brake 1; after the release {json.dumps(went)} pruned, "
        f"{len(returned)} had registered again and stay, brake 0"
    )


LIVES, DEAD = 10, 45
"""Each life alone would let its 45 go."""
ALLOWED = 50
"""Of 1 000 devices: 5 %, and the minimum."""


def die(sandbox: Sandbox, phones: list[Phone]) -> list[Phone]:
    """Let the vendor call these phones dead."""
    for phone in phones:
        sandbox.script(phone.address, Answer.unregistered())
    return phones


async def test_ten_lives_with_45_dead_each_prune_what_one_window_allows(
    installation: Installation, sandbox: Sandbox, figures: Figures
) -> None:
    """Every other life is killed in the midst of it."""
    phones = androids(range(1_000))
    await installation.register(phones)
    key = await installation.key()
    pruned: list[int] = []
    for life in range(LIVES):
        dead = die(sandbox, phones[life * DEAD : (life + 1) * DEAD])
        before = len(sandbox.pushes)
        async with installation.serving() as gateway:
            await gateway.post(f"msg_{life}", event(notifications_to(dead)))
            if life % 2:
                await eventually(
                    "in the midst", lambda n=before: len(sandbox.pushes) >= n + DEAD // 2
                )
                await gateway.kill()
            else:
                await gateway.settled(f"msg_{life}", key)
                assert await gateway.terminate() == 0
        pruned.append(len(await installation.installations("pruned")))
    async with installation.serving() as gateway:
        ends = [await gateway.settled(f"msg_{life}", key) for life in range(LIVES)]

        async def braked() -> bool:
            return await gateway.metric("inkpush_prune_brake_active", provider="fcm") == 1.0

        await eventually("the brake is on", braked)
        assert await gateway.terminate() == 0
    pruned.append(len(await installation.installations("pruned")))
    assert pruned == sorted(pruned)
    assert pruned[0] == DEAD
    assert pruned[-1] == ALLOWED
    assert sum(end.get("pruned", 0) for end in ends) == ALLOWED
    assert sum(end.get("refused", 0) for end in ends) == LIVES * DEAD - ALLOWED
    figures(f"{LIVES} lives, {DEAD} dead in each: pruned after each {pruned}, allowed {ALLOWED}")


async def test_four_relays_replaced_one_after_the_other_prune_what_one_brake_allows(
    tmp_path: Path, sandbox: Sandbox, figures: Figures
) -> None:
    """On PostgreSQL and NATS, while phones die all the time."""
    phones = androids(range(1_000))
    async with fleet(tmp_path, sandbox) as site:
        site.common = {"apns": None, "fcm": {"rate_per_s": 0}}
        operator = site.installation("operator")
        await operator.register(phones)
        key = await operator.key()
        ingest = (await site.start("ingest", "ingest")).process
        relays: list[Replica] = [await site.start(f"relay-{n}", "relay") for n in range(4)]
        pruned: list[int] = []
        shares = [0.0] * len(relays)

        async def count(number: int) -> None:
            process = relays[number].process
            shares[number] += await process.metric("inkpush_pruned_total", provider="fcm")

        for turn in range(len(relays) + 1):
            dead = die(sandbox, phones[turn * DEAD : (turn + 1) * DEAD])
            for phone in dead:  # an event each, so that every relay has some
                await ingest.post(f"msg_{phone.number}", event(notifications_to([phone])))
            if turn < len(relays):
                await count(turn)
                await relays[turn].restart()
            for phone in dead:
                await ingest.settled(f"msg_{phone.number}", key)
            pruned.append(len(await operator.installations("pruned")))
        for number, relay in enumerate(relays):
            await count(number)

            async def braked(relay: Replica = relay) -> bool:
                brake = "inkpush_prune_brake_active"
                return await relay.process.metric(brake, provider="fcm") == 1.0

            await eventually("its brake is on", braked)
    assert pruned[-1] == ALLOWED
    assert max(pruned) <= ALLOWED
    figures(
        f"four relays, each replaced once, {DEAD * (len(relays) + 1)} dead: pruned after each turn "
        f"{pruned}, allowed {ALLOWED}; seen by the relays {shares}"
    )
