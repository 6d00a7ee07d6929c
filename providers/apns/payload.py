"""What APNs wants to be told for a push: path, headers and JSON body.

Owns the fields and their limits. Refuses to know time, sockets and client libraries. The work is
split by how often it is due: `fit_message` once per message, whatever the number of devices;
`body` and `headers` per device, which add the delivery id, the word that says whose push it is, and
the expiration.

The app finds the place to open in `data.path`, beside `aps`, as it does with FCM.
No thread-id unless one is set: iOS groups by app by itself, while a thread per event would put
each notification into a group of its own.

Sources: Apple, "Sending notification requests to APNs" and "Generating a remote notification", as
kept in the project's protocol notes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from providers.contract import (
    LONGEST_RECEIPT,
    LONGEST_WORD,
    NO_DELIVERY,
    Address,
    Message,
    Push,
)
from providers.wording.template import Template, Texts, message_gaps, quoted, unused_number
from providers.wording.text import encode

LATEST_EXPIRATION = 4_102_444_800
"""2100-01-01 in epoch seconds: later is taken for a mistake and cut to this."""

# Apple's are hex of any length; whether one is real is for APNs to say
_DEVICE_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,512}\Z", re.ASCII)

Headers = tuple[tuple[str, str], ...]

ALERT: Headers = (("apns-push-type", "alert"), ("apns-priority", "10"))
"""What every push is: shown at once."""


@dataclass(frozen=True, slots=True)
class ApnsStyle:
    """How pushes sound and are grouped. `sound` "" is silent; `thread_id` "" groups by app.
    `kept_s`: how long APNs may keep a push, in whole seconds; None: as long as it has to live."""

    sound: str = "default"
    thread_id: str = ""
    kept_s: int | None = None


def device_path(address: Address) -> str | None:
    """The path to post to; None for what cannot be a device token, and could alter the path."""
    return f"/3/device/{address.value}" if _DEVICE_TOKEN.match(address.value) else None


def render_body(
    message: Message,
    delivery_id: str,
    word: str,
    style: ApnsStyle,
    *,
    receipt: str = "",
    mutable: bool = False,
) -> bytes:
    """The body for one device; `message` is what `fit_message` made of the push's own. `receipt`
    and `mutable` are the push's."""
    aps: dict[str, object] = {"alert": {"title": message.title, "body": message.body}}
    if style.sound:
        aps["sound"] = style.sound
    if style.thread_id:
        aps["thread-id"] = style.thread_id
    if mutable:
        aps["mutable-content"] = 1
    data = {"event_id": message.event_id, "delivery_id": delivery_id, "for": word}
    if receipt:
        data["receipt"] = receipt
    if message.path is not None:
        data["path"] = message.path
    return encode({"aps": aps, "data": data})


class BodyTemplates:
    """`render_body` for one style, as templates: the same bytes at a fraction of the cost."""

    def __init__(self, style: ApnsStyle) -> None:
        self._style = style
        self._templates: dict[tuple[bool, bool, bool], Template] = {}
        # what most pushes are, without a look at what few have
        self._with_path = _template(False, True, False, style)
        self._without = _template(True, True, False, style)
        self._texts = Texts()

    def fill(
        self,
        message: Message,
        delivery_id: str,
        word: str,
        receipt: str = "",
        mutable: bool = False,
    ) -> bytes:
        """The body for one device."""
        values = self._texts.of(message)
        values["delivery_id"] = f'"{delivery_id}"'
        values["word"] = quoted(word)
        if not (receipt or mutable):
            return (self._without if message.path is None else self._with_path).fill(values)
        values["receipt"] = f'"{receipt}"'
        key = (message.path is None, receipt == "", mutable)
        template = self._templates.get(key)
        if template is None:
            template = self._templates[key] = _template(*key, self._style)
        return template.fill(values)


def _template(no_path: bool, no_receipt: bool, mutable: bool, style: ApnsStyle) -> Template:
    number = unused_number((style.sound, style.thread_id))
    delivery_id, texts = f"inkpush gap {number}", message_gaps(number)
    word = f"inkpush gap for {number}"
    receipt = "" if no_receipt else f"inkpush gap receipt {number}"
    gaps = texts | {"delivery_id": delivery_id, "word": word}
    if receipt:
        gaps["receipt"] = receipt
    message = Message(**texts)
    if no_path:
        message = replace(message, path=None)
    body = render_body(message, delivery_id, word, style, receipt=receipt, mutable=mutable)
    return Template(body, gaps)


def render_headers(push: Push, topic: str, kept_until: float) -> Headers:
    """The apns-* headers of one device, in an order that never changes.

    A repeat has the same apns-id and apns-collapse-id (36 of its 64 bytes), so it replaces its
    first copy on the phone. `kept_until` is of `kept_until`.
    """
    return (
        ("apns-topic", topic),
        *ALERT,
        ("apns-expiration", str(expiration(kept_until))),
        ("apns-id", push.delivery_id),
        ("apns-collapse-id", push.collapse_id or push.delivery_id),
    )


def kept_until(push: Push, style: ApnsStyle, now: float) -> float:
    """Until when APNs may keep a push: its life's end, so that repeating prolongs nothing, or what
    the style says, from now on. 0: it is tried once."""
    if style.kept_s is None:
        return max(push.expires_at, 1.0)
    return now + style.kept_s if style.kept_s else 0.0


def expiration(kept_until: float) -> int:
    """Epoch seconds until which APNs keeps trying; 0 means "try once"."""
    return int(min(kept_until, LATEST_EXPIRATION))


def frame_size(style: ApnsStyle, *, with_receipt: bool = False) -> int:
    """The bytes of a body with empty texts, delivery id included: see `fit_message`."""
    empty = Message(event_id="", title="", body="", path="")
    receipt = LONGEST_RECEIPT if with_receipt else ""
    return len(
        render_body(empty, NO_DELIVERY, LONGEST_WORD, style, receipt=receipt, mutable=with_receipt)
    )
