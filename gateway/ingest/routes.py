"""POST /webhooks/{source}: verify, understand, make durable, answer - in that order.

A 2xx leaves only after the event is on disk (or at the broker's quorum), and never after sending.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.core.clocks import Clocks
from gateway.core.model import CHUNK_SIZE
from gateway.core.sources import UNLIMITED, Limits, Terms, event_id_of
from gateway.errors import StoreUnavailable
from gateway.events import Observer, WebhookAnswered
from gateway.exchange import Answer, Request, Route, UnreadableBody
from gateway.ingest.schema import understand
from gateway.ingest.signature import BadSignature, Key, claimed
from gateway.ports import Queue
from gateway.problems import RETRY_AFTER_S, Problem

#: how a refusal is counted, by its code
_RESULTS = {
    "unauthorized": "unauthorized",
    "body_too_large": "too_large",
    "body_too_slow": "too_slow",
    "overloaded": "overloaded",
}


@dataclass(frozen=True, slots=True)
class WebhookLimits:
    """The settings of one source's webhook. Seconds, bytes, notifications; `pushes` is what its
    pushes may reach."""

    keys: Sequence[Key]
    tolerance_s: float
    max_body_bytes: int
    max_age_s: float
    max_backlog: int
    pushes: Limits = UNLIMITED


class WebhookRoute:
    """Takes LearnInk's batches, of each source at its own address. `wake` tells the relay, in the
    same process, that work came.

    `limits` is asked at each request, so that a reload takes effect: those of a source, or None if
    there is no such source. `backlog` is how many notifications wait, as far as this process knows.
    """

    def __init__(
        self,
        queue: Queue,
        *,
        limits: Callable[[str], WebhookLimits | None],
        backlog: Callable[[], int],
        wake: Callable[[], None],
        observer: Observer,
        clocks: Clocks,
        chunk_items: int = CHUNK_SIZE,
    ) -> None:
        self._queue = queue
        self._limits = limits
        self._backlog = backlog
        self._wake = wake
        self._observer = observer
        self._clocks = clocks
        self._chunk_items = chunk_items

    def routes(self) -> list[Route]:
        """What to add to the public listener."""
        return [Route("POST", "/webhooks/{source}", self.receive)]

    async def receive(self, request: Request) -> Answer:
        """Answer one webhook request as the contract's table says."""
        source = request.path["source"]
        limits = self._limits(source)
        if limits is None:
            raise Problem("not_found", "there is no such source")
        monotonic = self._clocks.monotonic
        started = monotonic()
        try:
            outcome = await self._receive(request, source, limits)
        except Problem as problem:
            result = _RESULTS.get(problem.code, "unavailable")
            seconds = monotonic() - started
            self._observer(WebhookAnswered(result, seconds, reason=problem.detail, source=source))
            raise
        except (StoreUnavailable, MemoryError) as error:
            seconds = monotonic() - started
            result = "overloaded" if isinstance(error, MemoryError) else "unavailable"
            answered = WebhookAnswered(result, seconds, reason=str(error), source=source)
            self._observer(answered)
            raise
        self._observer(
            WebhookAnswered(
                outcome.status,
                monotonic() - started,
                event_id=outcome.event_id,
                notifications=outcome.notifications,
                rejected=outcome.rejected,
                reason=outcome.reason,
                source=source,
                undated=outcome.undated,
            )
        )
        return Answer(200, outcome.document())

    async def _receive(self, request: Request, source: str, limits: WebhookLimits) -> _Outcome:
        now = self._clocks.wall()
        try:
            claim = claimed(request.headers, now=now, tolerance_s=limits.tolerance_s)
            body = await request.body(limits.max_body_bytes)
            verified = claim.proven(body, limits.keys)
        except (BadSignature, UnreadableBody) as bad:  # nobody's signature is on what is cut off
            raise Problem("unauthorized", str(bad)) from bad
        now = self._clocks.wall()
        if self._backlog() >= limits.max_backlog:
            raise Problem("unavailable", "the backlog is full", retry_after=RETRY_AFTER_S)
        understood = understand(
            event_id_of(source, verified.message_id),
            body,
            received_at=now,
            max_age_s=limits.max_age_s,
            terms=Terms(source, limits.pushes),
            chunk_items=self._chunk_items,
        )
        event = understood.event
        fresh = await self._queue.accept(event, understood.chunks)
        if fresh and understood.chunks:
            self._wake()
        return _Outcome(
            status=event.status if fresh else "duplicate",
            event_id=event.event_id,
            notifications=event.notifications,
            rejected=len(event.rejections),
            reason=event.reason,
            undated=fresh and understood.undated,
        )


@dataclass(frozen=True, slots=True)
class _Outcome:
    status: str
    event_id: str
    notifications: int
    rejected: int
    reason: str
    undated: bool

    def document(self) -> dict[str, object]:
        document: dict[str, object] = {"status": self.status, "event_id": self.event_id}
        if self.status in ("accepted", "duplicate"):
            document |= {"notifications": self.notifications, "rejected": self.rejected}
        return document
