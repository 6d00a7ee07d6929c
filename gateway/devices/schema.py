"""What an app may say of its device, and how a device is shown.

Owns every limit of the registration body. Fields that are not known are left out, and named in the
answer: apps in the field outlive gateways in both directions, and a phone that gets no more pushes
because its new version says more would be the worse error. What decides where a push goes must be
right, and what is wrong is named by its field, never quoted. What an address must look like is its
vendor's to say; what describes a phone is `gateway.devices.profile`'s.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from gateway.core.identifiers import id_fault
from gateway.core.instants import to_iso
from gateway.core.model import Device, Registration, UserRef
from gateway.devices.addresses import Unreadable, unwrap
from gateway.devices.profile import DESCRIPTIVE, read_profile
from gateway.problems import Problem
from providers.contract import AddressKind, Environment, Platform
from providers.vendor import ReportedAddress, Vendor, Vendors

Apps = Callable[[], Mapping[str, frozenset[str]]]
"""The configured apps and the providers of each; asked every time, for a reload may change them."""

_INSTALLATION_ID = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._:-]{1,128}")
_ADDRESS = re.compile(r"[!-~]{8,2048}")
#: fields of the body that others read
_BESIDE = ("receipts",)
_MAX_APP = 128
_MAX_NAME = 96
_MOST_NAMES = 100


def _wrong(message: str) -> PydanticCustomError:
    return PydanticCustomError("wrong", message)


def _absent_if_empty(value: Any) -> Any:
    """Apps send "" for what they do not know."""
    return None if value == "" else value


def _user_id(value: str) -> str:
    if fault := id_fault(value):
        raise _wrong(fault)
    return value


def _app(value: str) -> str:
    if len(value) > _MAX_APP or not value.isprintable():
        raise _wrong(f"must be 1 to {_MAX_APP} printable characters")
    return value


def _address(given: Any) -> str:
    """An address without its wrappings, perhaps with blanks."""
    address = None if given is None else _unwrapped(given)
    if address is None:
        raise _wrong("must be a string, and no word for no token")
    return address


def _old_address(given: Any) -> str | None:
    return None if given is None else _unwrapped(given)


def _unwrapped(given: Any) -> str | None:
    """None: it says that there is no address."""
    try:
        text = unwrap(given)
    except Unreadable as error:
        raise _wrong(str(error)) from None
    if text and _ADDRESS.fullmatch("".join(text.split())) is None:
        raise _wrong("must be 8 to 2048 printable ASCII characters")
    return text or None


def _word(given: Any) -> Any:
    """A word of a closed set, as platforms print it: `iOS`, `FCM`."""
    return given.strip().lower() if isinstance(given, str) else given


_Absentable = BeforeValidator(_absent_if_empty)
_Lax = Field(strict=False)  # an enum member is given by its value
_Word = BeforeValidator(_word)
_UserId = Annotated[Annotated[str, AfterValidator(_user_id)] | None, _Absentable]


class DeviceBody(BaseModel):
    """The body of PUT /v1/devices/{installation_id}, but for what describes the phone."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True, hide_input_in_errors=True)

    platform: Annotated[Platform, _Lax, _Word]
    provider: Annotated[str, _Word]
    address: Annotated[str, BeforeValidator(_address), Field(repr=False)]
    user_id: _UserId = None
    custom_id: _UserId = None
    app: Annotated[Annotated[str, AfterValidator(_app)] | None, _Absentable] = None
    address_kind: Annotated[Annotated[AddressKind, _Lax, _Word] | None, _Absentable] = None
    environment: Annotated[Annotated[Environment, _Lax, _Word] | None, _Absentable] = None
    old_address: Annotated[str | None, BeforeValidator(_old_address), Field(repr=False)] = None


def read_registration(
    installation_id: str,
    document: Mapping[str, Any],
    *,
    vendors: Vendors,
    apps: Mapping[str, frozenset[str]],
    proven: UserRef | None,
) -> Registration:
    """Check what an app asks for, with all that is wrong at once.

    `vendors` are all that this gateway knows, `apps` has those that each app is configured for.
    `proven` fills in the ids a user token stands for. Raises `Problem`: 422 `invalid` with the
    fields, or 403 `id_not_proven` for an id in the body that the token does not prove.
    """
    errors: list[dict[str, str]] = []
    if _INSTALLATION_ID.fullmatch(installation_id) is None:
        errors.append(_error("installation_id", "must be 1 to 128 of A-Z a-z 0-9 . _ : -"))
    try:
        body = DeviceBody.model_validate(document)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        errors += [_error(str(entry["loc"][0]), _worded(entry)) for entry in found]
        raise Problem("invalid", errors=errors) from None
    user = _whose(body, proven)
    app = body.app if body.app is not None else _only(apps)
    errors += _unknown(body, app, vendors, apps)
    vendor = vendors.get(body.provider)
    address = None
    if vendor is not None:
        address, wrong = _read_address(vendor, body)
        errors += wrong
    if user.user_id is None and user.custom_id is None:
        errors.append(_error("user_id", "user_id or custom_id is needed"))
    if errors or app is None or vendor is None or address is None:
        raise Problem("invalid", errors=errors)
    profile, unread = read_profile(document)
    return Registration(
        installation_id=installation_id,
        app=app,
        platform=address.platform,
        provider=vendor.name,
        address=address.value,
        user_id=user.user_id,
        custom_id=user.custom_id,
        address_kind=address.kind or AddressKind.TOKEN,
        environment=address.environment,
        old_address=_stored_before(vendor, body),
        profile=profile,
        ignored=tuple(_unknown_fields(document) + unread),
    )


