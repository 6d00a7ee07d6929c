"""`inkpush devices`: who is silent, who is muted, and what a file keeps of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.kit.commands import Workplace


def days_ago(days: float) -> str:
    return (datetime.now(UTC) - timedelta(days=days)).isoformat(timespec="milliseconds")


def line(phone: str, days: float | None, **said: Any) -> dict[str, Any]:
    return {
        "installation_id": phone,
        "custom_id": "mary",
        "platform": "android",
        "provider": "fcm",
        "address": f"an-address-of-{phone}",
        "last_seen_at": None if days is None else days_ago(days),
        **said,
    }


PHONES = [
    line("fresh", 1, notifications="granted", measure="granted", can=["opened", "data_messages"]),
    line("month", 40, notifications="Denied", measure="no idea"),
    line("year", 400, notifications="denied", can="none"),
    line("heard", 400, heard_at=days_ago(2)),
    line("unknown", None, notifications=7, can={"opened": True}),
]


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    place = Workplace.make(tmp_path)
    given = "\n".join(json.dumps(phone) for phone in PHONES)
    done = place.run("devices", "import", "-", "--json", given=given)
    assert (done.status, done.json["new"]) == (0, 5), "a descriptive field refuses no phone"
    return place


def listed(place: Workplace, *options: str) -> set[str]:
    done = place.run("devices", "list", "--json", *options)
    assert done.status == 0, done.err
    return {device["installation_id"] for device in done.json["devices"]}


def test_the_silent_and_the_muted_are_listed(place: Workplace) -> None:
    assert listed(place, "--silent", "30d") == {"month", "year"}
    assert listed(place, "--silent", "60d") == {"year"}
    assert listed(place, "--silent", "1h") == {"fresh", "month", "year", "heard"}
    assert listed(place, "--silent", "60d", "--user", "mary") == {"year"}
    assert listed(place, "--denied") == {"month", "year"}
    assert listed(place, "--denied", "--silent", "60d") == {"year"}
    assert listed(place, "--denied", "--user", "mary", "--state", "pruned") == set()
    for wrong in ("", "soon", "0", "-1d"):
        assert place.run("devices", "list", f"--silent={wrong}").status == 2


def test_a_device_is_shown_with_what_is_known_of_it(place: Workplace) -> None:
    views = {
        device["installation_id"]: device
        for device in place.run("devices", "list", "--json").json["devices"]
    }
    assert {name for name, view in views.items() if view["stale"]} == {"year"}
    assert views["unknown"]["last_seen_at"] is None
    assert views["heard"]["last_seen_at"] > days_ago(3)
    told = {
        name: (view["notifications"], view["measure"], view["can"]) for name, view in views.items()
    }
    assert told == {
        "fresh": ("granted", "granted", ["opened", "data_messages"]),
        "month": ("denied", None, None),
        "year": ("denied", None, []),
        "heard": (None, None, None),
        "unknown": (None, None, None),
    }
    shown = place.run("devices", "show", "year").out
    assert "stale" in shown


def test_a_dry_run_names_those_that_would_get_it(place: Workplace) -> None:
    def hashes(phones: list[dict[str, Any]]) -> set[str]:
        return {phone["address_hash"] for phone in phones}

    done = place.run("send", "--user", "mary", "--title", "Hi", "--dry-run", "--json")
    all_of_hers = place.run("devices", "list", "--json").json["devices"]
    assert hashes(done.json["destinations"]) == hashes(
        [phone for phone in all_of_hers if not phone["stale"]]
    )
    assert len(done.json["destinations"]) == 4


@pytest.mark.parametrize("kind", ["ndjson", "csv"])
def test_a_file_brings_back_what_is_known_of_silence_and_permission(
    place: Workplace, kind: str, tmp_path: Path
) -> None:
    file, second = tmp_path / f"devices.{kind}", tmp_path / "second"
    second.mkdir()
    assert place.run("devices", "export", str(file)).status == 0
    other = Workplace.make(second)
    assert other.run("devices", "import", str(file)).status == 0
    views = [
        {
            device["installation_id"]: {
                name: device[name]
                for name in ("stale", "last_seen_at", "notifications", "measure", "can")
            }
            for device in each.run("devices", "list", "--json").json["devices"]
        }
        for each in (place, other)
    ]
    assert views[0] == views[1]
