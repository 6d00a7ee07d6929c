"""JetStream when things go wrong: nodes that die, publishes that fail, streams that differ."""

from __future__ import annotations

import asyncio
import gc
import json
import time
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import nats
import pytest
from nats.aio.msg import Msg

from gateway.app import replaying
from gateway.app.ids import RANDOM
from gateway.core.model import CHUNK_SIZE, Claim, Remainder, UserRef, day_of
from gateway.core.states import DeliveryState
from gateway.core.suspects import Past
from gateway.errors import ConfigurationError, StoreUnavailable
from gateway.events import GatewayEvent, PutAside
from gateway.ingest.schema import understand
from gateway.ports import Cancelling
from gateway.queue.nats import Broker, JetStreamQueue, StreamSpec, guard, servers_of
from gateway.queue.nats.coding import chunk_subject
from gateway.queue.nats.handing import Suspect
from gateway.queue.nats.link import Link
from gateway.queue.nats.stream import CONSUMER, Found, look
from gateway.queue.replays import Letter, revived_chunks
from gateway.store.postgres import PostgresStore, open_postgres
from tests.kit.build import NOW, item
from tests.kit.clocks import FAKETIME_LIBRARY, both
from tests.kit.commands import DEADLINE_S, Workplace
from tests.kit.gateway import eventually
from tests.kit.nats_cluster import NatsCluster, running_cluster
from tests.kit.postgres import databases
from tests.kit.stores import (
    SECRET,
    batch,
    cut_again,
    eraser_on,
    fresh_secret,
    jetstream_queue,
    leftover,
    queued,
    record,
)
from tests.kit.streams import STREAMS

LEASE_S = 60.0
BODY = (
    b'{"type": "notifications.sent", "data": {"notifications": '
    b'[{"title": "Hi", "body": "Mary", "user_id": "mary"}]}}'
)


class Rig:
    """Queues on one stream and one store: the replicas of a deployment."""

    def __init__(self, store: PostgresStore, spec: StreamSpec, stack: AsyncExitStack) -> None:
        self.store = store
        self.spec = spec
        self.events: list[GatewayEvent] = []
        self._stack = stack

    @property
    def name(self) -> str:
        return self.spec.name

    def begin_without_streams(self) -> None:
        """Let the first queue find none."""
        self.spec = replace(self.spec, name=f"t{time.monotonic_ns()}")

    @property
    def cluster(self) -> NatsCluster:
        return running_cluster()

    def unopened(self, **changed: Any) -> JetStreamQueue:
        queue = jetstream_queue(
            self.store, self.spec, clock=lambda: NOW, observer=self.events.append, **changed
        )
        self._stack.push_async_callback(queue.aclose)
        return queue

    async def queue(self, **changed: Any) -> JetStreamQueue:
        queue = self.unopened(**changed)
        await queue.start()
        return queue

    async def status(self, event_id: str = "msg_1") -> str:
        summary = await self.store.journal.event(event_id)
        assert summary is not None
        return summary.event.status


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    running_cluster()
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(databases().using(tmp_path))
        store = await open_postgres(url, fresh=fresh_secret)
        stack.push_async_callback(store.aclose)
        await store.secret(SECRET)
        spec = await stack.enter_async_context(STREAMS.using(tmp_path, LEASE_S))
        yield Rig(store, spec, stack)


async def drain(queue: JetStreamQueue) -> list[Claim]:
    """Claim everything and settle it, leaving nothing."""
    claims: list[Claim] = []
    while found := await queue.claim(limit=20, lease_s=60.0, now=NOW):
        claims += found
        for claim in found:
            assert await queue.settle(claim, [])
    return claims


def failing_after(queue: JetStreamQueue, publishes: int) -> Callable[[], None]:
    """Let so many publishes through, then fail as if it were gone. Returns what mends it."""
    publish = queue._stream._publish
    left = publishes

    async def sometimes(message: Any) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise StoreUnavailable("the test cut the cable")
        await publish(message)

    queue._stream._publish = sometimes  # type: ignore[method-assign]  # a broker that goes away

    def mend() -> None:
        queue._stream._publish = publish  # type: ignore[method-assign]  # and comes back

    return mend


# --- stopped half way ---------------------------------------------------------------------------


@pytest.mark.parametrize("published", [0, 1, 3])
async def test_an_event_that_stopped_half_way_is_completed_by_its_repeat(
    rig: Rig, published: int
) -> None:
    ingest, other = await rig.queue(), await rig.queue()
    event, chunks = batch(items=CHUNK_SIZE * 4)
    failing_after(ingest, published)
    with pytest.raises(StoreUnavailable):
        await ingest.accept(event, chunks)
    assert await rig.status() == "accepting"
    # its sender's repeat, an hour later, at another replica
    assert await other.accept(*batch(items=CHUNK_SIZE * 4, at=NOW + 3600))
    assert await rig.status() == "accepted"
    assert not await other.accept(event, chunks)
    claims = await drain(other)
    assert sorted(claim.chunk.number for claim in claims) == [0, 1, 2, 3]
    assert {claim.chunk.first_seen for claim in claims} == {NOW}


