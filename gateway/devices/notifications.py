"""POST /v1/notifications: a test push, or the customer's own, the way a webhook batch goes.

The same items, the same chunks, the same promise: 200 means durable. The idempotency key takes the
place of the `svix-id`; it belongs to the API key it came with.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.core.audit import addressee
from gateway.core.chunks import cut, deadline_of
from gateway.core.clocks import Clocks
from gateway.core.items import FIELDS, parse_items
from gateway.core.model import CHUNK_SIZE, Chunk, Event, Item, Rejection
from gateway.core.private import people_in
from gateway.core.sources import API, Terms, event_id_of
from gateway.dating import time_to_keep
from gateway.devices.auth import Authenticator, Caller
from gateway.events import NotificationsPosted, Observer
from gateway.exchange import Answer, Request, Route, read_object
from gateway.ports import Journal, Queue
from gateway.problems import RETRY_AFTER_S, Problem

_TYPE = "notifications.sent"
_KEY = "idempotency_key"
_OF_A_BATCH = frozenset({_KEY, "notifications"})
_OF_ONE = FIELDS | {_KEY}
_MOST_ERRORS = 100
_MAX_IDEMPOTENCY_KEY = 128
_LONGEST_NAME = 96


@dataclass(frozen=True, slots=True)
class NotificationLimits:
    """The settings of this route: those of the webhook. Seconds, notifications, bytes."""

    max_age_s: float
    max_backlog: int
    max_body_bytes: int = 8 * 1024 * 1024


class NotificationRoutes:
    """`/v1/notifications` of the public listener. `wake` tells the relay, in the same process,
    that work came.

    `limits` is asked at each request, so that a reload takes effect; `backlog` is how many
    notifications wait, as far as this process knows. Half of the backlog is LearnInk's alone: no
    key fills it so far that a webhook is refused.
    """

    def __init__(
        self,
        queue: Queue,
        journal: Journal,
        authenticator: Authenticator,
        *,
        limits: Callable[[], NotificationLimits],
        backlog: Callable[[], int],
        wake: Callable[[], None],
        observer: Observer,
        clocks: Clocks,
        chunk_items: int = CHUNK_SIZE,
    ) -> None:
        self._queue = queue
        self._journal = journal
        self._authenticator = authenticator
        self._limits = limits
        self._backlog = backlog
        self._wake = wake
        self._observer = observer
        self._clocks = clocks
        self._chunk_items = chunk_items

    def routes(self) -> list[Route]:
        """What to add to the public listener."""
        return [Route("POST", "/v1/notifications", self.post_notifications)]

    async def post_notifications(self, request: Request) -> Answer:
        """Take one notification, or a list of them; 422 when none of them can go out, or when a
        field is not known: it may be an instruction, which nobody would follow."""
        caller = await self._authenticator.authorize(request, "notifications:write")
        limits = self._limits()
        document = await read_object(request, limit=limits.max_body_bytes)
        raw = _notifications(document)
        if unknown := _unknown(document, raw):
            raise Problem("invalid", "a field is not known, and nothing was sent", errors=unknown)
        raw = [_without_phone_number(entry) for entry in raw]
        message_id = _message_id(caller, _idempotency_key(document))
        event_id = event_id_of(API, message_id)
        items, rejections = parse_items(raw, terms=Terms(API))
        if not items:
            raise Problem("invalid", "no notification can go out", errors=_errors(rejections))
        if self._backlog() >= limits.max_backlog // 2:
            raise Problem("unavailable", "the backlog is full", retry_after=RETRY_AFTER_S)
        if await self._journal.event(message_id) is not None:
            # It was taken by a version whose ids named no source.
            return _answer("duplicate", message_id, items, rejections)
        now = await time_to_keep(self._clocks)
        deadline = deadline_of(None, now, limits.max_age_s)
        chunks = cut(
            event_id,
            items,
            received_at=now,
            deadline=deadline,
            chunk_items=self._chunk_items,
        )
        event = _event(event_id, raw, items, rejections, chunks, now)
        act = caller.actor(request).does(
            "notifications.send", event_id, at=now, routine=True, about=addressee(items)
        )
        accepted = await self._queue.accept(event, chunks, act=act)
        if accepted:
            self._wake()
            self._observer(NotificationsPosted(event_id, len(items), len(rejections)))
        return _answer("accepted" if accepted else "duplicate", event_id, items, rejections)


def _answer(
    status: str, event_id: str, items: Sequence[Item], rejections: Sequence[Rejection]
) -> Answer:
    counts = {"notifications": len(items), "rejected": len(rejections)}
    return Answer(200, {"status": status, "event_id": event_id, **counts})


def _idempotency_key(document: dict[str, Any]) -> str:
    value = document.get("idempotency_key")
    if (
        not isinstance(value, str)
        or not 0 < len(value) <= _MAX_IDEMPOTENCY_KEY
        or not value.isprintable()
    ):
        message = f"must be 1 to {_MAX_IDEMPOTENCY_KEY} printable characters"
        raise Problem("invalid", errors=[{"field": "idempotency_key", "message": message}])
    return value


def _notifications(document: dict[str, Any]) -> list[Any]:
    if "notifications" not in document:
        return [{name: value for name, value in document.items() if name != _KEY}]
    raw = document["notifications"]
    if not isinstance(raw, list) or not raw:
        message = "must be a list of at least one notification"
        raise Problem("invalid", errors=[{"field": "notifications", "message": message}])
    return raw


def _unknown(document: dict[str, Any], raw: list[Any]) -> list[dict[str, str]]:
    """The fields that are not known, anywhere; the first hundred."""
    is_batch = "notifications" in document
    unknown = [name for name in document if name not in (_OF_A_BATCH if is_batch else _OF_ONE)]
    if is_batch:
        for index, entry in enumerate(raw):
            if isinstance(entry, dict) and not entry.keys() <= FIELDS:
                unknown += [
                    f"notifications[{index}].{name}" for name in entry if name not in FIELDS
                ]
    return [
        {"field": name[:_LONGEST_NAME], "message": "is not known"}
        for name in unknown[:_MOST_ERRORS]
    ]


def _without_phone_number(entry: Any) -> Any:
    """Nobody reads it, so nobody keeps it."""
    if not isinstance(entry, dict) or "phone_number" not in entry:
        return entry
    return {name: value for name, value in entry.items() if name != "phone_number"}


def _errors(rejections: list[Rejection]) -> list[dict[str, str]]:
    """The first hundred: a caller who sends thousands of bad items needs no more to see why."""
    return [
        {"field": f"notifications[{rejection.index}]", "message": rejection.reason}
        for rejection in rejections[:_MOST_ERRORS]
    ]


def _message_id(caller: Caller, idempotency_key: str) -> str:
    """Name the call so that it tells neither the caller's key nor the idempotency key."""
    digest = hashlib.sha256(f"{caller.name}\0{idempotency_key}".encode()).hexdigest()
    return f"ntf_{digest[:32]}"


def _event(
    event_id: str,
    raw: list[Any],
    items: Sequence[Item],
    rejections: Sequence[Rejection],
    chunks: Sequence[Chunk],
    now: float,
) -> Event:
    """The event as it is kept: in the shape of a webhook, so that erasure knows its way in it."""
    batch = {"object": "event", "type": _TYPE, "data": {"notifications": raw}}
    return Event(
        event_id=event_id,
        type=_TYPE,
        status="accepted",
        received_at=now,
        notifications=len(items),
        rejections=tuple(rejections),
        chunks=len(chunks),
        body=json.dumps(batch).encode(),
        people=people_in([raw[one.index] for one in rejections]),
        source=API,
    )
