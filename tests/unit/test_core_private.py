"""Phone numbers leave a batch, and nothing else does; ids of an event are noted."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.private import MOST_PEOPLE, people_in, without_phones

NUMBER = b"+254705408079"


def without(body: bytes) -> bytes:
    document = json.loads(body)
    return without_phones(body, document, document["data"]["notifications"])


def batch(items: bytes) -> bytes:
    return b'{"data":{"notifications":[' + items + b']}, "type" : "notifications.sent" }'


EXACT = [
    (b'{"title":"a","phone_number":"+254705408079"}', b'{"title":"a"}'),
    (b'{"phone_number":"+254705408079","title":"a"}', b'{"title":"a"}'),
    (b'{"a":1,"phone_number":"+254705408079","title":"a"}', b'{"a":1,"title":"a"}'),
    (b'{"phone_number":"+254705408079"}', b"{}"),
    (b'{"a":1, "phone_number" : "+254705408079" }', b'{"a":1 }'),
    (b'{"a":1\n,\n"phone_number":null\n}', b'{"a":1\n\n}'),
    (b'{"phone_number":254705408079}', b"{}"),
    (b'{"phone_number":-1.5e+3,"a":1}', b'{"a":1}'),
    (b'{"phone_number":1,"phone_number":2,"a":3}', b'{"a":3}'),
    (b'{"a":3,"phone_number":1,"phone_number":2}', b'{"a":3}'),
    (b'{"phone_number":1,"phone_number":2}', b"{}"),
    (b'{"phone_number":"a\\"b,\\\\","a":3}', b'{"a":3}'),
    (b'{"a":{"phone_number":"1","b":2}}', b'{"a":{"b":2}}'),
    # what only looks like it stays
    (b'{"title":"phone_number","body":"x"}', b'{"title":"phone_number","body":"x"}'),
    (b'{"title":"say \\"phone_number\\": 1"}', b'{"title":"say \\"phone_number\\": 1"}'),
    (b'{"my_phone_number":"x","phone_numbers":1}', b'{"my_phone_number":"x","phone_numbers":1}'),
    (b'{"title":"\\\\","phone_number":"1"}', b'{"title":"\\\\"}'),
]


@pytest.mark.parametrize(("item", "left"), EXACT)
def test_a_phone_number_goes_and_every_other_byte_stays(item: bytes, left: bytes) -> None:
    for beside in (b"", b',{"x":1}'):
        assert without(batch(item + beside)) == batch(left + beside)


ODD = [
    b'{"title":"a","phone\\u005fnumber":"+254705408079"}',
    b'{"title":"a","\\u0070hone_number":"+254705408079","phone_number":"+254705408079"}',
    b'{"title":"a","phone_number":["+254705408079"]}',
    b'{"title":"a","phone_number":{"e164":"+254705408079"}}',
    b'{"title":"a","\\u0070hone_number":"+254705408079","b":{"phone_number":"1"}}',
]


@pytest.mark.parametrize("item", ODD)
def test_however_it_is_written(item: bytes) -> None:
    left = without(batch(item))
    assert NUMBER not in left
    assert json.loads(left)["data"]["notifications"][0]["title"] == "a"


def test_a_batch_without_any_is_the_same_object() -> None:
    body = batch(b'{"title":"a"}')
    assert without(body) is body


TEXT = st.text(max_size=12) | st.sampled_from(["phone_number", '"phone_number":1', "\\", '",'])
VALUE = st.none() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT
NESTED = st.recursive(
    VALUE,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(TEXT | st.just("phone_number"), inner, max_size=4)
    ),
    max_leaves=10,
)
ITEM = st.dictionaries(st.just("phone_number") | TEXT, NESTED, max_size=5)


def cleaned(value: Any) -> Any:
    if isinstance(value, list):
        return [cleaned(one) for one in value]
    if isinstance(value, dict):
        return {name: cleaned(one) for name, one in value.items() if name != "phone_number"}
    return value


@given(items=st.lists(ITEM, max_size=4), spaced=st.booleans(), ascii_only=st.booleans())
def test_what_is_left_is_the_batch_without_its_items_numbers(
    items: list[dict[str, Any]], spaced: bool, ascii_only: bool
) -> None:
    document = {"data": {"notifications": items}}
    separators = (", ", " : ") if spaced else (",", ":")
    body = json.dumps(document, separators=separators, ensure_ascii=ascii_only).encode()
    left = json.loads(without_phones(body, document, items))
    for one, item in zip(left["data"]["notifications"], items, strict=True):
        assert "phone_number" not in one
        wanted = {name: cleaned(value) for name, value in item.items() if name != "phone_number"}
        assert cleaned(one) == wanted


def test_people_are_those_of_fields_for_ids() -> None:
    document = {
        "data": {
            "user": {"id": "u1", "name": "Mary", "custom_id": "c1"},
            "course": {"id": "k1"},
            "list": [{"user_id": "u2"}, {"user_id": 7}, {"user_id": ""}, {"custom_id": None}],
            "deep": [[[{"x": {"user_id": "u3"}}]]],
            "bad": [{"user_id": "\ud800"}, {"user_id": "a\0b"}, {"user_id": "x" * 300}],
        },
        "user_id": "u4",
    }
    assert set(people_in(document)) == {"u1", "c1", "u2", "7", "u3", "u4"}


@pytest.mark.parametrize("odd", [None, "text", 7, [], {}, [None, [1]]])
def test_whatever_it_is(odd: Any) -> None:
    assert people_in(odd) == ()


def test_few_are_noted_of_an_event_that_names_many() -> None:
    assert len(people_in([{"user_id": f"u{n}"} for n in range(5_000)])) == MOST_PEOPLE
    assert people_in(orjson.loads(b"[" * 500 + b"]" * 500)) == ()
