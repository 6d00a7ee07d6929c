"""An event as a row, whichever part of the gateway writes it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.core.learning import digest_of
from gateway.core.model import Event
from gateway.core.stored import write_rejections
from gateway.core.stored_limits import write_limits

#: columns of what a learning event has learnt, which has no chunks and is not replayed
_LEARNT = ("learnt_user", "learnt_custom", "learnt_object", "learnt_salt", "learnt_digest")
#: of a row of the queue as it is written
_QUEUE_COLUMNS = 10


def event_row(event: Event, form: int) -> Mapping[str, Any]:
    """The columns of `events`, by name; its stored forms in this version."""
    learnt = event.learnt
    digest = None
    if learnt is not None:
        digest = digest_of(
            learnt.salt,
            event.source,
            event.event_id,
            event.type,
            event.occurred_at,
            event.received_at,
            event.body,
        )
    return {
        "event_id": event.event_id,
        "type": event.type,
        "status": event.status,
        "received_at": event.received_at,
        "occurred_at": event.occurred_at,
        "notifications": event.notifications,
        "rejected": len(event.rejections),
        "rejections": write_rejections(event.rejections, form),
        "chunks": event.chunks,
        "reason": event.reason,
        "body": event.body,
        "source": event.source,
        "limits": write_limits(event.limits),
        "learnt_user": learnt and learnt.user_id,
        "learnt_custom": learnt and learnt.custom_id,
        "learnt_object": learnt and learnt.object,
        "learnt_salt": learnt and learnt.salt,
        "learnt_digest": digest,
    }


def replayed_row(event: Event, form: int) -> Mapping[str, Any]:
    """The same for an event that is read again: what it came with stays as it is."""
    row = event_row(event, form)
    stays = ("received_at", "body", "source", "limits", *_LEARNT)
    return {name: value for name, value in row.items() if name not in stays}


def arriving(event: Event, form: int, queued: Sequence[tuple[Any, ...]] = ()) -> tuple[Any, ...]:
    """What PostgreSQL's `event_insert` takes: the event, who it names, its rows of the queue."""
    columns = list(zip(*queued, strict=True)) or [()] * _QUEUE_COLUMNS
    return (*event_row(event, form).values(), list(event.people), *columns)


def met_unseen(answer: Sequence[Any]) -> bool:
    """Whether `event_insert` met a row that was committed while it waited for it, and which it does
    not see. Asked once more, it sees it."""
    is_new, received_at = answer
    return not is_new and received_at is None


def has_arrived(event: Event, answer: Sequence[Any], *, again: bool) -> bool:
    """Whether `event_insert` wrote this event. Asked `again`, because the first answer was lost, it
    may find what it wrote itself: then it is known by the time when it was received."""
    is_new, received_at = answer
    return bool(is_new) or (again and received_at == event.received_at)
