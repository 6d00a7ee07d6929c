"""What every store promises of hooks: what is written with what happened, which batches go out, and
what becomes of those that do not get through."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.core.audit import Actor
from gateway.core.hooks import FAILING, Happened, Hook, Plan, whole
from gateway.core.model import UserRef, day_of
from gateway.core.prune import BrakeRule
from gateway.core.receipts import Key, Kind, Told
from gateway.core.states import DeliveryState
from gateway.ports import AGAIN, HookBatch, HookFailure, HookRow
from tests.kit.build import NOW
from tests.kit.stores import (
    Handle,
    accept,
    erase,
    hold_back,
    prune,
    record,
    register,
    removal,
    take_out,
)

TODAY = day_of(NOW)
ALL = Hook("crm", ("*",), identify=True)


def learn(handle: Handle, *hooks: Hook) -> None:
    handle.store.hooks.learn(Plan(hooks))


async def take(
    handle: Handle,
    hook: str = "crm",
    *,
    holder: str = "me",
    now: float = NOW,
    name: str = "msg_a",
    busy: tuple[int, ...] = (),
) -> HookBatch | None:
    return await handle.store.hooks.take(
        hook, holder, now=now, until=now + 60.0, name=name, busy=busy
    )


async def taken(handle: Handle, hook: str = "crm", **changed: Any) -> HookBatch:
    batch = await take(handle, hook, **changed)
    assert batch is not None
    return batch


def said(batch: HookBatch) -> list[dict[str, Any]]:
    body = json.loads(whole(batch.hook, batch.lines))
    assert body["hook"] == batch.hook
    assert len(body["events"]) == batch.size
    return list(body["events"])


async def all_said(handle: Handle, hook: str = "crm") -> list[dict[str, Any]]:
    """What waits for a hook that takes everything."""
    found: list[dict[str, Any]] = []
    while (batch := await take(handle, hook, name=f"msg_{len(found)}", now=NOW + 1e6)) is not None:
        found += said(batch)
        await handle.store.hooks.taken(batch)
    return found


async def settle(handle: Handle, count: int = 1, *, first: int = 0, **changed: Any) -> None:
    lines = [record("msg_1", first + n, day=TODAY, **changed) for n in range(count)]
    await handle.journal.record(lines, [])


def happened(name: str, at: float = NOW, **changed: Any) -> Happened:
    values: dict[str, Any] = {"user_id": "mary", "custom_id": None, "facts": {}}
    return Happened("learnink.user.joined", at, (name,), **(values | changed))


# --- what is written ------------------------------------------------------------------------------


async def test_a_delivery_is_told_with_its_line_by_the_name_of_its_phone(handle: Handle) -> None:
    learn(handle, Hook("crm", ("delivery.settled",), identify=True))
    await accept(handle)
    device = await register(handle, "phone-1")
    waiting = record(device_id=device.id, state=DeliveryState.PENDING, day=TODAY)
    await handle.journal.record([waiting], [])
    assert await take(handle) is None
    await handle.journal.record([waiting._replace(state=DeliveryState.DELIVERED)], [])
    (event,) = await all_said(handle)
    assert (event["type"], event["state"]) == ("delivery.settled", "delivered")
    assert (event["user_id"], event["installation_id"]) == ("mary", "phone-1")


async def test_what_had_ended_before_is_told_as_it_ended(handle: Handle) -> None:
    learn(handle, Hook("crm", ("delivery.settled",)))
    await accept(handle)
    await settle(handle, state=DeliveryState.CANCELLED)
    await settle(handle, state=DeliveryState.DELIVERED)
    assert [one["state"] for one in await all_said(handle)] == ["cancelled"]


async def test_nothing_is_written_where_no_hook_asks(handle: Handle) -> None:
    learn(handle, Hook("crm", ("delivery.no_device", "device.pruned")))
    await accept(handle)
    await settle(handle, 3)
    assert await handle.store.hooks.counts() == {}
    await settle(handle, first=3, state=DeliveryState.NO_DEVICE)
    (event,) = await all_said(handle)
    assert event["type"] == "delivery.no_device"


async def test_a_pruned_device_is_told_with_its_removal_and_a_kept_one_is_not(
    handle: Handle,
) -> None:
    learn(handle, Hook("crm", ("device.pruned",), identify=True))
    dead, kept = await register(handle, "dead", "a-1"), await register(handle, "kept", "a-2")
    await take_out(handle, dead)
    await hold_back(handle, [removal(kept)])
    (event,) = await all_said(handle)
    assert (event["installation_id"], event["reason"]) == ("dead", "UNREGISTERED")
    assert event["state"] == "pruned"
    await handle.lanes.release("agent", "fcm", now=NOW)
    assert [one["installation_id"] for one in await all_said(handle)] == ["kept"]


async def test_a_removal_that_came_too_late_is_not_told(handle: Handle) -> None:
    learn(handle, Hook("crm", ("device.pruned",)))
    device = await register(handle)
    late = removal(device)
    await register(handle, now=NOW + 5)
    await prune(handle, [late], rule=BrakeRule(1.0, 10))
    assert await all_said(handle) == []


async def test_a_receipt_is_told_once_and_waits_from_when_it_came(handle: Handle) -> None:
    learn(handle, Hook("crm", ("receipt.*",), identify=True))
    await accept(handle)
    device = await register(handle, "phone-1")
    await settle(handle, device_id=device.id)
    told = Told(Key("msg_1", 0, device.id, TODAY, "granted"), Kind.OPENED, NOW + 60.0, 60.0, True)
    for _ in range(2):
        await handle.store.receipts.keep([told], rule="opt_out")
    counts = await handle.store.hooks.counts()
    assert counts["crm"].since == NOW + 60.0
    (event,) = await all_said(handle)
    assert (event["type"], event["user_id"]) == ("receipt.opened", "mary")
    assert (event["event_id"], event["item"]) == ("msg_1", 0)
    assert event["installation_id"] == "phone-1"


async def test_each_hook_gets_what_it_asks_for(handle: Handle) -> None:
    learn(handle, ALL, Hook("sheet", ("delivery.*",)), Hook("none", ("receipt.*",)))
    await accept(handle)
    await settle(handle, 2)
    assert {name: one.waiting for name, one in (await handle.store.hooks.counts()).items()} == {
        "crm": 2,
        "sheet": 2,
    }
    mary = (await all_said(handle, "sheet"))[0]["user_id"]
    assert mary not in (None, "mary")
    assert (await all_said(handle, "crm"))[0]["user_id"] == "mary"


# --- batches --------------------------------------------------------------------------------------


async def test_what_waits_goes_out_together_as_far_as_it_fits(handle: Handle) -> None:
    learn(handle, Hook("crm", ("*",), batch=5))
    for n in range(4):
        await handle.store.hooks.write([happened(f"{n}a"), happened(f"{n}b")])
    first = await taken(handle, name="msg_a")
    second = await taken(handle, name="msg_b", busy=(first.id,))
    assert (first.size, second.size) == (4, 4)
    assert first.name == "msg_a"
    ids = [one["id"] for one in said(first) + said(second)]
    assert len(set(ids)) == 8
    assert await take(handle, busy=(first.id, second.id)) is None


async def test_a_batch_that_was_posted_stays_what_it_was(handle: Handle) -> None:
    learn(handle, ALL)
    await handle.store.hooks.write([happened("1")])
    first = await taken(handle, name="msg_a")
    await handle.store.hooks.write([happened("2")])
    failure = HookFailure("it answered 500", NOW, NOW + 10.0)
    assert await handle.store.hooks.failed(first, failure) == 1
    assert await take(handle, now=NOW + 5.0) is None
    again = [await taken(handle, name="msg_b", now=NOW + 11.0)]
    again.append(await taken(handle, name="msg_c", now=NOW + 11.0, busy=(again[0].id,)))
    by_name = {one.name: one for one in again}
    assert by_name["msg_a"].lines == first.lines
    assert by_name["msg_a"].tries == 1
    assert len(by_name) == 2


async def test_one_process_posts_to_a_hook_until_its_lease_ends(handle: Handle) -> None:
    learn(handle, ALL, Hook("sheet", ("*",)))
    await handle.store.hooks.write([happened("1")])
    assert await take(handle, holder="one") is not None
    assert await take(handle, holder="two") is None
    assert await take(handle, "sheet", holder="two") is not None
    assert await take(handle, holder="two", now=NOW + 61.0) is not None
    await handle.store.hooks.let_go("crm", "two")
    assert await take(handle, holder="one", now=NOW + 62.0) is not None


async def test_due_says_whether_there_is_anything_to_take(handle: Handle) -> None:
    learn(handle, ALL)
    due = handle.store.hooks.due
    assert not await due("crm", now=NOW)
    await handle.store.hooks.write([happened("1", NOW + 3600.0)])  # by a clock that is ahead
    assert await due("crm", now=NOW)
    batch = await taken(handle)
    await handle.store.hooks.failed(batch, HookFailure("no connection", NOW, NOW + 10.0))
    assert not await due("crm", now=NOW + 9.0)
    assert await due("crm", now=NOW + 10.0)
    await handle.store.hooks.taken(batch)
    assert not await due("crm", now=NOW + 10.0)


# --- how a hook stands ----------------------------------------------------------------------------


async def standing(handle: Handle, hook: str = "crm") -> HookRow:
    return next(row for row in await handle.store.hooks.rows() if row.id == hook)


async def test_failures_in_a_row_are_trouble_and_a_success_ends_it(handle: Handle) -> None:
    learn(handle, ALL)
    await handle.store.hooks.write([happened("1")])
    now = NOW
    for n in range(FAILING):
        batch = await taken(handle, now=now)
        assert (await standing(handle)).trouble == ""
        failed = HookFailure("it answered 500", now, now + 10.0)
        assert await handle.store.hooks.failed(batch, failed) == n + 1
        now += 10.0
    row = await standing(handle)
    assert (row.trouble, row.trouble_at) == ("it answered 500", now - 10.0)
    await handle.store.hooks.taken(await taken(handle, now=now))
    row = await standing(handle)
    assert (row.trouble, row.trouble_at, row.failures) == ("", None, 0)


async def test_a_410_holds_it_until_a_person_resumes_it(handle: Handle) -> None:
    learn(handle, ALL)
    await handle.store.hooks.write([happened("1")])
    batch = await taken(handle)
    gone = HookFailure("it answered 410", NOW, NOW + 5.0, is_gone=True)
    await handle.store.hooks.failed(batch, gone)
    row = await standing(handle)
    assert (row.held, row.reason, row.held_at) == ("gone", "it answered 410", NOW)
    assert await take(handle, now=NOW + 1e6) is None
    act = Actor("me", "cli").does("hooks.resume", "hook/crm", at=NOW)
    assert await handle.store.hooks.resume("crm", act=act)
    assert not await handle.store.hooks.resume("crm", act=act)
    assert (await taken(handle, now=NOW + 1.0)).name == batch.name
    assert [one.what for one in await handle.audit.page(limit=9)] == ["hooks.resume"]


async def test_a_persons_pause_is_not_overwritten(handle: Handle) -> None:
    learn(handle, ALL)
    await handle.store.hooks.hold("crm", by="operator", reason="moving", now=NOW)
    await handle.store.hooks.hold("crm", by="gone", reason="410", now=NOW + 1)
    row = await standing(handle)
    assert (row.held, row.reason, row.held_at) == ("operator", "moving", NOW)


# --- what does not get through --------------------------------------------------------------------


async def test_over_the_most_the_oldest_become_dead_letters(handle: Handle) -> None:
    learn(handle, Hook("crm", ("*",), batch=2, max_waiting=4))
    for n in range(4):
        await handle.store.hooks.write([happened(f"{n}a"), happened(f"{n}b")])
    assert await handle.store.hooks.trim("crm", now=NOW + 1) == 4
    count = (await handle.store.hooks.counts())["crm"]
    assert (count.waiting, count.dead) == (4, 4)
    letters = await handle.store.hooks.dead("crm", limit=10)
    assert {one.reason for one in letters} == {"too many waited"}
    assert letters[0].types == ("learnink.user.joined",)
    assert await handle.store.hooks.trim("crm", now=NOW + 1) == 0


async def test_what_is_too_old_becomes_a_dead_letter_and_an_erase_does_not(
    handle: Handle,
) -> None:
    learn(handle, Hook("crm", ("*",), max_age_s=100.0, identify=True))
    await handle.store.hooks.write([happened("1")])
    await handle.store.hooks.taken(await taken(handle))
    await handle.registry.erase(UserRef("mary"), now=NOW)
    await handle.store.hooks.write([happened("2", user_id="joe")])
    assert await handle.store.hooks.trim("crm", now=NOW + 101.0) == 1
    assert [one["type"] for one in await all_said(handle)] == ["user.erased"]


async def test_dead_letters_are_replayed_or_dropped(handle: Handle) -> None:
    learn(handle, Hook("crm", ("*",), batch=1, max_age_s=100.0))
    hooks = handle.store.hooks
    for n in range(3):
        await hooks.write([happened(str(n), NOW + n)])
    await hooks.trim("crm", now=NOW + 500.0)
    one, two, three = sorted(letter.id for letter in await hooks.dead("crm", limit=9))
    act = Actor("me", "cli").does("hooks.replay", "hook/crm", at=NOW)
    assert await hooks.replay_dead("crm", [one], now=NOW + 600.0, act=act) == 1
    assert await hooks.replay_dead("crm", None, now=NOW + 600.0, since=NOW + 501.0) == 0
    assert await hooks.drop_dead("crm", [two]) == 1
    assert await hooks.drop_dead("sheet", None) == 0
    assert await hooks.trim("crm", now=NOW + 650.0) == 0
    assert [letter.id for letter in await hooks.dead("crm", limit=9)] == [three]
    assert len(await all_said(handle)) == 1


async def test_old_letters_go_and_so_does_what_waits_for_nobody(handle: Handle) -> None:
    learn(handle, Hook("crm", ("*",), max_age_s=10.0), Hook("gone", ("*",), max_age_s=1e9))
    hooks = handle.store.hooks
    await hooks.write([happened("1")])
    await hooks.trim("crm", now=NOW + 50.0)
    learn(handle, Hook("crm", ("*",)))
    assert await hooks.purge(before=NOW - 1.0) == 0
    assert await hooks.purge(before=NOW + 60.0) == 2
    assert await hooks.counts() == {}


# --- people ---------------------------------------------------------------------------------------


async def test_an_erase_empties_what_waits_and_is_told_to_who_was_told(handle: Handle) -> None:
    learn(handle, ALL, Hook("sheet", ("*",)), Hook("new", ("learnink.*",)))
    hooks = handle.store.hooks
    await hooks.write([happened("1"), happened("2", user_id="joe")])
    await hooks.taken(await taken(handle, "crm"))
    posted = await taken(handle, "sheet")
    known = said(posted)[0]["user_id"]
    await hooks.failed(posted, HookFailure("it answered 500", NOW, NOW + 5.0))
    await hooks.write([happened("3"), happened("4", user_id="joe")])
    await erase(handle, UserRef("mary"), now=NOW + 10.0)
    crm = await all_said(handle, "crm")
    assert sorted(one["type"] for one in crm) == [
        "learnink.user.joined",
        "learnink.user.joined",
        "user.erased",
    ]
    assert [one["user_id"] for one in crm if one["type"] == "user.erased"] == ["mary"]
    assert [one for one in crm if one.get("erased")] != []
    sheet = await all_said(handle, "sheet")
    told = [one for one in sheet if one["type"] == "user.erased"]
    assert [one["user_id"] for one in told] == [known]
    assert known not in [one.get("user_id") for one in sheet if one not in told]
    new = await all_said(handle, "new")
    assert {one["type"] for one in new} == {"learnink.user.joined"}
    assert "mary" not in json.dumps(new)
    # nobody is told twice
    await erase(handle, UserRef("mary"), now=NOW + 20.0)
    assert await all_said(handle, "crm") == []


async def test_between_an_erase_and_its_job_nobody_is_told_of_the_person(handle: Handle) -> None:
    learn(handle, ALL)
    hooks = handle.store.hooks
    await hooks.write([happened("1")])
    posted = await taken(handle)
    await hooks.failed(posted, HookFailure("it answered 500", NOW, NOW + 5.0))
    await hooks.write([happened("2")])
    await handle.registry.erase(UserRef("mary"), now=NOW + 10.0)
    events = await all_said(handle)
    assert [one["user_id"] for one in events if one["type"] == "user.erased"] == ["mary"]
    assert sum(bool(one.get("erased")) for one in events) == 2
    await hooks.write([happened("3", NOW + 20.0)])  # who came back
    assert [one["user_id"] for one in await all_said(handle)] == ["mary"]


# --- silence --------------------------------------------------------------------------------------


async def test_silent_devices_are_found_page_by_page_and_a_mark_says_how_far(
    handle: Handle,
) -> None:
    learn(handle, Hook("crm", ("device.silent",)))
    for n in range(3):
        await register(handle, f"phone-{n}", f"a-{n}", now=NOW + n)
    bounds = {"since": NOW, "until": NOW + 2.0, "limit": 1}
    ((number, phone),) = await handle.store.hooks.silent(after=0, **bounds)  # type: ignore[arg-type]
    assert (phone.installation_id, phone.seen_at) == ("phone-1", NOW + 1.0)
    ((_, phone),) = await handle.store.hooks.silent(after=number, **bounds)  # type: ignore[arg-type]
    assert phone.installation_id == "phone-2"
    told = happened("a")._replace(type="device.silent")
    await handle.store.hooks.mark("crm", silent_at=NOW + 2.0, happened=[told])
    await handle.store.hooks.mark("crm", learnt="a cursor")
    row = await standing(handle)
    assert (row.silent_at, row.learnt, row.sealed) == (NOW + 2.0, "a cursor", "")
    assert [one["type"] for one in await all_said(handle)] == ["device.silent"]


@pytest.mark.parametrize("user", [UserRef("mary"), UserRef.either("mary")])
async def test_who_was_told_is_told_of_a_person(handle: Handle, user: UserRef) -> None:
    learn(handle, ALL)
    await handle.store.hooks.write([happened("1")])
    await handle.store.hooks.taken(await taken(handle))
    assert list((await handle.store.people.held(user, [])).hooks) == [("crm", 0)]
    assert list((await handle.store.people.held(UserRef("joe"), [])).hooks) == []


async def test_what_the_journal_still_knows_is_told_again_under_the_same_ids(
    handle: Handle,
) -> None:
    learn(handle, ALL)
    await accept(handle)
    device = await register(handle, "phone-1")
    await settle(handle, device_id=device.id, at=NOW - 50.0)
    await settle(handle, first=1, device_id=device.id)
    told = Told(Key("msg_1", 1, device.id, TODAY, "granted"), Kind.OPENED, NOW + 60.0, 60.0, True)
    await handle.store.receipts.keep([told], rule="opt_out")
    await take_out(handle, device)
    before = {one["id"]: one for one in await all_said(handle)}
    hooks = handle.store.hooks
    for what in AGAIN:
        after = None
        while page := await hooks.again(what, "crm", since=NOW - 10.0, after=after, now=NOW + 99.0):
            await hooks.mark("crm", happened=page.happened)
            after = page.after
    assert (await hooks.counts())["crm"].since == NOW + 99.0
    again = {one["id"]: one for one in await all_said(handle)}
    assert again.items() <= before.items()
    assert sorted(one["type"] for one in again.values()) == [
        "delivery.settled",
        "delivery.settled",
        "device.pruned",
        "receipt.opened",
    ]
    assert [one["event_id"] for one in before.values() if one["id"] not in again] == ["msg_1"]
