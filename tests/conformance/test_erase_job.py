"""What an erase promises at once, what its background job leaves, and that both hold against what
was under way."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from gateway.core.erased import for_their_time
from gateway.core.fanout import plan
from gateway.core.model import Event, Rejection, Remainder, UserRef, day_of
from gateway.core.private import people_in
from gateway.core.states import DeliveryState
from gateway.ports import Aside
from gateway.queue.nats import JetStreamQueue
from tests.kit.build import NOW, item
from tests.kit.stores import (
    Handle,
    accept,
    erase,
    eraser_of_handle,
    leftover,
    record,
    register,
    registration,
)

MARY = UserRef.either("mary")
BOB = UserRef.either("bob")
TODAY = day_of(NOW)
SECRET = "for her eyes only"
LATER = NOW + 10


async def body_of(handle: Handle, event_id: str) -> bytes:
    summary = await handle.journal.event(event_id)
    assert summary is not None
    return summary.event.body


def batch_of(*notifications: Any, **beside: Any) -> bytes:
    data = {"notifications": notifications, **beside}
    return json.dumps({"type": "notifications.sent", "data": data}).encode()


async def is_done(handle: Handle, user: UserRef = MARY) -> bool:
    standing = await handle.store.erasures.state(user)
    assert standing is not None
    return standing.done_at is not None


# --- at once ----------------------------------------------------------------------------------


async def test_what_was_received_before_is_for_no_device_that_registers_later(
    handle: Handle,
) -> None:
    """By any of the user's ids, also when the phone itself had another user meanwhile."""
    await register(handle, "a", "address-a", user_id="bob")
    await handle.registry.erase(MARY, now=NOW + 5)
    await register(handle, "a", "address-a", user_id="mary", now=LATER)
    await register(handle, "b", "address-b", custom_id="mary", now=LATER)
    asked = [item(0, user_id="mary"), item(1, user_id=None, custom_id="mary")]
    found = await handle.registry.targets(asked)
    assert [len(devices) for devices in found] == [1, 1]
    for received_at, count in ((NOW, 0), (NOW + 5, 0), (NOW + 5.001, 1)):
        fitting = for_their_time(found, received_at)
        assert [len(devices) for devices in fitting] == [count, count]


async def test_a_phone_that_goes_on_to_somebody_else_gets_all_of_theirs(handle: Handle) -> None:
    await handle.registry.erase(MARY, now=NOW)
    await register(handle, "a", "address-a", user_id="mary", now=LATER)
    await register(handle, "a", "address-a", user_id="bob", now=LATER + 1)
    (devices,) = await handle.registry.targets([item(user_id="bob")])
    assert [one.erased_at for one in devices] == [0.0]


async def test_many_that_are_registered_at_once_get_nothing_of_before(handle: Handle) -> None:
    await handle.registry.erase(MARY, now=NOW)
    many = [
        registration(f"phone-{n}", f"address-{n}", user_id=name)
        for n, name in enumerate(("mary", "bob"))
    ]
    await handle.registry.register_many(many, now=LATER)
    found = await handle.registry.targets([item(0, user_id="mary"), item(1, user_id="bob")])
    assert [len(devices) for devices in for_their_time(found, NOW - 1)] == [0, 1]


async def test_an_erase_by_one_kind_of_id_keeps_nothing_from_the_other_person(
    handle: Handle,
) -> None:
    await handle.registry.erase(UserRef(user_id="mary"), now=NOW)
    await register(handle, "a", "address-a", custom_id="mary", now=LATER)
    found = await handle.registry.targets([item(user_id=None, custom_id="mary")])
    assert len(for_their_time(found, NOW - 1)[0]) == 1


async def test_a_dead_letter_is_gone_before_it_can_be_replayed(handle: Handle) -> None:
    line = record(state=DeliveryState.DEAD)
    await handle.journal.record([line], [], dead=[(0, item(user_id="mary", body=SECRET))])
    await handle.registry.erase(MARY, now=NOW)
    assert await handle.journal.dead(limit=10) == []


# --- what is under way ------------------------------------------------------------------------


