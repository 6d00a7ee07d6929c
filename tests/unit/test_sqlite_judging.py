"""What a file is, is found out before anything is written to it: what is refused stays."""

from __future__ import annotations

import os
import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from gateway.errors import DatabaseRefused, GatewayError, SchemaMismatch, StoreUnavailable
from gateway.store.sqlite import open_sqlite
from tests.kit.left_behind import EVENTS, LeftBehind, left_behind

PAGE = 4096
Harm = Callable[[LeftBehind], None]


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> LeftBehind:
    """A database that a killed process left, of which copies are harmed."""
    return left_behind(tmp_path_factory.mktemp("killed"))


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> LeftBehind:
    """Another one, of another store."""
    return left_behind(tmp_path_factory.mktemp("other"), secret="o")


@pytest.fixture
def file(killed: LeftBehind, tmp_path: Path) -> LeftBehind:
    return killed.copy_to(tmp_path)


def zero_bytes(file: LeftBehind) -> None:
    os.truncate(file.path, 0)


def missing(file: LeftBehind) -> None:
    file.path.unlink()


def cut_to(share: float) -> Harm:
    def harm(file: LeftBehind) -> None:
        os.truncate(file.path, int(file.path.stat().st_size * share))

    return harm


def cut_to_a_page(file: LeftBehind) -> None:
    os.truncate(file.path, PAGE)


def cut_to_bytes(file: LeftBehind) -> None:
    os.truncate(file.path, 50)


