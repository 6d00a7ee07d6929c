"""A webhook whose question or answer gets lost or late, wherever: it is never said to be stored
when it is not, and its repeat is called a duplicate only if all of it is there.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gateway.core.model import CHUNK_SIZE
from gateway.errors import StoreUnavailable
from gateway.store.postgres import PostgresStore, open_postgres
from gateway.store.sqlite import engine
from gateway.store.sqlite.jobs import write_group
from tests.kit.build import NOW
from tests.kit.cut_line import Line
from tests.kit.nats_cluster import running_cluster
from tests.kit.postgres import databases
from tests.kit.stores import (
    BACKENDS,
    Handle,
    batch,
    jetstream_queue,
    postgres_queue,
    queued,
)
from tests.kit.streams import STREAMS

ITEMS = CHUNK_SIZE + 1
LEASE_S = 60.0
FAULTS = ("lose_request", "lose_answer_to", "hold_behind", "hold")


@dataclass
class Site:
    """A gateway's stores behind lines, and a way around them."""

    handle: Handle
    beside: Handle
    database: Line
    broker: list[Line]

    def befall(self, lines: list[Line], fault: str, word: bytes) -> None:
        """Let the next request with this word meet with a fault; `hold` takes the line at once."""
        for line in lines:
            if fault == "hold":
                line.hold()
                line.lost += 1
            else:
                setattr(line, fault, word)

    def resume(self) -> int:
        """End it all; how often it befell somebody."""
        lines = [self.database, *self.broker]
        for line in lines:
            line.lose_request = line.lose_answer_to = line.hold_behind = b""
            line.resume()
        return sum(line.lost for line in lines)


async def _store(stack: AsyncExitStack, url: str) -> PostgresStore:
    store = await open_postgres(url)
    stack.push_async_callback(store.aclose)
    return store


@pytest.fixture
async def site(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Site]:
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        url = await enter(databases().using(tmp_path))
        there = databases().cluster.port
        line = await enter(Line(there).running())
        far = await _store(stack, url.replace(f":{there}/", f":{line.port}/"))
        near = await _store(stack, url)
        if request.param == "postgres":
            queues: list[Any] = [postgres_queue(one, clock=lambda: NOW) for one in (far, near)]
            lines: list[Line] = []
        else:
            spec = await enter(STREAMS.using(tmp_path, LEASE_S))
            lines = [await enter(Line(one.port).running()) for one in running_cluster().nodes]
            way = "nats://" + ",".join(f"127.0.0.1:{one.port}" for one in lines)
            queues = [
                jetstream_queue(store, spec, clock=lambda: NOW, url=to)
                for store, to in ((far, way), (near, ""))
            ]
            for queue in queues:
                stack.push_async_callback(queue.aclose)
                await queue.start()
        made = Site(Handle(far, queues[0]), Handle(near, queues[1]), line, lines)
        # what is asked has been asked before: a statement is one question
        assert await made.handle.queue.accept(*batch("msg_0", ITEMS))
        yield made
        made.resume()


async def accepted(handle: Handle, event_id: str) -> bool | None:
    """What the sender is told: stored, known already, or nothing (None: 503)."""
    try:
        return await handle.queue.accept(*batch(event_id, ITEMS))
    except StoreUnavailable:
        return None


async def is_there(handle: Handle, events: int) -> bool:
    """Whether all of msg_1 is stored, and nothing of it twice."""
    summary = await handle.journal.event("msg_1")
    depth = (await handle.queue.depth()).notifications
    assert depth <= events * ITEMS
    stored = summary is not None and summary.event.status == "accepted"
    return stored and depth == events * ITEMS


async def comes_to_be_there_once(site: Site, told: bool | None) -> None:
    """What the first sender was told holds, and so does what its repeats are told."""
    if told is not None:
        assert told, "nobody sent it before"
        assert await is_there(site.beside, 2)
    assert site.resume() > 0, "the fault befell nobody"
    for _ in range(3):
        there = await is_there(site.beside, 2)
        told = await accepted(site.handle, "msg_1")
        if told is False:  # what was late may have come between the look and the repeat
            assert await is_there(site.beside, 2), "it was called a duplicate, and is not there"
        if told is True:
            assert await is_there(site.beside, 2)
        if there:
            assert told is not True, "it was there, and was stored once more"
    assert told is False
    await queued(site.beside.queue, 2 * ITEMS)


