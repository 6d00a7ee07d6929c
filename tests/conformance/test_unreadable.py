"""What a queue promises of a chunk that cannot be read: it is put aside, the next one goes out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.core.model import CHUNK_SIZE, Claim, Item, Remainder, UserRef, day_of
from gateway.core.sources import Limits
from gateway.core.states import DeliveryState, DeviceState
from gateway.core.stored import NEWEST, OLDEST, PLAIN, Reading, write_items
from gateway.errors import NotReplayable
from gateway.queue.nats import JetStreamQueue
from tests.kit.build import NOW, item
from tests.kit.planting import GARBAGE, TOO_NEW, change, plant
from tests.kit.stores import (
    Handle,
    batch,
    erase,
    hold_back,
    leftover,
    queued,
    record,
    register,
    removal,
)

BODY = (
    b'{"data":{"notifications":['
    + b",".join(b'{"title":"t","user_id":"u%d"}' % index for index in range(3 * CHUNK_SIZE))
    + b"]}}"
)


async def claim_all(handle: Handle, *, now: float = NOW) -> list[Claim]:
    """Claim until nothing comes any more."""
    claims: list[Claim] = []
    while found := await handle.queue.claim(limit=8, lease_s=60.0, now=now):
        claims += found
    return claims


async def accept_all_but(handle: Handle, number: int, items: bytes) -> None:
    """An event of three chunks, one of which is these bytes."""
    event, chunks = batch(items=3 * CHUNK_SIZE, body=BODY)
    good = [chunk for chunk in chunks if chunk.number != number]
    assert await handle.queue.accept(event, good)
    await plant(handle, chunks[number], items)


@pytest.mark.parametrize(
    ("items", "form"), [(GARBAGE, None), (TOO_NEW, 3), (b"1 {}", 1), (b"[[0]]", 0), (b"", None)]
)
async def test_a_row_that_no_process_can_read_is_put_aside_and_the_next_one_goes_out(
    handle: Handle, items: bytes, form: int | None
) -> None:
    await accept_all_but(handle, 1, items)
    claims = await claim_all(handle)
    assert sorted(claim.chunk.number for claim in claims) == [0, 2]
    (letter,) = await handle.journal.dead(limit=10)
    assert (letter.event_id, letter.raw, letter.form) == ("msg_1", items, form)
    assert letter.reason.startswith("unreadable: ")
    assert (letter.item.title, letter.item.user_id) == ("", None)
    for claim in claims:
        lines = [record(index=entry.item.index) for entry in claim.chunk.items]
        done = [("msg_1", claim.chunk.number)]
        await handle.journal.record(lines, [], done=done)
        assert await handle.queue.settle(claim, [])
    summary = await handle.journal.event("msg_1")
    assert summary is not None
    assert summary.settled
    assert summary.deliveries["delivered"] == 2 * CHUNK_SIZE
    assert summary.deliveries["dead"] == CHUNK_SIZE
    await queued(handle.queue, 0)


@pytest.mark.parametrize(
    "broken",
    ["deadline = 'soon'", "day = 'x'", "number = 'first'", "items = 'a text'", "lane = x'00'"],
)
@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
async def test_a_row_with_columns_of_another_kind_is_put_aside_as_well(
    handle: Handle, broken: str
) -> None:
    for event_id in ("msg_broken", "msg_good"):
        event, chunks = batch(event_id, items=1)
        assert await handle.queue.accept(event, chunks)
    await change(handle, f"UPDATE queue SET {broken} WHERE event_id = 'msg_broken'")
    assert [claim.chunk.event_id for claim in await claim_all(handle)] == ["msg_good"]
    (letter,) = await handle.journal.dead(limit=10)
    assert (letter.event_id, letter.reason) == ("msg_broken", "unreadable: its row is broken")


async def test_whose_notifications_were_put_aside_is_known_by_their_event(handle: Handle) -> None:
    await accept_all_but(handle, 1, GARBAGE)
    await claim_all(handle)
    (line,) = await handle.journal.deliveries_of(UserRef(user_id=f"u{CHUNK_SIZE}"), limit=10)
    assert (line.index, line.state) == (CHUNK_SIZE, DeliveryState.DEAD)
    assert line.reason.startswith("unreadable: ")


async def test_what_another_chunk_holds_does_not_end_with_one_that_cannot_be_read(
    handle: Handle,
) -> None:
    event, _ = batch(items=1, chunks=1)
    assert await handle.queue.accept(event, [])
    waits = [
        record(device_id=device, state=DeliveryState.PENDING, next_at=NOW, day=day_of(NOW))
        for device in (1, 2, 3)
    ]
    ended = record(device_id=4, day=day_of(NOW))
    await handle.journal.record([*waits, ended], [])
    await handle.queue.publish([leftover("msg_1", Remainder(2, 1), lane="agent/fcm")])
    await plant(handle, leftover("msg_1", Remainder(1, 1), lane="agent/apns"), GARBAGE)
    (claim,) = await claim_all(handle)
    assert claim.chunk.lane == "agent/fcm"
    states = {line.device_id: line.state for line in await handle.journal.items_of("msg_1")}
    assert states == {
        1: DeliveryState.DEAD,
        2: DeliveryState.PENDING,
        3: DeliveryState.DEAD,
        4: DeliveryState.DELIVERED,
    }


async def test_a_chunk_that_a_living_replica_reads_is_left_to_it(handle: Handle) -> None:
    await accept_all_but(handle, 1, TOO_NEW)
    handle.journal.forms.learn(Reading(OLDEST, 3))
    claims = await claim_all(handle)
    assert sorted(claim.chunk.number for claim in claims) == [0, 2]
    assert await handle.journal.dead(limit=10) == []
    await queued(handle.queue, 3 * CHUNK_SIZE)
    # and put aside when none reads it any more
    handle.journal.forms.learn(Reading(NEWEST, NEWEST))
    while not await handle.journal.dead(limit=10):
        await handle.queue.claim(limit=8, lease_s=60.0, now=NOW + 10)
    assert [letter.form for letter in await handle.journal.dead(limit=10)] == [3]


async def test_a_letter_that_cannot_be_read_yet_is_refused_a_replay_and_can_be_dropped(
    handle: Handle,
) -> None:
    await accept_all_but(handle, 1, TOO_NEW)
    await claim_all(handle)
    (letter,) = await handle.journal.dead(limit=10)
    with pytest.raises(NotReplayable, match="version 3"):
        await handle.queue.replay_dead([letter.id], now=NOW, max_age_s=60.0)
    assert await handle.queue.replay_dead(None, now=NOW, max_age_s=60.0) == 0
    assert [one.id for one in await handle.journal.dead(limit=10)] == [letter.id]
    assert await handle.journal.drop_dead([letter.id]) == 1


async def test_a_letter_that_can_be_read_now_is_replayed_as_all_that_it_held(
    handle: Handle,
) -> None:
    event, chunks = batch(items=3, body=BODY)
    assert await handle.queue.accept(event, [])
    await plant(handle, chunks[0], GARBAGE)
    assert await claim_all(handle) == []
    (letter,) = await handle.journal.dead(limit=10)
    readable = write_items(chunks[0].items).hex()
    sqlite = type(handle.store).__name__ == "SqliteStore"
    bytes_ = f"x'{readable}'" if sqlite else f"'\\x{readable}'::bytea"
    await change(handle, f"UPDATE dead_letters SET raw = {bytes_}")  # our own
    assert await handle.queue.replay_dead([letter.id], now=NOW, max_age_s=60.0) == 1
    (claim,) = await claim_all(handle)
    assert [entry.item for entry in claim.chunk.items] == [item(index) for index in range(3)]
    assert await handle.journal.items_of("msg_1") == []
    assert await handle.journal.dead(limit=10) == []


async def test_bytes_of_an_event_that_nobody_knows_go_with_the_retention_period(
    handle: Handle,
) -> None:
    _, chunks = batch("msg_gone", items=1)
    await plant(handle, chunks[0], GARBAGE)
    await claim_all(handle)
    assert len(await handle.journal.dead(limit=9)) == 1
    await handle.journal.purge(before=NOW - 86_400)
    assert len(await handle.journal.dead(limit=9)) == 1
    await handle.journal.purge(before=NOW + 2 * 86_400)
    assert await handle.journal.dead(limit=9) == []


async def test_no_other_chunks_items_end_where_it_is_not_known_what_was_rejected(
    handle: Handle,
) -> None:
    event, chunks = batch(items=2 * CHUNK_SIZE)
    assert await handle.queue.accept(event, chunks[1:])
    await change(handle, "UPDATE events SET rejections = 'no json'")
    await plant(handle, chunks[0], GARBAGE)
    (claim,) = await claim_all(handle)
    assert claim.chunk.number == 1
    assert len(await handle.journal.dead(limit=9)) == 1
    assert await handle.journal.items_of("msg_1") == []


async def test_where_it_is_not_known_what_was_rejected_a_chunk_ends_what_nobody_else_holds(
    handle: Handle,
) -> None:
    event, chunks = batch(items=2 * CHUNK_SIZE)
    assert await handle.queue.accept(event, chunks[1:])
    await change(handle, "UPDATE events SET rejections = 'no json'")
    waits = [
        record(index=index, device_id=1, state=DeliveryState.PENDING, next_at=NOW, day=day_of(NOW))
        for index in (0, 1, CHUNK_SIZE)
    ]
    await handle.journal.record(waits, [])
    await plant(handle, chunks[0], GARBAGE)
    await claim_all(handle)
    states = {line.index: line.state for line in await handle.journal.items_of("msg_1")}
    assert states == {
        0: DeliveryState.DEAD,
        1: DeliveryState.DEAD,
        CHUNK_SIZE: DeliveryState.PENDING,
    }


# --- erasure -------------------------------------------------------------------------------------


async def test_nobody_who_was_erased_is_named_by_what_was_put_aside(handle: Handle) -> None:
    await accept_all_but(handle, 1, b'2 {"rows":[["u300"],["u301"]]}')
    await claim_all(handle)
    await erase(handle, UserRef(user_id="u300"), now=NOW)
    (letter,) = await handle.journal.dead(limit=10)
    assert (letter.raw, letter.form) == (b"", 2)
    summary = await handle.journal.event("msg_1")
    assert summary is not None
    assert b'"u300"' not in summary.event.body
    assert await handle.journal.deliveries_of(UserRef(user_id="u300"), limit=10) == []
    with pytest.raises(NotReplayable, match="erased user"):
        await handle.queue.replay_dead([letter.id], now=NOW, max_age_s=60.0)


async def test_bytes_that_are_put_aside_after_an_erasure_of_theirs_are_not_kept(
    handle: Handle,
) -> None:
    await accept_all_but(handle, 1, b"3 squeezed, so that nobody finds u300 in it")
    left = sum((await erase(handle, UserRef(user_id="u300"))).unread.values())
    assert left == (0 if isinstance(handle.queue, JetStreamQueue) else 1)
    await claim_all(handle)
    (letter,) = await handle.journal.dead(limit=10)
    assert (letter.raw, letter.form) == (b"", 3)


async def test_a_chunk_that_cannot_be_read_and_names_an_erased_user_goes_whole(
    handle: Handle,
) -> None:
    await accept_all_but(handle, 1, b'3 ["u300"]')
    await accept_other(handle, b'3 ["u301"]')
    await erase(handle, UserRef(user_id="u300"), now=NOW)
    await claim_all(handle)
    letters = {one.event_id: one.raw for one in await handle.journal.dead(limit=10)}
    assert letters == {"msg_1": b"", "msg_2": b'3 ["u301"]'}


async def accept_other(handle: Handle, items: bytes) -> None:
    event, chunks = batch("msg_2", items=1)
    assert await handle.queue.accept(event, [])
    await plant(handle, chunks[0], items)


@pytest.mark.needs("erases the queue")
@pytest.mark.parametrize("form", [OLDEST, NEWEST])
async def test_an_erasure_keeps_the_form_of_what_it_rewrites(handle: Handle, form: int) -> None:
    handle.journal.forms.learn(Reading(form, NEWEST))
    items = [item(0, user_id="mary"), item(1, user_id="zoe")]
    event, chunks = batch(items=items)
    assert await handle.queue.accept(event, chunks)
    handle.journal.forms.learn(Reading(NEWEST, NEWEST))
    await erase(handle, UserRef(user_id="mary"), now=NOW)
    (claim,) = await claim_all(handle)
    assert [entry.item.user_id for entry in claim.chunk.items] == [None, "zoe"]
    assert [entry.item.title for entry in claim.chunk.items] == ["", item(1).title]


# --- words of other versions ---------------------------------------------------------------------


async def test_a_delivery_in_a_state_of_a_later_version_has_ended(handle: Handle) -> None:
    event, _ = batch(items=1, chunks=1)
    assert await handle.queue.accept(event, [])
    await handle.journal.record([record(state=DeliveryState.PENDING)], [], done=[("msg_1", 0)])
    await change(handle, "UPDATE deliveries SET state = 'held_out'")
    progress = await handle.journal.progress("msg_1", [0], day=0)
    assert all(one.state.is_terminal for one in progress.values())
    summary = await handle.journal.event("msg_1")
    assert summary is not None
    assert summary.settled
    assert summary.deliveries["held_out"] == 1
    (line,) = await handle.journal.items_of("msg_1")
    assert line.state == "held_out"
    # and no later word of this version's changes it
    await handle.journal.record([record(state=DeliveryState.DELIVERED)], [])
    assert [one.state for one in await handle.journal.items_of("msg_1")] == ["held_out"]


async def test_rejections_that_cannot_be_read_hide_no_event(handle: Handle) -> None:
    for number, text in enumerate(("9 whatever", "no json", "[[1]]", "null")):
        event, _ = batch(f"msg_{number}", items=1)
        assert await handle.queue.accept(event, [])
        await change(
            handle,
            f"UPDATE events SET rejections = '{text}' WHERE event_id = 'msg_{number}'",
        )
    events = await handle.journal.events(limit=10)
    assert len(events) == 4
    for event in events:
        assert event.rejections == ()
        assert event.reason.startswith("unreadable: ")
        assert await handle.journal.event(event.event_id) is not None


async def test_a_device_in_a_state_of_a_later_version_is_sent_nothing_and_listed_as_it_is(
    handle: Handle,
) -> None:
    await register(handle, user_id="mary")
    await change(handle, "UPDATE devices SET state = 'muted'")
    assert await handle.registry.targets([item(user_id="mary")]) == [[]]
    (device,) = await handle.registry.devices_of(UserRef(user_id="mary"))
    assert device.state == "muted"
    assert device.state not in set(DeviceState)
    assert await handle.registry.count() == {("fcm", "agent", "muted"): 1}


async def test_a_device_of_a_vendor_that_nobody_knows_is_found_as_it_is(handle: Handle) -> None:
    """Names of vendors are open: who sends knows which there are."""
    mary = UserRef(user_id="mary")
    odd = await register(handle, "odd", "address-odd", user_id="mary")
    await change(handle, f"UPDATE devices SET provider = 'hms' WHERE id = {odd.id}")
    (targets,) = await handle.registry.targets([item(user_id="mary")])
    assert [(target.provider, target.fault) for target in targets] == [("hms", "")]
    assert [one.provider for one in await handle.registry.devices_of(mary)] == ["hms"]


@pytest.mark.parametrize("column", ["platform", "address_kind", "environment"])
async def test_a_device_of_a_kind_of_a_later_version_hides_none_of_its_owners_others(
    handle: Handle, column: str
) -> None:
    odd = await register(handle, "odd", "address-odd", user_id="mary")
    good = await register(handle, "good", "address-good", user_id="mary")
    await change(handle, f"UPDATE devices SET {column} = 'hms' WHERE id = {odd.id}")
    (targets,) = await handle.registry.targets([item(user_id="mary")])
    faults = {target.device_id: target.fault for target in targets}
    assert faults[good.id] == ""
    assert "'hms'" in faults[odd.id]
    devices = await handle.registry.devices_of(UserRef(user_id="mary"))
    assert {device.id for device in devices} == {odd.id, good.id}
    assert [device.id async for page in handle.registry.export() for device in page] == [
        odd.id,
        good.id,
    ]


async def test_a_held_removal_of_a_later_version_hides_none_of_the_others(handle: Handle) -> None:
    odd = await register(handle, "odd", "address-odd", user_id="mary")
    good = await register(handle, "good", "address-good", user_id="mary")
    await hold_back(handle, [removal(odd), removal(good)])
    await change(handle, f"UPDATE held_removals SET state = 'x' WHERE device_id = {odd.id}")
    assert await handle.lanes.release("agent", "fcm", now=NOW) == 1
    devices = await handle.registry.devices_of(UserRef(user_id="mary"))
    assert {device.id: device.state for device in devices} == {
        odd.id: DeviceState.ACTIVE,
        good.id: DeviceState.PRUNED,
    }


async def test_a_dead_letter_of_a_later_version_is_listed_and_is_refused_a_replay(
    handle: Handle,
) -> None:
    event, _ = batch(items=1, chunks=1)
    assert await handle.queue.accept(event, [])
    lines = [record(index=index, state=DeliveryState.DEAD) for index in range(2)]
    kept = item(0)._replace(source="learnink", collapse_id="c")
    await handle.journal.record(lines, [], dead=[(0, kept), (1, item(1))])
    by_index = {letter.item.index: letter for letter in await handle.journal.dead(limit=9)}
    assert by_index[0].item == kept
    await change(handle, "UPDATE dead_letters SET later = '7 x' WHERE item_index = 0")
    with pytest.raises(NotReplayable, match="version 7"):
        await handle.queue.replay_dead([by_index[0].id], now=NOW, max_age_s=60.0)
    assert await handle.queue.replay_dead(None, now=NOW, max_age_s=60.0) == 1
    (left,) = await handle.journal.dead(limit=9)
    assert (left.item.index, left.item.title) == (0, kept.title)
    assert "version 7" in left.fault


@pytest.mark.parametrize("form", [OLDEST, NEWEST])
async def test_a_leftover_and_a_replay_keep_what_an_item_says(handle: Handle, form: int) -> None:
    handle.journal.forms.learn(Reading(form, NEWEST))
    full = item()._replace(source="api", part="ios", occurred_at=NOW, collapse_id="c")
    kept = full if form == NEWEST else item()
    await goes_round(handle, full, kept)


@pytest.mark.parametrize("form", [OLDEST, PLAIN, NEWEST])
async def test_the_limits_of_a_source_are_kept_whatever_other_replicas_read(
    handle: Handle, form: int
) -> None:
    handle.journal.forms.learn(Reading(form, NEWEST))
    limits = Limits(frozenset({"agent"}), frozenset({"a word"}), 0)
    bound = item()._replace(source="staging", limits=limits)
    await goes_round(handle, bound, bound)


async def goes_round(handle: Handle, full: Item, kept: Item) -> None:
    """An item, of which this much is kept, by way of a leftover and of a dead letter."""
    event, chunks = batch(items=[full])
    assert await handle.queue.accept(event, chunks)
    (claim,) = await claim_all(handle)
    assert claim.chunk.items[0].item == kept
    left = replace(claim.chunk, items=(claim.chunk.items[0]._replace(remainders=(Remainder(1),)),))
    assert await handle.queue.settle(claim, [replace(left, due_at=NOW)])
    (claim,) = await claim_all(handle)
    assert claim.chunk.items[0].item == kept
