"""`inkpush effect`: every experiment that was counted, in words and as JSON."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.cli.root import inkpush
from gateway.core.effect import Terms
from gateway.core.effect_standing import Asked, Entered, Heard, terms_of
from gateway.ports.effect import Mark
from gateway.store.sqlite import open_sqlite
from tests.kit.commands import Done, Workplace

DAY = 86_400.0
TYPES = {"completed": ("user.course.completed",), "began": ()}
LEFT_OUT = {"no phone": 400, "shared phones": 185, "exempt or not measured": 25}


async def count(path: Path, *, ended: bool) -> None:
    """Four weeks of an experiment, in which reminders help."""
    store = await open_sqlite(path)
    begins = (time.time() // DAY - 28) * DAY
    asked = Asked(
        "spring", ("/learning",), 168, Terms(0.2, 0.03, 4000), "completed", TYPES, ended=ended
    )
    terms = terms_of(asked, {"completed": Heard(1400, 0)}, LEFT_OUT, 0)
    await store.effects.keep_terms("spring", terms)
    for day in range(27):
        start = begins + day * DAY
        rows = [
            Entered(start, start + DAY, "agent", "android", held, people, done, 0, 0, 0, 0, 0)
            for held, people, done in ((False, 120, 41), (True, 30, 9 - (day % 4 == 0)))
        ]
        mark = Mark(start, start + DAY, start + 11 * DAY, settled=True)
        await store.effects.keep_entered("spring", mark, rows)
    await store.aclose()


def run(place: Workplace, *arguments: str) -> Done:
    config = str(place.folder / "inkpush.toml")
    done = CliRunner().invoke(inkpush, [*arguments, "--config", config])
    return Done(done.exit_code, done.stdout, done.stderr)


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    return Workplace.make(tmp_path)


def test_a_settled_experiment_is_told_in_words(place: Workplace) -> None:
    asyncio.run(count(place.folder / "inkpush.db", ended=True))
    done = run(place, "effect")
    assert (done.status, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0].startswith("Reminders to /learning, app agent, ")
    assert lines[0].endswith("(spring; one week each; days of UTC)")
    assert lines[2].endswith("between 1 and 9 more. The reminders helped.")
    assert "610 left out (400 no phone, 185 shared phones, 25 exempt or not measured)." in lines[3]
    # it is in the report as well
    assert "The reminders helped." in run(place, "report").out
    assert "The reminders helped." in run(place, "report", "--html", "-").out


def test_one_that_runs_has_no_verdict_and_is_in_no_report(place: Workplace) -> None:
    asyncio.run(count(place.folder / "inkpush.db", ended=False))
    out = run(place, "effect").out
    assert "So far, while people still come in:" in out
    assert "helped" not in out
    assert "left out" not in out
    assert run(place, "report", "--json").json["effect"] == []


def test_json_has_counts_bounds_and_the_verdict(place: Workplace) -> None:
    asyncio.run(count(place.folder / "inkpush.db", ended=True))
    (found,) = run(place, "effect", "--json").json["experiments"]
    assert (found["id"], found["reminded"], found["held"]) == ("spring", 3240, 810)
    (outcome,) = found["outcomes"]
    assert outcome["verdict"] == "helped"
    assert outcome["low"] < outcome["lift"] < outcome["high"]


def test_without_an_experiment_it_says_so(place: Workplace) -> None:
    done = run(place, "effect")
    assert done.status == 0
    assert done.out.startswith("No experiment has been counted")
    assert run(place, "effect", "--json").json["experiments"] == []


def test_one_that_ended_before_is_not_told(place: Workplace) -> None:
    asyncio.run(count(place.folder / "inkpush.db", ended=True))
    assert run(place, "effect", "--since", "1h", "--json").json["experiments"] == []
