"""On PostgreSQL, too, what is asked at every push, launch or second is found by an index.

The plans are those for known values and the generic ones that a prepared statement ends up with, on
an analyzed database with content. Costs are counted in pages, which are the same on every machine.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from gateway.core.states import DeliveryState
from gateway.store.postgres import PostgresStore, open_postgres
from gateway.store.queries import load_queries
from tests.kit.postgres import databases
from tests.kit.stores import record

QUERIES = load_queries("postgres")
DAYS = range(100, 105)

SEED = """
INSERT INTO devices (
    app, provider, installation_id, user_id, custom_id, address, address_kind, platform,
    environment, state, state_at, registered_at, last_seen_at
)
SELECT 'agent', CASE WHEN i % 3 > 0 THEN 'fcm' ELSE 'apns' END, 'phone-' || i,
       CASE WHEN i % 5 > 0 THEN 'user-' || (i / 2) END,
       CASE WHEN i % 7 > 0 THEN 'custom-' || (i / 2) END, 'address-' || i, 'token', 'android',
       'production', CASE WHEN i % 50 > 0 THEN 'active' ELSE 'pruned' END, i, i, i
FROM generate_series(0, 19999) i;

INSERT INTO forgotten (hash, at, erased_at)
SELECT i * 7919::bigint, i, 0 FROM generate_series(0, 19999) i;

INSERT INTO audit
SELECT i, 'backend', 'devices.register', 'phone-' || i, 'user-' || i,
       CASE WHEN i % 2 > 0 THEN 'custom-' || i ELSE '' END, 1, 'api', '',
       CASE WHEN i % 500 > 0 THEN '' ELSE 'a reason' END, i % 2
FROM generate_series(0, 19999) i;

INSERT INTO events (
    event_id, type, status, received_at, notifications, rejected, rejections, chunks, reason, body
)
SELECT 'msg_' || i, 'notifications.sent',
       CASE WHEN i % 40 > 0 THEN 'accepted' ELSE 'quarantined' END, i, 100, 0, '[]', 1, '',
       convert_to(repeat('x', 2000), 'UTF8')
FROM generate_series(0, 1999) i;

INSERT INTO deliveries (
    event_id, item_index, device_id, state, attempts, at, user_id, custom_id, app, provider,
    address_hash, reason, vendor_id, day
)
SELECT 'msg_' || (i / 100), i % 100, i, CASE WHEN i % 9 > 0 THEN 'delivered' ELSE 'dead' END, 1, i,
       CASE WHEN i % 2 > 0 THEN 'user-busy' ELSE 'user-' || i END,
       CASE WHEN i % 2 > 0 THEN 'custom-busy' ELSE 'custom-' || i END,
       'agent', 'fcm', '', '', '', 100 + i / 8000
FROM generate_series(0, 39999) i;

INSERT INTO chunks_done (event_id, number)
SELECT 'msg_' || (i / 4), i % 4 FROM generate_series(0, 7999) i;

INSERT INTO failed_attempts
SELECT 'msg_' || (i / 100), i % 100, i, 1, repeat('x', 100) FROM generate_series(0, 19999) i;

INSERT INTO event_people SELECT 'user-' || i, 'msg_' || (i / 10) FROM generate_series(0, 19999) i;

INSERT INTO suppressions
SELECT 'msg_' || i, '/' || (i % 9), 'learnink', 'word-' || i, CASE WHEN i % 2 > 0 THEN 'own-' || i
       ELSE '' END, i, 60, i
FROM generate_series(0, 19999) i;

INSERT INTO dead_letters (
    event_id, item_index, device_id, app, provider, reason, attempts, died_at, title, body, user_id,
    custom_id
)
SELECT 'msg_' || (i / 100), i % 100, i, 'agent', 'fcm', '', 12, i, 't', repeat('b', 100),
       'user-' || i, 'custom-' || i
FROM generate_series(0, 4999) i;

INSERT INTO queue (
    event_id, number, lane, first_seen, deadline, due_at, tries, size, items, day
)
SELECT 'msg_' || (i % 1500), 0, CASE WHEN i < 4000 THEN 'agent/apns' ELSE '' END, i, 99999, i, 0,
       256, convert_to(repeat('x', 3000), 'UTF8'), 100
