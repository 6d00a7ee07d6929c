"""POST /v1/events/{event_id}/cancel: stop an event, and correct what was taken of it.

Owns what a request may say and what it is answered. What is answered is worked out once, in
`gateway.core.cancelling`, and where what waits is ended is the relay's matter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from gateway.core.cancelling import Cancelled, written
from gateway.core.clocks import Clocks
from gateway.core.instants import to_iso
from gateway.core.items import texts_fault
from gateway.devices.auth import Authenticator
from gateway.errors import StoreUnavailable
from gateway.events import EventCancelled, ItemsEnded, Observer
from gateway.exchange import Answer, Request, Route, read_object
from gateway.ports import Cancelling, Cancels, Queue
from gateway.problems import Problem

MAX_BODY = 512 * 1024
"""Bytes of a request: two texts of the greatest length, whose characters take up to 12 bytes each
when they are escaped, and a path."""
TEXTS = ("title", "body", "path")
_FIELDS = frozenset({"replace", "reason", "dry_run"})
_LONGEST_NAME = 96


class CancelRoutes:
    """The route of the public listener. `max_age_s` and `kept_s` are asked at each request, so that
    a reload takes effect. `cancelled` tells the relay of this process at once."""

    def __init__(
        self,
        cancels: Cancels,
        queue: Queue,
        authenticator: Authenticator,
        *,
        max_age_s: Callable[[], float],
        kept_s: Callable[[], float],
        cancelled: Callable[[str], None],
        observer: Observer,
        clocks: Clocks,
    ) -> None:
        self._cancels = cancels
        self._queue = queue
        self._authenticator = authenticator
        self._max_age_s = max_age_s
        self._kept_s = kept_s
        self._cancelled = cancelled
        self._observer = observer
        self._clocks = clocks

    def routes(self) -> list[Route]:
        """What to add to the public listener."""
        return [Route("POST", "/v1/events/{event_id}/cancel", self.cancel)]

    async def cancel(self, request: Request) -> Answer:
        """Stop an event for good. Asked again, the answer is the same."""
        caller = await self._authenticator.authorize(request, "notifications:write")
        document = await _read(request)
        # a stop waits for no agreement on what time it is
        event_id, now = request.path["event_id"], self._clocks.wall()
        actor = replace(caller.actor(request), reason=document.get("reason", ""))
        asked = Cancelling(
            at=now,
            max_age_s=self._max_age_s(),
            kept_s=self._kept_s(),
            replacement=None if "replace" not in document else written(document["replace"]),
            dry_run=document.get("dry_run", False),
            act=actor.does("events.cancel", event_id, at=now),
            correct=actor.does("events.correct", event_id, at=now),
        )
        done = await cancel_event(self._cancels, self._queue, event_id, asked)
        if done is None:
            raise Problem("not_found")
        if not asked.dry_run:
            self._cancelled(event_id)
            tell(done, self._observer)
        return Answer(200, cancel_view(done) | ({"dry_run": True} if asked.dry_run else {}))


async def cancel_event(
    cancels: Cancels, queue: Queue, event_id: str, asked: Cancelling
) -> Cancelled | None:
    """Cancel an event, and let its chunks end now. None: it is not known."""
    done = await cancels.cancel(event_id, asked)
    if done is not None and not asked.dry_run:
        with suppress(StoreUnavailable):  # it is cancelled; the relays do this as well
            await queue.hasten([event_id])
    return done


def tell(done: Cancelled, observer: Observer) -> None:
    """Report what was done now; a repeat does nothing."""
    if done.before is None:
        now = done.now
        observer(EventCancelled(now.event_id, now.cancelled, now.taken))
        if done.ended:
            observer(ItemsEnded("cancelled", done.ended))


def cancel_view(done: Cancelled) -> dict[str, Any]:
    """How a cancellation is answered."""
    now = done.now
    return {
        "cancelled": now.cancelled,
        "taken": now.taken,
        "may_still_appear_until": None if now.until is None else to_iso(now.until),
        "replaced_by": now.correction,
        "reason": done.reason,
    }


def replacement_faults(texts: Mapping[str, Any]) -> list[dict[str, str]]:
    """What is wrong with the texts of a correction, by field."""
    unknown = [name for name in texts if name not in TEXTS]
    faults = [(f"replace.{name[:_LONGEST_NAME]}", "is not known") for name in unknown]
    if not texts.keys() & set(TEXTS):
        faults.append(("replace", "must have a title, a body or a path"))
    faults += [(f"replace.{name}", fault) for name, fault in texts_fault(texts)]
    return [{"field": field, "message": message} for field, message in faults]


async def _read(request: Request) -> dict[str, Any]:
    """What is asked; a field that is not known may be an instruction, which nobody would follow."""
    document = await read_object(request, limit=MAX_BODY, optional=True)
    errors = [
        {"field": name[:_LONGEST_NAME], "message": "is not known"}
        for name in document
        if name not in _FIELDS
    ]
    if not isinstance(document.get("dry_run", False), bool):
        errors.append({"field": "dry_run", "message": "must be true or false"})
    if not isinstance(document.get("reason", ""), str):
        errors.append({"field": "reason", "message": "must be text"})
    texts = document.get("replace", {"title": "-"})
    if isinstance(texts, dict):
        errors += replacement_faults(texts)
    else:
        errors.append({"field": "replace", "message": "must be an object"})
    if errors:
        raise Problem("invalid", "nothing was cancelled", errors=errors)
    return document
