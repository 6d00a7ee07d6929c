"""What is shown of a push on its phone: a time, "did not", or "nobody can know"."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.core.receipts import Measure, Mode, Row
from gateway.core.seen import NOTHING, UNKNOWN, Asking, Teller, Told
from tests.kit.build import NOW
from tests.kit.stores import record

TELLER = Teller(1, "phone", "mary", None, "granted", "received displayed opened dismissed")
DAY = "2027-01-15"


def seen(
    *rows: tuple[str, float, str],
    teller: Teller | None = TELLER,
    mode: Mode = "opened",
    rule: Measure = "opt_in",
    exact: bool = True,
    **changed: Any,
) -> dict[str, object]:
    kept = [Row("msg_1", 0, 1, kind, NOW + at, clock, 1) for kind, at, clock in rows]
    told = Told(kept, {} if teller is None else {1: teller})
    sight = Asking({"agent": mode}, rule).sight(told, exact=exact)
    return sight.view(record(**changed))


def times(view: dict[str, object]) -> list[object]:
    return [view[name] for name in ("received_at", "displayed_at", "opened_at")]


@pytest.mark.parametrize(
    ("can", "expected"),
    [
        (None, [UNKNOWN] * 3),
        ("", [UNKNOWN] * 3),
        ("opened", [UNKNOWN, UNKNOWN, None]),
        ("received opened", [None, UNKNOWN, None]),
        ("received displayed opened", [None] * 3),
        ("data_messages", [UNKNOWN] * 3),
    ],
)
def test_silence_says_something_of_what_the_app_can_tell_alone(
    can: str | None, expected: list[object]
) -> None:
    assert times(seen(teller=TELLER._replace(can=can))) == expected


@pytest.mark.parametrize(
    "changed",
    [
        {"teller": None},
        {"teller": TELLER._replace(user_id="bob")},
        {"teller": TELLER._replace(measure="denied")},
        {"teller": TELLER._replace(measure=None)},
        {"mode": "off"},
    ],
)
def test_silence_says_nothing_where_nobody_would_have_been_heard(changed: dict[str, Any]) -> None:
    assert times(seen(**changed)) == [UNKNOWN] * 3


def test_who_did_not_say_no_is_heard_where_that_is_the_rule() -> None:
    assert times(seen(teller=TELLER._replace(measure=None), rule="opt_out")) == [None] * 3
    assert times(seen(teller=TELLER._replace(measure="denied"), rule="opt_out")) == [UNKNOWN] * 3


def test_what_reached_no_device_came_nowhere() -> None:
    assert times(seen(device_id=0, teller=None)) == [None] * 3


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([("received", 1, "ok")], [1, None, None]),
        ([("displayed", 2, "ok")], [2, 2, None]),
        ([("opened", 3, "ok")], [3, 3, 3]),
        ([("dismissed", 4, "ok")], [4, 4, None]),
        ([("received", 1, "ok"), ("opened", 3, "ok")], [1, 3, 3]),
        ([("received", 5, "bounded"), ("opened", 3, "ok")], [3, 3, 3]),
    ],
)
def test_a_later_step_proves_those_before_it(
    rows: list[tuple[str, float, str]], expected: list[int | None]
) -> None:
    shown = [None if at is None else f"2027-01-15T08:00:0{at}.000Z" for at in expected]
    assert times(seen(*rows)) == shown


def test_what_was_told_is_known_whatever_the_app_says_of_itself() -> None:
    view = seen(("opened", 3, "ok"), teller=None, mode="off")
    assert UNKNOWN not in times(view)


def test_without_the_scope_the_day_is_shown_and_nothing_nearer() -> None:
    view = seen(("received", 1, "ok"), ("opened", 3, "shifted"), exact=False)
    assert times(view) == [DAY] * 3
    assert view["receipts"] == [
        {"kind": "received", "at": DAY, "clock": "ok"},
        {"kind": "opened", "at": DAY, "clock": "shifted"},
    ]


@pytest.mark.parametrize(
    ("clocks", "expected"),
    [
        ([], None),
        (["ok"], "ok"),
        (["ok", "shifted"], "shifted"),
        (["shifted", "bounded", "ok"], "bounded"),
    ],
)
def test_the_worst_clock_is_named(clocks: list[str], expected: str | None) -> None:
    kinds = ("received", "displayed", "opened")
    rows = [(kind, 1.0, clock) for kind, clock in zip(kinds, clocks, strict=False)]
    assert seen(*rows)["clock"] == expected


def test_nothing_is_shown_of_others() -> None:
    sight = Asking({}, "opt_in").sight(NOTHING, exact=True)
    assert times(sight.view(record())) == [UNKNOWN] * 3