@pytest.mark.parametrize("is_done_before", [False, True])
async def test_what_settles_after_an_erase_names_nobody(
    handle: Handle, is_done_before: bool
) -> None:
    """A push that was in flight: its row, its dead letter, and what is left of its chunk."""
    people = ["mary", "bob", "mary"]
    await accept(handle, items=[item(n, user_id=who) for n, who in enumerate(people)])
    (claim,) = await handle.queue.claim(limit=1, lease_s=60.0, now=NOW)
    await handle.registry.erase(MARY, now=NOW)
    if is_done_before:
        await eraser_of_handle(handle).carry_on()
    lines = [
        record(index=n, device_id=n + 1, user_id=who, at=LATER, day=TODAY, state=state)
        for n, (who, state) in enumerate(
            zip(
                people,
                (DeliveryState.DELIVERED, DeliveryState.DEAD, DeliveryState.DEAD),
                strict=True,
            )
        )
    ]
    dead = [(n, item(n, user_id=people[n], body=f"text {n}")) for n in (1, 2)]
    await handle.journal.record(lines, [], dead=dead)
    left = [leftover("msg_1", Remainder(n + 1, 1), due_at=LATER + n, day=TODAY) for n in range(2)]
    left = [
        replace(
            one, items=tuple(e._replace(item=item(n, user_id=who, body=SECRET)) for e in one.items)
        )
        for n, (one, who) in enumerate(zip(left, people, strict=False))
    ]
    await handle.queue.settle(claim, left)

    kept = {line.index: line for line in await handle.journal.items_of("msg_1") if line.device_id}
    assert [kept[n].user_id for n in range(3)] == [None, "bob", None]
    assert [bool(kept[n].address_hash) for n in range(3)] == [False, True, False]
    assert [kept[n].state for n in range(3)] == [line.state for line in lines]
    assert [letter.item.user_id for letter in await handle.journal.dead(limit=10)] == ["bob"]
    seen: list[tuple[str | None, str]] = []
    async with asyncio.timeout(10):
        while len(seen) < 2:
            for one in await handle.queue.claim(limit=10, lease_s=60.0, now=LATER + 60):
                seen += [(entry.item.user_id, entry.item.body) for entry in one.chunk.items]
    assert sorted(seen, key=str) == sorted([(None, ""), ("bob", SECRET)], key=str)


async def test_what_is_received_after_an_erase_is_theirs_again(handle: Handle) -> None:
    await erase(handle, MARY, now=NOW)
    await accept(handle, "msg_2", items=[item(user_id="mary")], at=LATER)
    await handle.journal.record([record("msg_2", user_id="mary", day=TODAY)], [])
    assert [line.user_id for line in await handle.journal.items_of("msg_2")] == ["mary"]


async def test_an_unreadable_chunk_of_theirs_is_not_kept_after_an_erase(handle: Handle) -> None:
    body = batch_of({"title": "t", "user_id": "mary"})
    await accept(handle, items=[item(user_id="mary")], body=body)
    await handle.registry.erase(MARY, now=NOW)

    async def nowhere(_whole: bool) -> set[Any]:
        return set()

    raw = b'9 {"user_id":"mary"}'
    aside = Aside(7, "msg_1", 0, raw, 9, "of a later version")
    await handle.journal.put_aside(aside, nowhere, now=LATER, chunk_items=256)
    (letter,) = await handle.journal.dead(limit=10)
    assert letter.raw == b""
    (line,) = await handle.journal.items_of("msg_1")
    assert (line.user_id, line.custom_id) == (None, None)


async def test_an_item_for_an_erased_user_ends_though_it_comes_again(handle: Handle) -> None:
    """Where no message can be rewritten it comes with the name, and finds no device."""
    await accept(handle, items=[item(user_id="mary")])
    (claim,) = await handle.queue.claim(limit=1, lease_s=60.0, now=NOW)
    await erase(handle, MARY, now=NOW)
    await register(handle, now=LATER)
    found = await handle.registry.targets([entry.item for entry in claim.chunk.items])
    known = await handle.journal.progress("msg_1", [0], day=TODAY)
    targets = for_their_time(found, claim.chunk.first_seen)
    result = plan(claim.chunk, targets, known, now=LATER)
    assert result.sends == []