def scribbled(seed: int) -> Harm:
    """Some pages hold anything. The first keeps its beginning, which others look at."""

    def harm(file: LeftBehind) -> None:
        chance, data = random.Random(seed), bytearray(file.path.read_bytes())
        pages = chance.sample(range(1, len(data) // PAGE), 12)
        for page in pages:
            data[page * PAGE : (page + 1) * PAGE] = chance.randbytes(PAGE)
        file.path.write_bytes(data)

    return harm


def random_bytes(file: LeftBehind) -> None:
    file.path.write_bytes(random.Random(1).randbytes(file.path.stat().st_size))


def zeros(file: LeftBehind) -> None:
    file.path.write_bytes(bytes(file.path.stat().st_size))


def text(file: LeftBehind) -> None:
    file.path.write_text("id,token\n1,abc\n")


HARMS: dict[str, tuple[Harm, str]] = {
    "zero bytes": (zero_bytes, "is empty, and its log inkpush.db-wal is there"),
    "missing": (missing, "is missing, and its log inkpush.db-wal is there"),
    "cut to half": (cut_to(0.5), "is damaged"),
    "cut by little": (cut_to(0.9), "is damaged"),
    "cut to a page": (cut_to_a_page, "is damaged"),
    "cut to 50 bytes": (cut_to_bytes, "is damaged"),
    "random bytes": (random_bytes, "is damaged: it is not a database"),
    "zeros": (zeros, "is damaged: it is not a database"),
    "text": (text, "is damaged: it is not a database"),
    **{f"scribbled {seed}": (scribbled(seed), "is damaged") for seed in range(8)},
}


async def opened(path: Path, **how: bool) -> None:
    await (await open_sqlite(path, **how)).aclose()  # type: ignore[arg-type]  # these are flags


@pytest.mark.parametrize(("harm", "told"), HARMS.values(), ids=HARMS)
async def test_what_is_damaged_is_refused_and_its_log_is_left_alone_until_it_is_put_back(
    file: LeftBehind, killed: LeftBehind, harm: Harm, told: str
) -> None:
    harm(file)
    harmed = file.path.read_bytes() if file.path.exists() else None
    for _ in range(2):
        with pytest.raises(DatabaseRefused, match=told) as refused:
            await opened(file.path)
        assert "Nothing was changed" in str(refused.value)
        assert file.log.read_bytes() == killed.log.read_bytes()
        assert (file.path.read_bytes() if file.path.exists() else None) == harmed
    file.path.write_bytes(killed.path.read_bytes())
    await opened(file.path)
    with closing(sqlite3.connect(file.path)) as connection:
        waiting = connection.execute("SELECT sum(size) FROM queue").fetchone()
    assert waiting == (EVENTS * 100,)


async def test_the_log_of_another_database_is_refused(file: LeftBehind, other: LeftBehind) -> None:
    file.log.write_bytes(other.log.read_bytes())
    before = file.path.read_bytes()
    with pytest.raises(DatabaseRefused, match="the log of another database"):
        await opened(file.path)
    assert (file.path.read_bytes(), file.log.read_bytes()) == (before, other.log.read_bytes())


async def test_a_file_with_its_log_beside_another_name_is_refused(tmp_path: Path) -> None:
    """A hard link: what was accepted last is beside the first name."""
    file = left_behind(tmp_path, relay=True)
    (tmp_path / "link.db").hardlink_to(file.path)
    with pytest.raises(DatabaseRefused, match=r"second name of .*inkpush.db, and the log"):
        await opened(tmp_path / "link.db")
    await opened(file.path)
    await opened(tmp_path / "link.db")


async def test_a_good_file_is_taken_with_its_log_and_without(file: LeftBehind) -> None:
    await opened(file.path)
    file.log.unlink(missing_ok=True)
    await opened(file.path)


async def test_an_absent_file_and_an_empty_one_become_a_new_database(tmp_path: Path) -> None:
    (tmp_path / "empty.db").touch()
    for name in ("absent.db", "empty.db"):
        store = await open_sqlite(tmp_path / name)
        assert store.database.opened is not None
        assert store.database.opened.is_new
        await store.aclose()
        store = await open_sqlite(tmp_path / name)
        assert store.database.opened is not None
        assert not store.database.opened.is_new
        await store.aclose()
        assert (tmp_path / name).stat().st_mode & 0o077 in (0, 0o044)


async def test_no_new_database_where_an_existing_one_is_expected(tmp_path: Path) -> None:
    (tmp_path / "empty.db").touch()
    made(tmp_path / "bare.db", "PRAGMA user_version = 0", "CREATE TABLE t (x)", "DROP TABLE t")
    for name in ("absent.db", "empty.db", "bare.db"):
        with pytest.raises(DatabaseRefused, match=r'store\.expect = "existing"'):
            await opened(tmp_path / name, may_make=False)
    assert not (tmp_path / "absent.db").exists()
    await opened(tmp_path / "made.db")
    await opened(tmp_path / "made.db", may_make=False)


def made(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


OTHERS = {
    "another application's id": ("CREATE TABLE t (x)", "PRAGMA application_id = 252006674"),
    "no version": ("CREATE TABLE contacts (x)",),
    "a version of its own": ("CREATE TABLE contacts (x)", "PRAGMA user_version = 3"),
    "a large version": ("CREATE TABLE contacts (x)", "PRAGMA user_version = 900"),
    "some names like ours": (
        "CREATE TABLE devices (x)",
        "CREATE TABLE events (x)",
        "PRAGMA user_version = 1",
    ),
}


@pytest.mark.parametrize("statements", OTHERS.values(), ids=OTHERS)
async def test_the_file_of_another_application_is_refused_and_not_changed(
    tmp_path: Path, statements: tuple[str, ...]
) -> None:
    path = tmp_path / "inkpush.db"
    made(path, *statements)
    before = path.read_bytes()
    with pytest.raises((DatabaseRefused, SchemaMismatch), match="another application's database"):
        await opened(path)
    assert path.read_bytes() == before


async def test_a_newer_schema_is_told_and_nothing_is_changed(tmp_path: Path) -> None:
    path = tmp_path / "inkpush.db"
    await opened(path)
    made(path, "PRAGMA user_version = 999")
    before = path.read_bytes()
    with pytest.raises(SchemaMismatch, match=r"has schema 999, .* install the newer version"):
        await opened(path)
    assert path.read_bytes() == before


async def test_a_table_that_is_gone_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "inkpush.db"
    await opened(path)
    made(path, "DROP TABLE queue")
    with pytest.raises(DatabaseRefused, match="damaged: the table queue is missing"):
        await opened(path)


async def test_a_file_says_whose_it_is(tmp_path: Path) -> None:
    await opened(tmp_path / "inkpush.db")
    with closing(sqlite3.connect(tmp_path / "inkpush.db")) as connection:
        said = connection.execute("PRAGMA application_id").fetchone()
    assert said[0].to_bytes(4)[:2] == b"IN"


async def test_what_is_no_file_is_told_as_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name in ("folder", "pipe"):
        with pytest.raises(DatabaseRefused, match=f"it is a {name}, not a database"):
            await opened(tmp_path / name)
    with pytest.raises(GatewayError, match="cannot be opened"):
        await opened(tmp_path / "none" / "inkpush.db")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")
@pytest.mark.parametrize("mode", [0o000, 0o400], ids=["unreadable", "read-only"])
async def test_a_file_that_may_not_be_opened_is_told(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "inkpush.db"
    await opened(path)
    path.chmod(mode)
    with pytest.raises(StoreUnavailable, match="cannot be opened: Permission denied"):
        await opened(path)
