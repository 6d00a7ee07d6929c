"""What the chain of learning events promises: an order that never grows behind a reader, pages by
index, and that every change of what is kept is found."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from gateway.app.chaining import audit_chain
from gateway.core.learning import Chained, LearningEvent, Wanted
from gateway.core.learning_audit import Audit
from gateway.core.learnt import Learnt
from gateway.core.model import Event, UserRef
from gateway.ports import Learning
from gateway.store.postgres import PostgresStore
from gateway.store.postgres.database import Session
from gateway.store.sqlite.store import SqliteStore
from tests.kit.build import NOW
from tests.kit.stores import Handle, erase

ALL = Wanted()
MARY = UserRef(user_id="mary")
HOUR = 3_600.0
EVENTS = int(os.environ.get("LEARNING_EVENTS", "60"))


def salted() -> bytes:
    return b"s" * 32


def learnt(number: int, **changed: Any) -> Event:
    """A learning event as an ingest hands it over."""
    user = changed.pop("user_id", "mary")
    event_id = changed.pop("event_id", f"evt_{number:04}")
    event = Event(
        event_id=event_id,
        type="user.course.completed",
        status="ignored",
        received_at=NOW + number,
        occurred_at=NOW + number - 1,
        body=b'{"type":"user.course.completed","data":{"user_id":"%s"}}' % user.encode(),
        learnt=Learnt(user, None, "course_1", salt=bytes([number % 256]) * 32),
    )
    return replace(event, **changed)


async def come_in(handle: Handle, *events: Event) -> None:
    for event in events:
        assert await handle.queue.accept(event, [])


async def chain(handle: Handle, *, now: float = NOW + 600) -> Chained:
    return await handle.store.learning.chain(now=now, limit=1_000, salt=salted)


async def read(learning: Learning, wanted: Wanted = ALL, after: int = 0) -> list[LearningEvent]:
    """All that is there, by pages of three."""
    found = []
    while page := await learning.page(wanted, after=after, limit=3):
        found += page.events
        after = page.after
        if len(page.events) < 3:
            return found
    raise AssertionError


async def ids(handle: Handle, wanted: Wanted = ALL) -> list[str]:
    return [one.event_id for one in await read(handle.store.learning, wanted)]


def _running(sql: str) -> Callable[[sqlite3.Connection], int]:
    return lambda connection: connection.execute(sql).rowcount


def _stating(sql: str) -> Callable[[Session], Awaitable[int]]:
    return lambda session: session.statement(sql)


async def by_hand(handle: Handle, sql: str) -> None:
    """Somebody who may write to the database."""
    store = handle.store
    for one in sql.split(";"):
        if isinstance(store, SqliteStore):
            await store.database.write(_running(one))
        else:
            assert isinstance(store, PostgresStore)
            await store.database.write(_stating(one))


async def audited(handle: Handle, against: dict[int, bytes] | None = None) -> Audit:
    audit, _ = await audit_chain(handle.store.learning, against=against or {})
    return audit


async def test_an_event_shows_once_it_is_chained_as_it_came_in(handle: Handle) -> None:
    event = learnt(1)
    await come_in(handle, event)
    assert await ids(handle) == []
    assert await chain(handle) == Chained(1)
    (found,) = await read(handle.store.learning)
    assert (found.number, found.event_id, found.type) == (1, event.event_id, event.type)
    assert (found.occurred_at, found.received_at) == (event.occurred_at, event.received_at)
    assert (found.user_id, found.custom_id, found.object) == ("mary", None, "course_1")
    assert (found.body, found.source, found.remade) == (event.body, event.source, False)
    assert await chain(handle) == Chained(0)


async def test_what_came_without_a_digest_gets_it_when_it_is_chained(
    handle: Handle,
) -> None:
    await come_in(handle, learnt(2), replace(learnt(1), learnt=None))
    await chain(handle)
    assert [(one.event_id, one.remade) for one in await read(handle.store.learning)] == [
        ("evt_0001", True),
        ("evt_0002", False),
    ]
    assert not (await audited(handle)).faults


@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [
        (Wanted(type="user.course.completed"), [1, 2, 4, 5]),
        (Wanted(type="user.*"), [1, 2, 3, 4, 5]),
        (Wanted(type="user.course.*", source="staging"), [2]),
        (Wanted(source="staging"), [2]),
        (Wanted(user=UserRef.either("ann")), [3, 5]),
        (Wanted(user=UserRef.either("ann"), type="user.lesson.*"), [3]),
        (Wanted(since=NOW + 3), [4, 5]),
        (Wanted(until=NOW + 1), [1]),
        (Wanted(since=NOW + 1, until=NOW + 3), [2, 3]),
        (Wanted(sources=["learnink"], types=["user.lesson.*", "other"]), [3]),
        (Wanted(type="nothing.*"), []),
    ],
)
async def test_what_is_asked_for_is_read_in_the_order_of_the_chain(
    handle: Handle, wanted: Wanted, numbers: list[int]
) -> None:
    await come_in(
        handle,
        learnt(1),
        learnt(2, source="staging"),
        learnt(3, type="user.lesson.begun", user_id="ann"),
        learnt(4),
        learnt(5, learnt=Learnt(None, "ann", None, salt=salted())),
    )
    await chain(handle)
    assert await ids(handle, wanted) == [f"evt_{number:04}" for number in numbers]


async def test_windows_find_what_is_sealed_and_what_is_open(handle: Handle) -> None:
    for hour in range(4):
        event = learnt(hour, received_at=NOW + hour * HOUR, occurred_at=None)
        await come_in(handle, event)
        await chain(handle, now=NOW + hour * HOUR)
    assert len(await handle.store.learning.seals()) == 3
    assert await ids(handle, Wanted(since=NOW + 2 * HOUR)) == ["evt_0002", "evt_0003"]
    assert await ids(handle, Wanted(until=NOW + 2 * HOUR)) == ["evt_0000", "evt_0001"]
    assert await ids(handle, Wanted(since=NOW + 9 * HOUR)) == []


async def test_types_are_counted_with_those_in_which_a_person_was_found(handle: Handle) -> None:
    nobody = Learnt(salt=salted())
    await come_in(handle, learnt(1), learnt(2, learnt=nobody), learnt(3, type="a.b"))
    await chain(handle)
    assert [tuple(one) for one in await handle.store.learning.types()] == [
        ("a.b", 1, NOW + 3, 1),
        ("user.course.completed", 2, NOW + 2, 1),
    ]


async def test_a_reader_misses_nothing_and_reads_nothing_twice_while_two_write(
    handle: Handle, replica: Handle
) -> None:
    seen: list[str] = []
    learning = handle.store.learning
    done = asyncio.Event()

    async def write(by: Handle, first: int) -> None:
        for number in range(first, EVENTS, 2):
            await come_in(by, learnt(number, received_at=NOW + number % 7))

    async def chain_on(by: Handle) -> None:
        while not done.is_set():
            await by.store.learning.chain(now=NOW + 600, limit=7, salt=salted)
            await asyncio.sleep(0)

    async def follow() -> None:
        after = 0
        while True:
            was_done = done.is_set()
            page = await learning.page(Wanted(), after=after, limit=5)
            seen.extend(one.event_id for one in page.events)
            after = page.after
            if was_done and len(page.events) < 5:
                return

    async with asyncio.TaskGroup() as group:
        group.create_task(follow())
        chaining = [group.create_task(chain_on(one)) for one in (handle, replica)]
        writing = [group.create_task(write(one, n)) for n, one in enumerate((handle, replica))]
        await asyncio.gather(*writing)
        while (await learning.head()).number < EVENTS:  # noqa: ASYNC110  # a store has no event
            await asyncio.sleep(0)
        done.set()
        await asyncio.gather(*chaining)
    assert sorted(seen) == [f"evt_{number:04}" for number in range(EVENTS)]
    assert not (await audited(handle)).faults


async def test_an_erase_is_an_entry_and_the_audit_passes(handle: Handle) -> None:
    await come_in(handle, learnt(1), learnt(2, user_id="ann"), learnt(3))
    await chain(handle)
    head = await handle.store.learning.head()
    await erase(handle, MARY, now=NOW + 700)
    assert await ids(handle) == ["evt_0002"]
    audit = await audited(handle, {head.number: head.head})
    assert (audit.faults, audit.events, audit.erased, audit.compared) == ([], 3, 2, 1)
    entries = await handle.store.learning.entries(limit=10)
    assert [one.kind for one in entries] == ["erased", "event", "erased", "erase", "erase"]
    assert {(one.body, one.salt, one.event_id) for one in entries if one.kind == "erased"} == {
        (None, None, None)
    }


async def test_one_who_is_only_named_in_a_body_is_erased_too(handle: Handle) -> None:
    await come_in(handle, learnt(1, learnt=Learnt(salt=salted())))
    await chain(handle)
    await erase(handle, MARY, now=NOW + 700)
    assert await ids(handle) == []


async def test_an_erase_before_its_turn_leaves_an_emptied_event(handle: Handle) -> None:
    await come_in(handle, learnt(1), learnt(2, user_id="ann"))
    await erase(handle, MARY, now=NOW + 700)
    await chain(handle)
    assert await ids(handle) == ["evt_0002"]
    audit = await audited(handle)
    assert (audit.faults, audit.erased) == ([], 1)


async def test_a_repeat_of_an_erased_event_is_not_kept(handle: Handle) -> None:
    await come_in(handle, learnt(1), learnt(2))
    await chain(handle)
    await erase(handle, MARY, now=NOW + 700)
    head = await handle.store.learning.head()
    assert not await handle.queue.accept(learnt(1), [])
    await by_hand(handle, "DELETE FROM events")  # as retention does
    assert not await handle.queue.accept(learnt(1), [])
    assert not await handle.queue.accept(learnt(2), [])
    assert await chain(handle) == Chained(0)
    assert await handle.store.learning.head() == head
    assert await ids(handle) == []


CHANGES: dict[str, str] = {
    "one byte changed": "UPDATE learning SET type = 'user.course.completeD' WHERE number = 3",
    "one removed, the rest renumbered": "DELETE FROM learning WHERE number = 3;"
    "UPDATE learning SET number = number - 1 WHERE number = 4;"
    "UPDATE learning SET number = number - 1 WHERE number = 5",
    "one removed": "DELETE FROM learning WHERE number = 3",
    "one emptied by hand": "UPDATE learning SET salt = NULL, body = NULL, event_id = NULL"
    " WHERE number = 3",
    "the tail cut": "DELETE FROM learning WHERE number > 3",
    "a digest changed": "UPDATE learning SET digest = head WHERE number = 3",
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
async def test_a_change_is_found(handle: Handle, change: str) -> None:
    await come_in(handle, *map(learnt, range(1, 6)))
    await chain(handle)
    assert not (await audited(handle)).faults
    await by_hand(handle, change)
    assert (await audited(handle)).faults


async def test_a_chain_that_was_made_anew_is_found_by_a_head_that_was_kept(handle: Handle) -> None:
    await come_in(handle, *map(learnt, range(1, 6)))
    await chain(handle)
    head = await handle.store.learning.head()
    await by_hand(
        handle,
        "DELETE FROM learning WHERE number > 0; DELETE FROM learning_chain WHERE id = 1;"
        "UPDATE events SET learnt_number = NULL, learnt_digest = NULL, type = 'another'"
        " WHERE event_id > ''",
    )
    await chain(handle)
    assert not (await audited(handle)).faults
    assert (await audited(handle, {head.number: head.head})).faults


async def test_days_that_are_over_go_and_their_counts_and_heads_stay(handle: Handle) -> None:
    for day in range(3):
        at = NOW + day * 24 * HOUR
        await come_in(handle, learnt(2 * day, received_at=at), learnt(2 * day + 1, received_at=at))
        await chain(handle, now=at)
    learning = handle.store.learning
    first = (await learning.entries(limit=10))[1]
    removed = await learning.retain(before=NOW + 24 * HOUR)
    assert [(one.first, one.last, one.events) for one in removed] == [(1, 2, 2)]
    assert await learning.days() == removed
    assert await ids(handle) == ["evt_0002", "evt_0003", "evt_0004", "evt_0005"]
    audit = await audited(handle, {2: first.head})
    assert (audit.faults, audit.removed, audit.compared) == ([], 2, 1)
    assert await learning.retain(before=NOW + 24 * HOUR) == []
    # the last day is open: it is kept, whatever its age
    await learning.retain(before=NOW + 999 * HOUR)
    assert await ids(handle) == ["evt_0004", "evt_0005"]


async def test_what_experiments_count_is_written_with_the_chain(handle: Handle) -> None:
    await come_in(handle, learnt(1), learnt(2, type="other"))
    await handle.store.learning.chain(
        now=NOW + 600, limit=9, salt=salted, outcomes=["user.course.completed"]
    )
    await erase(handle, MARY, now=NOW + 700)
    assert (await audited(handle)).faults == []
