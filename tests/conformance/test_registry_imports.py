"""What an import may not do: take, or bring back, what is newer here. Alike on every engine.

The table has what may have become of a phone since a file was written. Any order of such things is
in `tests/properties/test_imports.py`; here, that a batch does what its lines do one by one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from gateway.core.model import Device, Registration, UserRef
from gateway.core.states import DeviceState
from gateway.ports import Imported
from tests.kit.build import NOW
from tests.kit.stores import Handle, register, registration, take_out

MARY = UserRef(user_id="mary")
CAP = 20
#: when the phone was registered, the file written, something done, and the file imported
BEGAN, WRITTEN, DONE, LATER = NOW, NOW + 10, NOW + 20, NOW + 30
KEPT_S = 400 * 86_400.0


async def everything(handle: Handle, app: str | None = None) -> dict[str, Device]:
    pages = [page async for page in handle.registry.export(app=app)]
    return {device.installation_id: device for page in pages for device in page}


async def exported(handle: Handle) -> list[Registration]:
    """The lines of an export, as an import reads them back."""
    return [line(device) for device in (await everything(handle)).values()]


def line(device: Device, **changed: Any) -> Registration:
    asked = Registration(
        installation_id=device.installation_id,
        app=device.app,
        platform=device.platform,
        provider=device.provider,
        address=device.address,
        user_id=device.user_id,
        custom_id=device.custom_id,
        seen_at=device.last_seen_at,
        user_changed_at=device.user_changed_at,
    )
    return replace(asked, **changed)


async def imported(
    handle: Handle, lines: Sequence[Registration], *, force: bool = False, now: float = LATER
) -> Imported:
    return await handle.registry.register_many(lines, now=now, force=force)


# --- what may have become of Mary's phone -------------------------------------------------------

Act = Callable[[Handle], Awaitable[object]]


async def login_on_the_same_phone(handle: Handle) -> None:
    await register(handle, user_id="bob", now=DONE)


async def login_with_a_new_address(handle: Handle) -> None:
    await register(handle, address="address-2", user_id="bob", now=DONE)


async def rotation(handle: Handle) -> None:
    await register(handle, address="address-2", now=DONE)


async def rotation_told_by_the_app(handle: Handle) -> None:
    await register(handle, address="address-2", old_address="address-1", now=DONE)


async def address_on_another_installation(handle: Handle) -> None:
    await register(handle, "another", user_id="bob", now=DONE)


async def old_address_of_another_installation(handle: Handle) -> None:
    await register(handle, "another", "address-3", user_id="bob", old_address="address-1", now=DONE)


async def reinstallation(handle: Handle) -> None:
    await register(handle, "after", now=DONE)


async def logout(handle: Handle) -> None:
    await handle.registry.forget("phone", proven=MARY, now=DONE)


async def logout_in_one_app(handle: Handle) -> None:
    await handle.registry.forget("phone", proven=MARY, app="agent", now=DONE)


async def logout_then_another_login(handle: Handle) -> None:
    await logout(handle)
    await register(handle, user_id="bob", now=DONE + 1)


async def logout_then_login_elsewhere(handle: Handle) -> None:
    await logout(handle)
    await register(handle, "tablet", "address-9", now=DONE + 1)


async def too_many(handle: Handle) -> None:
    for n in range(CAP):
        await register(handle, f"phone-{n}", f"address-of-{n}", now=DONE + n / 100)


async def moved_by_a_newer_file(handle: Handle) -> None:
    await imported(handle, [registration(address="address-2", seen_at=DONE)])


async def pruned_and_purged(handle: Handle) -> None:
    (device,) = await handle.registry.devices_of(MARY)
    await take_out(handle, device, at=DONE)
    assert await handle.registry.purge(pruned_before=DONE + 1) == 1


async def erase(handle: Handle) -> None:
    await handle.registry.erase(MARY, now=DONE)


async def logout_then_erase(handle: Handle) -> None:
    await logout(handle)
    await handle.registry.erase(MARY, now=DONE + 1)


async def another_login_then_erase(handle: Handle) -> None:
    await login_on_the_same_phone(handle)
    await handle.registry.erase(MARY, now=DONE + 1)


async def erase_then_logout_of_the_next(handle: Handle) -> None:
    await erase(handle)
    await register(handle, user_id="bob", now=DONE + 1)
    await handle.registry.forget("phone", proven=None, now=DONE + 2)


async def erase_then_registration(handle: Handle) -> None:
    await erase(handle)
    await register(handle, address="address-2", now=DONE + 1)


ENDS: dict[str, Act] = {
    act.__name__: act
    for act in (
        login_on_the_same_phone,
        login_with_a_new_address,
        rotation,
        rotation_told_by_the_app,
        address_on_another_installation,
        old_address_of_another_installation,
        reinstallation,
        logout,
        logout_in_one_app,
        logout_then_another_login,
        logout_then_login_elsewhere,
        too_many,
        moved_by_a_newer_file,
        pruned_and_purged,
    )
}
ERASES: dict[str, Act] = {
    act.__name__: act
    for act in (
        erase,
        logout_then_erase,
        another_login_then_erase,
        erase_then_logout_of_the_next,
        erase_then_registration,
    )
}
ALL = ENDS | ERASES

OLD = {"old": BEGAN, "of the same time": DONE, "none": 0.0, "to come": DONE + 366 * 86_400}
"""Times of lines that are newer than nothing."""


@pytest.mark.parametrize("seen_at", OLD.values(), ids=OLD)
@pytest.mark.parametrize("end", ALL)
async def test_an_old_line_changes_nothing_and_is_told(
    handle: Handle, end: str, seen_at: float
) -> None:
    await register(handle, custom_id="c-mary", user_id="mary", now=BEGAN)
    (old,) = await exported(handle)
    await ALL[end](handle)
    before = await everything(handle)
    if end == "too_many" and seen_at == DONE:
        seen_at = BEGAN  # what makes it too many comes after
    done = await imported(handle, [replace(old, seen_at=seen_at)])
    assert done == Imported(0, 0, newer=(0,))
    assert await everything(handle) == before


@pytest.mark.parametrize("end", ENDS)
async def test_force_lets_the_file_win(handle: Handle, end: str) -> None:
    await register(handle, custom_id="c-mary", user_id="mary", now=BEGAN)
    (old,) = await exported(handle)
    await ALL[end](handle)
    done = await imported(handle, [old], force=True)
    assert done.newer == ()
    device = (await everything(handle))["phone"]
    assert (device.address, device.user_id, device.custom_id) == ("address-1", "mary", "c-mary")
    assert device.state is DeviceState.ACTIVE


@pytest.mark.parametrize("seen_at", OLD.values(), ids=OLD)
@pytest.mark.parametrize("end", ERASES)
async def test_force_brings_nothing_back_that_was_erased(
    handle: Handle, end: str, seen_at: float
) -> None:
    await register(handle, custom_id="c-mary", user_id="mary", now=BEGAN)
    (old,) = await exported(handle)
    await ALL[end](handle)
    before = await everything(handle)
    done = await imported(handle, [replace(old, seen_at=seen_at)], force=True)
    assert done == Imported(0, 0, newer=(0,))
    assert await everything(handle) == before


@pytest.mark.parametrize("end", ALL)
async def test_what_the_app_confirmed_afterwards_is_imported(handle: Handle, end: str) -> None:
    await register(handle, custom_id="c-mary", user_id="mary", now=BEGAN)
    (old,) = await exported(handle)
    await ALL[end](handle)
    done = await imported(handle, [replace(old, seen_at=LATER)], now=LATER + 1)
    assert done.newer == ()
    assert (await everything(handle))["phone"].user_id == "mary"


@pytest.mark.parametrize("end", ALL)
async def test_the_app_itself_always_registers(handle: Handle, end: str) -> None:
    """Even by a clock that is behind the one by which it was forgotten."""
    await register(handle, custom_id="c-mary", user_id="mary", now=BEGAN)
    await ALL[end](handle)
    device = await register(handle, user_id="mary", now=BEGAN)
    assert (await everything(handle))["phone"] == device
    assert (device.address, device.user_id) == ("address-1", "mary")


@pytest.mark.parametrize("end", ALL)
async def test_an_old_line_takes_neither_the_address_nor_the_installation_alone(
    handle: Handle, end: str
) -> None:
    await register(handle, user_id="mary", now=BEGAN)
    (old,) = await exported(handle)
    await ALL[end](handle)
    before = await everything(handle)
    elsewhere = replace(old, installation_id="restored", user_id="carol")
    another = replace(old, address="an unknown one", user_id="carol")
    assert (await imported(handle, [elsewhere, another])).newer == (0, 1)
    assert await everything(handle) == before


async def test_an_old_line_does_not_take_by_the_address_it_replaces(handle: Handle) -> None:
    await register(handle, "bobs", "address-1", user_id="bob", now=DONE)
    asked = registration("phone", "address-2", old_address="address-1", seen_at=BEGAN)
    assert (await imported(handle, [asked])).newer == (0,)
    assert [device.user_id for device in (await everything(handle)).values()] == ["bob"]


# --- what is known, and what is not -------------------------------------------------------------


async def test_where_nothing_is_known_a_line_registers_with_a_time_or_without(
    handle: Handle,
) -> None:
    await register(handle, "other", "other", now=DONE)
    await handle.registry.forget("other", proven=None, now=DONE)
    lines = [
        registration("a", "a", seen_at=0.0),
        registration("b", "b", seen_at=BEGAN),
        # the same names in another app are other things
        registration("other", "x", app="learner", seen_at=0.0),
        registration("y", "other", app="learner", seen_at=0.0),
        registration("z", "other", provider="apns", seen_at=0.0),
    ]
    assert await imported(handle, lines) == Imported(5, 0)


@pytest.mark.parametrize("force", [False, True])
async def test_an_erased_person_comes_back_by_no_old_line_of_an_unknown_phone(
    handle: Handle, force: bool
) -> None:
    await register(handle, user_id="mary", custom_id="c-mary", now=BEGAN)
    await handle.registry.erase(MARY, now=DONE)
    lines = [
        registration(f"p-{n}", f"a-{n}", user_id=user, custom_id=custom, seen_at=seen_at)
        for n, (user, custom, seen_at) in enumerate(
            [("mary", None, 0.0), ("mary", None, BEGAN), (None, "c-mary", DONE)]
        )
    ]
    assert await imported(handle, lines, force=force) == Imported(0, 0, newer=(0, 1, 2))
    others = [
        registration("p-3", "a-3", user_id="c-mary", seen_at=0.0),
        registration("p-4", "a-4", user_id="mary", seen_at=DONE + 1),
    ]
    assert await imported(handle, others, force=force) == Imported(2, 0)


async def test_what_equals_the_stored_row_is_known_whatever_its_time(handle: Handle) -> None:
    await register(handle, now=BEGAN)
    await handle.registry.erase(MARY, now=DONE)
    await register(handle, now=DONE + 1)
    before = await everything(handle)
    lines = [registration(seen_at=at) for at in (0.0, BEGAN, LATER)]
    for one in lines:
        assert await imported(handle, [one]) == Imported(0, 1)
    assert await everything(handle) == before


async def test_a_dead_address_comes_back_by_no_line_of_before_its_end(handle: Handle) -> None:
    device = await register(handle, now=BEGAN)
    await take_out(handle, device, at=DONE)
    for purged in (False, True):
        if purged:
            await handle.registry.purge(pruned_before=DONE + 1)
        before = await everything(handle)
        lines = [registration("other", user_id="bob", seen_at=at) for at in (BEGAN + 1, DONE)]
        for one in lines:
            assert (await imported(handle, [one])).newer == (0,)
        assert await everything(handle) == before
    # the phone may have had another one by then
    other = registration(address="address-2", seen_at=BEGAN + 1)
    assert await imported(handle, [other]) == Imported(1, 0)


async def test_the_order_of_lines_does_not_tell_which_one_is_newer(handle: Handle) -> None:
    lines = [registration(address=f"address-{n}", seen_at=BEGAN + n) for n in (2, 3, 1)]
    assert await imported(handle, lines) == Imported(1, 1, newer=(2,))
    assert (await everything(handle))["phone"].address == "address-3"
    # and what was replaced within a batch stays so in the next
    assert (await imported(handle, [lines[0], lines[2]])).newer == (0, 1)


async def test_a_file_over_the_cap_does_not_push_out_in_turns(handle: Handle) -> None:
    lines = [registration(f"p-{n}", f"a-{n}", seen_at=BEGAN + n) for n in range(CAP + 2)]
    await imported(handle, lines)
    before = await everything(handle)
    assert len(before) == CAP
    assert await imported(handle, lines) == Imported(0, CAP, newer=(0, 1))
    assert await everything(handle) == before


async def test_many_lines_of_every_kind_at_once(handle: Handle) -> None:
    """As a batch of an old export is: each line is told by its own place."""
    for n in range(60):
        await register(handle, f"p-{n}", f"a-{n}", user_id=f"user-{n}", now=BEGAN)
    old = [line(one) for one in (await everything(handle)).values()]
    for n in range(0, 60, 3):
        await handle.registry.forget(f"p-{n}", proven=None, now=DONE)
    for n in range(1, 60, 3):
        await register(handle, f"p-{n}", f"b-{n}", user_id=f"user-{n}", now=DONE)
    new = [registration(f"q-{n}", f"c-{n}", user_id=f"new-{n}", seen_at=0.0) for n in range(20)]
    before = await everything(handle)
    lines = [one for pair in zip(new, old[:20], strict=True) for one in pair] + old[20:]
    done = await imported(handle, lines)
    newer = {lines[place].installation_id for place in done.newer}
    assert newer == {f"p-{n}" for n in range(60) if n % 3 != 2}
    assert (done.new, done.known) == (20, 20)
    after = await everything(handle)
    assert {name: one for name, one in after.items() if not name.startswith("q")} == before


@pytest.mark.parametrize("seed", range(8))
async def test_a_batch_does_what_its_lines_do_one_by_one(handle: Handle, seed: int) -> None:
    """In one database twice, under two names of the app."""
    outcomes = []
    for app in ("agent", "learner"):
        lots = Random(seed)

        def any_line(seen_at: float | None, of: Random = lots, app: str = app) -> Registration:
            return registration(
                f"p-{of.randrange(9)}",
                f"a-{of.randrange(9)}",
                app=app,
                user_id=f"{app}-user-{of.randrange(3)}",
                old_address=of.choice([None, None, None, f"a-{of.randrange(9)}"]),
                seen_at=seen_at,
            )

        for n in range(12):
            await handle.registry.register(any_line(None), proven=None, now=BEGAN + n)
        for n in range(3):
            name = f"p-{lots.randrange(9)}"
            await handle.registry.forget(name, proven=None, app=app, now=DONE + n)
        lines = [any_line(lots.choice([0.0, BEGAN, BEGAN + 8, DONE + 1, LATER])) for _ in range(12)]
        batches = [lines] if app == "agent" else [[one] for one in lines]
        done = [await imported(handle, batch) for batch in batches]
        places = [n + at for n, one in enumerate(done) for at in one.newer]
        devices = list((await everything(handle, app)).values())
        outcomes.append(
            (
                sum(one.new for one in done),
                places,
                sorted((d.installation_id, d.address, d.last_seen_at) for d in devices),
                sorted(str(d.user_id).removeprefix(app) for d in devices),
            )
        )
    assert outcomes[0] == outcomes[1]


async def test_replicas_remember_what_each_of_them_forgot(handle: Handle, replica: Handle) -> None:
    await register(handle, now=BEGAN)
    (old,) = await exported(handle)
    await replica.registry.forget("phone", proven=None, now=DONE)
    assert (await imported(handle, [old])).newer == (0,)


async def test_what_is_remembered_is_purged_in_its_time(handle: Handle) -> None:
    await register(handle, now=BEGAN)
    (old,) = await exported(handle)
    await logout(handle)
    assert await handle.registry.purge_forgotten(before=DONE) == 0
    assert (await imported(handle, [old])).newer == (0,)
    assert await handle.registry.purge_forgotten(before=DONE + 0.1) == 2
    assert await imported(handle, [old]) == Imported(1, 0)


async def test_an_older_logout_does_not_outdate_a_newer_erase(handle: Handle) -> None:
    await register(handle, now=BEGAN)
    (old,) = await exported(handle)
    await handle.registry.erase(MARY, now=DONE)
    await register(handle, now=BEGAN)
    await handle.registry.forget("phone", proven=None, now=BEGAN + 1)
    assert (await imported(handle, [replace(old, seen_at=DONE)], force=True)).newer == (0,)


# --- the last change of user --------------------------------------------------------------------


async def test_a_phone_that_had_one_user_has_no_change_of_user(handle: Handle) -> None:
    await register(handle, now=NOW)
    await register(handle, address="address-2", now=NOW + 1)
    await handle.registry.forget("phone", proven=MARY, now=NOW + 2)
    device = await register(handle, address="address-2", now=NOW + 3)
    assert device.user_changed_at is None


@pytest.mark.parametrize(
    "end",
    [
        login_on_the_same_phone,
        login_with_a_new_address,
        address_on_another_installation,
        old_address_of_another_installation,
    ],
)
async def test_a_phone_of_somebody_else_has_the_time_of_the_change(
    handle: Handle, end: Act
) -> None:
    await register(handle, user_id="mary", now=BEGAN)
    await end(handle)
    (device,) = (await everything(handle)).values()
    assert device.user_changed_at == DONE
    again = await register(handle, device.installation_id, "address-7", user_id="bob", now=LATER)
    assert again.user_changed_at == DONE


@pytest.mark.parametrize("leave", [logout, erase, pruned_and_purged, too_many])
async def test_a_logout_in_between_hides_no_change_of_user(handle: Handle, leave: Act) -> None:
    await register(handle, user_id="mary", now=BEGAN)
    await leave(handle)
    assert (await register(handle, user_id="bob", now=LATER)).user_changed_at == LATER
    await handle.registry.forget("phone", proven=None, now=LATER + 1)
    again = await register(handle, user_id="bob", now=LATER + 2)
    assert again.user_changed_at == LATER


async def test_the_change_of_user_travels_with_an_export(handle: Handle) -> None:
    await register(handle, user_id="mary", now=BEGAN)
    await register(handle, user_id="bob", now=DONE)
    (moved,) = await exported(handle)
    await imported(handle, [replace(moved, installation_id="copy", address="copied")])
    assert (await everything(handle))["copy"].user_changed_at == DONE


async def test_an_import_that_moves_a_phone_to_another_user_is_a_change_of_user(
    handle: Handle,
) -> None:
    await register(handle, user_id="mary", now=BEGAN)
    await imported(handle, [registration(user_id="bob", seen_at=DONE)], now=LATER)
    assert (await everything(handle))["phone"].user_changed_at == LATER


@pytest.mark.parametrize("end", ["forget", "erase"])
async def test_what_went_by_a_clock_of_1970_is_later_than_what_it_ended(
    handle: Handle, end: str
) -> None:
    await register(handle, user_id="mary", now=BEGAN)
    (old,) = await exported(handle)
    if end == "erase":
        await handle.registry.erase(UserRef(user_id="mary"), now=30.0)
    else:
        await handle.registry.forget("phone", proven=None, now=30.0)
    assert await imported(handle, [old], now=LATER) == Imported(0, 0, newer=(0,))
    assert await everything(handle) == {}
