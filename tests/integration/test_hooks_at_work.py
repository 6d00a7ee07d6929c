"""A gateway with hooks: pushes, phones and receipts are told to a receiver, and no push waits for
one."""

from __future__ import annotations

import json
from typing import Any

import aiohttp
import pytest

from config.settings import Settings
from gateway.app.settings import load
from gateway.core.model import UserRef
from gateway.core.pace import Pace
from gateway.errors import ConfigurationError
from providers.sandbox import Answer
from tests.kit.audience import Phone, androids, notification
from tests.kit.gateway import eventually, post_webhook
from tests.kit.receiver import SECRET, Receiver, hangs, receiving, says, takes
from tests.kit.relay_rig import RelayRig, Running

QUICK = Pace(
    hook_end_s=0.05,
    hook_idle_s=0.02,
    hook_first_s=0.02,
    hook_follow_s=0.05,
    depth_s=0.05,
    chain_s=0.05,
)
PHONES = androids(range(3))


def settings(rig: RelayRig, *hooks: dict[str, Any], **overrides: Any) -> Settings:
    """The rig's settings with these hooks."""
    rig.settings(**overrides)
    file = rig.folder / "inkpush.toml"
    tables = []
    for hook in hooks:
        values = {"secrets": [SECRET], "allow_private": True} | hook
        lines = [f"{name} = {json.dumps(value)}" for name, value in values.items()]
        tables.append("\n".join(["[[hooks]]", *lines]))
    file.write_text("\n".join([file.read_text(), *tables, ""]))
    return load(file, {})


def crm(receiver: Receiver, *events: str, **changed: Any) -> dict[str, Any]:
    values: dict[str, Any] = {"id": "crm", "url": receiver.url, "events": list(events) or ["*"]}
    return values | {"identify": True} | changed


async def readyz(running: Running) -> Any:
    url = f"http://127.0.0.1:{running.gateway.ops_port}/readyz"
    async with aiohttp.ClientSession() as client, client.get(url) as answer:
        return await answer.json()


async def metric(running: Running, name: str) -> float:
    url = f"http://127.0.0.1:{running.gateway.ops_port}/metrics"
    async with aiohttp.ClientSession() as client, client.get(url) as answer:
        lines = (await answer.text()).splitlines()
    return float(next(line for line in lines if line.startswith(name)).rpartition(" ")[2])


async def test_what_becomes_of_pushes_and_phones_is_told(rig: RelayRig) -> None:
    async with receiving() as receiver:
        hooks = settings(rig, crm(receiver))
        async with rig.gateway(hooks, QUICK) as running:
            await running.register(*PHONES)
            await running.queue("msg_1", [notification(n) for n in (0, 1, 9)])
            states = await running.settled("msg_1")
            assert states == {"delivered": 2, "no_device": 1}
            await eventually("all is told", lambda: len(receiver.events) >= 4)
            taken = 'inkpush_hook_deliveries_total{hook="crm",outcome="taken"}'
            assert await metric(running, taken) >= 1
            assert await metric(running, 'inkpush_hook_waiting{hook="crm"}') == 0
            assert (await readyz(running))["status"] == "ready"
    told = sorted((one["type"], one["item"], one["state"]) for one in receiver.events)
    assert told == [
        ("delivery.no_device", 2, "no_device"),
        ("delivery.settled", 0, "delivered"),
        ("delivery.settled", 1, "delivered"),
        ("delivery.settled", 2, "no_device"),
    ]
    (first,) = [one for one in receiver.events if one["item"] == 0]
    assert first["installation_id"] == PHONES[0].installation
    assert {first["user_id"], first["custom_id"]} & set(PHONES[0].user.values())
    shown = json.dumps([one.events for one in receiver.taken])
    for secret in ("title", "body", "/learning", PHONES[0].address):
        assert secret not in shown


async def learn(running: Running, event_id: str, event_type: str, **data: Any) -> None:
    """LearnInk tells of it, over HTTP."""
    url = f"http://127.0.0.1:{running.gateway.public_port}"
    body = json.dumps({"type": event_type, "data": data}).encode()
    async with aiohttp.ClientSession() as http:
        assert (await post_webhook(http, url, event_id, body)).status == 200


@pytest.mark.parametrize("bodies", [True, False])
async def test_learning_events_and_seals_of_their_chain_are_told_from_now_on(
    rig: RelayRig, bodies: bool
) -> None:
    wanted = ("learnink.user.course.*", "learning.sealed")
    async with receiving() as receiver:
        with_hook = settings(rig, crm(receiver, *wanted, bodies=bodies))
        async with rig.gateway(with_hook, QUICK) as running:

            async def follows() -> bool:
                rows = await running.stores.store.hooks.rows()
                return any(row.learnt and row.sealed for row in rows)

            await eventually("the hook stands at the end of the chain", follows)
            await learn(running, "msg_1", "user.course.completed", user_id="mary", course_id=7)
            await learn(running, "msg_2", "user.joined", user_id="mary")
            await eventually("it was told", lambda: len(receiver.events) >= 1)
            in_two_hours = running.clock() + 2 * 3_600
            assert await running.stores.store.learning.seal(now=in_two_hours) is not None
            await eventually("all was told", lambda: len(receiver.events) >= 2)
    told = {(one["type"], one.get("event_id")): one for one in receiver.events}
    completed = "learnink.user.course.completed"
    sealed = ("learning.sealed", None)
    assert set(told) == {(completed, "msg_1"), sealed}
    first = told[completed, "msg_1"]
    assert (first["user_id"], first["object"], first["source"]) == ("mary", "7", "learnink")
    assert ("body" in first) is bodies
    if bodies:
        assert first["body"]["data"]["course_id"] == 7
    assert (told[sealed]["number"], told[sealed]["events"]) == (2, 2)
    assert len(bytes.fromhex(told[sealed]["head"])) == 32


