"""Trials: what may be what ends processes is worked on with nothing beside it, for a moment."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

import pytest

from gateway.core.states import DeliveryState
from gateway.events import ChunkBuried
from providers.sandbox import Answer
from tests.kit.audience import Phone, androids
from tests.kit.gateway import eventually
from tests.kit.relay_rig import RelayRig, Running
from tests.kit.stores import record

INGEST: dict[str, Any] = {"role": "ingest", "host": "127.0.0.1", "port": 0}
SUSPECT = "UPDATE queue SET tries = 2, claimed_at = ? WHERE event_id LIKE 'suspect%'"
TWENTY = "UPDATE queue SET tries = 22, lone_ends = 19, alone = 1, claimed_at = ?"


async def waiting(rig: RelayRig, phones: Iterable[Phone], kind: str = "suspect") -> list[str]:
    """One event for each of these phones, which no relay has seen yet."""
    names = []
    async with rig.running(server=INGEST) as ingest:
        for phone in phones:
            await ingest.register(phone)
            names.append(f"{kind}_{phone.owner}")
            await ingest.queue_for(names[-1], [phone])
    return names


def leased(rig: RelayRig) -> set[str]:
    rows = rig.sql("SELECT event_id FROM queue WHERE lease_id IS NOT NULL AND due_at > ?", 0)
    return {row[0] for row in rows}


async def all_delivered(running: Running, names: Sequence[str]) -> None:
    for name in names:
        assert await running.settled(name) == {"delivered": 1}


async def test_suspects_are_worked_on_one_by_one_and_before_all_others(rig: RelayRig) -> None:
    names = await waiting(rig, androids(range(8)))
    others = await waiting(rig, androids(range(100, 108)), "fresh")
    rig.sql(SUSPECT, rig.clock())
    rig.sandbox.latency_s = 0.1
    async with rig.running() as running:
        at_once: set[int] = set()
        beside: set[str] = set()

        def all_tried() -> bool:
            held = leased(rig)
            if held & set(names):
                at_once.add(len(held))
                beside.update(held - set(names))
            return not rig.sql("SELECT 1 FROM queue WHERE event_id LIKE 'suspect%'")

        await eventually("all suspects are through", all_tried, every_s=0.005)
        await all_delivered(running, [*names, *others])
        assert at_once == {1}
        assert beside == set()
    order = [push.address for push in rig.sandbox.pushes]
    suspects = {phone.address for phone in androids(range(8))}
    assert set(order[:8]) == suspects


async def test_a_suspect_that_the_process_lives_on_with_keeps_nobody_waiting(
    rig: RelayRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its vendor holds the answer back for longer than a trial lasts."""
    monkeypatch.setattr("gateway.relay.trials.TRIAL_S", 0.3)
    slow, slower = androids([1, 2])
    for phone in (slow, slower):
        rig.sandbox.script(phone.address, Answer.slow(20.0))
    names = await waiting(rig, [slow, slower])
    others = await waiting(rig, androids(range(100, 104)), "fresh")
    rig.sql(SUSPECT, rig.clock())
    async with rig.running(relay={"drain_s": 0.1}) as running:
        await all_delivered(running, others)
        absolved = "SELECT event_id FROM queue WHERE tries = 0 AND alone = 0 AND lone_ends = 0"
        assert sorted(row[0] for row in rig.sql(absolved)) == sorted(names)
        assert leased(rig) == set(names)


