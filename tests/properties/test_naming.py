"""What an export shows of a body is there whenever an erase would find the person in it."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.model import UserRef
from gateway.store.erasing import who_is_named
from gateway.store.naming import parts_of

MARY = UserRef("mary", "c-mary")
PEOPLE = [MARY, UserRef("7", None), UserRef(None, "zoe"), UserRef("mary", "mary")]

words = st.sampled_from(["mary", "c-mary", "zoe", "marya", "", "7", '{"user_id":"mary"}', "m\\ry"])
names = st.sampled_from(["user_id", "custom_id", "user", "id", "user.id", "data", "x", "mary"])
documents = st.recursive(
    st.one_of(
        words,
        st.just(7),
        st.integers(-5, 10**20),
        st.none(),
        st.booleans(),
        st.floats(allow_nan=False),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=60), st.dictionaries(names, inner, max_size=4)
    ),
    max_leaves=20,
)


@given(documents, st.booleans(), st.sampled_from(PEOPLE))
def test_a_part_is_found_exactly_where_an_erase_finds_the_person(
    document: Any, ascii_only: bool, person: UserRef
) -> None:
    body = json.dumps(document, ensure_ascii=ascii_only).encode()
    parts, unread = parts_of(body, person, ())
    assert not unread
    assert bool(parts) == bool(who_is_named(body, [person]))


@given(st.lists(st.sampled_from(["mary", "zoe", "otis"]), max_size=80))
def test_of_a_batch_only_the_persons_own_entries_are_shown(people: list[str]) -> None:
    entries = [{"user_id": one, "title": f"for {one}", "n": n} for n, one in enumerate(people)]
    body = json.dumps({"data": {"notifications": entries}}).encode()
    parts, _ = parts_of(body, MARY, ())
    assert [value["n"] for _, value in parts] == [
        n for n, one in enumerate(people) if one == "mary"
    ]
    assert [where for where, _ in parts] == [
        f"data.notifications[{n}]" for n, one in enumerate(people) if one == "mary"
    ]


@given(st.sets(st.integers(0, 9)))
def test_entries_that_the_journal_says_are_theirs_are_shown(indexes: set[int]) -> None:
    entries = [{"user_id": "another", "n": n} for n in range(5)]
    parts, _ = parts_of(json.dumps({"data": {"notifications": entries}}).encode(), MARY, indexes)
    assert [value["n"] for _, value in parts] == sorted(one for one in indexes if one < 5)


LEARNT = {
    "type": "user.course.completed",
    "data": {
        "user": {"id": "mary", "name": "Mary"},
        "course": {"id": "7", "title": "First aid"},
        "score": 0.8,
        "team": [{"user_id": "mary", "score": 0.8}, {"user_id": "zoe", "score": 0.1}],
        "names": ["zoe", "mary"],
        "mentor": {"user_id": "otis", "name": "Otis"},
        "custom_id": None,
    },
}


def test_of_a_learning_event_all_is_shown_but_what_is_anothers() -> None:
    parts, unread = parts_of(json.dumps(LEARNT).encode(), MARY, (), learnt=True)
    assert not unread
    ((where, value),) = parts
    assert where == ""
    assert value["type"] == "user.course.completed"
    assert value["data"] == {
        "user": {"id": "mary", "name": "Mary"},
        "course": {"id": "7", "title": "First aid"},
        "score": 0.8,
        "team": [{"user_id": "mary", "score": 0.8}],
        "names": ["mary"],
    }
    assert parts_of(json.dumps(LEARNT).encode(), UserRef("eve"), (), learnt=True) == ([], False)


@given(documents, st.sampled_from(PEOPLE))
def test_a_learning_event_is_shown_exactly_where_an_erase_finds_the_person(
    document: Any, person: UserRef
) -> None:
    body = json.dumps(document).encode()
    parts, _ = parts_of(body, person, (), learnt=True)
    assert bool(parts) == bool(who_is_named(body, [person]))
    assert all(who_is_named(json.dumps(value).encode(), [person]) for _, value in parts)


def test_what_is_no_json_cannot_be_told_apart_and_no_body_says_nothing() -> None:
    assert parts_of(b'"mary" {', MARY, ()) == ([], True)
    assert parts_of(b"", MARY, ()) == ([], False)
