"""Days as a zone cuts them. Pure: the zone is an argument."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, tzinfo

_MONTH = "January February March April May June July August September October November December"
_MONTHS = _MONTH.split()


def day_begins(at: float, zone: tzinfo) -> float:
    """When the day began that this instant is in, in epoch seconds."""
    return datetime.combine(_date(at, zone), time(), zone).timestamp()


def day_ends(at: float, zone: tzinfo) -> float:
    """When the day ends that this instant is in: 23 to 25 hours after it began."""
    return datetime.combine(_date(at, zone) + timedelta(days=1), time(), zone).timestamp()


def span_words(begins: float, ends: float, zone: tzinfo) -> str:
    """The days from one instant to the end of the last of them: `2 to 29 November 2026`."""
    first, last = _date(begins, zone), _date(ends - 1, zone)
    till = f"{last.day} {_MONTHS[last.month - 1]} {last.year}"
    if first == last:
        return till
    if (first.year, first.month) == (last.year, last.month):
        return f"{first.day} to {till}"
    year = "" if first.year == last.year else f" {first.year}"
    return f"{first.day} {_MONTHS[first.month - 1]}{year} to {till}"


def iso_day(at: float, zone: tzinfo) -> str:
    """`2026-11-02`."""
    return _date(at, zone).isoformat()


def _date(at: float, zone: tzinfo) -> date:
    return datetime.fromtimestamp(at, UTC).astimezone(zone).date()
