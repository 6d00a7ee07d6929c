"""How a time is written for people and programs outside, and read from them. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime

_SECONDS = (1e8, 1e11)
"""Epoch seconds from 1973 to 5138; the same figures are milliseconds from 1e11 to 1e14. Smaller
ones are counters, serial days of a spreadsheet, or nothing: no time that anybody means."""
_DIGITS = re.compile(r"\d{9,14}(?:\.\d{1,9})?", re.ASCII)
# RFC 3339, and what is as clear: a comma for the point, a zone without colon, UTC in words, no zone
_RFC_3339 = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d):(\d\d)(?:[.,](\d+))? ?(Z|UTC|GMT|[+-]\d\d:?\d\d)?", re.ASCII
)


def to_iso(seconds: float) -> str:
    """Write epoch seconds as `2026-11-23T09:58:58.233Z`."""
    text = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def read_instant(value: object) -> float | None:
    """A time as epoch seconds, or None where it cannot be understood.

    Understood are RFC 3339 whole (lower case, a leap second, any fraction), ISO 8601's other forms,
    and epoch seconds or milliseconds as a number or as digits. Without a zone it is UTC.
    """
    if isinstance(value, str):
        return _from_text(value.strip().upper())
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _from_number(value)
    return None


def _from_number(value: float) -> float | None:
    least, end = _SECONDS
    if not least <= value < end * 1000:  # not a number is in no range
        return None
    return float(value) if value < end else value / 1000


def _from_text(text: str) -> float | None:
    if _DIGITS.fullmatch(text):
        return _from_number(float(text))
    added = 0.0
    if found := _RFC_3339.fullmatch(text):
        date, minute, second, fraction, zone = found.groups()
        if second == "60":  # a leap second lies between this one and the next
            second, added = "59", 1.0
        added += float(f"0.{fraction}") if fraction else 0.0
        offset = zone if zone and zone[0] in "+-" else "+00:00"
        text = f"{date}T{minute}:{second}{offset}"
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        # in UTC it may lie before the year 1 or after 9999, where nothing could show it
        return moment.astimezone(UTC).timestamp() + added
    except (ValueError, OverflowError):
        return None
