"""Whether a `messages:send` body is one that FCM would take.

Owns FCM's rules for the message. Pure; refuses to know who sends it and what is answered.
Facts: REST reference of `projects.messages` and the size limits of the ErrorCode page.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

TARGETS = ("token", "fid", "topic", "condition")
MAX_PAYLOAD_BYTES = 4096
MAX_TOPIC_PAYLOAD_BYTES = 2048
MAX_TTL_S = 2_419_200
"""Four weeks."""

_ANDROID = """
    collapse_key priority ttl restricted_package_name data notification fcm_options
    direct_boot_ok bandwidth_constrained_ok restricted_satellite_ok
"""
_ANDROID_NOTIFICATION = """
    title body icon color sound tag click_action body_loc_key body_loc_args title_loc_key
    title_loc_args channel_id ticker sticky event_time local_only notification_priority
    default_sound default_vibrate_timings default_light_settings vibrate_timings visibility
    notification_count light_settings image bypass_proxy_notification proxy
"""
_FIELDS: dict[str, frozenset[str]] = {
    "": frozenset({"message", "validate_only"}),
    "message": frozenset(
        {*TARGETS, "name", "data", "notification", "android", "webpush", "apns", "fcm_options"}
    ),
    "message.notification": frozenset({"title", "body", "image"}),
    "message.android": frozenset(_ANDROID.split()),
    "message.android.notification": frozenset(_ANDROID_NOTIFICATION.split()),
    "message.apns": frozenset({"headers", "payload", "fcm_options", "live_activity_token"}),
    "message.webpush": frozenset({"headers", "data", "notification", "fcm_options"}),
}

_TTL = re.compile(r"(\d{1,12})(?:\.\d{1,9})?s\Z")
_REGISTRATION_TOKEN = re.compile(r"[A-Za-z0-9_:.\-]{8,4096}\Z")
_CAPITAL = re.compile(r"(?<=[a-z0-9])([A-Z])")


@dataclass(slots=True)
class FcmMessage:
    """A message that has the right form. `kind` is which of the targets `address` is."""

    kind: str
    address: str
    validate_only: bool
    title: str = ""
    body: str = ""
    tag: str = ""
    data: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    #: the message as it came, its names in snake case
    raw: Mapping[str, Any] = field(default_factory=dict)

    @property
    def address_is_possible(self) -> bool:
        """Whether the address could ever have been issued."""
        return self.kind in ("topic", "condition") or bool(_REGISTRATION_TOKEN.match(self.address))


class InvalidMessage(Exception):
    """The message is not one that FCM takes; `violations` are (field, description).

    `coded`: FCM itself refused it (with an FcmError); else the JSON layer in front of it did.
    """

    def __init__(self, violations: list[tuple[str, str]], *, coded: bool) -> None:
        self.violations = violations
        self.coded = coded
        super().__init__("the message is not valid")


def parse(body: bytes) -> FcmMessage:
    """Read the body of a `messages:send` request, or raise InvalidMessage."""
    try:
        request = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InvalidMessage(
            [("", "Invalid JSON payload received. Parser failed.")], coded=False
        ) from error
    unknown: list[tuple[str, str]] = []
    request = _known_fields("", request, unknown)
    message = request.get("message", {})
    if unknown:
        raise InvalidMessage(unknown, coded=False)
    violations = list(_violations(message))
    if violations:
        raise InvalidMessage(violations, coded=True)
    return _summary(message, bool(request.get("validate_only", False)))


def _known_fields(path: str, value: object, unknown: list[tuple[str, str]]) -> dict[str, Any]:
    """The object with its names in snake case, as proto JSON takes both; notes what is foreign."""
    if not isinstance(value, dict):
        text = f"Invalid value at '{path}', expected an object."
        unknown.append((path, text))
        return {}
    known = _FIELDS[path]
    result: dict[str, Any] = {}
    for given, item in value.items():
        name = given if given in known else _CAPITAL.sub(r"_\1", given).lower()
        inner = f"{path}.{name}" if path else name
        if name not in known:
            where = f" at '{path}'" if path else ""
            text = f'Invalid JSON payload received. Unknown name "{given}"{where}'
            unknown.append((path, f"{text}: Cannot find field."))
        elif item is not None:
            result[name] = _known_fields(inner, item, unknown) if inner in _FIELDS else item
    return result


def _violations(message: dict[str, Any]) -> Iterator[tuple[str, str]]:
    targets = [name for name in TARGETS if message.get(name)]
    if len(targets) != 1 or not isinstance(message[targets[0]], str):
        yield "message", "Exactly one of token, fid, topic or condition must be a string."
    elif not _is_text(message[targets[0]]):
        yield f"message.{targets[0]}", "Invalid value (TYPE_STRING)"
    yield from _data_violations("message.data", message.get("data", {}))
    for name, value in message.get("notification", {}).items():
        if not isinstance(value, str):
            yield f"message.notification.{name}", "Invalid value (TYPE_STRING)"
    yield from _android_violations(message.get("android", {}))
    yield from _apns_violations(message.get("apns", {}))
    limit = MAX_TOPIC_PAYLOAD_BYTES if targets == ["topic"] else MAX_PAYLOAD_BYTES
    if _payload_bytes(message) > limit:
        yield "message", f"Message is too big: over {limit} bytes of data and notification"


def _data_violations(path: str, data: object) -> Iterator[tuple[str, str]]:
    if not isinstance(data, dict):
        yield path, "Invalid value (map of strings)"
        return
    for key, value in data.items():
        if not isinstance(value, str):
            yield f"{path}[{key}]", "Invalid value (TYPE_STRING)"
        elif key == "from" or key.startswith(("google", "gcm")):
            yield f"{path}[{key}]", f"Invalid data payload key: {key}"


def _android_violations(android: dict[str, Any]) -> Iterator[tuple[str, str]]:
    priority = android.get("priority", "normal")
    if priority not in ("normal", "high", "NORMAL", "HIGH"):
        yield "message.android.priority", "Invalid value (TYPE_ENUM)"
    ttl = android.get("ttl", "0s")
    match = _TTL.match(ttl) if isinstance(ttl, str) else None
    if match is None:
        yield "message.android.ttl", "Illegal duration format; duration must end with 's'"
    elif int(match[1]) > MAX_TTL_S:
        yield "message.android.ttl", f"Invalid value: at most {MAX_TTL_S}s"
    yield from _data_violations("message.android.data", android.get("data", {}))
    for name in ("collapse_key", "restricted_package_name"):
        if not isinstance(android.get(name, ""), str):
            yield f"message.android.{name}", "Invalid value (TYPE_STRING)"
    for name in ("title", "body", "tag", "channel_id", "icon", "click_action"):
        if not isinstance(android.get("notification", {}).get(name, ""), str):
            yield f"message.android.notification.{name}", "Invalid value (TYPE_STRING)"


def _apns_violations(apns: dict[str, Any]) -> Iterator[tuple[str, str]]:
    headers = apns.get("headers", {})
    if not isinstance(headers, dict) or not all(isinstance(each, str) for each in headers.values()):
        yield "message.apns.headers", "Invalid value (map of strings)"
    payload = apns.get("payload", {})
    if not isinstance(payload, dict):
        yield "message.apns.payload", "Invalid value (TYPE_MESSAGE)"
    elif _size(json.dumps(payload, ensure_ascii=False)) > MAX_PAYLOAD_BYTES:
        yield "message.apns.payload", f"Message is too big: over {MAX_PAYLOAD_BYTES} bytes"


def _is_text(value: str) -> bool:
    """Whether a string is Unicode: JSON can also write the halves of a surrogate pair alone."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _mapping(value: object) -> Mapping[str, Any]:
    """The value if it is an object: parts of a message are free form."""
    return value if isinstance(value, dict) else {}