FROM generate_series(0, 4999) i;

INSERT INTO experiment_members
SELECT 'spring', 'word-' || i, CASE WHEN i % 5 > 0 THEN 0 ELSE 1 END, i, i + 9, 'agent', 'android',
       'learnink'
FROM generate_series(0, 19999) i;

INSERT INTO experiment_held
SELECT 'spring', 'word-' || (i * 5), 'msg_' || (i % 200), i / 200, i,
       convert_to(repeat('x', 400), 'UTF8'), 'word-' || (i * 5),
       CASE WHEN i % 2 > 0 THEN 'own-' || i ELSE '' END
FROM generate_series(0, 3999) i;

INSERT INTO experiment_left_out
SELECT 'spring', 'out-' || i, 'no_device', i FROM generate_series(0, 19999) i;

INSERT INTO experiment_also SELECT 'spring', 'word-' || (i * 5) FROM generate_series(0, 19999) i;

INSERT INTO experiment_exempt SELECT 'exempt-' || i, i FROM generate_series(0, 19999) i;
"""

#: what a query has to find its rows by; the values are those that it is planned for
INDEXES: dict[str, tuple[tuple[str, ...], tuple[Any, ...]]] = {
    "audit_delete": (
        ("audit_pkey",),
        (7.0, "backend", "lanes.pause", "phone-7", "", ""),
    ),
    "audit_of_user": (("audit_user", "audit_custom"), ("user-7", "custom-7")),
    "audit_purge": (("audit_pkey",), (30.0, 20.0, 10)),
    "audit_reasons": (("audit_reason",), ("mary", "staff-7")),
    "deliveries_of_event": (("deliveries_d100_pkey", "deliveries_d104_pkey"), ("msg_7",)),
    "deliveries_of_user": (
        ("deliveries_d100_user_id_at_idx", "deliveries_d104_custom_id_at_idx"),
        ("user-6", "custom-6", 0.0, 10),
    ),
    "deliveries_revive": (("deliveries_d100_pkey",), (["msg_7"], [1], [701], 1.0)),
    "effect_events": (("events_received",), (1000.0, 1010.0, 1000.0, "msg_7", 10)),
    "effect_pushed": (
        ("deliveries_d100_pkey", "devices_pkey"),
        (["msg_7"], [100], 0, 99),
    ),
    "devices_touched": (
        ("devices_installation", "devices_address"),
        ("phone-7", "agent", "fcm", ["address-7"]),
    ),
    "device_remember_environment": (("Index Scan using devices_",), (7, "address-7", "sandbox")),
    "deliveries_between": (("deliveries_d100_pkey",), (100, "msg_7", 0, 99)),
    "devices_of_installation": (("devices_installation",), ("phone-7",)),
    "devices_of_user": (("devices_user", "devices_custom"), ("user-7", "custom-7")),
    "devices_page": (("devices_pkey",), (500, None, None, 500, None, False)),
    "devices_proven": (("devices_pkey",), ([7, 8],)),
    "devices_purge": (("devices_pruned",), (30.0, 10)),
    "devices_remove": (("devices_pkey",), ([7], ["pruned"], ["r"], [1.0])),
    "devices_in_the_way": (
        ("devices_installation", "devices_address"),
        (["phone-7", "phone-8"], ["address-7", "address-9"]),
    ),
    "devices_of_users": (("devices_user", "devices_custom"), (["user-7"], ["custom-8"])),
    "events_misread": (("event_people_pkey", "events_pkey"), ("user-7", "custom-7", 3)),
    "events_some": (("events_pkey",), (["msg_7"],)),
    "held_acts": (("audit_user", "audit_custom"), ("user-7", "custom-7")),
    "held_letters": (("dead_letters_user", "dead_letters_custom"), ("user-7", "custom-7")),
    "held_reasons": (("audit_reason",), ("mary", "staff-7")),
    "items_journaled": (("deliveries_d100_pkey",), ([100], ["msg_7"], [7])),
    "waiting_queued": (("queue_event", "events_pkey"), ("msg_7", 10, [b"x"])),
    "waiting_queued_count": ((), ()),
    "waiting_since": (
        ("events_received", "chunks_done_pkey", "events_pkey"),
        (1000.0, 1900.0, "msg_7", 50, [b"x"]),
    ),
    "waiting_since_count": (("events_received", "chunks_done_pkey"), (1990.0,)),
    "held_forgotten": ((), ([7, 8],)),
    "failed_get": (("failed_attempts_pkey",), (["msg_7"], [1], [701])),
    "forgotten_find": (("forgotten_pkey",), ([7, 8],)),
    "forgotten_purge": (("forgotten_at", "forgotten_pkey"), (30.0, 10)),
    "erase_deliveries": (("deliveries_d100_pkey",), ("msg_7", [1])),
    "erase_devices": (("devices_user", "devices_custom"), ("user-7", "custom-7")),
    "erase_end": (("deliveries_d100_pkey",), ("msg_7", [1], 1.0, "erased", 100)),
    "erase_find_events": (
        ("deliveries_d100_user_id_at_idx", "deliveries_d100_custom_id_at_idx"),
        ("user-6", "custom-6"),
    ),
    "erase_failed": (("failed_attempts_pkey",), ("msg_7", [1])),
    "erased_items": (("deliveries_d100_pkey",), (["msg_7"],)),
    "erased_since": (("events_pkey",), (["msg_7"],)),
    "erase_names": (("deliveries_d100_pkey",), (["msg_7"], [1], [1], [100])),
    "search_bodies": (("events_pkey",), ("msg_7", 10, [b"x"])),
    "search_queue": (("queue_pkey",), (7, 10, [b"x"])),
    "erase_indexes": (("deliveries_d101_pkey",), ("msg_7", "user-6", "custom-6")),
    "erase_queued": (("queue_event",), ("msg_7",)),
    "event_standing": (("queue_event", "chunks_done_pkey", "deliveries_d100_pkey"), ("msg_7",)),
    "event_states": (("deliveries_d100_pkey",), ("msg_7",)),
    "events_page": (("events_received",), (None, None, None, 50)),
    "events_purge": (("events_received", "queue_event"), (3.0, 50)),
    "events_requeue": (("events_received",), (1990.0,)),
    "events_stale": (("events_accepting",), (3.0, 50)),
    "key_find": (("digest",), (b"x",)),
    "progress": (("deliveries_d100_pkey",), (100, "msg_7", 0, 99)),
    "queue_beside": (("queue_event",), ("msg_7", 7, 0)),
    "queue_claim": (("queue_due", "queue_pkey"), (1e5, ["agent/x"], 8, "lease", 60.0, 1e5)),
    "journaled_since": (("deliveries_d100_pkey",), (100, "msg_7", 0, 99, 1.0)),
    "queue_absolve": (("queue_pkey",), (7, "lease")),
    "queue_suspect": (("queue_suspects",), (1e5, ["agent/x"], 1e5)),
    "queue_take_suspect": (("queue_suspects",), (1e5, ["agent/x"], 1e5)),
    "queue_try": (("queue_pkey",), (7, "lease", 60.0, 3, 1, 1, 1e5, None)),
    "queue_extend": (("queue_pkey",), ([7], ["lease"], 60.0, None)),
    "queue_held": (("queue_pkey",), ([7], ["lease"])),
    "queue_leave": (("queue_pkey",), (7, "lease", 1.0)),
    "queue_settle": (("queue_pkey",), (7, "lease")),
    "receipts_take_back": (
        ("deliveries_d100_user_id_at_idx", "deliveries_d100_custom_id_at_idx"),
        (7, "user-6", "custom-6"),
    ),
    "suppressions_of": (("suppressions_user", "suppressions_custom"), (["word-7"], ["/7"])),
    "suppressions_hasten": (
        (
            "event_people_event",
            "deliveries_d100_user_id_at_idx",
            "deliveries_d104_custom_id_at_idx",
        ),
        ("msg_7", 0.0, 256),
    ),
    "suppressions_recent": (("suppressions_received",), (19990.0,)),
    "suppressions_erase": (("suppressions_user", "suppressions_custom"), ("word-7", "own-7")),
    "targets": (("devices_user", "devices_custom"), (["user-7"], ["custom-8"])),
    "experiment_members_of": (("experiment_members_person",), (["word-7"],)),
    "experiment_exempt_of": (("experiment_exempt_pkey",), (["exempt-7"],)),
    "experiment_devices": (("devices_pkey",), ([7, 8],)),
    "experiment_due": ((), (5.0, 0.0, "", "", 10)),
    "experiment_sent": (("Index Scan using experiment_held_",), ("spring", "word-5", "msg_1", 0)),
    "experiment_let_people_go": (
        (
            "experiment_members_person",
            "experiment_held_user",
            "experiment_held_custom",
        ),
        (["word-7"], 5.0),
    ),
    "experiment_members_let_go": (
        ("Index Scan using experiment_members_",),
        (["spring"], ["word-5"], [5.0]),
    ),
    "erase_members": (("experiment_members_person",), ("word-7", "own-7")),
    "erase_left_out": (("experiment_left_out_person",), ("word-7", "own-7")),
    "erase_also": (("experiment_also_person",), ("word-7", "own-7")),
    "erase_exempt": (("experiment_exempt_pkey",), ("word-7", "own-7")),
    "erase_held_back": (
        ("experiment_held_user", "experiment_held_custom"),
        ("word-7", "own-7"),
    ),
    "erase_held_items": (("experiment_held_event",), ("msg_7", [1])),
    "held_left_out": (("experiment_left_out_person",), ("word-7", "own-7")),
    "held_exempt": (("experiment_exempt_pkey",), ("word-7", "own-7")),
    "held_reminders": (
        ("experiment_held_user", "experiment_held_custom", "experiment_members_p"),
        ("word-7", "own-7"),
    ),
}

#: what goes through a whole table, and why it may
SCANS = {
    "waiting_queued_count": "where a second was not enough to look through what waits",
    "experiment_due": "at most one of each person who is held now",
    "held_forgotten": "only where all that is held of a person is asked for",
    "events_requeue": "once, when a stream was lost: what is pending, of all days",
}

LARGE = re.compile(
    r"Seq Scan on (devices|deliveries\w*|queue|events|dead_letters|chunks_done|forgotten|audit"
    r"|failed_attempts|suppressions|experiment_\w+)\b"
)


@pytest.fixture
async def seeded() -> AsyncIterator[PostgresStore]:
    """A new database: one that was used has other tests' days, and room in its tables."""
    url = await databases().create()
    store = await open_postgres(url)
    for day in DAYS:
        await store.journal.record([record(f"msg_first_{day}", day=day)], [])
    connection = await asyncpg.connect(url)
    await connection.execute(SEED)
    await connection.execute("VACUUM ANALYZE")
    await connection.close()
    yield store
    await store.aclose()


