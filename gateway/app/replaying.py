"""Sending events that came in earlier: quarantined ones, and those that a lost stream held.

Owns how a kept event is read again, and how its chunks are cut: as when it came, or as this version
understands it. Refuses to know where events are kept and queued.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Literal

from gateway.app.clocks import SYSTEM
from gateway.app.correcting import chunks_of
from gateway.app.experimenting import chunks_of as make_up_chunks
from gateway.core.audit import Actor
from gateway.core.clocks import Clocks
from gateway.core.extraction import DEFAULT, LearningRules, extract
from gateway.core.instants import to_iso
from gateway.core.model import CHUNK_SIZE, Chunk, Event, EventStatus, day_of
from gateway.core.sources import Terms, corrected_by, made_up_by
from gateway.errors import StoreError
from gateway.ingest.schema import Reading, understand

if TYPE_CHECKING:
    from gateway.app.copying import Progress
    from gateway.ports import Cancels, Journal, Queue
    from gateway.queue.nats import JetStreamQueue


@dataclass(frozen=True, slots=True)
class Replayed:
    """What became of an event that was to be read again; `event` is how it was understood."""

    event_id: str
    result: EventStatus | Literal["unknown", "not quarantined", "cancelled"]
    event: Event | None = None


async def replay(
    journal: Journal,
    cancels: Cancels,
    queue: Queue,
    event_id: str,
    *,
    max_age_s: float,
    fresh: bool,
    actor: Actor,
    learning: LearningRules = DEFAULT,
    clocks: Clocks = SYSTEM,
) -> Replayed:
    """Read a quarantined event again and queue its notifications; no other event is touched, and
    none that was cancelled.

    `fresh`: its age counts from now, else from its own time. `learning`: what is kept of it, if it
    turns out to be no push.
    """
    summary = await journal.event(event_id)
    if summary is None:
        return Replayed(event_id, "unknown")
    if summary.event.status != "quarantined":
        return Replayed(event_id, "not quarantined")
    if await cancels.of(event_id) is not None:
        return Replayed(event_id, "cancelled")
    now = clocks.wall()
    event, chunks = _read_again(summary.event, max_age_s, learning, now=now, fresh=fresh)
    if event.status != "quarantined":
        if event.body != summary.event.body:
            # it came before it was understood, with phone numbers
            await journal.replace_body(event_id, summary.event.body, event.body)
        act = actor.does("events.replay", event_id, at=now)
        await queue.replay_event(event, chunks, act=act)
    return Replayed(event_id, event.status, event)


async def requeue(
    broker: JetStreamQueue | None,
    *,
    since: float,
    progress: Progress,
    actor: Actor,
    clocks: Clocks = SYSTEM,
) -> int:
    """Queue the events again that came since then, from the database; returns how many.

    A lost stream is made anew. Deliveries that have ended are not sent again, and no chunk is
    queued twice. Raises StoreError if the queue is the database itself (`broker` None).
    """
    if broker is None:
        raise StoreError(
            "queue.url is the database itself: what is queued is lost with it or not at all"
        )
    act = actor.does("events.requeue", f"since {to_iso(since)}", at=clocks.wall())
    found = await broker.requeue(since=since, act=act)
    with progress("Queueing events", found) as advance:
        while completed := await broker.complete(stale_s=0.0):
            advance(completed)
    return found


def cut_again(event: Event, *, max_age_s: float, chunk_items: int = CHUNK_SIZE) -> Sequence[Chunk]:
    """The chunks of a kept event, as they were when it came, whoever was erased from it since, and
    whatever its source may reach now."""
    if corrected_by(event.event_id) is not None:
        return chunks_of(event, chunk_items=chunk_items)
    if made_up_by(event.event_id) is not None:
        return make_up_chunks(event, chunk_items=chunk_items)
    return understand(
        event.event_id,
        event.body,
        received_at=event.received_at,
        max_age_s=max_age_s,
        terms=Terms(event.source, event.limits),
        rejected={one.index for one in event.rejections},
        chunk_items=chunk_items,
    ).chunks


def _read_again(
    event: Event, max_age_s: float, learning: LearningRules, *, now: float, fresh: bool
) -> tuple[Event, tuple[Chunk, ...]]:
    """An event as this version understands it, and its chunks: due now, on the day it came, for its
    source as that was then."""
    understood = understand(
        event.event_id,
        event.body,
        received_at=now,
        max_age_s=max_age_s,
        terms=Terms(event.source, event.limits),
        reading=Reading(partial(extract, rules=learning)),
    )
    day, own_s = day_of(event.received_at), event.limits.max_age_s
    chunks = []
    for chunk in understood.chunks:
        deadline = chunk.deadline
        if fresh:
            deadline = now + (own_s or max_age_s)
        elif own_s == 0:
            # its age counts from receipt, which was then
            deadline = event.received_at + max_age_s
        chunks.append(replace(chunk, day=day, deadline=deadline))
    return understood.event, tuple(chunks)
