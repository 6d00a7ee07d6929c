"""Devices that come, go and change hands while a notification is on its way."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.core.pace import Pace
from gateway.core.states import DeliveryState
from providers.sandbox import Answer
from tests.kit.audience import Phone, androids, notification
from tests.kit.gateway import eventually
from tests.kit.relay_rig import RelayRig

ANDROID = Phone("fcm", 1, 1)
SECOND = Phone("fcm", 2, 1)


async def test_a_user_without_a_device_is_told_apart(rig: RelayRig) -> None:
    async with rig.running() as running:
        await running.register(ANDROID)
        await running.queue("msg_1", [notification(7), notification(1)])
        assert await running.settled("msg_1") == {"no_device": 1, "delivered": 1}
        nobody, _ = await running.rows("msg_1")
        assert (nobody.device_id, nobody.attempts, nobody.custom_id) == (0, 0, "own-7")
        await running.empty()


async def test_a_device_that_is_deleted_between_two_tries_gets_nothing_more(rig: RelayRig) -> None:
    rig.sandbox.script(ANDROID.address, Answer.unavailable(), Answer.ok())
    async with rig.running() as running:
        await running.register(ANDROID)
        await running.queue_for("msg_1", [ANDROID])
        await running.pending_for("msg_1", "UNAVAILABLE")
        await running.forget(ANDROID)
        rig.clock.ahead_s += 21
        row = await running.row("msg_1", "no_device")
        assert row.attempts == 1
        assert "deleted" in row.reason
        await running.empty()
    assert len(rig.sent_to(ANDROID)) == 1


async def test_a_device_of_another_user_by_now_does_not_get_the_first_ones_push(
    rig: RelayRig,
) -> None:
    rig.sandbox.script(ANDROID.address, Answer.unavailable(), Answer.ok())
    async with rig.running() as running:
        await running.register(ANDROID)
        await running.queue_for("msg_1", [ANDROID])
        await running.pending_for("msg_1", "UNAVAILABLE")
        await running.register(replace(ANDROID, owner=2))
        rig.clock.ahead_s += 21
        await running.row("msg_1", "no_device")
        await running.queue("msg_2", [notification(2)])
        assert await running.settled("msg_2") == {"delivered": 1}
    assert [push.data["event_id"] for push in rig.shown_by(ANDROID)] == ["msg_2"]


async def test_a_device_that_came_after_the_first_try_is_not_part_of_it(rig: RelayRig) -> None:
    rig.sandbox.script(ANDROID.address, Answer.unavailable(), Answer.ok())
    async with rig.running() as running:
        await running.register(ANDROID)
        await running.queue_for("msg_1", [ANDROID])
        await running.pending_for("msg_1", "UNAVAILABLE")
        await running.register(SECOND)
        rig.clock.ahead_s += 21
        assert await running.settled("msg_1") == {"delivered": 1}
    assert rig.sent_to(SECOND) == []


async def test_a_new_address_of_the_device_gets_the_second_try(rig: RelayRig) -> None:
    renewed = replace(ANDROID.registration(), address=SECOND.address)
    rig.sandbox.script(ANDROID.address, Answer.unavailable())
    async with rig.running() as running:
        await running.register(ANDROID)
        await running.queue_for("msg_1", [ANDROID])
        await running.pending_for("msg_1", "UNAVAILABLE")
        await running.stores.registry.register(renewed, proven=None, now=rig.clock())
        rig.clock.ahead_s += 21
        assert await running.settled("msg_1") == {"delivered": 1}
    assert len(rig.shown_by(SECOND)) == 1


async def test_a_device_of_an_app_that_is_not_configured_is_refused(rig: RelayRig) -> None:
    """Such a row was registered before the app was taken out of the configuration."""
    registration = replace(ANDROID.registration(), app="an-old-app")
    async with rig.running() as running:
        await running.register(SECOND)
        await running.stores.registry.register(registration, proven=None, now=rig.clock())
        await running.queue_for("msg_1", [ANDROID])
        assert await running.settled("msg_1") == {"refused": 1, "delivered": 1}
        (refused,) = [
            row for row in await running.rows("msg_1") if row.state == DeliveryState.REFUSED
        ]
        assert (refused.app, refused.attempts) == ("an-old-app", 0)
        assert "configuration" in refused.reason
        await running.empty()


async def test_a_scrape_tells_the_last_count_of_devices_and_does_not_count(
    rig: RelayRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with rig.running() as running:
        await running.register(*androids(range(3)))
        await running.gateway.device_counts.count()

        async def too_many(_registry: object) -> dict[tuple[str, str, str], int]:
            raise AssertionError("a hundred million devices take half a minute")

        # what a registry of that size does to who asks
        monkeypatch.setattr(type(running.stores.registry), "count", too_many)
        await running.gateway.gauges.refresh()
        told = running.gateway.metrics.render()[0].decode()
        assert 'inkpush_devices{app="demo",provider="fcm",state="active"} 3.0' in told


async def test_what_went_is_remembered_for_as_long_as_it_is_set(rig: RelayRig) -> None:
    def remembered() -> int:
        ((count,),) = rig.sql("SELECT count(*) FROM forgotten")
        return int(count)

    settings = rig.settings(devices={"keep_forgotten_days": 3})
    async with rig.gateway(settings, Pace(purge_s=0.02)) as running:
        await running.register(ANDROID, SECOND)
        await running.forget(ANDROID)
        rig.clock.ahead_s += 2 * 86_400
        await running.forget(SECOND)
        assert remembered() == 4
        rig.clock.ahead_s += 1.5 * 86_400
        await eventually("the older one is purged", lambda: remembered() == 2)
