"""What may happen to the file: kills, full disks, other processes, other versions."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.errors import SchemaMismatch, StoreUnavailable
from gateway.store.sqlite import open_database, open_sqlite
from tests.kit.build import NOW
from tests.kit.stores import BACKENDS, Handle, accept, register, sqlite_queue

ROOT = Path(__file__).resolve().parents[2]

PRELUDE = """
import asyncio, json, os, resource, sys
from pathlib import Path
from gateway.app.ids import RANDOM
from gateway.errors import StoreUnavailable
from gateway.store.sqlite import open_database, open_sqlite
from tests.kit.build import NOW
from tests.kit.stores import Handle, batch, sqlite_queue

async def opened():
    store = await open_sqlite(Path(sys.argv[1]))
    return Handle(store, sqlite_queue(store, clock=lambda: NOW))

def tell(**what):
    print(json.dumps(what), flush=True)
"""


def process(code: str, path: Path) -> subprocess.Popen[str]:
    """Run code in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", PRELUDE + code, str(path)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )


async def answers(*running: subprocess.Popen[str]) -> list[dict[str, list[str]]]:
    """What each process told last. Each must have ended by itself."""
    told = []
    for one in running:
        out, _ = await asyncio.to_thread(one.communicate, timeout=60)
        told.append(json.loads(out.splitlines()[-1]))
    return told


async def events_of(path: Path) -> set[str]:
    store = await open_sqlite(path)
    events = await store.journal.events(limit=10_000)
    await store.aclose()
    return {event.event_id for event in events}


# --- what was written stays ---------------------------------------------------------------------


async def test_what_was_written_is_there_after_closing_and_opening(tmp_path: Path) -> None:
    backend = BACKENDS["sqlite"]
    async with backend.open(tmp_path, lambda: NOW) as handle:
        device = await register(handle)
        await accept(handle)
    async with backend.open(tmp_path, lambda: NOW) as handle:
        assert [d async for page in handle.registry.export() for d in page] == [device]
        assert (await handle.queue.depth()).notifications == 1


async def test_what_was_accepted_survives_a_process_that_ends_at_once(tmp_path: Path) -> None:
    path = tmp_path / "inkpush.db"
    died = process(
        """
async def main():
    handle = await opened()
    ids = [f"msg_{n}" for n in range(30)]
    await asyncio.gather(*(handle.queue.accept(*batch(one)) for one in ids))
    tell(accepted=ids)
    os._exit(9)
asyncio.run(main())
""",
        path,
    )
    (told,) = await answers(died)
    assert died.returncode == 9
    assert await events_of(path) == set(told["accepted"])


# --- a full disk --------------------------------------------------------------------------------


async def test_a_full_disk_is_told_and_what_was_accepted_before_it_stays(tmp_path: Path) -> None:
    """The limit of a file's size stands for the disk's: the same writes fail the same way."""
    path = tmp_path / "inkpush.db"
    (told,) = await answers(
        process(
            """
async def main():
    handle = await opened()
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, most))
    accepted, refused = [], []
    for n in range(60):
        event, chunks = batch(f"msg_{n}", body=bytes(20_000))
        try:
            assert await handle.queue.accept(event, chunks)
            accepted.append(event.event_id)
        except StoreUnavailable:
            refused.append(event.event_id)
    # what is left has room for less than an event, and each ping takes a page of it
    pings = 0
    try:
        while pings < 100:
            await handle.store.ping()
            pings += 1
        pinged = "ready"
    except StoreUnavailable:
        pinged = "unavailable"
    readable = [event.event_id for event in await handle.journal.events(limit=100)]
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    await handle.store.ping()
    assert await handle.queue.accept(*batch("msg_after"))
    await handle.store.aclose()
    tell(accepted=accepted, refused=refused, pinged=[pinged], readable=readable)
asyncio.run(main())
""",
            path,
        )
    )
    assert told["accepted"]
    assert told["refused"]
    assert told["pinged"] == ["unavailable"]
    assert set(told["readable"]) == set(told["accepted"])
    assert await events_of(path) == {*told["accepted"], "msg_after"}


# --- files that cannot be used ------------------------------------------------------------------


async def test_a_file_that_is_no_database_is_unavailable_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "inkpush.db"
    garbage = b"this is no database\n" * 1_000
    path.write_bytes(garbage)
    with pytest.raises(StoreUnavailable, match="not a database"):
        await open_sqlite(path)
    assert path.read_bytes() == garbage


async def test_a_damaged_file_is_unavailable_and_not_an_empty_registry(tmp_path: Path) -> None:
    async with BACKENDS["sqlite"].open(tmp_path, lambda: NOW) as handle:
        for n in range(50):
            await register(handle, f"phone-{n}", f"address-{n}", user_id=f"user-{n}")
    path = tmp_path / "inkpush.db"
    content = bytearray(path.read_bytes())
    # all but the first page, which holds the schema's root
    content[4096:] = b"\xff" * (len(content) - 4096)
    path.write_bytes(content)
    with pytest.raises(StoreUnavailable):
        await _export(path)


async def _export(path: Path) -> None:
    store = await open_sqlite(path)
    try:
        async for _ in store.registry.export():
            pass
    finally:
        await store.aclose()