async def test_an_event_that_nobody_repeats_is_completed_by_any_replica_once(rig: Rig) -> None:
    ingest, other = await rig.queue(), await rig.queue()
    failing_after(ingest, 1)
    with pytest.raises(StoreUnavailable):
        await ingest.accept(*batch(items=CHUNK_SIZE * 3, at=NOW - 61))
    with pytest.raises(StoreUnavailable):
        await ingest.accept(*batch("msg_fresh", at=NOW - 59))
    relay = await rig.queue()
    await asyncio.gather(other.complete(), relay.complete())
    assert (await rig.status(), await rig.status("msg_fresh")) == ("accepted", "accepting")
    assert sorted(claim.chunk.number for claim in await drain(other)) == [0, 1, 2]


async def test_a_repeat_after_the_duplicate_window_queues_nothing_twice(rig: Rig) -> None:
    """The stream has each chunk once for as long as it waits, whatever it remembers of ids."""
    queue = await rig.queue()
    event, chunks = batch(items=CHUNK_SIZE * 2)
    await queue.accept(event, chunks)
    renamed = queue._stream._messages

    def under_other_ids(chunk: Any) -> list[Any]:
        return [
            type(one)(one.subject, f"{one.id}-{time.monotonic_ns()}", one.data, one.size)
            for one in renamed(chunk)
        ]

    queue._stream._messages = under_other_ids  # type: ignore[method-assign]  # ids are forgotten
    await queue.publish(chunks)
    await queued(queue, CHUNK_SIZE * 2)


async def test_dead_letters_whose_replay_failed_are_replayed_later(rig: Rig) -> None:
    queue = await rig.queue()
    await accept_and_bury(rig, queue)
    mend = failing_after(queue, 0)
    with pytest.raises(StoreUnavailable):
        await queue.replay_dead(None, now=NOW, max_age_s=60.0)
    mend()
    assert await queue.replay_dead(None, now=NOW + 30, max_age_s=60.0) == 0
    assert await queue.replay_dead(None, now=NOW + 61, max_age_s=60.0) == 1
    assert await rig.store.journal.dead(limit=1) == []


async def test_a_replay_that_is_repeated_while_the_first_waits_adds_nothing(rig: Rig) -> None:
    """The first was published; that its letters may go was not heard any more."""
    queue = await rig.queue()
    await accept_and_bury(rig, queue)
    letters = await rig.store.journal.revive(None, now=NOW)
    taken = [Letter(one.event_id, one.day, one.item, one.device_id) for one in letters]
    await queue.publish(revived_chunks(taken, now=NOW, max_age_s=60))
    assert await queue.replay_dead(None, now=NOW + 61, max_age_s=60.0) == 1
    await queued(queue, 1)
    assert await rig.store.journal.dead(limit=1) == []


@pytest.mark.parametrize("is_begun", [True, False])
async def test_only_a_replay_that_was_begun_before_its_event_was_cancelled_is_ended(
    rig: Rig, is_begun: bool
) -> None:
    """Its delivery waits by then: without the chunk nobody would ever end it."""
    queue = await rig.queue()
    await accept_and_bury(rig, queue)
    if is_begun:
        assert len(await rig.store.journal.revive(None, now=NOW)) == 1
    assert await rig.store.cancels.cancel("msg_1", Cancelling(NOW + 1, 60.0)) is not None
    assert await queue.replay_dead(None, now=NOW + 61, max_age_s=60.0) == is_begun
    await queued(queue, is_begun)
    assert len(await rig.store.journal.dead(limit=1)) == (not is_begun)


async def test_a_letter_that_dies_again_is_replayed_under_a_time_of_its_own(rig: Rig) -> None:
    queue = await rig.queue()
    await accept_and_bury(rig, queue)
    assert len(await rig.store.journal.revive(None, now=NOW)) == 1
    again = record(device_id=7, state=DeliveryState.DEAD)
    await rig.store.journal.record([again], [], dead=[(0, item())])
    (letter,) = await rig.store.journal.revive(None, now=NOW + 5)
    assert letter.taken_at == NOW + 5


async def test_a_replayed_event_is_in_the_stream_before_its_row_says_so(rig: Rig) -> None:
    """Others complete rows that are left half way, with the age that they have."""
    queue, other = await rig.queue(), await rig.queue()
    event, chunks = batch(at=NOW - 3600)
    await rig.store.journal.begin(replace(event, status="quarantined", chunks=0))
    fresh = [replace(chunk, deadline=NOW + 86_400) for chunk in chunks]
    mend = failing_after(queue, 0)
    with pytest.raises(StoreUnavailable):
        await queue.replay_event(event, fresh)
    assert await rig.status() == "quarantined"
    assert await other.complete() == 0
    mend()
    await queue.replay_event(event, fresh)
    assert await rig.status() == "accepted"
    (claim,) = await drain(other)
    assert claim.chunk.deadline == NOW + 86_400


async def accept_and_bury(rig: Rig, queue: JetStreamQueue) -> None:
    await queue.accept(*batch())
    await drain(queue)
    line = record(device_id=7, state=DeliveryState.DEAD)
    await rig.store.journal.record([line], [], dead=[(0, item())], done=[("msg_1", 0)])


