"""The time that proof of death is held against is looked up as it was written, to the last bit."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.store.queries import load_migrations, load_queries
from gateway.store.sqlite import lookup

QUERY = load_queries("sqlite")["targets"]
DEVICE = """
INSERT INTO devices (app, provider, installation_id, user_id, address, address_kind, platform,
    environment, state, state_at, registered_at, last_seen_at)
VALUES ('agent', 'fcm', 'phone', :text, :text, 'token', 'ios', 'production', 'active', 0, 0,
    :seen_at)
"""


@pytest.fixture(scope="module")
def connection() -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(":memory:")) as opened:
        for _, script in load_migrations("sqlite"):
            opened.executescript(script)
        yield opened


# 0: an import of which nobody knows when the app was last seen
@given(seen_at=st.just(0.0) | st.floats(1.0, 1e12), text=st.text(min_size=1))
def test_what_is_looked_up_is_what_was_registered(
    connection: sqlite3.Connection, seen_at: float, text: str
) -> None:
    connection.execute("DELETE FROM devices")
    connection.execute(DEVICE, {"seen_at": seen_at, "text": text})
    asked = {"user_ids": orjson.dumps([text]).decode(), "custom_ids": "[]"}
    # An id with a NUL is found by nobody: SQLite's JSON ends there.
    rows = orjson.loads(connection.execute(QUERY, asked).fetchone()[0])
    assert len(rows) == ("\0" not in text)
    for row in rows:
        target = lookup._target(None, row)
        assert (target.seen_at, target.user_id, target.address.value) == (seen_at, text, text)
