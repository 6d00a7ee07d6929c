"""Which reminders a learning event makes superfluous: by person, source, place and time."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.core.model import Item
from gateway.core.suppressing import Done, Rule, Rules, fits, reason_of, words_with
from tests.kit.build import NOW, item

DAY_S = 86_400.0
DONE = "user.course.completed"
words = words_with(b"s" * 32)
MATCH = Rule(DONE, "data.course.path", "", DAY_S)


def rows(
    data: Any = None,
    *rules: Rule,
    event_type: str = DONE,
    occurred_at: float | None = NOW,
    received_at: float = NOW,
) -> tuple[Done, ...]:
    given = {"user_id": "mary", "course": {"path": "/learning"}} if data is None else data
    return Rules(rules or (MATCH,), words).done_by(
        "msg_e",
        event_type,
        {"type": event_type, "data": given},
        source="learnink",
        occurred_at=occurred_at,
        received_at=received_at,
    )


def why(one: Item, done: tuple[Done, ...], first_seen: float = NOW) -> str | None:
    return reason_of(one, words(one.user_id, one.custom_id), first_seen, done)


def test_a_reminder_of_what_is_done_ends_and_names_the_event() -> None:
    assert why(item(), rows()) == "superseded by msg_e"


@pytest.mark.parametrize(
    ("data", "places"),
    [
        ({"user_id": "mary", "course": {"path": "/a"}}, ["/a"]),
        ({"user": {"id": "mary"}, "course": {"path": "/a"}}, ["/a"]),
        ({"user": {"id": 7}, "course": {"path": "/a"}}, ["/a"]),
        ({"custom_id": "m", "course": {"path": "/a"}}, ["/a"]),
        ({"user_id": "mary", "course": {"path": ""}}, []),
        ({"user_id": "mary", "course": {"path": None}}, []),
        ({"user_id": "mary", "course": {"path": 5}}, []),
        ({"user_id": "mary", "course": {"path": ["/a"]}}, []),
        ({"user_id": "mary", "course": {"path": "a"}}, []),
        ({"user_id": "mary", "course": {"path": "//a"}}, []),
        ({"user_id": "mary", "course": "/a"}, []),
        ({"user_id": "mary"}, []),
        ({"course": {"path": "/a"}}, []),
        ({"user_id": "", "course": {"path": "/a"}}, []),
        ({"user_id": None, "user": {"id": True}, "course": {"path": "/a"}}, []),
        ([], []),
        ("x", []),
    ],
)
def test_an_event_says_who_did_what_or_nothing_is_kept(data: Any, places: list[str]) -> None:
    assert [row.path for row in rows(data)] == places


@pytest.mark.parametrize("event_type", ["user.course.started", "user.course.completed.x", ""])
def test_another_type_says_nothing(event_type: str) -> None:
    assert rows(event_type=event_type) == ()


@pytest.mark.parametrize(
    ("data", "user_id", "custom_id", "ends"),
    [
        ({"user_id": "mary"}, "mary", None, True),
        ({"user_id": "mary"}, "mary", "own-mary", True),
        ({"user_id": "mary", "custom_id": "own-mary"}, "mary", None, True),
        ({"user_id": "mary", "custom_id": "own-mary"}, None, "own-mary", True),
        ({"user_id": "mary", "custom_id": "own-mary"}, "mary", "own-mary", True),
        ({"custom_id": "own-mary"}, "mary", "own-mary", True),
        # the same text as the other kind of id is somebody else
        ({"user_id": "mary"}, None, "mary", False),
        ({"custom_id": "mary"}, "mary", None, False),
        ({"user_id": "mary", "custom_id": "own-mary"}, "mary", "own-john", False),
        ({"user_id": "mary", "custom_id": "own-mary"}, "john", "own-mary", False),
        ({"user_id": "mary"}, "Mary", None, False),
        ({"user_id": "mary"}, "mary ", None, False),
        ({"user_id": "mary"}, None, "own-mary", False),
    ],
)
def test_a_person_is_who_an_id_of_one_kind_names(
    data: dict[str, str], user_id: str | None, custom_id: str | None, ends: bool
) -> None:
    done = rows({**data, "course": {"path": "/learning"}})
    assert (why(item(user_id=user_id, custom_id=custom_id), done) is not None) is ends


@pytest.mark.parametrize(
    "path",
    ["/learning/", "/Learning", "/learning?x=1", "/learning#a", "/%6cearning", "/lear", None],
)
def test_another_spelling_is_another_place(path: str | None) -> None:
    assert why(item(path=path), rows()) is None


@pytest.mark.parametrize(
    ("occurred_at", "received_at", "reminded_at", "first_seen", "ends"),
    [
        # before the reminder, within the time
        (NOW, NOW, NOW + DAY_S, NOW + DAY_S, True),
        (NOW, NOW, NOW + DAY_S + 1, NOW + DAY_S + 1, False),
        # at the same moment, and while it waits
        (NOW, NOW, NOW, NOW, True),
        (NOW + 99 * DAY_S, NOW + 99 * DAY_S, NOW, NOW, True),
        # late: it says itself that it is long ago
        (NOW - 3 * DAY_S, NOW, NOW, NOW, False),
        (NOW - 3 * DAY_S, NOW, NOW - 2.5 * DAY_S, NOW, True),
        # undated: when it came counts
        (None, NOW, NOW, NOW, True),
        (None, NOW, None, NOW + DAY_S, True),
        (None, NOW, None, NOW + DAY_S + 1, False),
        # a clock that is ahead gives neither side more
        (NOW + 9 * DAY_S, NOW, NOW + DAY_S + 1, NOW + DAY_S + 1, False),
        (NOW, NOW, NOW + 9 * DAY_S, NOW + DAY_S, True),
    ],
)
def test_it_holds_from_so_long_before_the_reminder_and_while_that_waits(
    occurred_at: float | None,
    received_at: float,
    reminded_at: float | None,
    first_seen: float,
    ends: bool,
) -> None:
    done = rows(occurred_at=occurred_at, received_at=received_at)
    reminder = item()._replace(occurred_at=reminded_at)
    assert (why(reminder, done, first_seen) is not None) is ends


def test_another_sources_reminder_goes_out() -> None:
    assert why(item()._replace(source="staging"), rows()) is None
    assert why(item()._replace(source="api"), rows()) is None


def test_without_match_it_is_the_path_that_is_given() -> None:
    done = rows({"user_id": "mary"}, Rule(DONE, "", "/learning", DAY_S))
    assert why(item(), done) == "superseded by msg_e"
    assert why(item(path="/other"), done) is None


def test_with_match_the_path_says_which_places_count() -> None:
    only = Rule(DONE, "data.course.path", "/learn*", DAY_S)
    assert len(rows(None, only)) == 1
    assert rows({"user_id": "mary", "course": {"path": "/news"}}, only) == ()


def test_of_two_rules_for_a_place_the_longer_one_holds() -> None:
    (row,) = rows(None, MATCH, MATCH._replace(within_s=5.0), Rule(DONE, "", "/learning", 9.0))
    assert row.within_s == DAY_S


def test_the_earliest_event_is_named_whatever_the_order() -> None:
    (one,) = rows()
    later = one._replace(event_id="msg_a", at=NOW + 5)
    assert why(item(), (later, one)) == why(item(), (one, later)) == "superseded by msg_e"


def test_a_row_names_nobody() -> None:
    assert "mary" not in repr(rows({"user_id": "mary", "course": {"path": "/learning"}}))


@pytest.mark.parametrize(
    ("pattern", "path", "fit"),
    [("", "/a", True), ("/a", "/a", True), ("/a", "/ab", False), ("/a*", "/ab", True),
     ("/a/*", "/a", False), ("*", "/a", True)],
)  # fmt: skip
def test_a_star_at_the_end_stands_for_whatever_follows(pattern: str, path: str, fit: bool) -> None:
    assert fits(pattern, path) is fit


def test_nothing_configured_is_false() -> None:
    assert not Rules((), words)
    assert Rules((MATCH,), words)
