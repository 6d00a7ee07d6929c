"""What may happen to the way to PostgreSQL: held, cut at any word, restarted, refused."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from gateway.core.model import Record
from gateway.errors import StoreUnavailable
from gateway.ports import Recorded
from gateway.store.postgres import PostgresStore, open_postgres
from gateway.store.postgres.database import CONNECTIONS
from gateway.store.postgres.spares import Spares
from tests.kit.build import NOW, item
from tests.kit.cut_line import Line
from tests.kit.gateway import eventually
from tests.kit.postgres import Databases, databases, own_cluster
from tests.kit.stores import (
    Handle,
    accept,
    batch,
    leftover,
    postgres_queue,
    record,
    register,
    registration,
)

#: what a call may take when nobody answers, and what a busy machine may add


@dataclass
class Site:
    """A store behind a line, and a way around it."""

    line: Line
    store: PostgresStore
    handle: Handle
    beside: Handle


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with databases().using(tmp_path) as url:
        cluster = databases().cluster
        async with Line(cluster.port).running() as line:
            store = await open_postgres(url.replace(f":{cluster.port}/", f":{line.port}/"))
            direct = await open_postgres(url)
            yield Site(line, store, _handle(store), _handle(direct))
            line.resume()
            await store.aclose()
            await direct.aclose()


def _handle(store: PostgresStore) -> Handle:
    return Handle(store, postgres_queue(store, clock=lambda: NOW))


CALLS: dict[str, Callable[[Handle], Awaitable[Any]]] = {
    "ping": lambda handle: handle.store.ping(),
    "look up": lambda handle: handle.registry.targets([item()]),
    "register": lambda handle: handle.registry.register(registration(), proven=None, now=NOW),
    "accept": lambda handle: handle.queue.accept(*batch()),
    "claim": lambda handle: handle.queue.claim(limit=1, lease_s=60.0, now=NOW),
    "record": lambda handle: handle.journal.record([record()], []),
    "event": lambda handle: handle.journal.event("msg_1"),
    "beat": lambda handle: handle.store.replicas.beat("a", "all", now=NOW),
}


# --- a connection that is held open without bytes -----------------------------------------------


async def test_calls_on_a_line_that_is_held_end_in_time_and_work_again_afterwards(
    site: Site,
) -> None:
    for call in CALLS.values():  # opens as many connections as there will be calls
        await call(site.handle)
    site.line.hold()

    async def ends(call: Callable[[Handle], Awaitable[Any]]) -> None:
        with pytest.raises(StoreUnavailable, match="in time"):
            await call(site.handle)

    async with asyncio.timeout(60):
        await asyncio.gather(*(ends(call) for call in [*CALLS.values()] * 3))
    site.line.resume()
    for call in CALLS.values():
        await call(site.handle)


# --- a connection that is lost in the middle ----------------------------------------------------


async def test_a_write_whose_last_word_was_done_but_not_answered_counts_as_done(
    site: Site,
) -> None:
    await site.handle.queue.accept(*batch("msg_0"))
    site.line.lose_answer_to = b"msg_1"
    assert await site.handle.queue.accept(*batch("msg_1"))
    assert site.line.lost == 1
    assert not await site.beside.queue.accept(*batch("msg_1"))
    assert not await site.handle.queue.accept(*batch("msg_1"))
    (first,) = await site.beside.queue.claim(limit=1, lease_s=60.0, now=NOW)
    assert await site.beside.queue.settle(first, [])
    site.line.lose_answer_to = b"COMMIT"
    (claim,) = await site.handle.queue.claim(limit=9, lease_s=60.0, now=NOW)
    site.line.lose_answer_to = b"COMMIT"
    assert await site.handle.queue.settle(claim, [leftover()])
    assert site.line.lost == 3
    assert (await site.beside.queue.depth()).notifications == 1


async def test_a_write_whose_last_word_did_not_arrive_is_done_again(site: Site) -> None:
    site.line.lose_request = b"msg_1"
    assert await site.handle.queue.accept(*batch("msg_1"))
    assert site.line.lost == 1
    assert not await site.beside.queue.accept(*batch("msg_1"))
    assert (await site.beside.queue.depth()).notifications == 1


@pytest.mark.parametrize("is_done", [True, False], ids=["done", "not done"])
async def test_an_event_whose_answer_was_lost_is_begun_once(site: Site, is_done: bool) -> None:
    """The first of the two steps to a broker; one without chunks has no other."""
    event, _ = batch("msg_1")
    if is_done:
        site.line.lose_answer_to = b"msg_1"
    else:
        site.line.lose_request = b"msg_1"
    assert await site.handle.brokered.begin(event) is None
    assert site.line.lost == 1
    assert await site.beside.brokered.begin(event) == event


async def test_a_repeat_is_a_duplicate_only_of_what_is_there(site: Site) -> None:
    """The first try is still at work when the second comes, and then comes to nothing."""
    blocker = await asyncpg.connect(site.store.database.url)
    await blocker.execute("BEGIN")
    await blocker.execute(
        "INSERT INTO events (event_id, type, status, received_at, notifications, rejected, "
        "rejections, chunks, reason, body) VALUES ('msg_1', '', 'accepted', 1, 0, 0, '', 0, '', '')"
    )
    accepting = asyncio.ensure_future(site.handle.queue.accept(*batch("msg_1")))
    await asyncio.sleep(0.2)
    assert not accepting.done()
    await blocker.execute("ROLLBACK")
    assert await accepting
    await blocker.close()
    assert (await site.beside.queue.depth()).notifications == 1


async def test_what_is_never_answered_is_unavailable_and_its_repeat_tells_what_is_there(
    site: Site,
) -> None:
    await site.handle.queue.accept(*batch("msg_0"))
    site.line.hold()
    with pytest.raises(StoreUnavailable):
        await site.handle.queue.accept(*batch("msg_1"))
    known = await site.beside.journal.event("msg_1")
    assert known is None  # no byte of it has passed
    site.line.resume()
    await site.handle.queue.accept(*batch("msg_1"))
    assert not await site.beside.queue.accept(*batch("msg_1"))
    assert (await site.beside.queue.depth()).notifications == 2


# --- a slow line --------------------------------------------------------------------------------


async def test_an_event_of_any_size_is_one_question(site: Site) -> None:
    """So over a line of 200 ms a webhook of 1 000 takes 0.2 s, not a second or more."""
    least = []
    for number in range(8):
        site.line.turns = 0
        assert await site.handle.queue.accept(*batch(f"msg_{number}", items=1000))
        least.append(site.line.turns)
    # some open a connection, or meet a wake-up; what is long may be answered in two pieces
    assert min(least) <= 2


async def test_an_event_that_goes_to_a_broker_is_two_questions(site: Site) -> None:
    event, _ = batch("msg_0")
    for number in range(3):
        site.line.turns = 0
        assert await site.handle.brokered.begin(replace(event, event_id=f"msg_{number}")) is None
        await site.handle.brokered.accepted(f"msg_{number}")
        assert number == 0 or site.line.turns <= 3


@pytest.mark.parametrize("is_done", [True, False], ids=["done", "not done"])
async def test_rows_of_the_journal_whose_last_word_was_lost_are_written_again(
    site: Site, is_done: bool
) -> None:
    if is_done:
        site.line.lose_answer_to = b"COMMIT"
    else:
        site.line.lose_request = b"COMMIT"
    rows = [record(index=index) for index in range(2)]
    assert await site.handle.journal.record(rows, [], done=[(rows[0].event_id, 0)]) == Recorded()
    assert site.line.lost == 1
    assert await site.beside.journal.items_of(rows[0].event_id) == rows


async def test_an_event_that_is_accepted_without_an_answer_is_so(site: Site) -> None:
    event, _ = batch("msg_1")
    await site.handle.brokered.begin(replace(event, status="accepting"))
    site.line.lose_answer_to = b"SET status = 'accepted'"
    await site.handle.brokered.accepted("msg_1")
    assert site.line.lost == 1
    summary = await site.beside.journal.event("msg_1")
    assert summary is not None
    assert summary.event.status == "accepted"


@pytest.mark.parametrize("word", [b"BEGIN", b"pg_current_xact_id", b"INSERT INTO queue"])
async def test_a_write_that_was_cut_off_before_its_end_is_done_again(
    site: Site, word: bytes
) -> None:
    site.line.lose_answer_to = word
    await site.handle.queue.publish([leftover()])
    assert site.line.lost == 1
    assert (await site.beside.queue.depth()).notifications == 1


async def test_an_event_that_was_cut_off_before_its_end_is_accepted_again(site: Site) -> None:
    site.line.lose_answer_to = b"INSERT INTO queue"
    assert await site.handle.queue.accept(*batch("msg_1"))
    assert site.line.lost == 1
    assert (await site.beside.queue.depth()).notifications == 1


async def test_a_registration_that_was_cut_off_is_done_once(site: Site) -> None:
    for word in (b"COMMIT", b"INSERT INTO devices"):
        site.line.lose_answer_to = word
        done = await site.handle.registry.register(
            registration(word.decode(), word.decode()), proven=None, now=NOW
        )
        assert done.created
    assert site.line.lost == 2
    assert await site.beside.registry.count() == {("fcm", "agent", "active"): 2}


async def test_a_caller_who_goes_away_leaves_nothing_half_done(site: Site) -> None:
    site.line.hold()
    asked = asyncio.create_task(site.handle.queue.accept(*batch("msg_1")))
    await asyncio.sleep(0.05)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    site.line.resume()
    assert await site.handle.queue.accept(*batch("msg_2", 2))
    assert (await site.beside.queue.depth()).notifications == 2


# --- a server that goes and comes -------------------------------------------------------------


@pytest.fixture
async def alone() -> AsyncIterator[Databases]:
    async with own_cluster(fsync="on") as cluster:
        yield cluster


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT])
async def test_a_restart_in_the_middle_of_work_loses_and_doubles_nothing(
    alone: Databases, how: signal.Signals
) -> None:
    store = await open_postgres(await alone.create())
    handle = _handle(store)
    accepted: list[str] = []
    refused: set[str] = set()
    over = asyncio.Event()

    async def work(name: str) -> None:
        number = 0
        while not over.is_set():
            event_id = f"msg_{name}_{number}"
            try:
                fresh = await handle.queue.accept(*batch(event_id))
            except StoreUnavailable:
                refused.add(event_id)
                await asyncio.sleep(0.02)
                continue  # as a sender does: the same again
            # one that was refused may stand, when nobody was left to ask; no other is known already
            assert fresh or event_id in refused
            accepted.append(event_id)
            number += 1

    workers = [asyncio.create_task(work(str(n))) for n in range(6)]
    await eventually("some were accepted", lambda: len(accepted) > 50)
    await asyncio.to_thread(alone.cluster.stop, how)
    with pytest.raises(StoreUnavailable):
        await store.ping()
    await asyncio.to_thread(alone.cluster.start)
    before = len(accepted)
    await eventually("more were accepted", lambda: len(accepted) > before + 50)
    over.set()
    await asyncio.gather(*workers)
    events = await handle.journal.events(limit=100_000)
    assert {event.event_id for event in events} == set(accepted)
    assert (await handle.queue.depth()).notifications == len(accepted)
    await store.aclose()


async def test_a_database_that_is_not_there_is_unavailable_at_once_and_without_its_password(
    alone: Databases,
) -> None:
    url = alone.cluster.url("nowhere").replace("inkpush@", "inkpush:hush-hush@")
    with pytest.raises(StoreUnavailable, match='database "nowhere" does not exist') as caught:
        await open_postgres(url)
    assert "hush" not in str(caught.value)
    await asyncio.to_thread(alone.cluster.stop)
    with pytest.raises(StoreUnavailable, match="Connect call failed") as caught:
        await open_postgres(url)
    assert "hush" not in str(caught.value)


async def test_a_standby_is_not_taken_for_ready(tmp_path: Path) -> None:
    async with databases().using(tmp_path) as url:
        store = await open_postgres(url)
        connection = await asyncpg.connect(url)
        name = url.rpartition("/")[2]
        await connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        await store.aclose()
        store = await open_postgres(url)
        with pytest.raises(StoreUnavailable, match="read-only"):
            await store.ping()
        await connection.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
        await connection.close()
        await store.aclose()


# --- what PostgreSQL cannot hold ---------------------------------------------------------------


async def test_a_text_with_a_nul_stops_no_journal(site: Site) -> None:
    """It comes from a vendor or a webhook; asked again for ever, it would stop the relay."""
    device = await register(site.handle)
    odd = record(device_id=device.id, reason="bad\0 reason", user_id="ma\0ry", custom_id="\ud800")
    await site.handle.journal.record([odd], [], dead=[(0, item(body="to \0 you"))])
    (line,) = await site.handle.journal.items_of("msg_1")
    assert line == Record(*odd)._replace(reason="bad reason", user_id="mary", custom_id="?")
    (letter,) = await site.handle.journal.dead(limit=10)
    assert letter.item.body == "to  you"


async def test_a_name_with_a_nul_is_nobodys(site: Site) -> None:
    await register(site.handle, user_id="mary")
    await accept(site.handle, items=[item(user_id="ma\0ry")])
    assert await site.handle.registry.targets([item(user_id="mary\0")]) == [[]]
    assert await site.handle.registry.installations("phone\0") == []
    assert await site.handle.journal.items_of("msg\0") == []
    assert await site.handle.journal.event("msg\0") is None


async def test_a_transaction_of_before_a_crash_is_told_by_nobody(alone: Databases) -> None:
    """After a crash its number may be given to another one, which then is not its own."""
    store = await open_postgres(await alone.create())
    handle = _handle(store)
    assert await handle.queue.accept(*batch("msg_0"))
    life = await _life(store)
    for how, same in ((signal.SIGINT, True), (signal.SIGQUIT, False)):
        await asyncio.to_thread(alone.cluster.stop, how)
        await asyncio.to_thread(alone.cluster.start)

        async def answers() -> bool:
            try:
                await store.ping()
            except StoreUnavailable:
                return False
            return True

        await eventually("it is there again", answers)
        assert (await _life(store) == life) is same
    await store.aclose()


async def _life(store: PostgresStore) -> str:
    await store.ping()  # the first transaction of a life gives it its name
    ((life,),) = await store.database.rows("server_life")
    return str(life)


# --- connections that are ready ---------------------------------------------------------------


async def test_a_ready_connection_answers_each_webhook_in_one_round_trip(site: Site) -> None:
    """All of the pool at once, so that none can hide behind another one."""
    assert await Spares(site.store.database).look()
    assert site.line.opened == CONNECTIONS
    site.line.turns = 0
    batches = [batch(f"msg_{number}", items=1000) for number in range(CONNECTIONS)]
    assert all(await asyncio.gather(*(site.handle.queue.accept(*one) for one in batches)))
    events = [replace(event, event_id=f"{event.event_id}-b") for event, _ in batches]
    assert not any(await asyncio.gather(*(site.handle.brokered.begin(one) for one in events)))
    await asyncio.gather(*(site.handle.brokered.accepted(one.event_id) for one in events))
    # three each; what is long may be answered in two pieces, and a wake-up is sent meanwhile
    assert site.line.turns <= 6 * CONNECTIONS
    assert site.line.opened == CONNECTIONS


async def test_what_is_lost_is_opened_again_before_it_is_needed(site: Site) -> None:
    database = site.store.database
    beside = await asyncpg.connect(site.beside.store.database.url)  # type: ignore[attr-defined]
    running = asyncio.create_task(Spares(database).run())
    for rounds in range(1, 4):
        opened = rounds * CONNECTIONS
        await eventually("all are there", lambda all_=opened: site.line.opened >= all_)
        await eventually("all are free", lambda: database.free == (0, CONNECTIONS))
        await beside.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
            "AND application_name = 'inkpush' AND datname = current_database()"
        )
    running.cancel()
    await beside.close()


async def test_a_server_that_is_away_is_asked_for_one_connection_at_a_time(
    alone: Databases,
) -> None:
    url = await alone.create()
    async with Line(alone.cluster.port).running() as line:
        store = await open_postgres(url.replace(f":{alone.cluster.port}/", f":{line.port}/"))
        spares = Spares(store.database)
        assert await spares.look()
        await asyncio.to_thread(alone.cluster.stop)
        await eventually("all are lost", lambda: store.database.free == (CONNECTIONS, 0))
        assert not await spares.look()
        line.opened = 0
        assert not await spares.look()
        assert line.opened <= 2  # the client tries with TLS, and without
        await asyncio.to_thread(alone.cluster.start)
        await eventually("it is there again", spares.look)
        assert store.database.free == (0, CONNECTIONS)
        await store.aclose()
