"""Learning events on the command line: their types, and exports."""

from __future__ import annotations

import asyncio
import csv
import hashlib
import json
import stat
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.learning import FIELDS, cell
from gateway.core.extraction import DEFAULT, extract
from gateway.core.model import Event
from gateway.store.sqlite import open_sqlite
from tests.kit.commands import Workplace
from tests.kit.stores import fresh_secret, sqlite_queue

T0 = 1_800_000_000.0
FORMULA = '=HYPERLINK("http://x","y")'
BODIES: list[tuple[str, Any]] = [
    ("user.course.completed", {"user_id": "u1", "course": {"id": FORMULA}}),
    ("user.course.completed", {"user_id": "u2", "steps": [{"score": 1}]}),
    ("user.signed_up", {"custom_id": "=mary"}),
]


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    place = Workplace.make(tmp_path)
    asyncio.run(_fill(tmp_path / "inkpush.db"))
    return place


async def _fill(path: Path) -> None:
    store = await open_sqlite(path, fresh=fresh_secret)
    await store.secret(fresh_secret())
    queue = sqlite_queue(store, clock=lambda: T0)
    for number, (kind, data) in enumerate(BODIES):
        document = {"type": kind, "data": data}
        found = extract(document, json.dumps(document).encode(), rules=DEFAULT, salt=bytes(32))
        occurred_at = None if number == 2 else T0 + number
        event = Event(f"msg_{number}", kind, "ignored", T0, occurred_at, **found._asdict())
        await queue.accept(event, [])
    await store.learning.chain(now=T0, limit=10, salt=lambda: bytes(32))
    await store.aclose()


def test_types_tell_their_fields_and_no_values(place: Workplace) -> None:
    done = place.run("events", "types", "--json")
    assert done.status == 0
    first, second = done.json["types"]
    assert first == {
        "type": "user.course.completed",
        "count": 2,
        "last_seen": "2027-01-15T08:00:00.000Z",
        "with_person": 2,
        "paths": ["data.course.id", "data.steps[].score", "data.user_id", "type"],
    }
    assert (second["type"], second["with_person"]) == ("user.signed_up", 1)
    assert "HYPERLINK" not in done.out
    assert "data.custom_id" in place.run("events", "types").out


def test_an_export_is_for_its_owner_and_says_what_it_is(place: Workplace) -> None:
    done = place.run("events", "export", "all.ndjson", "--json", "--reason", "report 7")
    assert done.status == 0, done.err
    file = place.folder / "all.ndjson"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line["event_id"] for line in lines] == ["msg_0", "msg_1", "msg_2"]
    assert all(tuple(line) == FIELDS for line in lines)
    manifest = json.loads((place.folder / "all.ndjson.manifest.json").read_text())
    assert manifest == done.json
    assert manifest["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    told = {name: manifest[name] for name in ("events", "undated", "first", "last")}
    assert told == {"events": 3, "undated": 1, "first": 1, "last": 3}
    assert manifest["head"]["number"] == 3
    for one in (file, place.folder / "all.ndjson.manifest.json"):
        assert stat.S_IMODE(one.stat().st_mode) == 0o600
    rows = place.run("audit", "--json").json["audit"]
    acts = [(row["what"], row["count"], row["reason"]) for row in rows]
    assert acts == [("events.export", 3, "report 7")]


def test_what_is_there_is_not_replaced_unless_that_is_said(place: Workplace) -> None:
    (place.folder / "a.csv").write_text("mine")
    done = place.run("events", "export", "a.csv")
    assert done.status == 1
    assert "--force" in done.err
    assert (place.folder / "a.csv").read_text() == "mine"
    assert place.run("events", "export", "a.csv", "--force").status == 0


def test_a_spreadsheet_runs_nothing_of_an_export(place: Workplace) -> None:
    assert place.run("events", "export", "a.csv", "--type", "user.*").status == 0
    with (place.folder / "a.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["object"] == f"'{FORMULA}"
    assert json.loads(rows[0]["body"])["data"]["course"]["id"] == FORMULA
    assert rows[2]["custom_id"] == "'=mary"
    assert rows[2]["occurred_at"] == ""


@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "\t", "\r", "\n", " =", "＝", "＠"])  # noqa: RUF001
def test_a_cell_that_would_run_has_a_sign_before_it(sign: str) -> None:
    assert cell(f"{sign}1") == f"'{sign}1"
    assert cell("1=1") == "1=1"
    assert (cell(-1), cell(None), cell(True)) == (-1, "", "true")


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (("--type", "user.course.*"), ["msg_0", "msg_1"]),
        (("--since", str(T0 + 1)), ["msg_1"]),
        (("--until", str(T0 + 1)), ["msg_0", "msg_2"]),
        (("--source", "staging"), []),
        (("--user", "u2"), ["msg_1"]),
        (("--user", "u2", "--by", "custom_id"), []),
    ],
)
def test_an_export_of_some_to_standard_output(
    place: Workplace, asked: tuple[str, ...], found: list[str]
) -> None:
    done = place.run("events", "export", *asked, "-")
    assert done.status == 0, done.err
    assert [json.loads(line)["event_id"] for line in done.out.splitlines()] == found


def test_wrong_use_is_told(place: Workplace) -> None:
    assert place.run("events", "export", "--type", "a*b", "-").status == 2
    limits = ("--source", "staging", "--type", "user.*", "--expires", "90d", "--json")
    done = place.run("keys", "create", "--scope", "events:read", *limits)
    assert done.status == 0, done.err
    (listed,) = place.run("keys", "list", "--json").json["keys"]
    assert (listed["sources"], listed["types"]) == (["staging"], ["user.*"])
    assert listed["expires_at"] > listed["created_at"]
    for scopes in (("admin",), ("events:read", "deliveries:read")):
        named = [part for scope in scopes for part in ("--scope", scope)]
        done = place.run("keys", "create", *named, "--type", "user.*")
        assert done.status == 2
        assert "events:read alone" in done.err
