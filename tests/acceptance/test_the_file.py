"""One relay per database file, by whatever name; a harmed file, and its log, are left alone."""

from __future__ import annotations

import ctypes
import os
import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from providers.sandbox import Sandbox
from tests.kit.audience import androids, notifications_to
from tests.kit.figures import Figures
from tests.kit.gateway import Installation, Process, eventually
from tests.kit.sender import event

ACCEPTED = 2_000
PAGE = 4096
_MS_BIND = 4096
_MNT_DETACH = 2


def url_of(path: Path) -> dict[str, str]:
    """The variable by which a process takes another name."""
    return {"INKPUSH_STORE__URL": f"sqlite:///{path}"}


async def refused(installation: Installation, path: Path) -> tuple[int | None, str]:
    """Start a gateway on a file; returns its exit status and all that it said."""
    process = await installation.start(url_of(path))
    await eventually("it ends", lambda: process.ended or bool(process.logged("ready")))
    assert not process.logged("ready"), "it runs"
    await process.close()
    return process.process.returncode, " ".join(str(line) for line in process.lines)


@contextmanager
def bound(source: Path, target: Path) -> Iterator[None]:
    """Mount a file or folder on another one, for whoever may."""
    if source.is_dir():
        target.mkdir()
    else:
        target.touch()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(os.fsencode(source), os.fsencode(target), None, _MS_BIND, None):
        pytest.skip(f"cannot mount: {os.strerror(ctypes.get_errno())}")
    try:
        yield
    finally:
        libc.umount2(os.fsencode(target), _MNT_DETACH)


async def test_a_second_gateway_on_the_file_is_refused_by_every_name_and_told_who_is_there(
    installation: Installation, figures: Figures
) -> None:
    installation.configure()
    path = installation.folder / "inkpush.db"
    names = {
        "its own name": path,
        "a symbolic link": installation.folder / "link.db",
        "a hard link": installation.folder / "hard.db",
        "a linked folder": installation.folder / "elsewhere" / "inkpush.db",
    }
    async with installation.serving() as gateway:
        names["a symbolic link"].symlink_to(path)
        names["a hard link"].hardlink_to(path)
        names["a linked folder"].parent.symlink_to(installation.folder)
        for lock_file in ("there", "deleted"):
            if lock_file == "deleted":
                path.with_name("inkpush.db.relay.lock").unlink()
            for name, one in names.items():
                status, said = await refused(installation, one)
                assert status, name
                assert "another relay works on" in said, name
                assert f"process {gateway.pid} on " in said, f"{name}: {said}"
        # a command works beside it, and not under another name
        assert (await installation.run("lanes", "list")).status == 0
        installation.configure(store={"url": f"sqlite:///{names['a hard link']}"})
        done = await installation.run("lanes", "list")
        assert done.status != 0
        assert "is a second name" in done.err
        assert await gateway.is_ready()
        assert await gateway.terminate() == 0
    figures(f"refused: {', '.join(names)}; with the lock file and without")


async def test_a_second_gateway_is_refused_by_a_mount_of_the_file_or_its_folder(
    installation: Installation, tmp_path_factory: pytest.TempPathFactory, figures: Figures
) -> None:
    path, elsewhere = installation.folder / "inkpush.db", tmp_path_factory.mktemp("elsewhere")
    mounted, folder = elsewhere / "mounted.db", elsewhere / "folder"
    async with installation.serving() as gateway:
        with bound(path, mounted), bound(installation.folder, folder):
            for lock_file in ("there", "deleted"):
                if lock_file == "deleted":
                    path.with_name("inkpush.db.relay.lock").unlink()
                for one in (mounted, folder / "inkpush.db"):
                    status, said = await refused(installation, one)
                    assert status, one
                    assert "another relay works on" in said, said
                    assert f"process {gateway.pid} on " in said, said
        assert await gateway.is_ready()
        assert await gateway.terminate() == 0
    figures("refused: a mount of the file, a mount of its folder; with the lock file and without")


def zero_bytes(path: Path) -> None:
    os.truncate(path, 0)


def missing(path: Path) -> None:
    path.unlink()


