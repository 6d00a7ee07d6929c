"""Events that were cancelled, and the corrections of what was taken of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from gateway.core.audit import Act
from gateway.core.cancelling import Cancel, Cancelled
from gateway.core.erased import Erased


@dataclass(frozen=True, slots=True)
class Cancelling:
    """What is asked: to cancel at this time, for an event whose notifications live for `max_age_s`.
    A vendor may keep one for `kept_s`, or as long as it lives, whichever is longer.

    `replacement` is a correction as `core.cancelling.written` makes it, None: none is asked. With
    `dry_run` nothing is changed. `act` is the cancellation's row in the audit table, `correct` that
    of the correction; each is written when it is done the first time.
    """

    at: float
    max_age_s: float
    replacement: str | None = field(default=None, repr=False)
    dry_run: bool = False
    act: Act | None = None
    correct: Act | None = None
    kept_s: float = 0.0


class Cancels(Protocol):
    """Which events were cancelled. A cancellation is for good."""

    async def cancel(self, event_id: str, asked: Cancelling) -> Cancelled | None:
        """Cancel an event, or say how it was cancelled. None: it is not known. Raises
        AlreadyReplaced for another correction than the one that was asked before.

        From then on `Journal.progress` and `among` tell of it, and no look-up that is asked later
        starts a push of it.
        """

    async def of(self, event_id: str) -> Cancel | None:
        """How an event was cancelled; None: it was not."""

    async def among(self, event_ids: Collection[str]) -> Collection[str]:
        """Which of these events were cancelled."""

    async def recent(self, *, since: float) -> Sequence[Cancel]:
        """Those of since then, and those whose correction is not queued yet."""

    async def corrected(self, event_id: str) -> None:
        """The correction of an event is queued: its text goes from here."""

    async def erased_from(self, event_id: str) -> Erased | None:
        """Who was erased since an event came in; None, nearly always: nobody."""
