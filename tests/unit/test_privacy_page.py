"""deploy/docs/privacy.md cannot drift from the store: every table stands there with its columns."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from config import shape
from gateway.app.settings import settings_model
from gateway.store.queries import load_migrations
from tests.kit.people import HOLDING, NOBODY

PAGE = Path(__file__).parents[2] / "deploy/docs/privacy.md"
TEXT = PAGE.read_text()
#: states of an event and of a device, fields of a registration's words: what is no column
WORDS = {"ignored", "quarantined"}
_TABLE = re.compile(r"CREATE (?:UNLOGGED )?TABLE (?:IF NOT EXISTS )?(\w+)")


def columns() -> dict[str, set[str]]:
    """The columns of each table of a SQLite file."""
    with closing(sqlite3.connect(":memory:")) as connection:
        for _, script in load_migrations("sqlite"):
            connection.executescript(script)
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        return {
            name: {row[1] for row in connection.execute(f"PRAGMA table_info({name})")}
            for (name,) in names.fetchall()
            if not name.startswith("sqlite_")
        }


def tables() -> set[str]:
    """The tables of both engines."""
    scripts = [script for _, script in load_migrations("postgres")]
    return {*columns(), *_TABLE.findall("\n".join(scripts))}


def lines() -> Iterator[tuple[set[str], list[str]]]:
    """The tables that a line of the first list is about, and its cells."""
    first = TEXT.split("\n## ")[1].partition("\n### ")[0]
    for line in first.splitlines():
        if line.startswith("| `"):
            cells = line.strip("|").split(" | ")
            yield set(re.findall(r"`(\w+)`", cells[0])), cells


def test_every_table_that_holds_people_is_in_the_list_and_every_other_one_is_named() -> None:
    told = {name for names, _ in lines() for name in names}
    assert told == HOLDING
    assert tables() <= told | NOBODY.keys()
    assert {name for name in NOBODY if f"`{name}`" not in TEXT} == set()


@pytest.mark.parametrize("names", [sorted(names) for names, _ in lines()], ids=" ".join)
def test_what_a_table_is_said_to_hold_are_its_columns(names: list[str]) -> None:
    (cells,) = [cells for found, cells in lines() if sorted(found) == names]
    known = set().union(*(columns()[name] for name in names))
    assert set(re.findall(r"`([a-z_]+)`", cells[1])) - known - WORDS == set()


def test_all_that_names_a_person_in_the_registry_is_told() -> None:
    (cells,) = [cells for names, cells in lines() if names == {"devices"}]
    described = {"locale", "timezone", "app_version", "os_version", "device_model", "can"}
    ids = {"user_id", "custom_id", "installation_id", "address", "user_word", "custom_word"}
    consent = {"notifications", "measure"}
    times = {name for name in columns()["devices"] if name.endswith("_at")} - {"state_at"}
    assert {*described, *ids, *consent, *times} <= set(re.findall(r"`(\w+)`", cells[1]))


def test_what_is_vacuumed_is_all_that_holds_people() -> None:
    (statement,) = re.findall(r"^VACUUM ([\w, ]+);$", TEXT, re.MULTILINE)
    assert sorted(statement.split(", ")) == sorted(HOLDING)


def test_the_periods_that_are_told_are_the_defaults() -> None:
    model = settings_model()
    defaults = {
        shape.dotted(loc).replace("[0]", ""): shape.field_of(model, loc).default
        for loc in shape.leaves(model)
    }
    told = re.findall(r"`(\w+\.\w+)` \((\d+)\)", TEXT)
    assert {name for name, _ in told} == {
        "relay.retention_days",
        "devices.keep_pruned_days",
        "devices.keep_forgotten_days",
        "devices.max_per_user",
        "retention.audit_days",
    }
    assert [(name, days) for name, days in told if str(defaults[name]) != days] == []
