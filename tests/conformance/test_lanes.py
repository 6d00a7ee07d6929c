"""What the lanes' lasting state promises: a person's word stands, and the brake loses nothing."""

from __future__ import annotations

from gateway.core.model import Device, UserRef
from gateway.core.states import DeviceState
from gateway.ports import LaneRow
from tests.kit.build import NOW
from tests.kit.stores import Handle, register, removal

LANE = ("agent", "fcm")


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


async def hold(handle: Handle, by: str, reason: str = "why", now: float = NOW) -> None:
    hint = "what to do"
    if by == "operator":
        await handle.lanes.hold(*LANE, by="operator", reason=reason, hint=hint, now=now)
    else:
        await handle.lanes.hold(*LANE, by="misconfigured", reason=reason, hint=hint, now=now)


# --- holds --------------------------------------------------------------------------------------


async def test_a_lane_that_nobody_spoke_of_is_not_listed(handle: Handle) -> None:
    assert await handle.lanes.all() == []
    assert not await handle.lanes.resume(*LANE, by="operator")
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
    assert await handle.lanes.resume(*LANE, by="relay")
    assert await row(handle) == LaneRow(*LANE)
    await hold(handle, "operator")
    assert not await handle.lanes.resume(*LANE, by="relay")
    assert (await row(handle)).held == "operator"


async def test_an_operator_lifts_any_hold_once(handle: Handle) -> None:
    for by in ("operator", "misconfigured"):
        await hold(handle, by)
        assert await handle.lanes.resume(*LANE, by="operator")
        assert not await handle.lanes.resume(*LANE, by="operator")
        assert await row(handle) == LaneRow(*LANE)


async def test_lanes_do_not_touch_each_other(handle: Handle) -> None:
    for lane in (("agent", "apns"), ("agent", "fcm"), ("learner", "fcm")):
        await handle.lanes.hold(*lane, by="operator", reason="", now=NOW)
        await handle.lanes.trip_brake(*lane, now=NOW)
    await handle.lanes.resume(*LANE, by="operator")
    await handle.lanes.release(*LANE, now=NOW)
    found = [(one.app, one.provider, one.held, one.brake_at) for one in await handle.lanes.all()]
    assert found == [
        ("agent", "apns", "operator", NOW),
        ("agent", "fcm", "", None),
        ("learner", "fcm", "operator", NOW),
    ]


# --- the brake ----------------------------------------------------------------------------------


async def test_the_brake_stays_on_from_the_moment_it_tripped(handle: Handle) -> None:
    await handle.lanes.trip_brake(*LANE, now=NOW)
    await handle.lanes.trip_brake(*LANE, now=NOW + 60)
    assert (await row(handle)).brake_at == NOW
    await handle.lanes.release(*LANE, now=NOW)
    assert (await row(handle)).brake_at is None


async def test_the_brake_and_a_hold_are_two_things(handle: Handle) -> None:
    await handle.lanes.trip_brake(*LANE, now=NOW)
    await hold(handle, "operator")
    await handle.lanes.resume(*LANE, by="operator")
    assert (await row(handle)).brake_at == NOW
    await hold(handle, "operator")
    await handle.lanes.release(*LANE, now=NOW)
    assert (await row(handle)).held == "operator"


async def test_what_the_brake_held_back_waits_and_is_counted(handle: Handle) -> None:
    a, b = await phones(handle, "a", "b")
    await handle.lanes.trip_brake(*LANE, now=NOW)
    await handle.lanes.hold_back([removal(a), removal(b)])
    await handle.lanes.hold_back([removal(a)])
    assert (await row(handle)).held_back == 2
    assert set((await devices(handle)).values()) == {DeviceState.ACTIVE}


async def test_a_release_carries_out_what_was_held_back(handle: Handle) -> None:
    a, b, _ = await phones(handle, "a", "b", "c")
    await handle.lanes.trip_brake(*LANE, now=NOW)
    await handle.lanes.hold_back(
        [removal(a), removal(b, DeviceState.QUARANTINED, "INVALID_ARGUMENT")]
    )
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
    await handle.lanes.trip_brake(*LANE, now=NOW)
    await handle.lanes.hold_back([removal(device)])
    assert await handle.lanes.release(*LANE, now=NOW, discard=True) == 0
    assert await devices(handle) == {"a": DeviceState.ACTIVE}
    assert await row(handle) == LaneRow(*LANE)
    assert await handle.lanes.release(*LANE, now=NOW) == 0


async def test_a_release_spares_what_registered_meanwhile(handle: Handle) -> None:
    again, moved, gone, dead = await phones(handle, "again", "moved", "gone", "dead")
    await handle.lanes.trip_brake(*LANE, now=NOW)
    await handle.lanes.hold_back([removal(one) for one in (again, moved, gone, dead)])
    await register(handle, "again", "again", user_id="user-again", now=NOW)
    await register(handle, "moved", "another", user_id="user-moved", now=NOW)
    await handle.registry.forget("gone", proven=None)
    assert await handle.lanes.release(*LANE, now=NOW) == 1
    assert await devices(handle) == {
        "again": DeviceState.ACTIVE,
        "moved": DeviceState.ACTIVE,
        "dead": DeviceState.PRUNED,
    }


async def test_the_newest_proof_counts(handle: Handle) -> None:
    """A device that registered again and died again after the brake had tripped."""
    (before,) = await phones(handle, "a")
    await handle.lanes.trip_brake(*LANE, now=NOW)
    await handle.lanes.hold_back([removal(before)])
    after = await register(handle, "a", "a", user_id="user-a", now=NOW + 60)
    await handle.lanes.hold_back([removal(after)])
    assert await handle.lanes.release(*LANE, now=NOW) == 1


async def test_a_device_already_out_of_service_is_not_counted_again(handle: Handle) -> None:
    (device,) = await phones(handle, "a")
    await handle.lanes.hold_back([removal(device)])
    assert await handle.lanes.release(*LANE, now=NOW) == 1
    await handle.lanes.hold_back([removal(device)])
    assert await handle.lanes.release(*LANE, now=NOW) == 0


async def test_holding_nothing_back_is_fine(handle: Handle) -> None:
    await handle.lanes.hold_back([])
    assert await handle.lanes.release(*LANE, now=NOW) == 0


# --- reports ------------------------------------------------------------------------------------


async def test_a_report_tells_how_a_lane_fares_and_changes_no_decision(handle: Handle) -> None:
    await hold(handle, "operator")
    await handle.lanes.trip_brake(*LANE, now=NOW)
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
        rate=600.5,
        errors=0.25,
        waiting=17,
        seen_at=NOW + 1,
    )
    assert second == LaneRow("learner", "apns", seen_at=NOW)


async def test_a_decision_changes_no_report(handle: Handle) -> None:
    await handle.lanes.report([LaneRow(*LANE, rate=9.0, waiting=3, seen_at=NOW)])
    await hold(handle, "operator")
    await handle.lanes.resume(*LANE, by="operator")
    assert await row(handle) == LaneRow(*LANE, rate=9.0, waiting=3, seen_at=NOW)
