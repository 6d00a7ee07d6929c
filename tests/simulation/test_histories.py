"""That a history is decided by its seed alone, and what is kept of histories that found something.

`make test` runs thousands of histories beside these tests: see the Makefile.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from gateway.core.agreement import Agreement
from tests.simulation.drawing import draw
from tests.simulation.expected import EXPECTED, Expected, known
from tests.simulation.history import run
from tests.simulation.plan import Act, Tier, read_plan
from tests.simulation.shrink import shrink

HISTORIES = Path(__file__).parent / "histories"
SEEDS = 50


@pytest.mark.parametrize("tier", get_args(Tier))
def test_the_same_seed_is_the_same_history_in_any_process_and_under_any_hash_seed(
    tier: Tier,
) -> None:
    here = [run(draw(seed, tier=tier)).digest for seed in range(SEEDS)]
    assert len(set(here)) == SEEDS
    command = [sys.executable, "-m", "tests.simulation", "--seeds", str(SEEDS), "--digests"]
    command += ["--tier", tier]
    elsewhere = subprocess.run(
        command,
        env=os.environ | {"PYTHONHASHSEED": "4711"},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert elsewhere.stdout.split() == here


def test_a_plan_survives_being_written(tmp_path: Path) -> None:
    for seed in range(20):
        plan = draw(seed)
        plan = plan.without(tuple(act._replace(at=round(act.at, 6)) for act in plan.acts))
        (tmp_path / "plan.json").write_text(plan.written())
        again = read_plan(tmp_path / "plan.json")
        assert again == plan
        assert run(again).digest == run(plan).digest


@pytest.mark.parametrize("path", sorted((HISTORIES / "found").glob("*.json")), ids=lambda p: p.stem)
def test_what_was_found_holds_now(path: Path) -> None:
    assert run(read_plan(path)).violation is None


@pytest.mark.parametrize("expected", EXPECTED, ids=lambda expected: expected.history)
def test_a_known_fault_is_still_there(expected: Expected) -> None:
    plan = read_plan(HISTORIES / "expected" / f"{expected.history}.json")
    violation = run(plan).violation
    assert violation is not None, (
        f"mended, it seems: {expected.what} Move the history to histories/found, take the entry "
        "out of expected.py, and add a patch to defects/ that puts the fault back."
    )
    assert known(plan, violation) is expected


def test_every_kept_history_is_listed() -> None:
    kept = {path.stem for path in (HISTORIES / "expected").glob("*.json")}
    assert kept == {expected.history for expected in EXPECTED}


def test_a_history_shrinks_to_what_its_fault_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    def believe(agreement: Agreement, wall: float, now: float) -> None:
        agreement.lead, agreement.doubt = wall - now, ""

    def hear(_agreement: Agreement, _witness: str, _low: float, _high: float, _now: float) -> None:
        """Nobody is asked."""

    monkeypatch.setattr(Agreement, "look", believe)
    monkeypatch.setattr(Agreement, "hear", hear)
    plan = read_plan(HISTORIES / "found" / "a-clock-put-wrong-for-a-while.json")
    violation = run(plan).violation
    assert violation is not None
    others = tuple(
        Act(1.0 + number / 10, "register", {"phone": 5, "user": 1}) for number in range(9)
    )
    crowded = plan.without(tuple(sorted((*plan.acts, *others), key=lambda act: act.at)))
    crowded = replace(crowded, noise={**plan.noise, "unknown": 0.001})
    small = shrink(crowded, violation.invariant)
    assert len(small.acts) <= len(plan.acts)
    assert [act.do for act in small.acts].count("clock") == 1
    found = run(small).violation
    assert found is not None
    assert found.invariant == violation.invariant
