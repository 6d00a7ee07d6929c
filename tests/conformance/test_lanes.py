"""What the lanes' lasting state promises: a person's word stands, and the brake loses nothing."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Literal

import pytest

from gateway.core.model import Device, UserRef
from gateway.core.prune import Admission, BrakeRule
from gateway.core.states import DeliveryState, DeviceState
from gateway.errors import DevicesUncounted
from gateway.ports import Holder, LaneRow, PartRow
from gateway.ports.lanes import Trouble
from tests.kit.build import NOW, chunk, item
from tests.kit.stores import Handle, hold_back, prune, register, removal, trip

LANE = ("agent", "fcm")
WHOLE = (*LANE, "")
IOS = (*LANE, "ios")
ACCUSED: dict[str, Trouble] = {"android": "failing", "ios": "accused", "web": "accused"}


async def row(handle: Handle) -> LaneRow:
    (only,) = await handle.lanes.all()
    return only


async def devices(handle: Handle) -> dict[str, DeviceState]:
    return {
        device.installation_id: device.state
        async for page in handle.registry.export()
        for device in page
    }


async def phones(handle: Handle, *names: str) -> list[Device]:
    return [await register(handle, name, name, user_id=f"user-{name}") for name in names]


async def hold(
    handle: Handle, by: Holder, reason: str = "why", now: float = NOW, part: str = ""
) -> None:
    await handle.lanes.hold(*LANE, part, by=by, reason=reason, hint="what to do", now=now)


async def resume(
    handle: Handle, by: Literal["operator", "relay"], part: str = "", now: float = NOW
) -> bool:
    return await handle.lanes.resume(*LANE, part, by=by, now=now)


async def part(handle: Handle, name: str) -> PartRow:
    return (await row(handle)).part(name)


# --- holds --------------------------------------------------------------------------------------


async def test_a_lane_that_nobody_spoke_of_is_not_listed(handle: Handle) -> None:
    assert await handle.lanes.all() == []
    assert not await resume(handle, "operator")
    assert await handle.lanes.release(*LANE, now=NOW) == 0
    assert await handle.lanes.all() == []


async def test_a_hold_tells_who_why_when_and_what_to_do(handle: Handle, replica: Handle) -> None:
    await hold(handle, "misconfigured", "InvalidProviderToken")
    assert await row(replica) == LaneRow(
        *LANE, held="misconfigured", reason="InvalidProviderToken", hint="what to do", held_at=NOW
    )


async def test_the_relay_does_not_overwrite_an_operators_hold(handle: Handle) -> None:
    await hold(handle, "operator", "maintenance")
    await hold(handle, "misconfigured", "bad key", NOW + 60)
    assert await row(handle) == LaneRow(
        *LANE, held="operator", reason="maintenance", hint="what to do", held_at=NOW
    )


async def test_an_operator_overwrites_the_relays_hold(handle: Handle) -> None:
    await hold(handle, "misconfigured", "bad key")
    await hold(handle, "operator", "maintenance", NOW + 60)
    held = await row(handle)
    assert (held.held, held.reason, held.held_at) == ("operator", "maintenance", NOW + 60)


async def test_the_relay_lifts_its_own_hold_and_never_an_operators(handle: Handle) -> None:
    await hold(handle, "misconfigured")
    assert await resume(handle, "relay")
    assert await row(handle) == LaneRow(*LANE)
    await hold(handle, "operator")
    assert not await resume(handle, "relay")
    assert (await row(handle)).held == "operator"


async def test_an_operator_lifts_any_hold_once(handle: Handle) -> None:
    holders: tuple[Holder, ...] = ("operator", "misconfigured")
    for by in holders:
        await hold(handle, by)
        assert await resume(handle, "operator")
        assert not await resume(handle, "operator")
        assert (await row(handle)).held == ""


async def test_lanes_do_not_touch_each_other(handle: Handle) -> None:
    for lane in (("agent", "apns"), ("agent", "fcm"), ("learner", "fcm")):
        await handle.lanes.hold(*lane, "", by="operator", reason="", now=NOW)
        await trip(handle, *lane, now=NOW)
    await resume(handle, "operator")
    await handle.lanes.release(*LANE, now=NOW)
    found = [(one.app, one.provider, one.held, one.brake_at) for one in await handle.lanes.all()]
    assert found == [
        ("agent", "apns", "operator", NOW),
        ("agent", "fcm", "", None),
        ("learner", "fcm", "operator", NOW),
    ]


# --- parts ---------------------------------------------------------------------------------------


async def test_a_part_is_held_and_let_go_alone(handle: Handle, replica: Handle) -> None:
    await hold(handle, "misconfigured", "THIRD_PARTY_AUTH_ERROR", part="ios")
    await hold(handle, "operator", "quota", NOW + 1, part="web")
    seen = await row(replica)
    assert seen.held == ""
    assert seen.parts == (
        PartRow("ios", "misconfigured", "THIRD_PARTY_AUTH_ERROR", "what to do", NOW),
        PartRow("web", "operator", "quota", "what to do", NOW + 1),
    )
    assert await resume(handle, "relay", "ios")
    assert (await part(replica, "ios")).held == ""
    assert (await part(replica, "web")).held == "operator"


async def test_a_relay_never_overwrites_or_lifts_a_persons_hold_of_a_part(handle: Handle) -> None:
    await hold(handle, "operator", "maintenance", part="ios")
    await hold(handle, "misconfigured", "bad key", NOW + 60, part="ios")
    assert not await resume(handle, "relay", "ios")
    assert (await part(handle, "ios")).reason == "maintenance"


async def test_letting_a_lane_go_lets_all_of_its_parts_go(handle: Handle) -> None:
    await hold(handle, "operator", part="ios")
    await hold(handle, "misconfigured", part="web")
    assert await resume(handle, "operator", now=NOW + 5)
    found = await row(handle)
    assert [one.held for one in found.parts] == ["", ""]
    assert found.resumed_at == NOW + 5


async def test_a_persons_word_is_dated_even_where_nothing_was_held(handle: Handle) -> None:
    """So relays hear of it: what they hold may not be written yet."""
    await handle.lanes.report([LaneRow(*LANE, parts=(PartRow("ios"),))])
    assert not await resume(handle, "operator", "ios", NOW + 5)
    assert (await part(handle, "ios")).resumed_at == NOW + 5
    assert (await row(handle)).resumed_at is None


async def test_a_relays_word_is_not_dated(handle: Handle) -> None:
    await hold(handle, "misconfigured", part="ios")
    await resume(handle, "relay", "ios", NOW + 5)
    assert (await part(handle, "ios")).resumed_at is None


async def test_letting_go_ends_a_quiet_time(handle: Handle) -> None:
    await handle.lanes.report([LaneRow(*LANE, quiet_until=NOW + 600, parts=(PartRow("ios"),))])
    assert await resume(handle, "operator", "ios")
    assert (await row(handle)).quiet_until is None


async def test_letting_go_clears_what_single_targets_are_accused_of(handle: Handle) -> None:
    told = [
        PartRow(
            name,
            trouble=trouble,
            trouble_reason="BadTopic",
            trouble_hint="what to do",
            trouble_at=NOW,
            errors=0.5,
        )
        for name, trouble in ACCUSED.items()
    ]
    await handle.lanes.report([LaneRow(*LANE, parts=tuple(told))])
    assert not await resume(handle, "relay", "ios")
    assert await resume(handle, "operator", "ios", NOW + 5)
    assert not await resume(handle, "operator", "ios", NOW + 5)
    assert await part(handle, "ios") == PartRow("ios", errors=0.5, resumed_at=NOW + 5)
    assert (await part(handle, "web")).trouble == "accused"
    assert await resume(handle, "operator")
    assert (await part(handle, "web")).trouble_at is None
    assert await part(handle, "android") == told[0]


async def test_what_waits_is_told_for_the_part_and_for_the_lane(handle: Handle) -> None:
    await handle.lanes.report([LaneRow(*LANE, waiting=1, parts=(PartRow("ios", waiting=1),))])
    left = replace(chunk([item(n) for n in range(3)]), lane="agent/fcm", part="ios")
    older = replace(chunk([item(n) for n in range(2)], event_id="msg_2"), lane="agent/fcm")
    await handle.queue.publish([left, older])
    found = await row(handle)
    assert (found.waiting, found.part("ios").waiting) == (5, 3)


async def test_a_part_tells_its_trouble_and_changes_no_decision(handle: Handle) -> None:
    await hold(handle, "operator", part="ios")
    told = PartRow(
        "ios",
        trouble="failing",
        trouble_reason="no connection",
        trouble_hint="check the firewall",
        trouble_at=NOW,
        errors=0.5,
        waiting=2,
        seen_at=NOW + 1,
    )
    await handle.lanes.report([LaneRow(*LANE, parts=(told,))])
    assert await part(handle, "ios") == replace(
        told, held="operator", reason="why", hint="what to do", held_at=NOW
    )
    await handle.lanes.report([LaneRow(*LANE, parts=(PartRow("ios"),))])
    assert (await part(handle, "ios")).trouble == ""


# --- the brake ----------------------------------------------------------------------------------


async def test_the_brake_stays_on_from_the_moment_it_tripped(handle: Handle) -> None:
    await trip(handle, *LANE, now=NOW)
    await trip(handle, *LANE, now=NOW + 60)
    assert (await row(handle)).brake_at == NOW
    await handle.lanes.release(*LANE, now=NOW)
    assert (await row(handle)).brake_at is None


async def test_the_brake_and_a_hold_are_two_things(handle: Handle) -> None:
    await trip(handle, *LANE, now=NOW)
    await hold(handle, "operator")
    await resume(handle, "operator")
    assert (await row(handle)).brake_at == NOW
    await hold(handle, "operator")
    await handle.lanes.release(*LANE, now=NOW)
    assert (await row(handle)).held == "operator"


async def test_what_the_brake_held_back_waits_and_is_counted(handle: Handle) -> None:
    a, b = await phones(handle, "a", "b")
    await hold_back(handle, [removal(a), removal(b)])
    await hold_back(handle, [removal(a)])
    assert (await row(handle)).held_back == 2
    assert set((await devices(handle)).values()) == {DeviceState.ACTIVE}


async def test_a_release_carries_out_what_was_held_back(handle: Handle) -> None:
    a, b, _ = await phones(handle, "a", "b", "c")
    await hold_back(handle, [removal(a), removal(b, DeviceState.QUARANTINED, "INVALID_ARGUMENT")])
    assert await handle.lanes.release(*LANE, now=NOW) == 2
    assert await devices(handle) == {
        "a": DeviceState.PRUNED,
        "b": DeviceState.QUARANTINED,
        "c": DeviceState.ACTIVE,
    }
    (pruned,) = await handle.registry.devices_of(UserRef(user_id="user-a"))
    assert pruned.state_reason == "UNREGISTERED"
    assert await row(handle) == LaneRow(*LANE)
    assert await handle.lanes.release(*LANE, now=NOW) == 0


async def test_a_release_may_discard_what_was_held_back(handle: Handle) -> None:
    (device,) = await phones(handle, "a")
    await hold_back(handle, [removal(device)])
    assert await handle.lanes.release(*LANE, now=NOW, discard=True) == 0
    assert await devices(handle) == {"a": DeviceState.ACTIVE}
    assert await row(handle) == LaneRow(*LANE)
    assert await handle.lanes.release(*LANE, now=NOW) == 0


async def test_a_release_spares_what_registered_meanwhile(handle: Handle) -> None:
    again, moved, gone, dead = await phones(handle, "again", "moved", "gone", "dead")
    await hold_back(handle, [removal(one) for one in (again, moved, gone, dead)])
    await register(handle, "again", "again", user_id="user-again", now=NOW)
    await register(handle, "moved", "another", user_id="user-moved", now=NOW)
    await handle.registry.forget("gone", proven=None, now=NOW)
    assert await handle.lanes.release(*LANE, now=NOW) == 1
    assert await devices(handle) == {
        "again": DeviceState.ACTIVE,
        "moved": DeviceState.ACTIVE,
        "dead": DeviceState.PRUNED,
    }


async def test_the_newest_proof_counts(handle: Handle) -> None:
    """A device that registered again and died again after the brake had tripped."""
    (before,) = await phones(handle, "a")
    await hold_back(handle, [removal(before)])
    after = await register(handle, "a", "a", user_id="user-a", now=NOW + 60)
    await hold_back(handle, [removal(after)])
    assert await handle.lanes.release(*LANE, now=NOW) == 1


async def test_a_device_already_out_of_service_is_not_counted_again(handle: Handle) -> None:
    (device,) = await phones(handle, "a")
    await hold_back(handle, [removal(device)])
    assert await handle.lanes.release(*LANE, now=NOW) == 1
    await hold_back(handle, [removal(device)])
    assert await handle.lanes.release(*LANE, now=NOW) == 0


# --- what the brake counts ----------------------------------------------------------------------

RULE = BrakeRule(share=0.1, minimum=2, window_s=600.0)


async def die(
    handle: Handle,
    *dead: Device,
    rule: BrakeRule = RULE,
    devices: int = 30,
    counted: bool = True,
    now: float = NOW,
) -> int:
    """How many of these go, when all are proven dead, from a lane of 30."""
    orders = [removal(device) for device in dead]
    recorded = await prune(handle, orders, rule=rule, devices=devices, counted=counted, now=now)
    return len(recorded.went)


async def test_all_relays_share_one_threshold(handle: Handle, replica: Handle) -> None:
    one, two, three, four = await phones(handle, "1", "2", "3", "4")
    assert await die(handle, one) == 1
    assert await die(replica, two) == 1
    recorded = await prune(handle, [removal(three), removal(four)], rule=RULE, devices=30)
    assert recorded.gone == {0}
    assert recorded.tripped == {LANE: (2, Admission(1, tripped=True, devices=30))}
    seen = await row(replica)
    assert (seen.brake_at, seen.held_back) == (NOW, 1)
    assert list((await devices(replica)).values()).count(DeviceState.PRUNED) == 3


async def test_relays_that_prune_at_once_share_one_threshold(
    handle: Handle, replica: Handle
) -> None:
    some = await phones(handle, *map(str, range(12)))
    turns = zip(some, [handle, replica] * 6, strict=True)
    assert sum(await asyncio.gather(*(die(who, one) for one, who in turns))) == 3
    assert (await row(handle)).held_back == 9


async def test_while_the_brake_is_on_all_is_held_back(handle: Handle) -> None:
    one, two, three = await phones(handle, "1", "2", "3")
    await hold_back(handle, [removal(one)])
    assert await die(handle, two, three, devices=10_000, counted=False) == 0
    assert await die(handle, three) == 0
    assert (await row(handle)).held_back == 3


async def test_what_the_brake_keeps_is_told_in_the_journal(handle: Handle) -> None:
    (device,) = await phones(handle, "1")
    await hold_back(handle, [removal(device)])
    (line,) = await handle.journal.items_of("msg_dead")
    assert line.state is DeliveryState.REFUSED
    assert line.reason.endswith("the prune brake keeps the device")


async def test_a_device_is_counted_once_however_often_it_is_proven_dead(handle: Handle) -> None:
    one, two, three, four = await phones(handle, "1", "2", "3", "4")
    for _ in range(3):
        recorded = await prune(handle, [removal(one), removal(one)], rule=RULE, devices=30)
        assert recorded.gone == {0, 1}
    assert await die(handle, two, three) == 2
    assert await die(handle, four) == 0


async def test_what_is_not_as_it_was_proven_is_not_counted(handle: Handle) -> None:
    before = await phones(handle, "1", "2", "3")
    after = [
        await register(handle, one.installation_id, one.address, user_id="u", now=NOW + 9)
        for one in before
    ]
    assert await die(handle, *before) == 0
    assert await die(handle, *after) == 3


async def test_one_that_came_back_counts_again(handle: Handle) -> None:
    one, two = await phones(handle, "1", "2")
    for turn in range(3):
        assert await die(handle, one) == 1
        one = await register(handle, "1", "1", user_id="user-1", now=NOW + turn)
    assert await die(handle, two) == 0


async def test_a_share_is_of_what_the_lane_had_before_the_first_went(handle: Handle) -> None:
    some = await phones(handle, *"1234")
    assert [await die(handle, some[n], devices=30 - n) for n in range(4)] == [1, 1, 1, 0]


async def test_a_lane_that_grew_has_more_to_give(handle: Handle) -> None:
    some = await phones(handle, *"1234")
    assert await die(handle, *some[:2], devices=2) == 2
    assert await die(handle, *some[2:], devices=40) == 2


async def test_an_old_count_trips_nothing_and_changes_nothing(handle: Handle) -> None:
    some = await phones(handle, *"1234")
    with pytest.raises(DevicesUncounted):
        await die(handle, *some, counted=False)
    assert set((await devices(handle)).values()) == {DeviceState.ACTIVE}
    assert await handle.journal.items_of("msg_dead") == []
    assert await die(handle, *some, devices=100) == 4


async def test_a_release_begins_to_count_anew(handle: Handle) -> None:
    some = await phones(handle, *"12345678")
    assert await die(handle, *some[:4]) == 3
    assert await handle.lanes.release(*LANE, now=NOW, discard=True) == 0
    assert await die(handle, *some[4:7]) == 3
    assert await die(handle, some[7]) == 0


async def test_lanes_count_apart(handle: Handle) -> None:
    some = await phones(handle, *"123")
    assert await die(handle, *some) == 3
    await trip(handle, "agent", "apns", now=NOW)
    seen = {one.provider: one.brake_at for one in await handle.lanes.all()}
    assert (seen.get("fcm"), seen["apns"]) == (None, NOW)


async def test_what_left_the_window_counts_no_more(handle: Handle) -> None:
    """The window counts by the server's clock where there is one, so this one is short."""
    one, two = await phones(handle, "1", "2")
    short = BrakeRule(share=0.0, minimum=1, window_s=0.01)
    assert await die(handle, one, rule=short) == 1
    await asyncio.sleep(1.1)
    assert await die(handle, two, rule=short, now=NOW + 2) == 1


