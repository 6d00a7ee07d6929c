"""The queue on NATS JetStream: a chunk is a message, a lease its pending acknowledgement.

An event's row is in the store, its chunks are in the stream. The row is written first, as
`accepting`, then the chunks; then the row becomes `accepted`, and only then the sender gets its
answer. An interrupted event is done again from the first step, by any process: every step is safe
to repeat.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from nats.aio.msg import Msg

from gateway.core.audit import Act
from gateway.core.clocks import Clocks
from gateway.core.model import Chunk, Claim, Event, day_of
from gateway.errors import StoreUnavailable
from gateway.events import Fault, Observer
from gateway.ports import BrokeredJournal, Depth
from gateway.queue.asides import Asides
from gateway.queue.nats.guard import Guard
from gateway.queue.nats.handing import Handing
from gateway.queue.nats.leases import Leases
from gateway.queue.nats.link import Link
from gateway.queue.nats.one_at_a_time import OneAtATime
from gateway.queue.nats.publishing import Stream
from gateway.queue.nats.pulling import Puller
from gateway.queue.nats.receiving import Receiving
from gateway.queue.nats.returning import Returning
from gateway.queue.nats.stream import CONSUMER, StreamSpec
from gateway.queue.nats.tries import Tries
from gateway.queue.nats.unread import Unread
from gateway.queue.replays import Renewal, events_of, free, retaken_chunks

Cut = Callable[[Event], Sequence[Chunk]]
"""Cuts a kept event into its chunks again, as they were when it was received."""

#: how long a claim waits for work, in seconds; short, because lanes open and close meanwhile
WAIT_S = 2.0
#: how long a chunk of a closed lane is left alone at most, in seconds, and once it opens as well
LANE_NAP_S = 10.0
#: an event that is `accepting` for longer was left unfinished by its ingest, in seconds
STALE_S = 60.0
_COMPLETED_AT_ONCE = 100
_ALL = 2**31 - 1


class JetStreamQueue:
    """The port `gateway.ports.Queue` on NATS JetStream.

    `cut` cuts a kept event again; `wait_s` is how long a claim waits for work, `lane_nap_s` how
    long a chunk whose lane is closed is left alone, and `nap_s` the same for one that is not due
    (None: until it is).
    """

    idle_s = 0.0
    in_store = False

    def __init__(
        self,
        link: Link,
        spec: StreamSpec,
        *,
        journal: BrokeredJournal,
        cut: Cut,
        clocks: Clocks,
        observer: Observer,
        wait_s: float = WAIT_S,
        lane_nap_s: float = LANE_NAP_S,
        nap_s: float | None = None,
    ) -> None:
        self._link = link
        self._spec = spec
        self._journal = journal
        self._cut = cut
        self._clock = clocks.wall
        self._observer = observer
        self._wait_s = wait_s
        self._nap_s = nap_s
        self._stream = Stream(self._link, spec, forms=journal.forms, monotonic=clocks.monotonic)
        self._tries = Tries(self._link, spec)
        self._guard = Guard(self._link, spec, journal, lost=self._lose_all, observer=observer)
        self._back = Returning(
            self._link, self._tries.postponed, self._guard, lane_nap_s=lane_nap_s
        )
        asides = Asides(journal, observer=observer, clock=clocks.wall, chunk_items=spec.chunk_items)
        self._puller = Puller(self._link, f"{spec.name}.{CONSUMER}", give_back=self._back.postpone)
        self._leases = Leases()
        self._handing = Handing(
            self._link, self._leases, self._tries, lease_s=spec.ack_wait_s, reject=self._reject
        )
        unread = Unread(self._link, self._stream, journal, asides, leave=self._back.postpone)
        self._receiving = Receiving(self._leases, self._handing, self._back, unread, nap_s=nap_s)
        self._when_lost: Callable[[], None] = lambda: None
        self._ready = False
        self._starting = asyncio.Lock()
        self._one_at_a_time = OneAtATime()

    async def start(self) -> None:
        """Connect, and make or check the streams; the first call of any method does it as well.
        Raises StoreUnavailable, and ConfigurationError for streams that are not as they must be."""
        async with self._starting:
            if not self._ready:
                await self._link.open()
                await self._guard.begin()
                self._ready = True

    def when_lost(self, tell: Callable[[], None]) -> None:
        """Call this when leases have ended before their time."""
        self._when_lost = tell

    async def aclose(self) -> None:
        """Close: unsettled chunks are available to other processes at once."""
        for lease in self._leases.take_all():
            self._back.give_back(lease)
        for message in self._handing.take_suspects():
            self._back.postpone(message)
        await self._back.aclose()
        await self._guard.aclose()
        await self._link.aclose()

    # --- events -----------------------------------------------------------------------------------

    async def accept(
        self, event: Event, chunks: Sequence[Chunk], *, act: Act | None = None
    ) -> bool:
        """True also for a repeat that completed an earlier, interrupted attempt."""
        if not chunks:
            known = await self._journal.begin(event, act=act)
            if known is None or known.status != "accepting":
                return known is None
        await self._started()
        await self._stream.check_room()
        async with self._one_at_a_time(event.event_id):
            known = await self._journal.begin(replace(event, status="accepting"), act=act)
            if known is not None:
                if known.status != "accepting":
                    return False
                # The kept event counts, not this copy: so chunks and journal rows are the same.
                chunks = self._cut(known)
            await self._stream.publish(chunks, again=known is not None)
            await self._journal.accepted(event.event_id)
        return True

    async def complete(self, *, stale_s: float = STALE_S) -> int:
        """Complete events that have been unfinished for `stale_s`, some at a time. Any number of
        processes may do so at once. Returns how many were completed."""
        last = self._clock() - stale_s
        stale = await self._journal.stale(before=last, limit=_COMPLETED_AT_ONCE)
        completed = 0
        for event_id in stale:
            await self._started()
            async with self._one_at_a_time(event_id):
                summary = await self._journal.event(event_id)
                if summary is None or summary.event.status != "accepting":
                    continue
                await self._stream.publish(self._cut(summary.event), again=True)
                await self._journal.accepted(event_id)
                completed += 1
        return completed

    async def requeue(self, *, since: float, act: Act | None = None) -> int:
        """What waited in the stream is lost: make it anew if it is not there, and mark events that
        were accepted since then for `complete`. Returns how many."""
        await self._link.open()
        await self._guard.make_anew()
        marked = await self._journal.requeue(since=since, act=act)
        await self._guard.accept_loss()
        return marked

    async def replay_event(
        self, event: Event, chunks: Sequence[Chunk], *, act: Act | None = None
    ) -> None:
        kept = await self._journal.event(event.event_id)
        if kept is None or kept.event.status == "accepted":
            return
        if chunks:
            # First the chunks: a row that is `accepting` for as long as this one would be completed
            # by others, with the age that it has.
            await self._started()
            day = day_of(kept.event.received_at)
            await self._publish([replace(chunk, day=day) for chunk in chunks])
        await self._journal.reopen(event, act=act)
        await self._journal.accepted(event.event_id)

    async def replay_dead(
        self,
        ids: Sequence[int] | None,
        *,
        now: float,
        max_age_s: float,
        act: Act | None = None,
    ) -> int:
        await self._started()
        letters = await self._journal.dead(limit=_ALL)
        wanted = [one for one in letters if ids is None or one.id in ids]
        held = {one: await self._stream.held_of(one) for one in events_of(wanted)}
        named = ids is not None
        free_ids = [one.id for one in free(wanted, held, named=named)]
        dead = await self._journal.revive(free_ids, named=named, now=now, act=act)
        replayed = 0
        new = Renewal(now, max_age_s, self._spec.chunk_items)
        for chunks, taken in retaken_chunks(dead, new, named=named):
            await self._publish(chunks)
            if taken:
                replayed += await self._journal.drop_dead(taken)
        return replayed

    # --- chunks -----------------------------------------------------------------------------------

    async def publish(self, chunks: Sequence[Chunk]) -> None:
        if chunks:
            await self._started()
            await self._publish(chunks)

    async def texts_of(self, event_id: str) -> list[bytes]:
        """The items of all messages of an event, as they are stored."""
        await self._started()
        return await self._stream.texts_of(event_id)

    async def claim(
        self,
        *,
        limit: int,
        lease_s: float,  # noqa: ARG002  # the broker gives all leases the same
        now: float,
        skip_lanes: Sequence[str] = (),
    ) -> list[Claim]:
        """Waits for work for a moment. The consumer's configuration sets how long leases last."""
        await self._started()
        await self._guard.seen()
        loop, era = asyncio.get_running_loop(), self._guard.era
        if (quiet_s := self._guard.quiet_for_s) > 0.0:
            await asyncio.sleep(min(quiet_s, self._wait_s))
            return []
        ahead = now - self._clock()
        ends_at = loop.time() + self._wait_s
        skip = frozenset(skip_lanes)
        claims: list[Claim] = []
        while len(claims) < limit:
            asked_at = loop.time()
            try:
                messages = await self._puller.ready_now(limit - len(claims))
                if not messages and not claims and asked_at < ends_at:
                    messages = await self._puller.next_one(ends_at - asked_at)
                if messages and not await self._are_ours(messages, era):
                    return []
                claims += await self._receiving.claims(
                    messages,
                    until=asked_at + self._spec.ack_wait_s,
                    now=self._clock() + ahead,
                    skip=skip,
                )
            except StoreUnavailable:
                self._guard.doubt()
                if not claims:
                    raise
                break
            except BaseException:
                for claim in claims:
                    self._receiving.unclaim(claim)
                raise
            if loop.time() >= ends_at or (claims and not messages):
                break
        return claims

    async def has_suspect(self, *, now: float, skip_lanes: Sequence[str] = ()) -> bool:
        """Among the messages that claims have received."""
        return self._handing.next_suspect(now=now, skip=skip_lanes) is not None

    async def claim_suspect(
        self,
        *,
        lease_s: float,  # noqa: ARG002  # the broker gives all leases the same
        now: float,
        skip_lanes: Sequence[str] = (),
    ) -> Claim | None:
        if self._handing.next_suspect(now=now, skip=skip_lanes) is None:
            return None
        await self._guard.prove()
        return await self._handing.claim_suspect(now=now, skip=skip_lanes)

    async def absolve(self, claim: Claim) -> None:
        if self._leases.find(claim) is not None:
            await self._guard.prove()
            await self._handing.absolve(claim)

    async def extend(self, claims: Sequence[Claim], *, lease_s: float, now: float) -> set[int]:  # noqa: ARG002  # the broker has its own clock
        """A lease whose renewal is not confirmed before its end is lost."""
        if any(self._leases.find(claim) is not None for claim in claims):
            await self._guard.prove()
        confirmed = await asyncio.gather(*map(self._handing.extend, claims))
        held = [self._leases.find(claim) is not None for claim in claims]
        if any(there and not known for there, known in zip(held, confirmed, strict=True)):
            raise StoreUnavailable("NATS did not confirm that the leases hold.")
        return {claim.queue_id for claim, there in zip(claims, held, strict=True) if not there}

    async def settle(
        self, claim: Claim, leftovers: Sequence[Chunk], postponed: Sequence[Chunk] = ()
    ) -> bool:
        lease = self._leases.find(claim)
        if lease is None:
            return False
        async with lease.settling:
            await self._guard.prove()
            if self._leases.find(claim) is None:
                return False
            if postponed:
                postponed = await self._stream.not_held(lease.subject, claim.chunk, postponed)
            await self._publish([*leftovers, *postponed], again=True)
            await self._guard.prove()
            if self._leases.find(claim) is None:
                return False  # leftovers are added once, whichever process finishes the chunk
            await self._link.ask(lease.reply, b"+ACK")
            lease.settled = True
            self._leases.end(claim)
            self._tries.postponed.forget(claim.queue_id)
            return True

    async def snooze(self, claim: Claim, *, until: float) -> None:
        if self._leases.find(claim) is not None:
            await self._guard.prove()
        lease = self._leases.find(claim)
        if lease is None:
            return
        await self._handing.given_back([lease])
        self._leases.end(claim)
        nap = max(0.0, until - self._clock())
        self._back.give_back(lease, min(nap, self._nap_s or nap))

    async def hasten(self, event_ids: Collection[str]) -> None:
        """What is handed out waits for nothing; the broker keeps what it holds back until then."""
        self._receiving.hastened = frozenset(event_ids)

    async def let_go(self) -> None:
        if self._leases:
            await self._guard.prove()
        leases = self._leases.take_all()
        try:
            await self._handing.given_back(leases)
        finally:
            for lease in leases:
                self._back.give_back(lease)

    async def rescue(self) -> int:
        """Ends none: the broker finds out by itself whether a process is dead."""
        return 0

    async def depth(self) -> Depth:
        """Exact up to 1 000 messages, an estimate beyond; the oldest is the stream's first."""
        await self._started()
        return await self._stream.depth()

    # --- inside -----------------------------------------------------------------------------------

    async def _publish(self, chunks: Sequence[Chunk], *, again: bool = False) -> None:
        """Add chunks of known events; they may name who was erased meanwhile."""
        erased = await self._journal.erased_from({chunk.event_id for chunk in chunks})
        chunks = list(map(erased.without_names, chunks)) if erased else chunks
        await self._stream.publish(chunks, again=again)

    async def _started(self) -> None:
        if not self._ready:
            await self.start()
        self._guard.check()

    async def _are_ours(self, messages: Sequence[Msg], era: int) -> bool:
        """Whether the consumer that gave these out is still the same, which takes no look as a
        rule. If not, they come again by themselves."""
        try:
            await self._guard.prove()
        except StoreUnavailable:
            for message in messages:
                self._back.postpone(message)
            raise
        return self._guard.era == era

    def _lose_all(self, since: float) -> None:
        """Another consumer hands out what this process has in work: none of its leases holds."""
        for lease in self._leases.take_all():
            if lease.until - self._spec.ack_wait_s >= since:  # else it would stay locked
                self._back.give_back(lease)
        self._handing.take_suspects()
        self._tries.postponed.clear()
        self._when_lost()

    async def _reject(self, message: Msg, reason: str) -> None:
        """Give up a message that cannot be worked on."""
        await self._stream.bury(message, reason)
        where = f"moved to the stream {self._spec.dead}: {reason}"
        self._observer(Fault("a queued message", "it cannot be worked on", where))
