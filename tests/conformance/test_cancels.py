"""Cancelled events, on every backend: the answer, who asks for them, what becomes of the rows."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.core.cancelling import NO_LIFE, written
from gateway.core.model import MAYBE_TAKEN, Remainder, UserRef
from gateway.core.states import DeliveryState
from gateway.errors import AlreadyReplaced, NotReplayable
from gateway.ports import Cancelling
from tests.kit.build import ALICE, NOW, item
from tests.kit.stores import LIFE_S, Handle, accept, leftover, record

RIGHT = written({"title": "The right one", "path": None})
OTHER = written({"title": "Another"})


def asked(replacement: str | None = None, *, now: float = NOW, **more: Any) -> Cancelling:
    return Cancelling(
        now,
        LIFE_S,
        replacement,
        act=ALICE.does("events.cancel", "msg_1", at=now),
        correct=ALICE.does("events.correct", "msg_1", at=now),
        **more,
    )


async def acts(handle: Handle) -> list[tuple[str, int]]:
    return sorted((row.what, row.affected) for row in await handle.audit.page(limit=10))


async def test_the_answer_counts_what_waits_and_what_was_taken(handle: Handle) -> None:
    """Of nine items: three are unknown to the journal, and one of each kind is known."""
    await accept(handle, "msg_1", 9)
    pending, dead = DeliveryState.PENDING, DeliveryState.DEAD
    await handle.journal.record(
        [
            record(index=0, at=NOW + 5),
            record(index=1, state=pending, attempts=0, next_at=NOW + 60),
            record(index=2, state=pending, attempts=1, next_at=NOW + 60),
            record(index=3, state=pending, attempts=1, next_at=NOW, vendor_id=MAYBE_TAKEN),
            record(index=4, state=dead, attempts=3),
            # one device took it, the other waits
            record(index=5),
            record(index=5, device_id=2, state=pending, attempts=0, next_at=NOW),
        ],
        [],
    )
    done = await handle.store.cancels.cancel("msg_1", asked(now=NOW + 9))
    assert done is not None
    assert done.before is None
    assert done.now[:6] == ("msg_1", NOW + 9, 4, 3, NOW + LIFE_S, NOW + LIFE_S)
    assert await acts(handle) == [("events.cancel", 4)]
    assert await handle.store.cancels.of("msg_1") == done.now


@pytest.mark.parametrize(
    ("kept_s", "until"),
    [(0.0, NOW + LIFE_S), (60.0, NOW + LIFE_S), (LIFE_S * 3, NOW + 5 + LIFE_S * 3)],
)
async def test_what_a_vendor_is_told_to_keep_may_appear_as_long(
    kept_s: float, until: float, handle: Handle
) -> None:
    """From when it took the last push; a correction has as long."""
    await accept(handle, "msg_1", 2)
    await handle.journal.record([record(index=0), record(index=1, at=NOW + 5)], [])
    done = await handle.store.cancels.cancel("msg_1", asked(now=NOW + 9, kept_s=kept_s))
    assert done is not None
    assert (done.now.until, done.now.deadline) == (until, until)


async def test_repeated_it_has_the_same_answer_whatever_happened_since(handle: Handle) -> None:
    await accept(handle, "msg_1", 3)
    first = await handle.store.cancels.cancel("msg_1", asked())
    await handle.journal.record([record(index=0)], [])
    again = await handle.store.cancels.cancel("msg_1", asked(now=NOW + 60))
    assert first is not None
    assert again is not None
    assert (again.now, again.before) == (first.now, first.now)
    assert (again.now.cancelled, again.now.taken, again.now.until) == (3, 0, None)
    assert await acts(handle) == [("events.cancel", 3)]


async def test_many_at_once_are_one(handle: Handle, replica: Handle) -> None:
    await accept(handle, "msg_1", 3)
    cancels = [handle.store.cancels, replica.store.cancels] * 3
    done = await asyncio.gather(*(one.cancel("msg_1", asked(RIGHT)) for one in cancels))
    assert sum(one is not None and one.before is None for one in done) == 1
    assert len({one.now for one in done if one is not None}) == 1
    assert await acts(handle) == [("events.cancel", 3), ("events.correct", 0)]


async def test_what_nobody_knows_is_told_so(handle: Handle) -> None:
    for event_id in ("msg_9", "msg\0", ""):
        assert await handle.store.cancels.cancel(event_id, asked()) is None
        assert await handle.store.cancels.of(event_id) is None
    assert await acts(handle) == []


@pytest.mark.parametrize("status", ["ignored", "quarantined"])
async def test_an_event_without_notifications_says_why(handle: Handle, status: Any) -> None:
    await accept(handle, "msg_1", 0, status=status)
    done = await handle.store.cancels.cancel("msg_1", asked())
    assert done is not None
    assert (done.now.cancelled, done.now.taken) == (0, 0)
    assert done.reason


async def test_a_correction_may_come_later_and_is_one(handle: Handle) -> None:
    cancels = handle.store.cancels
    await accept(handle, "msg_1", 2)
    await handle.journal.record([record(index=0)], [])
    await cancels.cancel("msg_1", asked())
    done = await cancels.cancel("msg_1", asked(RIGHT, now=NOW + 1))
    assert done is not None
    assert done.now.correction == "msg_1:r1"
    assert done.now.replacement == RIGHT
    with pytest.raises(AlreadyReplaced):
        await cancels.cancel("msg_1", asked(OTHER))
    assert await cancels.recent(since=NOW + 60) == [done.now]

    await cancels.corrected("msg_1")

    assert await cancels.recent(since=NOW + 60) == []
    (kept,) = await cancels.recent(since=NOW)
    assert (kept.replacement, kept.digest) == (None, done.now.digest)
    again = await cancels.cancel("msg_1", asked(RIGHT))
    assert again is not None
    assert again.now == kept
    with pytest.raises(AlreadyReplaced):
        await cancels.cancel("msg_1", asked(OTHER))
    assert await acts(handle) == [("events.cancel", 1), ("events.correct", 1)]


async def test_a_correction_that_is_still_to_be_made_is_known_and_no_other(
    handle: Handle, replica: Handle
) -> None:
    cancels = handle.store.cancels
    await accept(handle, "msg_1", 2)
    await handle.journal.record([record(index=0)], [])
    for before_it_was_asked in ("msg_1:r1", "msg_1:r1:r1"):
        assert await cancels.cancel(before_it_was_asked, asked()) is None
    first = await cancels.cancel("msg_1", asked(RIGHT))
    assert first is not None
    assert await cancels.cancel("msg_1:r1:r1", asked()) is None
    tried = await cancels.cancel("msg_1:r1", asked(OTHER, dry_run=True))

    several = [handle.store.cancels, replica.store.cancels] * 2
    done = await asyncio.gather(*(one.cancel("msg_1:r1", asked(OTHER)) for one in several))

    assert sum(one is not None and one.before is None for one in done) == 1
    (now,) = {one.now for one in done if one is not None}
    assert tried is not None
    assert tried.now == now
    assert (now.cancelled, now.taken, now.until) == (0, 0, None)
    assert (now.deadline, now.correction) == (first.now.deadline, "msg_1:r1:r1")
    assert await cancels.of("msg_1") == first.now
    # the other one is made first
    assert await cancels.recent(since=NOW) == [first.now, now]
    # once it was made, or is not to be made any more, it is an event like others
    await cancels.corrected("msg_1")
    assert await cancels.cancel("msg_1:r1", asked()) is None


async def test_what_is_too_old_is_cancelled_and_not_corrected(handle: Handle) -> None:
    await accept(handle, "msg_1", 1)
    await handle.journal.record([record(index=0)], [])
    done = await handle.store.cancels.cancel("msg_1", asked(RIGHT, now=NOW + LIFE_S))
    assert done is not None
    assert (done.refused, done.reason, done.now.until) == (True, NO_LIFE, None)
    assert await acts(handle) == [("events.cancel", 0)]


async def test_a_dry_run_says_the_same_and_changes_nothing(handle: Handle) -> None:
    await accept(handle, "msg_1", 3)
    tried = await handle.store.cancels.cancel("msg_1", asked(RIGHT, dry_run=True))
    assert await handle.store.cancels.of("msg_1") is None
    assert await acts(handle) == []
    done = await handle.store.cancels.cancel("msg_1", asked(RIGHT))
    assert tried == done


async def test_every_look_up_asks_for_it(handle: Handle, replica: Handle) -> None:
    await accept(handle, "msg_1", 2)
    await accept(handle, "msg_2", 1)
    await handle.journal.record([record(index=0)], [])
    before = await replica.journal.progress("msg_1", [0, 1], day=0)
    assert not before.cancelled
    await handle.store.cancels.cancel("msg_1", asked())
    after = await replica.journal.progress("msg_1", [0, 1], day=0)
    assert after.cancelled
    assert after == before
    assert (await replica.journal.progress("msg_1", [1], day=0)).cancelled
    assert not (await replica.journal.progress("msg_2", [0], day=0)).cancelled
    assert await replica.store.cancels.among(["msg_2", "msg_1", "msg_9"]) == {"msg_1"}


async def test_its_chunks_are_due_at_once_whatever_they_wait_for(
    handle: Handle, replica: Handle
) -> None:
    """But for those in work, and for other events'."""
    waits = leftover("msg_1", Remainder(1, 1), due_at=NOW + 0.3, lane="agent/fcm", part="android")
    lane = leftover("msg_1", Remainder(2, 1), lane="agent/fcm", part="android")
    other = leftover("msg_2", Remainder(1, 1), lane="agent/fcm", part="android")
    await handle.queue.publish([waits, lane, other])
    await handle.queue.hasten(["msg_1"])
    claims = []
    for step in range(8):  # a broker hands it out when it is due there
        claims += await handle.queue.claim(
            limit=9, lease_s=60, now=NOW + step * 0.1, skip_lanes=["agent/fcm"]
        )
    assert [one.chunk.event_id for one in claims] == ["msg_1", "msg_1"]
    await replica.queue.hasten(["msg_1", "msg_2", "msg_9"])
    for claim in claims:
        assert await handle.queue.settle(claim, [])


