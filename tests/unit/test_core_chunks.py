"""How a batch is cut, and how long it is worth sending."""

from __future__ import annotations

import pytest

from gateway.core.chunks import cut, deadline_of
from gateway.core.model import CHUNK_SIZE
from tests.kit.build import NOW, item

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
