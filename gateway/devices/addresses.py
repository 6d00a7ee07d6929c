"""The wrappings in which apps send an address: a library's object, a language's optional, quotes.

Owns what any vendor's address may come in. What stands inside is its vendor's to read
(`Vendor.read_address`). An error says what was found, never what it holds.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

LONGEST = 8_192
"""Characters that are looked at; an address has 2 048 at most."""

NO_ADDRESS = frozenset(
    {"", "null", "(null)", "nil", "none", "undefined", "nan", "false", "blacklisted"}
)
"""What languages and libraries print where there is no token, in lower case."""

# Capacitor says `value`, phonegap-plugin-push `registrationId`, Expo `data`; others name it
_NAMES = frozenset(
    {
        "address",
        "apnstoken",
        "data",
        "devicetoken",
        "fcmtoken",
        "fid",
        "pushtoken",
        "registrationid",
        "registrationtoken",
        "token",
        "value",
    }
)
_INVISIBLE = re.compile("[\u200b-\u200f\u2060\ufeff]")
_OPTIONAL = re.compile(r"(?:optional|some)\((.*)\)", re.IGNORECASE | re.DOTALL)
_EXPO = re.compile(r"expo(?:nent)?pushtoken\[", re.IGNORECASE)
_JSON = ("{", "[", '"')
_QUOTES = ('"', "'", "`")
_DEEPEST = 5
_LEAST_BYTES, _MOST_BYTES = 16, 100


class Unreadable(ValueError):
    """What was found in place of an address."""


def unwrap(given: Any, depth: int = 0) -> str:
    """The text in its wrappings, perhaps with blanks; bytes are written as `<hex>`.

    "" where it says that there is no address. Raises `Unreadable`.
    """
    if depth > _DEEPEST:
        raise Unreadable("is wrapped more than five times")
    match given:
        case str():
            return _unwrap_text(given, depth)
        case {"endpoint": _, "keys": _}:
            raise Unreadable("is a Web Push subscription; ask Firebase for a registration token")
        case Mapping():
            return _unwrap_object(given, depth)
        case [*numbers] if all(_is_byte(one) for one in numbers):
            if not _LEAST_BYTES <= len(numbers) <= _MOST_BYTES:
                raise Unreadable(f"is a list of {len(numbers)} bytes, which no token has")
            return f"<{bytes(numbers).hex()}>"
        case [*_]:
            raise Unreadable("is a list, and must be a string")
        case _:
            raise Unreadable("must be a string")


def _is_byte(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 255


def _unwrap_object(given: Mapping[str, Any], depth: int) -> str:
    held = [
        unwrap(value, depth + 1)
        for name, value in given.items()
        if re.sub(r"[\s_-]", "", name.lower()) in _NAMES and value is not None
    ]
    found = [one for one in dict.fromkeys(held) if one]
    if len(found) != 1:
        raise Unreadable(f"is an object with {'several tokens' if found else 'no token'} in it")
    return found[0]


def _unwrap_text(given: str, depth: int) -> str:
    if len(given) > LONGEST:
        raise Unreadable(f"is over {LONGEST} characters")
    text = _INVISIBLE.sub("", given).strip()
    if text.lower() in NO_ADDRESS:
        return ""
    if text == "[object Object]":
        raise Unreadable("is an object that JavaScript printed; send the token in it")
    if _EXPO.match(text):
        raise Unreadable("is Expo's own token; send the phone's, of getDevicePushTokenAsync")
    if inner := _OPTIONAL.fullmatch(text):
        return unwrap(inner[1], depth + 1)
    if text[0] in _JSON:
        try:
            inside = json.loads(text)
        except (ValueError, RecursionError):
            pass
        else:
            return unwrap(inside, depth + 1)
    if len(text) > 1 and text[0] == text[-1] and text[0] in _QUOTES:
        return unwrap(text[1:-1], depth + 1)
    return text
