"""Days as a zone cuts them."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from gateway.core.days import day_begins, day_ends, iso_day, span_words

NAIROBI, BERLIN, CAIRO = map(ZoneInfo, ("Africa/Nairobi", "Europe/Berlin", "Africa/Cairo"))


def at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def test_a_day_begins_and_ends_at_midnight_of_the_zone() -> None:
    noon = at("2026-11-02T12:00:00+03:00")
    assert day_begins(noon, NAIROBI) == at("2026-11-02T00:00:00+03:00")
    assert day_ends(noon, NAIROBI) == at("2026-11-03T00:00:00+03:00")
    midnight = at("2026-11-02T00:00:00+03:00")
    assert day_begins(midnight, NAIROBI) == midnight
    assert iso_day(midnight, UTC) == "2026-11-01"


@pytest.mark.parametrize(
    ("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25), ("2026-07-01", 24)]
)
def test_a_day_is_as_long_as_clocks_say(day: str, hours: int) -> None:
    noon = at(f"{day}T12:00:00+01:00")
    assert day_ends(noon, BERLIN) - day_begins(noon, BERLIN) == hours * 3600


def test_days_follow_each_other_without_a_gap_all_year_where_midnight_may_be_missing() -> None:
    begins = day_begins(at("2026-01-01T12:00:00Z"), CAIRO)
    for _ in range(366):
        ends = day_ends(begins, CAIRO)
        assert 22 * 3600 < ends - begins < 26 * 3600
        assert day_begins(ends, CAIRO) == ends
        begins = ends


@pytest.mark.parametrize(
    ("begins", "ends", "words"),
    [
        ("2026-11-02", "2026-11-30", "2 to 29 November 2026"),
        ("2026-11-02", "2026-11-03", "2 November 2026"),
        ("2026-10-30", "2026-11-30", "30 October to 29 November 2026"),
        ("2026-12-30", "2027-01-02", "30 December 2026 to 1 January 2027"),
    ],
)
def test_a_span_is_told_by_its_first_and_last_day(begins: str, ends: str, words: str) -> None:
    assert span_words(at(f"{begins}T00:00:00Z"), at(f"{ends}T00:00:00Z"), UTC) == words