async def test_suspects_that_come_up_while_others_are_in_hand_have_their_turn(
    rig: RelayRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As another replica's do, or those of a process that stood still."""
    monkeypatch.setattr("gateway.relay.trials.TRIAL_S", 0.3)
    monkeypatch.setattr("gateway.relay.trials._PAUSE_S", 0.1)
    (hanging,) = androids([100])
    rig.sandbox.script(hanging.address, Answer.slow(20.0))
    async with rig.running(relay={"drain_s": 0.1}) as running:
        phones = androids(range(3))
        await running.register(hanging, *phones)
        await running.queue_for("fresh", [hanging])
        await rig.arrived(hanging)
        for phone in phones:
            await running.queue_for(f"suspect_{phone.owner}", [phone])
            rig.sql(SUSPECT, rig.clock())
        await all_delivered(running, [f"suspect_{phone.owner}" for phone in phones])
        assert leased(rig) == {"fresh"}


async def test_twenty_lone_ends_are_forgotten_after_an_hour(rig: RelayRig) -> None:
    names = await waiting(rig, androids([1]))
    rig.sql(TWENTY, rig.clock() - 3601)
    async with rig.running() as running:
        await all_delivered(running, names)
        assert running.told(ChunkBuried) == []


async def test_a_chunk_that_goes_on_is_not_given_up(rig: RelayRig) -> None:
    """Each process journals some of it before it ends: one day it is through."""
    phones = androids(range(2))
    async with rig.running(server=INGEST) as ingest:
        await ingest.register(*phones)
        await ingest.queue_for("msg_1", phones)
    rig.sql(TWENTY, rig.clock())
    async with rig.running(server=INGEST) as ingest:
        done = record("msg_1", 0, 1, at=rig.clock() + 1, day=rig.sql("SELECT day FROM queue")[0][0])
        await ingest.stores.journal.record([done], [])
    async with rig.running() as running:
        assert await running.settled("msg_1") == {"delivered": 2}
        assert running.told(ChunkBuried) == []
    assert rig.sent_to(phones[0]) == []


async def test_what_was_journaled_before_its_last_claim_is_no_progress(rig: RelayRig) -> None:
    phones = androids(range(2))
    async with rig.running(server=INGEST) as ingest:
        await ingest.register(*phones)
        await ingest.queue_for("msg_1", phones)
        done = record("msg_1", 0, 1, at=rig.clock() - 1, day=rig.sql("SELECT day FROM queue")[0][0])
        await ingest.stores.journal.record([done], [])
    rig.sql(TWENTY, rig.clock())
    async with rig.running() as running:
        # The first ends as a whole besides: nobody looks for another device of its user.
        assert await running.settled("msg_1") == {"delivered": 1, "dead": 2}
        (told,) = running.told(ChunkBuried)
        assert told.lone_ends == 20
        assert {row.state for row in await running.rows("msg_1")} == {
            DeliveryState.DELIVERED,
            DeliveryState.DEAD,
        }


async def test_a_process_that_ends_by_a_fault_of_its_own_gives_back_nothing(
    rig: RelayRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fault may be the chunk's."""

    async def fatal(*_args: object) -> None:
        raise RuntimeError("no process survives this")

    names = await waiting(rig, androids([1]))
    rig.sql(SUSPECT, rig.clock())
    with monkeypatch.context() as broken:
        async with rig.running() as running:
            broken.setattr(type(running.stores.registry), "targets", fatal)
            await eventually("the relay ends", lambda: bool(running.failures))
            running.failures.clear()
    assert rig.sql("SELECT tries, lone_ends, alone FROM queue") == [(3, 0, 1)]
    async with rig.running() as running:
        await all_delivered(running, names)


async def test_a_process_that_ends_in_order_leaves_no_suspect_behind(
    rig: RelayRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It had claimed the chunk, and was still looking its devices up."""
    asked = asyncio.Event()

    async def hangs(*_args: object) -> None:
        asked.set()
        await asyncio.Event().wait()

    await waiting(rig, androids([1]), "fresh")
    async with rig.running() as running:
        monkeypatch.setattr(type(running.stores.registry), "targets", hangs)
        await asyncio.wait_for(asked.wait(), 30)
        assert rig.sql("SELECT tries FROM queue") == [(1,)]
    assert rig.sql("SELECT tries, alone, lease_id FROM queue") == [(0, 0, None)]
