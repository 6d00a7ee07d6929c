"""What a path may be: a place in the app, and never a way out of it.

An app hands the path to a WebView, which reads it as browsers do: they drop tabs and line ends,
take a backslash for a slash, and remove dot segments, also those written with `%2e`. Refuses to
change a path: the app gets it as it came.
"""

from __future__ import annotations

import re

MAX_PATH = 1_024
"""Characters a path may have: it is never truncated, so it must leave room for the text."""

# controls (C0, DEL, C1), line and paragraph separators, and what turns the direction of a text
_TAKES_NO = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
).search
_ONE_DOT = frozenset({".", "%2e"})
_TWO_DOTS = frozenset({"..", ".%2e", "%2e.", "%2e%2e"})


def path_fault(value: object) -> str | None:
    """Why this is no path, in words without it; None: it is one."""
    if not isinstance(value, str):
        return "path is not a string"
    if not value.startswith("/") or value.startswith("//"):
        return "path does not start with one /"
    if "\\" in value or (not value.isprintable() and _TAKES_NO(value)):
        return "path holds a backslash, or a character that controls or turns the text"
    if len(value) > MAX_PATH:
        return f"path is over {MAX_PATH} characters"
    has_dots = "/." in value or "/%2" in value
    if has_dots and _without_dots(value).startswith("//"):
        return "path does not start with one / once its dot segments are removed"
    return None


def _without_dots(path: str) -> str:
    """The path without dot segments, query and fragment (RFC 3986, 5.2.4)."""
    kept: list[str] = []
    segments = re.split(r"[?#]", path, maxsplit=1)[0].split("/")[1:]
    for segment in segments:
        if segment.lower() in _TWO_DOTS:
            del kept[-1:]
        elif segment.lower() not in _ONE_DOT:
            kept.append(segment)
    if segments[-1].lower() in _ONE_DOT | _TWO_DOTS:
        kept.append("")  # the slash before it stays
    return "/" + "/".join(kept)
