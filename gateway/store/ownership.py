"""Who may have an installation, and what a registration makes of its row. Pure: rows are dicts.

Owns the rules, which are the same on every engine; finding, locking and writing rows is theirs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from gateway.core.model import (
    DATA_MESSAGES,
    DENIED,
    MEASURED,
    NOT_MEASURED,
    STATED_CUSTOM_ID,
    STATED_USER_ID,
    Device,
    Profile,
    Registration,
    UserRef,
)
from gateway.core.staleness import WITHIN
from gateway.core.states import DeviceState, as_it_is
from gateway.core.words import Words
from gateway.errors import InstallationOwned
from gateway.ports import Audience
from gateway.store import forgetting
from gateway.store.forgetting import Gone, Memory, Name, Row, gone_with, latest
from providers.contract import AddressKind, Environment, Platform

APART_S = 60.0
"""So far the clock of a file's writer may be ahead, and its times are believed."""

_WHOSE = ("user_id", "custom_id", "address", "environment")
_CONSENT = ("notifications", "measure")
_MEASURE_BITS = {"granted": MEASURED, "denied": NOT_MEASURED}
_PROFILE = tuple(field.name for field in fields(Profile))


@dataclass(frozen=True, slots=True)
class Takeover:
    """What a registration does to the rows it found: `values` go into row `keep`, or into a new
    one, and the rows `drop` make room first. `changed` are the devices that have another user or
    address then, or are gone; `came` are the names that the row did not have before, and `gone`
    those that no row has any more. `takes_back`: the device's person lets no receipts be kept any
    more, and those that are go as well."""

    keep: int | None
    drop: tuple[int, ...]
    values: dict[str, Any]
    changed: tuple[int, ...]
    came: tuple[Name, ...]
    gone: tuple[Gone, ...]
    takes_back: bool


def take_over(
    known: Row | None,
    holders: Sequence[Row],
    asked: Registration,
    *,
    now: float,
    words: Words | None = None,
    erased_at: float = 0.0,
) -> Takeover:
    """Decide a registration. `known` is the installation's row, `holders` are those that have the
    address or the one it replaces, in this order. `words` makes those that the row keeps; None in a
    store that has no secret. `erased_at` is when the user was erased last."""
    row, dropped = known, []
    for other in holders:
        if known is not None and other["id"] == known["id"]:
            continue
        if row is None and same_user(other, asked.user_id, asked.custom_id):
            # The same user under a new installation id keeps the row, and with it what waits.
            row = other
        else:
            dropped.append(other)
    values = _values(row, asked, _environment(holders, asked), now)
    values |= _words(row, values, asked, words)
    values["erased_at"] = erased_at
    before = dropped if row is None else [row, *dropped]
    values["user_changed_at"] = _user_changed_at(before, asked, now)
    drop = tuple(other["id"] for other in dropped)
    is_as_it_was = row is None or all(row[name] == values[name] for name in _WHOSE)
    return Takeover(
        None if row is None else row["id"],
        drop,
        values,
        changed=drop if row is None or is_as_it_was else (*drop, row["id"]),
        came=_came(row, asked),
        gone=_gone(row, before, asked, values["seen_at"]),
        takes_back=(
            row is not None
            and same_user(row, asked.user_id, asked.custom_id)
            and row["measure"] != "denied"
            and values["measure"] == "denied"
        ),
    )


def note_last_change(todo: Takeover, past: Memory | None, asked: Registration, now: float) -> None:
    """Let the device know of a user that one of its names had before it went."""
    found = None if past is None else past.changed_at(todo.came, asked, now)
    todo.values["user_changed_at"] = latest([todo.values["user_changed_at"], found])


def all_gone(todo: Takeover, evicted: Sequence[Row], now: float) -> list[Gone]:
    """What is to be remembered of a registration: what it replaced, and what was too much."""
    return [*todo.gone, *(one for row in evicted for one in gone_with(row, now))]


def possible(registrations: Sequence[Registration], now: float) -> Sequence[Registration]:
    """Registrations of an import, without times that cannot be. A line may say that a phone was
    seen next year: then it is not known when, or else the phone would stay fresh until then, and
    the line would be newer than all that is known. So it is with what was before 1970. Clocks may
    be apart by `APART_S`."""
    return [
        one if one.seen_at is None else _possible(one, one.seen_at, now) for one in registrations
    ]


def _possible(asked: Registration, seen_at: float, now: float) -> Registration:
    changed_at = asked.user_changed_at
    return replace(
        asked,
        seen_at=min(seen_at, now) if 0.0 < seen_at <= now + APART_S else 0.0,
        heard_at=min(max(asked.heard_at, 0.0), now),
        user_changed_at=None if changed_at is None else min(changed_at, now),
    )


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


def to_forget(rows: Sequence[Row], *, proven: UserRef | None, app: str | None) -> list[Row]:
    """Which of an installation's rows the caller may delete, in one app or in all."""
    return [
        row
        for row in rows
        if (app is None or row["app"] == app)
        and (proven is None or same_user(row, proven.user_id, proven.custom_id))
    ]


def over_the_cap(owned: Sequence[Row], saved_id: int, *, most: int) -> list[Row]:
    """Which of a user's rows are too many: those that were seen least recently. The one just saved
    stays."""
    others = [row for row in by_last_seen(owned) if row["id"] != saved_id]
    return others[most - 1 :]


def by_last_seen(rows: Sequence[Row]) -> list[Row]:
    """A user's rows, most recently seen first: by a registration or a receipt."""
    return sorted(
        rows, key=lambda row: (max(row["last_seen_at"], row["heard_at"]), row["id"]), reverse=True
    )


