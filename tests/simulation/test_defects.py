"""That each defect, put back into a copy of the code, is found by the simulation."""

from __future__ import annotations

import pytest

from tests.simulation.defects.catalogue import DEFECTS, Defect
from tests.simulation.judging import PATCHES, judge


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.name)
def test_a_defect_is_found(defect: Defect) -> None:
    found = judge(defect.name, range(defect.within), defect.focus, defect.tier)
    assert found.invariant in defect.invariants, (
        f"{defect.what} Within {found.histories} histories spoke: {found.invariant or 'nobody'} "
        f"({found.text}); {defect.invariants} should have."
    )


def test_every_patch_is_in_the_catalogue() -> None:
    assert {path.stem for path in PATCHES.glob("*.patch")} == {defect.name for defect in DEFECTS}
