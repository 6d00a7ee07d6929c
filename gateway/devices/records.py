"""A device as a record: what an export writes, and an import reads back.

Owns the fields of a record, and what an import may say that an app may not. Refuses to know files
and their formats.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from gateway.core.instants import to_iso
from gateway.core.model import Device, Registration
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
    "last_seen_at",
)


class BadRecord(Exception):
    """The record cannot be imported; the message says why, without what the record holds."""


def registration_of(
    record: Mapping[str, Any], *, vendors: Vendors, apps: Mapping[str, frozenset[str]]
) -> Registration:
    """Read a record by the rules of the devices API. Raises `BadRecord`.

    `last_seen_at` is when the app itself last confirmed the address. Without it nobody knows, and
    any proof that the address is dead will count.
    """
    document = dict(record)
    installation_id = document.pop("installation_id", None)
    try:
        seen_at = _seen_at(document.pop("last_seen_at", None))
    except ValueError:
        raise BadRecord("last_seen_at must be a time such as 2026-11-23T10:00:00Z") from None
    try:
        asked = read_registration(
            str(installation_id or ""), document, vendors=vendors, apps=apps, proven=None
        )
    except Problem as problem:
        errors = problem.errors or [{"field": problem.code, "message": problem.detail}]
        reasons = [f"{error['field']} {error['message']}" for error in errors]
        raise BadRecord("; ".join(reasons)) from None
    return replace(asked, seen_at=seen_at)


def _seen_at(text: Any) -> float:
    if text in (None, ""):
        return 0.0
    moment = datetime.fromisoformat(str(text))
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def record_of(device: Device, vendors: Vendors) -> dict[str, str | None]:
    """A device with its address, as `registration_of` reads it."""
    values = {
        name: getattr(device.profile if hasattr(device.profile, name) else device, name)
        for name in FIELDS
    }
    values["environment"] = environment_of(device, vendors)
    values["last_seen_at"] = to_iso(device.last_seen_at) if device.last_seen_at else None
    return values
