"""Events that are cancelled while they wait, wherever that is, and what corrects them.

A cancellation by the store alone is what commands and other replicas make: what waits longer than a
second finds out. One that this process is told of counts at once.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import aiohttp
import pytest

from gateway.core.cancelling import NO_LIFE, Cancelled, written
from gateway.core.model import UserRef, delivery_id
from gateway.core.pace import Pace
from gateway.devices.api_keys import key_digest, new_key
from gateway.devices.cancelling import cancel_event
from gateway.errors import AlreadyReplaced, NotReplayable
from gateway.ports import Cancelling
from providers.contract import Platform
from providers.sandbox import Answer, ReceivedPush
from tests.integration.test_relay_on_nats import on_nats
from tests.kit.audience import APP, Phone, androids, iphones, notification
from tests.kit.build import ALICE
from tests.kit.gateway import eventually
from tests.kit.relay_rig import DAY_S, RelayRig, Running

MANY = int(os.environ.get("CANCEL_PUSHES", "1500"))
RATE = 100.0
SLOW = {"fcm": {"rate_per_s": RATE, "ramp_s": 0}}
#: one relay does not take all
FEW = Pace(claim_chunks=1, backlog=300)
PHONE, OTHER = Phone("fcm", 1, 1), Phone("fcm", 2, 2)
RIGHT = {"title": "The right one", "body": "At five", "path": "/right"}


async def cancel(
    running: Running, event_id: str = "msg_1", texts: dict[str, Any] | None = None, **more: Any
) -> Cancelled:
    """What a command does, or another replica: this process is not told."""
    asked = Cancelling(
        at=running.clock(),
        max_age_s=DAY_S,
        replacement=None if texts is None else written(texts),
        act=ALICE.does("events.cancel", event_id, at=running.clock()),
        correct=ALICE.does("events.correct", event_id, at=running.clock()),
        **more,
    )
    stores = running.stores
    done = await cancel_event(stores.store.cancels, stores.queue, event_id, asked)
    assert done is not None
    return done


def both_have_some(*relays: Running) -> bool:
    return all(one.backlog("fcm") for one in relays)


def arrived(rig: RelayRig) -> int:
    """How many pushes came to the vendors, but for corrections."""
    return sum(not push.data["event_id"].endswith(":r1") for push in rig.sandbox.pushes)


async def nothing_starts_after_a_second(rig: RelayRig) -> int:
    """Call this when a cancellation was answered. Returns how many had been sent by then; those of
    the last moment may still be under way."""
    await asyncio.sleep(1.3)
    return arrived(rig)


@pytest.mark.parametrize("is_told", [False, True])
async def test_what_waits_ends_and_nothing_starts_a_second_later(
    rig: RelayRig, is_told: bool
) -> None:
    async with rig.running(**SLOW) as running:
        await running.register(PHONE)
        await running.queue("msg_1", [notification(1) for _ in range(MANY)])
        await eventually("some are out", lambda: arrived(rig) >= 20)

        done = await cancel(running)
        if is_told:
            running.gateway.cancelled("msg_1")
        before = arrived(rig)
        sent = await nothing_starts_after_a_second(rig)
        states = await running.settled("msg_1")

        assert arrived(rig) == sent <= before + RATE + 2
        assert states == {"delivered": sent, "cancelled": MANY - sent}
        assert done.now.taken <= sent
        assert done.now.cancelled == MANY - done.now.taken
        reasons = {row.reason for row in await running.rows("msg_1") if row.state == "cancelled"}
        assert reasons == {"its event was cancelled"}


async def test_on_two_replicas(shared_rig: RelayRig) -> None:
    """Each has some in its lanes, some are in the queue; neither is told."""
    settings = shared_rig.settings(**SLOW)
    async with (
        shared_rig.gateway(settings, FEW) as first,
        shared_rig.gateway(settings, FEW) as second,
    ):
        await first.register(PHONE)
        await first.queue("msg_1", [notification(1) for _ in range(MANY)])
        await eventually("both have some", partial(both_have_some, first, second))
        await eventually("some are out", lambda: arrived(shared_rig) >= 20)

        done = await cancel(first)
        before = arrived(shared_rig)
        sent = await nothing_starts_after_a_second(shared_rig)
        states = await first.settled("msg_1")

        assert arrived(shared_rig) == sent <= before + RATE + 4
        assert states == {"delivered": sent, "cancelled": MANY - sent}
        assert done.now.cancelled + done.now.taken == MANY


async def test_on_two_replicas_with_a_broker(shared_rig: RelayRig) -> None:
    settings = shared_rig.settings(queue=on_nats(), **SLOW)
    async with (
        shared_rig.gateway(settings, FEW) as first,
        shared_rig.gateway(settings, FEW) as second,
    ):
        await first.register(PHONE)
        await first.queue("msg_1", [notification(1) for _ in range(1200)])
        await eventually("both have some", partial(both_have_some, first, second))
        await cancel(first, texts=RIGHT)
        sent = await nothing_starts_after_a_second(shared_rig)
        states = await first.settled("msg_1")
        assert states == {"delivered": sent, "cancelled": 1200 - sent}
        # as many corrections as were taken, to one phone: each in the place of its own
        assert await first.settled("msg_1:r1") == {"delivered": sent}
        shown = shared_rig.shown_by(PHONE)
        assert {push.title for push in shown} == {"The right one"}
        assert len(shown) == sent


async def test_by_the_api_of_one_of_two_replicas(shared_rig: RelayRig) -> None:
    settings = shared_rig.settings(**SLOW)
    async with (
        shared_rig.gateway(settings, FEW) as first,
        shared_rig.gateway(settings, FEW) as second,
    ):
        key, text = new_key("b", ["notifications:write"], now=first.clock(), random=os.urandom)
        await first.stores.keys.add(key, key_digest(text))
        await first.register(PHONE)
        await first.queue("msg_1", [notification(1) for _ in range(1500)])
        await eventually("both have some", partial(both_have_some, first, second))
        address = f"http://127.0.0.1:{second.gateway.public_port}/v1/events/msg_1/cancel"
        headers = {"Authorization": f"Bearer {text}"}
        async with aiohttp.ClientSession(headers=headers) as session:
            async with session.post(address, json={"replace": RIGHT, "reason": "wrong"}) as told:
                assert told.status == 200
                answer = await told.json()
            sent = await nothing_starts_after_a_second(shared_rig)
            states = await first.settled("msg_1")
            corrected = await first.settled("msg_1:r1")
            async with session.post(address) as told:
                assert await told.json() == answer
        assert answer["cancelled"] + answer["taken"] == 1500
        assert answer["replaced_by"] == "msg_1:r1"
        assert states == {"delivered": sent, "cancelled": 1500 - sent}
        assert corrected == {"delivered": sent}
        assert {push.title for push in shared_rig.shown_by(PHONE)} == {"The right one"}
        rows = await first.stores.audit.page(limit=10)
        assert {(row.what, row.origin, row.reason) for row in rows} == {
            ("events.cancel", "api", "wrong"),
            ("events.correct", "api", "wrong"),
        }


async def test_another_events_pushes_go_on(rig: RelayRig) -> None:
    async with rig.running(**SLOW) as running:
        await running.register(PHONE)
        await running.queue("msg_1", [notification(1) for _ in range(300)])
        await running.queue("msg_2", [notification(1) for _ in range(50)])
        await eventually("some are out", lambda: arrived(rig) >= 5)
        await cancel(running)
        assert await running.settled("msg_2") == {"delivered": 50}
        assert sum((await running.settled("msg_1")).values()) == 300


async def test_what_waits_in_a_paused_lane_ends(rig: RelayRig) -> None:
    async with rig.running() as running:
        await running.register(PHONE)
        await running.stores.lanes.hold(
            APP, "fcm", "", by="operator", reason="a mistake", now=running.clock()
        )
        await eventually("it is paused", lambda: running.is_paused("fcm"))
        await running.queue("msg_1", [notification(1) for _ in range(600)])
        await eventually(
            "it waits for the lane",
            lambda: rig.sql("SELECT count(*) FROM queue WHERE lane <> ''") != [(0,)],
        )

        done = await cancel(running)

        assert (done.now.cancelled, done.now.taken, done.now.until) == (600, 0, None)
        assert await running.settled("msg_1") == {"cancelled": 600}
        assert running.is_paused("fcm")
        await running.empty()
        assert arrived(rig) == 0


async def test_a_retry_that_is_due_much_later_ends_now(rig: RelayRig) -> None:
    rig.sandbox.script(PHONE.address, Answer.unavailable(3600), repeat_last=True)
    async with rig.running() as running:
        await running.register(PHONE)
        await running.queue("msg_1", [notification(1)])
        await running.pending_for("msg_1", "UNAVAILABLE")
        # its vendor said that it did not take it
        done = await cancel(running)
        assert (done.now.cancelled, done.now.taken) == (0, 0)
        assert await running.settled("msg_1") == {"cancelled": 1}
        assert arrived(rig) == 1


async def test_a_retry_that_comes_in_after_the_cancellation_is_not_left(rig: RelayRig) -> None:
    rig.sandbox.script(PHONE.address, Answer.slow(2.0, Answer.unavailable(3600)))
    async with rig.running() as running:
        await running.register(PHONE)
        await running.queue("msg_1", [notification(1)])
        await eventually("it is on its way", lambda: running.load("fcm") == 1)
        await asyncio.sleep(0.3)
        await cancel(running)
        assert await running.settled("msg_1") == {"cancelled": 1}


async def test_what_waits_for_a_connection_ends(rig: RelayRig) -> None:
    """Nothing leaves while the vendor takes one push at a time, for three seconds each."""
    rig.sandbox.settings.stream_limit = 1
    rig.sandbox.script(PHONE.address, Answer.slow(3.0), repeat_last=True)
    async with rig.running(fcm={"rate_per_s": 0, "max_connections": 1}) as running:
        await running.register(PHONE)
        await running.queue("msg_1", [notification(1) for _ in range(10)])
        await eventually("the first is out", lambda: arrived(rig) >= 1)
        await cancel(running)
        states = await running.settled("msg_1")
        assert arrived(rig) == states["delivered"] <= 2
        assert sum(states.values()) == 10


async def test_a_source_that_nobody_knows_is_no_reason_to_wait(rig: RelayRig) -> None:
    """And neither is a phone that is not there: what was cancelled ends as that."""
    async with rig.running() as running:
        await cancel_before_it_is_fanned_out(running)
        assert await running.settled("msg_1") == {"cancelled": 3}
        assert arrived(rig) == 0


async def cancel_before_it_is_fanned_out(running: Running) -> None:
    await running.register(PHONE)
    assert running.gateway.relay is not None
    leases = running.gateway.relay._leases
    leases._outdated = float("inf")  # what is claimed is left alone
    await running.queue("msg_1", [notification(1) for _ in range(3)])
    await cancel(running)
    leases._outdated = -float("inf")
    await running.stores.queue.let_go()


# --- corrections ----------------------------------------------------------------------------------


async def taken(running: Running, rig: RelayRig, phones: Sequence[Phone]) -> list[ReceivedPush]:
    """An event that all of these phones took."""
    await running.register(*phones)
    await running.queue_for("msg_1", phones)
    assert await running.settled("msg_1") == {"delivered": len(phones)}
    return [push for phone in phones for push in rig.sent_to(phone)]


async def test_a_correction_takes_the_place_of_what_the_phones_have(rig: RelayRig) -> None:
    browser = replace(PHONE, number=5, owner=5, runs_on=Platform.WEB)
    behind = replace(PHONE, number=6, owner=6, runs_on=Platform.IOS)
    phones = [*androids([1, 2]), *iphones([3, 4]), browser, behind]
    async with rig.running() as running:
        first = await taken(running, rig, phones)
        done = await cancel(running, texts=RIGHT)
        assert (done.now.cancelled, done.now.taken) == (0, len(phones))
        assert done.now.correction == "msg_1:r1"

        assert await running.settled("msg_1:r1") == {"delivered": len(phones)}

        for before, phone in zip(first, phones, strict=True):
            _, after = rig.sent_to(phone)
            assert after.collapse_id == before.collapse_id
            assert after.data["delivery_id"] != before.data["delivery_id"]
            assert after.data["event_id"] == "msg_1:r1"
            assert (after.title, after.body, after.data["path"]) == (*RIGHT.values(),)
            for name in ("topic", "collapse_key", "Topic", "apns-collapse-id"):
                assert after.headers.get(name) == before.headers.get(name)
            if phone.provider == "apns":
                assert after.id != before.id
            (shown,) = rig.shown_by(phone)
            assert shown.title == "The right one"
        summary = await running.stores.journal.event("msg_1:r1")
        assert summary is not None
        assert summary.event.notifications == len(phones)
        assert await running.stores.store.cancels.recent(since=running.clock() + 1) == []


async def test_what_a_correction_does_not_name_stays_as_it_was(rig: RelayRig) -> None:
    async with rig.running() as running:
        await taken(running, rig, [PHONE])
        await cancel(running, texts={"body": "At five"})
        await running.settled("msg_1:r1")
        (shown,) = rig.shown_by(PHONE)
        assert (shown.title, shown.body, shown.data["path"]) == ("Hi Mary!", "At five", "/learning")


async def test_a_correction_that_leaves_an_item_no_text_leaves_that_one_out(rig: RelayRig) -> None:
    other = notification(2) | {"body": ""}
    async with rig.running() as running:
        await running.register(PHONE, OTHER)
        await running.queue("msg_1", [notification(1), other])
        assert await running.settled("msg_1") == {"delivered": 2}
        await cancel(running, texts={"title": ""})
        assert await running.settled("msg_1:r1") == {"delivered": 1}
        (shown,) = rig.shown_by(PHONE)
        assert (shown.title, len(rig.sent_to(OTHER))) == ("", 1)
        summary = await running.stores.journal.event("msg_1:r1")
        assert summary is not None
        assert [one.reason for one in summary.event.rejections] == ["title and body are both empty"]


async def test_a_correction_goes_to_the_phones_that_took_it_and_to_no_other(rig: RelayRig) -> None:
    """One had taken it, one perhaps, one certainly not; one has another user by now, one came
    later."""
    took, perhaps, not_taken, moved = androids([1, 2, 3, 4])
    later = replace(took, number=9)
    rig.sandbox.script(perhaps.address, Answer.hang(taken=True), Answer.ok())
    rig.sandbox.script(not_taken.address, Answer.unavailable(3600), repeat_last=True)
    phones = [took, perhaps, not_taken, moved]
    async with rig.running(fcm={"rate_per_s": 0, "timeout_s": 1}) as running:
        await running.register(*phones)
        await running.queue_for("msg_1", phones)

        async def all_were_tried() -> bool:
            rows = await running.rows("msg_1")
            return sorted(row.state for row in rows) == ["delivered"] * 2 + ["pending"] * 2

        await eventually("all were tried", all_were_tried)
        done = await cancel(running, texts=RIGHT)
        await running.register(later, replace(moved, owner=8))
        assert (done.now.cancelled, done.now.taken) == (0, 3)
        assert await running.settled("msg_1") == {"delivered": 2, "cancelled": 2}

        assert await running.settled("msg_1:r1") == {"delivered": 2, "no_device": 1}

        titles = {phone: [push.title for push in rig.sent_to(phone)] for phone in phones}
        assert titles == {
            took: ["Hi Mary!", "The right one"],
            perhaps: ["Hi Mary!", "The right one"],
            not_taken: ["Hi Mary!"],
            moved: ["Hi Mary!"],
        }
        assert rig.sent_to(later) == []


async def test_a_correction_is_for_nobody_who_was_erased_and_names_nobody_who_is(
    rig: RelayRig,
) -> None:
    async with rig.running() as running:
        await taken(running, rig, [PHONE, OTHER])
        registry, erasures = running.stores.registry, running.stores.store.erasures
        await registry.erase(UserRef(**PHONE.user), now=running.clock())
        await cancel(running, texts=RIGHT)
        assert await running.settled("msg_1:r1") == {"delivered": 1}
        assert [len(rig.sent_to(phone)) for phone in (PHONE, OTHER)] == [1, 2]
        assert await named(running, "own-1") == []
        assert await named(running, "own-2") == ["body", "row"]

        await registry.erase(UserRef(**OTHER.user), now=running.clock())
        running.gateway.eraser.wake()

        async def is_done() -> bool:
            state = await erasures.state(UserRef(**OTHER.user))
            return state is not None and state.done_at is not None

        await eventually("they are gone", is_done)
        assert await named(running, "own-2") == []


async def named(running: Running, custom_id: str) -> list[str]:
    """What of the correction names a person."""
    summary = await running.stores.journal.event("msg_1:r1")
    assert summary is not None
    found = ["body"] if custom_id.encode() in summary.event.body else []
    rows = await running.rows("msg_1:r1")
    return found + ["row" for row in rows if row.custom_id == custom_id]


async def test_a_correction_that_nobody_needs_is_an_event_without_notifications(
    rig: RelayRig,
) -> None:
    async with rig.running() as running:
        await cancel_before_it_is_fanned_out(running)
        await cancel(running, texts=RIGHT)
        assert await running.settled("msg_1:r1") == {}
        summary = await running.stores.journal.event("msg_1:r1")
        assert summary is not None
        assert summary.event.reason == "no phone took what it corrects"
        assert arrived(rig) == 0


async def test_a_correction_that_was_asked_while_no_relay_ran_is_made_later(
    rig: RelayRig,
) -> None:
    async with rig.running() as running:
        await taken(running, rig, [PHONE])
        assert running.gateway.relay is not None
        running.gateway.relay._stops._every_s = 3600.0
        await asyncio.sleep(1.2)
        await cancel(running, texts=RIGHT)
    async with rig.running() as running:
        assert await running.settled("msg_1:r1") == {"delivered": 1}


async def test_a_correction_that_fails_first_is_tried_again_and_can_be_corrected(
    rig: RelayRig,
) -> None:
    async with rig.running() as running:
        (first,) = await taken(running, rig, [PHONE])
        rig.sandbox.script(PHONE.address, Answer.unavailable(), Answer.ok())
        await cancel(running, texts=RIGHT)
        await eventually("it waits", lambda: len(rig.sent_to(PHONE)) == 2)
        rig.clock.ahead_s += 60
        assert await running.settled("msg_1:r1") == {"delivered": 1}

        await cancel(running, "msg_1:r1", texts={"body": "At six"})

        assert await running.settled("msg_1:r1:r1") == {"delivered": 1}
        (shown,) = rig.shown_by(PHONE)
        assert (shown.title, shown.body) == ("The right one", "At six")
        device = await running.device(PHONE)
        assert shown.collapse_id == first.collapse_id == delivery_id("msg_1", 0, device.id)
        assert shown.data["delivery_id"] == delivery_id("msg_1:r1:r1", 0, device.id)


@pytest.mark.parametrize("texts", [None, {"body": "At six"}])
async def test_a_correction_that_waits_for_what_it_corrects_can_be_taken_back(
    rig: RelayRig, texts: dict[str, Any] | None
) -> None:
    """The phone still has the first text, which the next correction takes the place of."""
    async with rig.running() as running:
        (first,) = await taken(running, rig, [PHONE])
        assert running.gateway.relay is not None
        running.gateway.relay._stops._every_s = 3600.0
        await asyncio.sleep(1.2)
        await cancel(running, texts=RIGHT)
        done = await cancel(running, "msg_1:r1", texts=texts)
        assert (done.now.cancelled, done.now.taken, done.now.until) == (0, 0, None)
        assert (await cancel(running, "msg_1:r1", texts=texts)).now == done.now
    async with rig.running() as running:
        assert await running.settled("msg_1:r1") == {"cancelled": 1}
        if texts is not None:
            assert await running.settled("msg_1:r1:r1") == {"delivered": 1}
    (shown,) = rig.shown_by(PHONE)
    assert shown.collapse_id == first.collapse_id
    assert (shown.title, shown.body) == (
        (first.title, first.body) if texts is None else ("The right one", "At six")
    )


async def test_a_correction_that_was_not_sent_yet_is_corrected_on_the_same_phones(
    rig: RelayRig,
) -> None:
    """And on no others: one that ended otherwise has another user by now."""
    moved = Phone("fcm", 3, 3)
    async with rig.running() as running:
        await taken(running, rig, [PHONE, OTHER, moved])
        await running.register(replace(moved, owner=8))
        rig.sandbox.script(OTHER.address, Answer.unavailable(3600), Answer.ok())
        await cancel(running, texts=RIGHT)
        await eventually(
            "two are through", lambda: len(rig.sent_to(PHONE)) == len(rig.sent_to(OTHER)) == 2
        )
        await cancel(running, "msg_1:r1", texts={"body": "At six"})
        assert await running.settled("msg_1:r1") == {
            "cancelled": 1,
            "delivered": 1,
            "no_device": 1,
        }
        assert await running.settled("msg_1:r1:r1") == {"delivered": 2}
        for phone in (PHONE, OTHER):
            (shown,) = rig.shown_by(phone)
            assert (shown.title, shown.body) == ("The right one", "At six")
        assert len(rig.sent_to(moved)) == 1


async def test_an_event_is_corrected_once(rig: RelayRig) -> None:
    async with rig.running() as running:
        await taken(running, rig, [PHONE])
        first = await cancel(running)
        again = await cancel(running)
        assert (again.now, again.before) == (first.now, first.now)
        corrected = await cancel(running, texts=RIGHT)
        assert corrected.now[:6] == first.now[:6]
        await running.settled("msg_1:r1")
        for texts in (None, RIGHT):
            assert (await cancel(running, texts=texts)).now.digest == corrected.now.digest
        with pytest.raises(AlreadyReplaced):
            await cancel(running, texts={"title": "Another"})
        assert len(rig.sent_to(PHONE)) == 2
        rows = await running.stores.audit.page(limit=10)
        acts = [(row.what, row.object, row.affected) for row in rows]
        assert sorted(acts) == [("events.cancel", "msg_1", 0), ("events.correct", "msg_1", 1)]


async def test_no_correction_is_made_of_what_is_too_old(rig: RelayRig) -> None:
    async with rig.running() as running:
        await taken(running, rig, [PHONE])
        rig.clock.ahead_s += DAY_S + 60
        done = await cancel(running, texts=RIGHT)
        assert (done.refused, done.reason, done.now.until) == (True, NO_LIFE, None)
        assert done.now.correction is None


async def test_dead_letters_of_a_cancelled_event_stay_where_they_are(rig: RelayRig) -> None:
    rig.sandbox.script(PHONE.address, Answer.unavailable(), repeat_last=True)
    async with rig.running(relay={"max_attempts": 1}) as running:
        await running.register(PHONE)
        await running.queue("msg_1", [notification(1)])
        assert await running.settled("msg_1") == {"dead": 1}
        await cancel(running)
        (letter,) = await running.stores.journal.dead(limit=10)
        now, queue = running.clock(), running.stores.queue
        with pytest.raises(NotReplayable, match="cancelled"):
            await queue.replay_dead([letter.id], now=now, max_age_s=DAY_S)
        assert await queue.replay_dead(None, now=now, max_age_s=DAY_S) == 0
        assert await running.states("msg_1") == {"dead": 1}


async def test_a_dry_run_changes_nothing(rig: RelayRig) -> None:
    async with rig.running(**SLOW) as running:
        await running.register(PHONE)
        await running.queue("msg_1", [notification(1) for _ in range(150)])
        await eventually("some are out", lambda: arrived(rig) >= 5)
        done = await cancel(running, texts=RIGHT, dry_run=True)
        assert done.now.cancelled + done.now.taken == 150
        assert await running.settled("msg_1") == {"delivered": 150}
        assert await running.stores.store.cancels.of("msg_1") is None
        assert await running.stores.audit.page(limit=10) == []
