"""POST /webhooks/learnink: verify, understand, make durable, answer - in that order.

A 2xx leaves only after the event is on disk (or at the broker's quorum), and never after sending.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.core.clocks import Clocks
from gateway.core.model import CHUNK_SIZE
from gateway.errors import StoreUnavailable
from gateway.events import Observer, WebhookAnswered
from gateway.exchange import Answer, Request, Route, UnreadableBody
from gateway.ingest.schema import understand
from gateway.ingest.signature import BadSignature, Key, verify
from gateway.ports import Queue
from gateway.problems import RETRY_AFTER_S, Problem


@dataclass(frozen=True, slots=True)
class WebhookLimits:
    """The settings of the webhook. Seconds, bytes, notifications."""

    keys: Sequence[Key]
    tolerance_s: float
    max_body_bytes: int
    max_age_s: float
    max_backlog: int


class WebhookRoute:
    """Takes LearnInk's batches. `wake` tells the relay, in the same process, that work came.

    `limits` is asked at each request, so that a reload takes effect; `backlog` is how many
    notifications wait, as far as this process knows.
    """

    def __init__(
        self,
        queue: Queue,
        *,
        limits: Callable[[], WebhookLimits],
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
        return [Route("POST", "/webhooks/learnink", self.receive)]

    async def receive(self, request: Request) -> Answer:
        """Answer one webhook request as the contract's table says."""
        monotonic = self._clocks.monotonic
        started = monotonic()
        try:
            outcome = await self._receive(request)
        except Problem as problem:
            result = {401: "unauthorized", 413: "too_large"}.get(problem.status, "unavailable")
            seconds = monotonic() - started
            self._observer(WebhookAnswered(result, seconds, reason=problem.detail))
            raise
        except StoreUnavailable as error:
            self._observer(WebhookAnswered("unavailable", monotonic() - started, reason=str(error)))
            raise
        self._observer(
            WebhookAnswered(
                outcome.status,
                monotonic() - started,
                event_id=outcome.event_id,
                notifications=outcome.notifications,
                rejected=outcome.rejected,
                reason=outcome.reason,
            )
        )
        return Answer(200, outcome.document())

    async def _receive(self, request: Request) -> _Outcome:
        limits = self._limits()
        try:
            body = await request.body(limits.max_body_bytes)
        except UnreadableBody as error:
            # Nobody's signature can be on it.
            raise Problem("unauthorized", str(error)) from error
        now = self._clocks.wall()
        try:
            verified = verify(
                request.headers, body, limits.keys, now=now, tolerance_s=limits.tolerance_s
            )
        except BadSignature as bad:
            raise Problem("unauthorized", str(bad)) from bad
        if self._backlog() >= limits.max_backlog:
            raise Problem("unavailable", "the backlog is full", retry_after=RETRY_AFTER_S)
        understood = understand(
            verified.message_id,
            body,
            received_at=now,
            max_age_s=limits.max_age_s,
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
        )


@dataclass(frozen=True, slots=True)
class _Outcome:
    status: str
    event_id: str
    notifications: int
    rejected: int
    reason: str

    def document(self) -> dict[str, object]:
        document: dict[str, object] = {"status": self.status, "event_id": self.event_id}
        if self.status in ("accepted", "duplicate"):
            document |= {"notifications": self.notifications, "rejected": self.rejected}
        return document
