"""LearnInk's event envelope: from verified bytes to an event. Pure.

What is signed but not understood is quarantined, not refused: LearnInk's sender would only repeat
it, and five days of failures disable the endpoint.
"""

from __future__ import annotations

import json
from collections.abc import Container
from dataclasses import dataclass
from typing import Any

import orjson

from gateway.core.chunks import cut, deadline_of
from gateway.core.fanout import dated
from gateway.core.instants import read_instant
from gateway.core.items import parse_items
from gateway.core.model import CHUNK_SIZE, Chunk, Event, EventStatus
from gateway.core.private import people_in, without_phones
from gateway.core.sources import LEARNINKS, Terms
from gateway.core.suppressing import NO_RULES, Rules

NOTIFICATIONS_SENT = "notifications.sent"
_MOST_NOTIFICATIONS = 100_000
UNDATED = "timestamp is no time that can be read: age counts from receipt"


@dataclass(frozen=True, slots=True)
class Understood:
    """An event as it will be kept, and the chunks it comes to. `undated`: its own time is there,
    and cannot be read."""

    event: Event
    chunks: tuple[Chunk, ...] = ()
    undated: bool = False


class _NotUnderstood(ValueError):
    """Why an event is quarantined, in words without its content."""


def understand(
    event_id: str,
    body: bytes,
    *,
    received_at: float,
    max_age_s: float,
    terms: Terms = LEARNINKS,
    rejected: Container[int] | None = None,
    chunk_items: int = CHUNK_SIZE,
    ahead_s: float = 0.0,
    suppress: Rules = NO_RULES,
) -> Understood:
    """Read an event of a source; never raises. `max_age_s`: how long notifications stay fresh, in
    seconds, unless the source's terms say so. They are cut into chunks of at most `chunk_items`.

    `rejected`, for an event that is read again: the indexes that were rejected at first, so that
    it comes to the same chunks. `ahead_s`: how far the clock of `received_at`, which is doubted, is
    ahead of the sender's, by which the event is dated. `suppress` tells what it says was done.
    """
    event_type = ""
    document: object = None

    def kept(status: EventStatus, **told: Any) -> Understood:
        """An event without notifications: its body is kept as it came."""
        event = Event(
            event_id,
            event_type,
            status,
            received_at,
            body=body,
            people=people_in(document),
            source=terms.source,
            limits=terms.limits,
            **told,
        )
        return Understood(event)

    try:
        document = _document(body)
        event_type = _type_of(document)
        if event_type != NOTIFICATIONS_SENT:
            occurred_at = _occurred_at(document)
            done = suppress and suppress.done_by(
                event_id,
                event_type,
                document,
                source=terms.source,
                occurred_at=occurred_at,
                received_at=received_at,
            )
            return kept("ignored", occurred_at=occurred_at, done=done or ())
        return _notifications(
            event_id, document, body, received_at, max_age_s, terms, rejected, chunk_items, ahead_s
        )
    except _NotUnderstood as reason:
        return kept("quarantined", reason=str(reason))


def _notifications(
    event_id: str,
    document: dict[str, Any],
    body: bytes,
    received_at: float,
    max_age_s: float,
    terms: Terms,
    rejected: Container[int] | None,
    chunk_items: int,
    ahead_s: float,
) -> Understood:
    data = document.get("data")
    entries = data.get("notifications") if isinstance(data, dict) else None
    if not isinstance(entries, list):
        raise _NotUnderstood("data.notifications is not an array")
    if len(entries) > _MOST_NOTIFICATIONS:
        raise _NotUnderstood(f"more than {_MOST_NOTIFICATIONS} notifications")
    occurred_at = _occurred_at(document)
    items, rejections = parse_items(
        entries, rejected=rejected, terms=terms, occurred_at=occurred_at
    )
    undated = occurred_at is None and document.get("timestamp") not in (None, "")
    began_at = None if occurred_at is None else occurred_at + ahead_s
    deadline = deadline_of(began_at, received_at, max_age_s, terms.limits.max_age_s)
    chunks = tuple(
        cut(event_id, items, received_at=received_at, deadline=deadline, chunk_items=chunk_items)
    )
    event = Event(
        event_id=event_id,
        type=NOTIFICATIONS_SENT,
        status="accepted",
        received_at=received_at,
        occurred_at=occurred_at,
        notifications=len(items),
        rejections=tuple(rejections),
        chunks=len(chunks),
        reason=UNDATED if undated else _stale(occurred_at, received_at, deadline),
        body=without_phones(body, document, entries),
        people=people_in([entries[one.index] for one in rejections]),
        source=terms.source,
        limits=terms.limits,
    )
    return Understood(event, chunks, undated)


def _stale(occurred_at: float | None, received_at: float, deadline: float) -> str:
    """What to say of an event that was too old when it came."""
    return dated(occurred_at) if occurred_at is not None and deadline <= received_at else ""


def _document(body: bytes) -> dict[str, Any]:
    try:
        document = _parsed(body)
    except (ValueError, RecursionError):
        raise _NotUnderstood("the body is not JSON") from None
    if not isinstance(document, dict):
        raise _NotUnderstood("the body is not a JSON object")
    return document


def _parsed(body: bytes) -> Any:
    """What the body says. orjson is quick and strict: what it will not read, the standard library
    may, for half of a surrogate pair in one item must not cost the others."""
    try:
        return orjson.loads(body)
    except (ValueError, RecursionError):
        return json.loads(body)


def _type_of(document: dict[str, Any]) -> str:
    event_type = document.get("type")
    if not isinstance(event_type, str) or not event_type:
        raise _NotUnderstood("type is missing")
    if len(event_type) > 128 or not event_type.isprintable():
        raise _NotUnderstood("type is malformed")
    return event_type


def _occurred_at(document: dict[str, Any]) -> float | None:
    """The event's own time; one that cannot be read is as good as none."""
    return read_instant(document.get("timestamp"))
