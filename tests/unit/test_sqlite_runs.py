"""The journal is written in runs, and a user's deliveries are looked up run by run."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from gateway.core.model import Record, UserRef
from gateway.core.states import DeliveryState
from gateway.store.queries import load_migrations
from gateway.store.sqlite import open_sqlite
from tests.kit.build import NOW
from tests.kit.stores import record

MARY = UserRef(user_id="mary")


async def test_a_users_deliveries_are_found_in_every_run_newest_first(tmp_path: Path) -> None:
    path = tmp_path / "inkpush.db"
    store = await open_sqlite(path)
    marys = []
    for number in range(5):
        marys.append(record(f"msg_{number}", 0, at=NOW + number))
        crowd = [
            record(f"msg_{number}", 1 + n, at=NOW + number, user_id=f"user-{n}")
            for n in range(2_500)
        ]
        await store.journal.record([marys[-1], *crowd], [])
    assert await store.journal.deliveries_of(MARY, limit=10) == marys[::-1]
    assert await store.journal.deliveries_of(MARY, limit=2) == marys[:2:-1]
    await store.aclose()
    assert _runs(path, "mary") == [3, 2, 2, 1, 1]


async def test_a_process_begins_with_a_run_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "inkpush.db"
    for number in range(3):
        store = await open_sqlite(path)
        await store.journal.record([record(f"msg_{number}", at=NOW + number)], [])
        await store.aclose()
    assert _runs(path, "mary") == [3, 2, 1]


async def test_what_is_written_again_stands_in_the_run_of_the_latest_word(tmp_path: Path) -> None:
    path = tmp_path / "inkpush.db"
    pending = record(state=DeliveryState.PENDING, at=NOW)
    others = [record("msg_2", n, at=NOW + n) for n in range(5_000)]
    store = await open_sqlite(path)
    await store.journal.record([pending], [])
    await store.journal.record(others, [])
    delivered: Record = record(at=NOW + 9_000)
    await store.journal.record([delivered], [])
    assert await store.journal.deliveries_of(MARY, limit=1) == [delivered]
    await store.aclose()
    assert _runs(path, "mary")[0] == 2


async def test_a_journal_of_before_the_runs_is_looked_up_too(tmp_path: Path) -> None:
    path = tmp_path / "inkpush.db"
    before = sqlite3.connect(path)
    before.executescript(load_migrations("sqlite")[0][1])
    before.execute("PRAGMA user_version = 1")
    before.execute(
        "INSERT INTO deliveries VALUES "
        "('msg_0', 3, 7, 'delivered', 1, 5.0, 'mary', NULL, 'agent', 'fcm', '', '', '', NULL)"
    )
    before.execute(
        "INSERT INTO queue VALUES (1, 'msg_0', 0, '', 864005, 9e9, 864005, NULL, 0, 0, '[]')"
    )
    before.commit()
    before.close()
    store = await open_sqlite(path)
    old = Record("msg_0", 3, 7, DeliveryState.DELIVERED, 1, 5.0, "mary", None, "agent", "fcm")
    new = record("msg_1")
    await store.journal.record([new], [])
    assert await store.journal.deliveries_of(MARY, limit=5) == [new, old]
    await store.aclose()
    after = sqlite3.connect(path)
    assert after.execute("SELECT day FROM queue").fetchall() == [(10,)]
    after.close()


def _runs(path: Path, user_id: str) -> list[int]:
    connection = sqlite3.connect(path)
    query = "SELECT run FROM deliveries WHERE user_id = ? ORDER BY at DESC"
    runs = [run for (run,) in connection.execute(query, (user_id,))]
    connection.close()
    return runs