@pytest.mark.parametrize("where", ["missing/inkpush.db", "."])
async def test_a_place_where_no_file_can_be_is_unavailable(tmp_path: Path, where: str) -> None:
    with pytest.raises(StoreUnavailable, match="cannot be opened"):
        await open_sqlite(tmp_path / where)


@pytest.fixture
def open_to_all() -> Iterator[Path]:
    """A folder that others may enter, which pytest's own is not."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


async def test_a_file_that_may_not_be_written_is_unavailable(open_to_all: Path) -> None:
    """Run as root, who may write everything, the child becomes somebody else."""
    path = open_to_all / "inkpush.db"
    await (await open_sqlite(path)).aclose()
    await asyncio.to_thread(path.chmod, 0o444)
    await asyncio.to_thread(open_to_all.chmod, 0o555)
    child = process(
        """
import tempfile
from gateway.store.queries import load_migrations

async def main():
    with tempfile.TemporaryDirectory() as folder:
        # once, for what Python imports only when it is needed may be root's
        await (await open_sqlite(Path(folder) / "first.db")).aclose()
    if os.geteuid() == 0:
        os.seteuid(65534)
    try:
        load_migrations("sqlite")
    except PermissionError:
        return "the checkout is not readable"
    try:
        await (await opened()).store.aclose()
    except StoreUnavailable:
        return "unavailable"
    return "opened"

tell(result=[asyncio.run(main())])
""",
        path,
    )
    (told,) = await answers(child)
    await asyncio.to_thread(open_to_all.chmod, 0o755)
    if told["result"] == ["the checkout is not readable"]:
        pytest.skip("root's checkout is not readable for anybody else")
    assert told["result"] == ["unavailable"]


# --- versions and migrations --------------------------------------------------------------------


async def test_the_database_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "inkpush.db"
    with sqlite3.connect(path) as newer:
        newer.execute("CREATE TABLE of_tomorrow (id)")
        newer.execute("PRAGMA user_version = 9999")
    newer.close()
    with pytest.raises(SchemaMismatch, match="9999"):
        await open_sqlite(path)
    assert schema(path) == ["CREATE TABLE of_tomorrow (id)"]


def schema(path: Path) -> list[str]:
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    connection.close()
    return [sql for (sql,) in rows]


async def test_opening_again_migrates_nothing(tmp_path: Path) -> None:
    path = tmp_path / "inkpush.db"
    for _ in range(2):
        await (await open_sqlite(path)).aclose()
    once = schema(path)
    await (await open_sqlite(path)).aclose()
    assert schema(path) == once
    assert len(once) == len(set(once))


# --- several processes --------------------------------------------------------------------------


async def test_processes_that_start_together_migrate_once(tmp_path: Path) -> None:
    path = tmp_path / "inkpush.db"
    code = """
async def main():
    handle = await opened()
    await handle.store.ping()
    await handle.store.aclose()
    tell(result=["opened"])
asyncio.run(main())
"""
    told = await answers(*(process(code, path) for _ in range(4)))
    assert told == [{"result": ["opened"]}] * 4
    assert await events_of(path) == set()


async def test_processes_that_write_at_once_accept_each_event_once(tmp_path: Path) -> None:
    path = tmp_path / "inkpush.db"
    code = """
async def main():
    handle = await opened()
    ids = [f"msg_{n}" for n in range(100)]
    taken = await asyncio.gather(*(handle.queue.accept(*batch(one)) for one in ids))
    await handle.store.aclose()
    tell(accepted=[one for one, fresh in zip(ids, taken) if fresh])
asyncio.run(main())
"""
    told = await answers(*(process(code, path) for _ in range(2)))
    accepted = [event_id for one in told for event_id in one["accepted"]]
    assert sorted(accepted) == sorted(f"msg_{n}" for n in range(100))
    assert await events_of(path) == set(accepted)


async def test_a_command_reads_and_writes_beside_a_running_gateway(tmp_path: Path) -> None:
    path = tmp_path / "inkpush.db"
    store = await open_sqlite(path)
    handle = Handle(store, sqlite_queue(store, clock=lambda: NOW))
    await accept(handle, "msg_gateway")
    command = process(
        """
async def main():
    handle = await opened()
    assert await handle.queue.accept(*batch("msg_command"))
    seen = [event.event_id for event in await handle.journal.events(limit=10)]
    await handle.store.aclose()
    tell(seen=seen)
asyncio.run(main())
""",
        path,
    )
    (told,) = await answers(command)
    assert set(told["seen"]) == {"msg_gateway", "msg_command"}
    assert {event.event_id for event in await handle.journal.events(limit=10)} == set(told["seen"])
    await store.aclose()


async def test_the_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    """It holds device addresses, and so do the files beside it."""
    database = await open_database(tmp_path / "inkpush.db")
    await database.write(lambda connection: connection.execute("SELECT 1").fetchone())
    files = await asyncio.to_thread(lambda: list(tmp_path.iterdir()))
    modes = {stat.S_IMODE(file.stat().st_mode) for file in files}
    await database.aclose()
    assert modes == {0o600}
