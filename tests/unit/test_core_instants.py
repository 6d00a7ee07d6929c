"""Times as people and programs write them: understood wherever they have one meaning."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.instants import read_instant, to_iso

AT = datetime(2026, 11, 23, 9, 58, 58, tzinfo=UTC).timestamp()

#: what is written, and how far it lies from AT
WRITTEN: list[tuple[object, float]] = [
    ("2026-11-23T09:58:58Z", 0),
    ("2026-11-23T09:58:58.233Z", 0.233),
    ("2026-11-23t09:58:58.5z", 0.5),
    ("2026-11-23 09:58:58", 0),
    ("2026-11-23 09:58:58Z", 0),
    ("2026-11-23 09:58:58 UTC", 0),
    ("2026-11-23 09:58:58 gmt", 0),
    ("2026-11-23T09:58:58,25Z", 0.25),
    ("2026-11-23T09:58:58.123456789Z", 0.123456789),
    ("2026-11-23T09:58:58.1Z", 0.1),
    ("2026-11-23T12:58:58+03:00", 0),
    ("2026-11-23T12:58:58+0300", 0),
    ("2026-11-23T04:28:58-05:30", 0),
    ("2026-11-23T09:58:58-00:00", 0),
    ("2026-11-23T09:58:60Z", 2),
    ("2026-11-23T09:58:60.5Z", 2.5),
    ("20261123T095858Z", 0),
    (" 2026-11-23T09:58:58Z\n", 0),
    ("2026-11-23", -35_938),
    (str(int(AT)), 0),
    (f"{int(AT)}.5", 0.5),
    (str(int(AT) * 1000 + 7), 0.007),
    (int(AT), 0),
    (AT + 0.5, 0.5),
    (int(AT) * 1000, 0),
]


@pytest.mark.parametrize(("written", "off"), WRITTEN)
def test_a_time_is_understood(written: object, off: float) -> None:
    assert read_instant(written) == pytest.approx(AT + off, abs=1e-6)


@pytest.mark.parametrize(
    "written",
    [
        "",
        "yesterday",
        "23.11.2026",
        "11/23/2026 09:58",
        "2026-13-01T00:00:00Z",
        "2026-11-23T25:00:00Z",
        "2026-11-23T09:58:61Z",
        "Mon, 23 Nov 2026 09:58:58",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "46349.4159",
        0,
        46_349.4,
        -5,
        1e300,
        10**400,
        -(10**400),
        float("nan"),
        float("inf"),
        True,
        None,
        [],
        {},
    ],
)
def test_what_is_no_time_is_none(written: object) -> None:
    assert read_instant(written) is None


@given(
    at=st.datetimes(datetime(1974, 1, 1), datetime(9998, 1, 1)),  # noqa: DTZ001 - UTC is added
    hours=st.integers(-23, 23),
    small=st.booleans(),
    between=st.sampled_from("T t"),
)
def test_whatever_the_spelling_of_rfc_3339_it_is_the_same_time(
    at: datetime, hours: int, small: bool, between: str
) -> None:
    moment = at.replace(tzinfo=UTC)
    there = (moment + timedelta(hours=hours)).replace(tzinfo=None).isoformat(between)
    text = f"{there}{hours:+03d}:00"
    if hours == 0:
        text = there + ("z" if small else "Z")

    assert read_instant(text) == pytest.approx(moment.timestamp(), abs=1e-4)


@given(st.floats(1e8, 1e11, exclude_max=True))
def test_what_was_written_is_read(seconds: float) -> None:
    assert read_instant(seconds) == seconds
    assert read_instant(to_iso(seconds)) == pytest.approx(seconds, abs=0.001)


@given(st.text() | st.floats() | st.integers())
def test_nothing_raises(value: object) -> None:
    read_instant(value)
