"""What is asked at every push, launch or second is found by an index, however much is stored.

The plans are SQLite's own, on a database with content, before and after `ANALYZE`. The steps are
those of SQLite's virtual machine: they are the same on every machine, as seconds are not.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.core.model import UserRef
from gateway.store.queries import load_queries
from gateway.store.sqlite import open_sqlite
from gateway.store.sqlite.journal import newest_of

QUERIES = load_queries("sqlite")

SEED = """
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 19999)
INSERT INTO devices (
    app, provider, installation_id, user_id, custom_id, address, address_kind, platform,
    environment, state, state_at, registered_at, last_seen_at
)
SELECT 'agent', iif(i % 3, 'fcm', 'apns'), 'phone-' || i, iif(i % 5, 'user-' || (i / 2), NULL),
       iif(i % 7, 'custom-' || (i / 2), NULL), 'address-' || i, 'token', 'android', 'production',
       iif(i % 50, 'active', 'pruned'), i, i, i
FROM n;

WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 19999)
INSERT INTO forgotten (hash, at, erased_at) SELECT i * 7919, i, 0 FROM n;

WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 19999)
INSERT INTO audit
SELECT i, 'backend', 'devices.register', 'phone-' || i, 'user-' || i,
       iif(i % 2, 'custom-' || i, ''), 1, 'api', '', iif(i % 500, '', 'a reason'), i % 2
FROM n;

WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 199)
INSERT INTO events (
    event_id, type, status, received_at, notifications, rejected, rejections, chunks, reason, body
)
SELECT 'msg_' || i, 'notifications.sent', iif(i % 40, 'accepted', 'quarantined'), i, 100, 0, '[]',
       1, '', zeroblob(2000)
FROM n;

WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 19999)
INSERT INTO deliveries (
    event_id, item_index, device_id, state, attempts, at, user_id, custom_id, app, provider,
    address_hash, reason, vendor_id, run
)
SELECT 'msg_' || (i / 100), i % 100, i, 'delivered', 1, i,
       iif(i % 2, 'user-busy', 'user-' || i), iif(i % 2, 'custom-busy', 'custom-' || i),
       'agent', 'fcm', '', '', '', i / 100
FROM n;

WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 4999)
INSERT INTO queue (event_id, number, lane, first_seen, deadline, due_at, tries, size, items)
SELECT 'msg_' || (i % 150), 0, iif(i < 4000, 'agent/apns', ''), i, 99999, i, 0, 256, zeroblob(3000)
FROM n;

WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 19999)
INSERT INTO experiment_members
SELECT 'spring', 'word-' || i, i % 5 = 0, i, i + 9, 'agent', 'android', 'learnink' FROM n;

WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 3999)
INSERT INTO experiment_held
SELECT 'spring', 'word-' || (i * 5), 'msg_' || (i % 200), i / 200, i, zeroblob(400),
       'word-' || (i * 5), iif(i % 2, 'own-' || i, '')
FROM n;

WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 3999)
INSERT INTO experiment_left_out SELECT 'spring', 'out-' || i, 'no_device', i FROM n;

WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 3999)
INSERT INTO experiment_also SELECT 'spring', 'word-' || (i * 5) FROM n;

WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 3999)
INSERT INTO experiment_exempt SELECT 'exempt-' || i, i FROM n;
"""

#: which index a query has to use; where there are several, all of them
INDEXES = {
    "audit_delete": ("PRIMARY KEY (at=? AND who=? AND what=? AND object=?",),
    "audit_of_user": ("audit_user (user_word=?)", "audit_custom (custom_word=?)"),
    "audit_purge": ("PRIMARY KEY (at<?)",),
    "audit_reasons": ("audit_reason",),
    "late_erasures": ("erasures_asked (asked_at=?)", "events_received (received_at>?)"),
    "dates_newest": (
        "COVERING INDEX events_received",
        "COVERING INDEX erasures_asked",
        "COVERING INDEX forgotten_at",
    ),
    "deliveries_of_event": ("PRIMARY KEY (event_id=?)",),
    "deliveries_of_user_in_run": (
        "deliveries_user (run=? AND user_id=?)",
        "deliveries_custom (run=? AND custom_id=?)",
    ),
    "deliveries_between": ("PRIMARY KEY (event_id=? AND item_index>? AND item_index<?)",),
    "delivery_revive": ("PRIMARY KEY (event_id=? AND item_index=? AND device_id=?)",),
    "effect_entered": (
        "PRIMARY KEY (experiment=?)",
        "PRIMARY KEY (person=? AND type=? AND occurred_at>? AND occurred_at<?)",
        "PRIMARY KEY (person=? AND type=?",
    ),
    "erase_members": ("experiment_members_person (person=?)",),
    "erase_outcomes": ("PRIMARY KEY (person=?)",),
    "held_members": ("experiment_members_person (person=?)",),
    "held_outcomes": ("PRIMARY KEY (person=?)",),
    "erase_left_out": ("experiment_left_out_person (person=?)",),
    "erase_also": ("experiment_also_person (person=?)",),
    "erase_exempt": ("PRIMARY KEY (person=?)",),
    "erase_held_back": (
        "experiment_held_user (who_user=?)",
        "experiment_held_custom (who_custom=?)",
    ),
    "erase_held_items": ("experiment_held_event (event_id=? AND item=?)",),
    "held_left_out": ("experiment_left_out_person (person=?)",),
    "held_exempt": ("PRIMARY KEY (person=?)",),
    "held_reminders": (
        "experiment_held_user (who_user=?)",
        "experiment_held_custom (who_custom=?)",
        "PRIMARY KEY (experiment=? AND person=?)",
    ),
    "experiment_members_of": ("person=?)",),
    "experiment_exempt_of": ("PRIMARY KEY (person=?)",),
    "experiment_devices": ("INTEGER PRIMARY KEY (rowid=?)",),
    "experiment_due": (
        "waits USING COVERING INDEX experiment_held_event",
        "m USING PRIMARY KEY (experiment=? AND person=?)",
        "h USING PRIMARY KEY (experiment=? AND person=?)",
    ),
    "experiment_sent": ("PRIMARY KEY (experiment=? AND person=?)",),
    "experiment_let_people_go": (
        "experiment_members_person (person=?)",
        "experiment_held_user (who_user=?)",
        "experiment_held_custom (who_custom=?)",
    ),
    "experiment_member_let_go": ("PRIMARY KEY (experiment=? AND person=?)",),
    "experiment_counts": ("PRIMARY KEY (experiment=?)",),
    "experiment_left_out_counts": ("PRIMARY KEY (experiment=? AND person=?)",),
    "effect_events": ("events_received (received_at>? AND received_at<?)",),
    "effect_pushed": (
        "PRIMARY KEY (event_id=? AND item_index>? AND item_index<?)",
        "PRIMARY KEY (event_id=? AND item_index=? AND device_id=?)",
        "INTEGER PRIMARY KEY (rowid=?)",
    ),
    "device_by_address": ("devices_address (address=? AND provider=? AND app=?)",),
    "device_by_installation": ("devices_installation (installation_id=? AND app=?)",),
    "device_standing": ("INTEGER PRIMARY KEY (rowid=?)",),
    "device_remove": ("INTEGER PRIMARY KEY (rowid=?)",),
    "devices_count": ("COVERING INDEX devices_state",),
    "devices_of_installation": ("devices_installation (installation_id=?)",),
    "devices_of_user": ("devices_user (user_id=?)", "devices_custom (custom_id=?)"),
    "devices_page": ("INTEGER PRIMARY KEY (rowid>?)",),
    "devices_purge": ("devices_pruned (state_at<?)",),
    "forgotten_find": ("INTEGER PRIMARY KEY (rowid=?)",),
    "forgotten_purge": ("forgotten_at (at<?)", "INTEGER PRIMARY KEY (rowid=?)"),
    "erase_deliveries": ("PRIMARY KEY (event_id=? AND item_index=?)",),
    "erase_devices": ("devices_user (user_id=?)", "devices_custom (custom_id=?)"),
    "erase_end": ("PRIMARY KEY (event_id=? AND item_index=?)",),
    "erase_find_events": (
        "deliveries_user (run=? AND user_id=?)",
        "deliveries_custom (run=? AND custom_id=?)",
        "dead_letters_user (user_id=?)",
        "dead_letters_custom (custom_id=?)",
        "event_people USING PRIMARY KEY (person=?)",
    ),
    "erase_letters": ("dead_letters_user (user_id=?)", "dead_letters_custom (custom_id=?)"),
    "erase_failed": ("PRIMARY KEY (event_id=? AND item_index=?)",),
    "events_misread": ("PRIMARY KEY (person=?)", "(event_id=?)"),
    "events_some": ("(event_id=?)",),
    "held_back": ("devices_user (user_id=?)", "devices_custom (custom_id=?)"),
    "held_erasures": ("PRIMARY KEY (who_user=?)", "erasures_custom (who_custom=?)"),
    "held_letters": ("dead_letters_user (user_id=?)", "dead_letters_custom (custom_id=?)"),
    "held_named_in": ("PRIMARY KEY (person=?)",),
    "items_journaled": ("PRIMARY KEY (event_id=? AND item_index=?)",),
    "waiting_queued": ("queue_event (event_id>?)", "(event_id=?)"),
    "waiting_queued_count": ("COVERING INDEX queue_event",),
    "failed_get": ("PRIMARY KEY (event_id=? AND item_index=? AND device_id=?)",),
    "erased_items": ("deliveries USING PRIMARY KEY (event_id=?)",),
    "erased_since": ("(event_id=?)", "COVERING INDEX erasures_asked"),
    "erasure_asked": ("PRIMARY KEY (who_user=? AND who_custom=?)",),
    "erasure_state": ("PRIMARY KEY (who_user=?)", "erasures_custom (who_custom=?)"),
    "erasures_since": ("erasures_asked (asked_at>?)",),
    "event_people_delete": ("event_people_event (event_id=?)",),
    "search_bodies": ("events USING INTEGER PRIMARY KEY (rowid>?)",),
    "search_queue": ("queue USING INTEGER PRIMARY KEY (rowid>?)",),
    "erase_indexes": ("SEARCH deliveries",),
    "erase_queued": ("queue_event (event_id=?)",),
    "event_deliveries_delete": ("PRIMARY KEY (event_id=? AND item_index=?",),
    "event_is_queued": ("queue_event (event_id=?)",),
    "event_states": ("PRIMARY KEY (event_id=?)",),
    "events_page": ("events_received",),
    "key_find": ("(digest=?)",),
    "old_events": ("events_received (received_at<?)", "queue_event (event_id=?)"),
    "journaled_since": ("PRIMARY KEY (event_id=? AND item_index>? AND item_index<?)",),
    "cancel_among": ("cancelled USING PRIMARY KEY (event_id=?)",),
    "cancel_recent": ("cancelled_at (at>?)", "cancelled_open"),
    "cancel_counts": ("PRIMARY KEY (event_id=?)",),
    "progress": (
        "PRIMARY KEY (event_id=? AND item_index>? AND item_index<?)",
        "cancelled USING PRIMARY KEY (event_id=?)",
    ),
    "queue_hasten": ("queue_event (event_id=?)",),
    "queue_beside": ("queue_event (event_id=?)",),
    "queue_claim": ("COVERING INDEX queue_due (due_at<?)", "INTEGER PRIMARY KEY (rowid=?)"),
    "queue_depth": ("COVERING INDEX queue_due",),
    "queue_extend": ("INTEGER PRIMARY KEY (rowid=?)",),
    "queue_absolve": ("INTEGER PRIMARY KEY (rowid=?)",),
    "queue_suspect": ("queue_suspects",),
    "queue_try": ("INTEGER PRIMARY KEY (rowid=?)",),
    "queue_leave": ("INTEGER PRIMARY KEY (rowid=?)",),
    "queue_settle": ("INTEGER PRIMARY KEY (rowid=?)",),
    "receipts_take_back": (
        "deliveries_user (run=? AND user_id=?)",
        "deliveries_custom (run=? AND custom_id=?)",
        "receipts USING PRIMARY KEY (event_id=? AND item_index=? AND device_id=? AND kind=?)",
    ),
    "runs": ("COVERING INDEX deliveries_user", "COVERING INDEX deliveries_custom"),
    "suppressions_of": (
        "suppressions_user (who_user=? AND path=?)",
        "suppressions_custom (who_custom=? AND path=?)",
    ),
    "suppressions_recent": ("suppressions_received (received_at>?)",),
    "suppressions_erase": (
        "suppressions_user (who_user=?)",
        "suppressions_custom (who_custom=?)",
    ),
    "suppressions_delete": ("suppressions USING PRIMARY KEY (event_id=?)",),
    "suppressions_people": ("event_people_event (event_id=?)",),
    "suppressions_pending": (
        "deliveries_user (run=? AND user_id=?)",
        "deliveries_custom (run=? AND custom_id=?)",
    ),
    "suppressions_waiting": ("queue_event (event_id=?)",),
    "targets": (
        "d USING COVERING INDEX devices_user (user_id=?)",
        "d USING COVERING INDEX devices_custom (custom_id=?)",
        "devices USING INTEGER PRIMARY KEY (rowid=?)",
    ),
}

#: what goes through a whole table, and why it may; a covering index is not the table
SCANS = {
    "audit_newest": "one row, the last of the key",
    "audit_reasons": "along the index of rows with a reason, which people gave",
    "copy_counts": "for the progress of a copy, which reads every row after it",
    "devices_audience": "for metrics, in the background, for two hundredths of the time at most",
    "effect_phones_count": "once a day, in the background, beside the readers",
    "doubts_newest": "once, at the start of a process: the last ten thousand devices",
    "erase_find_events": "along the index of learning events that are not chained yet",
    "held_named_in": "the same",
    "learning_waiting": "the same, oldest first, until the limit",
    "events_page": "along the index, newest first, until the limit",
    "held_forgotten": "only where all that is held of a person is asked for, beside the readers",
    "held_reasons": "the same, along the index of rows with a reason",
    "queue_let_go": "once, at the end of a process",
    "queue_rescue": "once, at the start of a process",
    "recall_due": "when the time is agreed on: at the start, and after a doubt",
    "recall_future": "the same",
    "late_devices": "once, when a clock that was wrong is found out, or its process ended before",
    "late_forgotten": "the same",
    "recall_dates": "once, after a process that ended while its clock was wrong",
    "recall_devices": "the same",
    "recall_forgotten": "the same",
    "recall_queue": "the same",
    "recall_receipts": "the same",
    "recall_starts": "the same",
    "recall_holders": "the same",
    "recall_members": "the same",
    "recall_left_out": "the same",
    "recall_exempt": "the same",
    "redate_devices": "once, when a clock that was wrong is found out",
    "redate_forgotten": "the same",
    "redate_receipts": "the same",
    "redate_starts": "the same",
    "redate_holders": "the same",
    "redate_members": "the same",
    "redate_left_out": "the same",
    "redate_exempt": "the same",
    "redate_leases": "the same",
    "redate_queue": "the same",
    "queue_suspect": "along the index of suspects, fewest lone ends first, until one is due",
    "relays_gone": "once, at the start of a process, and for relays of other machines only",
}

LARGE = re.compile(
    r"SCAN (devices|d|deliveries|queue|events|forgotten|audit|failed_attempts|receipts|starts"
    r"|experiment_\w+|waits)\b"
    r"(?! USING COVERING INDEX)"
)


@pytest.fixture(params=["as it grew", "analyzed"])
async def seeded(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "inkpush.db"
    await (await open_sqlite(path)).aclose()
    connection = sqlite3.connect(path)
    connection.executescript(SEED)
    if request.param == "analyzed":
        connection.execute("ANALYZE")
    connection.close()
    return path


@pytest.fixture
def connection(seeded: Path) -> Iterator[sqlite3.Connection]:
    opened = sqlite3.connect(seeded)
    opened.execute(QUERIES["recall_begin"])
    # reading the schema is the first statement's, and no step of a query
    opened.execute("SELECT 1 FROM devices LIMIT 1").fetchone()
    yield opened
    opened.close()


def plan(connection: sqlite3.Connection, name: str) -> str:
    query = QUERIES[name]
    named = set(re.findall(r":(\w+)", query))
    places = set(re.findall(r"\?\d+", query)) or query.count("?") * "?"
    values: Any = dict.fromkeys(named) if named else [None] * len(places)
    if query.startswith("CREATE"):
        return ""  # it is there
    rows = connection.execute(f"EXPLAIN QUERY PLAN {query}", values).fetchall()
    return "\n".join(row[3] for row in rows)


def test_each_query_uses_the_index_that_was_made_for_it(connection: sqlite3.Connection) -> None:
    missing = {
        name: plan(connection, name)
        for name, indexes in INDEXES.items()
        if not all(index in plan(connection, name) for index in indexes)
    }
    assert missing == {}


def test_no_query_goes_through_a_large_table_without_a_reason(
    connection: sqlite3.Connection,
) -> None:
    scanning = {name for name in QUERIES if LARGE.search(plan(connection, name))}
    assert scanning == set(SCANS)


# --- what it comes to ---------------------------------------------------------------------------


def steps(connection: sqlite3.Connection, name: str, values: Any) -> int:
    """How many hundred instructions of SQLite's virtual machine a query takes."""
    count = 0

    def tick() -> int:
        nonlocal count
        count += 1
        return 0

    # reading the schema is not the query's
    connection.execute(f"EXPLAIN {QUERIES[name]}", values).fetchall()
    connection.set_progress_handler(tick, 100)
    connection.execute(QUERIES[name], values).fetchall()
    connection.set_progress_handler(None, 0)
    return count


