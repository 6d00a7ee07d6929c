"""JetStream's consumer, deleted by somebody: what waits goes out without a hand, and how soon.

CONSUMER_CASES=all takes each moment with one relay and with two; else each with one of the two.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import nats
import pytest

from gateway.queue.nats.stream import CONSUMER
from providers.sandbox import Sandbox
from tests.kit.audience import Phone, androids, notifications_to
from tests.kit.figures import Figures
from tests.kit.fleet import Fleet, Replica, fleet, times_sent
from tests.kit.gateway import Installation, eventually
from tests.kit.nats_cluster import running_cluster
from tests.kit.sender import event

WAITING = 2_000
EVENTS = 4
EACH = WAITING // EVENTS


@dataclass
class Scene:
    """An ingest, so many relays once they are started, and phones to push to.

    `deleted_at` is when the consumer was deleted, `sent` how many were out by then; `began_at`,
    when all that a person does behind it was done.
    """

    fleet: Fleet
    sandbox: Sandbox
    ingest: Replica
    operator: Installation
    phones: Sequence[Phone]
    number: int
    relays: list[Replica] = field(default_factory=list)
    deleted_at: float = 0.0
    began_at: float = 0.0
    sent: int = 0

    async def start(self) -> None:
        """Start the relays."""
        for n in range(self.number):
            relay = await self.fleet.start(f"relay-{n}", "relay")
            self.relays.append(relay)

    async def accept(self) -> None:
        """Let all notifications come in."""
        for n in range(EVENTS):
            body = event(notifications_to(self.phones[n * EACH : (n + 1) * EACH]))
            assert (await self.ingest.post(f"msg_{n}", body)).json["status"] == "accepted"

    async def delete(self) -> None:
        """What `nats consumer rm` does."""
        client = await nats.connect(running_cluster().servers)
        try:
            await client.jetstream().delete_consumer(self.fleet.stream, CONSUMER)
        finally:
            await client.close()
        self.deleted_at, self.sent = time.time(), len(self.sandbox.pushes)

    async def person(self, verb: str) -> None:
        """Pause or resume the lane."""
        assert (await self.operator.run("lanes", verb, "demo/fcm")).status == 0


async def before_they_come(scene: Scene) -> None:
    await scene.start()
    await scene.delete()
    scene.began_at = scene.deleted_at
    await scene.accept()


async def in_full_flight(scene: Scene) -> None:
    scene.sandbox.latency_s, scene.sandbox.settings.stream_limit = 0.1, 50
    await scene.start()
    await scene.accept()
    await eventually("some are out", lambda: len(scene.sandbox.pushes) >= WAITING // 10)
    await scene.delete()
    scene.began_at = scene.deleted_at


async def behind_a_pause(scene: Scene) -> None:
    await scene.start()
    await scene.person("pause")
    await eventually(
        "all know", lambda: all(one.process.logged("lane paused") for one in scene.relays)
    )
    await scene.accept()

    async def all_wait() -> bool:
        return await scene.ingest.process.metric("inkpush_queue_depth") >= WAITING

    await eventually("all wait", all_wait)
    await scene.delete()
    await scene.person("resume")
    scene.began_at = time.time()


async def while_nobody_relays(scene: Scene) -> None:
    await scene.accept()
    await scene.delete()
    await scene.start()
    scene.began_at = time.time()


MOMENTS = (before_they_come, in_full_flight, behind_a_pause, while_nobody_relays)
EVERY = [(moment, relays) for moment in MOMENTS for relays in (1, 2)]
FEW = [(moment, 1 + number % 2) for number, moment in enumerate(MOMENTS)]
CASES = EVERY if os.environ.get("CONSUMER_CASES") == "all" else FEW


@pytest.mark.parametrize(
    ("moment", "relays"), CASES, ids=[f"{moment.__name__}-{relays}" for moment, relays in CASES]
)
async def test_two_thousand_go_out_after_their_consumer_was_deleted(
    tmp_path: Path,
    sandbox: Sandbox,
    figures: Figures,
    moment: Callable[[Scene], Awaitable[None]],
    relays: int,
) -> None:
    phones = androids(range(WAITING))
    async with fleet(tmp_path, sandbox) as site:
        site.common = {"apns": None, "fcm": {"rate_per_s": 0, "max_connections": 1}}
        operator = site.installation("operator")
        await operator.register(phones)
        key = await operator.key()
        ingest = await site.start("ingest", "ingest")
        scene = Scene(site, sandbox, ingest, operator, phones, relays)
        await moment(scene)
        await eventually("all are out", lambda: len(sandbox.pushes) >= WAITING)
        for n in range(EVENTS):
            assert await ingest.process.settled(f"msg_{n}", key) == {"delivered": EACH}
        out_at = max(push.at for push in sandbox.pushes)
    assert Counter(times_sent(sandbox.pushes).values()) == Counter({1: WAITING})
    figures(
        f"{WAITING - scene.sent} waited, {relays} relays: out {out_at - scene.deleted_at:.1f} s "
        "after the consumer was deleted, without a hand (wanted 10 s), none twice; of that, "
        f"processes that start or a command that resumes {scene.began_at - scene.deleted_at:.1f} s"
    )