def audience_of(rows: Iterable[Sequence[Any]]) -> Audience:
    """Rows of app, platform, how many are muted, and how many were seen within each span."""
    muted: Counter[tuple[str, str]] = Counter()
    seen: Counter[tuple[str, str]] = Counter()
    for app, platform, denied, *within in rows:
        muted[app, platform] += denied
        for span, count in zip(WITHIN, within, strict=True):
            seen[app, span] += count
    return Audience(muted, seen)


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
        user_changed_at=row["user_changed_at"],
        heard_at=row["heard_at"],
        words=tuple(row[name] for name in ("user_word", "custom_word") if row[name]),
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
        "heard_at": asked.heard_at,
    }
    profile = {name: getattr(asked.profile, name) for name in _PROFILE}
    if row is not None:
        same = same_user(row, asked.user_id, asked.custom_id)
        if same:
            for name in ("user_id", "custom_id"):
                values[name] = values[name] or row[name]
            values["heard_at"] = max(asked.heard_at, row["heard_at"])
            profile = {name: row[name] if told is None else told for name, told in profile.items()}
        if same and row["address"] == asked.address and row["state"] == "active":
            values["registered_at"] = row["registered_at"]
        if asked.seen_at is None:
            # Proof of death is held against this time, so every registration moves it.
            values["seen_at"] = max(now, row["last_seen_at"] + 0.001)
    return values | profile | {"stated": _stated(asked, profile)}


def _stated(asked: Registration, profile: Mapping[str, str | None]) -> int:
    """The bits of the ids that this registration itself states or proves, and of what was said for
    sending: a look-up reads no words."""
    return (
        (STATED_USER_ID if asked.user_id is not None else 0)
        | (STATED_CUSTOM_ID if asked.custom_id is not None else 0)
        | (DENIED if profile["notifications"] == "denied" else 0)
        | (DATA_MESSAGES if "data_messages" in (profile["can"] or "").split() else 0)
        | _MEASURE_BITS.get(profile["measure"] or "", 0)
    )


def _words(
    row: Row | None, values: Mapping[str, Any], asked: Registration, words: Words | None
) -> dict[str, str | None]:
    """The words of a row's ids, of those too that it carries over.

    An import is no answer to the phone, which still has the words of its last registration: they
    come with the line, or stand in the row.
    """
    user_id, custom_id = values["user_id"], values["custom_id"]
    found = {
        "user_word": None if words is None or user_id is None else words.of_user(user_id),
        "custom_word": None if words is None or custom_id is None else words.of_custom(custom_id),
    }
    if asked.seen_at is not None:
        brought = iter(asked.words)
        for name, column in (("user_id", "user_word"), ("custom_id", "custom_word")):
            if row is not None and row[name] == values[name]:
                found[column] = row[column] or found[column]
            if getattr(asked, name) is not None:
                found[column] = next(brought, None) or found[column]
    return found


def says_nothing_new(known: Row | None, asked: Registration) -> bool:
    """Whether an import equals the stored device, and so does not count as contact from the app."""
    return (
        known is not None
        and known["address"] == asked.address
        and known["provider"] == asked.provider
        and same_user(known, asked.user_id, asked.custom_id)
    )


def says_something_new(known: Row | None, saved: Row, changed: Sequence[int]) -> bool:
    """Whether a registration did more than confirm a device that was in service. `changed` are the
    devices that have another user or address since, or are gone. What else describes the device
    (its language, its app's version) changes by itself, but for what its user agreed to."""
    return (
        known is None
        or known["state"] != DeviceState.ACTIVE
        or any(known[name] != saved[name] for name in _CONSENT)
        or bool(changed)
    )


def owner_of(row: Row) -> UserRef:
    """Whose device a row is."""
    return UserRef(row["user_id"], row["custom_id"])


def _user_changed_at(before: Sequence[Row], asked: Registration, now: float) -> float | None:
    """When a device whose names these rows had last came from another user."""
    times = [
        row["user_changed_at"] if same_user(row, asked.user_id, asked.custom_id) else now
        for row in before
    ]
    return latest([asked.user_changed_at, *times])


def _came(row: Row | None, asked: Registration) -> tuple[Name, ...]:
    names = forgetting.asked_for(asked)
    if row is None:
        return names
    had = (forgetting.installation(row), forgetting.address(row))
    return tuple(name for name in names if name not in had)


def _gone(
    kept: Row | None, before: Sequence[Row], asked: Registration, at: float
) -> tuple[Gone, ...]:
    """What the device has no more, and what those had that went; also an address that is old by
    the app's own word."""
    stays_theirs = kept is not None and same_user(kept, asked.user_id, asked.custom_id)
    gone = [one for row in before for one in gone_with(row, at, stays=row is kept and stays_theirs)]
    if asked.old_address is not None:
        old = ("address", asked.app, asked.provider, asked.old_address)
        gone.insert(0, Gone(old, at, asked.user_id, asked.custom_id, asked.user_changed_at))
    stays = forgetting.asked_for(asked)
    return tuple(one for one in gone if one.name not in stays)


def _environment(holders: Sequence[Row], asked: Registration) -> Environment:
    """A token belongs to one APNs environment: what was learned of it outlives a silent app, and
    goes along when the token moves to another user."""
    if asked.environment is not None:
        return asked.environment
    for row in holders:
        if row["address"] == asked.address:
            return as_it_is(Environment, row["environment"])
    return Environment.PRODUCTION
