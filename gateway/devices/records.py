"""A device as a record: what an export writes, and an import reads back.

Owns the fields of a record, and what an import may say that an app may not. Refuses to know files
and their formats.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from gateway.core.instants import read_instant, to_iso
from gateway.core.model import Device, Registration
from gateway.devices.profile import NO_CAN
from gateway.devices.schema import environment_of, read_registration
from gateway.problems import Problem
from providers.vendor import Vendors

FIELDS = (
    "installation_id",
    "user_id",
    "custom_id",
    "app",
    "platform",
    "provider",
    "address",
    "address_kind",
    "environment",
    "locale",
    "timezone",
    "app_version",
    "os_version",
    "device_model",
    "notifications",
    "measure",
    "can",
    "for",
    "last_seen_at",
    "heard_at",
    "user_changed_at",
)
_TIMES = ("last_seen_at", "heard_at", "user_changed_at")
_FOR = re.compile(r"[A-Za-z0-9_-]{1,16}(?: [A-Za-z0-9_-]{1,16})?")


class BadRecord(Exception):
    """The record cannot be imported; the message says why, without what the record holds."""


def registration_of(
    record: Mapping[str, Any], *, vendors: Vendors, apps: Mapping[str, frozenset[str]]
) -> Registration:
    """Read a record by the rules of the devices API. Raises `BadRecord`.

    `last_seen_at` is when the app itself last confirmed the address. Without it nobody knows, and
    any proof that the address is dead will count. `heard_at` is when a receipt last came from the
    app. `user_changed_at` is when the phone last came
    from another user. `for` has the words that answered the app then, one for each id: another
    gateway's, perhaps, and the phone knows no others yet.
    """
    document = dict(record)
    words = _words(document.pop("for", None))
    installation_id = document.pop("installation_id", None)
    seen_at, heard_at, user_changed_at = (_time(name, document.pop(name, None)) for name in _TIMES)
    try:
        asked = read_registration(
            str(installation_id or ""), document, vendors=vendors, apps=apps, proven=None
        )
    except Problem as problem:
        errors = problem.errors or [{"field": problem.code, "message": problem.detail}]
        reasons = [f"{error['field']} {error['message']}" for error in errors]
        raise BadRecord("; ".join(reasons)) from None
    ids = [one for one in (asked.user_id, asked.custom_id) if one is not None]
    return replace(
        asked,
        seen_at=seen_at or 0.0,
        heard_at=heard_at or 0.0,
        user_changed_at=user_changed_at,
        words=words if len(words) == len(ids) else (),
    )


def _words(text: Any) -> tuple[str, ...]:
    """What cannot be words is left out, for new ones can be made."""
    is_good = isinstance(text, str) and _FOR.fullmatch(text)
    return tuple(text.split()) if is_good else ()


def _time(name: str, value: Any) -> float | None:
    if value in (None, ""):
        return None
    moment = read_instant(value)
    if moment is None:
        raise BadRecord(f"{name} must be a time such as 2026-11-23T10:00:00Z")
    return moment


def record_of(device: Device, vendors: Vendors) -> dict[str, str | None]:
    """A device with its address, as `registration_of` reads it."""
    values = {
        name: getattr(device.profile if hasattr(device.profile, name) else device, name, None)
        for name in FIELDS
    }
    values["environment"] = environment_of(device, vendors)
    values["for"] = " ".join(device.words) or None
    if device.profile.can == "":
        values["can"] = NO_CAN
    for name in _TIMES:
        moment = getattr(device, name)
        values[name] = to_iso(moment) if moment else None
    return values
