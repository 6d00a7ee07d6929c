"""A batch of 5 000 in which the vendors say everything they say on a bad day."""

from __future__ import annotations

import time
from collections import Counter

from providers.sandbox import Answer, Sandbox
from tests.kit.audience import Phone, androids, iphones, notifications_to
from tests.kit.figures import Figures
from tests.kit.gateway import Installation
from tests.kit.sender import event

HALF = 2_500
SHARE = 100
"""2 % of 5 000."""
AN_HOUR_MS = 3_600_000


async def test_every_item_of_a_mixed_batch_of_5000_ends_in_the_right_state(
    installation: Installation, sandbox: Sandbox, figures: Figures
) -> None:
    audience = androids(range(HALF)) + iphones(range(HALF, 2 * HALF))
    await installation.register(audience)
    roles = cast_roles(audience)
    before_registration = int(time.time() * 1000) - AN_HOUR_MS
    answers: dict[str, tuple[Answer, ...]] = {
        "dead": (Answer.unregistered(),),
        "dead before it registered": (Answer.unregistered(before_registration),),
        "throttled": (Answer.throttled(retry_after=2), Answer.ok()),
        "unavailable": (Answer.unavailable(), Answer.ok()),
    }
    for role, phones in roles.items():
        for phone in phones:
            sandbox.script(phone.address, *answers[role])
    key = await installation.key()

    async with installation.serving() as gateway:
        # An import says nothing of when the app was alive; only its own word can outlive a proof.
        await gateway.register([*roles["dead before it registered"]], key)
        began = time.monotonic()
        reply = await gateway.post("msg_mixed", event(notifications_to(audience)))
        assert reply.json["notifications"] == len(audience)
        deliveries = await gateway.settled("msg_mixed", key)
        took = time.monotonic() - began
        assert await gateway.metric("inkpush_prune_brake_active") == 0
        assert await gateway.metric("inkpush_queue_depth") == 0
        assert await gateway.terminate() == 0

    dead = roles["dead"]
    doubtful = roles["dead before it registered"]
    assert deliveries == {
        "delivered": len(audience) - len(dead) - len(doubtful),
        "pruned": len(dead),
        "refused": len(doubtful),
    }
    assert await installation.installations("pruned") == {phone.installation for phone in dead}
    assert await installation.installations("quarantined") == set()

    asked = Counter(push.address for push in sandbox.pushes)
    twice = {phone.address for role in ("throttled", "unavailable") for phone in roles[role]}
    assert {address for address, times in asked.items() if times == 2} == twice
    assert set(asked.values()) == {1, 2}
    for phone in audience:
        shown = 0 if phone in dead or phone in doubtful else 1
        assert len(sandbox.phone(phone.address)) == shown
    stats = sandbox.stats()
    assert (stats["repeated"], stats["largest_repeat"]) == (0, 1)
    figures(
        f"{deliveries}; {stats['requests']} requests, {stats['accepted']} accepted, 0 repeated; "
        f"vendors said {stats['by_status']}; settled after {took:.1f} s"
    )


def cast_roles(audience: list[Phone]) -> dict[str, set[Phone]]:
    """Spread the phones that answer badly over both vendors and all chunks."""
    android = [phone for phone in audience if phone.provider == "fcm"]
    iphone = [phone for phone in audience if phone.provider == "apns"]
    every = HALF // SHARE
    return {
        "dead": {*android[0::every], *iphone[0 :: 2 * every]},
        "dead before it registered": set(iphone[every :: 2 * every]),
        "throttled": {*android[1 :: 2 * every], *iphone[1 :: 2 * every]},
        "unavailable": {*android[2 :: 2 * every], *iphone[2 :: 2 * every]},
    }


async def test_6000_rejections_over_one_apns_connection_do_not_stall_it(
    installation: Installation, sandbox: Sandbox, figures: Figures
) -> None:
    installation.configure(apns={"max_connections": 1})
    kept, last = iphones(range(6_000)), iphones(range(6_000, 6_010))
    before_registration = int(time.time() * 1000) - AN_HOUR_MS
    for phone in kept:
        sandbox.script(phone.address, Answer.unregistered(before_registration))
    key = await installation.key()
    async with installation.serving() as gateway:
        await gateway.register(kept + last, key)
        began = time.monotonic()
        await gateway.post("msg_rejected", event(notifications_to(kept)))
        assert await gateway.settled("msg_rejected", key) == {"refused": len(kept)}
        took = time.monotonic() - began
        await gateway.post("msg_after", event(notifications_to(last)))
        assert await gateway.settled("msg_after", key) == {"delivered": len(last)}
        assert await gateway.terminate() == 0
    stats = sandbox.stats()
    # one to each environment, for both are reached at the start
    assert stats["connections_opened"]["apns"] == 2
    assert stats["by_status"]["apns"] == {"410": len(kept), "200": len(last)}
    assert await installation.installations("pruned") == set()
    figures(
        f"6000 x 410 and 10 x 200 on one connection, in {took:.1f} s; 0 pruned, 0 connections more"
    )