async def test_a_share_is_of_a_lane_as_it_is_once_the_window_has_moved_on(handle: Handle) -> None:
    """A lane that lost half of its devices otherwise allows half, however long it prunes."""
    some = await phones(handle, *"123456")
    short = BrakeRule(share=0.1, minimum=2, window_s=2.0)
    assert await die(handle, some[0], rule=short, devices=60) == 1
    await asyncio.sleep(1.1)
    assert await die(handle, some[1], rule=short, devices=30, now=NOW + 1.1) == 1
    await asyncio.sleep(2.0)
    # on a busy machine the second has left the window by now, too
    assert await die(handle, *some[2:], rule=short, devices=29, now=NOW + 3.1) in (2, 3)


# --- reports ------------------------------------------------------------------------------------


async def test_a_report_tells_how_a_lane_fares_and_changes_no_decision(handle: Handle) -> None:
    await hold(handle, "operator")
    await trip(handle, *LANE, now=NOW)
    told = LaneRow(*LANE, rate=600.5, errors=0.25, waiting=17, seen_at=NOW + 1)
    await handle.lanes.report([told, LaneRow("learner", "apns", seen_at=NOW)])
    first, second = await handle.lanes.all()
    assert first == LaneRow(
        *LANE,
        held="operator",
        reason="why",
        hint="what to do",
        held_at=NOW,
        brake_at=NOW,
        held_back=1,
        rate=600.5,
        errors=0.25,
        waiting=17,
        seen_at=NOW + 1,
    )
    assert second == LaneRow("learner", "apns", seen_at=NOW)


async def test_a_decision_changes_no_report(handle: Handle) -> None:
    await handle.lanes.report([LaneRow(*LANE, rate=9.0, waiting=3, seen_at=NOW)])
    await hold(handle, "operator")
    await resume(handle, "operator")
    assert await row(handle) == LaneRow(*LANE, resumed_at=NOW, rate=9.0, waiting=3, seen_at=NOW)