def _payload_bytes(message: dict[str, Any]) -> int:
    parts: list[str] = []
    for group in ("data", "notification"):
        content = message.get(group)
        if isinstance(content, dict):
            for key, value in content.items():
                parts += (key, str(value))
    return _size("".join(parts))


def _size(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def _summary(message: dict[str, Any], validate_only: bool) -> FcmMessage:
    kind = next(name for name in TARGETS if message.get(name))
    android = message.get("android", {})
    drawer = android.get("notification", {})
    notification = message.get("notification", {})
    steering = {
        "priority": android.get("priority"),
        "ttl": android.get("ttl"),
        "collapse_key": android.get("collapse_key"),
        "channel": drawer.get("channel_id"),
    }
    replaced_by = (
        drawer.get("tag"),
        message.get("apns", {}).get("headers", {}).get("apns-collapse-id"),
        _mapping(message.get("webpush", {}).get("notification")).get("tag"),
    )
    data = android.get("data") or message.get("data", {})
    return FcmMessage(
        kind,
        message[kind],
        validate_only,
        # the app shows a data message by what the data says
        title=drawer.get("title") or notification.get("title") or data.get("title", ""),
        body=drawer.get("body") or notification.get("body") or data.get("body", ""),
        tag=next((str(tag) for tag in replaced_by if tag), "") or data.get("tag", ""),
        data=data,
        headers={name: value for name, value in steering.items() if value is not None},
        raw=message,
    )
