"""What counts as a notification, and what is said of one that does not."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.core.identifiers import MAX_ID
from gateway.core.items import MAX_TEXT, parse_items
from gateway.core.model import Item
from gateway.core.paths import MAX_PATH

GOOD: dict[str, Any] = {
    "title": "Hi Mary!",
    "body": "Don't forget to complete your training today",
    "path": "/learning",
    "user_id": "le2bB6Fi4CMgrIOIqMCJryZb9PR2",
    "custom_id": "3c2143e4-3e8e-478a-bf0b-9dc6e284fa33",
    "phone_number": "+254705408079",
}
SECRET = "Mary's secret"


def rejection(entry: object) -> str:
    items, rejections = parse_items([entry])
    assert items == []
    assert [one.index for one in rejections] == [0]
    return rejections[0].reason


def accepted(**changes: Any) -> Item:
    items, rejections = parse_items([GOOD | changes])
    assert rejections == []
    return items[0]


def test_the_documented_item_is_taken_as_it_is_and_its_phone_number_is_not() -> None:
    assert accepted() == Item(
        index=0,
        title="Hi Mary!",
        body="Don't forget to complete your training today",
        path="/learning",
        user_id="le2bB6Fi4CMgrIOIqMCJryZb9PR2",
        custom_id="3c2143e4-3e8e-478a-bf0b-9dc6e284fa33",
    )


def test_null_phone_number_and_custom_id_are_what_learnink_documents() -> None:
    assert accepted(phone_number=None, custom_id=None).custom_id is None


def test_what_learnink_adds_later_is_ignored() -> None:
    assert accepted(priority="high", badge={"count": 3}) == accepted()


@pytest.mark.parametrize("missing", ["user_id", "custom_id"])
@pytest.mark.parametrize("nothing", [None, ""])
def test_one_of_the_two_ids_is_enough(missing: str, nothing: str | None) -> None:
    found = accepted(**{missing: nothing})
    assert getattr(found, missing) is None


@pytest.mark.parametrize(("title", "body"), [("Hi", None), (None, "Come back"), ("Hi", "")])
def test_a_title_or_a_body_is_enough(title: str | None, body: str | None) -> None:
    found = accepted(title=title, body=body)
    assert (found.title, found.body) == (title or "", body or "")


@pytest.mark.parametrize(
    "path", [None, "/", "/learning", "/courses/7?tab=a&next=//x#y", "/kozi/mafunzo-ya-áfya"]
)
def test_a_path_inside_the_app_is_passed_on_unchanged(path: str | None) -> None:
    assert accepted(path=path).path == path


@pytest.mark.parametrize("path", ["learning", "//x", "/.//x", "/\u202ex", "/\ud800", 7])
def test_a_path_that_could_leave_the_app_or_cannot_be_sent_is_rejected(path: object) -> None:
    assert "path" in rejection(GOOD | {"path": path})


def test_limits_are_inclusive() -> None:
    found = accepted(
        title="t" * MAX_TEXT,
        body="b" * MAX_TEXT,
        path="/" + "p" * (MAX_PATH - 1),
        user_id="u" * MAX_ID,
        custom_id="c" * MAX_ID,
    )
    assert len(found.title) == len(found.body) == MAX_TEXT


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"title": None, "body": None}, "title and body are both empty"),
        ({"title": "", "body": ""}, "title and body are both empty"),
        ({"title": 7}, "title is not a string"),
        ({"body": ["x"]}, "body is not a string"),
        ({"title": SECRET * MAX_TEXT}, f"title is over {MAX_TEXT} characters"),
        ({"body": "x" * (MAX_TEXT + 1)}, f"body is over {MAX_TEXT} characters"),
        ({"title": f"{SECRET}\ud83d"}, "title is not valid Unicode"),
        ({"user_id": "\udc00"}, "user_id holds a control character, or half of a character"),
        ({"custom_id": "a\0"}, "custom_id holds a control character, or half of a character"),
        ({"user_id": None, "custom_id": None}, "user_id and custom_id are both missing"),
        ({"user_id": "", "custom_id": ""}, "user_id and custom_id are both missing"),
        ({"user_id": 7}, "user_id is not a string"),
        ({"custom_id": True}, "custom_id is not a string"),
        ({"user_id": "u" * (MAX_ID + 1)}, f"user_id is over {MAX_ID} characters"),
        ({"custom_id": SECRET * MAX_ID}, f"custom_id is over {MAX_ID} characters"),
    ],
)
def test_a_bad_item_is_rejected_with_a_reason_that_holds_none_of_its_content(
    change: dict[str, Any], said: str
) -> None:
    reason = rejection(GOOD | change)
    assert reason == said
    assert SECRET not in reason


@pytest.mark.parametrize("entry", [None, 7, 1e400, "text", True, [], [GOOD]])
def test_what_is_no_object_is_rejected(entry: object) -> None:
    assert rejection(entry) == "the item is not an object"


def test_a_bad_item_takes_no_neighbour_along_and_all_keep_their_index() -> None:
    items, rejections = parse_items([GOOD, {}, GOOD | {"path": "x"}, GOOD])
    assert [one.index for one in items] == [0, 3]
    assert [one.index for one in rejections] == [1, 2]


def test_an_empty_path_is_none() -> None:
    assert accepted(path="").path is None
