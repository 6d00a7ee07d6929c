"""After an erase that is done, the file and what lies beside it have no byte of the person."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path

from gateway.core.model import Record, UserRef, day_of
from gateway.core.states import DeliveryState
from gateway.ingest.schema import understand
from gateway.store.sqlite.opening import open_connections
from tests.kit.build import NOW
from tests.kit.stores import BACKENDS, Handle, eraser_of_handle, record, register

TODAY = day_of(NOW)
HERS = (
    "le2bB6Fi4CMgrIOIqMCJ",
    "3c2143e4-3e8e-478a",
    "address-of-hers",
    "Hi Mary!",
    "+254705408079",
)


def batch(number: int) -> bytes:
    """Some people's notifications; hers is somewhere among them."""
    notifications = [
        {
            "title": f"Hi {n}!",
            "body": "x" * (n * 37 % 400),
            "user_id": f"user-{number}-{n}",
            "custom_id": f"custom-{n}",
            "phone_number": None,
        }
        for n in range(40)
    ]
    notifications.insert(
        number % 40,
        {
            "title": HERS[3],
            "body": "x" * (number * 53 % 3_000),
            "user_id": HERS[0],
            "custom_id": HERS[1] if number % 2 else None,
            "phone_number": HERS[4],
        },
    )
    return json.dumps(
        {"type": "notifications.sent", "data": {"notifications": notifications}}
    ).encode()


async def fill(handle: Handle) -> None:
    await register(handle, "hers", HERS[2], user_id=HERS[0], custom_id=HERS[1])
    for number in range(60):
        kind = number % 4
        body = batch(number)
        if kind == 1:
            body = json.dumps(
                {"type": "user.updated", "data": {"user": {"id": HERS[0]}, "n": HERS[4]}}
            ).encode()
        elif kind == 2:
            body = body[: len(body) - 30]
        read = understand(f"msg_{number}", body, received_at=NOW, max_age_s=3_600.0, chunk_items=8)
        assert await handle.queue.accept(read.event, read.chunks)
    for claim in await handle.queue.claim(limit=90, lease_s=60.0, now=NOW):
        rows = [
            _line(claim.chunk.event_id, entry.item.index, entry.item.user_id)
            for entry in claim.chunk.items
        ]
        dead = [
            (n, entry.item._replace(title=f"letter {n}") if row.user_id != HERS[0] else entry.item)
            for n, (row, entry) in enumerate(zip(rows, claim.chunk.items, strict=True))
            if row.state is DeliveryState.DEAD
        ]
        await handle.journal.record(rows, [], dead)
        if claim.queue_id % 2:
            await handle.queue.settle(claim, [])


def _line(event_id: str, index: int, user_id: str | None) -> Record:
    state = DeliveryState.DEAD if index % 3 == 0 else DeliveryState.DELIVERED
    return record(event_id, index, index + 1, user_id=user_id, state=state, day=TODAY)


def found_in(folder: Path) -> dict[str, list[str]]:
    """What of hers is in which file."""
    return {
        path.name: [word for word in HERS if word.encode() in path.read_bytes()]
        for path in folder.glob("inkpush.db*")
    }


async def test_no_byte_of_the_person_is_left(tmp_path: Path) -> None:
    async with BACKENDS["sqlite"].open(tmp_path, lambda: NOW) as handle:
        await fill(handle)
        assert found_in(tmp_path)["inkpush.db-wal"] == list(HERS)
        await handle.registry.erase(UserRef(HERS[0], HERS[1]), now=NOW)
        await eraser_of_handle(handle).carry_on()
        standing = await handle.store.erasures.state(UserRef(user_id=HERS[0]))
        assert standing is not None
        assert standing.done_at is not None
        assert {name: words for name, words in found_in(tmp_path).items() if words} == {}
        assert (await handle.queue.depth()).notifications


async def test_it_is_done_only_once_the_log_beside_the_file_was_cut(tmp_path: Path) -> None:
    """Somebody who reads an older state keeps it from being cut, and it is tried again."""
    async with BACKENDS["sqlite"].open(tmp_path, lambda: NOW) as handle:
        await fill(handle)
        user = UserRef(HERS[0], HERS[1])
        with closing(sqlite3.connect(tmp_path / "inkpush.db", isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM events").fetchone()
            await handle.registry.erase(user, now=NOW)
            work = asyncio.ensure_future(eraser_of_handle(handle).carry_on())
            await asyncio.sleep(1.0)
            standing = await handle.store.erasures.state(user)
            assert standing is not None
            assert standing.done_at is None
            # and nobody waits for that
            await asyncio.wait_for(register(handle, "other", "other", user_id="bob"), 2.0)
            reader.execute("ROLLBACK")
            await work
        standing = await handle.store.erasures.state(user)
        assert standing is not None
        assert standing.done_at is not None
        assert {name: words for name, words in found_in(tmp_path).items() if words} == {}


def test_what_is_deleted_is_overwritten(tmp_path: Path) -> None:
    connections = open_connections(tmp_path / "inkpush.db")
    try:
        assert connections.writing.execute("PRAGMA secure_delete").fetchone() == (1,)
    finally:
        for one in (connections.writing, *connections.reading, connections.searching):
            one.close()
