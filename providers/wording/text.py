"""Texts cut to the bytes that a vendor allows, without breaking a character.

Owns the size of a text in JSON and where it may be cut. Refuses to know vendors and their limits.
"""

from __future__ import annotations

import json
from bisect import bisect_right

import regex

ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"
_ELLIPSIS_BYTES = len(ELLIPSIS.encode())

# What a reader sees as one character, by Unicode's UAX 29. In Sinhala a joiner also joins, and in
# Burmese a mark belongs to what is before it: UAX 29 has no rule for either.
_CHARACTER = regex.compile(r"\X(?:(?:(?<=\u200d)|(?=\p{M}))\X)*")
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def encode(value: object) -> bytes:
    """Compact JSON in UTF-8: the form in which sizes are counted and payloads are sent.

    A lone surrogate raises UnicodeEncodeError: see `mend`.
    """
    return _ENCODER.encode(value).encode()


def json_size(text: str) -> int:
    """How many bytes the text takes between the quotes of a JSON string."""
    return len(_ENCODER.encode(text).encode()) - 2


def mend(text: str) -> str:
    """The text without lone surrogates, which JSON can express and UTF-8 cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def cut(text: str, room: int) -> str:
    """The text, if it takes at most `room` bytes in JSON; else its beginning and an ellipsis.

    What a reader sees as one character stays whole: base and accents, conjuncts, emoji, flags.
    Empty when not even the ellipsis fits.
    """
    if json_size(text) <= room:
        return text
    room -= _ELLIPSIS_BYTES
    if room < 0:
        return ""
    # a code point takes a byte at least
    counts = range(1, min(len(text), room) + 1)
    fitting = bisect_right(counts, room, key=lambda count: json_size(text[:count]))
    return beginning(text, fitting).rstrip() + ELLIPSIS


def beginning(text: str, most: int) -> str:
    """The whole characters that a text begins with, of `most` code points in all."""
    if text[: most + 1].isascii():
        return text[:most]
    end = 0
    for character in _CHARACTER.finditer(text):
        if character.end() > most:
            break
        end = character.end()
    return text[:end]


def fit_texts(title: str, body: str, room: int) -> tuple[str, str]:
    """Title and body that take at most `room` bytes together: the body gives way first."""
    title_size = json_size(title)
    if title_size > room:
        return cut(title, room), ""
    return title, cut(body, room - title_size)
