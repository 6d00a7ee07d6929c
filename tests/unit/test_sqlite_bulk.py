"""Many rows in few statements: the same rows as one statement for each would write."""

from __future__ import annotations

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.store.queries import load_queries
from gateway.store.sqlite import bulk
from gateway.store.sqlite.bulk import write_rows

UPSERT = """
INSERT INTO told (id, said) VALUES (?, ?)
ON CONFLICT (id) DO UPDATE SET said = excluded.said WHERE told.said <> 'over'
"""
SAYINGS = st.sampled_from(["a", "b", "over", "it's"])


def table() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE told (id INTEGER PRIMARY KEY, said TEXT)")
    return connection


@given(st.lists(st.tuples(st.integers(0, 40), SAYINGS), max_size=700))
def test_rows_are_written_in_their_order_however_many_a_statement_takes(
    rows: list[tuple[int, str]],
) -> None:
    bulk, single = table(), table()
    write_rows(bulk, UPSERT, rows)
    single.executemany(UPSERT, rows)
    found = [list(one.execute("SELECT * FROM told ORDER BY id")) for one in (bulk, single)]
    bulk.close()
    single.close()
    assert found[0] == found[1]


@pytest.mark.parametrize("count", [0, 1, 3, 255, 256, 257, 1000])
def test_few_statements_write_many_rows(count: int) -> None:
    connection = table()
    connection.isolation_level = None
    asked: list[str] = []
    connection.set_trace_callback(asked.append)
    write_rows(connection, UPSERT, [(number, "x") for number in range(count)])
    assert connection.execute("SELECT count(*) FROM told").fetchone() == (count,)
    connection.close()
    assert len(asked) - 1 <= count // 256 + 3 * 3 + 3


@pytest.mark.parametrize("name", ["delivery_upsert", "dead_insert", "chunk_done", "queue_insert"])
def test_the_statements_that_are_used_so_have_their_values_where_they_are_looked_for(
    name: str,
) -> None:
    text = load_queries("sqlite")[name]
    one, four = bulk._for(text, 1), bulk._for(text, 4)
    assert one == text
    assert four.count("?") == 4 * one.count("?")
