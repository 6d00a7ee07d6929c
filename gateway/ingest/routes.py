"""POST /webhooks/{source}: verify, understand, make durable, answer - in that order.

A 2xx leaves only after the event is on disk (or at the broker's quorum), and never after sending.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from gateway.core.clocks import Clocks
from gateway.core.model import CHUNK_SIZE
from gateway.core.sources import UNLIMITED, Limits, Terms, event_id_of
from gateway.core.suppressing import NO_RULES, Rules
from gateway.dating import time_to_keep
from gateway.errors import StoreUnavailable
from gateway.events import Observer, WebhookAnswered
from gateway.exchange import Answer, Request, Route, UnreadableBody
from gateway.ingest.room import ask_for_room
from gateway.ingest.schema import understand
from gateway.ingest.signature import BadSignature, Claimed, Key, Stale, claimed
from gateway.ports import Queue
from gateway.problems import RETRY_AFTER_S, Problem

WITNESS = "the sender of webhooks"
"""Whose clock a signature's timestamp shows."""
#: seconds that a webhook may be on its way
_ON_ITS_WAY_S = 3.0
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
    pushes may reach, `suppress` what its events make superfluous."""

    keys: Sequence[Key]
    tolerance_s: float
    max_body_bytes: int
    max_age_s: float
    max_backlog: int
    pushes: Limits = UNLIMITED
    suppress: Rules = NO_RULES


class WebhookRoute:
    """Takes LearnInk's batches, of each source at its own address. `wake` tells the relay, in the
    same process, that work came.

    `limits` is asked at each request, so that a reload takes effect: those of a source, or None if
    there is no such source. `backlog` is how many notifications wait, as far as this process knows.
    `known` looks whether an event is there.
    """

    def __init__(
        self,
        queue: Queue,
        *,
        limits: Callable[[str], WebhookLimits | None],
        backlog: Callable[[], int],
        known: Callable[[str], Awaitable[bool]],
        wake: Callable[[], None],
        observer: Observer,
        clocks: Clocks,
        chunk_items: int = CHUNK_SIZE,
    ) -> None:
        self._queue = queue
        self._limits = limits
        self._backlog = backlog
        self._known = known
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
        try:
            claim = claimed(request.headers)
            is_stale = self._is_stale(claim, limits)
            body = await request.body(limits.max_body_bytes)
            verified = claim.proven(body, limits.keys)
        except (BadSignature, UnreadableBody) as bad:  # nobody's signature is on what is cut off
            raise Problem("unauthorized", str(bad)) from bad
        event_id = event_id_of(source, verified.message_id)
        is_witness = self._clocks.doubted() and not await self._known(event_id)
        if is_witness:
            self._tell_time(claim, self._clocks.wall())
        if is_stale:
            self._check_again(claim, limits)
        now = await time_to_keep(self._clocks)
        if self._backlog() >= limits.max_backlog:
            raise Problem("unavailable", "the backlog is full", retry_after=RETRY_AFTER_S)
        ask_for_room(body)
        understood = understand(
            event_id,
            body,
            received_at=now,
            max_age_s=limits.max_age_s,
            terms=Terms(source, limits.pushes),
            chunk_items=self._chunk_items,
            ahead_s=now - claim.timestamp if self._clocks.doubted() else 0.0,
            suppress=limits.suppress,
        )
        event = understood.event
        fresh = await self._queue.accept(event, understood.chunks)
        if fresh and not is_witness:
            self._tell_time(claim, now)
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

    def _is_stale(self, claim: Claimed, limits: WebhookLimits) -> bool:
        """Whether a request would be refused for its time, were this machine's clock not doubted.
        Raises `Stale` where it is not."""
        try:
            claim.check_time(now=self._clocks.wall(), tolerance_s=limits.tolerance_s)
        except Stale:
            if not self._clocks.doubted():
                raise
            return True
        return False

    def _check_again(self, claim: Claimed, limits: WebhookLimits) -> None:
        """What was stale by a time that was doubted, and is proven but for that: it may have been
        the witness by which the time is known now. Raises `Problem` if not."""
        try:
            claim.check_time(now=self._clocks.wall(), tolerance_s=limits.tolerance_s)
        except Stale as stale:
            if not self._clocks.doubted():
                raise Problem("unauthorized", str(stale)) from stale
            raise Problem("clock_doubted", str(stale), retry_after=RETRY_AFTER_S) from stale

    def _tell_time(self, claim: Claimed, received_at: float) -> None:
        """It was signed when it was sent: whole seconds, and some on its way."""
        took = self._clocks.wall() - received_at
        signed_at = float(claim.timestamp)
        self._clocks.told(WITNESS, signed_at, signed_at + 1.0 + _ON_ITS_WAY_S + took)


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
