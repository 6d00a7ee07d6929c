"""How a time is written for people and programs outside: ISO 8601, UTC, milliseconds."""

from __future__ import annotations

from datetime import UTC, datetime


def to_iso(seconds: float) -> str:
    """Write epoch seconds as `2026-11-23T09:58:58.233Z`."""
    text = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