# --- bodies -----------------------------------------------------------------------------------

OTHERS = {"title": "t", "body": "to bob", "user_id": "bob", "custom_id": None}
HERS = {"title": "t", "body": SECRET, "user_id": "mary", "custom_id": None}
ELSEWHERE: dict[str, bytes] = {
    "in another field of an item": batch_of(OTHERS | {"sender": "mary"}),
    "beside the array": batch_of(OTHERS, about="mary"),
    "beside her item": batch_of(HERS, OTHERS, about={"people": ["x", ["mary"]]}),
    "as a key": batch_of(OTHERS, seen={"mary": True}),
    "deep": batch_of(OTHERS, a=[[[{"b": [{"c": "mary"}]}]]]),
    "with escapes": b'{"data":{"notifications":[],"about":"m\\u0061r\\u0079"}}',
    "with escapes in capitals": b'{"data":{"user":{"id":"\\u006D\\u0061ry"}}}',
    "within a string": batch_of(OTHERS, payload=json.dumps({"user_id": "mary"})),
    "within a string of a string": batch_of(OTHERS, p=json.dumps({"q": json.dumps(["mary"])})),
    "notifications that are one object": b'{"data":{"notifications":{"user_id":"mary"}}}',
    "a nested list": b'{"data":{"notifications":[[{"user_id":"mary","title":"x"}]]}}',
    "a learning event": b'{"type":"user.course.completed","data":{"user":{"id":"mary"}}}',
    "an unforeseen field": b'{"type":"x","data":{"learner":"mary"}}',
    "broken": b'{"data":{"notifications":[{"user_id":"mary","title":"for her e',
    "broken, with escapes": b'{"user_id":"m\\u0061ry","title":"for her e',
    "in UTF-16": json.dumps({"data": {"user_id": "mary"}}).encode("utf-16"),
    "in UTF-16, broken": '{"data": {"user_id": "mary"'.encode("utf-16-le"),
    "a bare text": b'"mary"',
}
KEPT: dict[str, bytes] = {
    "another's id": batch_of(OTHERS, about="mary2"),
    "a part of a text": batch_of(OTHERS | {"body": "ask mary about it"}),
    "another's, broken": b'{"data":{"notifications":[{"user_id":"mary2","title":"x',
    "another's, with escapes": b'{"data":{"learner":"mar\\u0079\\u0061"}}',
}
STATUSES = ("accepted", "rejected", "quarantined", "ignored")


@pytest.mark.parametrize("status", STATUSES)
async def test_a_body_that_still_names_the_user_goes_whole(handle: Handle, status: str) -> None:
    ids = {name: f"msg_{n}" for n, name in enumerate(ELSEWHERE | KEPT)}
    for name, body in (ELSEWHERE | KEPT).items():
        await _keep(handle, ids[name], body, status)
    await erase(handle, MARY)
    left = {name: await body_of(handle, ids[name]) for name in ids}
    assert left == dict.fromkeys(ELSEWHERE, b"") | KEPT
    assert await is_done(handle)


async def test_an_id_with_signs_of_json_is_found(handle: Handle) -> None:
    names = ['a"b', "a\\b", "a/b", "Zoë", "猫", "😀"]
    for n, name in enumerate(names):
        for m, ascii_only in enumerate((False, True)):
            body = json.dumps({"x": {"y": name}}, ensure_ascii=ascii_only)
            await _keep(handle, f"msg_{n}_{m}", body.encode(), "ignored")
            await _keep(handle, f"msg_{n}_{m}_s", body.replace("/", r"\/").encode(), "ignored")
    for name in names:
        await erase(handle, UserRef.either(name))
    left = {event.event_id: event for event in await handle.journal.events(limit=100)}
    assert len(left) == 24
    assert [await body_of(handle, event_id) for event_id in left] == [b""] * 24


