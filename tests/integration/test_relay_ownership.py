"""Phones that change hands while pushes for their former users wait, in every way a phone can.

A change by the registry alone is what commands and other replicas make: what waits longer than a
second finds out. One that this process is told of counts at once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from gateway.core.model import UserRef
from providers.sandbox import Answer
from tests.kit.audience import Phone, notification
from tests.kit.gateway import eventually
from tests.kit.relay_rig import RelayRig, Running

PHONE = Phone("fcm", 1, 1)
OTHER = Phone("fcm", 2, 2)
WAITING = 60
RATE = 8.0
SLOW = {"fcm": {"rate_per_s": RATE, "ramp_s": 0}}

Change = Callable[[Running], Awaitable[object]]


async def moved(running: Running) -> object:
    """Another user logs in on the phone."""
    return await running.stores.registry.register(
        replace(PHONE, owner=2).registration(), proven=None, now=running.clock()
    )


async def moved_to_another_installation(running: Running) -> object:
    """The app was installed anew, for another user, and got the same token."""
    asked = replace(replace(PHONE, owner=2).registration(), installation_id="another")
    return await running.stores.registry.register(asked, proven=None, now=running.clock())


async def logged_out(running: Running) -> object:
    now = running.clock()
    return await running.stores.registry.forget(PHONE.installation, proven=None, now=now)


async def erased(running: Running) -> object:
    return await running.stores.registry.erase(UserRef(**PHONE.user), now=running.clock())


CHANGES = [moved, moved_to_another_installation, logged_out, erased]


def arrived(rig: RelayRig) -> int:
    return len(rig.sent_to(PHONE))


async def many_wait(rig: RelayRig, running: Running) -> None:
    """Some of the pushes for the phone's user are out, the others wait."""
    await running.register(PHONE)
    await running.queue("msg_1", [notification(1) for _ in range(WAITING)])
    await eventually("some are out", lambda: arrived(rig) >= 2)


@pytest.mark.parametrize("change", CHANGES)
async def test_what_waits_in_a_lane_finds_out_within_a_second(
    rig: RelayRig, change: Change
) -> None:
    async with rig.running(**SLOW) as running:
        await many_wait(rig, running)
        await change(running)
        before = arrived(rig)

        states = await running.settled("msg_1")

        # a second's worth, and one that was on its way; the pushes that nobody got name a reason
        assert arrived(rig) <= before + RATE + 2
        assert states.keys() == {"delivered", "no_device"}
        assert states["delivered"] == arrived(rig)
        reasons = {row.reason for row in await running.rows("msg_1") if row.state == "no_device"}
        assert reasons <= {"the device was deleted, pruned or moved to another user", "erased"}


@pytest.mark.parametrize("change", CHANGES)
async def test_what_this_process_is_told_of_counts_at_once(rig: RelayRig, change: Change) -> None:
    async with rig.running(**SLOW) as running:
        await many_wait(rig, running)
        done = await change(running)
        running.gateway.changed(_devices(done))
        before = arrived(rig)

        await running.settled("msg_1")

        assert arrived(rig) <= before + 1  # it was on its way


def _devices(done: object) -> list[int]:
    """Which devices a change was about, as each kind of it says."""
    for name in ("changed", "devices"):
        if hasattr(done, name):
            return list(getattr(done, name))
    assert isinstance(done, list)
    return done


async def test_what_waits_for_a_connection_finds_out(rig: RelayRig) -> None:
    """Nothing leaves while the vendor takes one push at a time, for three seconds each."""
    rig.sandbox.settings.stream_limit = 1
    rig.sandbox.script(PHONE.address, Answer.slow(3.0), repeat_last=True)
    limits = {"rate_per_s": 0, "max_connections": 1}
    async with rig.running(fcm=limits) as running:
        await running.register(PHONE)
        await running.queue("msg_1", [notification(1) for _ in range(10)])
        await eventually("the first is out", lambda: arrived(rig) >= 1)
        await moved(running)
        await running.settled("msg_1")
        assert arrived(rig) <= 2


async def test_a_new_address_gets_what_waits_for_the_old_one(rig: RelayRig) -> None:
    renewed = replace(PHONE.registration(), address=OTHER.address)
    async with rig.running(**SLOW) as running:
        await many_wait(rig, running)
        await running.stores.registry.register(renewed, proven=None, now=running.clock())
        before = arrived(rig)

        assert await running.settled("msg_1") == {"delivered": WAITING}
        assert arrived(rig) <= before + RATE + 2
        assert len(rig.sent_to(OTHER)) == WAITING - arrived(rig)
