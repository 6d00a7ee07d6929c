"""What every queue promises: nothing is lost, nothing is held by two, nothing comes early."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from gateway.core.model import CHUNK_SIZE, ChunkItem, Claim, Event, Item, Remainder
from gateway.core.states import DeliveryState
from gateway.core.stored import NEWEST, OLDEST, Reading
from gateway.errors import NotReplayable
from gateway.ports import Depth
from tests.conformance.conftest import LeaseClock
from tests.kit.build import NOW, item
from tests.kit.stores import LIFE_S, Handle, accept, batch, leftover, queued, record


async def claim(
    handle: Handle, now: float = NOW, limit: int = 100, **asked: list[str]
) -> list[Claim]:
    return await handle.queue.claim(limit=limit, lease_s=handle.lease_s, now=now, **asked)


async def claim_one(handle: Handle, now: float = NOW) -> Claim:
    (only,) = await claim(handle, now)
    return only


async def claim_in_time(
    handle: Handle, now: float = NOW, limit: int = 100, **asked: list[str]
) -> Claim:
    """A broker hands out what comes back when its time is up, and what is behind others later."""
    found: list[Claim] = []
    for _ in range(50):
        if found := await claim(handle, now, limit, **asked):
            break
    (only,) = found
    return only


def bodies(claims: list[Claim]) -> list[str]:
    return [entry.item.body for one in claims for entry in one.chunk.items]


# --- accepting ----------------------------------------------------------------------------------


async def test_what_was_accepted_comes_out_as_it_went_in(handle: Handle) -> None:
    items = [
        item(0, title="Hi 🌱 \"'", body="", path=None, user_id=None, custom_id="3c2143e4"),
        item(7, title="", body="\u2028 line\n", path="/learning?a=1#b", user_id="mary"),
    ]
    event, chunks = batch(items=items)
    assert await handle.queue.accept(event, chunks)
    claimed = await claim_one(handle)
    assert [entry.item for entry in claimed.chunk.items] == items
    assert [entry.remainders for entry in claimed.chunk.items] == [None, None]
    assert (claimed.chunk.event_id, claimed.chunk.number, claimed.tries) == ("msg_1", 0, 1)
    assert (claimed.chunk.first_seen, claimed.chunk.deadline) == (NOW, NOW + LIFE_S)


async def test_a_known_event_is_not_accepted_again(handle: Handle, replica: Handle) -> None:
    await accept(handle)
    event, chunks = batch(items=[item(body="another text")])
    assert not await replica.queue.accept(event, chunks)
    assert bodies(await claim(handle)) == [item().body]


async def post_50_times(handle: Handle, replica: Handle) -> list[bool]:
    event, chunks = batch(items=CHUNK_SIZE * 2)
    return await asyncio.gather(
        *((handle, replica)[n % 2].queue.accept(event, chunks) for n in range(50))
    )


async def test_an_event_posted_50_times_at_once_is_queued_once(
    handle: Handle, replica: Handle
) -> None:
    assert any(await post_50_times(handle, replica))
    await queued(handle.queue, CHUNK_SIZE * 2)
    assert not await replica.queue.accept(*batch(items=CHUNK_SIZE * 2))


@pytest.mark.needs("one answer", run=False)
async def test_an_event_posted_50_times_at_once_is_accepted_once(
    handle: Handle, replica: Handle
) -> None:
    assert sorted(await post_50_times(handle, replica)) == [False] * 49 + [True]


async def test_events_that_arrive_together_are_all_accepted(handle: Handle) -> None:
    batches = [batch(f"msg_{n}") for n in range(200)]
    answers = await asyncio.gather(*(handle.queue.accept(*one) for one in batches))
    assert all(answers)
    await queued(handle.queue, 200)


async def test_an_event_without_chunks_is_remembered_as_well(handle: Handle) -> None:
    event = Event("msg_1", "user.created", "ignored", NOW)
    assert await handle.queue.accept(event, [])
    assert not await handle.queue.accept(event, [])
    assert await claim(handle) == []


# --- claiming -----------------------------------------------------------------------------------


async def test_two_claimers_never_share_a_chunk(handle: Handle, replica: Handle) -> None:
    await accept(handle, items=CHUNK_SIZE * 40)
    rounds = await asyncio.gather(*(claim((handle, replica)[n % 2], limit=3) for n in range(20)))
    numbers = [one.chunk.number for claims in rounds for one in claims]
    assert sorted(numbers) == list(range(40))


async def test_a_claim_takes_no_more_than_its_limit(handle: Handle) -> None:
    await accept(handle, items=CHUNK_SIZE * 3)
    assert len(await claim(handle, limit=2)) == 2
    assert len(await claim(handle, limit=2)) == 1
    assert await claim(handle, limit=2) == []


@pytest.mark.needs("order", run=False)
async def test_what_has_been_due_longest_goes_first(handle: Handle) -> None:
    await handle.queue.publish([leftover(f"msg_{due}", due_at=NOW + due) for due in (3, 1, 2)])
    claims = [await claim(handle, NOW + 10, limit=1) for _ in range(3)]
    assert [one.chunk.event_id for (one,) in claims] == ["msg_1", "msg_2", "msg_3"]


async def test_nothing_is_claimed_before_it_is_due(handle: Handle) -> None:
    await handle.queue.publish([leftover(due_at=NOW + 60)])
    assert await claim(handle, NOW + 59.9) == []
    assert len(await claim(handle, NOW + 60)) == 1


@pytest.mark.leases_end
async def test_a_chunk_under_a_lease_is_left_alone_until_the_lease_ends(
    handle: Handle, lease_clock: LeaseClock
) -> None:
    await accept(handle)
    await claim_one(handle, NOW)
    assert await claim(handle, await lease_clock.at(0.998)) == []
    again = await claim_one(handle, await lease_clock.at(1))
    assert again.tries == 2


async def test_a_published_chunk_keeps_what_was_left_of_it(handle: Handle) -> None:
    left = leftover("msg_1", Remainder(7, 3, flipped=True), Remainder(8), lane="agent/apns")
    await handle.queue.publish([left])
    claimed = await claim_one(handle)
    assert claimed.chunk.items == left.items
    assert claimed.chunk.lane == "agent/apns"


async def test_publishing_nothing_is_fine(handle: Handle) -> None:
    await handle.queue.publish([])
    await queued(handle.queue, 0)


# --- lanes that are closed ----------------------------------------------------------------------


async def test_chunks_of_a_closed_lane_wait_while_others_go_on(handle: Handle) -> None:
    await handle.queue.publish(
        [
            leftover("msg_apns", lane="agent/apns"),
            leftover("msg_fcm", lane="agent/fcm"),
            leftover("msg_fresh"),
        ]
    )
    found = await claim(handle, skip_lanes=["agent/apns", "learner/fcm"])
    assert sorted(one.chunk.event_id for one in found) == ["msg_fcm", "msg_fresh"]
    (opened,) = await claim(handle, skip_lanes=[])
    assert (opened.chunk.event_id, opened.tries) == ("msg_apns", 1)


async def test_chunks_of_a_closed_part_wait_while_the_lane_goes_on(handle: Handle) -> None:
    await handle.queue.publish(
        [
            leftover("msg_ios", lane="agent/fcm", part="ios"),
            leftover("msg_android", lane="agent/fcm", part="android"),
            # as the version before left it: it waits for the lane as a whole
            leftover("msg_before", lane="agent/fcm"),
        ]
    )
    found = await claim(handle, skip_lanes=["agent/fcm/ios"])
    assert sorted(one.chunk.event_id for one in found) == ["msg_android", "msg_before"]
    (opened,) = await claim(handle, skip_lanes=["agent/fcm/android"])
    assert (opened.chunk.event_id, opened.chunk.part, opened.tries) == ("msg_ios", "ios", 1)


@pytest.mark.parametrize("form", [OLDEST, NEWEST])
async def test_the_part_that_a_chunk_waits_for_is_said_beside_its_items(
    handle: Handle, form: int
) -> None:
    handle.journal.forms.learn(Reading(form, NEWEST))
    await handle.queue.publish([leftover(lane="agent/fcm", part="web")])
    claimed = await claim_one(handle)
    assert (claimed.chunk.lane, claimed.chunk.part) == ("agent/fcm", "web")
    assert claimed.chunk.items[0].item.part is None


async def test_a_closed_lane_does_not_stand_before_what_came_after_it(handle: Handle) -> None:
    waiting = [leftover(f"msg_{n}", lane="agent/apns", due_at=NOW - 10) for n in range(50)]
    await handle.queue.publish([*waiting, leftover("msg_last")])
    found = await claim_in_time(handle, limit=1, skip_lanes=["agent/apns"])
    assert found.chunk.event_id == "msg_last"


async def test_a_chunk_that_is_too_old_is_handed_out_though_its_lane_is_closed(
    handle: Handle,
) -> None:
    """So that it ends as expired, and does not wait for ever."""
    await handle.queue.publish([leftover(lane="agent/apns", deadline=NOW + 100)])
    assert await claim(handle, NOW + 99, skip_lanes=["agent/apns"]) == []
    assert len(await claim(handle, NOW + 100, skip_lanes=["agent/apns"])) == 1


async def test_a_chunk_that_is_given_back_for_a_while_counts_as_never_claimed(
    handle: Handle,
) -> None:
    await handle.queue.publish([leftover("msg_left", due_at=NOW), leftover("msg_kept", due_at=NOW)])
    claims = {one.chunk.event_id: one for one in await claim(handle, limit=2)}
    await handle.queue.snooze(claims["msg_left"], until=NOW + 1)
    await queued(handle.queue, 2)
    # nobody has it any more, and nobody loses it
    assert await handle.queue.settle(claims["msg_left"], []) is False
    for _ in range(50):
        # as often as it comes by: as it was, and at its first try
        again = await claim_in_time(handle, NOW + 2)
        assert (again.chunk.event_id, again.tries) == ("msg_left", 1)
        assert again.chunk.items == claims["msg_left"].chunk.items
        await handle.queue.snooze(again, until=NOW + 1)
    assert not await handle.queue.has_suspect(now=NOW + 2)
    assert await handle.queue.settle(claims["msg_kept"], [])


async def test_giving_back_what_was_lost_changes_nothing(handle: Handle) -> None:
    await accept(handle)
    held = await claim_one(handle)
    assert await handle.queue.settle(held, [])
    await handle.queue.snooze(held, until=NOW)
    assert await claim(handle, NOW + 100) == []


# --- leases -------------------------------------------------------------------------------------


@pytest.mark.leases_end
async def test_a_prolonged_lease_holds_longer(handle: Handle, lease_clock: LeaseClock) -> None:
    await accept(handle)
    held = await claim_one(handle)
    late = await lease_clock.at(0.8)
    assert await handle.queue.extend([held], lease_s=handle.lease_s, now=late) == set()
    assert await claim(handle, await lease_clock.at(1)) == []
    assert len(await claim(handle, await lease_clock.at(2))) == 1


async def test_a_late_extension_holds_as_long_as_nobody_took_the_chunk(handle: Handle) -> None:
    await accept(handle)
    held = await claim_one(handle)
    extended = await handle.queue.extend([held], lease_s=handle.lease_s, now=NOW + 1_000)
    assert extended == set()
    assert await claim(handle, NOW + 1_000) == []


@pytest.mark.leases_end
async def test_lost_leases_are_reported_and_not_prolonged(
    handle: Handle, replica: Handle, lease_clock: LeaseClock
) -> None:
    await accept(handle, items=CHUNK_SIZE * 3)
    kept, taken, settled = await claim(handle)
    assert await handle.queue.settle(settled, [])
    late = await lease_clock.at(0.8)
    assert await handle.queue.extend([kept], lease_s=handle.lease_s, now=late) == set()
    over = await lease_clock.at(1)
    retaken = await claim_one(replica, over)
    assert retaken.queue_id == taken.queue_id
    lost = await handle.queue.extend([kept, taken, settled], lease_s=600.0, now=over)
    assert lost == {taken.queue_id, settled.queue_id}
    late = await lease_clock.at(2.2)
    found = {one.queue_id for one in await claim(handle, late)}
    # which two had in vain
    if suspect := await handle.queue.claim_suspect(lease_s=handle.lease_s, now=late):
        found.add(suspect.queue_id)
    # a broker's leases are all of one length: there, the prolonged one is over as well
    assert found - ({kept.queue_id} if lease_clock.own else set()) == {taken.queue_id}


@pytest.mark.leases_end
async def test_a_lease_that_was_lost_to_oneself_is_lost_all_the_same(
    handle: Handle, lease_clock: LeaseClock
) -> None:
    await accept(handle)
    old = await claim_one(handle)
    over = await lease_clock.at(1)
    new = await claim_one(handle, over)
    lost = await handle.queue.extend([old, new], lease_s=handle.lease_s, now=over)
    assert lost == {old.queue_id} == {new.queue_id}
    assert await handle.queue.settle(new, [])


async def test_extending_nothing_loses_nothing(handle: Handle) -> None:
    assert await handle.queue.extend([], lease_s=handle.lease_s, now=NOW) == set()


# --- settling -----------------------------------------------------------------------------------


async def test_a_settled_chunk_never_comes_again(handle: Handle) -> None:
    await accept(handle)
    assert await handle.queue.settle(await claim_one(handle), [])
    assert await claim(handle, NOW + 10_000) == []
    await queued(handle.queue, 0)


async def test_what_could_not_be_settled_comes_back_when_it_is_due(handle: Handle) -> None:
    await accept(handle, items=2)
    held = await claim_one(handle)
    left = leftover("msg_1", Remainder(7, 1), due_at=NOW + 10, lane="agent/fcm")
    assert await handle.queue.settle(held, [left])
    assert await claim(handle, NOW + 9) == []
    again = await claim_one(handle, NOW + 10)
    assert again.chunk.items == left.items
    assert (again.chunk.number, again.tries) == (0, 1)
    assert again.queue_id != held.queue_id


@pytest.mark.leases_end
async def test_only_the_holder_of_the_lease_settles(
    handle: Handle, replica: Handle, lease_clock: LeaseClock
) -> None:
    await accept(handle)
    late = await claim_one(handle, NOW)
    holder = await claim_one(replica, await lease_clock.at(1))
    assert not await handle.queue.settle(late, [leftover()])
    await queued(handle.queue, 1)
    assert await replica.queue.settle(holder, [])
    assert await claim(handle, NOW + 10_000) == []


async def test_a_chunk_is_settled_once_even_if_asked_twice(handle: Handle) -> None:
    """The leftovers of the second time would be sent twice."""
    await accept(handle)
    held = await claim_one(handle)
    answers = await asyncio.gather(*(handle.queue.settle(held, [leftover()]) for _ in range(5)))
    assert sorted(answers) == [False] * 4 + [True]
    await queued(handle.queue, 1)


async def test_an_expired_lease_that_nobody_took_may_still_settle(handle: Handle) -> None:
    await accept(handle)
    held = await claim_one(handle)
    assert await handle.queue.settle(held, [])


# --- rescue and depth ---------------------------------------------------------------------------


@pytest.mark.needs("rescue")
async def test_a_rescue_ends_the_leases_of_the_dead(handle: Handle) -> None:
    await accept(handle, items=CHUNK_SIZE * 2)
    await handle.queue.publish([leftover("msg_later", due_at=NOW + 60)])
    first, _ = await claim(handle)
    assert await handle.queue.rescue() == 2
    assert not await handle.queue.settle(first, [])
    assert [one.tries for one in await claim(handle, NOW)] == [2, 2]
    assert await claim(handle, NOW + 59) == []


async def test_a_rescue_with_nobody_dead_does_nothing(handle: Handle) -> None:
    await accept(handle)
    assert await handle.queue.rescue() == 0


async def test_the_depth_counts_notifications_leased_ones_included(handle: Handle) -> None:
    await queued(handle.queue, 0)
    await accept(handle, "msg_1", CHUNK_SIZE + 1, at=NOW - 100)
    await accept(handle, "msg_2", 2)
    await claim(handle, limit=1)
    assert await handle.queue.depth() == Depth(CHUNK_SIZE + 3, NOW - 100)


# --- replaying dead letters ---------------------------------------------------------------------


async def bury(handle: Handle, event_id: str, *devices: int, said: Item | None = None) -> list[int]:
    """Give deliveries of a finished event up. Returns the ids of the letters."""
    await accept(handle, event_id)
    assert await handle.queue.settle(await claim_one(handle), [])
    lines = [
        record(event_id, 0, device, state=DeliveryState.DEAD, attempts=12) for device in devices
    ]
    dead = [(n, said or item()) for n in range(len(devices))]
    await handle.journal.record(lines, [], dead=dead, done=[(event_id, 0)])
    return [letter.id for letter in await handle.journal.dead(limit=10, event_id=event_id)]


async def standing(handle: Handle, event_id: str) -> tuple[dict[str, int], bool]:
    summary = await handle.journal.event(event_id)
    assert summary is not None
    return {state: n for state, n in summary.deliveries.items() if n}, summary.settled


async def replay(handle: Handle, ids: list[int] | None) -> int:
    return await handle.queue.replay_dead(ids, now=NOW + 500, max_age_s=1_000.0)


async def test_a_replayed_letter_goes_to_its_device_with_a_new_life(handle: Handle) -> None:
    said = item(body="once more")
    letters = await bury(handle, "msg_1", 7, 8, said=said)
    assert await replay(handle, letters) == 2
    again = await claim_one(handle, NOW + 500)
    (entry,) = again.chunk.items
    assert entry.item == said
    assert sorted(entry.remainders or (), key=lambda left: left.device_id) == [
        Remainder(7),
        Remainder(8),
    ]
    assert (again.chunk.first_seen, again.chunk.deadline) == (NOW + 500, NOW + 1_500)
    assert await handle.journal.dead(limit=10) == []


async def test_a_replayed_delivery_is_pending_and_may_end_anew(handle: Handle) -> None:
    letters = await bury(handle, "msg_1", 7)
    assert await standing(handle, "msg_1") == ({"dead": 1}, True)
    await replay(handle, letters)
    assert await standing(handle, "msg_1") == ({"pending": 1}, False)
    again = await claim_one(handle, NOW + 500)
    await handle.journal.record([record("msg_1", 0, 7)], [])
    await handle.queue.settle(again, [])
    assert await standing(handle, "msg_1") == ({"delivered": 1}, True)
    (line,) = await handle.journal.items_of("msg_1")
    assert line.attempts == 1


async def test_an_item_that_reached_no_device_is_looked_up_anew(handle: Handle) -> None:
    """A dead letter of device 0 stands for an item that never was fanned out."""
    letters = await bury(handle, "msg_1", 0)
    await replay(handle, letters)
    assert await standing(handle, "msg_1") == ({"pending": 1}, False)
    again = await claim_one(handle, NOW + 500)
    assert again.chunk.items[0].remainders is None
    await handle.journal.record([record("msg_1", 0, 9)], [])
    await handle.queue.settle(again, [])
    assert await standing(handle, "msg_1") == ({"delivered": 1}, True)


async def test_a_letter_is_replayed_once(handle: Handle) -> None:
    letters = await bury(handle, "msg_1", 7)
    answers = await asyncio.gather(*(replay(handle, letters) for _ in range(5)))
    assert sorted(answers) == [0, 0, 0, 0, 1]
    await queued(handle.queue, 1)


@pytest.mark.parametrize("is_leftover", [False, True], ids=["original", "leftover"])
async def test_a_letter_whose_chunk_is_in_work_stays_until_that_is_settled(
    handle: Handle, is_leftover: bool
) -> None:
    """Whoever took up that chunk would find the delivery open, and send it beside the replay."""
    await accept(handle, "msg_1")
    claim = await claim_one(handle)
    if is_leftover:
        left = ChunkItem(claim.chunk.items[0].item, (Remainder(7, 11), Remainder(8, 11)))
        assert await handle.queue.settle(claim, [replace(claim.chunk, items=(left,), due_at=NOW)])
        claim = await claim_one(handle)
    dead = record("msg_1", 0, 7, state=DeliveryState.DEAD, attempts=12)
    await handle.journal.record([dead], [], dead=[(0, item())])
    (letter,) = await handle.journal.dead(limit=10)
    assert await replay(handle, None) == 0
    with pytest.raises(NotReplayable, match="still being worked on"):
        await replay(handle, [letter.id])
    assert await standing(handle, "msg_1") == ({"dead": 1}, False)
    await handle.queue.settle(claim, [])
    assert await replay(handle, [letter.id]) == 1
    assert (await claim_one(handle, NOW + 500)).chunk.items[0].remainders == (Remainder(7),)


async def test_letters_may_be_replayed_some_or_all(handle: Handle) -> None:
    first = await bury(handle, "msg_1", 7)
    await bury(handle, "msg_2", 7, 8)
    assert await replay(handle, []) == 0
    assert await replay(handle, [*first, 4711]) == 1
    assert await replay(handle, None) == 2
    claims = await claim(handle, NOW + 500)
    assert sorted(one.chunk.event_id for one in claims) == ["msg_1", "msg_2"]


async def test_many_letters_of_one_event_come_back_in_chunks(handle: Handle) -> None:
    count = CHUNK_SIZE + 10
    await accept(handle, items=count)
    for one in await claim(handle):
        await handle.queue.settle(one, [])
    lines = [record(index=n, state=DeliveryState.DEAD) for n in range(count)]
    await handle.journal.record(lines, [], dead=[(n, item(n)) for n in range(count)])
    assert await replay(handle, None) == count
    claims = await claim(handle, NOW + 500)
    assert sorted(len(one.chunk.items) for one in claims) == [10, CHUNK_SIZE]


# --- replaying events ---------------------------------------------------------------------------


async def test_a_quarantined_event_is_replayed_once(handle: Handle) -> None:
    await accept(handle, items=0, status="quarantined", reason="no array", body=b"kept")
    event, chunks = batch(items=2, at=NOW + 500, occurred_at=NOW - 3)
    for _ in range(3):
        await handle.queue.replay_event(event, chunks)
    await queued(handle.queue, 2)
    summary = await handle.journal.event("msg_1")
    assert summary is not None
    assert (summary.event.status, summary.event.reason) == ("accepted", "")
    assert (summary.event.occurred_at, summary.event.received_at) == (NOW - 3, NOW)
    assert summary.event.body == b"kept"
    assert await standing(handle, "msg_1") == ({"pending": 2}, False)


async def test_an_event_replayed_many_times_at_once_is_queued_once(
    handle: Handle, replica: Handle
) -> None:
    await accept(handle, items=0, status="quarantined")
    event, chunks = batch()
    await asyncio.gather(
        *((handle, replica)[n % 2].queue.replay_event(event, chunks) for n in range(10))
    )
    await queued(handle.queue, 1)


async def test_an_accepted_or_unknown_event_is_not_replayed(handle: Handle) -> None:
    await accept(handle, "msg_1")
    for event_id in ("msg_1", "msg_unknown"):
        await handle.queue.replay_event(*batch(event_id, 5))
    await queued(handle.queue, 1)
