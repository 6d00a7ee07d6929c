"""What every journal promises: what is settled stays settled, and nothing is removed unproven."""

from __future__ import annotations

import pytest

from gateway.core.model import Device, Record, Rejection, UserRef, day_of
from gateway.core.states import DeliveryState, DeviceState
from gateway.ports import DeadLetter, Progress
from tests.kit.build import NOW, item
from tests.kit.stores import Handle, accept, leftover, record, register, registration, removal

MARY = UserRef(user_id="mary")
#: of a day that is over: a journal may be kept by days
OLD = NOW - 2 * 86_400
TERMINAL = [state for state in DeliveryState if state.is_terminal]
NOTHING = dict.fromkeys((state.value for state in DeliveryState), 0)


async def write(handle: Handle, *records: Record, done: int | None = None) -> None:
    finished = [] if done is None else [(records[0].event_id, done)]
    await handle.journal.record(records, [], done=finished)


async def standing(handle: Handle, event_id: str = "msg_1") -> tuple[dict[str, int], bool]:
    summary = await handle.journal.event(event_id)
    assert summary is not None
    return {state: n for state, n in summary.deliveries.items() if n}, summary.settled


async def finish(handle: Handle) -> None:
    """Settle what is queued, leaving nothing over."""
    for claim in await handle.queue.claim(limit=100, lease_s=60.0, now=NOW):
        assert await handle.queue.settle(claim, [])


async def device_now(handle: Handle) -> Device:
    (device,) = await handle.registry.devices_of(MARY)
    return device


# --- deliveries ---------------------------------------------------------------------------------


async def test_a_delivery_reads_back_as_it_was_written(handle: Handle) -> None:
    line = Record(
        event_id="msg_1",
        index=3,
        device_id=7,
        state=DeliveryState.PENDING,
        attempts=2,
        at=NOW + 0.125,
        user_id="mary",
        custom_id="c-mary",
        app="agent",
        provider="apns",
        address_hash="0123456789ab",
        reason="TooManyRequests",
        vendor_id="an-apns-id",
        next_at=NOW + 60.5,
    )
    await write(handle, line)
    assert await handle.journal.items_of("msg_1") == [line]
    assert await handle.journal.deliveries_of(MARY, limit=1) == [line]


@pytest.mark.parametrize("state", TERMINAL)
@pytest.mark.parametrize("later", [DeliveryState.PENDING, DeliveryState.DELIVERED])
async def test_a_terminal_delivery_is_never_overwritten(
    handle: Handle, state: DeliveryState, later: DeliveryState
) -> None:
    first = record(state=state, attempts=3, reason="the first word")
    await write(handle, first)
    await write(handle, record(state=later, attempts=4, at=NOW + 60, reason="another"))
    assert await handle.journal.items_of("msg_1") == [first]


async def test_a_pending_delivery_follows_what_happens(handle: Handle) -> None:
    pending = record(state=DeliveryState.PENDING, reason="UNAVAILABLE", next_at=NOW + 10)
    await write(handle, pending)
    again = pending._replace(attempts=2, at=NOW + 10, next_at=NOW + 30)
    await write(handle, again)
    assert await handle.journal.items_of("msg_1") == [again]
    end = again._replace(state=DeliveryState.DELIVERED, attempts=3, reason="", next_at=None)
    await write(handle, end)
    assert await handle.journal.items_of("msg_1") == [end]


@pytest.mark.needs("sees the queue")
async def test_a_delivery_waits_only_under_the_lease_of_its_chunk(handle: Handle) -> None:
    """Whoever took the chunk since, or ended it, has read what there was and ends no other row."""
    await accept(handle)
    (first,) = await handle.queue.claim(limit=1, lease_s=60.0, now=NOW)
    (second,) = await handle.queue.claim(limit=1, lease_s=60.0, now=NOW + 61)
    ended = record(device_id=1)
    waits = [record(device_id=2 + i, state=DeliveryState.PENDING) for i in range(4)]
    leases = [(claim.queue_id, claim.lease_id) for claim in (first, second)]
    await handle.journal.record(
        [ended], [], waiting=[(waits[0], leases[0]), (waits[1], leases[1]), (waits[2], leases[1])]
    )
    assert await handle.journal.items_of("msg_1") == [ended, *waits[1:3]]
    assert await handle.queue.settle(second, [])
    await handle.journal.record([], [], waiting=[(waits[3], leases[1])])
    assert await handle.journal.items_of("msg_1") == [ended, *waits[1:3]]