async def test_what_a_lost_stream_held_is_queued_again_and_what_has_ended_is_not(rig: Rig) -> None:
    queue = await rig.queue()
    at = NOW - 10
    day = day_of(at)
    journal = rig.store.journal
    await queue.accept(*batch("msg_new", items=CHUNK_SIZE + 1, at=at))
    for event_id in ("msg_ended", "msg_waits"):
        await queue.accept(*batch(event_id, at=at))
        state = DeliveryState.PENDING if event_id == "msg_waits" else DeliveryState.DELIVERED
        line = record(event_id, device_id=7, state=state, next_at=NOW + 60, day=day)
        await journal.record([line], [], done=[(event_id, 0)])
    await queue.accept(*batch("msg_old", at=NOW - 100))
    client = await nats.connect(rig.cluster.url.split(","))
    await client.jetstream().delete_stream(rig.name)
    await client.close()

    with pytest.raises(StoreUnavailable, match="inkpush events requeue"):
        await rig.queue()
    anew = rig.unopened()
    assert await anew.requeue(since=NOW - 50) == 2
    assert await anew.complete(stale_s=0.0) == 2
    assert {await rig.status(one) for one in ("msg_new", "msg_waits", "msg_old")} == {"accepted"}
    claims = await drain(anew)
    found = sorted((claim.chunk.event_id, claim.chunk.number) for claim in claims)
    assert found == [("msg_new", 0), ("msg_new", 1), ("msg_waits", 0)]
    assert await journal.requeue(since=NOW) == 0


async def purge(rig: Rig) -> None:
    client = await nats.connect(rig.cluster.url.split(","))
    await client.jetstream().purge_stream(rig.name)
    await client.close()


@pytest.mark.parametrize("by", ["the command", "its sender's repeat"])
async def test_what_a_purge_took_is_queued_again_as_often_as_it_is_asked_for(
    rig: Rig, by: str
) -> None:
    """The broker remembers ids beyond a purge."""
    queue = await rig.queue()
    event, chunks = batch(items=CHUNK_SIZE * 2, at=NOW - 10)
    await queue.accept(event, chunks)
    for _ in range(2):
        await purge(rig)
        assert await queue.requeue(since=NOW - 50) == 1
        if by == "the command":
            assert await queue.complete(stale_s=0.0) == 1
        else:
            assert await queue.accept(event, chunks)
        await queued(queue, CHUNK_SIZE * 2)
    # once, though it is asked for while it waits
    assert await queue.requeue(since=NOW - 50) == 1
    assert await queue.complete(stale_s=0.0) == 1
    assert sorted(claim.chunk.number for claim in await drain(queue)) == [0, 1]


async def test_a_leftover_that_a_purge_took_is_left_over_again(rig: Rig) -> None:
    queue = await rig.queue()
    await queue.accept(*batch(at=NOW - 10))
    day = day_of(NOW - 10)
    left = leftover("msg_1", Remainder(7, 1), due_at=NOW + 60)
    line = record(device_id=7, state=DeliveryState.PENDING, next_at=NOW + 60, day=day)
    await rig.store.journal.record([line], [], done=[("msg_1", 0)])
    for earlier in (False, True):
        (claim,) = await queue.claim(limit=1, lease_s=60.0, now=NOW)
        assert await queue.settle(claim, [] if earlier else [left], [left] if earlier else [])
        await queued(queue, 1)
        await purge(rig)
        assert await queue.requeue(since=NOW - 50) == 1
        assert await queue.complete(stale_s=0.0) == 1


async def lose(rig: Rig) -> None:
    client = await nats.connect(rig.cluster.url.split(","))
    await client.jetstream().delete_stream(rig.name)
    await client.close()


@pytest.mark.parametrize("act", ["settle", "extend", "snooze", "let go", "close"])
async def test_who_missed_the_loss_of_a_stream_touches_nothing_of_the_next_one(
    rig: Rig, act: str
) -> None:
    """Frozen, or cut off: it has not looked since. Numbers begin at 1 again in the next stream."""
    frozen, other = await rig.queue(), await rig.queue()
    await frozen.accept(*batch(at=NOW - 10))
    (mine,) = await frozen.claim(limit=1, lease_s=60.0, now=NOW)
    await lose(rig)
    assert await other.requeue(since=NOW - 50) == 1
    assert await other.complete(stale_s=0.0) == 1
    (theirs,) = await claimed(other)
    assert mine.queue_id == theirs.queue_id
    if act == "settle":
        assert not await frozen.settle(mine, [])
    elif act == "extend":
        assert await frozen.extend([mine], lease_s=60.0, now=NOW) == {mine.queue_id}
    elif act == "snooze":
        await frozen.snooze(mine, until=NOW)
    elif act == "let go":
        await frozen.let_go()
    else:
        await frozen.aclose()
    assert await other.claim(limit=1, lease_s=60.0, now=NOW) == []
    await queued(other, 1)
    assert await other.settle(theirs, [])


async def test_a_suspect_of_a_lost_stream_is_tried_no_more(rig: Rig) -> None:
    queue, other = await rig.queue(), await rig.queue()
    await queue.accept(*batch(at=NOW - 10))
    (mine,) = await queue.claim(limit=1, lease_s=60.0, now=NOW)
    lease = queue._leases.find(mine)
    assert lease is not None
    message = Msg(_client=None, subject=lease.subject, reply=lease.reply)  # type: ignore[arg-type]
    until = asyncio.get_running_loop().time() + 60.0
    queue._handing._suspects[1] = Suspect(message, mine.chunk, Past(tries=9), until)
    await lose(rig)
    assert await other.requeue(since=NOW - 50) == 1
    assert await queue.claim_suspect(lease_s=60.0, now=NOW) is None