@pytest.fixture
async def connection(seeded: PostgresStore) -> AsyncIterator[Any]:
    opened = await asyncpg.connect(seeded.database.url)
    yield opened
    await opened.close()


def literal(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, list):
        return f"ARRAY[{', '.join(map(literal, value))}]"
    if isinstance(value, bytes):
        return f"'\\x{value.hex()}'::bytea"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return str(value)


async def plan(connection: Any, name: str, values: tuple[Any, ...], *, generic: bool) -> str:
    """The plan of a prepared statement, as text."""
    mode = "force_generic_plan" if generic else "force_custom_plan"
    await connection.execute(f"SET plan_cache_mode = {mode}")
    await connection.execute(f"PREPARE asked AS {QUERIES[name]}")
    given = f"({', '.join(map(literal, values))})" if values else ""
    try:
        rows = await connection.fetch(f"EXPLAIN (COSTS OFF) EXECUTE asked{given}")
    finally:
        await connection.execute("DEALLOCATE asked")
    return "\n".join(row[0] for row in rows)


@pytest.mark.parametrize("generic", [False, True], ids=["known values", "generic"])
async def test_each_query_uses_the_index_that_was_made_for_it_and_reads_no_table(
    connection: Any, generic: bool
) -> None:
    plans = {
        name: await plan(connection, name, values, generic=generic)
        for name, (_, values) in INDEXES.items()
    }
    missing = {
        name: plans[name]
        for name, (indexes, _) in INDEXES.items()
        if not all(index in plans[name] for index in indexes)
    }
    assert not missing, "\n\n".join(f"{name}:\n{text}" for name, text in missing.items())
    assert {name for name, text in plans.items() if LARGE.search(text)} == set(SCANS)