def _worded(entry: ErrorDetails) -> str:
    """What pydantic found, in the words of the other rules."""
    match entry["type"]:
        case "missing":
            return "is missing"
        case "string_type":
            return "must be a string"
        case "enum":
            return entry["msg"].replace("Input should be", "must be").replace("'", "")
        case _:
            return entry["msg"]


def _read_address(
    vendor: Vendor, body: DeviceBody
) -> tuple[ReportedAddress | None, list[dict[str, str]]]:
    errors = []
    if body.platform not in vendor.platforms:
        reached = " or ".join(sorted(vendor.platforms))
        errors.append(_error("platform", f"must be {reached} with {vendor.name}"))
    reported = ReportedAddress(body.address, body.platform, body.address_kind, body.environment)
    read = vendor.read_address(reported)
    if isinstance(read, ReportedAddress):
        return read, errors
    return None, errors + [_error(field, message) for field, message in read]


def _stored_before(vendor: Vendor, body: DeviceBody) -> str | None:
    """The address before this one, as it would be stored; it may have been of another form."""
    if not body.old_address:
        return None
    read = vendor.read_address(ReportedAddress(body.old_address, body.platform))
    return read.value if isinstance(read, ReportedAddress) else "".join(body.old_address.split())


def _whose(body: DeviceBody, proven: UserRef | None) -> UserRef:
    if proven is None:
        return UserRef(body.user_id, body.custom_id)
    if body.user_id not in (None, proven.user_id) or body.custom_id not in (
        None,
        proven.custom_id,
    ):
        raise Problem("id_not_proven")
    return proven


def _only(apps: Mapping[str, frozenset[str]]) -> str | None:
    return next(iter(apps)) if len(apps) == 1 else None


def _unknown(
    body: DeviceBody,
    app: str | None,
    vendors: Vendors,
    apps: Mapping[str, frozenset[str]],
) -> list[dict[str, str]]:
    """What this gateway does not know, or is not configured for."""
    errors = []
    if body.provider not in vendors:
        errors.append(_error("provider", f"must be {' or '.join(vendors)}"))
    if app is None:
        errors.append(_error("app", "is needed, for several apps are configured"))
    elif app not in apps:
        errors.append(_error("app", "is not configured"))
    elif body.provider in vendors and body.provider not in apps[app]:
        errors.append(_error("provider", "is not configured for this app"))
    return errors


def _unknown_fields(document: Mapping[str, Any]) -> list[str]:
    """The names that this version does not know; no more of them than a person would read."""
    known = {*DeviceBody.model_fields, *DESCRIPTIVE, *_BESIDE}
    return [name[:_MAX_NAME] for name in document if name not in known][:_MOST_NAMES]


def _error(field: str, message: str) -> dict[str, str]:
    return {"field": field, "message": message}


def environment_of(device: Device, vendors: Vendors) -> str | None:
    """The environment that a device is reached in; None where its vendor has only one."""
    vendor = vendors.get(device.provider)
    has_one = vendor is not None and not vendor.environments
    return None if has_one else device.environment.value


def device_view(device: Device, vendors: Vendors, *, stale_before: float) -> dict[str, Any]:
    """How a device is shown: all but its address, of which there is a short hash. `for` has the
    words of its ids: an app drops a push with another one. Seen before `stale_before`, it is stale.
    """
    profile = device.profile
    return {
        "installation_id": device.installation_id,
        "user_id": device.user_id,
        "custom_id": device.custom_id,
        "app": device.app,
        "platform": device.platform.value,
        "provider": device.provider,
        "address_kind": device.address_kind.value,
        "address_hash": device.address_hash,
        "environment": environment_of(device, vendors),
        "state": device.state.value,
        "state_reason": device.state_reason,
        "stale": device.fresh_at < stale_before,
        "registered_at": to_iso(device.registered_at),
        "last_seen_at": to_iso(device.met_at) if device.met_at else None,
        "locale": profile.locale,
        "timezone": profile.timezone,
        "app_version": profile.app_version,
        "os_version": profile.os_version,
        "device_model": profile.device_model,
        "notifications": profile.notifications,
        "measure": profile.measure,
        "can": None if profile.can is None else profile.can.split(),
        "for": list(device.words),
    }
