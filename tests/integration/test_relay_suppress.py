"""Reminders of what is done already, through the gateway: they end, wherever they wait."""

from __future__ import annotations

import asyncio
import json
import os
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest

from config.settings import Settings
from gateway.app.settings import load
from gateway.core.model import UserRef
from gateway.core.pace import Pace
from providers.sandbox import Answer
from tests.integration.test_relay_on_nats import on_nats
from tests.kit.audience import APP, Phone, notification
from tests.kit.gateway import eventually, post_webhook
from tests.kit.relay_rig import DAY_S, RelayRig, Running

MANY = int(os.environ.get("SUPPRESS_PUSHES", "400"))
SLOW = {"fcm": {"rate_per_s": 50.0, "ramp_s": 0}}
FEW = Pace(claim_chunks=1, backlog=150, chunk_items=50)
PHONE, OTHER = Phone("fcm", 1, 1), Phone("fcm", 2, 2)
RULE = {"on": "user.course.completed", "match": "data.course.path", "within_s": 3600}
WHY = "superseded by msg_done"


def settings(rig: RelayRig, **more: Any) -> Settings:
    """With the rule; a table in a list is not what the sandbox describes."""
    rig.settings(**more)
    file = rig.folder / "inkpush.toml"
    lines = [f"{name} = {json.dumps(value)}" for name, value in RULE.items()]
    file.write_text("\n".join([file.read_text(), "[[suppress]]", *lines, ""]))
    return load(file, {})


async def completes(
    running: Running,
    owner: int = 1,
    *,
    event_id: str = "msg_done",
    path: object = "/learning",
    ago_s: float = 0.0,
    event_type: str = "user.course.completed",
) -> int:
    """LearnInk tells of it, over HTTP."""
    at = datetime.fromtimestamp(running.clock() - ago_s, UTC)
    data = {"user_id": f"ink-{owner}", "course": {"path": path}}
    told = {"type": event_type, "timestamp": at.isoformat(), "data": data}
    url = f"http://127.0.0.1:{running.gateway.public_port}"
    async with aiohttp.ClientSession() as http:
        answer = await post_webhook(http, url, event_id, json.dumps(told).encode())
    return answer.status


def arrived(rig: RelayRig) -> int:
    return len(rig.sandbox.pushes)


async def reasons(running: Running, event_id: str = "msg_1") -> set[tuple[str, str]]:
    return {(row.state.value, row.reason) for row in await running.rows(event_id)}


async def test_what_comes_after_it_is_not_sent_and_all_else_is(rig: RelayRig) -> None:
    async with rig.gateway(settings(rig)) as running:
        await running.register(PHONE, OTHER)
        assert await completes(running) == 200
        elsewhere = notification(1) | {"path": "/news"}
        nowhere = notification(1) | {"path": None}
        await running.queue("msg_1", [notification(1), notification(2), elsewhere, nowhere])
        assert await running.settled("msg_1") == {"delivered": 3, "cancelled": 1}
        (row,) = [one for one in await running.rows("msg_1") if one.state == "cancelled"]
        assert (row.index, row.reason) == (0, WHY)


async def test_what_is_older_than_its_time_or_of_another_type_ends_nothing(rig: RelayRig) -> None:
    async with rig.gateway(settings(rig)) as running:
        await running.register(PHONE)
        await completes(running, ago_s=3 * DAY_S)
        await completes(running, event_id="msg_begun", event_type="user.course.started")
        await completes(running, event_id="msg_odd", path="")
        await running.queue("msg_1", [notification(1)])
        assert await running.settled("msg_1") == {"delivered": 1}


async def test_without_the_rule_nothing_is_kept_and_nothing_ends(rig: RelayRig) -> None:
    async with rig.running() as running:
        await running.register(PHONE)
        await completes(running)
        await running.queue("msg_1", [notification(1)])
        assert await running.settled("msg_1") == {"delivered": 1}
        assert rig.sql("SELECT count(*) FROM suppressions") == [(0,)]


async def test_a_reload_switches_it_on_and_off(rig: RelayRig) -> None:
    async with rig.running() as running:
        await running.register(PHONE)
        await running.reload(settings(rig))
        await completes(running)
        await running.queue("msg_1", [notification(1)])
        assert await running.settled("msg_1") == {"cancelled": 1}
        await running.reload(rig.settings())
        await running.queue("msg_2", [notification(1)])
        assert await running.settled("msg_2") == {"delivered": 1}


