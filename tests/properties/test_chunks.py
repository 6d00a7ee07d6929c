"""A chunk read back is the chunk that was written, whatever people write and in whichever form."""

from __future__ import annotations

import json
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.chunks import cut, deadline_of
from gateway.core.model import CHUNK_SIZE, ChunkItem, Item, Rejection, Remainder
from gateway.core.sources import BUILT_IN, NOTHING, UNLIMITED, Limits
from gateway.core.stored import (
    NEWEST,
    OLDEST,
    PLAIN,
    Unreadable,
    erase_items,
    form_of,
    read_items,
    read_letter,
    read_rejections,
    write_items,
    write_later,
    write_rejections,
)
from gateway.core.stored_limits import read_limits, write_limits
from tests.kit.build import NOW

# everything `parse_items` lets through: any Unicode but lone surrogates, line separators included
texts = st.text() | st.sampled_from(
    ["\x00", "\u2028\u2029", "\ufeff", "\u202e\u05d0", "e\u0301", "\U0010ffff", '"\\/', "'"]
)
items = st.builds(
    Item,
    index=st.integers(0, 100_000),
    title=texts,
    body=texts,
    path=st.none() | texts,
    user_id=st.none() | texts,
    custom_id=st.none() | texts,
    source=st.none(),
    part=st.none(),
    occurred_at=st.none(),
    collapse_id=st.none(),
    limits=st.none(),
)
remainders = st.builds(
    Remainder,
    device_id=st.integers(1, 2**63 - 1),
    attempts=st.integers(0, 1000),
    flipped=st.booleans(),
)
entries = st.builds(ChunkItem, items, st.none() | st.lists(remainders, max_size=4).map(tuple))


later = st.fixed_dictionaries(
    {},
    optional={
        "source": st.none() | st.sampled_from(["learnink", "api", "cli"]),
        "part": st.none() | texts,
        "occurred_at": st.none() | st.floats(0, 1e11),
        "collapse_id": st.none() | texts,
    },
)
names = st.none() | st.frozensets(texts, max_size=3)
limits = st.builds(Limits, names, names, st.none() | st.floats(0, 1e6))
bound = st.tuples(st.text(min_size=1).filter(lambda name: name not in BUILT_IN), st.none() | limits)
full_items = st.builds(lambda item, more: item._replace(**more), items, later)
some_remainders = st.none() | st.lists(remainders, max_size=4).map(tuple)
full_entries = st.builds(ChunkItem, full_items, some_remainders)
#: of a source that the configuration names
bound_items = st.builds(
    lambda item, named: item._replace(source=named[0], limits=named[1]), full_items, bound
)
any_items = full_items | bound_items
any_entries = st.builds(ChunkItem, any_items, some_remainders)


def plainest(written: Sequence[ChunkItem], form: int) -> int:
    """The version that a chunk is written in: of what has limits always the one that says them."""
    named = [
        one for one, _ in written if one.limits is not None or one.source not in {None, *BUILT_IN}
    ]
    return NEWEST if named else min(form, PLAIN)


@given(st.lists(any_entries, max_size=8))
def test_a_chunk_read_back_is_the_chunk_that_was_written(written: list[ChunkItem]) -> None:
    data = write_items(written)
    assert form_of(data) == plainest(written, NEWEST)
    assert read_items(data) == tuple(written)


@given(st.lists(any_entries, max_size=8), st.lists(bound_items, min_size=1, max_size=2))
def test_limits_are_kept_whatever_the_other_replicas_read(
    others: list[ChunkItem], named: list[Item]
) -> None:
    written = [*others, *map(ChunkItem, named)]
    for form in (OLDEST, PLAIN, NEWEST):
        data = write_items(written, form)
        assert form_of(data) == NEWEST
        assert read_items(data) == tuple(written)


@given(limits | st.just(UNLIMITED))
def test_an_events_limits_read_back_are_those_that_were_written(given_: Limits) -> None:
    assert read_limits(write_limits(given_)) == given_


