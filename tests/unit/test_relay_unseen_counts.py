"""How often in a row a delivery was not looked at."""

from __future__ import annotations

from gateway.relay.unseen_counts import UnseenCounts


def test_a_count_grows_until_it_ends() -> None:
    counts = UnseenCounts()
    assert [counts.add("a") for _ in range(3)] == [1, 2, 3]
    assert counts.add("b") == 1
    counts.end("a")
    counts.end("never seen")
    assert (counts.add("a"), counts.add("b")) == (1, 2)


def test_what_was_not_spoken_of_for_longest_is_forgotten_first() -> None:
    counts = UnseenCounts(remembered=2)
    for delivery_id in ("a", "b", "a", "c"):
        counts.add(delivery_id)
    assert counts.add("a") == 3
    assert counts.add("b") == 1
