"""When a delivery that is left for later is due, however long its vendor asks it to wait."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.model import Claim, Remainder
from gateway.relay.work import Work
from tests.kit.build import NOW, chunk, item

LONGEST_S = 30 * 86_400.0
waits = st.floats(0.0, LONGEST_S)


def due(wait: float, lives_s: float, *, late_s: float | None = None) -> float:
    """When it is due that is to wait so long, of a chunk with this much life left; with `late_s`, a
    leftover that was due so long ago."""
    entry = item() if late_s is None else (item(), [Remainder(1, attempts=1)])
    what = replace(chunk([entry], deadline=NOW + lives_s), due_at=NOW - (late_s or 0.0))
    claim = Claim(1, "lease", what, 1)
    work = Work(claim, float("inf"), 0.0, lambda _work: None, deadline=what.deadline)
    return work.due(NOW + wait, NOW)


@given(waits, st.floats(0.0, LONGEST_S))
def test_nothing_waits_beyond_its_deadline(wait: float, lives_s: float) -> None:
    assert due(wait, lives_s) <= NOW + lives_s


@given(waits, st.floats(1.0, LONGEST_S), st.floats(0.0, LONGEST_S))
def test_a_leftover_of_a_leftover_is_due_later_than_that_and_not_beyond_its_deadline(
    wait: float, lives_s: float, late_s: float
) -> None:
    """Journal and queue tell the two apart by that; there is a second of life left to do so."""
    at = due(wait, lives_s, late_s=late_s)
    assert at > NOW - late_s
    assert at <= NOW + lives_s


@given(waits)
def test_no_wait_is_cut_short_of_and_none_is_much_longer(wait: float) -> None:
    assert NOW + wait <= due(wait, 2 * LONGEST_S) <= NOW + wait + max(1.0, wait / 16)
