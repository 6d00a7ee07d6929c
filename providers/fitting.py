"""A message that fits into one push: the limit is the same for both vendors.

Owns what is shortened and what never is. Refuses to know how a vendor frames a message: the size
of the empty frame is an argument.
"""

from __future__ import annotations

from dataclasses import replace

from providers.contract import Message, Refused
from providers.text import fit_texts, json_size, mend

PAYLOAD_LIMIT = 4096
"""Bytes of a payload, at most (Apple: "Generating a remote notification"; FCM: ErrorCode)."""

TOO_LARGE = Refused("PayloadTooLarge", "message")


def fit_message(message: Message, frame: int) -> Message | Refused:
    """The message with texts that fit beside a frame of so many bytes, body shortened before title.

    The path is never shortened. Refused when not even empty texts fit, or when path or event id
    hold what UTF-8 cannot.
    """
    try:
        room = PAYLOAD_LIMIT - frame
        room -= json_size(message.event_id) + json_size(message.path or "")
    except UnicodeEncodeError:
        return Refused("InvalidText", "message")
    if room < 0:
        return TOO_LARGE
    title, body = fit_texts(mend(message.title), mend(message.body), room)
    if (title, body) == (message.title, message.body):
        return message
    return replace(message, title=title, body=body)