async def test_an_id_that_came_as_a_number_is_found_where_ids_stand(handle: Handle) -> None:
    hers: dict[str, bytes] = {
        "a batch's": batch_of(OTHERS | {"user_id": 4711}),
        "a learning event's": b'{"type":"user.course.completed","data":{"user":{"id":4711}}}',
        "with blanks": b'{"data": {"custom_id" : 4711 }}',
        "within a string": batch_of(OTHERS, payload=json.dumps({"user_id": 4711})),
        "broken": b'{"data":{"notifications":[{"user_id": 4711,"title":"for her e',
        "broken, in its middle": b'{"data":{"user":{"id":4711',
    }
    kept: dict[str, bytes] = {
        "a number that is no id": batch_of(OTHERS, count=4711, course={"id": 4711}),
        "a longer one": b'{"data":{"user_id":47110}}',
        "a longer one, broken": b'{"data":{"user_id":47110',
        "a course's, broken": b'{"data":{"course_id":4711',
        "a yes": b'{"data":{"user_id":true}}',
    }
    ids = {name: f"msg_{n}" for n, name in enumerate(hers | kept)}
    for name, body in (hers | kept).items():
        await _keep(handle, ids[name], body, "rejected")
    await erase(handle, UserRef.either("4711"))
    left = {name: await body_of(handle, ids[name]) for name in ids}
    emptied = left.pop("a batch's")
    assert b"4711" not in emptied
    del hers["a batch's"]
    assert left == dict.fromkeys(hers, b"") | kept


async def test_an_id_that_came_as_a_number_of_any_length_is_found(handle: Handle) -> None:
    for n, digits in enumerate(("9" * 18, "9" * 19, "9" * 20, "9" * 30, "-" + "9" * 25)):
        await _keep(handle, f"msg_{n}", f'{{"x":{{"user_id":{digits}}}}}'.encode(), "rejected")
        await erase(handle, UserRef.either(digits))
        assert await body_of(handle, f"msg_{n}") == b""


async def test_a_field_for_one_kind_of_id_names_nobody_by_the_other(handle: Handle) -> None:
    await _keep(handle, "msg_1", b'{"x":{"custom_id":"mary"}}', "ignored")
    await _keep(handle, "msg_2", b'{"x":{"user_id":"mary"}}', "ignored")
    await erase(handle, UserRef(user_id="mary"))
    assert [await body_of(handle, one) for one in ("msg_1", "msg_2")] == [
        b'{"x":{"custom_id":"mary"}}',
        b"",
    ]


async def test_an_indexed_event_is_found_without_a_search(handle: Handle) -> None:
    body = b'{"data":{"user":{"id":"mary"}}}'
    event = Event("msg_1", "t", "ignored", NOW, body=body, people=people_in(json.loads(body)))
    assert await handle.queue.accept(event, [])
    assert await handle.store.erasures.indexed(MARY) == ["msg_1"]
    await erase(handle, MARY)
    assert await handle.store.erasures.indexed(MARY) == []
    assert await body_of(handle, "msg_1") == b""


async def test_the_index_goes_with_its_event(handle: Handle) -> None:
    event = Event("msg_1", "t", "ignored", NOW, body=b"{}", people=("mary",))
    assert await handle.queue.accept(event, [])
    await handle.store.learning.chain(now=NOW, limit=1, salt=lambda: b"s" * 32)
    await handle.journal.purge(before=NOW + 3 * 86_400)
    assert await handle.store.erasures.indexed(MARY) == []


async def test_a_repeat_of_an_event_of_before_is_a_duplicate_and_kept_nowhere(
    handle: Handle,
) -> None:
    """Whatever was left of it."""
    bodies = {"msg_hers": batch_of(HERS), "msg_whole": batch_of(OTHERS, about="mary")}
    for event_id, body in bodies.items():
        await accept(handle, event_id, items=[item(user_id="mary")], body=body)
    await _keep(handle, "msg_ignored", b'{"user":{"id":"mary"}}', "ignored")
    await erase(handle, MARY)
    for event_id, body in (bodies | {"msg_ignored": b'{"user":{"id":"mary"}}'}).items():
        again = Event(event_id, "t", "ignored", LATER, body=body, people=("mary",))
        assert not await handle.queue.accept(again, [])
        assert SECRET.encode() not in await body_of(handle, event_id)
        assert b"mary" not in await body_of(handle, event_id)
    assert await handle.store.erasures.indexed(MARY) == []


