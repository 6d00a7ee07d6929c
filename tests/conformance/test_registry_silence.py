"""What every registry knows of silence: when a phone was last seen, and what it said of itself."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from gateway.core.model import Profile, Registration, Target, UserRef
from gateway.core.staleness import WITHIN
from gateway.core.states import DeviceState
from providers.contract import Platform
from tests.kit.build import NOW, item
from tests.kit.stores import Handle, hear, register, registration, take_out

MARY = UserRef(user_id="mary")
DAY = 86_400.0


async def target(handle: Handle) -> Target:
    ((found,),) = await handle.registry.targets([item(user_id="mary")])
    return found


async def imported(handle: Handle, *, now: float = NOW, **fields: Any) -> None:
    await handle.registry.register_many([replace(registration(), **fields)], now=now)


@pytest.mark.parametrize(
    ("notifications", "can"),
    list(
        product(
            ["granted", "denied", "provisional", "unknown", None],
            [
                "received displayed opened dismissed data_messages",
                "data_messages",
                "received data_messages2",
                "received",
                "",
                None,
            ],
        )
    ),
)
async def test_a_target_has_what_the_registration_said(
    handle: Handle, notifications: str | None, can: str | None
) -> None:
    await register(handle, profile=Profile(notifications=notifications, can=can))
    found = await target(handle)
    assert found.is_denied == (notifications == "denied")
    assert found.takes_data_messages == ("data_messages" in (can or "").split())


async def test_what_is_said_later_holds_and_what_is_not_said_stays(handle: Handle) -> None:
    await register(handle, profile=Profile(notifications="denied", can="data_messages"))
    await register(handle)
    found = await target(handle)
    assert (found.is_denied, found.takes_data_messages) == (True, True)
    await register(handle, profile=Profile(notifications="granted", can=""))
    found = await target(handle)
    assert (found.is_denied, found.takes_data_messages) == (False, False)


# --- when a phone was last seen -----------------------------------------------------------------


async def test_a_registration_is_seen_at_its_time(handle: Handle) -> None:
    await register(handle, now=NOW + 0.7)
    assert (await target(handle)).fresh_at == NOW


async def test_an_import_is_seen_when_its_line_says(handle: Handle) -> None:
    await imported(handle, seen_at=NOW - 90 * DAY)
    assert (await target(handle)).fresh_at == NOW - 90 * DAY


async def test_an_import_without_a_time_is_unknown_since_it_came(handle: Handle) -> None:
    await imported(handle, seen_at=0.0)
    assert (await target(handle)).fresh_at == NOW
    await imported(handle, seen_at=0.0, now=NOW + 50 * DAY)
    assert (await target(handle)).fresh_at == NOW, "the same file says nothing new"


@pytest.mark.parametrize("later", [-7.0, 0.0, 60.0, 400 * DAY, 1e10])
async def test_no_import_is_seen_after_it_came(handle: Handle, later: float) -> None:
    at = NOW + later
    await imported(handle, seen_at=at, heard_at=at, user_changed_at=at)
    (device,) = await handle.registry.devices_of(MARY)
    possible = min(at, NOW)
    seen_at = possible if later <= 60 else 0.0  # the writer's clock may be ahead, not a day
    times = (device.last_seen_at, device.heard_at, device.user_changed_at)
    assert times == (seen_at, possible, possible)
    # what the app says meanwhile is newer than such a line, and so is a line of then
    assert (await register(handle, now=NOW + 1)).last_seen_at == NOW + 1
    moved = replace(registration("phone", "renewed"), seen_at=NOW + 2)
    done = await handle.registry.register_many([moved], now=NOW + 3)
    assert done.newer == ()


async def test_an_import_from_before_all_time_is_one_of_which_nobody_knows(handle: Handle) -> None:
    await imported(handle, seen_at=-DAY, heard_at=-DAY)
    (device,) = await handle.registry.devices_of(MARY)
    assert (device.last_seen_at, device.heard_at) == (0.0, 0.0)
    assert (await target(handle)).fresh_at == NOW


@pytest.mark.parametrize("heard_at", [0.0, NOW - 90 * DAY, NOW])
@pytest.mark.parametrize("seen_at", [0.0, NOW - 80 * DAY, NOW])
async def test_all_say_the_same_of_when_an_import_was_seen(
    handle: Handle, seen_at: float, heard_at: float
) -> None:
    """The look-up, a device as it is shown, and the list of silent ones."""
    await imported(handle, seen_at=seen_at, heard_at=heard_at)
    met_at = max(seen_at, heard_at)
    (device,) = await handle.registry.devices_of(MARY)
    found = await target(handle)
    assert (device.met_at, device.fresh_at) == (met_at, met_at or NOW)
    assert (max(found.met_at, 0.0), found.fresh_at) == (met_at, met_at or NOW)
    for since in (NOW - 85 * DAY, NOW - 10 * DAY, NOW + 1):
        pages = [page async for page in handle.registry.export(silent_since=since)]
        assert bool(pages) == (device.fresh_at < since)


async def test_a_receipt_counts_as_seen_and_no_proof_is_held_against_it(handle: Handle) -> None:
    device = await register(handle)
    await hear(handle.store, {device.id: NOW + DAY, device.id + 1: NOW})
    (after,) = await handle.registry.devices_of(MARY)
    assert after == replace(device, heard_at=NOW + DAY)
    found = await target(handle)
    assert (found.fresh_at, found.seen_at) == (NOW + DAY, device.last_seen_at)


async def test_a_receipt_is_seen_of_an_import_of_which_nobody_knew(handle: Handle) -> None:
    await imported(handle, seen_at=0.0)
    (device,) = await handle.registry.devices_of(MARY)
    await hear(handle.store, {device.id: NOW + DAY})
    assert (await target(handle)).fresh_at == NOW + DAY


@pytest.mark.parametrize(
    ("at", "heard_at"),
    [(-DAY, 0.0), (0.0, 0.0), (3_599.0, 0.0), (3_600.0, NOW + 3_600.0), (DAY, NOW + DAY)],
)
async def test_a_receipt_is_noted_when_it_is_an_hour_newer(
    handle: Handle, at: float, heard_at: float
) -> None:
    device = await register(handle)
    await hear(handle.store, {device.id: NOW + at})
    (after,) = await handle.registry.devices_of(MARY)
    assert after.heard_at == heard_at


async def test_a_registration_keeps_what_was_heard_unless_another_user_has_the_phone(
    handle: Handle,
) -> None:
    device = await register(handle)
    await hear(handle.store, {device.id: NOW + DAY})
    await register(handle, now=NOW + DAY + 60)
    (again,) = await handle.registry.devices_of(MARY)
    assert again.heard_at == NOW + DAY
    await register(handle, user_id="bob")
    (bobs,) = await handle.registry.devices_of(UserRef(user_id="bob"))
    assert (bobs.id, bobs.heard_at) == (device.id, 0.0)


async def test_an_import_brings_what_was_heard(handle: Handle) -> None:
    await imported(handle, seen_at=NOW - 90 * DAY, heard_at=NOW - DAY)
    assert (await target(handle)).fresh_at == NOW - DAY


async def test_receipts_of_many_phones_are_noted_at_once(handle: Handle) -> None:
    lines: list[Registration] = [
        replace(registration(f"p-{n}", f"a-{n}"), user_id=f"user-{n}", seen_at=NOW)
        for n in range(50)
    ]
    await handle.registry.register_many(lines, now=NOW)
    ids = [one.id async for page in handle.registry.export() for one in page]
    await hear(handle.store, {one: NOW + DAY + n for n, one in enumerate(reversed(ids))})
    heard = {one.id: one.heard_at async for page in handle.registry.export() for one in page}
    assert heard == {one: NOW + DAY + n for n, one in enumerate(reversed(ids))}


async def test_a_phone_of_which_something_was_heard_lately_is_listed_first_and_keeps_its_place(
    handle: Handle,
) -> None:
    phones = [await register(handle, f"phone-{n}", f"address-{n}", now=NOW + n) for n in range(20)]
    await hear(handle.store, {phones[0].id: NOW + DAY})
    listed = await handle.registry.devices_of(MARY)
    assert [one.installation_id for one in listed[:2]] == ["phone-0", "phone-19"]
    await register(handle, "phone-20", "address-20", now=NOW + 2 * DAY)
    listed = await handle.registry.devices_of(MARY)
    assert [one.installation_id for one in listed[:2]] == ["phone-20", "phone-0"]
    assert "phone-1" not in {one.installation_id for one in listed}


# --- lists and counts ---------------------------------------------------------------------------


async def some_phones(handle: Handle) -> None:
    """Phones of many ages, muted and not."""
    lines = [
        ("fresh", NOW - 60, "granted"),
        ("week", NOW - 7 * DAY, "denied"),
        ("month", NOW - 29 * DAY, None),
        ("heard", NOW - 300 * DAY, "denied"),
        ("quarter", NOW - 90 * DAY, "denied"),
        ("unknown", 0.0, "provisional"),
        ("told", 0.0, None),  # nobody knows when it registered, and a receipt came from it
    ]
    for name, seen_at, notifications in lines:
        said = Profile(notifications=notifications)
        line = replace(registration(name, name, profile=said), seen_at=seen_at)
        now = NOW if seen_at else NOW - 40 * DAY
        await handle.registry.register_many([line], now=now)
    told = {"heard": NOW - 2 * DAY, "told": NOW - 20 * DAY}
    for name, at in told.items():
        (device,) = await handle.registry.installations(name)
        await hear(handle.store, {device.id: at})
    await register(handle, "web", "web", platform=Platform.WEB, app="field", now=NOW)
    gone = await register(handle, "gone", "gone", profile=Profile(notifications="denied"))
    await take_out(handle, gone)


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        ({}, "fresh week month heard quarter unknown told web gone"),
        ({"silent_since": NOW - 90 * DAY}, ""),
        ({"silent_since": NOW - 89 * DAY}, "quarter"),
        ({"silent_since": NOW - 40 * DAY}, "quarter"),
        ({"silent_since": NOW - 39 * DAY}, "quarter unknown"),
        ({"silent_since": NOW - 7 * DAY}, "month quarter unknown told"),
        ({"silent_since": NOW - DAY}, "week month heard quarter unknown told"),
        ({"denied": True}, "week heard quarter gone"),
        ({"denied": True, "state": DeviceState.ACTIVE}, "week heard quarter"),
        ({"denied": True, "silent_since": NOW - 8 * DAY}, "quarter"),
        ({"app": "field", "denied": True}, ""),
    ],
)
async def test_devices_are_listed_by_silence_and_permission(
    handle: Handle, asked: dict[str, Any], names: str
) -> None:
    await some_phones(handle)
    found = [one async for page in handle.registry.export(**asked) for one in page]
    assert [one.installation_id for one in found] == names.split()


async def test_a_look_up_and_a_list_say_the_same_of_when_a_device_was_seen(handle: Handle) -> None:
    await some_phones(handle)
    for name, at in (("unknown", NOW - 9 * DAY), ("fresh", NOW - 9 * DAY), ("web", NOW + 5_000.5)):
        (device,) = await handle.registry.installations(name)
        await hear(handle.store, {device.id: at})
    (found,) = await handle.registry.targets([item(user_id="mary")])
    listed = [
        one async for page in handle.registry.export(state=DeviceState.ACTIVE) for one in page
    ]
    assert {one.device_id: one.fresh_at for one in found} == {
        one.id: one.fresh_at for one in listed
    }
    assert len({one.fresh_at for one in found}) > 5


async def test_those_that_are_muted_and_those_that_were_seen_are_counted(handle: Handle) -> None:
    assert await handle.registry.audience(now=NOW) == ({}, {})
    await some_phones(handle)
    audience = await handle.registry.audience(now=NOW)
    assert audience.muted == {("agent", "android"): 3, ("field", "web"): 0}
    assert {span: audience.seen["agent", span] for span in WITHIN} == {
        "1d": 1,
        "7d": 3,
        "30d": 5,
        "60d": 5,
        "270d": 6,
    }
    assert {audience.seen["field", span] for span in WITHIN} == {1}
