"""What FCM wants to be told for a push: the `message` of a v1 send request.

Owns the fields and their limits. Refuses to know time (`now` is an argument), sockets and the
SDK. The work is split by how often it is due: `fit_message` once per message, whatever the number
of devices; `render` per device, which adds the target, the delivery id, the word that says whose
push it is, and the remaining life.

Sources: FCM REST v1 `Message`, "Set the lifespan of a message", "ErrorCode" (4096 bytes), as kept
in the project's protocol notes.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from itertools import product
from typing import Any, assert_never

from providers.contract import (
    LONGEST_RECEIPT,
    LONGEST_WORD,
    NO_DELIVERY,
    Address,
    AddressKind,
    Message,
    Platform,
    Push,
)
from providers.wording.template import Template, Texts, message_gaps, quoted, unused_number
from providers.wording.text import encode

LONGEST_TTL_S = 2_419_200
"""Four weeks, the most FCM keeps a message for a phone that is away."""

_ONLY_NOTIFICATIONS = Platform.IOS
"""A data message wakes an iPhone's app in the background, if Apple likes, and is not shown."""


@dataclass(frozen=True, slots=True)
class FcmStyle:
    """How pushes look and sound; everything may be left out.

    `android_channel_id` must exist in the app (Android 8 and later), else the app's default
    channel is used. `sound` and `thread_id` are for iPhones reached through FCM. `kept_s`: how long
    FCM may keep a push, in whole seconds; None: as long as it has to live. The two `ok` let
    Android's pushes go over networks that are short of bandwidth. `label` is for Google's reports.
    """

    android_channel_id: str = ""
    sound: str = "default"
    thread_id: str = ""
    kept_s: int | None = None
    bandwidth_constrained_ok: bool = False
    restricted_satellite_ok: bool = False
    label: str = ""


def render(message: Message, push: Push, style: FcmStyle, now: float) -> dict[str, Any]:
    """The `message` object for one device; `message` is what `fit_message` made of the push's own.

    Only the block of the device's platform is there. A data message has title, body, channel and
    tag in its data, and nothing that the system would show by itself.
    """
    platform = push.address.platform
    collapse_id = push.collapse_id or push.delivery_id
    ttl = ttl_seconds(push.expires_at, now, style)
    data = {"event_id": message.event_id, "delivery_id": push.delivery_id, "for": push.word}
    if push.receipt:
        data["receipt"] = push.receipt
    if message.path is not None:
        data["path"] = message.path
    rendered: dict[str, Any] = {_target(push.address): push.address.value, "data": data}
    shown = {"title": message.title, "body": message.body}
    is_data = push.is_data and platform is not _ONLY_NOTIFICATIONS
    if is_data:
        data |= {**shown, "channel": style.android_channel_id, "tag": collapse_id}
    else:
        rendered["notification"] = shown
    match platform:
        case Platform.ANDROID:
            rendered["android"] = android = _android(ttl, style)
            if push.has_key:
                android["collapse_key"] = collapse_id
            if not is_data:
                android["notification"] = _drawer(collapse_id, style)
        case Platform.IOS:
            expiration = _expiration(now, ttl, style)
            rendered["apns"] = _apns(collapse_id, expiration, style, mutable=push.mutable)
        case Platform.WEB:
            rendered["webpush"] = webpush = _webpush(collapse_id, ttl)
            if not is_data:
                webpush["notification"] = {"tag": collapse_id}
        case _:
            assert_never(platform)
    if style.label:
        rendered["fcm_options"] = {"analytics_label": style.label}
    return rendered


class BodyTemplates:
    """`render` for one style in a send request, as templates: the same JSON at a fraction of the
    cost."""

    def __init__(self, style: FcmStyle) -> None:
        self._style = style
        self._templates: dict[_Form, Template] = {}
        self._last: tuple[_Form, Template] | None = None
        self._texts = Texts()
        #: expires_at and now of the values that depend on them
        self._life: tuple[float, float] | None = None

    def fill(self, message: Message, push: Push, now: float) -> bytes:
        """The body for one device."""
        values, address = self._texts.of(message), push.address
        if self._life != (push.expires_at, now):
            self._live(values, push.expires_at, now)
        values["target"] = quoted(address.value)
        values["delivery_id"] = collapse_id = f'"{push.delivery_id}"'
        if push.collapse_id:
            collapse_id = f'"{push.collapse_id}"'
        values["collapse_id"] = collapse_id
        values["word"] = quoted(push.word)
        receipt, platform = push.receipt, address.platform
        if receipt:
            values["receipt"] = f'"{receipt}"'
        if platform is Platform.WEB:
            values["topic"] = _bare(collapse_id)
        no_path, no_receipt = message.path is None, receipt == ""
        key = (
            address.kind,
            platform,
            no_path,
            push.has_key,
            push.is_data,
            no_receipt,
            push.mutable,
        )
        last = self._last
        if last is None or last[0] != key:  # most pushes have the form of the one before
            last = self._last = key, self._template(key)
        return last[1].fill(values)

    def _template(self, key: _Form) -> Template:
        template = self._templates.get(key)
        if template is None:
            template = self._templates[key] = _template(key, self._style)
        return template

    def _live(self, values: dict[str, str], expires_at: float, now: float) -> None:
        """What the pushes of one event have in common at one time, coded once."""
        self._life = expires_at, now
        ttl = ttl_seconds(expires_at, now, self._style)
        values["ttl"] = f'"{ttl}s"'
        values["ttl_header"] = f'"{ttl}"'
        values["expiration"] = f'"{_expiration(now, ttl, self._style)}"'


