"""A process that is killed again and again: nobody is given up for it but who is guilty."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

from gateway.core.suspects import MOST_LONE_ENDS
from providers.sandbox import Sandbox
from tests.kit.audience import Phone, androids, iphones, notifications_to
from tests.kit.figures import Figures
from tests.kit.gateway import Installation, Process, eventually
from tests.kit.sender import event

KILLS = 30
APART_S = 0.8
HALF = 1_500
HELD_S = 15.0
"""How long the vendors hold their answers: longer than any process lives."""
EVENT = "msg_crash_loop"


async def test_thirty_kills_while_vendors_hold_their_answers_give_up_nothing(
    installation: Installation, sandbox: Sandbox, figures: Figures
) -> None:
    audience = androids(range(HALF)) + iphones(range(HALF, 2 * HALF))
    await installation.register(audience)
    key = await installation.key()
    sandbox.latency_s = HELD_S
    for kill in range(KILLS):
        async with installation.serving() as gateway:
            if kill == 0:
                reply = await gateway.post(EVENT, event(notifications_to(audience)))
                assert reply.json["status"] == "accepted"
            await asyncio.sleep(APART_S)  # not a wait for anything: it is when the kill comes
            await gateway.kill()
    chunks, suspects, lone_ends = counts(installation.folder)
    assert chunks == 12
    sandbox.latency_s = 0.0
    async with installation.serving() as gateway:
        assert await gateway.settled(EVENT, key) == {"delivered": len(audience)}
        assert gateway.logged("chunk given up") == []
        assert await gateway.terminate() == 0
    assert {len(sandbox.phone(phone.address)) for phone in audience} == {1}
    figures(
        f"{KILLS} kills {APART_S} s apart, vendors hold their answers: {suspects} of {chunks} "
        f"chunks were suspects, with {lone_ends} lone ends at most; 0 of {len(audience)} given up, "
        "all delivered"
    )


async def test_a_chunk_that_ends_the_process_is_given_up_and_its_neighbours_go_out(
    installation: Installation, sandbox: Sandbox, figures: Figures
) -> None:
    """The process is gone as soon as one of its pushes reaches the vendor."""
    (poison,) = androids([0])
    neighbours = androids(range(1, 11))
    await installation.register([poison, *neighbours])
    key = await installation.key()
    deaths = 0
    names = ["msg_poison", *(f"msg_{number}" for number in range(10))]
    async with installation.serving({"INKPUSH_SERVER__ROLE": "ingest"}) as ingest:
        for name, phone in zip(names, [poison, *neighbours], strict=True):
            await ingest.post(name, event(notifications_to([phone])))
        assert await ingest.terminate() == 0
    # beside the others it ends each process before they are through
    sandbox.latency_s = 0.3
    while await ends(installation, sandbox, poison, key):
        deaths += 1
        assert deaths < 30
    async with installation.serving() as gateway:
        assert await gateway.settled("msg_poison", key) == {"dead": 1}
        for name in names[1:]:
            assert await gateway.settled(name, key) == {"delivered": 1}
        assert await gateway.terminate() == 0
    assert deaths == MOST_LONE_ENDS + 2
    assert {len(sandbox.phone(phone.address)) for phone in neighbours} == {1}
    figures(f"given up after {deaths} processes, its {len(neighbours)} neighbours delivered")


async def ends(installation: Installation, sandbox: Sandbox, poison: Phone, key: str) -> bool:
    """Let a process work, and end it when the poison goes out; False: it gave that up."""
    seen = len(sent_to(sandbox, poison))
    async with installation.serving() as gateway:

        async def decided() -> bool:
            return is_poisoned() or await is_given_up(gateway, key)

        def is_poisoned() -> bool:
            return len(sent_to(sandbox, poison)) > seen

        await eventually("it goes out, or is given up", decided, every_s=0.002)
        await gateway.kill()
        return is_poisoned()


async def is_given_up(gateway: Process, key: str) -> bool:
    return bool((await gateway.event("msg_poison", key))["settled"])


def sent_to(sandbox: Sandbox, phone: Phone) -> list[object]:
    return [push for push in sandbox.pushes if push.address == phone.address]


def counts(folder: Path) -> tuple[int, int, int]:
    """Chunks that wait, the suspects of them, and the most lone ends that one has."""
    with closing(sqlite3.connect(folder / "inkpush.db")) as connection:
        row: tuple[int, int, int] = connection.execute(
            "SELECT count(*), sum(tries >= 2), max(lone_ends + alone) FROM queue"
        ).fetchone()
    return row