async def test_the_last_word_of_a_batch_counts_until_it_is_terminal(handle: Handle) -> None:
    pending = record(state=DeliveryState.PENDING)
    refused = record(state=DeliveryState.REFUSED)
    await write(handle, pending, refused, record(state=DeliveryState.DELIVERED))
    assert await handle.journal.items_of("msg_1") == [refused]


async def test_an_event_lists_its_deliveries_by_index_and_device(handle: Handle) -> None:
    lines = [record(index=index, device_id=device) for index, device in [(1, 2), (0, 9), (1, 1)]]
    await write(handle, *lines, record("msg_2"))
    found = await handle.journal.items_of("msg_1")
    assert [(line.index, line.device_id) for line in found] == [(0, 9), (1, 1), (1, 2)]


async def test_progress_tells_of_the_items_that_were_asked_for_alone(handle: Handle) -> None:
    lines = [record(index=index, attempts=index + 1) for index in range(5)]
    lines.append(record(index=3, device_id=2, state=DeliveryState.PENDING, attempts=9))
    await write(handle, *lines, record("msg_2", 1))
    assert await handle.journal.progress("msg_1", [3, 1], day=0) == {
        (1, 1): Progress(DeliveryState.DELIVERED, 2),
        (3, 1): Progress(DeliveryState.DELIVERED, 4),
        (3, 2): Progress(DeliveryState.PENDING, 9),
    }
    assert await handle.journal.progress("msg_1", [], day=0) == {}
    assert await handle.journal.progress("msg_unknown", [0], day=0) == {}


# --- a user's deliveries ------------------------------------------------------------------------


async def test_a_users_deliveries_come_newest_first(handle: Handle) -> None:
    lines = [record(f"msg_{n}", at=NOW + n) for n in (2, 0, 3, 1)]
    await write(handle, *lines, record("msg_bob", user_id="bob"))
    found = await handle.journal.deliveries_of(MARY, limit=10)
    assert [line.event_id for line in found] == ["msg_3", "msg_2", "msg_1", "msg_0"]


async def test_the_limit_keeps_the_newest_of_both_ids(handle: Handle) -> None:
    lines = [
        record(f"msg_{n}", at=NOW + n, user_id="mary" if n % 2 else None, custom_id="mary")
        for n in range(20)
    ]
    lines += [record(f"msg_{n}", at=NOW + n, custom_id=None) for n in range(20, 30)]
    await write(handle, *lines)
    found = await handle.journal.deliveries_of(UserRef.either("mary"), limit=12)
    assert [line.event_id for line in found] == [f"msg_{n}" for n in range(29, 17, -1)]


async def test_deliveries_since_a_moment_include_it(handle: Handle) -> None:
    await write(handle, *(record(f"msg_{n}", at=NOW + n) for n in range(4)))
    found = await handle.journal.deliveries_of(MARY, limit=10, since=NOW + 2)
    assert [line.event_id for line in found] == ["msg_3", "msg_2"]
    assert await handle.journal.deliveries_of(MARY, limit=10, since=NOW + 4) == []


async def test_a_delivery_that_both_ids_name_is_listed_once(handle: Handle) -> None:
    await write(handle, record(user_id="mary", custom_id="mary"))
    assert len(await handle.journal.deliveries_of(UserRef.either("mary"), limit=10)) == 1


# --- removals -----------------------------------------------------------------------------------


@pytest.mark.parametrize("to", [DeviceState.PRUNED, DeviceState.QUARANTINED])
async def test_a_proven_removal_is_carried_out_with_its_delivery(
    handle: Handle, to: DeviceState
) -> None:
    assert to is not DeviceState.ACTIVE
    device = await register(handle)
    line = record(device_id=device.id, state=DeliveryState.PRUNED)
    assert (await handle.journal.record([line], [(0, removal(device, to))])).gone == {0}
    after = await device_now(handle)
    assert (after.state, after.state_reason) == (to, "UNREGISTERED")
    assert after.last_seen_at == device.last_seen_at
    assert await handle.journal.items_of("msg_1") == [line]


