"""A gateway whose machine has a wrong clock: from the start, for a while and for good. What it does
is right by the true time, which the sender, the vendors and the database have; and it says so.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import aiohttp
import jwt
import pytest

from gateway.app.clocks import SYSTEM
from gateway.app.timekeeping import Timekeeper
from gateway.core.clocks import Clocks, Monotonic, Wall
from gateway.core.model import UserRef
from gateway.ingest.schema import understand
from gateway.ports import PERSON, ClockRow
from providers.sandbox import Answer
from tests.kit.audience import Phone, notification
from tests.kit.gateway import JWT_SECRET, SECRET, eventually
from tests.kit.postgres import databases
from tests.kit.relay_rig import DAY_S, RelayRig, Running
from tests.kit.sender import event, signed

MARY = Phone("fcm", 1, 1)
JOMO = Phone("apns", 2, 2)
STEPS = {"+2 d": 172_800.0, "+1 h": 3_600.0, "-1 h": -3_600.0, "1970": -1_700_000_000.0}
OFF = pytest.mark.parametrize("off", STEPS.values(), ids=STEPS.keys())


@dataclass
class Machine:
    """Where the gateway runs: its clock is so many seconds ahead of the true time. `passed` is how
    much more time went by than in the test."""

    off: float = 0.0
    passed: float = 0.0

    def keeper(self) -> Timekeeper:
        return Timekeeper(
            Clocks(
                lambda: Wall(time.time() + self.off + self.passed),
                lambda: Monotonic(SYSTEM.monotonic() + self.passed),
            )
        )


@pytest.fixture(params=["sqlite", "postgres"])
async def site(request: pytest.FixtureRequest, rig: RelayRig) -> AsyncIterator[RelayRig]:
    if request.param == "sqlite":
        yield rig
        return
    async with databases().using(rig.folder) as url:
        rig.store_url = url
        yield rig


async def post(running: Running, message_id: str, *phones: Phone) -> tuple[int, dict[str, Any]]:
    body = event([notification(phone.owner) for phone in phones])
    url = f"http://127.0.0.1:{running.gateway.public_port}/webhooks/learnink"
    headers = signed(message_id, body, SECRET)
    async with aiohttp.ClientSession() as http, http.post(url, data=body, headers=headers) as got:
        if got.status == 503:
            assert got.headers["Retry-After"]
        return got.status, await got.json(content_type=None)


async def accepted(running: Running, message_id: str, *phones: Phone) -> None:
    """What the sender does: it repeats a message until it is taken."""

    async def taken() -> bool:
        status, said = await post(running, message_id, *phones)
        assert status == 200 or said["code"] == "clock_doubted"
        return status == 200

    await eventually(f"{message_id} is taken", taken)


async def clock_of(running: Running) -> dict[str, Any] | None:
    """What /readyz says of the clock, once a look at it is over."""
    await asyncio.sleep(1.1)
    url = f"http://127.0.0.1:{running.gateway.ops_port}/readyz"
    async with aiohttp.ClientSession() as http, http.get(url) as got:
        assert got.status == 200
        said: dict[str, Any] | None = (await got.json())["parts"].get("clock")
        return said


def lives(rig: RelayRig, phone: Phone) -> list[float]:
    """The seconds that the vendor was told each push to a phone may live."""
    told = []
    for push in rig.sent_to(phone):
        ttl = push.headers.get("ttl")
        left = float(ttl[:-1]) if ttl else float(push.headers["expiration"]) - push.at
        told.append(left)
    return told


async def check_delivered(rig: RelayRig, running: Running, event_id: str) -> None:
    assert await running.settled(event_id) == {"delivered": 2}
    for phone in (MARY, JOMO):
        (left,) = lives(rig, phone)
        assert left == pytest.approx(DAY_S, abs=5.0)
    for row in await running.rows(event_id):
        assert row.at == pytest.approx(time.time(), abs=10.0)


@OFF
async def test_a_clock_that_is_wrong_from_the_start(site: RelayRig, off: float) -> None:
    machine = Machine(off)
    async with site.gateway(site.settings(), timekeeper=machine.keeper()) as running:
        said = await clock_of(running)
        assert said is not None
        await running.register(MARY, JOMO)
        await accepted(running, "msg_1", MARY, JOMO)
        await check_delivered(site, running, "msg_1")
        said = await clock_of(running)
        assert said is not None
        assert said["state"] == "failing"
        assert f"{abs(off):.0f}"[:3] in said["reason"]
        assert running.gateway.timekeeper.offset == pytest.approx(-off, abs=5.0)
        machine.off = 0.0  # somebody sets it
        assert await clock_of(running) is None
        assert running.gateway.timekeeper.offset == 0


@OFF
async def test_a_clock_that_is_wrong_for_a_while(site: RelayRig, off: float) -> None:
    machine = Machine()
    site.sandbox.script(MARY.address, Answer.ok())
    async with site.gateway(site.settings(), timekeeper=machine.keeper()) as running:
        await running.register(MARY, JOMO)
        for app in ("fcm", "apns"):
            await running.stores.lanes.hold("demo", app, "", by="operator", reason="", now=0.0)
        await accepted(running, "msg_1", MARY, JOMO)
        machine.off = off
        said = await clock_of(running)
        assert said is not None
        for app in ("fcm", "apns"):
            await running.stores.lanes.resume("demo", app, "", by="operator", now=0.0)
        await check_delivered(site, running, "msg_1")
        machine.off = 0.0
        assert await clock_of(running) is None


async def test_a_person_ends_the_doubt_where_nobody_else_can(rig: RelayRig) -> None:
    machine = Machine(7_200.0)
    keeper = machine.keeper()
    settings = rig.settings(fcm=None)
    async with rig.gateway(settings, timekeeper=keeper) as running:
        assert await clock_of(running) is None  # nobody says that it is wrong
        assert keeper.doubt() is not None
        assert (await post(running, "msg_1", JOMO))[0] == 503
        said = await clock_of(running)
        assert said is not None
        assert said["state"] == "doubted"
        assert "inkpush clock accept" in said["hint"]
        machine.off = 0.0
        assert await clock_of(running) is not None
        await running.stores.store.times.report(ClockRow(PERSON, time.time()))
        await eventually("the doubt is over", lambda: keeper.doubt() is None)
        assert (await post(running, "msg_1", JOMO))[0] == 200
        machine.off = 3_600.0
        await eventually("it is doubted", lambda: keeper.doubt() is not None)
        assert (await post(running, "msg_2", JOMO))[0] == 200  # the time runs on


@OFF
async def test_what_fails_for_its_time_alone_is_no_refusal_while_in_doubt(
    rig: RelayRig, off: float
) -> None:
    machine = Machine(off)
    settings = rig.settings(fcm=None)
    async with rig.gateway(settings, timekeeper=machine.keeper()) as running:
        status, said = await post(running, "msg_1", JOMO)
        assert (status, said["code"]) == (503, "clock_doubted")
        url = f"http://127.0.0.1:{running.gateway.public_port}/v1/users/own-2/devices"
        now = time.time()
        for claims in ({"exp": now + 60}, {"nbf": now - 60}):
            fails = now + off >= claims.get("exp", now + off + 1) + 30
            fails = fails or now + off < claims.get("nbf", now + off) - 30
            token = jwt.encode({"sub": "own-2"} | claims, JWT_SECRET, "HS256")
            headers = {"Authorization": f"Bearer {token}"}
            async with aiohttp.ClientSession() as http, http.get(url, headers=headers) as got:
                assert got.status == (503 if fails else 200)


async def test_nothing_is_pruned_while_the_time_is_doubted(rig: RelayRig) -> None:
    machine = Machine()
    rig.sandbox.script(JOMO.address, Answer.unregistered())
    settings = rig.settings(fcm=None)
    async with rig.gateway(settings, timekeeper=machine.keeper()) as running:
        await running.register(JOMO)
        await accepted(running, "msg_0", MARY)  # which confirms the clock
        machine.off = 172_800.0
        assert await clock_of(running) is not None
        await running.queue_for("msg_1", [JOMO])
        assert await running.settled("msg_1") == {"refused": 1}
        assert (await running.device(JOMO)).state == "active"


async def test_what_moves_the_time_is_itself_dated_by_the_new_one(rig: RelayRig) -> None:
    """Its right date lies among the wrong ones: the clock was off by less than it was doubted."""
    machine = Machine(3_600.0, passed=-7_200.0)
    keeper = machine.keeper()
    async with rig.gateway(rig.settings(fcm=None), timekeeper=keeper) as running:
        machine.passed = 0.0
        keeper.look()
        keeper.told("another", time.time(), time.time() + 1.0)
        assert (await post(running, "msg_1", JOMO))[0] == 200
        await eventually("the time is known", lambda: keeper.doubt() is None)
        summary = await running.stores.journal.event("msg_1")
        assert summary is not None
        assert summary.event.received_at == pytest.approx(time.time(), abs=10.0)


@OFF
async def test_a_clock_that_is_set_after_the_start_is_gone_by_where_nobody_speaks(
    rig: RelayRig, off: float
) -> None:
    machine = Machine(off)
    keeper = machine.keeper()
    async with rig.gateway(rig.settings(fcm=None), timekeeper=keeper) as running:
        body = event([notification(JOMO.owner)])
        understood = understand("msg_1", body, received_at=keeper(), max_age_s=DAY_S)
        assert await running.stores.queue.accept(understood.event, understood.chunks)
        machine.off = 0.0  # NTP sets it
        assert await clock_of(running) is None
        assert keeper.doubt() is not None
        assert keeper() == pytest.approx(time.time(), abs=2.0)
        ((at,),) = rig.sql("SELECT received_at FROM events")
        assert at == pytest.approx(time.time(), abs=10.0)


@OFF
async def test_a_clock_that_is_set_while_the_gateway_restarts(rig: RelayRig, off: float) -> None:
    machine = Machine(off)
    settings = rig.settings(fcm=None)
    keeper = machine.keeper()
    async with rig.gateway(settings, timekeeper=keeper) as running:
        keeper.told("another", time.time(), time.time() + 1.0)
        await running.register(JOMO)
        await running.stores.lanes.hold("demo", "apns", "", by="operator", reason="", now=0.0)
        await clock_of(running)
        body = event([notification(JOMO.owner)], datetime.fromtimestamp(keeper(), UTC))
        understood = understand("msg_1", body, received_at=keeper(), max_age_s=DAY_S)
        assert await running.stores.queue.accept(understood.event, understood.chunks)
    keeper = Machine().keeper()
    async with rig.gateway(settings, timekeeper=keeper) as running:
        await clock_of(running)
        keeper.told("another", time.time(), time.time() + 1.0)
        await eventually("the time is known", lambda: keeper.doubt() is None)
        await running.stores.lanes.resume("demo", "apns", "", by="operator", now=0.0)
        running.gateway.wake()
        assert await running.settled("msg_1") == {"delivered": 1}
        (left,) = lives(rig, JOMO)
        assert left == pytest.approx(DAY_S, abs=10.0)
        assert {row.doubt for row in await running.stores.store.times.all()} == {""}


@pytest.mark.parametrize("off", [-600.0, -1_800.0], ids=["-10 min", "-30 min"])
@pytest.mark.parametrize("when", ["before the start", "before it is contradicted"])
async def test_what_waits_is_sent_by_a_clock_that_is_behind(
    rig: RelayRig, off: float, when: str
) -> None:
    """By so much that APNs takes its tokens still: they are good for an hour."""
    settings = rig.settings(fcm=None)

    async def comes(running: Running) -> None:
        body = event([notification(JOMO.owner)], datetime.now(UTC))
        understood = understand("msg_1", body, received_at=time.time(), max_age_s=DAY_S)
        assert await running.stores.queue.accept(understood.event, understood.chunks)

    async with rig.gateway(settings, timekeeper=Machine().keeper()) as running:
        await running.register(JOMO)
        await running.stores.lanes.hold("demo", "apns", "", by="operator", reason="", now=0.0)
        if when == "before the start":
            await comes(running)
    keeper = Machine(off).keeper()
    async with rig.gateway(settings, timekeeper=keeper) as running:
        await running.stores.lanes.resume("demo", "apns", "", by="operator", now=0.0)
        if when == "before it is contradicted":
            await clock_of(running)
            await comes(running)
            keeper.told("another", time.time(), time.time() + 1.0)
        running.gateway.wake()
        assert await running.settled("msg_1") == {"delivered": 1}
        assert keeper.doubt() is not None


async def test_leases_are_asked_for_anew_where_the_machine_was_paused(rig: RelayRig) -> None:
    """Its monotonic clock stood still, so the leases look good; its wall clock went on."""
    machine = Machine()
    keeper = machine.keeper()
    async with rig.gateway(rig.settings(fcm=None), timekeeper=keeper) as running:
        relay = running.gateway.relay
        assert relay is not None
        assert not relay._leases._doubted.is_set()
        machine.off = 3_600.0
        before = relay._leases._doubted_at
        keeper.look()
        assert relay._leases._doubted_at > before


@pytest.mark.parametrize("wrong", ["this clock", "another's", "another's, and it was killed"])
async def test_dates_are_judged_once_the_time_is_known(rig: RelayRig, wrong: str) -> None:
    """A clock that is behind sees dates of the future, and they are none: no brake outlasts it."""
    settings = rig.settings(fcm=None)
    async with rig.gateway(settings, timekeeper=Machine().keeper()) as running:
        await running.register(JOMO)
        ahead = 0.0 if wrong == "this clock" else 7_200.0
        rig.sql("UPDATE devices SET last_seen_at = ?", time.time() + ahead)
        if wrong == "another's, and it was killed":
            await running.stores.store.registry.erase(UserRef("else"), now=time.time() + ahead)
    machine = Machine(-3_600.0 if wrong == "this clock" else 0.0)
    keeper = machine.keeper()

    async def is_braked() -> bool:
        return any(row.brake_at is not None for row in await running.stores.lanes.all())

    async with rig.gateway(settings, timekeeper=keeper) as running:
        await asyncio.sleep(1.1)
        assert not await is_braked()
        for witness in ("one", "another"):
            keeper.told(witness, time.time(), time.time() + 1.0)
        await asyncio.sleep(2.5)
        found = [] if wrong == "this clock" else ["future"]
        assert await is_braked() == bool(found)
        assert [doubt.what for doubt in running.gateway.doubts] == found
        if wrong == "another's, and it was killed":  # it is told, though it is put right
            ((seen_at,),) = rig.sql("SELECT last_seen_at FROM devices")
            assert seen_at < time.time()
