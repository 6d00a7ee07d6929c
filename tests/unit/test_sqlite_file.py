"""The database file itself is locked, whatever name leads to it, and nothing drops the locks."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.errors import ConfigurationError, StoreUnavailable
from gateway.store.sqlite import open_sqlite
from gateway.store.sqlite.file import DatabaseFile
from gateway.store.sqlite.holding import Holder
from gateway.store.sqlite.lock_file import LockFile, Reached

WHO = Holder("4711", "push-1", "boot", 1_800_000_000.0, "relay")
TOLD = r"process 4711 on push-1, since 2027-01-15T08:00:00.000Z"

_OPENS = """
import sys
from pathlib import Path
from gateway.errors import ConfigurationError
from gateway.store.sqlite.file import DatabaseFile
try:
    DatabaseFile.open(Path(sys.argv[1]), alone=sys.argv[2] == "alone")
except ConfigurationError as error:
    sys.exit(str(error))
print("open", flush=True)
sys.stdin.read()
"""


@contextmanager
def another_process(path: Path, how: str = "alone") -> Iterator[str]:
    """Another process opens the file; entered, it is open, or what it says of why it is not."""
    process = subprocess.Popen(  # our own interpreter
        [sys.executable, "-c", _OPENS, str(path), how],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        said = process.stdout.readline().strip() or process.stderr.read()
        yield said


@pytest.fixture
def names(tmp_path: Path) -> dict[str, Path]:
    """Names of one file."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "inkpush.db").touch()
    (tmp_path / "link.db").symlink_to(tmp_path / "folder" / "inkpush.db")
    (tmp_path / "hard.db").hardlink_to(tmp_path / "folder" / "inkpush.db")
    (tmp_path / "linked").symlink_to(tmp_path / "folder")
    return {
        "its own": tmp_path / "folder" / "inkpush.db",
        "a symbolic link": tmp_path / "link.db",
        "a linked folder": tmp_path / "linked" / "inkpush.db",
        "dots": tmp_path / "folder" / ".." / "folder" / "inkpush.db",
        "a hard link": tmp_path / "hard.db",
    }


