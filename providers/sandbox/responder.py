"""What both vendors do with a request once they have understood it.

Owns the choice of the scripted answer and its way into the record. Refuses to know how a vendor
words an answer: it is handed a `render`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

from providers.sandbox.answers import Answer
from providers.sandbox.exchange import Act, Handling, Reply
from providers.sandbox.received import Draft
from providers.sandbox.record import Record
from providers.sandbox.scripts import Scripts, address_key
from providers.sandbox.settings import Clock, Settings

Rendered = tuple[Reply, str]
"""A vendor's response, and the reason in it that the record keeps."""


class Responder:
    """Answers requests as their scripts say, and records them, for all vendors of a sandbox."""

    def __init__(self, scripts: Scripts, record: Record, settings: Settings, clock: Clock) -> None:
        self.scripts = scripts
        self.record = record
        self.settings = settings
        self.clock = clock

    def refuse(self, draft: Draft, rendered: Rendered, *, authenticated: bool) -> Handling:
        """Answer a request that does not pass the vendor's own checks."""
        reply, reason = rendered
        self._record(draft, reply.status, reason, accepted=False)
        return Handling(reply, delay_s=self.settings.latency_s, authenticated=authenticated)

    def answer(self, draft: Draft, render: Callable[[Answer], Rendered]) -> Handling:
        """Answer a valid push as the script of its address says."""
        settings = self.settings
        answer = self.scripts.next(address_key(draft.address), settings.default_answer)
        reply, reason = render(answer)
        act = _act(answer)
        replies = act in ("reply", "goaway_after")
        self._record(
            draft,
            reply.status if replies else 0,
            reason if replies else answer.kind,
            accepted=answer.accepts,
        )
        return Handling(
            reply,
            act,
            settings.latency_s + answer.delay_s,
            reset_code=answer.code,
            reason=answer.reason,
            stream_limit=answer.code if answer.kind == "stream_limit" else None,
            authenticated=True,
        )

    def rehearse(self, draft: Draft, render: Callable[[Answer], Rendered]) -> Handling:
        """Answer a dry run: as the script says, but nothing is consumed and nobody is told."""
        answer = self.scripts.peek(address_key(draft.address), self.settings.default_answer)
        reply, reason = render(answer)
        self._record(draft, reply.status, reason or "validate_only", accepted=False)
        return Handling(reply, delay_s=self.settings.latency_s, authenticated=True)

    def _record(self, draft: Draft, status: int, reason: str, *, accepted: bool) -> None:
        self.record.add(draft, status=status, reason=reason, accepted=accepted, at=self.clock())


def _act(answer: Answer) -> Act:
    match answer.kind:
        case "hang" | "reset" | "drop":
            return answer.kind
        case "goaway":
            return "goaway_after" if answer.process_current else "goaway_before"
        case (
            "ok" | "unregistered" | "throttled" | "unavailable" | "internal" | "bad_token"
            | "apns_error" | "status" | "empty" | "stream_limit"
        ):  # fmt: skip
            return "reply"
        case _:
            assert_never(answer.kind)
