"""Dotted paths: whose an event is, and what of it is kept."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.core.dotted import Keeping, id_at, kept_of, parts_of, places_in, written

USER = [parts_of("data.user_id"), parts_of("data.user.id")]

FOUND: list[tuple[Any, str | None]] = [
    ({"data": {"user_id": "u1", "user": {"id": "u2"}}}, "u1"),
    ({"data": {"user": {"id": "u2"}}}, "u2"),
    ({"data": {"user_id": None, "user": {"id": "u2"}}}, "u2"),
    ({"data": {"user_id": "", "user": {"id": "u2"}}}, "u2"),
    ({"data": {"user_id": "  "}}, None),
    ({"data": {"user_id": 42}}, "42"),
    ({"data": {"user_id": 42.0}}, "42"),
    ({"data": {"user_id": 0}}, "0"),
    ({"data": {"user_id": 1.5}}, None),
    ({"data": {"user_id": True}}, None),
    ({"data": {"user_id": float("nan")}}, None),
    ({"data": {"user_id": float("inf")}}, None),
    ({"data": {"user_id": 10**400}}, None),
    ({"data": {"user_id": "\ud800"}}, None),
    ({"data": {"user_id": "a\0b"}}, None),
    ({"data": {"user_id": "x" * 257}}, None),
    ({"data": {"user_id": ["u1", "u2"]}}, "u1"),
    ({"data": {"user_id": {"id": "u1"}}}, None),
    ({"data": {"user": [{}, {"id": ""}, {"id": "u3"}]}}, "u3"),
    ({"data": [{"user_id": "u1"}]}, "u1"),
    ({"data": [[[{"user_id": "u1"}]]]}, "u1"),
    ({"data": "user_id"}, None),
    ({"data": None}, None),
    ([], None),
    (None, None),
]


@pytest.mark.parametrize(("document", "user"), FOUND)
def test_the_first_place_that_holds_an_id_counts(document: Any, user: str | None) -> None:
    assert id_at(document, USER) == user


KEPT: list[tuple[list[str], list[str], Any, Any]] = [
    (
        ["**.phone"],
        [],
        {"phone": 1, "a": {"phone": 2, "b": [{"phone": 3, "c": 4}]}},
        {"a": {"b": [{"c": 4}]}},
    ),
    (
        ["data.*.email"],
        [],
        {"data": {"x": {"email": 1, "y": 2}, "email": 3}},
        {"data": {"x": {"y": 2}, "email": 3}},
    ),
    (
        ["data.users.email"],
        [],
        {"data": {"users": [{"email": 1}, {"id": 2}]}},
        {"data": {"users": [{}, {"id": 2}]}},
    ),
    (["data.users.0"], [], {"data": {"users": ["a", "b"]}}, {"data": {"users": ["b"]}}),
    (["data"], [], {"data": {"x": 1}, "type": "t"}, {"type": "t"}),
    (["**"], [], {"data": 1}, {}),
    (["nothing.here"], [], {"data": [1, None]}, {"data": [1, None]}),
    ([], ["data.user_id"], {"data": {"user_id": 1, "x": 2}, "type": "t"}, {"data": {"user_id": 1}}),
    (
        [],
        ["**.id"],
        {"data": {"user": {"id": 1, "n": 2}, "course": {"id": 3}}},
        {"data": {"user": {"id": 1}, "course": {"id": 3}}},
    ),
    (
        [],
        ["data.steps.score"],
        {"data": {"steps": [{"score": 1, "x": 2}, {"x": 3}]}},
        {"data": {"steps": [{"score": 1}]}},
    ),
    ([], ["nothing"], {"data": 1}, {}),
    (["data.secret"], ["data"], {"data": {"secret": 1, "x": 2}, "y": 3}, {"data": {"x": 2}}),
]


@pytest.mark.parametrize(("drop", "keep", "document", "kept"), KEPT)
def test_what_is_left_of_a_body(drop: list[str], keep: list[str], document: Any, kept: Any) -> None:
    keeping = Keeping(tuple(map(parts_of, drop)), tuple(map(parts_of, keep)))
    assert kept_of(document, keeping) == kept


def test_what_nests_too_deep_to_be_looked_through_is_not_kept() -> None:
    deep: Any = {"phone": 1}
    for _ in range(100_000):
        deep = [deep]
    assert kept_of({"data": deep}, Keeping((parts_of("**.phone"),))) == {}
    assert id_at({"data": deep}, USER) is None
    while deep:  # without a recursion of the interpreter's own
        deep = deep[0] if isinstance(deep, list) else None


@pytest.mark.parametrize("odd", ["\ud83d", 2**70, -(2**70), {"\ud83d": 1}])
def test_whatever_was_read_can_be_written(odd: Any) -> None:
    assert json.loads(written({"a": odd})) == {"a": odd}


def test_places_have_no_values() -> None:
    document = {"type": "t", "data": {"user": {"id": 1}, "steps": [{"x": 1}, {"y": 2}], "e": {}}}
    assert places_in(document) == (
        "data.e",
        "data.steps[].x",
        "data.steps[].y",
        "data.user.id",
        "type",
    )
    assert places_in({"a\ud800\n": 1}) == ("a\\ud800\\n",)


@pytest.mark.parametrize("path", ["", ".", "a.", ".a", "a..b", ".".join("a" * 33)])
def test_what_names_no_place_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="names with dots"):
        parts_of(path)
