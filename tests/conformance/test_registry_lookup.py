"""What every registry promises to those who look: targets, lists, exports, counts."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.core.model import Device, UserRef
from gateway.core.states import DeviceState
from gateway.ports import Imported
from providers.contract import Address, AddressKind, Environment, Platform
from tests.kit.build import NOW, item
from tests.kit.stores import Handle, register, registration, take_out

MARY = UserRef(user_id="mary")
IPHONE: dict[str, Any] = {"platform": Platform.IOS, "provider": "apns"}


async def everything(handle: Handle) -> list[Device]:
    return [device async for page in handle.registry.export() for device in page]


async def reached(handle: Handle, user_id: str | None, custom_id: str | None = None) -> list[int]:
    (targets,) = await handle.registry.targets([item(user_id=user_id, custom_id=custom_id)])
    return sorted(target.device_id for target in targets)


# --- targets ------------------------------------------------------------------------------------


async def test_a_target_tells_the_relay_where_to_send_and_what_the_row_was(handle: Handle) -> None:
    device = await register(handle, **IPHONE, environment=Environment.SANDBOX, custom_id="c-mary")
    ((target,),) = await handle.registry.targets([item(user_id=None, custom_id="c-mary")])
    assert target.address == Address(
        "address-1", AddressKind.TOKEN, Platform.IOS, Environment.SANDBOX
    )
    assert (target.device_id, target.app, target.provider) == (device.id, "agent", "apns")
    assert (target.user_id, target.custom_id) == (None, "c-mary")
    assert target.seen_at == device.last_seen_at


async def test_a_user_is_found_by_either_id_and_each_device_once(handle: Handle) -> None:
    both = await register(handle, "a", "a", user_id="mary", custom_id="c-mary")
    one = await register(handle, "b", "b", user_id="mary")
    other = await register(handle, "c", "c", custom_id="c-mary")
    assert await reached(handle, "mary", None) == [both.id, one.id]
    assert await reached(handle, None, "c-mary") == [both.id, other.id]
    assert await reached(handle, "mary", "c-mary") == [both.id, one.id, other.id]


async def test_an_id_of_one_kind_is_not_taken_for_the_other(handle: Handle) -> None:
    await register(handle, user_id="mary")
    assert await reached(handle, None, "mary") == []


@pytest.mark.parametrize("state", [DeviceState.QUARANTINED, DeviceState.PRUNED])
async def test_only_active_devices_are_targets(handle: Handle, state: DeviceState) -> None:
    assert state is not DeviceState.ACTIVE
    out = await register(handle, "out", "out", custom_id="c-mary", user_id="mary")
    kept = await register(handle, "kept", "kept", custom_id="c-mary", user_id="mary")
    await take_out(handle, out, state)
    assert await reached(handle, "mary") == await reached(handle, None, "c-mary") == [kept.id]


async def test_targets_come_in_the_order_of_the_items(handle: Handle) -> None:
    ids = {name: (await register(handle, name, name, user_id=name)).id for name in "abc"}
    wanted = ["c", "nobody", "a", "c", None, "b"]
    found = await handle.registry.targets([item(n, user_id=who) for n, who in enumerate(wanted)])
    assert [[target.device_id for target in targets] for targets in found] == [
        [ids["c"]],
        [],
        [ids["a"]],
        [ids["c"]],
        [],
        [ids["b"]],
    ]


async def test_no_items_have_no_targets(handle: Handle) -> None:
    assert await handle.registry.targets([]) == []


@pytest.mark.parametrize(
    "name", ['"', "a,b", "Zoë 🌱", "%", "0", "1e3", "null", "[]", "back\\slash", " ", "x" * 256]
)
async def test_an_id_is_any_text(handle: Handle, name: str) -> None:
    by_user = await register(handle, "a", "a", user_id=name)
    by_custom = await register(handle, "b", "b", custom_id=name)
    assert await reached(handle, name) == [by_user.id]
    assert await reached(handle, None, name) == [by_custom.id]


async def test_a_whole_chunk_is_looked_up_at_once(handle: Handle) -> None:
    await handle.registry.register_many(
        [registration(f"p-{n}", f"a-{n}", user_id=f"user-{n}") for n in range(256)], now=NOW
    )
    found = await handle.registry.targets([item(n, user_id=f"user-{n}") for n in range(256)])
    assert [target.user_id for (target,) in found] == [f"user-{n}" for n in range(256)]


# --- lists, imports, exports, counts ------------------------------------------------------------


async def test_a_users_devices_come_most_recently_seen_first_in_any_state(handle: Handle) -> None:
    pruned = await register(handle, "a", "a", now=NOW + 1)
    await register(handle, "b", "b", now=NOW + 3)
    await register(handle, "c", "c", now=NOW + 2)
    await register(handle, "d", "d", now=NOW + 4, user_id="bob")
    await take_out(handle, pruned)
    devices = await handle.registry.devices_of(MARY)
    assert [(device.installation_id, device.state) for device in devices] == [
        ("b", DeviceState.ACTIVE),
        ("c", DeviceState.ACTIVE),
        ("a", DeviceState.PRUNED),
    ]


async def test_a_path_segment_finds_a_user_by_either_id_each_device_once(handle: Handle) -> None:
    await register(handle, "a", "a", user_id="mary", custom_id="mary")
    await register(handle, "b", "b", custom_id="mary")
    devices = await handle.registry.devices_of(UserRef.either("mary"))
    assert sorted(device.installation_id for device in devices) == ["a", "b"]


async def test_nobody_has_no_devices(handle: Handle) -> None:
    await register(handle)
    assert await handle.registry.devices_of(UserRef()) == []
    assert await handle.registry.installations("unknown") == []


async def test_an_import_tells_new_from_known(handle: Handle) -> None:
    await register(handle, "known", "known")
    asked = [
        registration("known", "known"),
        registration("new", "new"),
        registration("new", "newer"),
    ]
    assert await handle.registry.register_many(asked, now=NOW) == Imported(1, 2)
    assert {d.address for d in await everything(handle)} == {"known", "newer"}


async def test_an_import_is_no_word_from_the_app(handle: Handle) -> None:
    """It moves no time that proof of death is held against, and brings nothing back to life."""
    before = await register(handle, "known", "known")
    gone = await register(handle, "gone", "gone")
    await take_out(handle, gone)
    asked = [
        registration("known", "known", seen_at=0.0),
        registration("gone", "gone", seen_at=NOW + 60),
        registration("new", "new", seen_at=0.0),
        registration("old", "old", seen_at=NOW - 60),
    ]
    assert await handle.registry.register_many(asked, now=NOW + 60) == Imported(2, 2)
    after = {device.installation_id: device for device in await everything(handle)}
    assert after["known"] == before
    assert after["gone"].state is DeviceState.PRUNED
    assert (after["new"].last_seen_at, after["old"].last_seen_at) == (0.0, NOW - 60)
    assert after["new"].registered_at == NOW + 60


async def test_an_import_moves_a_device_to_another_address(handle: Handle) -> None:
    await register(handle, "known", "known")
    asked = [registration("known", "another", seen_at=NOW + 60)]
    assert await handle.registry.register_many(asked, now=NOW + 90) == Imported(0, 1)
    (device,) = await everything(handle)
    assert (device.address, device.last_seen_at) == ("another", NOW + 60)


async def test_an_environment_is_remembered_of_the_address_alone(handle: Handle) -> None:
    device = await register(handle)
    await handle.registry.remember_environment(device.id, "an older one", Environment.SANDBOX)
    (after,) = await everything(handle)
    assert after.environment is Environment.PRODUCTION


async def test_an_export_streams_every_device_once(handle: Handle) -> None:
    asked = [registration(f"p-{n}", f"a-{n}", user_id=f"user-{n}") for n in range(1_234)]
    await handle.registry.register_many(asked, now=NOW)
    pages = [page async for page in handle.registry.export()]
    assert all(pages)
    assert max(len(page) for page in pages) < 1_234
    addresses = [device.address for page in pages for device in page]
    assert sorted(addresses) == sorted(one.address for one in asked)


async def test_an_export_goes_on_over_devices_that_go_meanwhile(handle: Handle) -> None:
    asked = [registration(f"p-{n}", f"a-{n}", user_id=f"user-{n}") for n in range(1_100)]
    await handle.registry.register_many(asked, now=NOW)
    seen: set[str] = set()
    async for page in handle.registry.export():
        seen.update(device.installation_id for device in page)
        for device in page:
            if device.installation_id.endswith("7"):
                await handle.registry.forget(device.installation_id, proven=None, now=NOW)
    assert len(seen) == 1_100


async def test_an_export_may_be_narrowed_to_an_app_and_a_state(handle: Handle) -> None:
    pruned = await register(handle, "a", "a", app="agent")
    await register(handle, "b", "b", app="agent")
    await register(handle, "c", "c", app="learner")
    await take_out(handle, pruned)
    found = {
        (app, state): [
            device.installation_id
            async for page in handle.registry.export(app=app, state=state)
            for device in page
        ]
        for app in ("agent", "learner", "unknown")
        for state in (None, DeviceState.PRUNED)
    }
    assert found == {
        ("agent", None): ["a", "b"],
        ("agent", DeviceState.PRUNED): ["a"],
        ("learner", None): ["c"],
        ("learner", DeviceState.PRUNED): [],
        ("unknown", None): [],
        ("unknown", DeviceState.PRUNED): [],
    }


async def test_devices_are_counted_by_provider_app_and_state(handle: Handle) -> None:
    assert await handle.registry.count() == {}
    pruned = await register(handle, "a", "a")
    await register(handle, "b", "b")
    await register(handle, "c", "c")
    await register(handle, "d", "d", app="learner", **IPHONE)
    await take_out(handle, pruned)
    assert await handle.registry.count() == {
        ("fcm", "agent", "active"): 2,
        ("fcm", "agent", "pruned"): 1,
        ("apns", "learner", "active"): 1,
    }


async def test_only_what_was_pruned_before_is_purged(handle: Handle) -> None:
    long_ago = await register(handle, "long ago", "a")
    lately = await register(handle, "lately", "b")
    suspect = await register(handle, "suspect", "c")
    await register(handle, "in use", "d", now=NOW - 10_000)
    await take_out(handle, long_ago, at=NOW - 1_000)
    await take_out(handle, lately, at=NOW)
    await take_out(handle, suspect, DeviceState.QUARANTINED, at=NOW - 1_000)
    assert await handle.registry.purge(pruned_before=NOW) == 1
    names = {device.installation_id for device in await everything(handle)}
    assert names == {"lately", "suspect", "in use"}
    assert await handle.registry.purge(pruned_before=NOW) == 0


async def test_a_device_revived_before_the_purge_stays(handle: Handle) -> None:
    device = await register(handle)
    await take_out(handle, device, at=NOW - 1_000)
    await register(handle)
    assert await handle.registry.purge(pruned_before=NOW) == 0
    assert await reached(handle, "mary") == [device.id]