@pytest.mark.parametrize("address", ["address-1", "address-2"])
async def test_a_registration_in_between_spares_the_device(handle: Handle, address: str) -> None:
    before = await register(handle, now=NOW)
    after = await register(handle, address=address, now=NOW)
    line = record(device_id=before.id, state=DeliveryState.PRUNED)
    assert (await handle.journal.record([line], [(0, removal(before))])).gone == set()
    assert await device_now(handle) == after
    (written,) = await handle.journal.items_of("msg_1")
    assert written.state is DeliveryState.REFUSED
    assert written.reason


async def test_an_import_in_between_spares_the_device_though_it_says_no_time(
    handle: Handle,
) -> None:
    """Two imports without a time: nothing but the address tells the proof that it is of another."""
    await handle.registry.register_many([registration(seen_at=0.0)], now=NOW)
    before = await device_now(handle)
    other = registration("phone", "address-2", seen_at=0.0)
    await handle.registry.register_many([other], now=NOW, force=True)
    after = await device_now(handle)
    assert (after.address, after.last_seen_at) == ("address-2", before.last_seen_at)
    line = record(device_id=before.id, state=DeliveryState.PRUNED)
    assert (await handle.journal.record([line], [(0, removal(before))])).gone == set()
    assert await device_now(handle) == after


async def test_a_device_that_went_in_between_is_not_called_pruned(handle: Handle) -> None:
    device = await register(handle)
    await handle.registry.forget("phone", proven=None, now=NOW)
    line = record(device_id=device.id, state=DeliveryState.PRUNED)
    assert (await handle.journal.record([line], [(0, removal(device))])).gone == set()
    (written,) = await handle.journal.items_of("msg_1")
    assert written.state is DeliveryState.REFUSED


async def test_a_removal_is_numbered_by_its_record(handle: Handle) -> None:
    spared = await register(handle, "spared", "a")
    await register(handle, "spared", "a")
    pruned = await register(handle, "pruned", "b")
    lines = [
        record(index=0, device_id=99),
        record(index=1, device_id=spared.id, state=DeliveryState.PRUNED),
        record(index=2, device_id=98),
        record(index=3, device_id=pruned.id, state=DeliveryState.PRUNED),
    ]
    orders = [(1, removal(spared)), (3, removal(pruned))]
    assert (await handle.journal.record(lines, orders)).gone == {3}
    states = [line.state.value for line in await handle.journal.items_of("msg_1")]
    assert states == ["delivered", "refused", "delivered", "pruned"]


async def test_two_proofs_of_one_death_both_stand(handle: Handle) -> None:
    """Two notifications for one user whose only phone is gone: neither is a mere refusal."""
    device = await register(handle)
    lines = [record(index=n, device_id=device.id, state=DeliveryState.PRUNED) for n in range(3)]
    order = removal(device)
    assert (await handle.journal.record(lines[:2], [(0, order), (1, order)])).gone == {0, 1}
    assert (await handle.journal.record(lines[2:], [(0, order)])).gone == {0}
    assert await handle.journal.items_of("msg_1") == lines


async def test_a_removal_that_is_written_again_changes_nothing(handle: Handle) -> None:
    """The relay repeats a write whose answer it did not get."""
    device = await register(handle)
    line = record(device_id=device.id, state=DeliveryState.PRUNED)
    for _ in range(2):
        assert (await handle.journal.record([line], [(0, removal(device))])).gone == {0}
    assert await handle.journal.items_of("msg_1") == [line]


# --- events -------------------------------------------------------------------------------------


async def test_an_event_reads_back_as_it_was_accepted(handle: Handle) -> None:
    event = await accept(
        handle,
        occurred_at=NOW - 5,
        body=b'{"data":"\xf0\x9f\x8c\xb1"}',
        rejections=(Rejection(1, "title is not a string"),),
        reason="",
    )
    summary = await handle.journal.event("msg_1")
    assert summary is not None
    assert summary.event == event
    assert await handle.journal.event("msg_unknown") is None


async def test_every_state_is_counted_even_at_zero(handle: Handle) -> None:
    await accept(handle, items=2)
    summary = await handle.journal.event("msg_1")
    assert summary is not None
    assert summary.deliveries == NOTHING | {"pending": 2}
    assert not summary.settled


