"""Hooks at work: a store, and a receiver on loopback that fails, hangs, answers 410, or is away."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import pytest
from aiohttp import web

from gateway.app.clocks import SYSTEM
from gateway.core.clocks import Clocks
from gateway.core.hooks import Happened, Hook, Plan
from gateway.core.pace import Pace
from gateway.events import GatewayEvent, HookFailing, HookHeld, HookPosted
from gateway.hooks.following import Following
from gateway.hooks.hooking import Hooking
from gateway.hooks.posting import AT_ONCE, Process, Way
from gateway.hooks.standing import standing_of
from gateway.ports import HookRow
from providers.hook.addresses import target
from providers.hook.sending import HookSender
from tests.kit.build import NOW
from tests.kit.clocks import wall
from tests.kit.gateway import eventually
from tests.kit.receiver import KEY, Received, Receiver, hangs, receiving, says, takes
from tests.kit.stores import BACKENDS, Handle, register

QUICK = Pace(
    hook_end_s=0.05, hook_idle_s=0.02, hook_first_s=0.02, hook_follow_s=0.02, hook_trim_s=0.02
)
DAY_S = 86_400.0
CRM = Hook("crm", ("*",), identify=True)


@pytest.fixture(params=["sqlite", "postgres"])
async def handle(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Handle]:
    async with BACKENDS[request.param].open(tmp_path, lambda: NOW) as handle:
        yield handle


@dataclass
class Rig:
    """The hooks of one process. `ahead` moves its wall clock."""

    handle: Handle
    hooking: Hooking
    told: list[GatewayEvent] = field(default_factory=list)
    ahead: float = 0.0
    days: int = 60

    async def write(self, *names: str) -> None:
        await self.handle.store.hooks.write([happened(name, self.now) for name in names])

    @property
    def now(self) -> float:
        return time.time() + self.ahead

    async def row(self, hook: str = "crm") -> HookRow:
        rows = {row.id: row for row in await self.handle.store.hooks.rows()}
        return rows.get(hook, HookRow(hook))

    async def is_empty(self) -> bool:
        return all(not one.waiting for one in (await self.handle.store.hooks.counts()).values())


def happened(name: str, at: float) -> Happened:
    return Happened("learnink.user.joined", at, (name,), "mary", None, {"n": name})


def way(receiver: Receiver, hook: Hook = CRM, *, rate: float = 0.0, timeout_s: float = 5.0) -> Way:
    place = target(receiver.url, allow_private=True)

    def make() -> HookSender:
        return HookSender(place, [KEY], wall=time.time, allow_private=True, timeout_s=timeout_s)

    return Way(hook, rate, (receiver.port, timeout_s), make)


@asynccontextmanager
async def hooks(
    handle: Handle, *ways: Way, name: str = "me", pace: Pace = QUICK
) -> AsyncIterator[Rig]:
    faults: list[BaseException] = []
    told: list[GatewayEvent] = []
    ids = count()
    rig: Rig | None = None

    def now() -> float:
        return time.time() + (rig.ahead if rig is not None else 0.0)

    process = Process(
        name,
        lambda: f"{name}{next(ids)}",
        lambda: 0.5,
        told.append,
        Clocks(wall(now), SYSTEM.monotonic),
        pace,
    )
    store = handle.store.hooks
    following = Following(
        store, process, stale_after_days=lambda: rig.days if rig is not None else 0
    )
    hooking = Hooking(store, following, process, keep_s=14 * DAY_S, failed=faults.append)
    rig = Rig(handle, hooking, told)
    await hooking.learn(ways)
    try:
        yield rig
    finally:
        await hooking.aclose()
        assert faults == []


def names(receiver: Receiver) -> list[str]:
    return sorted(event["n"] for event in receiver.events)


async def test_what_waits_is_posted_in_signed_batches(handle: Handle) -> None:
    async with receiving() as receiver, hooks(handle, way(receiver)) as rig:
        await rig.write("a", "b")
        await eventually("both are taken", lambda: names(receiver) == ["a", "b"])
        await eventually("nothing waits", rig.is_empty)
    assert {one.hook for one in receiver.taken} == {"crm"}
    assert receiver.unsigned == 0


async def test_who_fails_gets_every_event_later_under_the_same_id(handle: Handle) -> None:
    failures = iter([500, 502, 404, 503])

    def answer(_received: Received) -> web.Response:
        return web.Response(status=next(failures, 200))

    async with receiving(answer=answer) as receiver, hooks(handle, way(receiver)) as rig:
        await rig.write("a")
        await eventually("it is taken at last", lambda: names(receiver) == ["a"])
        await eventually("nothing waits", rig.is_empty)
        assert len({one.id for one in receiver.seen}) == 1
        assert len(receiver.seen) == 5
        assert (await rig.row()).trouble == ""
    assert [one.reason != "" for one in rig.told if isinstance(one, HookFailing)] == [True, False]
    outcomes = [one.outcome for one in rig.told if isinstance(one, HookPosted)]
    assert outcomes == ["failed", "failed", "failed", "throttled", "taken"]


async def test_a_410_holds_it_and_a_person_lets_it_go(handle: Handle) -> None:
    async with receiving(answer=says(410)) as receiver, hooks(handle, way(receiver)) as rig:
        await rig.write("a")
        await eventually("it is held", lambda: any(isinstance(o, HookHeld) for o in rig.told))
        await rig.write("b")
        row = await rig.row()
        assert (row.held, standing_of(row).state) == ("gone", "held")
        assert "hooks resume crm" in standing_of(row).hint
        receiver.answer = takes
        assert await handle.store.hooks.resume("crm")
        await eventually("both are taken", lambda: names(receiver) == ["a", "b"])
    assert sum(one.events[0]["n"] == "a" for one in receiver.seen) == 2


async def test_a_hook_that_hangs_keeps_no_other_waiting(handle: Handle) -> None:
    async with receiving(answer=hangs) as slow, receiving() as quick:
        stuck = way(slow, Hook("slow", ("*",)), timeout_s=60.0)
        async with hooks(handle, stuck, way(quick)) as rig:
            for n in range(AT_ONCE + 3):
                await rig.write(f"{n}")
                await eventually("the other one took it", lambda n=n: f"{n}" in names(quick))
            assert slow.taken == []
            assert 0 < len(slow.seen) <= AT_ONCE


async def test_a_batch_that_is_refused_blocks_no_other(handle: Handle) -> None:
    def answer(received: Received) -> web.Response:
        return web.Response(status=400 if received.events[0]["n"] == "poison" else 200)

    one_each = Hook("crm", ("*",), batch=1)
    async with receiving(answer=answer) as receiver, hooks(handle, way(receiver, one_each)) as rig:
        await rig.write("poison", "a", "b", "c")
        await eventually("the others are taken", lambda: names(receiver) == ["a", "b", "c"])
        receiver.answer = takes
        await eventually("it is, too", lambda: len(names(receiver)) == 4)


async def test_a_process_that_ends_leaves_what_it_posts_to_the_next(handle: Handle) -> None:
    async with receiving(answer=hangs) as receiver:
        # its answer never comes; the hook is left when it ends
        async with hooks(handle, way(receiver, timeout_s=0.3), name="one") as rig:
            await rig.write("a")
            await eventually("it came there", lambda: len(receiver.seen) > 0)
        receiver.answer = takes
        async with hooks(handle, way(receiver), name="two") as rig:
            await eventually("the next one has it taken", lambda: names(receiver) == ["a"])
            await eventually("nothing waits", rig.is_empty)
        assert len({one.id for one in receiver.seen}) == 1


async def test_two_processes_post_each_event_once(handle: Handle) -> None:
    one_each = Hook("crm", ("*",), batch=2)
    async with (
        receiving() as receiver,
        hooks(handle, way(receiver, one_each), name="one") as rig,
        hooks(handle, way(receiver, one_each), name="two"),
    ):
        expected = [f"{n:02d}" for n in range(20)]
        for name in expected:
            await rig.write(name)
        await eventually("all are taken", lambda: len(names(receiver)) >= 20)
        await eventually("nothing waits", rig.is_empty)
        assert names(receiver) == expected


async def test_after_a_day_away_every_event_comes(handle: Handle) -> None:
    async with receiving(answer=says(503)) as receiver, hooks(handle, way(receiver)) as rig:
        for hour in range(24):
            seen = len(receiver.seen)
            rig.ahead = hour * 3600.0
            await rig.write(f"{hour:02d}")
            await eventually("it is tried", lambda seen=seen: len(receiver.seen) > seen)
        assert receiver.taken == []
        assert standing_of(await rig.row()).state == "failing"
        receiver.answer = takes
        rig.ahead = DAY_S
        await eventually("all came", lambda: len(names(receiver)) == 24)
        await eventually("nothing waits", rig.is_empty)
    assert len({one.id for one in receiver.taken}) == len(receiver.taken)


async def test_what_is_too_old_is_a_dead_letter_that_can_be_replayed(handle: Handle) -> None:
    aged = Hook("crm", ("*",), max_age_s=3600.0)
    async with receiving(answer=says(500)) as receiver, hooks(handle, way(receiver, aged)) as rig:
        await rig.write("a")
        await eventually("it is tried", lambda: len(receiver.seen) > 0)
        rig.ahead = 2 * 3600.0

        async def dead() -> bool:
            return len(await handle.store.hooks.dead("crm", limit=9)) == 1

        await eventually("it is dead", dead)
        receiver.answer = takes
        assert await handle.store.hooks.replay_dead("crm", None, now=rig.now) == 1
        await eventually("it is taken", lambda: names(receiver) == ["a"])


async def test_a_rate_is_kept(handle: Handle) -> None:
    one_each = Hook("crm", ("*",), batch=1)
    fast = receiving()
    async with fast as receiver, hooks(handle, way(receiver, one_each, rate=20.0)) as rig:
        began = time.monotonic()
        await rig.write("a", "b", "c", "d", "e")
        await eventually("all are taken", lambda: len(receiver.taken) == 5)
        assert time.monotonic() - began >= 4 / 20.0


async def test_a_reload_changes_only_what_changed(handle: Handle) -> None:
    sheet = Hook("sheet", ("*",))
    async with (
        receiving() as one,
        receiving() as two,
        hooks(handle, way(one), way(one, sheet)) as rig,
    ):
        await rig.write("a")
        await eventually("both hooks took it", lambda: len(one.taken) == 2)
        kept = rig.hooking._postings["crm"]
        await rig.hooking.learn([way(one), way(two, Hook("new", ("*",)))])
        assert rig.hooking._postings["crm"] is kept
        assert list(rig.hooking._postings) == ["crm", "new"]
        await rig.write("b")
        await eventually("who is left took it", lambda: len(one.taken) == 3)
        await eventually("the new one, too", lambda: names(two) == ["b"])
        poster = kept[0]._poster
        await rig.hooking.learn([way(two, Hook("crm", ("*",), batch=1))])
        assert rig.hooking._postings["crm"] is kept
        assert kept[0]._poster is not poster
        await rig.write("c")
        await eventually("it goes where it leads now", lambda: names(two) == ["b", "c"])
        await rig.hooking.learn([])
        assert handle.store.hooks.plan.hooks == Plan().hooks


async def test_who_falls_silent_is_told_of_once(handle: Handle) -> None:
    silent = Hook("crm", ("device.silent",), identify=True)
    await register(handle, "old", "a-1", now=time.time() - 100 * DAY_S)
    await register(handle, "phone", "a-2", now=time.time() - 50 * DAY_S)
    async with receiving() as receiver, hooks(handle, way(receiver, silent)) as rig:

        async def marked() -> bool:
            return (await rig.row()).silent_at is not None

        await eventually("it is followed from now on", marked)
        rig.ahead = 11 * DAY_S
        await eventually("it is told", lambda: len(receiver.events) > 0)
        rig.ahead = 13 * DAY_S

        async def later() -> bool:
            return ((await rig.row()).silent_at or 0.0) > rig.now - 61 * DAY_S

        await eventually("it was looked once more", later)
        await eventually("nothing waits", rig.is_empty)
    (event,) = receiver.events
    assert (event["type"], event["installation_id"]) == ("device.silent", "phone")