def descriptors() -> int:
    """How many this process has."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


ALL_NAMES = ["its own", "a symbolic link", "a linked folder", "dots", "a hard link"]


@pytest.mark.parametrize("name", ALL_NAMES)
def test_a_second_relay_is_refused_by_any_name_and_without_the_lock_file(
    names: dict[str, Path], name: str
) -> None:
    file = DatabaseFile.open(names["its own"], alone=True)
    with another_process(names[name]) as said:
        assert "another relay works on" in said
    LockFile(names["its own"]).path.unlink()
    with another_process(names[name]) as said:
        assert "another relay works on" in said
    file.close()
    with another_process(names[name]) as said:
        assert said == "open"


async def test_who_is_refused_is_told_who_is_there(names: dict[str, Path]) -> None:
    store = await open_sqlite(names["its own"], holder=WHO)
    for name in ALL_NAMES:
        with another_process(names[name]) as said:
            assert TOLD.split(",", maxsplit=1)[0] in said, name
    await store.aclose()


def test_a_file_put_in_place_of_the_one_in_use_has_no_second_relay(tmp_path: Path) -> None:
    path = tmp_path / "inkpush.db"
    file = DatabaseFile.open(path, alone=True)
    path.rename(tmp_path / "before.db")
    path.touch()
    with another_process(path) as said:
        assert "another relay works on" in said
    file.close()


@pytest.mark.parametrize("how", ["alone", "beside"])
def test_a_file_is_open_under_one_name_at_a_time(names: dict[str, Path], how: str) -> None:
    file = DatabaseFile.open(names["its own"])
    for name in ALL_NAMES[:-1]:
        with another_process(names[name], how) as said:
            assert said == "open"
    with another_process(names["a hard link"], how) as said:
        assert "is a second name" in said
    with pytest.raises(ConfigurationError, match="is a second name"):
        DatabaseFile.open(names["a hard link"])
    file.close()
    with another_process(names["a hard link"], how) as said:
        assert said == "open"
        with pytest.raises(ConfigurationError, match="is a second name"):
            DatabaseFile.open(names["its own"])


def test_one_process_has_one_descriptor_and_its_locks_last_until_the_last_user_is_gone(
    tmp_path: Path,
) -> None:
    path = tmp_path / "inkpush.db"
    first = DatabaseFile.open(path, alone=True)
    before = descriptors()
    others = [DatabaseFile.open(path) for _ in range(5)]
    assert descriptors() == before
    with pytest.raises(ConfigurationError, match="another relay works on"):
        DatabaseFile.open(path, alone=True)
    for other in others:
        other.close()
        other.close()
    with another_process(path) as said:
        assert "another relay" in said
    first.close()
    second = DatabaseFile.open(path, alone=True)
    second.close()


async def test_no_look_at_the_file_drops_the_locks_of_sqlite(tmp_path: Path) -> None:
    """Another process that closes the file as if it were the last would delete the log."""
    path = tmp_path / "inkpush.db"
    store = await open_sqlite(path, holder=WHO)
    await store.ping()
    for _ in range(3):
        other = await open_sqlite(path)
        await other.aclose()
        with pytest.raises(ConfigurationError):
            DatabaseFile.open(path, alone=True)
    code = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('PRAGMA user_version')"
    code += "; c.close()"
    program = await asyncio.create_subprocess_exec(sys.executable, "-c", code, path)
    assert await program.wait() == 0
    assert (tmp_path / "inkpush.db-wal").exists()
    await store.ping()
    await store.aclose()
    assert not (tmp_path / "inkpush.db-wal").exists()


def test_a_lock_that_the_file_system_does_not_have_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(*_args: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr("gateway.store.sqlite.file.fcntl.fcntl", no_locks)
    with pytest.raises(StoreUnavailable, match="No locks available"):
        DatabaseFile.open(tmp_path / "inkpush.db", alone=True)


def test_a_kernel_without_these_locks_keeps_relays_apart_by_locks_of_whole_files(
    names: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_args: object) -> None:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr("gateway.store.sqlite.file.fcntl.fcntl", unknown)
    first = DatabaseFile.open(names["its own"], alone=True)
    with pytest.raises(ConfigurationError, match="another relay"):
        DatabaseFile.open(names["its own"], alone=True)
    first.close()
    DatabaseFile.open(names["its own"], alone=True).close()


def test_the_lock_file_says_who_works_here_and_how_far_the_database_had_come(
    tmp_path: Path,
) -> None:
    lock_file = LockFile(tmp_path / "inkpush.db")
    assert (lock_file.holder(), lock_file.reached()) == (None, None)
    assert lock_file.take()
    lock_file.write(WHO, Reached("store", {"queue": 123_456}))
    lock_file.write(WHO, Reached("store", {"queue": 7}))
    assert str(lock_file.holder()) == str(WHO)
    assert lock_file.reached() == Reached("store", {"queue": 7})
    assert not LockFile(tmp_path / "inkpush.db").take()
    lock_file.close()
    for content in (b"", b"{}", b"[]", b"\xff\x00", b'{"pid": 1, "ids": 3}', b"9" * 5000):
        lock_file.path.write_bytes(content)
        assert (lock_file.holder(), lock_file.reached()) == (None, None)


def test_a_reader_makes_no_file_and_is_beside_a_relay(tmp_path: Path) -> None:
    path = tmp_path / "inkpush.db"
    with pytest.raises(StoreUnavailable, match="cannot be opened"):
        DatabaseFile.open(path, reading=True)
    assert not path.exists()
    path.touch(mode=0o400)
    reader = DatabaseFile.open(path, reading=True)
    with another_process(path, "beside") as said:
        assert said == "open" or "Permission denied" in said
    reader.close()


@pytest.mark.parametrize("which", ["inkpush.db", "inkpush.db-wal"])
@pytest.mark.parametrize("how", ["moved", "replaced"])
async def test_nothing_is_written_to_a_file_that_was_taken_away(
    tmp_path: Path, which: str, how: str
) -> None:
    store = await open_sqlite(tmp_path / "inkpush.db")
    await store.ping()
    (tmp_path / which).rename(tmp_path / "away")
    if how == "replaced":
        (tmp_path / which).write_bytes((tmp_path / "away").read_bytes())
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match=f"{which} was removed or replaced"):
            await store.ping()
    (tmp_path / "away").rename(tmp_path / which)
    await store.ping()
    await store.aclose()
