"""What a journal promises to a queue outside its store: nothing stops half way for good."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.core.model import Event, day_of
from gateway.core.states import DeliveryState
from gateway.ports import Progress
from tests.kit.build import NOW, item
from tests.kit.stores import Handle, accept, batch, record

pytestmark = pytest.mark.needs("a broker", run=False)

# --- events whose chunks are queued elsewhere -----------------------------------------------------


def accepting(event_id: str = "msg_1", **changed: Any) -> Event:
    return batch(event_id, 2, status="accepting", **changed)[0]


async def test_an_event_is_begun_once_and_accepted_when_its_chunks_are_queued(
    handle: Handle, replica: Handle
) -> None:
    assert await handle.brokered.begin(accepting(body=b"first")) is None
    kept = await replica.brokered.begin(accepting(body=b"second", at=NOW + 9))
    assert kept is not None
    assert (kept.status, kept.body, kept.received_at) == ("accepting", b"first", NOW)
    await handle.brokered.accepted("msg_1")
    await replica.brokered.accepted("msg_1")
    kept = await handle.brokered.begin(accepting())
    assert kept is not None
    assert kept.status == "accepted"


async def test_one_of_many_who_begin_an_event_at_once_is_the_first(
    handle: Handle, replica: Handle
) -> None:
    answers = await asyncio.gather(
        *((handle, replica)[n % 2].brokered.begin(accepting()) for n in range(20))
    )
    assert answers.count(None) == 1


async def test_an_event_whose_chunks_are_not_all_queued_is_not_settled(handle: Handle) -> None:
    await handle.brokered.begin(accepting())
    await handle.journal.record([record(index=0), record(index=1)], [], done=[("msg_1", 0)])
    summary = await handle.journal.event("msg_1")
    assert summary is not None
    assert not summary.settled
    await handle.brokered.accepted("msg_1")
    summary = await handle.journal.event("msg_1")
    assert summary is not None
    assert summary.settled


async def test_events_that_stopped_half_way_are_found(handle: Handle) -> None:
    await handle.brokered.begin(accepting("msg_old", at=NOW - 100))
    await handle.brokered.begin(accepting("msg_new", at=NOW))
    found = await handle.journal.events(limit=10, status="accepting", before=NOW - 60)
    assert [event.event_id for event in found] == ["msg_old"]


async def test_accepting_leaves_what_was_not_begun_alone(handle: Handle) -> None:
    await handle.brokered.begin(batch("msg_1", 0, status="quarantined")[0])
    await handle.brokered.accepted("msg_1")
    await handle.brokered.accepted("msg_unknown")
    assert [event.status for event in await handle.journal.events(limit=10)] == ["quarantined"]


async def test_only_an_event_that_was_not_accepted_is_reopened(handle: Handle) -> None:
    await handle.brokered.begin(batch("msg_1", 0, status="quarantined", body=b"kept")[0])
    again = accepting("msg_1", at=NOW + 500, occurred_at=NOW - 3)
    for _ in range(2):  # the second goes on with what the first began
        kept = await handle.brokered.reopen(again)
        assert kept is not None
        assert (kept.status, kept.body, kept.notifications) == ("accepting", b"kept", 2)
        assert (kept.received_at, kept.occurred_at) == (NOW, NOW - 3)
    await handle.brokered.accepted("msg_1")
    assert await handle.brokered.reopen(again) is None
    assert await handle.brokered.reopen(accepting("msg_unknown")) is None


# --- dead letters that are replayed through a queue elsewhere -----------------------------------


async def test_a_letter_is_revived_by_one_and_stays_until_it_is_queued(
    handle: Handle, replica: Handle
) -> None:
    await accept(handle, items=2)
    lines = [
        record(index=n, device_id=7, state=DeliveryState.DEAD, attempts=12, day=day_of(NOW))
        for n in (0, 1)
    ]
    await handle.journal.record(lines, [], dead=[(1, item(1)), (0, item(0))])
    answers = await asyncio.gather(
        *((handle, replica)[n % 2].brokered.revive(None, now=NOW + 5) for n in range(10))
    )
    (letters,) = [found for found in answers if found]
    assert [(letter.item, letter.device_id) for letter in letters] == [(item(0), 7), (item(1), 7)]
    assert {letter.day for letter in letters} == {day_of(NOW)}
    assert len(await handle.journal.dead(limit=10)) == 2
    known = await handle.journal.progress("msg_1", [0, 1], day=day_of(NOW))
    assert known == dict.fromkeys([(0, 7), (1, 7)], Progress(DeliveryState.PENDING, 0, NOW + 5))
    assert await handle.journal.drop_dead([letter.id for letter in letters]) == 2


async def test_a_letter_whose_replay_stopped_half_way_is_free_after_a_minute(
    handle: Handle,
) -> None:
    await accept(handle)
    line = record(device_id=7, state=DeliveryState.DEAD)
    await handle.journal.record([line], [], dead=[(0, item())])
    assert len(await handle.brokered.revive(None, now=NOW)) == 1
    assert await handle.brokered.revive(None, now=NOW + 59) == []
    assert len(await handle.brokered.revive(None, now=NOW + 61)) == 1


async def test_a_letter_of_an_item_that_reached_no_device_is_forgotten(handle: Handle) -> None:
    await accept(handle)
    line = record(device_id=0, state=DeliveryState.DEAD)
    await handle.journal.record([line], [], dead=[(0, item())])
    assert len(await handle.brokered.revive(None, now=NOW)) == 1
    assert await handle.journal.items_of("msg_1") == []


async def test_a_delivery_put_off_for_no_reason_of_its_own_keeps_what_was_said_before(
    handle: Handle,
) -> None:
    pending = record(state=DeliveryState.PENDING, reason="HTTP 503", next_at=NOW + 60)
    await handle.journal.record([pending], [])
    await handle.journal.record([pending._replace(reason="", next_at=NOW + 90)], [])
    (line,) = await handle.journal.items_of("msg_1")
    assert (line.reason, line.next_at) == ("HTTP 503", NOW + 90)
    await handle.journal.record([record()], [])
    (line,) = await handle.journal.items_of("msg_1")
    assert (line.state, line.reason) == (DeliveryState.DELIVERED, "")
