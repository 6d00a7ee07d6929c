"""What becomes of a push that its vendor does not take at once: tried again, given up, proven dead.

Where a vendor asks for ten seconds or for fifteen minutes, the test moves the clock.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.core.model import Record
from gateway.core.states import DeviceState
from gateway.events import LaneHeld
from providers.contract import Environment
from providers.sandbox import Answer
from tests.kit.audience import Phone, androids, iphones
from tests.kit.gateway import eventually
from tests.kit.relay_rig import RelayRig

ANDROID, IPHONE = Phone("fcm", 1, 1), Phone("apns", 1, 1)
DEVELOPER = replace(IPHONE, environment=Environment.SANDBOX)
BOTH = pytest.mark.parametrize("phone", [ANDROID, IPHONE], ids=["fcm", "apns"])


# --- tried again ---------------------------------------------------------------------------------


@BOTH
async def test_a_push_the_vendor_had_no_time_for_is_delivered_later(
    rig: RelayRig, phone: Phone
) -> None:
    rig.sandbox.script(phone.address, Answer.unavailable(), Answer.ok())
    async with rig.running() as running:
        await running.register(phone)
        await running.queue_for("msg_1", [phone])
        reason = "UNAVAILABLE" if phone is ANDROID else "ServiceUnavailable"
        row = await running.pending_for("msg_1", reason)
        # ten seconds at least, for the vendors ask for that, and as much again of jitter
        assert row.attempts == 1
        assert row.next_at is not None
        assert row.at + 10 <= row.next_at <= row.at + 21  # due times are rounded up

        rig.clock.ahead_s += 22
        assert (await running.row("msg_1", "delivered")).attempts == 2
        assert await running.settled("msg_1") == {"delivered": 1}
    assert [push.status for push in rig.sent_to(phone)] == [503, 200]
    assert len(rig.shown_by(phone)) == 1


@BOTH
async def test_the_attempts_that_failed_are_kept_with_the_vendors_word(
    rig: RelayRig, phone: Phone
) -> None:
    rig.sandbox.script(phone.address, Answer.unavailable(), Answer.ok())
    async with rig.running() as running:
        await running.register(phone)
        await running.queue_for("msg_1", [phone])
        reason = "UNAVAILABLE" if phone is ANDROID else "ServiceUnavailable"
        await running.pending_for("msg_1", reason)
        rig.clock.ahead_s += 22
        row = await running.row("msg_1", "delivered")
        await running.queue_for("msg_2", [phone])
        await running.row("msg_2", "delivered")
        keys = [row[:3], ("msg_2", 0, row.device_id)]
        found = await running.stores.journal.failures(keys)
    assert set(found) == {row[:3]}
    (attempt,) = found[row[:3]].last
    assert (attempt.verdict, attempt.word) == ("unavailable", reason)
    assert attempt.at < row.at


@pytest.mark.parametrize("provider", ["fcm", "apns"])
async def test_pushes_that_fail_together_wait_together(rig: RelayRig, provider: str) -> None:
    """Each with a wait of its own they would be as many chunks, which fill a queue at an outage."""
    phones = [Phone(provider, n, n) for n in range(200)]
    for phone in phones:
        rig.sandbox.script(phone.address, Answer.unavailable(), Answer.unavailable(), Answer.ok())
    async with rig.running() as running:
        await running.register(*phones)
        await running.queue_for("msg_1", phones)
        for attempt, longest in ((1, 22), (2, 1000)):

            async def left(attempt: int = attempt) -> bool:
                rows = await running.rows("msg_1")
                waiting = [row for row in rows if row.next_at is not None]
                return [row.attempts for row in waiting] == [attempt] * len(phones)

            await eventually("all wait", left)
            await eventually("settled", lambda: rig.sql("SELECT count(*) FROM queue") < [(8,)])
            rig.clock.ahead_s += longest
        assert await running.settled("msg_1") == {"delivered": len(phones)}


async def test_retry_after_is_a_floor(rig: RelayRig) -> None:
    rig.sandbox.script(ANDROID.address, Answer.unavailable(retry_after=300), Answer.ok())
    async with rig.running() as running:
        await running.register(ANDROID)
        await running.queue_for("msg_1", [ANDROID])
        row = await running.pending_for("msg_1", "UNAVAILABLE")
        assert row.next_at is not None
        assert row.next_at >= row.at + 300
        rig.clock.ahead_s += 311
        assert await running.settled("msg_1") == {"delivered": 1}


async def test_apple_gets_its_fifteen_minutes_before_a_third_try(rig: RelayRig) -> None:
    rig.sandbox.script(IPHONE.address, Answer.internal(), Answer.internal(), Answer.ok())
    async with rig.running() as running:
        await running.register(IPHONE)
        await running.queue_for("msg_1", [IPHONE])
        await running.pending_for("msg_1", "InternalServerError")
        rig.clock.ahead_s += 22
        await rig.arrived(IPHONE, 2)

        async def tried_twice() -> bool:
            return [row.attempts for row in await running.rows("msg_1")] == [2]

        await eventually("a second try is journaled", tried_twice)
        (row,) = await running.rows("msg_1")
        assert row.next_at is not None
        assert row.next_at >= row.at + 900
        rig.clock.ahead_s += 925
        assert (await running.row("msg_1", "delivered")).attempts == 3


@BOTH
async def test_what_was_never_looked_at_spends_no_attempt(rig: RelayRig, phone: Phone) -> None:
    """A connection that shuts down says nothing of the push: Apple's first 5xx after it is the
    first, and its next one the second."""
    shut = [Answer.goaway(process_current=False), Answer.reset()]
    broken = [Answer.internal(), *shut, Answer.internal()]
    rig.sandbox.script(phone.address, *shut, *broken, Answer.ok())
    async with rig.running(relay={"max_attempts": 3}) as running:
        await running.register(phone)
        await running.queue_for("msg_1", [phone])
        row = await running.row("msg_1", "pending")
        assert row.reason in ("INTERNAL", "InternalServerError")
        assert row.attempts == 1
        assert row.next_at is not None
        assert row.at + 10 <= row.next_at <= row.at + 21  # due times are rounded up

        rig.clock.ahead_s += 22

        async def tried_twice() -> bool:
            return [each.attempts for each in await running.rows("msg_1")] == [2]

        await eventually("a second try is journaled", tried_twice)
        (row,) = await running.rows("msg_1")
        assert row.next_at is not None
        assert row.next_at >= row.at + (900 if phone is IPHONE else 10)
        rig.clock.ahead_s += 925
        assert (await running.row("msg_1", "delivered")).attempts == 3


@BOTH
async def test_a_vendor_that_refuses_everything_is_asked_less_and_less_until_it_is_too_late(
    rig: RelayRig, phone: Phone
) -> None:
    rig.sandbox.script(phone.address, Answer.reset())
    async with rig.running(relay={"max_attempts": 2}) as running:
        await running.register(phone)
        await running.queue_for("msg_1", [phone], max_age_s=60)
        row = await running.pending_for("msg_1", "StreamRefused")
        # three times at once, and then one or two seconds later, and later still
        assert len(rig.sent_to(phone)) == 4
        for count, waited in ((5, 3.0), (6, 5.0)):
            assert row.attempts == 0
            assert row.next_at is not None
            assert row.at + 1 <= row.next_at
            rig.clock.ahead_s += waited
            await rig.arrived(phone, count)
            before = row

            async def again(before: Record = before) -> bool:
                return [each.at > before.at for each in await running.rows("msg_1")] == [True]

            await eventually("another try is journaled", again)
            (row,) = await running.rows("msg_1")
        assert row.next_at is not None
        assert row.next_at >= row.at + 4
        assert len(rig.sent_to(phone)) == 6
        rig.clock.ahead_s += 60
        row = await running.row("msg_1", "expired")
        assert row.attempts == 0
        assert await running.settled("msg_1") == {"expired": 1}


async def test_a_retry_keeps_its_id_and_prolongs_nothing(rig: RelayRig) -> None:
    """The answer was lost: the phone has the push, and its repeat replaces it there."""
    rig.sandbox.script(IPHONE.address, Answer.drop(taken=True), Answer.ok())
    async with rig.running() as running:
        await running.register(IPHONE)
        await running.queue_for("msg_1", [IPHONE])
        await running.row("msg_1", "pending")
        rig.clock.ahead_s += 22
        assert await running.settled("msg_1") == {"delivered": 1}
    first, second = rig.sent_to(IPHONE)
    assert first.id == second.id
    assert first.headers["expiration"] == second.headers["expiration"]
    assert len(rig.shown_by(IPHONE)) == 1


# --- given up ------------------------------------------------------------------------------------


async def test_what_fails_too_often_becomes_a_dead_letter_that_can_be_sent_again(
    rig: RelayRig,
) -> None:
    rig.sandbox.script(ANDROID.address, Answer.unavailable(), Answer.internal(), Answer.ok())
    async with rig.running(relay={"max_attempts": 2}) as running:
        await running.register(ANDROID)
        await running.queue_for("msg_1", [ANDROID], max_age_s=60)
        await running.pending_for("msg_1", "UNAVAILABLE")
        rig.clock.ahead_s += 22
        row = await running.row("msg_1", "dead")
        assert (row.attempts, row.reason) == (2, "INTERNAL")
        assert await running.settled("msg_1") == {"dead": 1}
        (letter,) = await running.stores.journal.dead(limit=10)
        assert (letter.event_id, letter.reason, letter.attempts) == ("msg_1", "INTERNAL", 2)
        assert (letter.item.title, letter.item.path) == ("Hi Mary!", "/learning")

        # the event's own life is over by then: a replay gives a new one
        rig.clock.ahead_s += 60
        replayed = await running.stores.queue.replay_dead(
            [letter.id], now=rig.clock(), max_age_s=3600
        )
        running.gateway.wake()
        assert replayed == 1
        assert await running.settled("msg_1") == {"delivered": 1}
        assert await running.stores.journal.dead(limit=10) == []
    assert len({push.collapse_id for push in rig.sent_to(ANDROID)}) == 1


@BOTH
async def test_what_the_vendor_will_never_take_is_refused_and_the_phone_stays(
    rig: RelayRig, phone: Phone
) -> None:
    answer = (
        Answer.status(
            400,
            "INVALID_ARGUMENT",
            details=[
                {
                    "@type": "type.googleapis.com/google.rpc.BadRequest",
                    "fieldViolations": [{"field": "message.notification.title"}],
                }
            ],
        )
        if phone is ANDROID
        else Answer.status(413, "PayloadTooLarge")
    )
    rig.sandbox.script(phone.address, answer)
    async with rig.running() as running:
        await running.register(phone)
        await running.queue_for("msg_1", [phone])
        assert (await running.row("msg_1", "refused")).attempts == 1
        assert (await running.device(phone)).state == DeviceState.ACTIVE
    assert len(rig.sent_to(phone)) == 1


# --- proven dead ---------------------------------------------------------------------------------


@BOTH
async def test_a_phone_that_the_vendor_calls_dead_is_pruned(rig: RelayRig, phone: Phone) -> None:
    rig.sandbox.script(phone.address, Answer.unregistered())
    async with rig.running() as running:
        await running.register(phone)
        await running.queue_for("msg_1", [phone])
        reason = (await running.row("msg_1", "pruned")).reason
        assert reason == ("UNREGISTERED" if phone is ANDROID else "Unregistered")
        device = await running.device(phone)
        assert (device.state, device.state_reason) == (DeviceState.PRUNED, reason)

        # it gets nothing more ...
        await running.queue_for("msg_2", [phone])
        await running.row("msg_2", "no_device")
        assert len(rig.sent_to(phone)) == 1
        # ... until the app registers it again
        rig.sandbox.script(phone.address, Answer.ok())
        await running.register(phone)
        await running.queue_for("msg_3", [phone])
        assert await running.settled("msg_3") == {"delivered": 1}


async def test_a_410_older_than_the_registration_keeps_the_phone(rig: RelayRig) -> None:
    async with rig.running() as running:
        before = int((rig.clock() - 60) * 1000)
        rig.sandbox.script(IPHONE.address, Answer.unregistered(timestamp_ms=before))
        await running.register(IPHONE)
        await running.queue_for("msg_1", [IPHONE])
        assert "before the latest registration" in (await running.row("msg_1", "refused")).reason
        assert (await running.device(IPHONE)).state == DeviceState.ACTIVE


@BOTH
async def test_a_phone_that_registers_before_the_verdict_comes_is_kept(
    rig: RelayRig, phone: Phone
) -> None:
    """The vendor speaks of the registration the push was sent to, not of the one since."""
    rig.sandbox.script(phone.address, Answer.slow(0.4, Answer.unregistered()))
    async with rig.running() as running:
        await running.register(phone)
        rig.clock.ahead_s += 1
        await running.queue_for("msg_1", [phone])
        await rig.arrived(phone)
        rig.clock.ahead_s += 1
        await running.register(phone)
        await running.row("msg_1", "refused")
        assert (await running.device(phone)).state == DeviceState.ACTIVE
        rig.sandbox.script(phone.address, Answer.ok())
        await running.queue_for("msg_2", [phone])
        assert await running.settled("msg_2") == {"delivered": 1}


async def test_a_verdict_about_an_old_address_does_not_touch_the_new_one(rig: RelayRig) -> None:
    renewed = replace(ANDROID.registration(), address=androids([2])[0].address)
    rig.sandbox.script(ANDROID.address, Answer.slow(0.4, Answer.unregistered()))
    async with rig.running() as running:
        await running.register(ANDROID)
        await running.queue_for("msg_1", [ANDROID])
        await rig.arrived(ANDROID)
        await running.stores.registry.register(renewed, proven=None, now=rig.clock())
        await running.row("msg_1", "refused")
        device = await running.device(ANDROID)
        assert (device.address, device.state) == (renewed.address, DeviceState.ACTIVE)


# --- the other APNs environment ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("phone", "knows"),
    [(IPHONE, Environment.SANDBOX), (DEVELOPER, Environment.PRODUCTION)],
    ids=["a developer's phone", "a customer's phone"],
)
async def test_a_token_of_the_other_environment_is_tried_there_and_remembered(
    rig: RelayRig, phone: Phone, knows: Environment
) -> None:
    rig.sandbox.only_in(knows.value, phone.address)
    async with rig.running() as running:
        await running.register(phone)
        await running.queue_for("msg_1", [phone])
        assert (await running.row("msg_1", "delivered")).attempts == 2
        await running.empty()
        assert (await running.device(phone)).environment == knows
        await running.queue_for("msg_2", [phone])
        assert (await running.row("msg_2", "delivered")).attempts == 1
    environments = [push.environment for push in rig.sent_to(phone)]
    assert environments == [knows.other, knows, knows]
    # the first two are one delivery
    assert len({push.id for push in rig.sent_to(phone)}) == 2


async def test_a_token_that_neither_environment_knows_is_quarantined(rig: RelayRig) -> None:
    rig.sandbox.script(IPHONE.address, Answer.bad_token())
    async with rig.running() as running:
        await running.register(IPHONE)
        await running.queue_for("msg_1", [IPHONE])
        assert (await running.row("msg_1", "refused")).reason == "BadDeviceToken"
        device = await running.device(IPHONE)
        assert (device.state, device.environment) == (
            DeviceState.QUARANTINED,
            Environment.PRODUCTION,
        )
        await running.queue_for("msg_2", [IPHONE])
        await running.row("msg_2", "no_device")
    assert [push.environment for push in rig.sent_to(IPHONE)] == ["production", "sandbox"]


@pytest.mark.parametrize(
    "phone", [DEVELOPER, IPHONE], ids=["key for sandbox", "key for production"]
)
async def test_a_key_for_one_environment_only_does_not_pause_the_lane(
    rig: RelayRig, phone: Phone
) -> None:
    """The try in the other environment tells of the key, and nothing of the lane.

    The token stays unknown, and is not tried in both environments again at the next push.
    """
    wrong_key = Answer.status(403, "BadEnvironmentKeyIdInToken")
    rig.sandbox.script(phone.address, Answer.bad_token(), wrong_key)
    others = iphones(range(2, 12))
    async with rig.running() as running:
        await running.register(phone, *others)
        await running.queue_for("msg_1", [phone])
        assert (await running.row("msg_1", "refused")).reason == "BadEnvironmentKeyIdInToken"
        assert (await running.device(phone)).state == DeviceState.QUARANTINED
        await running.queue_for("msg_2", others)
        assert await running.settled("msg_2") == {"delivered": 10}
        assert running.told(LaneHeld) == []