@given(limits, st.data())
def test_limits_that_nobody_can_read_let_nothing_be_reached(
    given_: Limits, data: st.DataObject
) -> None:
    good = write_limits(given_)
    place = data.draw(st.integers(1, max(1, len(good) - 1)))
    assert read_limits(good[:place]) in (NOTHING, given_)
    for bad in ("3 {}", "2 []", '2 {"apps":"a"}', '2 {"apps":[1]}', '2 {"more":1}', "2 null", "x"):
        assert read_limits(bad) == NOTHING


@given(st.lists(entries, max_size=8))
def test_the_oldest_form_is_written_byte_for_byte_as_the_first_version_wrote_it(
    written: list[ChunkItem],
) -> None:
    # Replicas of before read it, and erasure looks for ids in these bytes.
    plain = [
        [
            *entry.item[:6],
            *([] if left is None else [[[*one[:2], int(one.flipped)] for one in left]]),
        ]
        for entry, left in ((entry, entry.remainders) for entry in written)
    ]
    expected = json.dumps(plain, ensure_ascii=False, separators=(",", ":")).encode()
    data = write_items(written, OLDEST)
    assert data == expected
    assert form_of(data) == OLDEST
    assert read_items(data) == tuple(written)


@given(st.lists(entries, max_size=8), st.sampled_from([OLDEST, NEWEST]), st.data())
def test_bytes_that_were_cut_or_changed_read_as_a_chunk_or_not_at_all(
    written: list[ChunkItem], form: int, data: st.DataObject
) -> None:
    good = write_items(written, form)
    place = data.draw(st.integers(0, len(good) - 1))
    bad = data.draw(
        st.sampled_from([good[:place], good[:place] + b"\x00" + good[place + 1 :], b"", good[::-1]])
    )
    try:
        found = read_items(bad)
    except Unreadable:
        return
    assert all(type(entry.item.index) is int for entry in found)
    assert all(type(entry.item.title) is str for entry in found)


@given(st.lists(any_entries, max_size=8), st.sampled_from([OLDEST, PLAIN, NEWEST]), texts)
def test_what_is_left_of_a_chunk_after_an_erasure_names_nobody_and_keeps_its_form(
    written: list[ChunkItem], form: int, user: str
) -> None:
    data = write_items(written, form)
    before = read_items(data)
    after = read_items(erase_items(data, lambda _index, user_id, _custom: user_id == user))
    assert form_of(erase_items(data, lambda *_: True)) == plainest(written, form)
    for old, new in zip(before, after, strict=True):
        assert new.remainders == old.remainders
        if old.item.user_id != user:
            assert new == old
            continue
        assert new.item[:6] == (old.item.index, "", "", None, None, None)
        assert new.item.collapse_id is None
        assert (new.item.source, new.item.part) == (old.item.source, old.item.part)
        assert new.item.limits == old.item.limits


@given(any_items)
def test_a_dead_letter_keeps_all_of_its_item(item: Item) -> None:
    assert read_letter(item[:6], write_later(item)) == item


@given(
    st.lists(st.builds(Rejection, st.integers(0, 10_000), texts), max_size=4),
    st.sampled_from([OLDEST, NEWEST]),
)
def test_rejections_read_back_are_those_that_were_written(
    rejections: list[Rejection], form: int
) -> None:
    assert read_rejections(write_rejections(rejections, form)) == tuple(rejections)


@given(st.integers(0, 3 * CHUNK_SIZE + 1))
def test_cutting_loses_and_doubles_nothing_and_keeps_the_order(count: int) -> None:
    batch = [Item(index, "t", "b", None, "u", None) for index in range(count)]
    chunks = cut("msg_1", batch, received_at=NOW, deadline=NOW)
    assert [entry.item for chunk in chunks for entry in chunk.items] == batch
    assert all(0 < len(chunk.items) <= CHUNK_SIZE for chunk in chunks)


@given(
    occurred_at=st.none() | st.floats(-1e11, 1e11),
    received_at=st.floats(0, 1e11),
    max_age_s=st.floats(1, 1e7),
)
def test_no_timestamp_gives_more_life_than_first_sight(
    occurred_at: float | None, received_at: float, max_age_s: float
) -> None:
    assert deadline_of(occurred_at, received_at, max_age_s) <= received_at + max_age_s
