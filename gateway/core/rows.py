"""How an event is written as a row, whichever part of the gateway writes it. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from gateway.core.model import Event


def event_row(event: Event) -> Mapping[str, Any]:
    """The columns of `events`, by name."""
    return {
        "event_id": event.event_id,
        "type": event.type,
        "status": event.status,
        "received_at": event.received_at,
        "occurred_at": event.occurred_at,
        "notifications": event.notifications,
        "rejected": len(event.rejections),
        "rejections": json.dumps([[r.index, r.reason] for r in event.rejections]),
        "chunks": event.chunks,
        "reason": event.reason,
        "body": event.body,
    }


def replayed_row(event: Event) -> Mapping[str, Any]:
    """The same for an event that is read anew: when it came, and what came, stay as they are."""
    row = event_row(event)
    return {name: value for name, value in row.items() if name not in ("received_at", "body")}
