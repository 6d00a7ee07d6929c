"""How a batch is cut, and how long it is worth sending."""

from __future__ import annotations

import pytest

from gateway.core.chunks import cut, deadline_of, decode_items, encode_items
from gateway.core.model import CHUNK_SIZE, ChunkItem, Item, Remainder
from tests.kit.build import NOW, chunk, item

DAY = 86_400.0


@pytest.mark.parametrize(
    ("occurred_at", "deadline"),
    [
        (None, NOW + DAY),  # no usable timestamp: from first sight
        (NOW, NOW + DAY),
        (NOW - 3600.0, NOW - 3600.0 + DAY),  # an hour old: an hour less to live
        (NOW - 3 * DAY, NOW - 2 * DAY),  # days old: dead on arrival
        (NOW + 3600.0, NOW + DAY),  # a clock that runs ahead prolongs nothing
        (NOW + 10_000 * DAY, NOW + DAY),
        (-62_135_596_800.0, -62_135_596_800.0 + DAY),  # the year 1
    ],
)
def test_the_deadline_counts_from_the_events_own_time_unless_that_is_in_the_future(
    occurred_at: float | None, deadline: float
) -> None:
    assert deadline_of(occurred_at, NOW, DAY) == deadline


@pytest.mark.parametrize(
    ("notifications", "sizes"),
    [(0, []), (1, [1]), (255, [255]), (256, [256]), (257, [256, 1]), (600, [256, 256, 88])],
)
def test_a_batch_is_cut_into_chunks_of_at_most_256(notifications: int, sizes: list[int]) -> None:
    items = [item(index) for index in range(notifications)]
    chunks = cut("msg_1", items, received_at=NOW, deadline=NOW + DAY)
    assert CHUNK_SIZE == 256
    assert [len(one.items) for one in chunks] == sizes
    assert [one.number for one in chunks] == list(range(len(sizes)))
    assert [entry.item for one in chunks for entry in one.items] == items


def test_a_fresh_chunk_is_due_at_once_waits_for_no_lane_and_was_not_fanned_out() -> None:
    (one,) = cut("msg_1", [item()], received_at=NOW, deadline=NOW + DAY)
    assert (one.due_at, one.first_seen, one.deadline, one.lane) == (NOW, NOW, NOW + DAY, "")
    assert one.items[0].remainders is None


def test_a_chunk_is_written_without_escapes_so_that_scripts_cost_their_utf8_bytes() -> None:
    text = "Habari za asubuhi \u2014 \u0921\u091f\u0947 \U0001f469\U0001f3fe\u200d\U0001f3eb"
    assert text.encode() in encode_items(chunk([item(title=text)]))


def test_what_was_queued_before_is_read() -> None:
    queued = '[[0,"\u0921","b",null,"u",null],[7,"t","","/p",null,"c",[[5,2,1],[6,0,0]]]]'
    assert decode_items(queued.encode()) == (
        ChunkItem(Item(0, "\u0921", "b", None, "u", None)),
        ChunkItem(Item(7, "t", "", "/p", None, "c"), (Remainder(5, 2, flipped=True), Remainder(6))),
    )
