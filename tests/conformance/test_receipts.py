"""What every store promises of receipts: of whom they speak, which stay, and when they go."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from gateway.core.model import Device, Profile, UserRef, day_of
from gateway.core.receipts import Key, Kind, Measure, Row, Told
from gateway.ports import KeptReceipt
from tests.kit.build import NOW, item
from tests.kit.stores import Handle, accept, erase, record, register, registration

HOUR = 3_600.0
DAY = 86_400.0
MARY = UserRef(user_id="mary")
TODAY = day_of(NOW)


def told(
    device: Device | int,
    kind: Kind = Kind.OPENED,
    *,
    event_id: str = "msg_1",
    index: int = 0,
    measure: str | None = "granted",
    at: float = NOW + 10,
    after: float = 60.0,
) -> Told:
    """A receipt of what happened at a time, told so many seconds later."""
    device_id = device if isinstance(device, int) else device.id
    key = Key(event_id, index, device_id, TODAY, measure)
    return Told(key, kind, at + after, after, even=True)


async def keep(handle: Handle, *receipts: Told, rule: Measure = "opt_in") -> list[KeptReceipt]:
    return await handle.store.receipts.keep(receipts, rule=rule)


async def said(handle: Handle, *receipts: Told, rule: Measure = "opt_in") -> list[str]:
    return [one.refusal for one in await keep(handle, *receipts, rule=rule)]


async def rows(handle: Handle, *deliveries: Any) -> list[Row]:
    return list((await handle.store.receipts.of(deliveries or [record()])).rows)


async def phone(
    handle: Handle,
    installation: str = "phone",
    *,
    user: str = "mary",
    measure: str | None = "granted",
    now: float = NOW,
    can: str | None = None,
) -> Device:
    """A registered phone."""
    profile = Profile(measure=measure, can=can)
    address = f"address of {installation}"
    return await register(handle, installation, address, user_id=user, profile=profile, now=now)


def batch_for(user: str) -> bytes:
    """A stored body with one notification."""
    return json.dumps(
        {"data": {"notifications": [{"title": "a", "body": "b", "user_id": user}]}}
    ).encode()


async def delivered(
    handle: Handle,
    *devices: Device,
    event_id: str = "msg_1",
    user: str = "mary",
    journaled: bool = True,
) -> None:
    """A push to these; the event stays queued, as if it had more to send. Not `journaled`: its
    lines are on their way."""
    await accept(handle, event_id, [item(user_id=user)], body=batch_for(user))
    if not journaled:
        return
    lines = [record(event_id, 0, one.id, user_id=user, at=NOW + 1, day=TODAY) for one in devices]
    await handle.journal.record(lines, [])


async def test_a_receipt_is_kept_with_its_time(handle: Handle) -> None:
    device = await phone(handle)
    await delivered(handle, device)
    assert await keep(handle, told(device)) == [KeptReceipt("", True, "agent", "android")]
    delivery = record(device_id=device.id)
    assert await rows(handle, delivery) == [
        Row("msg_1", 0, device.id, "opened", NOW + 10, "ok", TODAY)
    ]


async def test_what_is_told_again_is_not_new_and_the_earliest_time_stays(handle: Handle) -> None:
    device = await phone(handle)
    await delivered(handle, device)
    times = [NOW + 30, NOW + 20, NOW + 40]
    news = [(await keep(handle, told(device, at=at)))[0].is_new for at in times]
    assert news == [True, False, False]
    (row,) = await rows(handle, record(device_id=device.id))
    assert row.at == NOW + 20


async def test_what_stands_twice_in_one_batch_is_told_once(handle: Handle) -> None:
    device = await phone(handle)
    await delivered(handle, device)
    some = [told(device, at=NOW + at) for at in (30, 20, 40)]
    assert [one.is_new for one in await keep(handle, *some)] == [True, False, False]
    (row,) = await rows(handle, record(device_id=device.id))
    assert row.at == NOW + 20


async def test_two_words_of_one_delivery_tell_it_once(handle: Handle) -> None:
    """It was tried again after its person had said something else."""
    device = await phone(handle)
    await delivered(handle, device)
    some = [told(device, measure=measure) for measure in (None, "granted")]
    assert [one.is_new for one in await keep(handle, *some)] == [True, False]


async def test_kinds_may_come_in_any_order(handle: Handle) -> None:
    device = await phone(handle)
    await delivered(handle, device)
    for kind in (Kind.OPENED, Kind.DISMISSED, Kind.RECEIVED, Kind.DISPLAYED):
        assert (await keep(handle, told(device, kind)))[0].is_new
    found = await rows(handle, record(device_id=device.id))
    assert sorted(row.kind for row in found) == sorted(kind.value for kind in Kind)


async def test_it_was_not_before_the_vendor_took_it(handle: Handle) -> None:
    device = await phone(handle)
    await delivered(handle, device)
    await keep(handle, told(device, at=NOW - HOUR, after=2 * HOUR))
    (row,) = await rows(handle, record(device_id=device.id))
    assert (row.at, row.clock) == (NOW + 1, "bounded")


async def test_a_phone_may_be_quicker_than_the_journal(handle: Handle) -> None:
    device = await phone(handle)
    await accept(handle, "msg_1", [item(user_id="mary")])
    assert await said(handle, told(device)) == [""]
    assert len(await rows(handle, record(device_id=device.id))) == 1


@pytest.mark.parametrize("rule", ["opt_in", "opt_out"])
@pytest.mark.parametrize("measure", ["granted", "denied", "unknown", None])
async def test_who_did_not_let_it_be_kept_is_not(
    handle: Handle, measure: str | None, rule: Measure
) -> None:
    device = await phone(handle, measure=measure)
    await delivered(handle, device)
    may = measure == "granted" or (rule == "opt_out" and measure != "denied")
    assert await said(handle, told(device), rule=rule) == ["" if may else "not_measured"]
    assert len(await rows(handle, record(device_id=device.id))) == may


@pytest.mark.parametrize("measure", ["granted", "denied", "unknown", None])
async def test_a_look_up_tells_what_the_person_said(handle: Handle, measure: str | None) -> None:
    await phone(handle, measure=measure)
    ((found,),) = await handle.registry.targets([item(user_id="mary")])
    assert found.measure == (None if measure == "unknown" else measure)


async def test_who_says_no_after_the_push_is_not_kept(handle: Handle) -> None:
    device = await phone(handle)
    await delivered(handle, device)
    await phone(handle, measure="denied", now=NOW + 5)
    assert await said(handle, told(device), rule="opt_out") == ["not_measured"]


async def test_no_receipt_without_its_event(handle: Handle) -> None:
    device = await phone(handle)
    assert await said(handle, told(device)) == ["gone"]


async def test_no_receipt_of_what_nobody_has_and_nobody_had(handle: Handle) -> None:
    await accept(handle, "msg_1", [item(user_id="mary")])
    assert await said(handle, told(987_654)) == ["gone"]


# --- another user has the phone -----------------------------------------------------------------


@pytest.mark.parametrize("now_said", ["granted", "denied", None])
@pytest.mark.parametrize("then_said", ["granted", "denied", None])
@pytest.mark.parametrize("journaled", [True, False])
async def test_it_speaks_of_its_deliverys_user_and_by_their_word(
    handle: Handle, then_said: str | None, now_said: str | None, journaled: bool
) -> None:
    device = await phone(handle, measure=then_said)
    await delivered(handle, device, journaled=journaled)
    taken_over = await phone(handle, user="bob", measure=now_said, now=NOW + 5)
    assert taken_over.id == device.id
    kept = await said(handle, told(device, measure=then_said))
    assert kept == ["" if then_said == "granted" else "not_measured"]


@pytest.mark.parametrize("journaled", [True, False])
async def test_a_no_between_the_push_and_the_next_user_is_remembered(
    handle: Handle, journaled: bool
) -> None:
    device = await phone(handle)
    await delivered(handle, device, journaled=journaled)
    await phone(handle, measure="denied", now=NOW + 5)
    await phone(handle, user="bob", now=NOW + 6)
    await phone(handle, user="carol", now=NOW + 7)
    assert await said(handle, told(device)) == ["not_measured"]


@pytest.mark.parametrize("journaled", [True, False])
async def test_a_no_before_a_yes_does_not_count(handle: Handle, journaled: bool) -> None:
    await phone(handle, measure="denied", now=NOW - 60)
    await phone(handle, user="bob", now=NOW - 50)
    device = await phone(handle, now=NOW - 40)
    await delivered(handle, device, journaled=journaled)
    await phone(handle, user="bob", now=NOW + 5)
    assert await said(handle, told(device)) == [""]


@pytest.mark.parametrize("measure", ["granted", "denied"])
@pytest.mark.parametrize("journaled", [True, False])
async def test_a_phone_that_was_logged_out_speaks_of_who_had_it(
    handle: Handle, measure: str, journaled: bool
) -> None:
    device = await phone(handle)
    await delivered(handle, device, journaled=journaled)
    await phone(handle, measure=measure, now=NOW + 5)
    await handle.registry.forget("phone", proven=None, now=NOW + 6)
    expected = "" if measure == "granted" else "not_measured"
    assert await said(handle, told(device)) == [expected]


@pytest.mark.parametrize("journaled", [True, False])
async def test_only_who_has_the_phone_still_is_heard_of(handle: Handle, journaled: bool) -> None:
    mine, others = await phone(handle, "mine"), await phone(handle, "others")
    await delivered(handle, mine, others, journaled=journaled)
    await phone(handle, "others", user="bob", now=NOW + 5)
    later = NOW + 5 * HOUR
    await keep(handle, told(mine, at=later), told(others, at=later))
    heard = [
        device.heard_at
        for name in ("mine", "others")
        for device in await handle.registry.installations(name)
    ]
    assert heard == [later + 60, 0.0]


# --- an erase -------------------------------------------------------------------------------------


async def test_an_erase_leaves_none_and_takes_none_later(handle: Handle) -> None:
    device, bobs = await phone(handle), await phone(handle, "bobs", user="bob")
    await delivered(handle, device)
    await delivered(handle, bobs, event_id="msg_2", user="bob")
    receipts = [told(device), told(bobs, event_id="msg_2")]
    assert await said(handle, *receipts) == ["", ""]
    await erase(handle, MARY, now=NOW + 20)
    assert await rows(handle, record(device_id=device.id)) == []
    assert await said(handle, *receipts) == ["gone", ""]
    assert await rows(handle, record(device_id=device.id)) == []
    assert len(await rows(handle, record("msg_2", device_id=bobs.id))) == 1


async def test_an_erase_takes_what_was_told_of_a_push_before_its_line_was_written(
    handle: Handle,
) -> None:
    device = await phone(handle)
    await delivered(handle, journaled=False)
    assert await said(handle, told(device)) == [""]
    await erase(handle, MARY, now=NOW + 20)
    await handle.journal.record([record(device_id=device.id, at=NOW + 30)], [])
    assert await rows(handle, record(device_id=device.id)) == []


async def test_an_erase_takes_what_a_phone_told_that_had_moved_before_the_line_was_written(
    handle: Handle,
) -> None:
    device = await phone(handle)
    await delivered(handle, journaled=False)
    await phone(handle, user="bob", now=NOW + 5)
    assert await said(handle, told(device)) == [""]
    await erase(handle, MARY, now=NOW + 20)
    await handle.journal.record([record(device_id=device.id, at=NOW + 30)], [])
    assert await rows(handle, record(device_id=device.id)) == []
    assert await said(handle, told(device)) == ["gone"]


async def test_what_is_told_again_after_an_erase_is_of_nobody(handle: Handle) -> None:
    device = await phone(handle)
    await delivered(handle, device)
    assert await said(handle, told(device)) == [""]
    await handle.registry.erase(MARY, now=NOW + 20)  # its job has not begun
    assert await said(handle, told(device)) == ["gone"]


async def test_nothing_is_taken_from_the_moment_an_erase_is_answered(handle: Handle) -> None:
    device = await phone(handle)
    await delivered(handle, device)
    await handle.registry.erase(MARY, now=NOW + 20)  # its job has not begun
    assert await said(handle, told(device)) == ["gone"]
    assert await rows(handle, record(device_id=device.id)) == []


async def test_who_comes_back_after_an_erase_is_nobody_to_what_was_before(handle: Handle) -> None:
    device = await phone(handle)
    await delivered(handle, device)
    await erase(handle, MARY, now=NOW + 20)
    await phone(handle, now=NOW + 30)
    assert await said(handle, told(device)) == ["gone"]


# --- how long -----------------------------------------------------------------------------------


async def test_receipts_live_as_long_as_their_delivery(handle: Handle) -> None:
    device = await phone(handle)
    await delivered(handle, device)
    await keep(handle, told(device), told(device, Kind.RECEIVED))
    await handle.journal.purge(before=NOW - 2 * DAY)
    assert len(await rows(handle, record(device_id=device.id))) == 2
    for claim in await handle.queue.claim(limit=10, lease_s=60.0, now=NOW):
        await handle.queue.settle(claim, [])
    await handle.journal.purge(before=NOW + 3 * DAY)
    assert await rows(handle, record(device_id=device.id)) == []
    assert await said(handle, told(device)) == ["gone"]


@pytest.mark.needs("sees the queue")
async def test_what_is_queued_keeps_its_receipts(handle: Handle) -> None:
    device = await phone(handle)
    await delivered(handle, device)
    await keep(handle, told(device))
    await handle.journal.purge(before=NOW + 3 * DAY)
    assert len(await rows(handle, record(device_id=device.id))) == 1


# --- who tells ----------------------------------------------------------------------------------


async def test_who_could_have_told_is_found_with_what_was_told(handle: Handle) -> None:
    device = await phone(handle, can="opened received")
    found = await handle.store.receipts.of([record(device_id=device.id), record(device_id=0)])
    assert found.rows == []
    (teller,) = found.tellers.values()
    assert teller == (device.id, "phone", "mary", None, "granted", "opened received")


async def test_a_hundred_at_once_from_two_sides_are_each_told_once(handle: Handle) -> None:
    devices = [await phone(handle, f"phone {number}") for number in range(10)]
    await delivered(handle, *devices)
    some = [told(one, kind) for one in devices for kind in Kind]
    kept = await asyncio.gather(keep(handle, *some), keep(handle, *reversed(some)))
    new = [one.is_new for each in kept for one in each]
    assert (sum(new), len(new)) == (40, 80)


@pytest.mark.parametrize("rule", ["opt_in", "opt_out"])
@pytest.mark.parametrize("imported", [False, True], ids=["the app", "a file"])
@pytest.mark.parametrize("before", ["granted", None])
async def test_who_says_no_takes_back_what_was_kept(
    handle: Handle, rule: Measure, before: str | None, imported: bool
) -> None:
    other = await phone(handle, "tablet")
    device = await phone(handle, measure=before)
    await delivered(handle, device, other)
    await delivered(handle, device, event_id="msg_2")
    # the phone was Otis' once, who told of his own
    await delivered(handle, device, event_id="msg_otis", user="otis")
    places: list[dict[str, Any]] = [{}, {"event_id": "msg_2"}, {"event_id": "msg_otis"}]
    await keep(handle, *(told(device, **place) for place in places), told(other), rule=rule)

    async def left() -> set[tuple[str, int]]:
        deliveries = [record(name, 0, device.id) for name in ("msg_1", "msg_2", "msg_otis")]
        found = await rows(handle, *deliveries, record(device_id=other.id))
        return {(row.event_id, row.device_id) for row in found}

    theirs = {("msg_1", device.id), ("msg_2", device.id)}
    others = {("msg_otis", device.id), ("msg_1", other.id)}
    kept = others | (theirs if before == "granted" or rule == "opt_out" else set())
    assert await left() == kept
    # neither a language nor "unknown" is a no
    await phone(handle, measure="unknown", now=NOW + HOUR)
    assert await left() == kept
    if imported:
        profile = Profile(measure="denied")
        changed: dict[str, Any] = {"profile": profile, "seen_at": NOW + 2 * HOUR}
        asked = registration("phone", "address anew", **changed)
        done = await handle.registry.register_many([asked], now=NOW + 2 * HOUR)
        assert done.known == 1
    else:
        await phone(handle, measure="denied", now=NOW + 2 * HOUR)
    assert await left() == others
    # what was said is said: a later yes brings nothing back
    await phone(handle, measure="granted", now=NOW + 3 * HOUR)
    assert await left() == others
