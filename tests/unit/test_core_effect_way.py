"""How far the pushes of a day came: who counts, where, and for what."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.core.effect_way import Cell, Counter, Pushed, Sums, of_cells, reason_of, told
from gateway.core.effect_way import Counted as Day
from gateway.core.receipts import Measure, Mode

ANDROID = Cell("agent", "android", "learnink")
IOS = Cell("agent", "ios", "learnink")
NOWHERE = Cell("", "", "learnink")


def pushed(user: str = "mary", **changed: Any) -> Pushed:
    """A push that a vendor took, for a phone that can tell."""
    values: dict[str, Any] = {
        "event_id": "msg_1",
        "index": 0,
        "device_id": 1,
        "state": "delivered",
        "reason": "",
        "user_id": user,
        "custom_id": None,
        "app": "agent",
        "platform": "android",
        "phone_user": user,
        "phone_custom": None,
        "measure": "granted",
        "can": "received displayed opened",
        "told": None,
    }
    return Pushed(**(values | changed))


def nowhere(user: str = "mary", **changed: Any) -> Pushed:
    """A push that found no phone."""
    gone = {"device_id": 0, "state": "no_device", "app": "", "platform": None, "can": None}
    return pushed(user, **(gone | changed))


def counted(*given: Pushed, mode: Mode = "opened", rule: Measure = "opt_in") -> Day:
    def name(user_id: str | None, custom_id: str | None) -> bytes | None:
        found = user_id or custom_id
        return None if found is None else found.encode()

    counter = Counter(name, {"agent": mode}, rule)
    for one in given:
        counter.add("learnink", one)
    return counter.counted()


def test_a_person_counts_once_whatever_came_of_their_pushes() -> None:
    found = counted(pushed(told="received"), pushed(told="opened"), pushed("zoe"))
    assert found.cells == {ANDROID: Sums(people=2, taken=2, can_tell=2, shown=1, opened=1)}
    assert found.reasons == {}


def test_the_first_push_that_was_taken_says_where_a_person_counts() -> None:
    failed = pushed(state="expired", reason="too old")
    assert counted(nowhere(), failed, pushed(platform="ios")).cells == {IOS: Sums(1, 1, 1)}
    assert counted(pushed(platform="ios"), failed).cells == {IOS: Sums(1, 1, 1)}
    both = counted(failed, nowhere())
    assert (both.cells, both.reasons) == ({ANDROID: Sums(1)}, {(ANDROID, "expired"): 1})


def test_whoever_was_only_held_out_was_not_reminded() -> None:
    held = nowhere(state="held_out", reason="held back by experiment spring")
    assert counted(held).cells == {}
    assert counted(held, pushed()).cells == {ANDROID: Sums(1, 1, 1)}


def test_nobody_counts_whom_nothing_names() -> None:
    assert counted(pushed(user_id=None)).cells == {}


@pytest.mark.parametrize(
    "changed",
    [
        {"can": None},
        {"can": "opened"},
        {"can": "displayed"},
        {"measure": None},
        {"measure": "denied"},
        {"phone_user": "zoe"},
        {"app": "other"},
    ],
)
def test_a_phone_that_cannot_tell_is_in_no_ratio(changed: dict[str, Any]) -> None:
    (sums,) = counted(pushed(**{"told": "displayed", **changed})).cells.values()
    assert sums == Sums(people=1, taken=1)


def test_where_receipts_are_off_nothing_is_told_and_opt_out_asks_nobody() -> None:
    assert counted(pushed(told="opened"), mode="off").cells == {ANDROID: Sums(1, 1)}
    silent = pushed(told="opened", measure=None)
    assert counted(silent, rule="opt_out").cells == {ANDROID: Sums(1, 1, 1, 1, 1)}


def test_a_push_that_was_tapped_or_dismissed_was_shown() -> None:
    assert counted(pushed(told="dismissed")).cells == {ANDROID: Sums(1, 1, 1, 1, 0)}
    assert counted(pushed(told="received")).cells == {ANDROID: Sums(1, 1, 1, 0, 0)}


@pytest.mark.parametrize(
    ("state", "reason", "expected"),
    [
        ("no_device", "", "no_device"),
        ("no_device", "ids contradict: user_id", "ids_contradict"),
        ("no_device", "not a test user of this source", "source_limits"),
        ("no_device", "erased", "erased"),
        ("expired", "too old: an hour", "expired"),
        ("refused", "INVALID_ARGUMENT", "refused INVALID_ARGUMENT"),
        ("pruned", "UNREGISTERED", "pruned UNREGISTERED"),
        ("dead", "HTTP 503", "dead HTTP 503"),
        ("cancelled", "newer one sent", "overtaken"),
        ("cancelled", "superseded by msg_9", "superseded"),
        ("cancelled", "", "cancelled"),
        ("pending", "", "pending"),
    ],
)
def test_why_nothing_came_is_a_word_of_a_small_set(state: str, reason: str, expected: str) -> None:
    assert reason_of(state, reason) == expected


def test_only_some_people_are_asked_of() -> None:
    counter = Counter(lambda user, _: None if user is None else user.encode(), {}, "opt_in")
    for user in ("mary", "zoe", "ann"):
        counter.add("learnink", pushed(user))
    assert counter.counted({b"zoe", b"nobody"}).cells == {ANDROID: Sums(1, 1)}


def test_small_cells_are_told_together_or_not_at_all() -> None:
    web, field = IOS._replace(platform="web"), IOS._replace(app="field")
    rest = Cell("agent", "other", "")

    def shown(**sizes: int) -> dict[Cell | None, int]:
        cells = {"android": ANDROID, "ios": IOS, "web": web, "field": field, "nowhere": NOWHERE}
        day = Day({cells[name]: Sums(size) for name, size in sizes.items()}, {})
        return {name: one.people for name, one in told(day).items()}

    assert shown(android=100, ios=12, web=9) == {ANDROID: 100, rest: 21}
    assert shown(android=100, ios=12, nowhere=30) == {rest: 112, NOWHERE: 30}
    assert shown(android=100, field=12, nowhere=9) == {ANDROID: 100, None: 21}
    assert shown(android=100, ios=40, field=7, nowhere=30) == {
        ANDROID: 100,
        NOWHERE: 30,
        None: 47,
    }
    assert shown(field=7, nowhere=30) == {None: 37}
    assert shown(ios=19) == {}


def test_reasons_are_told_where_each_and_the_rest_are_enough() -> None:
    reasons = {(ANDROID, "expired"): 30, (ANDROID, "dead HTTP 503"): 12, (ANDROID, "pending"): 11}
    found = of_cells(Day({ANDROID: Sums(200, 147)}, reasons), [ANDROID])
    assert found.reasons == {"expired": 30, "other": 23}
    few = of_cells(Day({ANDROID: Sums(200, 188)}, {(ANDROID, "expired"): 12}), [ANDROID])
    assert (few.taken, few.reasons) == (188, {})


def test_those_who_cannot_tell_are_hidden_among_the_others_where_they_are_few() -> None:
    few = of_cells(Day({ANDROID: Sums(100, 95, 90, 60, 20)}, {}), [ANDROID])
    assert (few.over, few.shown, few.opened) == (100, 60, 20)
    many = of_cells(Day({ANDROID: Sums(100, 95, 70, 60, 20)}, {}), [ANDROID])
    assert (many.over, many.shown, many.opened) == (70, 60, 20)
    none = of_cells(Day({ANDROID: Sums(100, 95, 15, 9, 3)}, {}), [ANDROID])
    assert (none.over, none.shown, none.opened) == (0, 0, 0)