def send_request(rendered: dict[str, Any], *, validate_only: bool = False) -> bytes:
    """The body that sends a message, or only has it checked."""
    request: dict[str, Any] = {"message": rendered}
    if validate_only:
        request["validate_only"] = True
    return encode(request)


_Form = tuple[AddressKind, Platform, bool, bool, bool, bool, bool]
"""What makes one template: kind and platform of the address, whether there is no path, a collapse
key, whether the app shows data messages, whether there is no receipt, and whether an extension
looks first."""


def _template(form: _Form, style: FcmStyle) -> Template:
    kind, platform, no_path, has_key, is_data, no_receipt, mutable = form
    ttl = unused_number(str(getattr(style, one.name)) for one in fields(style))
    # a style that says how long says it in the gap's place, as any other number
    style = replace(style, kept_s=None)
    delivery_id, target, texts = f"inkpush-gap-{ttl}", f"inkpush gap {ttl}", message_gaps(ttl)
    collapse_id, word = f"inkpush-collapse-{ttl}", f"inkpush gap for {ttl}"
    message = Message(**texts)
    if no_path:
        message = replace(message, path=None)
    push = Push(
        delivery_id,
        Address(target, kind, platform),
        message,
        expires_at=ttl,
        word=word,
        receipt="" if no_receipt else f"inkpush gap receipt {ttl}",
        mutable=mutable,
        collapse_id=collapse_id,
        has_key=has_key,
        is_data=is_data,
    )
    gaps = texts | {
        "target": target,
        "delivery_id": delivery_id,
        "collapse_id": collapse_id,
        "word": word,
    }
    if push.receipt:
        gaps["receipt"] = push.receipt
    match platform:
        case Platform.ANDROID:
            gaps["ttl"] = f"{ttl}s"
        case Platform.IOS:
            gaps["expiration"] = str(_expiration(0, ttl, style))
        case Platform.WEB:
            gaps |= {"ttl_header": str(ttl), "topic": _bare(collapse_id)}
        case _:
            assert_never(platform)
    return Template(send_request(render(message, push, style, now=0)), gaps)


def ttl_seconds(expires_at: float, now: float, style: FcmStyle) -> int:
    """How long FCM may keep a push, in whole seconds, 0 to four weeks; 0 means now or never."""
    left = expires_at - now if style.kept_s is None else style.kept_s
    return int(min(max(left, 0.0), LONGEST_TTL_S))


def _expiration(now: float, ttl: int, style: FcmStyle) -> int:
    """Epoch seconds; 0 means "try once and forget", which only a style asks for."""
    return 0 if style.kept_s == 0 else max(int(now) + ttl, 1)


def _target(address: Address) -> str:
    match address.kind:
        case AddressKind.TOKEN:
            return "token"
        case AddressKind.FID:
            return "fid"
        case _:
            assert_never(address.kind)


def _android(ttl: int, style: FcmStyle) -> dict[str, Any]:
    block: dict[str, Any] = {"priority": "high", "ttl": f"{ttl}s"}
    if style.bandwidth_constrained_ok:
        block["bandwidth_constrained_ok"] = True
    if style.restricted_satellite_ok:
        block["restricted_satellite_ok"] = True
    return block


def _drawer(collapse_id: str, style: FcmStyle) -> dict[str, Any]:
    notification = {"tag": collapse_id}
    if style.android_channel_id:
        notification["channel_id"] = style.android_channel_id
    return notification


def _apns(collapse_id: str, expiration: int, style: FcmStyle, *, mutable: bool) -> dict[str, Any]:
    aps = {
        "sound": style.sound,
        "thread-id": style.thread_id,
        "mutable-content": 1 if mutable else None,
    }
    return {
        "headers": {
            "apns-push-type": "alert",
            "apns-priority": "10",
            "apns-expiration": str(expiration),
            "apns-collapse-id": collapse_id,
        },
        "payload": {"aps": {name: value for name, value in aps.items() if value}},
    }


def _bare(collapse_id: str) -> str:
    """The hex digits of a UUID alone."""
    return collapse_id.replace("-", "")


def _webpush(collapse_id: str, ttl: int) -> dict[str, Any]:
    return {
        # a Topic has at most 32 characters of base64url (RFC 8030, 5.4): the bare hex digits
        "headers": {"TTL": str(ttl), "Urgency": "high", "Topic": _bare(collapse_id)},
    }


def frame_size(style: FcmStyle, *, with_receipt: bool = False) -> int:
    """The bytes of the largest message with empty texts, ids but for the event's included.

    FCM counts keys and values of notification and data; all but the target is counted here, which
    is never less.
    """
    empty = Message(event_id="", title="", body="", path="")
    sizes = []
    for platform, is_data in product(Platform, (False, True)):
        address = Address("", platform=platform)
        push = Push(NO_DELIVERY, address, empty, expires_at=4e9, word=LONGEST_WORD, is_data=is_data)
        if with_receipt:
            push.receipt, push.mutable = LONGEST_RECEIPT, True
        frame = render(empty, push, style, now=4e9 - LONGEST_TTL_S)
        del frame["token"]
        sizes.append(len(encode(frame)))
    return max(sizes)
