"""That each defect, put back into a copy of the code, is found by the simulation.

Every third of them, by the first seeds. DEFECT_ROUNDS=3 looks for each three times, with other
seeds each time; DEFECT_ROUNDS=1 once.
"""

from __future__ import annotations

import os

import pytest

from tests.simulation.defects.catalogue import DEFECTS, Defect
from tests.simulation.judging import PATCHES, judge

ROUNDS = os.environ.get("DEFECT_ROUNDS")
FIRST_SEEDS = range(0, 100_000 * int(ROUNDS or "1"), 100_000)
JUDGED = DEFECTS if ROUNDS else DEFECTS[::3]


@pytest.mark.parametrize("first", FIRST_SEEDS)
@pytest.mark.parametrize("defect", JUDGED, ids=lambda defect: defect.name)
def test_a_defect_is_found(defect: Defect, first: int) -> None:
    seeds = range(first, first + defect.within)
    found = judge(defect.name, seeds, defect.focus, defect.tier)
    assert found.invariant in defect.invariants, (
        f"{defect.what} Within {found.histories} histories spoke: {found.invariant or 'nobody'} "
        f"({found.text}); {defect.invariants} should have."
    )


def test_every_patch_is_in_the_catalogue() -> None:
    assert {path.stem for path in PATCHES.glob("*.patch")} == {defect.name for defect in DEFECTS}
