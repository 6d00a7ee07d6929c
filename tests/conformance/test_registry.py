"""What every registry promises: one owner per address, and proof before anything changes hands."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from gateway.core.model import Device, Profile, UserRef
from gateway.core.states import DeviceState
from gateway.errors import InstallationOwned
from providers.contract import AddressKind, Environment, Platform
from tests.kit.build import NOW, item
from tests.kit.stores import WORDS, Handle, register, registration, take_out

MARY = UserRef(user_id="mary")
BOB = UserRef(user_id="bob")
CAP = 20


async def everything(handle: Handle) -> list[Device]:
    return [device async for page in handle.registry.export() for device in page]


async def reached(handle: Handle, user_id: str | None, custom_id: str | None = None) -> list[int]:
    (targets,) = await handle.registry.targets([item(user_id=user_id, custom_id=custom_id)])
    return sorted(target.device_id for target in targets)


# --- an installation and its address ------------------------------------------------------------


async def test_a_registration_reads_back_as_it_was_written(handle: Handle) -> None:
    asked = registration(
        custom_id="3c2143e4",
        user_id="mary",
        platform=Platform.IOS,
        provider="apns",
        address_kind=AddressKind.TOKEN,
        environment=Environment.SANDBOX,
        profile=Profile("sw-KE", "Africa/Nairobi", "4.2", "18.1", "iPhone 15"),
    )
    done = await handle.registry.register(asked, proven=None, now=NOW)
    assert done.created
    assert done.device == Device(
        id=done.device.id,
        installation_id="phone",
        app="agent",
        platform=Platform.IOS,
        provider="apns",
        address="address-1",
        address_kind=AddressKind.TOKEN,
        environment=Environment.SANDBOX,
        user_id="mary",
        custom_id="3c2143e4",
        state=DeviceState.ACTIVE,
        state_reason="",
        registered_at=NOW,
        last_seen_at=NOW,
        profile=asked.profile,
        words=(WORDS.of_user("mary"), WORDS.of_custom("3c2143e4")),
    )
    assert await handle.registry.devices_of(MARY) == [done.device]
    assert await handle.registry.installations("phone") == [done.device]


async def test_a_known_installation_is_not_new_again(handle: Handle) -> None:
    first = await handle.registry.register(registration(), proven=None, now=NOW)
    second = await handle.registry.register(registration(), proven=None, now=NOW + 60)
    assert (first.created, second.created) == (True, False)
    assert second.device.id == first.device.id
    assert len(await everything(handle)) == 1


async def test_an_address_moves_to_the_user_who_registers_it(handle: Handle) -> None:
    await register(handle, "marys-phone", user_id="mary")
    await register(handle, "bobs-phone", user_id="bob")
    assert await handle.registry.devices_of(MARY) == []
    assert [device.address for device in await handle.registry.devices_of(BOB)] == ["address-1"]


async def test_an_address_moves_onto_an_installation_that_had_another(handle: Handle) -> None:
    await register(handle, "marys-phone", "address-1", user_id="mary")
    bobs = await register(handle, "bobs-phone", "address-2", user_id="bob")
    await register(handle, "bobs-phone", "address-1", user_id="bob")
    assert [(d.id, d.user_id, d.address) for d in await everything(handle)] == [
        (bobs.id, "bob", "address-1")
    ]


async def test_50_users_who_register_one_address_at_once_leave_it_with_one(
    handle: Handle, replica: Handle
) -> None:
    await asyncio.gather(
        *(register((handle, replica)[n % 2], f"phone-{n}", user_id=f"user-{n}") for n in range(50))
    )
    (device,) = await everything(handle)
    owners = [n for n in range(50) if await reached(handle, f"user-{n}")]
    assert [f"user-{n}" for n in owners] == [device.user_id]


async def test_50_registrations_of_one_installation_at_once_make_one_new_device(
    handle: Handle, replica: Handle
) -> None:
    done = await asyncio.gather(
        *(
            (handle, replica)[n % 2].registry.register(
                registration(address=f"address-{n}"), proven=MARY, now=NOW
            )
            for n in range(50)
        )
    )
    assert sum(one.created for one in done) == 1
    assert len(await everything(handle)) == 1


async def test_a_new_address_replaces_the_old_one_of_the_installation(handle: Handle) -> None:
    old = await register(handle, address="address-1")
    new = await register(handle, address="address-2")
    assert (new.id, new.address) == (old.id, "address-2")
    assert await everything(handle) == [new]


async def test_a_new_installation_with_an_old_address_replaces_the_old_installation(
    handle: Handle,
) -> None:
    old = await register(handle, "before", "address-1")
    new = await register(handle, "after", "address-2", old_address="address-1")
    assert (new.id, new.installation_id, new.address) == (old.id, "after", "address-2")
    assert await everything(handle) == [new]


async def test_a_known_installation_with_an_old_address_absorbs_the_one_that_had_it(
    handle: Handle,
) -> None:
    kept = await register(handle, "kept", "address-1")
    await register(handle, "stray", "address-2")
    await register(handle, "kept", "address-3", old_address="address-2")
    assert [(d.id, d.address) for d in await everything(handle)] == [(kept.id, "address-3")]


async def test_the_same_user_who_installs_again_keeps_the_device(handle: Handle) -> None:
    """What waits for the device in the queue names it by its id."""
    before = await register(handle, "before")
    asked = registration("after")
    done = await handle.registry.register(asked, proven=MARY, now=NOW + 60)
    assert done.created
    assert (done.device.id, done.device.installation_id) == (before.id, "after")
    assert await everything(handle) == [done.device]


async def test_the_id_of_a_device_that_went_never_comes_back(handle: Handle) -> None:
    """A delivery is named after it: a new device would inherit what was settled for the old."""
    gone = await register(handle)
    await handle.registry.forget("phone", proven=None, now=NOW)
    assert (await register(handle)).id > gone.id


async def test_one_address_may_belong_to_two_apps_and_two_providers(handle: Handle) -> None:
    await register(handle, "phone", app="agent")
    await register(handle, "phone", app="learner")
    await register(handle, "tablet", app="agent", provider="apns")
    assert len(await reached(handle, "mary")) == 3
    apps = [device.app for device in await handle.registry.installations("phone")]
    assert sorted(apps) == ["agent", "learner"]


# --- who may take what --------------------------------------------------------------------------


async def test_a_stranger_cannot_take_an_installation_over(handle: Handle) -> None:
    await register(handle, "phone", "address-1", user_id="mary")
    await register(handle, "tablet", "address-2", user_id="carol")
    before = await everything(handle)
    asked = registration("phone", "address-2", user_id="bob", old_address="a guess")
    with pytest.raises(InstallationOwned):
        await handle.registry.register(asked, proven=BOB, now=NOW + 60)
    assert await everything(handle) == before


@pytest.mark.parametrize(
    ("address", "old_address"), [("address-1", None), ("address-2", "address-1")]
)
async def test_the_current_address_takes_an_installation_over(
    handle: Handle, address: str, old_address: str | None
) -> None:
    await register(handle, "phone", "address-1", user_id="mary", custom_id="c-mary")
    asked = registration("phone", address, user_id="bob", old_address=old_address)
    done = await handle.registry.register(asked, proven=BOB, now=NOW + 60)
    assert (done.device.user_id, done.device.custom_id) == ("bob", None)
    assert done.device.registered_at == NOW + 60
    assert await everything(handle) == [done.device]


async def test_an_address_the_installation_had_once_takes_nothing_over(handle: Handle) -> None:
    await register(handle, "phone", "address-1", user_id="mary")
    await register(handle, "phone", "address-2", user_id="mary")
    with pytest.raises(InstallationOwned):
        await handle.registry.register(
            registration("phone", "address-1", user_id="bob"), proven=BOB, now=NOW
        )


async def test_an_api_key_moves_an_installation_without_its_address(handle: Handle) -> None:
    await register(handle, "phone", "address-1", user_id="mary")
    await register(handle, "phone", "address-2", user_id="bob")
    assert await reached(handle, "mary") == []
    assert len(await reached(handle, "bob")) == 1


async def test_either_proven_id_is_proof_of_ownership(handle: Handle) -> None:
    await register(handle, user_id="mary", custom_id="c-mary")
    asked = registration(address="address-2", custom_id="c-mary")
    done = await handle.registry.register(asked, proven=UserRef(custom_id="c-mary"), now=NOW + 1)
    assert (done.device.address, done.device.user_id) == ("address-2", "mary")


async def test_ownership_is_asked_per_app(handle: Handle) -> None:
    await register(handle, "phone", "address-1", user_id="mary", app="agent")
    asked = registration("phone", "address-2", user_id="bob", app="learner")
    await handle.registry.register(asked, proven=BOB, now=NOW)
    assert len(await reached(handle, "mary")) == 1


# --- forgetting ---------------------------------------------------------------------------------


async def test_a_user_forgets_an_own_installation(handle: Handle) -> None:
    await register(handle)
    assert len(await handle.registry.forget("phone", proven=MARY, now=NOW)) == 1
    assert await everything(handle) == []
    assert len(await handle.registry.forget("phone", proven=MARY, now=NOW)) == 0


async def test_a_user_cannot_forget_somebody_elses_installation(handle: Handle) -> None:
    await register(handle, "phone", user_id="mary", custom_id="c-mary")
    stranger = UserRef(user_id="bob", custom_id="c-bob")
    assert len(await handle.registry.forget("phone", proven=stranger, now=NOW)) == 0
    nobody = UserRef()
    assert len(await handle.registry.forget("phone", proven=nobody, now=NOW)) == 0
    assert len(await everything(handle)) == 1


async def test_a_user_forgets_only_the_own_one_of_two_apps(handle: Handle) -> None:
    await register(handle, "phone", "address-1", user_id="mary", app="agent")
    await register(handle, "phone", "address-2", user_id="bob", app="learner")
    assert len(await handle.registry.forget("phone", proven=MARY, now=NOW)) == 1
    assert [device.user_id for device in await everything(handle)] == ["bob"]


async def test_forgetting_may_be_narrowed_to_an_app(handle: Handle) -> None:
    await register(handle, "phone", app="agent")
    await register(handle, "phone", app="learner")
    assert len(await handle.registry.forget("phone", proven=None, app="agent", now=NOW)) == 1
    assert [device.app for device in await everything(handle)] == ["learner"]
    assert len(await handle.registry.forget("phone", proven=None, now=NOW)) == 1


# --- the cap ------------------------------------------------------------------------------------


async def test_over_the_cap_the_least_recently_seen_device_goes(handle: Handle) -> None:
    for n in range(CAP):
        await register(handle, f"phone-{n}", f"address-{n}", now=NOW + n)
    await register(handle, "phone-0", "address-0", now=NOW + 100)
    await register(handle, "one-more", "one-more", now=NOW + 101)
    names = [device.installation_id for device in await handle.registry.devices_of(MARY)]
    assert names == ["one-more", "phone-0", *(f"phone-{n}" for n in reversed(range(2, CAP)))]


async def test_the_device_that_was_just_registered_stays(handle: Handle) -> None:
    """Even by a clock that runs behind the one of another process."""
    for n in range(CAP):
        await register(handle, f"phone-{n}", f"address-{n}", now=NOW + n)
    await register(handle, "one-more", "one-more", now=NOW - 1)
    names = {device.installation_id for device in await handle.registry.devices_of(MARY)}
    assert len(names) == CAP
    assert "one-more" in names
    assert "phone-0" not in names


async def test_the_cap_counts_the_devices_of_either_id_once(handle: Handle) -> None:
    for n in range(CAP):
        ids = {"user_id": "mary", "custom_id": "c-mary"} if n % 2 else {"custom_id": "c-mary"}
        await register(handle, f"phone-{n}", f"address-{n}", now=NOW + n, **ids)
    assert len(await handle.registry.devices_of(UserRef("mary", "c-mary"))) == CAP
    await register(handle, "one-more", "one-more", user_id="mary", custom_id="c-mary", now=NOW + 99)
    devices = await handle.registry.devices_of(UserRef("mary", "c-mary"))
    assert len(devices) == CAP
    assert "phone-0" not in {device.installation_id for device in devices}


async def test_the_cap_leaves_other_users_alone(handle: Handle) -> None:
    await register(handle, "bobs", "bobs", user_id="bob", now=NOW - 1_000)
    for n in range(CAP + 1):
        await register(handle, f"phone-{n}", f"address-{n}", now=NOW + n)
    assert len(await reached(handle, "bob")) == 1


# --- states and times ---------------------------------------------------------------------------


@pytest.mark.parametrize("state", [DeviceState.QUARANTINED, DeviceState.PRUNED])
async def test_a_device_out_of_service_is_revived_by_registering(
    handle: Handle, state: DeviceState
) -> None:
    device = await register(handle)
    assert state is not DeviceState.ACTIVE
    await take_out(handle, device, state)
    (out,) = await handle.registry.devices_of(MARY)
    assert (out.state, out.state_reason) == (state, "UNREGISTERED")
    assert await reached(handle, "mary") == []
    done = await handle.registry.register(registration(), proven=MARY, now=NOW + 60)
    assert done == type(done)(
        created=False, device=replace(device, registered_at=NOW + 60, last_seen_at=NOW + 60)
    )
    assert await reached(handle, "mary") == [device.id]


async def test_last_seen_moves_at_every_registration_and_registered_at_does_not(
    handle: Handle,
) -> None:
    await register(handle, now=NOW)
    again = await register(handle, now=NOW + 60)
    assert (again.registered_at, again.last_seen_at) == (NOW, NOW + 60)


@pytest.mark.parametrize("now", [NOW, NOW - 3_600])
async def test_last_seen_moves_forward_even_if_the_clock_does_not(
    handle: Handle, now: float
) -> None:
    """Proof of death is held against it: two registrations must never look like one."""
    await register(handle, now=NOW)
    again = await register(handle, now=now)
    assert NOW < again.last_seen_at < NOW + 1
    assert again.registered_at == NOW


@pytest.mark.parametrize(
    "changed", [{"address": "address-2"}, {"user_id": "bob"}, {"custom_id": "c-other"}]
)
async def test_registered_at_moves_with_the_address_and_the_owner(
    handle: Handle, changed: dict[str, str]
) -> None:
    await register(handle, now=NOW)
    again = await register(handle, now=NOW + 60, **changed)
    assert again.registered_at == again.last_seen_at == NOW + 60


async def test_an_app_that_says_less_loses_nothing_of_the_same_user(handle: Handle) -> None:
    profile = Profile(locale="sw-KE", app_version="4.2")
    await register(handle, user_id="mary", custom_id="c-mary", profile=profile)
    again = await register(handle, user_id="mary", profile=Profile(app_version="4.3"))
    assert (again.user_id, again.custom_id) == ("mary", "c-mary")
    assert again.profile == Profile(locale="sw-KE", app_version="4.3")


async def test_the_next_user_inherits_neither_ids_nor_profile(handle: Handle) -> None:
    await register(handle, user_id="mary", custom_id="c-mary", profile=Profile(locale="sw-KE"))
    next_user = await register(handle, user_id="bob")
    assert (next_user.user_id, next_user.custom_id) == ("bob", None)
    assert next_user.profile == Profile()


# --- the environment of an APNs token -----------------------------------------------------------

IPHONE: dict[str, Any] = {"platform": Platform.IOS, "provider": "apns"}


async def test_a_silent_app_gets_production_and_keeps_what_was_learned(handle: Handle) -> None:
    device = await register(handle, **IPHONE)
    assert device.environment is Environment.PRODUCTION
    await handle.registry.remember_environment(device.id, device.address, Environment.SANDBOX)
    assert (await register(handle, **IPHONE)).environment is Environment.SANDBOX


async def test_what_was_learned_of_a_token_goes_with_it_to_another_user(handle: Handle) -> None:
    device = await register(handle, "phone", "address-1", **IPHONE)
    await handle.registry.remember_environment(device.id, device.address, Environment.SANDBOX)
    await register(handle, "tablet", "address-2", user_id="bob", **IPHONE)
    asked = registration("tablet", "address-1", user_id="bob", old_address="address-2", **IPHONE)
    moved = (await handle.registry.register(asked, proven=BOB, now=NOW)).device
    assert moved.environment is Environment.SANDBOX


async def test_what_was_learned_of_a_token_says_nothing_of_the_next(handle: Handle) -> None:
    device = await register(handle, address="address-1", **IPHONE)
    await handle.registry.remember_environment(device.id, device.address, Environment.SANDBOX)
    fresh = await register(handle, address="address-2", **IPHONE)
    assert fresh.environment is Environment.PRODUCTION


async def test_what_the_app_says_of_the_environment_counts(handle: Handle) -> None:
    device = await register(handle, **IPHONE, environment=Environment.SANDBOX)
    assert device.environment is Environment.SANDBOX
    await handle.registry.remember_environment(device.id, device.address, Environment.SANDBOX)
    device = await register(handle, **IPHONE, environment=Environment.PRODUCTION)
    assert device.environment is Environment.PRODUCTION


async def test_an_environment_of_a_device_that_went_is_no_error(handle: Handle) -> None:
    await handle.registry.remember_environment(4711, "ab" * 32, Environment.SANDBOX)
    assert await everything(handle) == []