async def test_items_that_were_not_fanned_out_yet_are_pending(handle: Handle) -> None:
    await accept(handle, items=3)
    await write(handle, record(index=0, device_id=1), record(index=0, device_id=2))
    assert await standing(handle) == ({"delivered": 2, "pending": 2}, False)


async def test_an_event_is_settled_when_its_last_delivery_is(handle: Handle) -> None:
    await accept(handle, items=2)
    pending = record(index=1, state=DeliveryState.PENDING)
    await write(handle, record(index=0), pending, done=0)
    await finish(handle)
    assert await standing(handle) == ({"delivered": 1, "pending": 1}, False)
    await write(handle, pending._replace(state=DeliveryState.EXPIRED))
    assert await standing(handle) == ({"delivered": 1, "expired": 1}, True)


async def test_an_event_waits_for_each_of_its_chunks(handle: Handle) -> None:
    """A chunk that is not done may still find a second device of an item."""
    await accept(handle, items=300)
    await finish(handle)
    lines = [record(index=index) for index in range(300)]
    await write(handle, *lines, done=0)
    assert await standing(handle) == ({"delivered": 300}, False)
    await write(handle, *lines[:1], done=0)
    assert await standing(handle) == ({"delivered": 300}, False)
    await write(handle, *lines[:1], done=1)
    assert await standing(handle) == ({"delivered": 300}, True)


@pytest.mark.needs("sees the queue")
async def test_an_event_with_leftovers_in_the_queue_is_not_settled(handle: Handle) -> None:
    """One device of the item has its push; the other one's waits for a busy lane, unjournaled."""
    await accept(handle)
    (claim,) = await handle.queue.claim(limit=1, lease_s=60.0, now=NOW)
    await write(handle, record(device_id=1), done=0)
    await handle.queue.settle(claim, [leftover()])
    assert await standing(handle) == ({"delivered": 1}, False)
    await finish(handle)
    assert await standing(handle) == ({"delivered": 1}, True)


async def test_an_event_without_notifications_is_settled(handle: Handle) -> None:
    await accept(handle, items=0, status="ignored", type="user.created")
    assert await standing(handle) == ({}, True)


async def test_events_come_newest_first_without_their_bodies(handle: Handle) -> None:
    for n, status in enumerate(["accepted", "quarantined", "ignored", "quarantined"]):
        await accept(handle, f"msg_{n}", 0, at=NOW + n, status=status, body=b"a secret")
    events = await handle.journal.events(limit=10)
    assert [event.event_id for event in events] == ["msg_3", "msg_2", "msg_1", "msg_0"]
    assert {event.body for event in events} == {b""}


async def test_events_may_be_narrowed_and_paged(handle: Handle) -> None:
    for n, status in enumerate(["accepted", "quarantined", "ignored", "quarantined"]):
        await accept(handle, f"msg_{n}", 0, at=NOW + n, status=status)

    async def found(limit: int, status: str | None, before: float | None) -> list[str]:
        events = await handle.journal.events(limit=limit, status=status, before=before)
        return [event.event_id for event in events]

    assert await found(10, "quarantined", None) == ["msg_3", "msg_1"]
    assert await found(10, "quarantined", NOW + 3) == ["msg_1"]
    assert await found(2, None, NOW + 3) == ["msg_2", "msg_1"]
    assert await found(2, None, NOW + 1) == ["msg_0"]


# --- dead letters -------------------------------------------------------------------------------


async def bury(
    handle: Handle, event_id: str, *, at: float = NOW, devices: int = 1, day: int = 0
) -> None:
    line = record(event_id, state=DeliveryState.DEAD, at=at, attempts=12, reason="INTERNAL")
    lines = [line._replace(device_id=1 + n, day=day) for n in range(devices)]
    await handle.journal.record(lines, [], dead=[(n, item()) for n in range(devices)])


async def test_a_dead_letter_keeps_what_it_would_have_said(handle: Handle) -> None:
    said = item(4, title="Hi 🌱", path=None, user_id=None, custom_id="c-mary")
    lines = [
        record(index=3),
        record(index=4, device_id=7, state=DeliveryState.DEAD, attempts=12, reason="INTERNAL"),
    ]
    await handle.journal.record(lines, [], dead=[(1, said)])
    (letter,) = await handle.journal.dead(limit=10)
    assert letter == DeadLetter(
        id=letter.id,
        event_id="msg_1",
        item=said,
        device_id=7,
        app="agent",
        provider="fcm",
        reason="INTERNAL",
        attempts=12,
        died_at=NOW,
    )


