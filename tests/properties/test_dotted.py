"""What is found, kept and dropped of a body, against a slow model of the same words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import product
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.dotted import (
    MOST_PLACES,
    Keeping,
    Path,
    id_at,
    kept_of,
    places_in,
    written,
)
from gateway.core.identifiers import id_fault

NAMES = st.sampled_from(["a", "b", "0", "1", "user", "*"])
PATTERNS = st.lists(
    st.sampled_from(["a", "b", "0", "1", "user", "*", "**"]), min_size=1, max_size=4
).map(tuple)
SHAPES = st.recursive(
    st.just(0),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=12,
)
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats()
    | st.text(st.characters(codec=None, categories=["L", "C", "N"]), max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=3) | NAMES, inner, max_size=3)
    ),
    max_leaves=12,
)


def numbered(shape: Any, counter: Iterator[int]) -> Any:
    """The same shape, with a number of its own for every leaf."""
    if isinstance(shape, dict):
        return {name: numbered(part, counter) for name, part in shape.items()}
    if isinstance(shape, list):
        return [numbered(part, counter) for part in shape]
    return next(counter)


def leaves(
    value: Any, at: tuple[str | int, ...] = ()
) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    if isinstance(value, dict):
        for name, part in value.items():
            yield from leaves(part, (*at, name))
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from leaves(part, (*at, index))
    else:
        yield at, value


def matches(pattern: Path, place: tuple[str, ...]) -> bool:
    if not pattern:
        return not place
    if pattern[0] == "**":
        return any(matches(pattern[1:], place[at:]) for at in range(len(place) + 1))
    return bool(place) and pattern[0] in ("*", place[0]) and matches(pattern[1:], place[1:])


def names(pattern: Path, place: tuple[str | int, ...]) -> bool:
    """Whether a pattern names a place or what it stands in. An entry's number may be left out."""
    forms = product(*([(part,)] if isinstance(part, str) else [(str(part),), ()] for part in place))
    return any(
        matches(pattern, tuple(part for parts in form[:end] for part in parts))
        for form in forms
        for end in range(1, len(form) + 1)
    )


@given(SHAPES, st.lists(PATTERNS, max_size=3), st.lists(PATTERNS, max_size=3))
def test_what_is_kept_is_what_the_patterns_say(
    shape: Any, drop: list[Path], keep: list[Path]
) -> None:
    document = numbered({"top": shape, "a": shape}, iter(range(1_000)))
    kept = kept_of(document, Keeping(tuple(drop), tuple(keep)))
    assert sorted(value for _, value in leaves(kept)) == [
        value
        for place, value in leaves(document)
        if (not keep or any(names(one, place) for one in keep))
        and not any(names(one, place) for one in drop)
    ]


@given(ANYTHING, st.lists(PATTERNS, max_size=3), st.lists(PATTERNS, max_size=3))
def test_no_body_is_too_odd(document: Any, drop: list[Path], keep: list[Path]) -> None:
    found = id_at(document, [*drop, *keep])
    assert found is None or id_fault(found) is None
    kept = kept_of(document, Keeping(tuple(drop), tuple(keep)))
    assert repr(kept_of(kept, Keeping(tuple(drop), tuple(keep)))) is not None
    json.loads(written(kept))
    for place in places_in(document):
        place.encode()
    assert len(places_in(document)) <= MOST_PLACES


@given(SHAPES)
def test_the_first_that_is_there_is_found_also_in_a_list(shape: Any) -> None:
    document = numbered({"a": shape}, iter(range(1_000)))
    every = list(leaves(document))
    for place, _ in every:
        # a number may be a member's name as well as an entry's place
        assert id_at(document, [tuple(map(str, place))]) is not None
        through = [part for part in place if isinstance(part, str)]
        if not any(part.isdecimal() for part in through):
            first = next(
                value
                for other, value in every
                if [part for part in other if isinstance(part, str)] == through
            )
            assert id_at(document, [tuple(through)]) == str(first)