@pytest.mark.parametrize("answer", [hangs, says(500), says(302, Location="http://127.0.0.1:9/")])
async def test_a_hook_that_does_not_work_slows_no_push(rig: RelayRig, answer: Any) -> None:
    async with (
        receiving(answer=answer) as receiver,
        rig.gateway(settings(rig, crm(receiver, "delivery.settled")), QUICK) as running,
    ):
        await running.register(*PHONES)
        for n in range(3):
            await running.queue_for(f"msg_{n}", PHONES)
            assert await running.settled(f"msg_{n}") == {"delivered": 3}
        await running.empty()
        assert await metric(running, "inkpush_queue_depth") == 0
        counts = await running.stores.store.hooks.counts()
        assert counts["crm"].waiting == 9
        await eventually("it was tried", lambda: len(receiver.seen) > 0)
        if answer is not hangs:

            async def failing() -> bool:
                parts = (await readyz(running))["parts"]
                return bool(parts.get("hook/crm", {}).get("state") == "failing")

            await eventually("readyz says so", failing)
            assert (await readyz(running))["status"] == "degraded"
        receiver.answer = takes
    assert receiver.taken == []


async def test_what_waited_comes_after_a_restart(rig: RelayRig) -> None:
    async with receiving(answer=says(500)) as receiver:
        hooks = settings(rig, crm(receiver, "delivery.settled"))
        async with rig.gateway(hooks, QUICK) as running:
            await running.register(*PHONES)
            await running.queue_for("msg_1", PHONES)
            await running.settled("msg_1")
            await eventually("it was tried", lambda: len(receiver.seen) > 0)
        ids = {one.id for one in receiver.seen}
        receiver.answer = takes
        async with rig.gateway(hooks, QUICK):
            await eventually("all is told", lambda: len(receiver.events) == 3)
    assert ids <= {one.id for one in receiver.taken}


async def test_a_reload_brings_hooks_and_takes_them_away(rig: RelayRig) -> None:
    async with receiving() as receiver, rig.gateway(rig.settings(), QUICK) as running:
        await running.register(*PHONES)
        await running.queue_for("msg_1", PHONES)
        await running.settled("msg_1")
        assert not running.stores.store.hooks.plan.deliveries
        await running.reload(settings(rig, crm(receiver, "delivery.settled")))
        await running.queue_for("msg_2", PHONES)
        await running.settled("msg_2")
        await eventually("it is told", lambda: len(receiver.events) == 3)
        assert {one["event_id"] for one in receiver.events} == {"msg_2"}
        bad = settings(rig, crm(receiver, ca_file=str(rig.folder / "inkpush.toml")))
        with pytest.raises(ConfigurationError):
            await running.reload(bad)
        assert running.stores.store.hooks.plan.hooks["crm"].events == ("delivery.settled",)
        await running.reload(rig.settings())
        await running.queue_for("msg_3", PHONES)
        await running.settled("msg_3")
        assert await running.stores.store.hooks.counts() == {}


async def test_an_erase_is_told_and_what_waits_is_emptied(rig: RelayRig) -> None:
    async with (
        receiving() as receiver,
        rig.gateway(settings(rig, crm(receiver, "delivery.settled")), QUICK) as running,
    ):
        await running.register(*PHONES)
        await running.queue_for("msg_1", PHONES)
        await running.settled("msg_1")
        await eventually("it is told", lambda: len(receiver.events) == 3)
        receiver.answer = says(500)
        await running.queue_for("msg_2", PHONES)
        await running.settled("msg_2")
        user = UserRef(**PHONES[0].user)
        await running.stores.registry.erase(user, now=rig.clock())
        receiver.answer = takes
        await eventually("all is told", lambda: len(receiver.events) == 7)
    later = receiver.events[3:]
    gone = [one for one in later if one["type"] == "user.erased"]
    assert len(gone) == 1
    assert {gone[0]["user_id"], gone[0]["custom_id"]} & set(PHONES[0].user.values())
    named = [one for one in later if one not in gone]
    assert sum(bool(one.get("erased")) for one in named) == 1
    assert not any(value in json.dumps(named) for value in PHONES[0].user.values() if value)


async def test_a_pruned_phone_is_told(rig: RelayRig) -> None:
    dead = Phone("fcm", 7, 1)
    async with (
        receiving() as receiver,
        rig.gateway(settings(rig, crm(receiver, "device.pruned")), QUICK) as running,
    ):
        await running.register(dead)
        rig.sandbox.script(dead.address, Answer.unregistered())
        await running.queue_for("msg_1", [dead])
        assert await running.settled("msg_1") == {"pruned": 1}
        await eventually("it is told", lambda: len(receiver.events) == 1)
    (event,) = receiver.events
    assert (event["type"], event["installation_id"]) == ("device.pruned", dead.installation)