def test_the_newest_deliveries_of_a_user_cost_what_is_asked_for_not_the_history(
    connection: sqlite3.Connection,
) -> None:
    asked: list[str] = []
    connection.set_trace_callback(asked.append)
    busy = UserRef("user-busy", "custom-busy")
    rows = newest_of(connection, QUERIES, busy, limit=60, since=None)
    assert [row[5] for row in rows] == list(range(19_999, 19_879, -2))
    # 50 of a run are theirs: what was asked is the bounds, and the two newest runs of 200
    assert len(asked) == 3


def test_a_run_is_looked_through_without_reading_what_others_have_in_it(
    connection: sqlite3.Connection,
) -> None:
    quiet = {"user_id": "user-500", "custom_id": "custom-500", "since": None, "limit": 10}
    assert steps(connection, "deliveries_of_user_in_run", quiet | {"run": 5}) <= 2
    assert steps(connection, "runs", {}) <= 2


def test_what_may_be_purged_is_found_without_reading_the_queue(
    connection: sqlite3.Connection,
) -> None:
    page = {"before": 1_000.0, "limit": 50}
    assert connection.execute(QUERIES["old_events"], page).fetchall() == [
        (f"msg_{n}",) for n in range(150, 200)
    ]
    # 200 events were looked at, each by one search in an index; the queue has 5 000 rows
    assert steps(connection, "old_events", page) < 50


