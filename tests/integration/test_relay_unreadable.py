"""What this version cannot read stops nothing: the rest goes out, and it is listed."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from gateway.core.model import CHUNK_SIZE
from gateway.core.stored import NEWEST, OLDEST, PLAIN, form_of
from gateway.events import PutAside
from gateway.ports import DeadLetter
from gateway.store.postgres import PostgresStore
from tests.kit.audience import androids
from tests.kit.build import item
from tests.kit.gateway import eventually
from tests.kit.nats_cluster import running_cluster
from tests.kit.planting import GARBAGE, TOO_NEW, change, plant
from tests.kit.postgres import databases
from tests.kit.relay_rig import RelayRig, Running
from tests.kit.stores import Handle, batch, queued

Site = tuple[RelayRig, dict[str, Any]]
"""Where a gateway runs, and what its settings say of the queue."""


def on_nats() -> dict[str, Any]:
    queue = {"url": running_cluster().url, "stream": f"t{time.monotonic_ns()}"}
    return {"queue": queue | {"max_bytes": 64 * 1024**2}}


@pytest.fixture(params=["sqlite", "postgres", "jetstream"])
async def site(request: pytest.FixtureRequest, rig: RelayRig) -> AsyncIterator[Site]:
    if request.param == "sqlite":
        yield rig, {}
        return
    async with databases().using(rig.folder) as url:
        rig.store_url = url
        yield rig, on_nats() if request.param == "jetstream" else {}


def handle_of(running: Running) -> Handle:
    return Handle(running.stores.store, running.stores.queue)


async def plant_event(running: Running, event_id: str, items: bytes) -> None:
    """An event of one notification whose chunk is these bytes."""
    event, chunks = batch(event_id, items=[item(0, user_id="nobody")], at=running.clock())
    handle = handle_of(running)
    assert await handle.queue.accept(event, [])
    await plant(handle, chunks[0], items)


async def dead(running: Running, count: int) -> list[DeadLetter]:
    """Wait until so many dead letters are listed."""
    found: list[DeadLetter] = []

    async def there() -> bool:
        found[:] = await running.stores.journal.dead(limit=100)
        return len(found) == count

    await eventually(f"{count} dead letters", there)
    return found


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ("provider = 'hms'", "'hms'"),
        ("provider = 'hms', platform = 'harmony'", "'harmony'"),
        ("environment = 'staging'", "'staging'"),
    ],
)
async def test_a_newer_row_garbage_and_an_unknown_device_leave_1000_delivered_and_3_put_aside(
    site: Site, changed: str, word: str
) -> None:
    rig, settings = site
    phones, odd = androids(range(1000)), androids([5000])
    async with rig.running(**settings) as running:
        await running.register(*phones, *odd)
        await change(
            handle_of(running),
            f"UPDATE devices SET {changed} WHERE address = '{odd[0].address}'",
        )
        await plant_event(running, "msg_newer", TOO_NEW)
        await plant_event(running, "msg_garbage", GARBAGE)
        await running.queue_for("msg_good", [*odd, *phones])
        assert await running.settled("msg_good") == {"delivered": 1000, "dead": 1}
        letters = {letter.event_id: letter for letter in await dead(running, 3)}
        assert {name: letter.form for name, letter in letters.items()} == {
            "msg_newer": 3,
            "msg_garbage": None,
            "msg_good": None,
        }
        assert all(letter.reason.startswith("unreadable: ") for letter in letters.values())
        assert word in letters["msg_good"].reason
        assert (letters["msg_newer"].raw, letters["msg_garbage"].raw) == (TOO_NEW, GARBAGE)
        assert await running.settled("msg_newer") == {"dead": 1}
        assert await running.settled("msg_garbage") == {"dead": 1}
        told = Counter(told.what for told in running.told(PutAside))
        assert told == {"chunk": 2, "device": 1}
        text = running.gateway.metrics.render()[0].decode()
        assert 'inkpush_unreadable_total{what="chunk"} 2.0' in text
        assert 'inkpush_unreadable_total{what="device"} 1.0' in text
        await running.empty()
        # the device is listed as it is
        device = await running.device(odd[0])
        assert word.strip("'") in (device.provider, device.platform, device.environment)
    assert running.failures == []
    assert rig.times_delivered() == Counter({1: 1000})


# --- two versions side by side --------------------------------------------------------------------

BEAT_OF_BEFORE = (
    "INSERT INTO replicas (replica, role, seen_at) VALUES ('old-1', 'relay', clock_timestamp()) "
    "ON CONFLICT (replica) DO UPDATE SET role = excluded.role, seen_at = excluded.seen_at"
)
"""As the release before has it: it says nothing of forms."""
SILENT = "UPDATE replicas SET seen_at = seen_at - interval '61 s' WHERE replica = 'old-1'"
LATER = (
    "INSERT INTO replicas (replica, role, seen_at, reads, writes) "
    "VALUES ('new-1', 'relay', clock_timestamp() + interval '1 hour', 3, 3)"
)
GONE = "DELETE FROM replicas WHERE replica = 'new-1'"


async def written(running: Running, form: int) -> None:
    """Wait until the process writes this form."""
    forms = running.stores.journal.forms
    await eventually(f"form {form} is written", lambda: forms.writes == form)


async def test_the_older_form_is_written_until_no_older_replica_has_beaten_for_a_minute(
    shared_rig: RelayRig,
) -> None:
    phones = androids(range(3))
    async with shared_rig.running() as running:
        handle = handle_of(running)
        await running.register(*phones)
        await written(running, NEWEST)
        await change(handle, BEAT_OF_BEFORE)
        await written(running, OLDEST)
        async with shared_rig.running() as beside:
            await written(beside, OLDEST)  # from its first beat
            assert {await queued_form(running), await queued_form(beside)} == {OLDEST}
            await change(handle, SILENT)
            await written(running, NEWEST)
            await written(beside, NEWEST)
            assert {await queued_form(running), await queued_form(beside)} == {PLAIN}
        await running.queue_for("msg_1", phones)
        assert await running.settled("msg_1") == {"delivered": 3}


async def queued_form(running: Running) -> int | None:
    """In which form a process queues a chunk now, which is not due for a while."""
    handle = handle_of(running)
    event, (chunk,) = batch(f"msg_{time.monotonic_ns()}", items=1, at=running.clock())
    assert await handle.queue.accept(event, [replace(chunk, due_at=running.clock() + 3600)])
    store = running.stores.store
    assert isinstance(store, PostgresStore)
    ((items,),) = await store.database.rows("queue_beside", event.event_id, -1, 0)
    return form_of(items)


@pytest.mark.parametrize("queue", ["postgres", "jetstream"])
async def test_a_row_that_is_too_new_waits_for_a_replica_that_reads_it_and_is_put_aside_without(
    shared_rig: RelayRig, queue: str
) -> None:
    settings = on_nats() if queue == "jetstream" else {}
    phones = androids(range(CHUNK_SIZE))
    async with shared_rig.running(**settings) as running:
        handle = handle_of(running)
        await change(handle, LATER)
        forms = running.stores.journal.forms
        await eventually("the later replica is known", lambda: forms.most == 3)
        await running.register(*phones)
        await plant_event(running, "msg_newer", TOO_NEW)
        await running.queue_for("msg_good", phones)
        assert await running.settled("msg_good") == {"delivered": CHUNK_SIZE}
        assert await running.stores.journal.dead(limit=1) == []
        await queued(running.stores.queue, 1)
        await change(handle, GONE)
        await eventually("the later replica is gone", lambda: forms.most == NEWEST)
        shared_rig.clock.ahead_s += 30  # the row's delay
        (letter,) = await dead(running, 1)
        assert (letter.event_id, letter.form) == ("msg_newer", 3)
        await running.empty()


async def test_a_process_without_a_relay_beats_too_and_writes_what_all_read(
    shared_rig: RelayRig,
) -> None:
    ingest = {"host": "127.0.0.1", "port": 0, "role": "ingest"}
    async with shared_rig.running(server=ingest) as running:
        store = running.stores.store
        assert isinstance(store, PostgresStore)
        (row,) = await store.database.rows("replica_reading", 60.0)
        assert tuple(row)[:2] == (NEWEST, NEWEST)
        await written(running, NEWEST)
        await change(handle_of(running), BEAT_OF_BEFORE)
        await written(running, OLDEST)
        await change(handle_of(running), SILENT)
        await written(running, NEWEST)
