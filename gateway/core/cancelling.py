"""Cancelling an event, and correcting what was taken of it. Pure.

Owns the answer to a cancellation, which is worked out once and stays the same, and which correction
may follow. What of an event is ended, and where, is `core.fanout`'s and the relay's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import NamedTuple

import orjson

from gateway.core.chunks import deadline_of
from gateway.core.model import Event
from gateway.core.sources import correction_of
from gateway.errors import AlreadyReplaced

CANCELLED = "its event was cancelled"
"""The reason of what ended so."""
NO_LIFE = "no life is left: what would correct it would come too late"
_WHY = {
    "ignored": "it holds no notifications",
    "quarantined": "it was not understood; it will not be replayed any more",
}
_FIELDS = ("title", "body", "path")


class Counts(NamedTuple):
    """What the journal has of an event: how many items have a row, how many of these wait and were
    never tried, how many pushes a vendor took or may have taken, and when the last one was."""

    seen: int
    waiting: int
    taken: int
    taken_at: float | None


class Cancel(NamedTuple):
    """An event that was cancelled, as its row; times are epoch seconds.

    `cancelled` counts notifications of which no push had been started, `taken` deliveries that a
    vendor took or may have taken, both as far as was known. Until `until` a phone may show such a
    one (None: there is none). `deadline` is the end of the event's life. `digest` stands for the
    correction that was asked, and `replacement` is its text until that is queued.
    """

    event_id: str
    at: float
    cancelled: int
    taken: int
    until: float | None
    deadline: float
    digest: str = ""
    replacement: str | None = None

    @property
    def correction(self) -> str | None:
        """The id of the event that corrects this one, if one does."""
        return correction_of(self.event_id) if self.digest else None


class Cancelled(NamedTuple):
    """What became of a request: the event, how it is cancelled now, and how it was before. A
    correction was `refused` if no life is left for it. `ended` counts what was ended at once."""

    event: Event
    now: Cancel
    before: Cancel | None
    refused: bool = False
    ended: int = 0

    @property
    def is_corrected(self) -> bool:
        """Whether a correction was asked by this request."""
        return bool(self.now.digest) and not (self.before and self.before.digest)

    @property
    def reason(self) -> str:
        """What people should know beside the numbers; "" for nothing."""
        return NO_LIFE if self.refused else _WHY.get(self.event.status, "")


def cancel(
    event: Event,
    before: Cancel | None,
    counts: Counts,
    replacement: str | None,
    *,
    now: float,
    max_age_s: float,
    kept_s: float = 0.0,
) -> Cancelled:
    """Answer a cancellation. `before` is the row that is there, `counts` matter only without one.
    What was taken a vendor may keep for `kept_s`, if that is longer than the event lives. Raises
    AlreadyReplaced for another correction than the one that was asked."""
    done = before or _begun(event, counts, now, max_age_s, kept_s)
    if replacement is None:
        return Cancelled(event, done, before)
    digest = hashlib.sha256(replacement.encode()).hexdigest()[:32]
    if done.digest:
        if done.digest != digest:
            raise AlreadyReplaced
        return Cancelled(event, done, before)
    if done.deadline <= now:
        return Cancelled(event, done, before, refused=True)
    asked = done._replace(digest=digest, replacement=replacement)
    return Cancelled(event, asked, before)


def awaited(event_id: str, first: Event, asked: Cancel | None) -> Event | None:
    """A correction that was asked, and waits for the end of what it corrects, as an event. `asked`
    is how that one, `first`, was cancelled. None: no such correction waits."""
    if asked is None or asked.replacement is None or asked.correction != event_id:
        return None
    return Event(
        event_id,
        first.type,
        "accepting",
        first.received_at,
        occurred_at=first.occurred_at,
        source=first.source,
        limits=first.limits,
    )


def written(texts: Mapping[str, str | None]) -> str:
    """A correction as text: the fields that it names, always in one order. An empty path is none,
    so that both ways to write it ask for the same."""
    named = {name: texts[name] for name in _FIELDS if name in texts}
    if named.get("path") == "":
        named["path"] = None
    return orjson.dumps(named).decode()


def read(replacement: str) -> dict[str, str | None]:
    """The fields of a correction; those that it does not name stay as they were."""
    found: dict[str, str | None] = orjson.loads(replacement)
    return found


def _begun(event: Event, counts: Counts, now: float, max_age_s: float, kept_s: float) -> Cancel:
    own_s = event.limits.max_age_s
    deadline = deadline_of(event.occurred_at, event.received_at, max_age_s, own_s)
    if counts.taken_at is not None and counts.taken_at > deadline:
        # it was replayed, with a new life
        deadline = counts.taken_at + (own_s or max_age_s)
    if counts.taken_at is not None:
        deadline = max(deadline, counts.taken_at + kept_s)
    waiting = max(0, event.notifications - counts.seen) + counts.waiting
    until = deadline if counts.taken and deadline > now else None
    return Cancel(event.event_id, now, waiting, counts.taken, until, deadline)
