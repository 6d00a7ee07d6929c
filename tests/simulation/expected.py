"""Known faults that a later step mends: what the simulation finds, and nobody is told of.

Owns the list. An entry goes when its fault is mended: its kept history moves to `histories/found`,
and a patch that puts the fault back goes to `defects`. `test_expected.py` fails once one is gone.
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


def _has(plan: Plan, do: str, before: float) -> bool:
    return any(act.do == do and act.at <= before for act in plan.acts)


def _is_clock(plan: Plan, violation: Violation) -> bool:
    return _has(plan, "clock", violation.at)


def _is_late_row(plan: Plan, violation: Violation) -> bool:
    is_late = violation.invariant == "accepted_is_kept" and "waits, and nowhere" in violation.text
    return is_late and plan.sizes.relays > 1 and _has(plan, "store", violation.at)


def _is_culprit_a_probe(plan: Plan, violation: Violation) -> bool:
    moods = [act.args for act in plan.acts if act.do == "mood" and act.at <= violation.at]
    was_part = any(mood["verdict"] == "misconfigured_part" for mood in moods)
    stays = [mood["verdict"] for mood in moods if mood["seconds"] is None]
    return violation.invariant == "alone" and was_part and "misconfigured_target" in stays


def _is_of_no_known_chunk(plan: Plan, violation: Violation) -> bool:
    spoilt = any(act.do == "foreign_row" and act.args["table"] == "events" for act in plan.acts)
    return spoilt and violation.text.endswith(("nothing is queued", "another one holds it"))


EXPECTED = (
    Expected(
        "wrong-clock-is-believed",
        "A wall clock that is put wrong ends, repeats or delays what waits.",
        "issue 14, point 1",
        _is_clock,
    ),
    Expected(
        "a-row-of-a-lease-that-ran-out",
        "A row says that a delivery waits, written by a relay whose lease ran out in an outage of "
        "the store: no chunk holds the delivery.",
        "not planned yet",
        _is_late_row,
    ),
    Expected(
        "the-culprit-is-every-probe",
        "A held part is probed with the same rejected phone again and again, though others wait: "
        "a word about the part has accused them all.",
        "not planned yet",
        _is_culprit_a_probe,
    ),
    Expected(
        "an-event-that-cannot-be-read",
        "A chunk that is put aside with its event ends item 0, which another chunk may hold, and "
        "leaves its own deliveries pending for ever.",
        "no issue yet",
        _is_of_no_known_chunk,
    ),
)


def known(plan: Plan, violation: Violation) -> Expected | None:
    """The known fault that a violation is; None: it is news."""
    return next((one for one in EXPECTED if one.fits(plan, violation)), None)
