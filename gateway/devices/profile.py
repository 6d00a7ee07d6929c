"""What an app tells about its phone and its person, for people to read: never a reason to refuse.

Owns the normal form of every descriptive field. Phones speak in their platform's own spellings. A
phone that gets no pushes because its version is a number would be the worse error: what can be read
is kept, the rest is left out and named. Refuses to know what routes a push.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import cache
from typing import Any, NamedTuple
from zoneinfo import available_timezones

from gateway.core.model import Profile
from providers.wording.text import beginning

DESCRIPTIVE = tuple(field.name for field in fields(Profile))
"""The names of the descriptive fields."""

NOTIFICATIONS = ("granted", "denied", "provisional", "unknown")
"""Whether the person lets this app show notifications."""
MEASURE = ("granted", "denied", "unknown")
"""Whether the person lets receipts be kept."""
CAN = ("received", "displayed", "opened", "dismissed", "data_messages")
"""What a build of the app may report or handle."""
NO_CAN = "none"
"""How a file says that a build can do none of it: an empty cell says nothing."""

_MAX_LABEL = 128
_MAX_LOCALE = 64

# controls, halves of surrogate pairs, what parts lines, and what turns the direction of a text
_NOT_SHOWN = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


class _Read(NamedTuple):
    """A field in its normal form, None if nothing could be read; `whole`: nothing was left out."""

    value: str | None
    whole: bool = True


def read_profile(document: Mapping[str, Any]) -> tuple[Profile, list[str]]:
    """The descriptive fields of a registration, and the names of those that were left out."""
    values: dict[str, str] = {}
    ignored: list[str] = []
    for name in DESCRIPTIVE:
        given = document.get(name)
        if given is None or given == "":
            continue
        value, whole = _READERS[name](given)
        if value is not None:
            values[name] = value
        if value is None or not whole:
            ignored.append(name)
    return Profile(**values), ignored


def _label(given: Any) -> _Read:
    """Versions come as numbers too: React Native's `Platform.Version` is one on Android."""
    if isinstance(given, float) and not math.isfinite(given):
        return _Read(None)
    if isinstance(given, int | float) and not isinstance(given, bool):
        given = str(given)
    if not isinstance(given, str):
        return _Read(None)
    shown = " ".join(_NOT_SHOWN.sub("", given).split())
    return _Read(beginning(shown, _MAX_LABEL).rstrip() or None)


_Order = Callable[[str], str]
#: the subtags of a language tag (BCP 47) in their order, each with the case it is written in
_SUBTAGS: tuple[tuple[re.Pattern[str], _Order], ...] = (
    (re.compile(r"[a-z]{3}"), str.lower),  # of a language within a language: zh-yue
    (re.compile(r"[a-z]{4}"), str.title),  # the script
    (re.compile(r"[a-z]{2}|[0-9]{3}"), str.upper),  # the region
)
_LANGUAGE = re.compile(r"[a-z]{2,3}")
_VARIANT = re.compile(r"[a-z0-9]{5,8}|[0-9][a-z0-9]{3}")
_EXTENSION = re.compile(r"[a-z0-9](?:-[a-z0-9]{2,8})+")


def _locale(given: Any) -> _Read:
    """A language tag. Java puts the script last (`zh_CN_#Hans`), ICU adds keywords
    (`en_US@calendar=buddhist`), POSIX a character set (`sw_KE.UTF-8`)."""
    if not isinstance(given, str) or len(given) > 4 * _MAX_LOCALE:
        return _Read(None)
    text = re.split(r"[@.,;:]", given, maxsplit=1)[0].strip().lower()
    subtags = [one for one in re.split(r"[-_#]+", text) if one]
    if not subtags or _LANGUAGE.fullmatch(subtags[0]) is None:
        return _Read(None)
    if not all(one.isascii() and one.isalnum() for one in subtags):
        return _Read(None)
    if re.match(r"[-_#]", text):
        return _Read(None)  # Java's way to name no language at all
    begin = next((i for i, one in enumerate(subtags) if len(one) == 1), len(subtags))
    plain, extension = subtags[1:begin], "-".join(subtags[begin:])
    parts = [subtags[0]]
    for pattern, in_case in _SUBTAGS:
        parts += [in_case(one) for one in plain if pattern.fullmatch(one)][:1]
    parts += dict.fromkeys(one for one in plain if _VARIANT.fullmatch(one))
    tag = "-".join(parts)
    if _EXTENSION.fullmatch(extension) and len(tag) + 1 + len(extension) <= _MAX_LOCALE:
        tag += f"-{extension}"
    return _Read(tag if len(tag) <= _MAX_LOCALE else None)


@cache
def _timezones() -> Mapping[str, str]:
    """The names of the zones by how they may be written."""
    return {name.lower(): name for name in available_timezones()}


def _timezone(given: Any) -> _Read:
    if not isinstance(given, str):
        return _Read(None)
    return _Read(_timezones().get(given.strip().replace(" ", "_").lower()))


def _one_of(words: tuple[str, ...]) -> Callable[[Any], _Read]:
    def read(given: Any) -> _Read:
        word = given.strip().lower() if isinstance(given, str) else None
        return _Read(word if word in words else None)

    return read


def _can(given: Any) -> _Read:
    """A list of words; in a file, words with a blank or a comma between them, or `NO_CAN`."""
    if isinstance(given, str):
        text = given.strip().lower()
        given = [] if text == NO_CAN else re.split(r"[\s,;]+", text)
    if not isinstance(given, list):
        return _Read(None)
    said = {one.strip().lower() for one in given if isinstance(one, str)}
    known = [word for word in CAN if word in said]
    whole = said <= set(CAN) and all(isinstance(one, str) for one in given)
    return _Read(" ".join(known) if known or not given else None, whole)


_READERS: Mapping[str, Callable[[Any], _Read]] = {
    "locale": _locale,
    "timezone": _timezone,
    "app_version": _label,
    "os_version": _label,
    "device_model": _label,
    "notifications": _one_of(NOTIFICATIONS),
    "measure": _one_of(MEASURE),
    "can": _can,
}
