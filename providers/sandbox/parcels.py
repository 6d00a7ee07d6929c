"""What a request says about its push's way to the phone: from a vendor's fields to a `Parcel`.

Owns which field decides what, and what holds where a sender left it out. Pure. Sources: the
reference of `projects.messages`, "Set the lifespan of a message", RFC 8030 for the web, and Apple's
"Sending notification requests to APNs".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, assert_never

from providers.sandbox.handset import Kind, Parcel, Service

FCM_LIFE_S = 2_419_200
"""Four weeks: what FCM keeps a message for whose sender does not say."""
APNS_LIFE_S = 30 * 86_400
""""APNs may store the notification for 30 days or less"."""
TOPIC_SUFFIXES = (
    ".voip",
    ".complication",
    ".pushkit.fileprovider",
    ".push-type.liveactivity",
    ".push-type.controls",
    ".push-type.widgets",
    ".location-query",
    ".voip-ptt",
)

P = TypeVar("P")
_Object = Mapping[str, Any]


def apns_parcel(
    push: P, headers: Mapping[str, str], payload: _Object, data: _Object, at: float
) -> Parcel[P]:
    """A push that APNs took at a time (epoch seconds). The names of the headers have no `apns-`,
    and _ for -."""
    is_kept, until = _apns_life(headers.get("expiration"), at)
    is_background = headers.get("push_type") == "background"
    return Parcel(
        push,
        Service.APNS,
        Kind.BACKGROUND if is_background else _aps_kind(_object(payload, "aps")),
        until,
        is_kept,
        app=bundle_of(headers.get("topic", "")),
        tag=headers.get("collapse_id", ""),
        word=_text(data, "for"),
    )


def fcm_parcel(push: P, message: _Object, at: float, service: Service | None = None) -> Parcel[P]:
    """A message that FCM took at a time. `service` says what kind of phone has the address; without
    it the phone is one for which the message has a block of its own, Android first."""
    service = service or _service_of(message)
    match service:
        case Service.ANDROID:
            return _android(push, message, at)
        case Service.APNS:
            return _ios(push, message, at)
        case Service.WEB:
            return _web(push, message, at)
        case _:
            assert_never(service)


def bundle_of(topic: str) -> str:
    """The app that an APNs topic belongs to."""
    return next((topic[: -len(end)] for end in TOPIC_SUFFIXES if topic.endswith(end)), topic)


def _service_of(message: _Object) -> Service:
    if message.get("android"):
        return Service.ANDROID
    if message.get("apns"):
        return Service.APNS
    return Service.WEB if message.get("webpush") else Service.ANDROID


def _android(push: P, message: _Object, at: float) -> Parcel[P]:
    android = _object(message, "android")
    drawer = _object(android, "notification")
    data = _object(android, "data") or _object(message, "data")
    kind = _fcm_kind(drawer or message.get("notification"), data)
    life = _seconds(_text(android, "ttl"), FCM_LIFE_S)
    return Parcel(
        push,
        Service.ANDROID,
        kind,
        at + life,
        life > 0,
        collapse_key=_text(android, "collapse_key") or "",
        tag=_text(drawer if kind is Kind.NOTIFICATION else data, "tag") or "",
        word=_text(data, "for"),
    )


def _ios(push: P, message: _Object, at: float) -> Parcel[P]:
    apns = _object(message, "apns")
    headers = {name.lower(): value for name, value in _object(apns, "headers").items()}
    aps = dict(_object(_object(apns, "payload"), "aps"))
    if message.get("notification"):
        aps.setdefault("alert", message["notification"])
    is_kept, until = _apns_life(_text(headers, "apns-expiration"), at)
    return Parcel(
        push,
        Service.APNS,
        _aps_kind(aps),
        until,
        is_kept,
        tag=_text(headers, "apns-collapse-id") or "",
        word=_text(_object(message, "data"), "for"),
    )


def _web(push: P, message: _Object, at: float) -> Parcel[P]:
    webpush = _object(message, "webpush")
    headers = {name.lower(): value for name, value in _object(webpush, "headers").items()}
    shown = _object(webpush, "notification")
    data = _object(webpush, "data") or _object(message, "data")
    kind = _fcm_kind(shown or message.get("notification"), data)
    life = _seconds(_text(headers, "ttl"), FCM_LIFE_S)
    return Parcel(
        push,
        Service.WEB,
        kind,
        at + life,
        life > 0,
        collapse_key=_text(headers, "topic") or "",
        tag=_text(shown if kind is Kind.NOTIFICATION else data, "tag") or "",
        word=_text(data, "for"),
    )


def _fcm_kind(notification: object, data: _Object) -> Kind:
    if notification:
        return Kind.NOTIFICATION
    return Kind.DATA if data.get("title") or data.get("body") else Kind.BACKGROUND


def _aps_kind(aps: _Object) -> Kind:
    if not aps.get("alert"):
        return Kind.BACKGROUND
    return Kind.MUTABLE if aps.get("mutable-content") == 1 else Kind.NOTIFICATION


def _apns_life(expiration: str | None, at: float) -> tuple[bool, float]:
    """Whether APNs keeps a push for a phone that is off, and until when."""
    latest = at + APNS_LIFE_S
    if expiration is None:
        return True, latest
    stated = _seconds(expiration, latest)
    return (True, min(stated, latest)) if stated else (False, latest)


def _seconds(text: str | None, default: float) -> float:
    """The number in "3.5s" or "3"; what is none is as if it had been left out."""
    try:
        return max(0.0, float((text or "").removesuffix("s")))
    except ValueError:
        return default


def _object(holder: _Object, name: str) -> _Object:
    value = holder.get(name)
    return value if isinstance(value, dict) else {}


def _text(holder: _Object, name: str) -> str | None:
    value = holder.get(name)
    return value if isinstance(value, str) else None