async def test_a_dead_letter_of_it_is_not_replayed(handle: Handle) -> None:
    for event_id in ("msg_1", "msg_2"):
        await accept(handle, event_id, 1)
        dead = record(event_id, state=DeliveryState.DEAD)
        await handle.journal.record([dead], [], [(0, item())])
    for claim in await handle.queue.claim(limit=9, lease_s=handle.lease_s, now=NOW):
        assert await handle.queue.settle(claim, [])
    await handle.store.cancels.cancel("msg_1", asked())
    letters = {one.event_id: one.id for one in await handle.journal.dead(limit=9)}
    now = NOW + 60
    with pytest.raises(NotReplayable, match="cancelled"):
        await handle.queue.replay_dead([letters["msg_1"]], now=now, max_age_s=LIFE_S)
    assert await handle.queue.replay_dead(None, now=now, max_age_s=LIFE_S) == 1
    assert [one.event_id for one in await handle.journal.dead(limit=9)] == ["msg_1"]
    assert await handle.journal.drop_dead([letters["msg_1"]]) == 1


async def test_it_goes_with_its_event(handle: Handle) -> None:
    await accept(handle, "msg_1", 0)
    await handle.store.cancels.cancel("msg_1", asked(RIGHT))
    await handle.journal.purge(before=NOW + 3 * 86_400)
    assert await handle.store.cancels.of("msg_1") is None
    assert await handle.store.cancels.recent(since=0) == []


