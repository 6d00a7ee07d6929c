"""A chunk read back is the chunk that was written, whatever people write."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.chunks import cut, deadline_of, decode_items, encode_items
from gateway.core.model import CHUNK_SIZE, Chunk, ChunkItem, Item, Remainder
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
)
remainders = st.builds(
    Remainder,
    device_id=st.integers(1, 2**63 - 1),
    attempts=st.integers(0, 1000),
    flipped=st.booleans(),
)
entries = st.builds(ChunkItem, items, st.none() | st.lists(remainders, max_size=4).map(tuple))


@given(st.lists(entries, max_size=8))
def test_a_chunk_read_back_is_the_chunk_that_was_written(written: list[ChunkItem]) -> None:
    chunk = Chunk("msg_1", 0, NOW, NOW, tuple(written))
    assert decode_items(encode_items(chunk)) == tuple(written)


@given(st.lists(entries, max_size=8))
def test_a_chunk_is_written_byte_for_byte_as_the_first_version_wrote_it(
    written: list[ChunkItem],
) -> None:
    # Either version may read what the other queued, and erasure looks for ids in these bytes.
    plain = [
        [*entry.item, *([] if left is None else [[[*one[:2], int(one.flipped)] for one in left]])]
        for entry, left in ((entry, entry.remainders) for entry in written)
    ]
    chunk = Chunk("msg_1", 0, NOW, NOW, tuple(written))
    expected = json.dumps(plain, ensure_ascii=False, separators=(",", ":")).encode()
    assert encode_items(chunk) == expected


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