# --- the job ----------------------------------------------------------------------------------


async def test_an_erase_is_running_until_it_is_done(handle: Handle) -> None:
    assert await handle.store.erasures.state(MARY) is None
    await handle.registry.erase(MARY, now=NOW)
    for user in (MARY, UserRef(user_id="mary"), UserRef(custom_id="mary")):
        standing = await handle.store.erasures.state(user)
        assert standing is not None
        assert (standing.asked_at, standing.done_at) == (NOW, None)
    await eraser_of_handle(handle, now=LATER).carry_on()
    standing = await handle.store.erasures.state(MARY)
    assert standing is not None
    assert (standing.asked_at, standing.done_at) == (NOW, LATER)
    assert await handle.store.erasures.state(BOB) is None
    assert not await handle.store.erasures.waiting()


async def test_all_that_wait_are_done_in_one_pass(handle: Handle) -> None:
    for n in range(40):
        await _keep(handle, f"msg_{n}", json.dumps({"x": f"user-{n}"}).encode(), "ignored")
        await handle.registry.erase(UserRef.either(f"user-{n}"), now=NOW)
    await _keep(handle, "msg_other", b'{"x":"user-99"}', "ignored")
    searched: list[int] = []
    eraser = eraser_of_handle(handle)
    eraser._searched = searched.append
    await eraser.carry_on()
    # 41 bodies in slices of 16 and more, once
    assert len(searched) <= 3
    bodies = {
        one.event_id: await body_of(handle, one.event_id)
        for one in await handle.journal.events(limit=99)
    }
    assert [name for name, body in bodies.items() if body] == ["msg_other"]
    for n in range(40):
        assert await is_done(handle, UserRef.either(f"user-{n}"))


async def test_one_process_at_a_time_works_and_another_takes_over_what_it_left(
    handle: Handle,
) -> None:
    await _keep(handle, "msg_1", b'{"x":"mary"}', "ignored")
    await handle.registry.erase(MARY, now=NOW)
    assert await handle.store.erasures.take("died", now=NOW, until=NOW + 60)
    assert not await eraser_of_handle(handle, now=NOW + 59).carry_on()
    assert not await is_done(handle)
    assert await eraser_of_handle(handle, now=NOW + 61).carry_on()
    assert await is_done(handle)
    assert await body_of(handle, "msg_1") == b""


async def test_a_holder_whose_clock_was_wrong_holds_nothing_up(handle: Handle) -> None:
    await handle.registry.erase(MARY, now=NOW)
    assert await handle.store.erasures.take("ahead", now=NOW + 9e6, until=NOW + 9e6 + 60)
    assert await eraser_of_handle(handle).carry_on()
    assert await is_done(handle)


async def test_an_erase_that_is_asked_again_meanwhile_begins_anew(handle: Handle) -> None:
    await handle.registry.erase(MARY, now=NOW)
    (taken,) = await handle.store.erasures.take("job", now=NOW, until=NOW + 60)
    await handle.registry.erase(MARY, now=NOW + 1)
    await handle.store.erasures.unname(taken)
    await handle.store.erasures.done(taken, now=NOW + 2)
    assert not await is_done(handle)
    await _keep(handle, "msg_1", b'{"x":"mary"}', "ignored")
    assert await eraser_of_handle(handle, name="job", now=NOW + 3).carry_on()
    assert await is_done(handle)
    assert await body_of(handle, "msg_1") == b""


async def test_what_only_lacks_its_last_step_is_finished_by_another(handle: Handle) -> None:
    await handle.registry.erase(MARY, now=NOW)
    (taken,) = await handle.store.erasures.take("died", now=NOW, until=NOW + 60)
    await handle.store.erasures.unname(taken)
    assert not await is_done(handle)
    assert await eraser_of_handle(handle, now=NOW + 61).carry_on()
    assert await is_done(handle)


