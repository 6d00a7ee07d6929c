"""Reading learning events: the cursor of a reader, and how an event is shown. Pure.

A window of time goes by when an event occurred; where it does not say, by when it was received.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from gateway.core.instants import to_iso
from gateway.core.learning import LearningEvent

_CURSOR = b"le1."
_MOST_DIGITS = 20


def cursor_of(number: int) -> str:
    """The place behind an event, as readers hand it back."""
    return base64.urlsafe_b64encode(_CURSOR + str(number).encode()).decode().rstrip("=")


def place_of(cursor: str) -> int | None:
    """The number that a cursor stands for; None: it is none of ours."""
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    except (binascii.Error, ValueError):
        return None
    digits = text.removeprefix(_CURSOR)
    is_ours = text.startswith(_CURSOR) and digits.isdigit() and len(digits) < _MOST_DIGITS
    return int(digits) if is_ours and cursor_of(int(digits)) == cursor else None


def event_view(event: LearningEvent, *, late_after_s: float) -> dict[str, Any]:
    """How a learning event is shown."""
    return {
        "event_id": event.event_id,
        "source": event.source,
        "type": event.type,
        "occurred_at": None if event.occurred_at is None else to_iso(event.occurred_at),
        "received_at": to_iso(event.received_at),
        "late": event.is_late(late_after_s),
        "user_id": event.user_id,
        "custom_id": event.custom_id,
        "object": event.object,
        "body": document_of(event.body),
    }


def document_of(body: bytes) -> Any:
    """What a kept body says, as every JSON reader takes it; None where there is none left."""
    if not body:
        return None
    try:
        return orjson.loads(body)
    except ValueError:
        pass
    try:
        read = json.loads(body, parse_constant=lambda _name: None)
    except (ValueError, RecursionError):
        return None
    return _plain(read)


def undated(events: Sequence[LearningEvent]) -> int:
    """How many of them fell into a window by when they were received."""
    return sum(one.occurred_at is None for one in events)


def _plain(value: Any) -> Any:
    """Without numbers that no JSON has."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    return value
