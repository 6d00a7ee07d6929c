"""What erasing a user promises: devices, names and texts go, and nobody else's do."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.core.fanout import expire, plan
from gateway.core.model import Event, Rejection, Remainder, UserRef, day_of
from gateway.core.states import DeliveryState
from tests.kit.build import NOW, item, target
from tests.kit.stores import (
    Handle,
    accept,
    erase,
    hold_back,
    leftover,
    queued,
    record,
    register,
    registration,
    removal,
    trip,
)

MARY = UserRef.either("mary")
TODAY = day_of(NOW)
SECRET = "for her eyes only"


def body_of(*notifications: Any) -> bytes:
    return json.dumps(
        {"type": "notifications.sent", "data": {"notifications": notifications}}
    ).encode()


def said_to(user_id: str | None, custom_id: str | None = None) -> dict[str, Any]:
    text = SECRET if "mary" in (user_id, custom_id) else f"to {user_id or custom_id}"
    return {"title": "t", "body": text, "user_id": user_id, "custom_id": custom_id}


async def body_now(handle: Handle, event_id: str) -> bytes:
    summary = await handle.journal.event(event_id)
    assert summary is not None
    return summary.event.body


async def queued_texts(handle: Handle) -> list[tuple[str, str | None]]:
    claims = await handle.queue.claim(limit=100, lease_s=1.0, now=NOW)
    return [
        (entry.item.body, entry.item.user_id or entry.item.custom_id)
        for claim in claims
        for entry in claim.chunk.items
    ]


async def test_a_users_devices_go_whichever_id_they_were_registered_under(handle: Handle) -> None:
    await register(handle, "a", "a", user_id="mary")
    await register(handle, "b", "b", custom_id="mary")
    await register(handle, "c", "c", user_id="mary2")
    await erase(handle, MARY, now=NOW)
    left = [device async for page in handle.registry.export() for device in page]
    assert [device.user_id for device in left] == ["mary2"]


async def test_an_erased_phone_may_be_registered_again(handle: Handle) -> None:
    await register(handle)
    await erase(handle, MARY, now=NOW)
    done = await handle.registry.register(registration(), proven=None, now=NOW)
    assert done.created


async def test_what_the_brake_held_back_of_a_user_goes(handle: Handle) -> None:
    mary = await register(handle, "a", "a", user_id="mary")
    bob = await register(handle, "b", "b", user_id="bob")
    await hold_back(handle, [removal(mary), removal(bob)])
    await erase(handle, MARY, now=NOW)
    (lane,) = await handle.lanes.all()
    assert lane.held_back == 1


async def test_what_is_held_back_after_the_erasure_is_not_kept(handle: Handle) -> None:
    """Its push was on its way meanwhile; the row would hold the address."""
    mary = await register(handle, "a", "a", user_id="mary")
    await trip(handle, "agent", "fcm", now=NOW)
    await erase(handle, MARY, now=NOW)
    await hold_back(handle, [removal(mary)])
    (lane,) = await handle.lanes.all()
    assert lane.held_back == 1  # the one over which it tripped


async def test_the_journal_keeps_what_happened_without_the_name(handle: Handle) -> None:
    bobs = record(index=1, user_id="bob", custom_id="c-bob")
    await handle.journal.record([record(user_id=None, custom_id="mary"), bobs], [])
    await erase(handle, MARY, now=NOW)
    erased, kept = await handle.journal.items_of("msg_1")
    assert (erased.user_id, erased.custom_id, erased.address_hash) == (None, None, "")
    assert erased.state is DeliveryState.DELIVERED
    assert kept == bobs
    assert await handle.journal.deliveries_of(MARY, limit=10) == []


async def test_an_accepted_body_loses_the_users_items_alone(handle: Handle) -> None:
    body = body_of(said_to("mary"), said_to("mary2"), said_to(None, "mary"))
    await accept(handle, items=3, body=body)
    lines = [record(index=n, user_id=who) for n, who in enumerate(("mary", "mary2", "mary"))]
    await handle.journal.record(lines, [])
    await erase(handle, MARY, now=NOW)
    left = json.loads(await body_now(handle, "msg_1"))["data"]["notifications"]
    assert left == [{"erased": True}, said_to("mary2"), {"erased": True}]


@pytest.mark.needs("erases the queue")
async def test_texts_that_went_to_the_user_under_the_other_id_go_too(handle: Handle) -> None:
    """The item named only the custom_id; the device it reached had both."""
    letter = item(body=SECRET, user_id=None, custom_id="c-1")
    other = item(1, body="to bob", user_id=None, custom_id="c-2")
    body = body_of(said_to(None, "c-1") | {"body": SECRET}, said_to(None, "c-2"))
    await accept(handle, items=[letter, other], body=body)
    lines = [
        record(index=0, state=DeliveryState.DEAD, user_id="mary", custom_id="c-1", day=TODAY),
        record(index=1, user_id="bob", custom_id="c-2", day=TODAY),
    ]
    await handle.journal.record(lines, [], dead=[(0, letter)])
    await erase(handle, UserRef(user_id="mary"), now=NOW)
    assert SECRET.encode() not in await body_now(handle, "msg_1")
    assert await queued_texts(handle) == [("", None), ("to bob", "c-2")]
    assert await handle.journal.dead(limit=10) == []
    assert [line.custom_id for line in await handle.journal.items_of("msg_1")] == [None, "c-2"]


@pytest.mark.needs("erases the queue")
async def test_queued_texts_go_before_anything_was_journaled(handle: Handle) -> None:
    items = [
        item(0, body=SECRET, user_id="mary"),
        item(1, body="to mary2", user_id="mary2"),
        item(2, body=SECRET, user_id=None, custom_id="mary"),
    ]
    body = body_of(said_to("mary"), said_to("mary2"), said_to(None, "mary"))
    await accept(handle, items=items, body=body)
    await erase(handle, MARY, now=NOW)
    assert await queued_texts(handle) == [("", None), ("to mary2", "mary2"), ("", None)]
    assert SECRET.encode() not in await body_now(handle, "msg_1")


@pytest.mark.needs("erases the queue")
async def test_an_erased_item_still_ends_so_that_its_event_is_settled(handle: Handle) -> None:
    """It stays in its chunk, for nobody: the relay finds no device and says so."""
    await accept(handle, items=[item(0), item(1, user_id="bob")])
    await handle.queue.publish([leftover("msg_1", Remainder(7, 2))])
    await erase(handle, MARY, now=NOW)
    await queued(handle.queue, 3)
    claims = await handle.queue.claim(limit=10, lease_s=60.0, now=NOW)
    held = [entry for claim in claims for entry in claim.chunk.items]
    assert [(entry.item.index, entry.item.user_id) for entry in held] == [
        (0, None),
        (1, "bob"),
        (0, None),
    ]
    assert held[2].remainders == (Remainder(7, 2),)


async def test_what_waits_where_nothing_can_be_rewritten_ends_without_the_name(
    handle: Handle,
) -> None:
    """When its turn comes it is ended already: nothing is sent, and no name is written down."""
    await accept(
        handle,
        items=[item(0), item(1, user_id="bob"), item(2, user_id=None, custom_id="mary")],
        body=body_of(said_to("mary"), said_to("bob"), said_to(None, "mary")),
    )
    (claim,) = await handle.queue.claim(limit=10, lease_s=60.0, now=NOW)
    await erase(handle, MARY, now=NOW + 5)
    ended = [line.at for line in await handle.journal.items_of("msg_1")]
    assert ended == [NOW + 5, NOW + 5]
    known = await handle.journal.progress("msg_1", range(3), day=TODAY)
    came_back = plan(claim.chunk, [[target()], [], []], known, now=NOW)
    assert (came_back.sends, [record.user_id for record in came_back.ended]) == ([], ["bob"])
    assert expire(claim.chunk, known, now=NOW)[0].user_id == "bob"
    await handle.journal.record(came_back.ended, [], done=[("msg_1", 0)])
    await handle.queue.settle(claim, [])
    lines = await handle.journal.items_of("msg_1")
    assert [(line.index, line.user_id, line.custom_id, line.reason) for line in lines] == [
        (0, None, None, "erased"),
        (1, "bob", None, ""),
        (2, None, None, "erased"),
    ]
    summary = await handle.journal.event("msg_1")
    assert summary is not None
    assert summary.settled


async def test_a_delivery_that_waits_ends_without_the_name(handle: Handle) -> None:
    """It was tried, and its next try waits where nothing can be rewritten."""
    mary = await register(handle)
    await accept(handle, items=[item(0)], body=body_of(said_to("mary")))
    pending = record(state=DeliveryState.PENDING, device_id=mary.id, next_at=NOW, day=TODAY)
    await handle.journal.record([pending], [])
    later = leftover("msg_1", Remainder(mary.id, 1), day=TODAY)
    await erase(handle, MARY, now=NOW)
    known = await handle.journal.progress("msg_1", [0], day=TODAY)
    (ended,) = plan(later, [[]], known, now=NOW).ended
    await handle.journal.record([ended], [])
    (line,) = await handle.journal.items_of("msg_1")
    assert (line.state, line.user_id, line.custom_id) == (DeliveryState.NO_DEVICE, None, None)


async def test_a_rejected_item_is_erased_from_the_body_as_well(handle: Handle) -> None:
    body = body_of(said_to("mary") | {"path": "//evil"}, said_to("bob"))
    await accept(
        handle,
        items=[item(1, user_id="bob")],
        body=body,
        rejections=(Rejection(0, "path does not start with one /"),),
    )
    await erase(handle, MARY, now=NOW)
    left = json.loads(await body_now(handle, "msg_1"))["data"]["notifications"]
    assert left == [{"erased": True}, said_to("bob")]


async def test_a_body_that_was_not_understood_goes_whole_when_it_names_the_user(
    handle: Handle,
) -> None:
    bodies = {
        "msg_cut": b'{"data":{"notifications":[{"user_id":"mary","title":"for her e',
        "msg_type": json.dumps({"type": "user.updated", "data": {"user_id": "mary"}}).encode(),
        "msg_other": b'{"data":{"notifications":[{"user_id":"mary2","title":"not for',
        "msg_spaced": b'{"custom_id" : "mary"}',
    }
    for event_id, body in bodies.items():
        await _keep(handle, event_id, body)
    await erase(handle, MARY, now=NOW)
    left = {event_id: await body_now(handle, event_id) for event_id in bodies}
    assert left == dict.fromkeys(bodies, b"") | {"msg_other": bodies["msg_other"]}


async def test_a_batch_that_was_not_understood_keeps_the_items_of_others(handle: Handle) -> None:
    await _keep(handle, "msg_1", body_of(said_to("mary"), said_to("bob")))
    await erase(handle, MARY, now=NOW)
    left = json.loads(await body_now(handle, "msg_1"))["data"]["notifications"]
    assert left == [{"erased": True}, said_to("bob")]


async def test_an_id_is_found_however_json_spells_it(handle: Handle) -> None:
    await _keep(handle, "msg_plain", '{"user_id":"Zoë"}'.encode())
    await _keep(handle, "msg_escaped", b'{"user_id":"Zo\\u00eb"}')
    await erase(handle, UserRef.either("Zoë"), now=NOW)
    assert await body_now(handle, "msg_plain") == b""
    assert await body_now(handle, "msg_escaped") == b""


async def test_dead_letters_of_the_user_go_and_nobody_elses(handle: Handle) -> None:
    lines = [record(index=n, state=DeliveryState.DEAD, user_id=None) for n in range(3)]
    letters = [item(0), item(1, user_id="mary2"), item(2, user_id=None, custom_id="mary")]
    await handle.journal.record(lines, [], dead=list(enumerate(letters)))
    await erase(handle, MARY, now=NOW)
    assert [letter.item.user_id for letter in await handle.journal.dead(limit=10)] == ["mary2"]


async def test_erasing_nobody_erases_nothing(handle: Handle) -> None:
    await register(handle)
    await accept(handle, items=[item(user_id=None, custom_id="c-1", body="kept")])
    await erase(handle, UserRef(), now=NOW)
    await erase(handle, UserRef.either("unknown"), now=NOW)
    assert len(await handle.registry.devices_of(MARY)) == 1
    assert await queued_texts(handle) == [("kept", "c-1")]


async def test_two_users_may_be_erased_from_one_batch(handle: Handle) -> None:
    names = ["mary", "bob", "carol"]
    items = [item(n, user_id=name) for n, name in enumerate(names)]
    await accept(handle, items=items, body=body_of(*map(said_to, names)))
    for name in ("mary", "bob"):
        await erase(handle, UserRef.either(name), now=NOW)
    left = json.loads(await body_now(handle, "msg_1"))["data"]["notifications"]
    assert left == [{"erased": True}, {"erased": True}, said_to("carol")]


async def _keep(handle: Handle, event_id: str, body: bytes) -> None:
    kept = Event(event_id, "", "quarantined", NOW, reason="not understood", body=body)
    assert await handle.queue.accept(kept, [])