@pytest.mark.parametrize("generic", [False, True], ids=["known values", "generic"])
async def test_what_a_chunk_has_done_is_looked_for_in_its_days_partition_alone(
    connection: Any, generic: bool
) -> None:
    text = await plan(connection, "progress", (102, "msg_7", 0, 99), generic=generic)
    assert set(re.findall(r"deliveries_d\d+", text)) == {"deliveries_d102"}


async def test_verdicts_are_written_into_their_days_partition_alone(connection: Any) -> None:
    """Those that a transaction touched are those that it has locked."""
    async with connection.transaction():
        rows = [record("msg_new", n, day=103, state=DeliveryState.PENDING) for n in range(3)]
        for _ in range(2):
            await connection.execute(QUERIES["deliveries_upsert"], rows)
        locked = await connection.fetch(
            "SELECT DISTINCT relation::regclass::text AS name FROM pg_locks "
            "WHERE pid = pg_backend_pid() AND relation::regclass::text ~ '^deliveries_d[0-9]+$'"
        )
    assert [row["name"] for row in locked] == ["deliveries_d103"]


# --- what it comes to -----------------------------------------------------------------------------


async def pages(connection: Any, name: str, *values: Any) -> int:
    """How many pages a query looks at, run and undone."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        explained = await connection.fetchval(
            f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {QUERIES[name]}", *values
        )
    finally:
        await transaction.rollback()
    top = json.loads(explained)[0]["Plan"]
    return int(top["Shared Hit Blocks"] + top["Shared Read Blocks"])


async def test_a_lookup_costs_what_is_asked_for_not_what_is_registered(connection: Any) -> None:
    users = [f"user-{number}" for number in range(0, 10_000, 40)]
    customs = [user.replace("user", "custom") for user in users]
    # 250 users of 10 000, in two indexes: some pages of each, and one of each row's
    assert await pages(connection, "targets", users, customs) < 250 * 2 * 6
    assert await pages(connection, "targets", users[:1], customs[:1]) < 2 * 8


async def test_a_claim_reads_the_chunks_it_takes_not_those_that_wait(connection: Any) -> None:
    before = await pages(connection, "queue_claim", 1e5, [], 8, "lease", 60.0, 1e5)
    assert before < 300


async def test_the_newest_deliveries_of_a_user_cost_what_is_asked_for_not_the_history(
    connection: Any,
) -> None:
    few = await pages(connection, "deliveries_of_user", "user-busy", "custom-busy", 0.0, 10)
    whole = await pages(connection, "deliveries_of_user", "user-busy", "custom-busy", 0.0, 20_000)
    assert few < 200
    assert few * 20 < whole


async def test_what_a_chunk_has_done_is_found_without_the_rest_of_the_journal(
    connection: Any,
) -> None:
    assert await pages(connection, "progress", 100, "msg_7", 0, 99) < 20


async def test_no_index_follows_the_rules_of_a_locale(connection: Any) -> None:
    """They are slow, and an upgrade of the system may change them under the index."""
    others = await connection.fetch(
        "SELECT indexrelid::regclass::text FROM pg_index JOIN pg_class ON pg_class.oid = indrelid, "
        "unnest(indcollation) AS text_rules "
        "WHERE relnamespace = 'public'::regnamespace "
        "AND text_rules NOT IN (0, (SELECT oid FROM pg_collation WHERE collname = 'C'))"
    )
    assert [row[0] for row in others] == []
