"""Connections that break under load: nothing is lost, only what may have been taken comes twice.

Half a thousand pushes are in flight when it happens; the sandbox takes each on arrival.
"""

from __future__ import annotations

import pytest

from gateway.app.vendors import VENDORS
from providers.sandbox import Answer
from tests.kit.audience import Phone, androids, iphones
from tests.kit.gateway import eventually
from tests.kit.relay_rig import RelayRig, Running

COUNT = 500
RETRY_S = 21.0
CANCEL = 8

EACH_VENDOR = pytest.mark.parametrize("provider", VENDORS)


def phones_of(provider: str) -> list[Phone]:
    return androids(range(COUNT)) if provider == "fcm" else iphones(range(COUNT))


async def each_had_its_verdict(running: Running) -> None:
    """Wait until each push has had its verdict."""

    async def journaled() -> bool:
        return len(await running.rows("msg_1")) == COUNT

    await eventually("no push is under way", lambda: not any(map(running.load, VENDORS)))
    await eventually("each push is on record", journaled)


@EACH_VENDOR
async def test_a_lost_connection_loses_nothing(rig: RelayRig, provider: str) -> None:
    phones = phones_of(provider)
    rig.sandbox.latency_s = 0.3
    async with rig.running() as running:
        await running.register(*phones)
        await running.queue_for("msg_1", phones)
        await eventually("a hundred are in flight", lambda: len(rig.sandbox.pushes) >= 100)
        assert rig.sandbox.drop_connections() > 0
        rig.sandbox.latency_s = 0.0
        await each_had_its_verdict(running)
        unclear = {
            phones[row.index].address
            for row in await running.rows("msg_1")
            if row.state == "pending"
        }
        assert unclear  # else it came too late to prove anything
        rig.clock.ahead_s += RETRY_S
        assert await running.settled("msg_1") == {"delivered": COUNT}
    # Each phone shows it once: a repeat comes under the same id and replaces the first.
    assert all(len(rig.shown_by(phone)) == 1 for phone in phones)
    # And only those came twice of which nobody knew.
    assert {phone.address for phone in phones if len(rig.sent_to(phone)) > 1} <= unclear


@EACH_VENDOR
async def test_a_connection_that_ends_in_order_repeats_nothing(
    rig: RelayRig, provider: str
) -> None:
    phones = phones_of(provider)
    rig.sandbox.latency_s = 0.2
    async with rig.running() as running:
        await running.register(*phones)
        await running.queue_for("msg_1", phones)
        await eventually("a hundred are in flight", lambda: len(rig.sandbox.pushes) >= 100)
        assert rig.sandbox.go_away() > 0
        rig.sandbox.latency_s = 0.0
        assert await running.settled("msg_1") == {"delivered": COUNT}
    assert rig.times_delivered() == {1: COUNT}


@EACH_VENDOR
async def test_streams_above_the_goaway_are_repeated_at_once(rig: RelayRig, provider: str) -> None:
    phones = phones_of(provider)
    last = phones[100]
    goaway = Answer.slow(0.2, Answer.goaway(process_current=False))
    rig.sandbox.script(last.address, goaway, Answer.ok())
    async with rig.running() as running:
        await running.register(*phones)
        await running.queue_for("msg_1", phones)
        # without the clock being moved: a wait of ten seconds would not be over
        assert await running.settled("msg_1") == {"delivered": COUNT}
        (row,) = [row for row in await running.rows("msg_1") if row.index == 100]
        assert row.attempts == 1  # the vendor never looked at the first
    assert rig.times_delivered() == {1: COUNT}


@EACH_VENDOR
async def test_refused_streams_come_again_and_were_never_taken(
    rig: RelayRig, provider: str
) -> None:
    phones = phones_of(provider)
    refused = phones[::10]
    for phone in refused:
        rig.sandbox.script(phone.address, Answer.reset(), Answer.ok())
    async with rig.running() as running:
        await running.register(*phones)
        await running.queue_for("msg_1", phones)
        await each_had_its_verdict(running)
        rig.clock.ahead_s += RETRY_S
        assert await running.settled("msg_1") == {"delivered": COUNT}
    assert rig.times_delivered() == {1: COUNT}
    assert {len(rig.sent_to(phone)) for phone in refused} == {2}


@EACH_VENDOR
async def test_streams_that_are_reset_after_they_were_taken_come_twice_under_one_id(
    rig: RelayRig, provider: str
) -> None:
    phones = phones_of(provider)
    unclear = phones[::10]
    for phone in unclear:
        rig.sandbox.script(phone.address, Answer.reset(CANCEL, taken=True), Answer.ok())
    async with rig.running() as running:
        await running.register(*phones)
        await running.queue_for("msg_1", phones)
        await each_had_its_verdict(running)
        assert await running.states("msg_1") == {
            "delivered": COUNT - len(unclear),
            "pending": len(unclear),
        }
        rig.clock.ahead_s += RETRY_S
        assert await running.settled("msg_1") == {"delivered": COUNT}
    assert rig.times_delivered() == {1: COUNT - len(unclear), 2: len(unclear)}
    assert all(len(rig.shown_by(phone)) == 1 for phone in phones)
