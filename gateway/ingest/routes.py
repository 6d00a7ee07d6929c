"""POST /webhooks/learnink: verify, understand, make durable, answer - in that order.

A 2xx leaves only after the event is on disk (or at the broker's quorum), and never after sending.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from aiohttp import web

from gateway.bodies import UnreadableBody, read_body
from gateway.core.clocks import Clocks
from gateway.core.model import CHUNK_SIZE
from gateway.errors import StoreUnavailable
from gateway.events import Observer, WebhookAnswered
from gateway.ingest.schema import understand
from gateway.ingest.signature import BadSignature, verify
from gateway.ports import Queue
from gateway.problems import RETRY_AFTER_S, Problem


@dataclass(frozen=True, slots=True)
class WebhookLimits:
    """The settings of the webhook. Seconds, bytes, notifications."""

    keys: Sequence[bytes]
    tolerance_s: float
    max_body_bytes: int
    max_age_s: float
    max_backlog: int


class WebhookRoute:
    """Takes LearnInk's batches. `wake` tells the relay, in the same process, that work came.

    `limits` is asked at each request, so that a reload takes effect; `backlog` is how many
    notifications wait, as far as this process knows. `body_timeout_s`: how long a body may take to
    come in, in seconds; Svix gives a whole request 15.
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
        body_timeout_s: float = 30.0,
    ) -> None:
        self._queue = queue
        self._limits = limits
        self._backlog = backlog
        self._wake = wake
        self._observer = observer
        self._clocks = clocks
        self._chunk_items = chunk_items
        self._body_timeout_s = body_timeout_s

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/webhooks/learnink", self.receive)]

    async def receive(self, request: web.Request) -> web.Response:
        """Answer one webhook request as the contract's table says."""
        monotonic = self._clocks.monotonic
        started = monotonic()
        try:
            answer = await self._receive(request)
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
                answer.status,
                monotonic() - started,
                event_id=answer.event_id,
                notifications=answer.notifications,
                rejected=answer.rejected,
                reason=answer.reason,
            )
        )
        return web.json_response(answer.body())

    async def _receive(self, request: web.Request) -> _Answer:
        limits = self._limits()
        body = await self._body(request, limits.max_body_bytes)
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
        return _Answer(
            status=event.status if fresh else "duplicate",
            event_id=event.event_id,
            notifications=event.notifications,
            rejected=len(event.rejections),
            reason=event.reason,
        )

    async def _body(self, request: web.Request, limit: int) -> bytes:
        try:
            return await read_body(request, limit=limit, within_s=self._body_timeout_s)
        except UnreadableBody as error:
            # Nobody's signature can be on it.
            raise Problem("unauthorized", str(error)) from error


@dataclass(frozen=True, slots=True)
class _Answer:
    status: str
    event_id: str
    notifications: int
    rejected: int
    reason: str

    def body(self) -> dict[str, object]:
        answer: dict[str, object] = {"status": self.status, "event_id": self.event_id}
        if self.status in ("accepted", "duplicate"):
            answer |= {"notifications": self.notifications, "rejected": self.rejected}
        return answer
