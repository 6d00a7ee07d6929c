"""A phone that was silent for long gets no push while its user has a fresher one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gateway.app.clocks import SYSTEM
from gateway.core.clocks import Clocks, Unsure
from gateway.core.model import Profile
from providers.sandbox import Answer
from tests.kit.audience import Phone, notification
from tests.kit.clocks import Believer, wall
from tests.kit.relay_rig import RelayRig, Running
from tests.kit.stores import hear

DAY = 86_400.0
OLD, NEW, THIRD = Phone("fcm", 1, 1), Phone("fcm", 2, 1), Phone("fcm", 3, 1)
ALONE = Phone("fcm", 9, 2)


async def seen(
    running: Running, phone: Phone, days: float, *, notifications: str | None = None, **fields: Any
) -> None:
    """A phone whose app registered so many days ago."""
    said = Profile(notifications=notifications)
    asked = replace(phone.registration(), profile=said, **fields)
    now = running.clock() - days * DAY
    await running.stores.registry.register(asked, proven=None, now=now)


def reached(rig: RelayRig, event_id: str = "msg_1") -> set[int]:
    return {
        phone.number
        for phone in (OLD, NEW, THIRD, ALONE)
        for push in rig.shown_by(phone)
        if push.data["event_id"] == event_id
    }


async def test_a_stale_phone_gets_nothing_beside_a_fresher_one_and_has_no_line(
    rig: RelayRig,
) -> None:
    async with rig.running() as running:
        await seen(running, OLD, 61)
        await seen(running, NEW, 1)
        await seen(running, ALONE, 400)
        await running.queue("msg_1", [notification(1), notification(2)])
        assert await running.settled("msg_1") == {"delivered": 2}
        assert len(await running.rows("msg_1")) == 2
    assert reached(rig) == {2, 9}


@pytest.mark.parametrize(
    ("phones", "got"),
    [
        ([(OLD, 61, None), (NEW, 1, "denied")], {1, 2}),
        ([(OLD, 61, "denied"), (NEW, 1, "granted")], {2}),
        ([(OLD, 59, None), (NEW, 1, None)], {1, 2}),
        ([(OLD, 90, None), (NEW, 70, None)], {2}),
        ([(OLD, 90, None), (NEW, 70, "denied"), (THIRD, 80, None)], {2, 3}),
        ([(OLD, 90, "denied"), (NEW, 70, "denied")], {1, 2}),
    ],
)
async def test_a_muted_phone_is_sent_to_and_takes_no_others_place(
    phones: list[tuple[Phone, float, str | None]], got: set[int], rig: RelayRig
) -> None:
    async with rig.running() as running:
        for phone, days, notifications in phones:
            await seen(running, phone, days, notifications=notifications)
        await running.queue("msg_1", [notification(1)])
        assert await running.settled("msg_1") == {"delivered": len(got)}
    assert reached(rig) == got


async def test_a_phone_that_nothing_can_be_sent_to_takes_no_others_place(rig: RelayRig) -> None:
    async with rig.running() as running:
        await seen(running, OLD, 90)
        await seen(running, NEW, 1)
        await seen(running, THIRD, 1, app="an-old-app")
        rig.sql("UPDATE devices SET platform = 'watch' WHERE installation_id = 'fcm-2'")
        await running.queue("msg_1", [notification(1)])
        assert await running.settled("msg_1") == {"delivered": 1, "dead": 1, "refused": 1}
    assert reached(rig) == {1}


async def test_a_receipt_and_a_registration_bring_a_stale_phone_back(rig: RelayRig) -> None:
    async with rig.running() as running:
        await seen(running, OLD, 90)
        await seen(running, NEW, 1)
        old = await running.device(OLD)
        await hear(running.stores.store, {old.id: running.clock() - 3 * DAY})
        await running.queue("msg_1", [notification(1)])
        assert await running.settled("msg_1") == {"delivered": 2}
        rig.clock.ahead_s += 61 * DAY
        await running.register(NEW)
        await running.queue("msg_2", [notification(1)])
        assert await running.settled("msg_2") == {"delivered": 1}
        await running.register(OLD)
        await running.queue("msg_3", [notification(1)])
        assert await running.settled("msg_3") == {"delivered": 2}


async def test_an_import_without_a_time_is_stale_only_when_it_was_here_for_so_long(
    rig: RelayRig,
) -> None:
    async with rig.running() as running:
        line = replace(OLD.registration(), seen_at=0.0)
        await running.stores.registry.register_many([line], now=running.clock())
        await running.register(NEW)
        rig.clock.ahead_s += 59 * DAY
        await running.register(NEW)
        await running.queue("msg_1", [notification(1)])
        assert await running.settled("msg_1") == {"delivered": 2}
        rig.clock.ahead_s += 2 * DAY
        await running.queue("msg_2", [notification(1)])
        assert await running.settled("msg_2") == {"delivered": 1}
    assert reached(rig, "msg_2") == {2}


async def test_what_was_begun_goes_on_when_a_fresher_phone_comes(rig: RelayRig) -> None:
    rig.sandbox.script(OLD.address, Answer.unavailable(), Answer.ok())
    async with rig.running() as running:
        await seen(running, OLD, 90)
        await running.queue("msg_1", [notification(1)])
        await running.pending_for("msg_1", "UNAVAILABLE")
        await running.register(NEW)
        rig.clock.ahead_s += 21
        assert await running.settled("msg_1") == {"delivered": 1}
    assert reached(rig) == {1}


async def test_after_how_many_days_is_a_setting_that_a_reload_changes(rig: RelayRig) -> None:
    async with rig.running(devices={"stale_after_days": 0}) as running:
        await seen(running, OLD, 1_000)
        await seen(running, NEW, 1)
        await running.queue("msg_1", [notification(1)])
        assert await running.settled("msg_1") == {"delivered": 2}
        await running.reload(rig.settings(devices={"stale_after_days": 1_001}))
        await running.queue("msg_2", [notification(1)])
        assert await running.settled("msg_2") == {"delivered": 2}
        await running.reload(rig.settings(devices={"stale_after_days": 999}))
        await running.queue("msg_3", [notification(1)])
        assert await running.settled("msg_3") == {"delivered": 1}


async def test_nothing_is_stale_while_the_time_is_doubted(rig: RelayRig) -> None:
    doubts = [Unsure(rig.clock() - DAY)]
    clocks = Clocks(
        wall(rig.clock), SYSTEM.monotonic, lambda: doubts[0] if doubts else None, given=True
    )
    async with rig.gateway(rig.settings(), timekeeper=Believer(clocks)) as running:
        await seen(running, OLD, 90)
        await seen(running, NEW, 1)
        await running.queue("msg_1", [notification(1)])
        assert await running.settled("msg_1") == {"delivered": 2}
        doubts.clear()
        await running.queue("msg_2", [notification(1)])
        assert await running.settled("msg_2") == {"delivered": 1}
    assert reached(rig, "msg_2") == {2}


async def test_who_is_silent_and_who_is_muted_is_measured(rig: RelayRig) -> None:
    async with rig.running() as running:
        await seen(running, OLD, 100, notifications="denied")
        await seen(running, NEW, 3)
        await running.gateway.audience.count()
        told = running.gateway.metrics.render()[0].decode()
    for line in (
        'inkpush_devices_muted{app="demo",platform="android"} 1.0',
        'inkpush_devices_muted{app="demo",platform="ios"} 0.0',
        'inkpush_devices_seen{app="demo",within="1d"} 0.0',
        'inkpush_devices_seen{app="demo",within="7d"} 1.0',
        'inkpush_devices_seen{app="demo",within="60d"} 1.0',
        'inkpush_devices_seen{app="demo",within="270d"} 2.0',
    ):
        assert line in told
