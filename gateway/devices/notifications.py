"""POST /v1/notifications: a test push, or the customer's own, the way a webhook batch goes.

The same items, the same chunks, the same promise: 200 means durable. The idempotency key takes the
place of the `svix-id`; it belongs to the API key it came with.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

from aiohttp import web

from gateway.core.chunks import cut, deadline_of
from gateway.core.items import parse_items
from gateway.core.model import Event, Rejection
from gateway.devices.auth import Authenticator, Caller
from gateway.devices.bodies import read_object
from gateway.ports import Clock, Queue
from gateway.problems import Problem

MAX_BODY = 8 * 1024 * 1024
"""Bytes of a call, as of a webhook by default."""
_MAX_IDEMPOTENCY_KEY = 128


class NotificationRoutes:
    """`/v1/notifications` of the public listener. `max_age_s`: how long pushes stay fresh."""

    def __init__(
        self,
        queue: Queue,
        authenticator: Authenticator,
        max_age_s: Callable[[], float],
        clock: Clock,
    ) -> None:
        self._queue = queue
        self._authenticator = authenticator
        self._max_age_s = max_age_s
        self._clock = clock

    def routes(self) -> list[web.RouteDef]:
        """What to add to the public application."""
        return [web.post("/v1/notifications", self.post_notifications)]

    async def post_notifications(self, request: web.Request) -> web.Response:
        """Take one notification, or a list of them; 422 when none of them can go out."""
        caller = await self._authenticator.authorize(request, "notifications:write")
        document = await read_object(request, limit=MAX_BODY)
        idempotency_key = _idempotency_key(document)
        raw = _notifications(document)
        items, rejections = parse_items(raw)
        if not items:
            raise Problem("invalid", "no notification can go out", errors=_errors(rejections))
        now = self._clock()
        event_id = _event_id(caller, idempotency_key)
        deadline = deadline_of(None, now, self._max_age_s())
        chunks = cut(event_id, items, received_at=now, deadline=deadline)
        event = Event(
            event_id=event_id,
            type="notifications.sent",
            status="accepted",
            received_at=now,
            notifications=len(items),
            rejections=tuple(rejections),
            chunks=len(chunks),
            body=_as_webhook(raw),
        )
        accepted = await self._queue.accept(event, chunks)
        return web.json_response(
            {
                "status": "accepted" if accepted else "duplicate",
                "event_id": event_id,
                "notifications": len(items),
                "rejected": len(rejections),
            }
        )


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
        return [{name: value for name, value in document.items() if name != "idempotency_key"}]
    raw = document["notifications"]
    if not isinstance(raw, list) or not raw:
        message = "must be a list of at least one notification"
        raise Problem("invalid", errors=[{"field": "notifications", "message": message}])
    return raw


def _errors(rejections: list[Rejection]) -> list[dict[str, str]]:
    """The first hundred: a caller who sends thousands of bad items needs no more to see why."""
    return [
        {"field": f"notifications[{rejection.index}]", "message": rejection.reason}
        for rejection in rejections[:100]
    ]


def _event_id(caller: Caller, idempotency_key: str) -> str:
    """Name the event so that it tells neither the caller's key nor the idempotency key."""
    digest = hashlib.sha256(f"{caller.name}\0{idempotency_key}".encode()).hexdigest()
    return f"ntf_{digest[:32]}"


def _as_webhook(raw: list[Any]) -> bytes:
    """Keep the batch in the shape of a webhook: erasure and replay then know their way in it."""
    event = {
        "object": "event",
        "type": "notifications.sent",
        "data": {"notifications": raw},
    }
    return json.dumps(event).encode()
