"""`inkpush experiments`, as a person uses it."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.running import run
from tests.kit.commands import Workplace

DAY_S = 86_400.0
WHY = "the board asked"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workplace:
    made = Workplace.make(tmp_path)
    monkeypatch.chdir(tmp_path)
    return made


def configure(place: Workplace, *, days: float = 30, **changed: Any) -> None:
    """Put an experiment into the file, instead of the one that is there."""
    table = {
        "id": "spring",
        "approved_by": "Dr. A. Wanjiku",
        "purpose": "whether reminders are worth sending",
        "paths": ["/learning*"],
        "completed": ["user.course.completed"],
        "ends": datetime.fromtimestamp(time.time() + days * DAY_S, UTC).date().isoformat(),
        **changed,
    }
    file = place.folder / "inkpush.toml"
    before = file.read_text().partition("\n[[experiments]]")[0]
    lines = [f"{key} = {json.dumps(value)}" for key, value in table.items()]
    file.write_text("\n".join([before, "[[experiments]]", *lines, ""]))


def ran(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    capsys.readouterr()
    status = run(["experiments", *arguments])
    told = capsys.readouterr()
    return status, told.out, told.err


def acts(capsys: pytest.CaptureFixture[str]) -> list[tuple[str, str, str]]:
    """What the audit table has, oldest first."""
    capsys.readouterr()
    assert run(["audit", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["audit"]
    return [(row["what"], row["object"], row["reason"]) for row in rows][::-1]


def test_a_dry_run_then_people_enter_then_it_ends(
    place: Workplace, capsys: pytest.CaptureFixture[str]
) -> None:
    configure(place)
    status, out, _ = ran(capsys, "start", "spring", "--reason", WHY)
    assert status == 0
    assert out.startswith("The dry run of spring has begun: for 7 days it is noted whom")
    status, _, err = ran(capsys, "start", "spring")
    assert status == 1
    assert "the dry run of spring goes on until" in err
    configure(place, dry_run_days=0)
    status, out, _ = ran(capsys, "start", "spring")
    assert status == 0
    assert out.startswith("spring has begun: people enter with their first reminder.")
    assert "In the dry run 0 people or a few more would have entered" in out
    assert ran(capsys, "start", "spring")[0] == 1
    status, out, _ = ran(capsys, "list", "--json")
    (row,) = json.loads(out)["experiments"]
    assert (row["stage"], row["reminded"], row["held"]) == ("running", 0, 0)
    status, out, _ = ran(capsys, "end", "spring", "--reason", WHY)
    assert (status, out) == (0, "spring has ended; what was held back goes out now\n")
    status, _, err = ran(capsys, "end", "spring")
    assert status == 1
    assert "spring does not run" in err
    status, _, err = ran(capsys, "start", "spring")
    assert status == 1
    assert "spring has ended; give the next one another name" in err
    allowed = "approved by Dr. A. Wanjiku: whether reminders are worth sending"
    assert acts(capsys) == [
        ("experiments.start", "spring: dry run", f"{allowed}; {WHY}"),
        ("experiments.start", "spring: start", allowed),
        ("experiments.end", "spring", WHY),
    ]


def test_a_dry_run_of_other_terms_begins_anew(
    place: Workplace, capsys: pytest.CaptureFixture[str]
) -> None:
    configure(place)
    assert ran(capsys, "start", "spring")[0] == 0
    configure(place, holdout=0.2)
    status, out, _ = ran(capsys, "start", "spring")
    assert status == 0
    assert out.startswith("Changed since the dry run, which begins anew: holdout\n")


@pytest.mark.parametrize(
    ("days", "name", "told"),
    [
        (-1, "spring", "which is over; give it a later day"),
        (70, "spring", "it may for 60 days at most"),
        (30, "autumn", "there is no [[experiments]] autumn; the configuration has spring"),
    ],
)
def test_what_may_not_start_is_told(
    place: Workplace, capsys: pytest.CaptureFixture[str], days: float, name: str, told: str
) -> None:
    configure(place, days=days, dry_run_days=0)
    status, _, err = ran(capsys, "start", name)
    assert status == 1
    assert told in err
    assert acts(capsys) == []


def test_a_plan_tells_what_can_be_found(
    place: Workplace, capsys: pytest.CaptureFixture[str]
) -> None:
    configure(place, holdout=0.2)
    status, out, _ = ran(capsys, "plan", "spring")
    assert status == 0
    assert out.startswith("20% of people held back, 30% of whom complete something anyway:")
    assert "A lift of 5 in 100 is found in 8 of 10 experiments with 4 200 people." in out
    status, out, _ = ran(capsys, "plan", "--json")
    found = json.loads(out)
    assert found["needed"][1] == {"points": 5, "people": 7_400}
    assert ran(capsys, "plan", "autumn")[0] == 1


def test_without_any_it_says_so(place: Workplace, capsys: pytest.CaptureFixture[str]) -> None:
    assert place.folder.is_dir()
    _, out, err = ran(capsys, "list")
    assert "The configuration has no experiment, and none was begun." in out + err


def test_a_person_is_exempt_and_not_again(
    place: Workplace, capsys: pytest.CaptureFixture[str]
) -> None:
    configure(place)
    status, out, _ = ran(capsys, "exempt", "mary", "--reason", WHY)
    assert (status, out) == (0, "nothing of theirs is held back now\n")
    status, out, _ = ran(capsys, "exempt", "mary", "--undo")
    assert (status, out) == (0, "the lot may hold them again\n")
    assert acts(capsys) == [
        ("experiments.exempt", "exempt", WHY),
        ("experiments.exempt", "not exempt", ""),
    ]