def cut_in_half(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def scribbled(path: Path) -> None:
    chance, data = random.Random(14), bytearray(path.read_bytes())
    for page in chance.sample(range(1, len(data) // PAGE), 10):
        data[page * PAGE : (page + 1) * PAGE] = chance.randbytes(PAGE)
    path.write_bytes(data)


def random_bytes(path: Path) -> None:
    path.write_bytes(random.Random(14).randbytes(path.stat().st_size))


HARMS: dict[str, Callable[[Path], None]] = {
    "zero bytes": zero_bytes,
    "missing": missing,
    "cut in half": cut_in_half,
    "scribbled": scribbled,
    "random bytes": random_bytes,
}


async def test_a_harmed_file_is_refused_its_log_stays_and_all_goes_out_once_it_is_put_back(
    installation: Installation, sandbox: Sandbox, figures: Figures
) -> None:
    installation.configure()
    audience = androids(range(ACCEPTED))
    await installation.register(audience)
    key = await installation.key()
    async with installation.serving({"INKPUSH_SERVER__ROLE": "ingest"}) as ingest:
        reply = await ingest.post("msg_waits", event(notifications_to(audience)))
        assert reply.json["status"] == "accepted"
        await ingest.kill()
    path = installation.folder / "inkpush.db"
    log = path.with_name("inkpush.db-wal")
    good, logged = path.read_bytes(), log.read_bytes()
    assert len(logged) > PAGE
    for name, harm in HARMS.items():
        harm(path)
        harmed = path.read_bytes() if path.exists() else None
        status, said = await refused(installation, path)
        assert status == 1, (name, said)
        assert "Nothing was changed" in said, (name, said)
        assert (await installation.run("devices", "list", "--user", "nobody")).status == 1, name
        assert log.read_bytes() == logged, f"{name}: the log was changed"
        assert (path.read_bytes() if path.exists() else None) == harmed, name
        path.write_bytes(good)
    async with installation.serving() as gateway:
        assert await gateway.settled("msg_waits", key) == {"delivered": ACCEPTED}
        assert not gateway.logged("new database")
        assert await gateway.terminate() == 0
    assert len(sandbox.pushes) == ACCEPTED
    figures(f"a log of {len(logged)} bytes, untouched after: {', '.join(HARMS)}; then all went out")


async def parts(gateway: Process) -> dict[str, dict[str, str]]:
    told: dict[str, dict[str, str]] = (await gateway.ops("/readyz")).json["parts"]
    return told


async def test_a_file_that_is_taken_away_under_a_gateway_is_written_to_no_more(
    installation: Installation,
) -> None:
    """What was answered 200 would be gone with it."""
    installation.configure()
    path = installation.folder / "inkpush.db"
    log = path.with_name("inkpush.db-wal")
    phones = androids(range(1))
    await installation.register(phones)
    body = event(notifications_to(phones))
    async with installation.serving() as gateway:
        for number, taken in enumerate((path, log)):
            away = taken.with_suffix(".away")
            taken.rename(away)
            if taken is path:
                shutil.copy(away, path)
            assert (await gateway.post(f"msg_{number}", body)).status == 503

            async def told() -> bool:
                reason = (await parts(gateway)).get("store", {}).get("reason", "")
                return "removed or replaced" in reason

            await eventually("/readyz says so", told)  # its answer may be a second old
            assert not await gateway.is_ready()
            status, said = await refused(installation, path)
            assert status, said
            away.rename(taken)
            await eventually("it can store again", gateway.is_ready)
            assert (await gateway.post(f"msg_{number}", body)).json["status"] == "accepted"
        assert await gateway.terminate() == 0


async def test_an_older_copy_put_back_prunes_nothing_until_a_person_says_so(
    installation: Installation,
) -> None:
    installation.configure()
    path = installation.folder / "inkpush.db"
    phones = androids(range(4))
    await installation.register(phones[:2])
    async with installation.serving() as gateway:
        assert len(gateway.logged("new database")) == 0  # the import made it
        assert await gateway.terminate() == 0
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("VACUUM INTO ?", (str(installation.folder / "backup.db"),))
    await installation.register(phones[2:])
    key = await installation.key()
    async with installation.serving() as gateway:
        assert "store" not in await parts(gateway)
        await gateway.post("msg_later", event(notifications_to(phones)))
        await gateway.settled("msg_later", key)
        assert await gateway.terminate() == 0

    for left in installation.folder.glob("inkpush.db-*"):
        left.unlink()
    shutil.copy(installation.folder / "backup.db", path)
    async with installation.serving() as gateway:
        (line,) = gateway.logged("database doubted")
        assert "an older copy" in line["detail"]
        assert (await parts(gateway))["store"]["state"] == "doubted"
        assert (await gateway.ops("/readyz")).status == 200
        assert await gateway.metric("inkpush_prune_brake_active", app="demo") >= 1
        assert await gateway.terminate() == 0
    # it is told once, and waits over a restart
    async with installation.serving() as gateway:
        assert not gateway.logged("database doubted")
        assert (await parts(gateway))["store"]["state"] == "doubted"
        done = await installation.run("lanes", "release")
        assert done.status == 0, done.err

        async def believed() -> bool:
            return "store" not in await parts(gateway)

        await eventually("it is believed", believed)
        assert await gateway.terminate() == 0
    async with installation.serving() as gateway:
        assert "store" not in await parts(gateway)
        assert await gateway.terminate() == 0


async def test_dates_of_the_future_stop_pruning(installation: Installation) -> None:
    installation.configure()
    await installation.register(androids(range(2)))
    with closing(sqlite3.connect(installation.folder / "inkpush.db")) as connection, connection:
        connection.execute("UPDATE devices SET last_seen_at = unixepoch() + 86400")
    async with installation.serving() as gateway:
        # a process that was slow to start asks others for the time first
        await eventually("it is told", lambda: bool(gateway.logged("database doubted")))
        (line,) = gateway.logged("database doubted")
        assert "dates of the future" in line["detail"]

        async def doubted() -> bool:
            return (await parts(gateway)).get("store", {}).get("state") == "doubted"

        await eventually("/readyz says so", doubted)
        assert await gateway.terminate() == 0


async def test_a_new_database_is_told_and_not_made_where_an_existing_one_is_expected(
    installation: Installation,
) -> None:
    path = installation.folder / "inkpush.db"
    installation.configure(store={"url": f"sqlite:///{path}", "expect": "existing"})
    status, said = await refused(installation, path)
    assert status == 1
    assert "store.expect" in said
    assert not path.exists()
    done = await installation.run("lanes", "list")
    assert (done.status, path.exists()) == (1, False)
    installation.configure()
    async with installation.serving() as gateway:
        (line,) = gateway.logged("new database")
        assert line["detail"].endswith(".db")  # a folder of such a length is taken for a secret
        assert await gateway.terminate() == 0
    installation.configure(store={"url": f"sqlite:///{path}", "expect": "existing"})
    async with installation.serving() as gateway:
        assert not gateway.logged("new database")
        assert await gateway.terminate() == 0


async def test_a_lease_of_a_relay_on_another_machine_is_left_to_run_out(
    installation: Installation,
) -> None:
    """One of this machine ends at the start; nothing is known of one elsewhere."""
    installation.configure(relay={"lease_s": 5})
    phones = androids(range(2))
    await installation.register(phones)
    key = await installation.key()
    async with installation.serving({"INKPUSH_SERVER__ROLE": "ingest"}) as ingest:
        for number, phone in enumerate(phones):
            await ingest.post(f"msg_{number}", event(notifications_to([phone])))
        assert await ingest.terminate() == 0
    with closing(sqlite3.connect(installation.folder / "inkpush.db")) as connection, connection:
        host = os.uname().nodename
        for name, where in (("here", host), ("there", "another-machine")):
            connection.execute(
                "INSERT INTO relays VALUES (?, '77', ?, 'a boot of before', 1.7e9, '/data/x.db')",
                (name, where),
            )
        for number, name in enumerate(("here", "there")):
            connection.execute(
                "UPDATE queue SET lease_id = ?, due_at = unixepoch() + 40, tries = 1 "
                "WHERE event_id = ?",
                (f"{name}-1", f"msg_{number}"),
            )
    async with installation.serving() as gateway:
        (line,) = gateway.logged("relay unknown")
        assert "process 77 on another-machine" in line["detail"]
        assert await gateway.settled("msg_0", key) == {"delivered": 1}
        assert not (await gateway.event("msg_1", key))["settled"]
        assert await gateway.settled("msg_1", key) == {"delivered": 1}
        assert await gateway.terminate() == 0
