"""Who may have an installation, and what a registration makes of its row. Pure: rows are dicts.

Owns the rules, which are the same on every engine; finding, locking and writing rows is theirs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from gateway.core.model import Device, Profile, Registration, UserRef
from gateway.core.states import DeviceState, as_it_is
from gateway.errors import InstallationOwned
from providers.contract import AddressKind, Environment, Platform

Row = Mapping[str, Any]
"""A row of `devices`."""

_WHOSE = ("user_id", "custom_id", "address", "environment")
_PROFILE = tuple(field.name for field in fields(Profile))


@dataclass(frozen=True, slots=True)
class Takeover:
    """What a registration does to the rows it found: `values` go into row `keep`, or into a new
    one, and the rows `drop` make room first. `unchanged`: it says nothing new, all stays. `changed`
    are the devices that have another user or address then, or are gone."""

    keep: int | None
    drop: tuple[int, ...]
    values: dict[str, Any]
    unchanged: bool = False
    changed: tuple[int, ...] = ()


def take_over(
    known: Row | None,
    holders: Sequence[Row],
    asked: Registration,
    *,
    now: float,
) -> Takeover:
    """Decide a registration. `known` is the installation's row, `holders` are those that have the
    address or the one it replaces, in this order."""
    if known is not None and asked.seen_at is not None and _says_nothing_new(known, asked):
        return Takeover(known["id"], (), {}, unchanged=True)
    row, drop = known, []
    for other in holders:
        if known is not None and other["id"] == known["id"]:
            continue
        if row is None and same_user(other, asked.user_id, asked.custom_id):
            # The same user under a new installation id keeps the row, and with it what waits.
            row = other
        else:
            drop.append(other["id"])
    values = _values(row, asked, _environment(holders, asked), now)
    is_as_it_was = row is None or all(row[name] == values[name] for name in _WHOSE)
    changed = drop if row is None or is_as_it_was else [*drop, row["id"]]
    return Takeover(None if row is None else row["id"], tuple(drop), values, changed=tuple(changed))


def check_owner(known: Row | None, asked: Registration, proven: UserRef | None) -> None:
    """Raise `InstallationOwned` when the row is neither theirs who ask nor proven by its address.

    `proven` None: the caller may act for everybody.
    """
    if known is None or proven is None or same_user(known, proven.user_id, proven.custom_id):
        return
    if known["address"] not in (asked.address, asked.old_address):
        raise InstallationOwned


def same_user(row: Row, user_id: str | None, custom_id: str | None) -> bool:
    """Whether a row is this user's, by either id."""
    return (user_id is not None and row["user_id"] == user_id) or (
        custom_id is not None and row["custom_id"] == custom_id
    )


def to_forget(rows: Sequence[Row], *, proven: UserRef | None, app: str | None) -> list[int]:
    """Which of an installation's rows the caller may delete, in one app or in all."""
    return [
        row["id"]
        for row in rows
        if (app is None or row["app"] == app)
        and (proven is None or same_user(row, proven.user_id, proven.custom_id))
    ]


def over_the_cap(owned: Sequence[Row], saved_id: int, *, most: int) -> list[int]:
    """Which of a user's rows are too many; `owned` has the most recently seen first, and the one
    just saved stays."""
    others = [row["id"] for row in owned if row["id"] != saved_id]
    return others[most - 1 :]


def device_of(row: Row) -> Device:
    """A row as the ports show it; words of a later version as they are."""
    return Device(
        id=row["id"],
        installation_id=row["installation_id"],
        app=row["app"],
        platform=as_it_is(Platform, row["platform"]),
        provider=row["provider"],
        address=row["address"],
        address_kind=as_it_is(AddressKind, row["address_kind"]),
        environment=as_it_is(Environment, row["environment"]),
        user_id=row["user_id"],
        custom_id=row["custom_id"],
        state=as_it_is(DeviceState, row["state"]),
        state_reason=row["state_reason"],
        registered_at=row["registered_at"],
        last_seen_at=row["last_seen_at"],
        profile=Profile(**{name: row[name] for name in _PROFILE}),
    )


def _values(
    row: Row | None, asked: Registration, environment: Environment, now: float
) -> dict[str, Any]:
    values: dict[str, Any] = {
        "app": asked.app,
        "provider": asked.provider,
        "installation_id": asked.installation_id,
        "user_id": asked.user_id,
        "custom_id": asked.custom_id,
        "address": asked.address,
        "address_kind": asked.address_kind.value,
        "platform": asked.platform.value,
        "environment": environment.value,
        "now": now,
        "registered_at": now,
        "seen_at": now if asked.seen_at is None else asked.seen_at,
    }
    profile = {name: getattr(asked.profile, name) for name in _PROFILE}
    if row is not None:
        same = same_user(row, asked.user_id, asked.custom_id)
        if same:
            for name in ("user_id", "custom_id"):
                values[name] = values[name] or row[name]
            profile = {name: row[name] if told is None else told for name, told in profile.items()}
        if same and row["address"] == asked.address and row["state"] == "active":
            values["registered_at"] = row["registered_at"]
        if asked.seen_at is None:
            # Proof of death is held against this time, so every registration moves it.
            values["seen_at"] = max(now, row["last_seen_at"] + 0.001)
    return values | profile


def _says_nothing_new(known: Row, asked: Registration) -> bool:
    """Whether an import equals the stored device, and so does not count as contact from the app."""
    return (
        known["address"] == asked.address
        and known["provider"] == asked.provider
        and same_user(known, asked.user_id, asked.custom_id)
    )


def _environment(holders: Sequence[Row], asked: Registration) -> Environment:
    """A token belongs to one APNs environment: what was learned of it outlives a silent app, and
    goes along when the token moves to another user."""
    if asked.environment is not None:
        return asked.environment
    for row in holders:
        if row["address"] == asked.address:
            return as_it_is(Environment, row["environment"])
    return Environment.PRODUCTION