async def test_dead_letters_come_newest_first_and_may_be_narrowed(handle: Handle) -> None:
    for n in (1, 0, 2):
        await bury(handle, f"msg_{n}", at=NOW + n)
    letters = await handle.journal.dead(limit=10)
    assert [letter.event_id for letter in letters] == ["msg_2", "msg_1", "msg_0"]
    assert [letter.event_id for letter in await handle.journal.dead(limit=1)] == ["msg_2"]
    of_one = await handle.journal.dead(limit=10, event_id="msg_0")
    assert [letter.event_id for letter in of_one] == ["msg_0"]


async def test_a_delivery_has_one_dead_letter_however_often_it_is_written(handle: Handle) -> None:
    await bury(handle, "msg_1")
    await bury(handle, "msg_1", at=NOW + 60)
    (letter,) = await handle.journal.dead(limit=10)
    assert letter.died_at == NOW + 60


async def test_dead_letters_are_dropped_by_id_or_all(handle: Handle) -> None:
    await bury(handle, "msg_1", devices=4)
    first, second, *_ = [letter.id for letter in await handle.journal.dead(limit=10)]
    assert await handle.journal.drop_dead([first, second, second, 4711]) == 2
    assert await handle.journal.drop_dead([]) == 0
    assert len(await handle.journal.dead(limit=10)) == 2
    assert await handle.journal.drop_dead(None) == 2
    states = {line.state for line in await handle.journal.items_of("msg_1")}
    assert states == {DeliveryState.DEAD}


# --- retention ----------------------------------------------------------------------------------


async def test_what_is_older_than_the_retention_goes_with_all_that_hangs_on_it(
    handle: Handle,
) -> None:
    for event_id, at in (("msg_old", OLD), ("msg_new", NOW)):
        await accept(handle, event_id, at=at)
        await write(handle, record(event_id, day=day_of(at)), done=0)
        await bury(handle, event_id, devices=2, day=day_of(at))
    await finish(handle)
    # the event, its chunk, its two deliveries (one is the dead one's) and its dead letters
    assert await handle.journal.purge(before=NOW) == 6
    assert await handle.journal.event("msg_old") is None
    assert await handle.journal.items_of("msg_old") == []
    assert await handle.journal.dead(limit=10, event_id="msg_old") == []
    assert await standing(handle, "msg_new") == ({"delivered": 1, "dead": 1}, True)
    assert len(await handle.journal.dead(limit=10)) == 2
    await accept(handle, "msg_old")
    assert await standing(handle, "msg_old") == ({"pending": 1}, False)


@pytest.mark.needs("sees the queue")
async def test_an_old_event_that_still_has_something_queued_is_kept(handle: Handle) -> None:
    await accept(handle, "msg_old", at=OLD)
    (claim,) = await handle.queue.claim(limit=1, lease_s=60.0, now=NOW)
    assert await handle.journal.purge(before=NOW) == 0
    await handle.queue.settle(claim, [leftover("msg_old", due_at=NOW + 60, day=day_of(OLD))])
    assert await handle.journal.purge(before=NOW) == 0
    (claim,) = await handle.queue.claim(limit=1, lease_s=60.0, now=NOW + 60)
    await handle.queue.settle(claim, [])
    assert await handle.journal.purge(before=NOW) == 1
    assert await handle.journal.event("msg_old") is None


async def test_a_large_history_is_purged_to_its_last_row(handle: Handle) -> None:
    for n in range(3):
        await accept(handle, f"msg_{n}", 0, at=OLD)
        rows = (record(f"msg_{n}", index, day=day_of(OLD)) for index in range(2_500))
        await write(handle, *rows)
    for n in range(60):
        await accept(handle, f"msg_small_{n}", 0, at=OLD + 50)
    assert await handle.journal.purge(before=NOW) == 3 * 2_501 + 60
    assert await handle.journal.events(limit=100) == []
    assert await handle.journal.items_of("msg_2") == []
