"""How often in a row a delivery was not looked at."""

from __future__ import annotations

from gateway.relay.streaks import Streaks


def test_a_streak_grows_until_it_ends() -> None:
    streaks = Streaks()
    assert [streaks.lengthen("a") for _ in range(3)] == [1, 2, 3]
    assert streaks.lengthen("b") == 1
    streaks.end("a")
    streaks.end("never seen")
    assert (streaks.lengthen("a"), streaks.lengthen("b")) == (1, 2)


def test_what_was_not_spoken_of_for_longest_is_forgotten_first() -> None:
    streaks = Streaks(remembered=2)
    for delivery_id in ("a", "b", "a", "c"):
        streaks.lengthen(delivery_id)
    assert streaks.lengthen("a") == 3
    assert streaks.lengthen("b") == 1