async def test_the_erase_of_nobody_is_none(handle: Handle) -> None:
    await handle.registry.erase(UserRef(), now=NOW)
    assert not await handle.store.erasures.waiting()


async def test_old_erases_are_forgotten_when_what_they_are_about_is(handle: Handle) -> None:
    await erase(handle, MARY, now=NOW)
    await handle.registry.erase(BOB, now=NOW)
    await handle.journal.purge(before=NOW + 3 * 86_400)
    assert await handle.store.erasures.state(MARY) is None
    assert await handle.store.erasures.state(BOB) is not None


async def _keep(handle: Handle, event_id: str, body: bytes, status: str) -> None:
    if status in ("accepted", "rejected"):
        rejections = (Rejection(0, "bad"),) if status == "rejected" else ()
        await accept(handle, event_id, items=[], body=body, rejections=rejections)
        return
    kept = Event(event_id, "", status, NOW, body=body)  # type: ignore[arg-type]  # a status
    assert await handle.queue.accept(kept, [])


async def test_it_is_done_only_when_no_chunk_names_the_user(handle: Handle) -> None:
    """A broker's message cannot be rewritten: it is waited for, and for nobody else's."""
    await accept(handle, "msg_1", items=[item(user_id="mary", body=SECRET)], body=batch_of(HERS))
    await accept(handle, "msg_2", items=[item(user_id="bob")], body=batch_of(OTHERS))
    eraser = await erase(handle, MARY)
    is_rewritten = not isinstance(handle.queue, JetStreamQueue)
    assert await is_done(handle) == is_rewritten
    claims = await handle.queue.claim(limit=10, lease_s=60.0, now=NOW)
    (hers,) = [claim for claim in claims if claim.chunk.event_id == "msg_1"]
    assert (hers.chunk.items[0].item.user_id is None) == is_rewritten
    await eraser.carry_on()
    assert await is_done(handle) == is_rewritten
    left = leftover("msg_1", Remainder(1, 1), due_at=LATER, day=TODAY)
    await handle.queue.settle(hers, [left])
    await eraser.carry_on()
    assert await is_done(handle)


@pytest.mark.needs("a broker")
async def test_an_event_that_is_just_being_accepted_keeps_its_body_until_it_is(
    handle: Handle,
) -> None:
    """Its chunks are cut from it again if its ingest fails."""
    body = batch_of(OTHERS, about="mary")
    event = Event("msg_1", "notifications.sent", "accepting", NOW, notifications=1, body=body)
    assert await handle.brokered.begin(event) is None
    eraser = await erase(handle, MARY)
    assert not await is_done(handle)
    assert await body_of(handle, "msg_1") == body
    await handle.brokered.accepted("msg_1")
    await eraser.carry_on()
    assert await is_done(handle)
    assert await body_of(handle, "msg_1") == b""


async def test_a_body_is_replaced_only_if_it_is_what_it_was(handle: Handle) -> None:
    """A replay takes phone numbers out; somebody may have been erased meanwhile."""
    await _keep(handle, "msg_1", b'{"x":1,"phone_number":2}', "quarantined")
    await handle.journal.replace_body("msg_1", b"another", b'{"x":2}')
    assert await body_of(handle, "msg_1") == b'{"x":1,"phone_number":2}'
    await handle.journal.replace_body("msg_1", b'{"x":1,"phone_number":2}', b'{"x":1}')
    assert await body_of(handle, "msg_1") == b'{"x":1}'


async def test_what_came_after_the_erase_was_asked_stays(handle: Handle) -> None:
    """She registered again at once, and what is for her now ends as it would without the erase."""
    body = batch_of(HERS)
    await handle.registry.erase(UserRef(user_id="mary"), now=NOW)
    await accept(handle, "msg_later", items=[item(user_id="mary")], at=LATER, body=body)
    await eraser_of_handle(handle, now=LATER).carry_on()
    assert await body_of(handle, "msg_later") == body
    assert await handle.journal.items_of("msg_later") == []
    (claim,) = await handle.queue.claim(limit=1, lease_s=60.0, now=LATER)
    assert [one.item.user_id for one in claim.chunk.items] == ["mary"]