async def test_what_waits_in_a_lane_ends_and_nothing_starts_a_second_later(rig: RelayRig) -> None:
    async with rig.gateway(settings(rig, **SLOW)) as running:
        await running.register(PHONE)
        await running.queue("msg_1", [notification(1) for _ in range(MANY)])
        await eventually("some are out", lambda: arrived(rig) >= 5)
        await completes(running)
        await asyncio.sleep(1.3)
        sent = arrived(rig)
        assert await running.settled("msg_1") == {"delivered": sent, "cancelled": MANY - sent}
        assert arrived(rig) == sent
        assert await reasons(running) == {("delivered", ""), ("cancelled", WHY)}


async def test_what_waits_for_a_connection_ends(rig: RelayRig) -> None:
    rig.sandbox.settings.stream_limit = 1
    rig.sandbox.script(PHONE.address, Answer.slow(3.0), repeat_last=True)
    slow = {"fcm": {"rate_per_s": 0, "max_connections": 1}}
    async with rig.gateway(settings(rig, **slow)) as running:
        await running.register(PHONE)
        await running.queue("msg_1", [notification(1) for _ in range(10)])
        await eventually("the first is out", lambda: arrived(rig) >= 1)
        await completes(running)
        states = await running.settled("msg_1")
        assert arrived(rig) == states["delivered"] <= 2
        assert sum(states.values()) == 10


async def test_a_retry_that_is_due_much_later_ends_now_and_others_wait_on(rig: RelayRig) -> None:
    for phone in (PHONE, OTHER):
        rig.sandbox.script(phone.address, Answer.unavailable(3600), repeat_last=True)
    async with rig.gateway(settings(rig)) as running:
        await running.register(PHONE, OTHER)
        await running.queue("msg_1", [notification(1), notification(2)])
        await eventually("both are tried", lambda: arrived(rig) == 2)
        await running.queue("msg_2", [{}, notification(1), notification(1) | {"path": "/news"}])
        await eventually("all are tried", lambda: arrived(rig) == 4)
        await completes(running)
        done, waits = ("cancelled", WHY), ("pending", "UNAVAILABLE")

        async def ended() -> bool:
            both = [await reasons(running, event_id) for event_id in ("msg_1", "msg_2")]
            return both == [{done, waits}, {done, waits}]

        await eventually("what is done ends", ended)
        await asyncio.sleep(0.6)
        assert await ended()
        assert arrived(rig) == 4


async def test_what_waits_in_a_paused_lane_ends(rig: RelayRig) -> None:
    async with rig.gateway(settings(rig), FEW) as running:
        await running.register(PHONE)
        lanes = running.stores.lanes
        await lanes.hold(APP, "fcm", "", by="operator", reason="a mistake", now=running.clock())
        await eventually("it is paused", lambda: running.is_paused("fcm"))
        await running.queue("msg_1", [notification(1) for _ in range(300)])
        waits = "SELECT count(*) FROM queue WHERE lane <> ''"
        await eventually("it waits for the lane", lambda: rig.sql(waits) != [(0,)])
        await completes(running)
        assert await running.settled("msg_1") == {"cancelled": 300}
        assert running.is_paused("fcm")
        assert arrived(rig) == 0


@pytest.mark.parametrize("broker", [False, True])
async def test_on_two_replicas(shared_rig: RelayRig, broker: bool) -> None:
    """Each has some in its lanes, some are in the queue; one of them hears of it."""
    more: dict[str, Any] = {"queue": on_nats()} if broker else {}
    made = settings(shared_rig, **SLOW, **more)
    async with (
        shared_rig.gateway(made, FEW) as first,
        shared_rig.gateway(made, FEW) as second,
    ):
        await first.register(PHONE)
        await first.queue("msg_1", [notification(1) for _ in range(MANY)])
        await eventually(
            "both have some", lambda: all(one.backlog("fcm") for one in (first, second))
        )
        await completes(second)
        await asyncio.sleep(1.3)
        sent = arrived(shared_rig)
        assert await first.settled("msg_1") == {"delivered": sent, "cancelled": MANY - sent}
        assert arrived(shared_rig) == sent


async def test_after_an_erase_nothing_is_known_of_it(rig: RelayRig) -> None:
    async with rig.gateway(settings(rig)) as running:
        await completes(running)
        await running.stores.registry.erase(UserRef(user_id="ink-1"), now=running.clock())
        running.clock.ahead_s += 5
        await running.register(PHONE)
        await running.queue("msg_1", [notification(1)])
        assert await running.settled("msg_1") == {"delivered": 1}
