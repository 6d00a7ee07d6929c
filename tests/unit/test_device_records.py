"""A device as a record: an import reads what an export wrote."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from gateway.app.vendors import VENDORS
from gateway.core.model import Device, Profile, Registration
from gateway.core.states import DeviceState
from gateway.devices.records import FIELDS, BadRecord, record_of, registration_of
from providers.contract import AddressKind, Environment, Platform

APPS = {"agent": frozenset(VENDORS)}
DEVICE = Device(
    id=7,
    installation_id="phone-1",
    app="agent",
    platform=Platform.IOS,
    provider="apns",
    address="ab" * 32,
    address_kind=AddressKind.TOKEN,
    environment=Environment.SANDBOX,
    user_id="u",
    custom_id="c",
    state=DeviceState.ACTIVE,
    state_reason="",
    registered_at=1_700_000_000.0,
    last_seen_at=1_700_000_100.0,
    profile=Profile(
        "en-US", "Africa/Nairobi", "1.0", "17", "iPhone", "granted", "unknown", "received"
    ),
    words=("d29yZC1vZi11", "d29yZC1v_-Yt"),
)
ANDROID = replace(
    DEVICE,
    provider="fcm",
    platform=Platform.ANDROID,
    address="cX1:APA91b-_token",
    environment=Environment.PRODUCTION,
    last_seen_at=0.0,
    profile=Profile(can=""),
)


@pytest.mark.parametrize("device", [DEVICE, ANDROID], ids=VENDORS)
def test_what_was_exported_is_imported_as_it_was(device: Device) -> None:
    record = record_of(device, VENDORS)

    asked = registration_of(record, vendors=VENDORS, apps=APPS)

    assert list(record) == list(FIELDS)
    kept = {field.name for field in fields(Registration)} & set(FIELDS) - {"environment"}
    assert {getattr(asked, name) == getattr(device, name) for name in kept} == {True}
    assert asked.profile == device.profile
    assert asked.environment == (Environment.SANDBOX if device is DEVICE else None)
    assert asked.seen_at == device.last_seen_at
    assert asked.words == device.words


@pytest.mark.parametrize(
    "said",
    [None, "", "one", "one two three", "o+e two", "one " + "x" * 17, 5, ["one", "two"], "one\ntwo"],
)
def test_what_cannot_be_the_words_of_a_records_ids_is_left_out(said: object) -> None:
    record = {**record_of(DEVICE, VENDORS), "for": said}

    assert registration_of(record, vendors=VENDORS, apps=APPS).words == ()


def test_all_that_is_wrong_is_told_at_once_and_nothing_is_quoted() -> None:
    record = {**record_of(DEVICE, VENDORS), "platform": "web", "address": "no-hex-at-all"}

    with pytest.raises(BadRecord) as bad:
        registration_of(record, vendors=VENDORS, apps=APPS)

    assert str(bad.value) == (
        "platform must be ios with apns; address must be 32 to 200 hex digits, of even number; "
        "found 13 characters, not all of them hex digits"
    )


def test_a_time_that_is_none_is_told() -> None:
    record = {**record_of(DEVICE, VENDORS), "last_seen_at": "yesterday"}

    with pytest.raises(BadRecord, match="last_seen_at must be a time"):
        registration_of(record, vendors=VENDORS, apps=APPS)