async def test_that_it_may_have_been_taken_is_not_forgotten(handle: Handle) -> None:
    """Whatever comes of later attempts, in one batch or in several."""
    pending, expired = DeliveryState.PENDING, DeliveryState.EXPIRED
    maybe = record(state=pending, attempts=1, vendor_id=MAYBE_TAKEN, next_at=NOW)
    later = record(state=pending, attempts=2, next_at=NOW + 9)
    await accept(handle, "msg_1", 2)
    await handle.journal.record([maybe, later], [])
    await handle.journal.record([maybe._replace(index=1)], [])
    await handle.journal.record([later._replace(index=1)], [])
    await handle.journal.record([record(index=1, state=expired, attempts=2)], [])
    rows = await handle.journal.items_of("msg_1")
    assert [(row.state, row.vendor_id) for row in rows] == [("pending", "?"), ("expired", "?")]
    await handle.journal.record([record(attempts=3, vendor_id="a name")], [])
    assert (await handle.journal.items_of("msg_1"))[0].vendor_id == "a name"


async def test_it_knows_who_was_erased_since(handle: Handle) -> None:
    await accept(handle, "msg_1", [item(0), item(1)._replace(user_id="john")])
    assert await handle.store.cancels.erased_from("msg_1") is None
    await handle.registry.erase(UserRef(user_id="mary"), now=NOW + 1)
    erased = await handle.store.cancels.erased_from("msg_1")
    assert erased is not None
    assert erased.has("msg_1", 0, "mary", None)
    assert not erased.has("msg_1", 1, "john", None)