async def test_many_who_answer_at_once_look_once(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    queue = await rig.queue()
    await queue.accept(*batch(items=CHUNK_SIZE * 8))
    claims = await claimed(queue, 8)
    looks = []

    async def counted(link: Link, spec: StreamSpec) -> Found:
        looks.append(spec.name)
        return await look(link, spec)

    monkeypatch.setattr(guard, "look", counted)
    queue._guard._seen_at = queue._guard._looked_at = float("-inf")
    assert all(await asyncio.gather(*(queue.settle(claim, []) for claim in claims)))
    assert len(looks) == 1


async def claimed(queue: JetStreamQueue, count: int = 1) -> list[Claim]:
    """Claim until there are so many."""
    found: list[Claim] = []

    async def are_there() -> bool:
        with suppress(StoreUnavailable):
            found.extend(await queue.claim(limit=count, lease_s=60.0, now=NOW))
        return len(found) >= count

    await eventually("they are claimed", are_there)
    return found


async def test_a_deleted_consumer_is_made_once_all_have_given_up_their_leases(rig: Rig) -> None:
    """Else one who has not looked yet gets what another has in flight."""
    first, second = await rig.queue(), await rig.queue()
    await first.accept(*batch())
    (mine,) = await first.claim(limit=1, lease_s=60.0, now=NOW)
    assert await second.claim(limit=1, lease_s=60.0, now=NOW) == []
    await second._guard.seen()
    client = await nats.connect(rig.cluster.url.split(","))
    await client.jetstream().delete_consumer(rig.name, CONSUMER)
    await client.close()
    gone_at = time.monotonic()
    first._guard.doubt()
    await first._guard.seen()
    assert not await first.settle(mine, [])
    await claimed(second)
    assert time.monotonic() - gone_at > 3.0


async def test_a_process_that_starts_waits_as_well_before_it_makes_a_consumer(rig: Rig) -> None:
    first = await rig.queue()
    await first.accept(*batch())
    await first.claim(limit=1, lease_s=60.0, now=NOW)
    client = await nats.connect(rig.cluster.url.split(","))
    await client.jetstream().delete_consumer(rig.name, CONSUMER)
    await client.close()
    gone_at = time.monotonic()
    await claimed(await rig.queue())
    assert time.monotonic() - gone_at > 3.0


async def test_nothing_is_claimed_from_a_consumer_that_was_not_looked_at(rig: Rig) -> None:
    queue = await rig.queue()
    await queue.accept(*batch())
    (mine,) = await queue.claim(limit=1, lease_s=60.0, now=NOW)
    client = await nats.connect(rig.cluster.url.split(","))
    (info,) = await client.jetstream().consumers_info(rig.name)
    await client.jetstream().delete_consumer(rig.name, CONSUMER)
    await client.jetstream().add_consumer(rig.name, info.config)
    await client.close()
    queue._guard.doubt()  # two seconds are over
    assert await queue.claim(limit=1, lease_s=60.0, now=NOW) == []
    assert not await queue.settle(mine, [])


async def test_an_event_that_lost_a_user_half_way_comes_to_the_same_chunks(rig: Rig) -> None:
    """A shift by one would put all that follow into the stream a second time."""
    people = [f"user-{n}" for n in range(CHUNK_SIZE * 2 + 2)]
    notifications: list[dict[str, Any]] = [
        {"title": "Hi", "body": "there", "user_id": who} for who in people
    ]
    notifications[7] = {"title": "rejected", "user_id": 7}
    body = json.dumps({"type": "notifications.sent", "data": {"notifications": notifications}})
    cut = partial(replaying.cut_again, max_age_s=60.0)
    ingest, other = await rig.queue(cut=cut), await rig.queue(cut=cut)
    first = understand("msg_1", body.encode(), received_at=NOW, max_age_s=60.0)
    failing_after(ingest, 2)
    with pytest.raises(StoreUnavailable):
        await ingest.accept(first.event, first.chunks)
    for who in ("user-5", "user-300"):
        await rig.store.registry.erase(UserRef(user_id=who), now=NOW)
    await eraser_on(rig.store, lambda: NOW, queue=ingest).carry_on()
    assert await other.accept(first.event, first.chunks)
    await queued(other, first.event.notifications)
    claims = await drain(other)
    assert sorted(claim.chunk.number for claim in claims) == list(range(first.event.chunks))


async def test_the_depth_of_a_long_queue_does_not_depend_on_what_this_process_sent(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One publishes whole chunks, the other what is left of them: both must tell about the same."""
    monkeypatch.setattr("gateway.queue.nats.publishing._COUNTED", 10)
    ingest, relay = await rig.queue(), await rig.queue()
    for n in range(20):
        await ingest.accept(*batch(f"msg_{n}", items=CHUNK_SIZE))
    large = [(await queue.depth()).notifications for queue in (ingest, relay)]
    assert [abs(one - 20 * CHUNK_SIZE) < 10 * CHUNK_SIZE for one in large] == [True, True], large
    await drain(relay)
    await relay.publish([leftover(f"left_{n}", due_at=NOW + 60) for n in range(200)])
    small = [(await queue.depth()).notifications for queue in (ingest, relay)]
    assert [200 <= one < 400 for one in small] == [True, True], small


async def test_a_person_queues_again_what_a_lost_stream_held(tmp_path: Path, rig: Rig) -> None:
    place = Workplace.make(tmp_path)
    refused = place.run("events", "requeue", "--since", "1h")
    assert (refused.status, "is the database itself" in refused.err) == (1, True), refused.err
    place = on_nats_and_postgres(tmp_path, rig)
    event, _ = batch(at=time.time() - 60, body=BODY)
    await rig.store.journal.begin(event)
    done = place.run("events", "requeue", "--since", "1h")
    assert (done.status, done.out) == (0, "Events that are queued again: 1\n"), done.err
    assert await rig.status() == "accepted"
    await queued(await rig.queue(), 1)
    again = place.run("events", "requeue", "--since", "5s", "--json")
    assert again.json == {"events": 0}
    told = [(row.what, row.affected) for row in await rig.store.audit.page(limit=9)]
    # the stream's loss is accepted by each, whatever it found
    assert told == [("events.requeue", 0), ("events.requeue", 1)]


@pytest.mark.skipif(not FAKETIME_LIBRARY, reason="needs libfaketime: apt-get install faketime")
async def test_an_age_goes_by_the_databases_clock_and_no_requeue_begins_in_the_future(
    tmp_path: Path, rig: Rig
) -> None:
    place = on_nats_and_postgres(tmp_path, rig)
    event, _ = batch(at=time.time() - 60, body=BODY)
    await rig.store.journal.begin(event)
    place.variables |= {"LD_PRELOAD": FAKETIME_LIBRARY, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    for ahead in ("+0", "+2d", "-2d"):
        place.variables |= {"FAKETIME": ahead}
        refused = place.run("events", "requeue", "--since", f"{time.time() + 60:.0f}")
        assert (refused.status, "is in the future" in refused.err) == (2, True), refused.err
    assert await rig.store.audit.page(limit=9) == []
    place.variables |= {"FAKETIME": "+2d"}
    done = place.run("events", "requeue", "--since", "1h", "--json")
    assert done.json == {"events": 1}, done.err
    (row,) = await rig.store.audit.page(limit=9)
    assert abs(row.at - time.time()) < DEADLINE_S


def on_nats_and_postgres(tmp_path: Path, rig: Rig) -> Workplace:
    """Where commands run that have the rig's store and stream."""
    place = Workplace.make(tmp_path)
    place.variables |= {
        "INKPUSH_STORE__URL": rig.store.database.url,
        "INKPUSH_QUEUE__URL": rig.cluster.url,
        "INKPUSH_QUEUE__STREAM": rig.name,
        "INKPUSH_QUEUE__MAX_BYTES": str(rig.spec.max_bytes),
        "INKPUSH_RELAY__LEASE_S": str(rig.spec.ack_wait_s),
    }
    return place


# --- leftovers ------------------------------------------------------------------------------------


async def test_a_chunk_that_comes_again_adds_only_what_no_leftover_holds(rig: Rig) -> None:
    queue = await rig.queue()
    await queue.accept(*batch())
    (claim,) = await queue.claim(limit=1, lease_s=60.0, now=NOW)
    there = leftover("msg_1", Remainder(7, 2), due_at=NOW + 60)
    gone = leftover("msg_1", Remainder(8, 1), due_at=NOW + 90)
    await queue.publish([there])
    # the journal has both deliveries; the first one's leftover is already one try further
    behind = leftover("msg_1", Remainder(7, 1), due_at=NOW + 30)
    assert await queue.settle(claim, [], [behind, gone])
    found = await queue.claim(limit=10, lease_s=60.0, now=NOW + 100)
    assert sorted(left.chunk.items[0].remainders or () for left in found) == [
        (Remainder(7, 2),),
        (Remainder(8, 1),),
    ]


async def test_of_two_copies_that_are_behind_one_adds_what_is_missing(rig: Rig) -> None:
    """If each relied on the other, the delivery would be lost."""
    queue = await rig.queue()
    await queue.accept(*batch())
    await queue.publish([leftover("msg_1", Remainder(7, 1), due_at=NOW)])
    claims = await queue.claim(limit=2, lease_s=60.0, now=NOW)
    if len(claims) < 2:
        claims += await queue.claim(limit=1, lease_s=60.0, now=NOW)
    last = leftover("msg_1", Remainder(7, 2), due_at=NOW + 60)
    done = await asyncio.gather(*(queue.settle(claim, [], [last]) for claim in claims))
    assert done == [True, True]
    await queued(queue, 1)


async def test_a_settle_that_failed_half_way_adds_its_leftovers_once(rig: Rig) -> None:
    queue = await rig.queue()
    await queue.accept(*batch())
    (claim,) = await queue.claim(limit=1, lease_s=60.0, now=NOW)
    left = [leftover("msg_1", Remainder(device, 1), due_at=NOW + device) for device in (7, 8, 9)]
    mend = failing_after(queue, 2)
    with pytest.raises(StoreUnavailable):
        await queue.settle(claim, left)
    mend()
    assert await queue.settle(claim, left)
    await queued(queue, 3)


# --- what cannot be worked on --------------------------------------------------------------------


async def dead_stream(rig: Rig) -> list[tuple[dict[str, str] | None, bytes]]:
    connection = await nats.connect(rig.cluster.servers)
    jetstream = connection.jetstream()
    info = await jetstream.stream_info(f"{rig.name}-dead")
    found = []
    for sequence in range(1, info.state.last_seq + 1):
        message = await jetstream.get_msg(f"{rig.name}-dead", seq=sequence)
        found.append((message.headers, message.data or b""))
    await connection.close()
    return found


@pytest.mark.parametrize("under", ["somebody.0.x.1", "x"])
@pytest.mark.parametrize("data", [b"", b"{}", b"\xff\n[]", b'{"v": 1e99}', b"[" * 10_000])
async def test_what_does_not_even_say_whose_it_is_is_put_aside_whole(
    rig: Rig, data: bytes, under: str
) -> None:
    queue = await rig.queue()
    await queue._link.ask(f"{rig.name}.{under}", data)
    await queue.accept(*batch())
    assert len(await drain(queue)) == 1
    (letter,) = await rig.store.journal.dead(limit=9)
    assert (letter.raw, letter.event_id) == (data, "")
    await queued(queue, 0)
    assert [type(event) for event in rig.events] == [PutAside]


async def test_a_message_without_a_head_ends_the_chunk_that_its_subject_names(rig: Rig) -> None:
    queue = await rig.queue()
    event, (chunk,) = batch(items=3)
    assert await queue.accept(event, [])
    await queue._link.ask(f"{rig.name}.{chunk_subject(chunk)}.x.3", b"\xff")
    assert await drain(queue) == []
    (letter,) = await rig.store.journal.dead(limit=9)
    assert (letter.event_id, letter.raw) == ("msg_1", b"\xff")
    summary = await rig.store.journal.event("msg_1")
    assert summary is not None
    assert summary.settled
    assert summary.deliveries["dead"] == 3


async def test_numbers_and_names_that_no_column_holds_stop_nothing(rig: Rig) -> None:
    queue = await rig.queue()
    for n, (version, number) in enumerate([(10**15, 0), (1, 10**15), (-3, -9), (99, 7)]):
        head = f'{{"v":{version},"event_id":"a\\u0000b","number":{number}}}\n'
        await queue._link.ask(f"{rig.name}.e.{n}.x.1", head.encode())
    assert await drain(queue) == []
    letters = await rig.store.journal.dead(limit=9)
    assert sorted((one.event_id, one.form or 0) for one in letters) == [("ab", 0)] * 3 + [
        ("ab", 99)
    ]
    await queued(queue, 0)


async def test_a_message_that_was_damaged_is_kept_as_its_items_which_erasure_can_read(
    rig: Rig,
) -> None:
    queue = await rig.queue()
    head = (
        b'{"v":1,"event_id":"msg_1","number":0,"first_seen":0,"deadline":9e9,"due_at":0,'
        b'"lane":"","day":0,"z":true}'
    )
    await queue._link.ask(f"{rig.name}.e.0.x.1", head + b"\n" + zlib.compress(b'9 ["mary"]'))
    assert await drain(queue) == []
    (letter,) = await rig.store.journal.dead(limit=9)
    assert (letter.event_id, letter.raw, letter.form) == ("msg_1", b'9 ["mary"]', 9)
    await rig.store.registry.erase(UserRef(user_id="mary"), now=NOW)
    await eraser_on(rig.store, lambda: NOW, queue=queue).carry_on()
    assert [one.raw for one in await rig.store.journal.dead(limit=9)] == [b""]


async def dies(relay: JetStreamQueue) -> None:
    """Its lease ends, here at once and by somebody who does not count it."""
    for lease in relay._leases.take_all():
        await relay._link.ask(lease.reply, b"-NAK")
    await relay.aclose()


async def test_a_chunk_that_ends_every_process_goes_to_the_dead_stream(rig: Rig) -> None:
    """Beside others a few times, then alone; twenty lone ends bury it, which it does not let them
    do either."""
    await (await rig.queue()).accept(*batch())
    tries = []
    lone_ends = []
    for _ in range(50):
        relay = await rig.queue(wait_s=0.2)
        claims = await relay.claim(limit=1, lease_s=60.0, now=NOW)
        tries += [claim.tries for claim in claims]
        if not claims:
            suspect = await relay.claim_suspect(lease_s=60.0, now=NOW)
            if suspect is None:
                break
            assert suspect.trial is not None
            lone_ends.append(suspect.trial.lone_ends)
        await dies(relay)
    assert tries == [1, 2, 3, 4, 5, 6]
    assert lone_ends == list(range(31))
    ((headers, _),) = await dead_stream(rig)
    assert headers is not None
    assert "31 processes ended" in headers["Inkpush-Reason"]


async def times_delivered(queue: JetStreamQueue) -> int:
    """How often the broker has handed a message to any process."""
    spec = queue._spec
    answer = await queue._link.ask(f"$JS.API.CONSUMER.INFO.{spec.name}.{CONSUMER}")
    delivered: int = json.loads(answer)["delivered"]["consumer_seq"]
    return delivered


async def test_a_chunk_that_was_only_postponed_is_no_suspect(rig: Rig) -> None:
    first = await rig.queue()
    await first.publish([leftover(lane="agent/apns")])
    while await times_delivered(first) < 25:
        other = await rig.queue(wait_s=0.2, lane_nap_s=0.01)
        assert await other.claim(limit=1, lease_s=60.0, now=NOW, skip_lanes=["agent/apns"]) == []
        await other.aclose()
    # fewer where the broker's leader changed meanwhile: the next one may not know all deliveries
    relay = await rig.queue()
    (claim,) = await relay.claim(limit=1, lease_s=60.0, now=NOW)
    assert (claim.tries <= 5, claim.trial) == (True, None)
    # the process that has it is killed
    await dies(relay)
    (claim,) = await (await rig.queue()).claim(limit=1, lease_s=60.0, now=NOW)
    assert (claim.tries <= 6, claim.trial) == (True, None)


async def test_suspects_wait_here_only_as_long_as_their_leases_hold(rig: Rig) -> None:
    """They come again to whoever asks, and to this process once."""
    await (await rig.queue()).accept(*batch())
    for _ in range(6):
        relay = await rig.queue(wait_s=0.2)
        assert len(await relay.claim(limit=1, lease_s=60.0, now=NOW)) == 1
        await dies(relay)
    relay, other = await rig.queue(wait_s=0.2), await rig.queue(wait_s=0.2)
    assert await relay.claim(limit=1, lease_s=60.0, now=NOW) == []
    (suspect,) = relay._handing._suspects.values()
    relay._handing._suspects[suspect.sequence] = replace(suspect, until=0.0)
    assert not await relay.has_suspect(now=NOW)
    assert await relay.claim_suspect(lease_s=60.0, now=NOW) is None
    # the broker knows of no end yet: who closes gives back what waits here
    relay._handing._suspects[suspect.sequence] = suspect
    await relay.aclose()
    assert await other.claim(limit=1, lease_s=60.0, now=NOW) == []
    assert await other.has_suspect(now=NOW)


@pytest.mark.parametrize("mark", [b"7", b"", b"{}", b"[1]", b"null", b'{"tries": "x"}', b"\xff"])
async def test_a_mark_of_another_version_counts_for_no_lone_end(rig: Rig, mark: bytes) -> None:
    queue = await rig.queue()
    await queue._link.ask(f"{rig.spec.tries}.1", mark)
    past = await queue._tries.past(1, 99)
    assert past is not None
    assert (past.tries, past.lone_ends, past.alone) == (7 if mark == b"7" else 0, 0, False)


# --- the streams ---------------------------------------------------------------------------------


async def test_replicas_that_start_together_agree(rig: Rig) -> None:
    rig.begin_without_streams()
    queues = await asyncio.gather(*(rig.queue() for _ in range(5)))
    await queues[0].accept(*batch())
    assert len(await drain(queues[1])) == 1


async def test_a_stream_that_differs_is_told_field_by_field_and_left_alone(rig: Rig) -> None:
    rig.begin_without_streams()
    connection = await nats.connect(rig.cluster.servers)
    jetstream = connection.jetstream()
    await jetstream.add_stream(name=rig.name, subjects=[f"{rig.name}.>"], duplicate_window=60)
    with pytest.raises(ConfigurationError) as caught:
        await rig.queue()
    told = "\n".join(caught.value.problems)
    for field, found, wanted in [
        ("retention", "limits", "workqueue"),
        ("num_replicas", "1", "3"),
        ("duplicate_window", "60 s", "7200 s"),
        ("discard", "old", "new"),
        ("max_msgs_per_subject", "-1", "1"),
    ]:
        assert f"{field} = {found}, expected {wanted}" in told
    assert "queue.replicas" in told
    info = await jetstream.stream_info(rig.name)
    assert info.config.num_replicas == 1
    await connection.close()


async def test_a_lease_that_differs_is_told(rig: Rig) -> None:
    rig.spec = replace(rig.spec, ack_wait_s=90.0)
    with pytest.raises(ConfigurationError, match=r"ack_wait = 60 s, .* relay.lease_s"):
        await rig.queue()


async def test_a_full_stream_takes_no_event_but_still_what_is_put_back(rig: Rig) -> None:
    queue = await rig.queue()
    await queue.accept(*batch())
    (claim,) = await queue.claim(limit=1, lease_s=60.0, now=NOW)
    queue._stream._looked_at, queue._stream._full = time.monotonic() + 60, True
    with pytest.raises(StoreUnavailable, match="nearly full"):
        await queue.accept(*batch("msg_2"))
    assert await queue.settle(claim, [leftover()])


# --- the cluster ---------------------------------------------------------------------------------


async def test_nothing_is_lost_when_the_leader_dies_while_it_is_written_to(rig: Rig) -> None:
    queue, other = await rig.queue(), await rig.queue()
    names = [f"msg_{n}" for n in range(40)]
    leader = await rig.cluster.leader_of(rig.name)

    async def post(name: str) -> None:
        deadline = time.monotonic() + 60
        while True:  # as the sender would
            try:
                await queue.accept(*batch(name, CHUNK_SIZE))
            except StoreUnavailable:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.2)
            else:
                return

    try:
        posting = asyncio.gather(*(post(name) for name in names))
        await asyncio.sleep(0.02)
        leader.kill()
        await posting
        found = []

        async def all_out() -> bool:
            try:
                found.extend(await drain(other))
            except StoreUnavailable:
                return False
            return len(found) >= len(names)

        await eventually("all chunks come out", all_out)
    finally:
        leader.start()
        await rig.cluster.ready()
    assert sorted(claim.chunk.event_id for claim in found) == sorted(names)


# nats-py leaves the sockets of attempts to reconnect that failed to the garbage collector
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_connection_without_bytes_is_noticed_and_recovers(rig: Rig) -> None:
    queue = await rig.queue()
    await queue.accept(*batch())
    try:
        for node in rig.cluster.nodes:
            node.freeze()
        for ask in (
            queue.depth,
            lambda: queue.accept(*batch("msg_2")),
            lambda: queue.claim(limit=1, lease_s=60.0, now=NOW),
        ):
            with pytest.raises(StoreUnavailable):
                async with asyncio.timeout(60.0):
                    await ask()
    finally:
        for node in rig.cluster.nodes:
            node.thaw()
        await rig.cluster.ready()

    async def back() -> bool:
        try:
            return (await queue.depth()).notifications >= 1
        except StoreUnavailable:
            return False

    await eventually("the queue answers again", back)
    await queue.aclose()
    gc.collect()


async def test_an_idle_claim_sees_new_work_at_once(rig: Rig) -> None:
    relay, ingest = await rig.queue(wait_s=5.0), await rig.queue()
    waiting = asyncio.create_task(relay.claim(limit=8, lease_s=60.0, now=NOW))
    await asyncio.sleep(0.3)
    await ingest.accept(*batch())
    assert len(await waiting) == 1


async def test_what_a_cancelled_claim_was_about_to_get_is_free_at_once(rig: Rig) -> None:
    relay, other = await rig.queue(wait_s=5.0), await rig.queue(wait_s=2.0)
    waiting = asyncio.create_task(relay.claim(limit=8, lease_s=60.0, now=NOW))
    await asyncio.sleep(0.3)
    waiting.cancel()
    await asyncio.wait([waiting])
    await other.accept(*batch())
    (claim,) = await other.claim(limit=8, lease_s=60.0, now=NOW)
    assert await other.settle(claim, [])


async def test_what_a_relay_that_ends_has_not_settled_is_free_at_once(rig: Rig) -> None:
    relay, other = await rig.queue(), await rig.queue()
    await other.accept(*batch(items=CHUNK_SIZE * 3))
    claims = await relay.claim(limit=3, lease_s=60.0, now=NOW)
    assert await relay.settle(claims[0], [])
    await relay.aclose()
    assert len(await drain(other)) == 2


async def test_a_question_that_nobody_receives_yet_is_asked_again(rig: Rig) -> None:
    brokers = Broker(servers_of(rig.cluster.url))
    asking, late = (Link(brokers, new_id=RANDOM.new) for _ in range(2))
    received: list[bytes] = []

    async def answer(message: Msg) -> None:
        received.append(message.data)
        await message.respond(b"here")

    try:
        await late.open()
        subject = asking.inbox()
        answered = asyncio.create_task(asking.ask(subject, b"is anybody there?"))
        await asyncio.sleep(0.3)
        await late.listen(subject, answer)
        assert await answered == b"here"
        assert received == [b"is anybody there?"]
        with pytest.raises(StoreUnavailable, match="NoResponders"):
            await asking.ask(asking.inbox())
    finally:
        await asking.aclose()
        await late.aclose()


async def test_no_error_holds_a_login(rig: Rig) -> None:
    link = Link(
        Broker(servers_of("nats://127.0.0.1:1"), user="mary", password="hunter2"), new_id=RANDOM.new
    )
    with pytest.raises(StoreUnavailable) as caught:
        await link.open()
    assert "127.0.0.1:1" in str(caught.value)
    shown = (
        f"{caught.value!r} {caught.value.__cause__!r} {Broker(('nats://h:1',), 'm', 'hunter2')!r}"
    )
    assert "hunter2" not in shown
    queue = JetStreamQueue(
        Link(Broker(servers_of("nats://127.0.0.1:1")), new_id=RANDOM.new),
        StreamSpec(),
        journal=rig.store.journal,
        cut=cut_again,
        clocks=both(lambda: NOW),
        observer=rig.events.append,
    )
    with pytest.raises(StoreUnavailable):
        await queue.accept(*batch())
    assert await rig.store.journal.event("msg_1") is None
    await queue.aclose()


async def test_those_who_ask_while_it_connects_wait_for_one_attempt() -> None:
    """Each with an attempt of its own, one after the other, they would wait ever longer."""
    attempts = 0

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal attempts
        attempts += 1
        await reader.read()
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        link = Link(Broker(servers_of(f"nats://127.0.0.1:{port}")), new_id=RANDOM.new)
        asked = [link.ask("anything", within_s=0.2) for _ in range(5)]
        told = await asyncio.gather(*asked, return_exceptions=True)
        assert {type(one) for one in told} == {StoreUnavailable}
        assert attempts == 1
        await link.aclose()


async def test_credentials_that_are_none_are_told(tmp_path: Path) -> None:
    """A server that asks for a signature, as one that knows its users by their keys does."""
    file = tmp_path / "relay.creds"
    file.write_text("-----BEGIN NATS USER JWT-----\nnone\n------END NATS USER JWT------\n")

    async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        info = {"server_id": "S", "version": "2.9.10", "proto": 1, "headers": True}
        info |= {"max_payload": 1024**2, "auth_required": True, "nonce": "sign-this"}
        writer.write(f"INFO {json.dumps(info)}\r\n".encode())
        await reader.read()
        writer.close()

    server = await asyncio.start_server(ask, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        broker = Broker(servers_of(f"nats://127.0.0.1:{port}"), credentials_file=file)
        link = Link(broker, new_id=RANDOM.new)
        try:
            with pytest.raises(ConfigurationError, match=r"queue\.credentials_file: holds no cred"):
                await link.open()
        finally:
            await link.aclose()
