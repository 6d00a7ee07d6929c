"""`inkpush devices import` over a registry that has gone on: what is newer here stays, and is
told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.kit.commands import Workplace

OLD, SINCE = "2026-01-01T10:00:00Z", "2026-02-01T10:00:00Z"
PHONES = ("rotated", "taken", "logged-out", "erased", "untouched")
TOKEN = "an-address-of-"


def line(phone: str, **changed: Any) -> str:
    values = {
        "installation_id": phone,
        "user_id": f"user-of-{phone}",
        "platform": "android",
        "provider": "fcm",
        "address": f"{TOKEN}{phone}",
        "last_seen_at": OLD,
    }
    return json.dumps(values | changed)


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    """A registry that has gone on since `old.ndjson` was exported from it."""
    place = Workplace.make(tmp_path)
    given(place, *(line(phone) for phone in PHONES))
    assert place.run("devices", "export", str(tmp_path / "old.ndjson")).status == 0
    given(
        place,
        line("rotated", address="its-newer-address", last_seen_at=SINCE),
        line("taken", user_id="another-user", last_seen_at=SINCE),
    )
    assert place.run("devices", "forget", "logged-out").status == 0
    assert place.run("devices", "forget", "--user", "user-of-erased", "--yes").status == 0
    return place


def given(place: Workplace, *lines: str) -> None:
    done = place.run("devices", "import", "-", "--json", given="\n".join(lines))
    assert (done.status, done.json["newer_here"]) == (0, 0)


def exported(place: Workplace) -> dict[str, dict[str, Any]]:
    lines = place.run("devices", "export", "-").out.splitlines()
    devices = [json.loads(one) for one in lines]
    return {device["installation_id"]: device for device in devices}


def test_an_old_export_changes_nothing_and_all_of_it_is_listed(place: Workplace) -> None:
    before = exported(place)
    done = place.run("devices", "import", str(place.folder / "old.ndjson"), "--json")
    assert done.status == 0
    assert done.json == {
        "new": 0,
        "known": 1,
        "newer_here": 4,
        "bad": 0,
        "newer": [
            {"line": number, "installation_id": phone}
            for number, phone in enumerate(PHONES[:4], start=1)
        ],
        "errors": [],
    }
    assert exported(place) == before


def test_people_get_the_list_as_a_table_without_addresses(place: Workplace) -> None:
    done = place.run("devices", "import", str(place.folder / "old.ndjson"))
    assert done.status == 0
    first, *rest = done.out.splitlines()
    assert first == "0 new, 1 known, 4 newer here, 0 bad"
    for number, phone in enumerate(PHONES[:4], start=1):
        assert any(row.split() == [str(number), phone] for row in rest)
    assert TOKEN not in done.out + done.err


def test_force_changes_all_but_what_an_erase_took(place: Workplace) -> None:
    done = place.run("devices", "import", str(place.folder / "old.ndjson"), "--json", "--force")
    assert (done.json["new"], done.json["known"], done.json["newer_here"]) == (1, 3, 1)
    assert done.json["newer"] == [{"line": 4, "installation_id": "erased"}]
    after = exported(place)
    assert after.keys() == set(PHONES) - {"erased"}
    for phone, device in after.items():
        assert device["address"] == f"{TOKEN}{phone}"
        assert device["user_id"] == f"user-of-{phone}"


def test_a_line_without_a_time_takes_nothing_and_registers_what_nobody_knows(
    place: Workplace,
) -> None:
    timeless = [line(phone, last_seen_at=None) for phone in (*PHONES, "unheard-of")]
    done = place.run("devices", "import", "-", "--json", given="\n".join(timeless))
    assert (done.json["new"], done.json["known"], done.json["newer_here"]) == (1, 1, 4)


def test_a_csv_keeps_the_last_change_of_user(
    place: Workplace, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = place.folder / "devices.csv"
    assert place.run("devices", "export", str(file)).status == 0
    elsewhere = Workplace.make(tmp_path_factory.mktemp("elsewhere"))
    assert elsewhere.run("devices", "import", str(file), "--json").json["new"] == 3
    assert exported(elsewhere) == exported(place)
    changed = {name: one.get("user_changed_at") for name, one in exported(elsewhere).items()}
    assert [name for name, at in changed.items() if at] == ["taken"]


def test_a_time_that_is_none_is_a_bad_line(place: Workplace) -> None:
    done = place.run("devices", "import", "-", given=line("new", user_changed_at="once"))
    assert done.status == 1
    assert done.err.startswith("line 1: user_changed_at must be a time")