@pytest.mark.parametrize("site", ["jetstream"], indirect=True)
async def test_a_webhook_of_1000_goes_to_a_broker_in_a_few_round_trips(site: Site) -> None:
    """Two to the database, one to the broker, however many chunks, and a look for room there."""
    lines, least = [site.database, *site.broker], []
    for number in range(8):
        for line in lines:
            line.turns = 0
        assert await site.handle.queue.accept(*batch(f"msg_{number + 1}", CHUNK_SIZE * 8))
        least.append(sum(line.turns for line in lines))
    # pings come between, and what is long may go in pieces
    assert min(least) <= 7, least


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("site", ["postgres"], indirect=True)
async def test_a_statement_without_an_answer(site: Site, fault: str) -> None:
    site.befall([site.database], fault, b"msg_1")
    told = await accepted(site.handle, "msg_1")
    await comes_to_be_there_once(site, told)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("step", ["begin", "publish", "accepted"])
@pytest.mark.parametrize("site", ["jetstream"], indirect=True)
async def test_a_step_on_the_way_to_a_broker_without_an_answer(
    site: Site, step: str, fault: str
) -> None:
    """First a row, then the chunks, then the row says that they are there."""
    journal, then = site.handle.brokered, site.handle.brokered.accepted
    if step == "begin":
        site.befall([site.database], fault, b"msg_1")
    elif step == "publish":
        publish = site.handle.queue._stream.publish  # type: ignore[attr-defined]

        async def at_the_broker(*args: Any, **kwargs: Any) -> None:
            site.handle.queue._stream.publish = publish  # type: ignore[attr-defined]
            site.befall(site.broker, fault, b"Nats-Msg-Id")
            await publish(*args, **kwargs)

        site.handle.queue._stream.publish = at_the_broker  # type: ignore[attr-defined]
    else:

        async def at_the_end(event_id: str) -> None:
            journal.accepted = then  # type: ignore[method-assign]  # once
            site.befall([site.database], fault, b"msg_1")
            await then(event_id)

        journal.accepted = at_the_end  # type: ignore[method-assign]  # the fault comes then
    told = await accepted(site.handle, "msg_1")
    await comes_to_be_there_once(site, told)


class Failing:
    """SQLite's connection, that fails once at a statement which begins so: before it, or behind."""

    def __init__(self, connection: sqlite3.Connection, at: str, *, is_done: bool) -> None:
        self._connection = connection
        self._at = at
        self._is_done = is_done

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, sql: str, parameters: Any = ()) -> Any:
        if not sql.startswith(self._at):
            return self._connection.execute(sql, parameters)
        if self._is_done:
            self._connection.execute(sql, parameters)
        raise sqlite3.OperationalError("disk I/O error")


@pytest.mark.parametrize("is_done", [True, False], ids=["done", "not done"])
@pytest.mark.parametrize("at", ["BEGIN", "INSERT INTO events", "INSERT INTO queue", "COMMIT"])
async def test_a_write_to_a_file_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str, *, is_done: bool
) -> None:
    """An fsync may fail behind a commit that stands all the same."""
    async with BACKENDS["sqlite"].open(tmp_path, lambda: NOW) as handle:

        def fails(connection: Any, jobs: Any) -> None:
            write_group(Failing(connection, at, is_done=is_done), jobs)  # type: ignore[arg-type]

        with monkeypatch.context() as patched:
            patched.setattr(engine, "write_group", fails)
            assert await accepted(handle, "msg_1") is None
        there = await is_there(handle, 1)
        assert there is (is_done and at == "COMMIT")
        assert await accepted(handle, "msg_1") is not there
        assert await is_there(handle, 1)