def test_a_lookup_costs_what_is_asked_for_not_what_is_registered(
    connection: sqlite3.Connection,
) -> None:
    users = [f"user-{number}" for number in range(0, 10_000, 40)]
    customs = [user.replace("user", "custom") for user in users]
    # 250 users of 10 000; each is found in two indexes and read once
    asked = {"user_ids": json.dumps(users), "custom_ids": json.dumps(customs)}
    assert steps(connection, "targets", asked) < 500


def test_what_a_chunk_that_comes_again_has_done_is_found_without_the_rest_of_the_journal(
    connection: sqlite3.Connection,
) -> None:
    bounds = {"event_id": "msg_7", "low": 0, "high": 99}
    assert len(connection.execute(QUERIES["progress"], bounds).fetchall()) == 100
    assert steps(connection, "progress", bounds) < 20


def test_a_claim_reads_the_chunks_it_takes_not_those_that_wait(
    connection: sqlite3.Connection,
) -> None:
    lease = {"lease_id": "1", "until": 1e6, "now": 1e5, "limit": 8, "skip_lanes": "[]"}
    assert steps(connection, "queue_claim", lease) < 20


def test_a_look_for_suspects_reads_none_of_those_that_are_no_suspects(
    connection: sqlite3.Connection,
) -> None:
    asked = {"now": 1e5, "skip_lanes": "[]"}
    assert connection.execute(QUERIES["queue_suspect"], asked).fetchall() == []
    assert steps(connection, "queue_suspect", asked) <= 1


def test_a_claim_passes_suspects_without_reading_them(connection: sqlite3.Connection) -> None:
    connection.execute("UPDATE queue SET tries = 2 WHERE id <= 500")
    lease = {"lease_id": "1", "until": 1e6, "now": 1e5, "limit": 8, "skip_lanes": "[]"}
    # an entry of the index for each
    assert steps(connection, "queue_claim", lease) < 20 + 500 // 5


def test_a_journaled_verdict_is_written_without_reading_others(
    connection: sqlite3.Connection,
) -> None:
    row = ("msg_7", 500, 1, "delivered", 1, 1.0, "u", "c", "agent", "fcm", "", "", "", None, 0, 201)
    assert steps(connection, "delivery_upsert", row) <= 1
