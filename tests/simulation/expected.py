"""Known faults that a later step mends: what the simulation finds, and nobody is told of.

Owns the list. An entry goes when its fault is mended: its kept history moves to `histories/found`,
and a patch that puts the fault back goes to `defects`. `test_histories.py` fails once one is gone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.simulation.invariants.findings import Violation
from tests.simulation.plan import Plan


@dataclass(frozen=True, slots=True)
class Expected:
    """A known fault. `history` is the kept one that shows it; `fits`: a violation is this one."""

    history: str
    what: str
    mended_by: str
    fits: Callable[[Plan, Violation], bool]


EXPECTED: tuple[Expected, ...] = ()


def known(plan: Plan, violation: Violation) -> Expected | None:
    """The known fault that a violation is; None: it is news."""
    return next((one for one in EXPECTED if one.fits(plan, violation)), None)
