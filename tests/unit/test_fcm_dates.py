"""What Google's answers say of the time: how it is read, how often, and who hears it."""

from __future__ import annotations

import time

import pytest

from providers.contract import read_date
from providers.fcm.dates import WITNESS, Dates
from providers.http2.exchange import Response
from providers.vendor import told_by

DATE = "Mon, 30 Nov 2026 14:06:53 GMT"
AT = 1_796_047_613.0


class Learner:
    """A clock that learns."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, float, float]] = []

    def __call__(self) -> float:
        return 1_000.0

    def told(self, witness: str, low: float, high: float) -> None:
        self.heard.append((witness, low, high))


def answer(date: str | None) -> Response:
    return Response(200, headers={} if date is None else {b"date": date.encode()})


@pytest.mark.parametrize(
    ("text", "at"),
    [
        (DATE, AT),
        ("Mon, 30 Nov 2026 14:06:53 -0000", AT),
        ("Mon, 30 Nov 2026 15:06:53 +0100", AT),
        (None, None),
        ("", None),
        ("yesterday", None),
        ("1796047613", None),
        ("Mon, 30 Nov 99999 14:06:53 GMT", None),
    ],
)
def test_a_date_is_read_or_it_is_none(text: str | None, at: float | None) -> None:
    assert read_date(text) == at


def test_one_date_in_ten_seconds_is_read() -> None:
    clock = Learner()
    dates = Dates(clock)
    assert dates.wanted(1_000.0)
    dates.read([answer(None), answer(DATE), answer(None)], 1_000.0)
    assert clock.heard == [(WITNESS, AT, AT + 2.0)]
    assert not dates.wanted(1_009.0)
    assert dates.wanted(1_010.0)
    assert dates.wanted(900.0)  # the time was set back


def test_answers_without_a_date_are_looked_at_once_a_second() -> None:
    dates = Dates(Learner())
    dates.read([answer(None)], 1_000.0)
    assert not dates.wanted(1_000.5)
    assert dates.wanted(1_001.0)


def test_a_clock_that_learns_nothing_is_told_nothing() -> None:
    told_by(time.time)("fcm", 1.0, 2.0)
