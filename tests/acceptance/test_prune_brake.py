"""An audience of which a fifth dies at once is more likely a fault: the brake keeps it."""

from __future__ import annotations

import json

from gateway.app.vendors import VENDORS
from providers.sandbox import Answer, Sandbox
from tests.kit.audience import androids, iphones, notifications_to
from tests.kit.figures import Figures
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
