"""A message that fits into one push: the limit is the same for both vendors.

Owns what is shortened and what never is. Refuses to know how a vendor frames a message: the size
of the empty frame is an argument.
"""

from __future__ import annotations

from dataclasses import replace

from providers.contract import Message, Refused
from providers.wording.text import fit_texts, json_size, mend

PAYLOAD_LIMIT = 4096
"""Bytes of a payload, at most (Apple: "Generating a remote notification"; FCM: ErrorCode)."""

TOO_LARGE = Refused("PayloadTooLarge", "message")

_MOST_BYTES = 6
"""Bytes that a character takes in JSON, at most: a control character, as `\\u0000`."""


def fit_message(message: Message, frame: int) -> Message | Refused:
    """The message with texts that fit beside a frame of so many bytes, body shortened before title.

    The path is never shortened. Refused when not even empty texts fit, or when path or event id
    hold what UTF-8 cannot.
    """
    room = PAYLOAD_LIMIT - frame
    path = message.path or ""
    if _surely_fits(message.title + message.body + path + message.event_id, room):
        return message
    try:
        room -= json_size(message.event_id) + json_size(path)
    except UnicodeEncodeError:
        return Refused("InvalidText", "message")
    if room < 0:
        return TOO_LARGE
    title, body = fit_texts(mend(message.title), mend(message.body), room)
    if (title, body) == (message.title, message.body):
        return message
    return replace(message, title=title, body=body)


def _surely_fits(texts: str, room: int) -> bool:
    """What nearly every message is: far from the limit, and without half a character."""
    if len(texts) * _MOST_BYTES > room:
        return False
    if texts.isascii():
        return True
    try:
        texts.encode()
    except UnicodeEncodeError:
        return False
    return True
