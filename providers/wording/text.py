"""Texts cut to the bytes that a vendor allows, without breaking a character.

Owns the size of a text in JSON and where it may be cut. Refuses to know vendors and their limits.
"""

from __future__ import annotations

import json
import unicodedata

ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"
_ELLIPSIS_BYTES = len(ELLIPSIS.encode())

_JOINER = "\N{ZERO WIDTH JOINER}"
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

    What a reader sees as one character stays whole: base and accents, emoji sequences, flags.
    Empty when not even the ellipsis fits.
    """
    if json_size(text) <= room:
        return text
    room -= _ELLIPSIS_BYTES
    if room < 0:
        return ""
    end = start = used = 0
    while start < len(text):
        stop = _next_boundary(text, start)
        used += json_size(text[start:stop])
        if used > room:
            break
        end = start = stop
    return text[:end].rstrip() + ELLIPSIS


def fit_texts(title: str, body: str, room: int) -> tuple[str, str]:
    """Title and body that take at most `room` bytes together: the body gives way first."""
    title_size = json_size(title)
    if title_size > room:
        return cut(title, room), ""
    return title, cut(body, room - title_size)


def _next_boundary(text: str, start: int) -> int:
    """Where the character that begins at `start` ends, near enough to Unicode's UAX 29."""
    stop = start + 1
    flag = _is_regional(text[start])
    while stop < len(text):
        char = text[stop]
        if flag and _is_regional(char):
            flag = False  # two letters make a flag, a third begins the next one
        elif not (_extends(char) or text[stop - 1] == _JOINER):
            break
        stop += 1
    return stop


def _is_regional(char: str) -> bool:
    return "\U0001f1e6" <= char <= "\U0001f1ff"


def _extends(char: str) -> bool:
    if char < "\u0300":
        return False
    return (
        char == _JOINER
        or unicodedata.category(char) in ("Mn", "Me", "Mc")
        or "\U0001f3fb" <= char <= "\U0001f3ff"  # skin tones
        or "\U000e0020" <= char <= "\U000e007f"  # the tags of regional flags
        or "\u1160" <= char <= "\u11ff"  # Hangul vowels and finals
    )
