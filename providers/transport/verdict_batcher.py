"""Verdicts on their way back to the callers who sent the pushes.

Owns that verdicts arrive in batches, on the event loop, that a fault of one caller costs no other
its verdicts, and the verdict on a request without an answer. Refuses to know vendors.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from typing import Generic, TypeVar

from providers.contract import Push, Settle, Unavailable, Verdict
from providers.http2.exchange import Lost, NotProcessed

C = TypeVar("C")

CLOSE_GRACE_S = 2.0
"""How long closing waits for answers, in seconds: longer than they usually take."""

FULL = Unavailable.not_looked_at("Full")
CLOSED = Unavailable.not_looked_at("Closed")


class Batch(Generic[C]):
    """The pushes of one `send`: who gets their verdicts, and the credential they went with."""

    __slots__ = ("credential", "settle")

    def __init__(self, settle: Settle, credential: C) -> None:
        self.settle = settle
        self.credential = credential


def unanswered(end: NotProcessed | Lost) -> Unavailable:
    """The verdict on the push of a request that had no answer."""
    if isinstance(end, NotProcessed):
        return Unavailable.not_looked_at(end.reason, end.retry_after)
    return Unavailable(end.reason, outcome_known=False)


def start_of(pushes: Sequence[Push]) -> float:
    """When pushes that wait for a connection together have to start at the latest."""
    return min([push.start_by for push in pushes], default=math.inf)


class VerdictBatcher:
    """Hands verdicts over at the next turn of the loop, in one batch per caller."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Settle, Push, Verdict]] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, settle: Settle, push: Push, verdict: Verdict) -> None:
        """Hand a verdict over soon."""
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self.flush)
        self._waiting.append((settle, push, verdict))

    def flush(self) -> None:
        """Hand over all verdicts that came in."""
        waiting, self._waiting = self._waiting, []
        batches: dict[int, tuple[Settle, list[tuple[Push, Verdict]]]] = {}
        for settle, push, verdict in waiting:
            # by identity: a callable need not be hashable
            batches.setdefault(id(settle), (settle, []))[1].append((push, verdict))
        for settle, batch in batches.values():
            hand_over(settle, batch)


def hand_over_all(by_batch: Mapping[Batch[C], Sequence[tuple[Push, Verdict]]]) -> None:
    """Call the callers of several batches back."""
    for batch, verdicts in by_batch.items():
        hand_over(batch.settle, verdicts)


def hand_over(settle: Settle, verdicts: Sequence[tuple[Push, Verdict]]) -> None:
    """Call a caller back; what it raises is reported, and harms nobody else."""
    try:
        settle(verdicts)
    except Exception as error:  # noqa: BLE001 - one caller's fault must not cost another's
        asyncio.get_running_loop().call_exception_handler(
            {"message": "settle raised", "exception": error}
        )
