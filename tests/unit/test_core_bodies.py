"""The budget of bodies that come in: nothing is over it, and who gives way is the slowest."""

from __future__ import annotations

import pytest

from gateway.core.bodies import GRACE_S, SLOW, SMALL, Bodies, Body, Overloaded, TooSlow

MIB = 2**20
LARGE = 2 * MIB


class Rig:
    """A budget of 8 MiB: 2 for small bodies, 6 for large ones."""

    def __init__(self, limit: int = 8 * MIB) -> None:
        self.bodies = Bodies(lambda: limit)
        self.dropped: list[str] = []

    def begin(self, name: str, length: int | None, now: float = 0.0) -> Body:
        return self.bodies.begin(length, lambda: self.dropped.append(name), now=now)


def test_bytes_are_charged_as_they_come_and_given_back_at_the_end() -> None:
    rig = Rig()
    body = rig.begin("a", LARGE)
    assert rig.bodies.used == 0
    body.take(1_000, now=0.0)
    body.take(500, now=0.0)
    assert rig.bodies.used == 1_500
    body.end()
    body.end()
    assert rig.bodies.used == 0


def test_over_the_budget_the_slowest_gives_way_and_is_told_so() -> None:
    rig = Rig()
    fast, slow, middle = (rig.begin(name, LARGE) for name in ("fast", "slow", "middle"))
    fast.take(2 * MIB, now=1.0)
    slow.take(1 * MIB, now=1.0)
    middle.take(2 * MIB - 1, now=1.0)
    fast.take(1 * MIB + 2, now=2.0)
    assert rig.dropped == ["slow"]
    assert rig.bodies.used == 5 * MIB + 1
    with pytest.raises(TooSlow):
        slow.take(1, now=2.0)
    assert rig.bodies.used == 5 * MIB + 1


def test_who_is_slowest_itself_hears_it_at_once() -> None:
    rig = Rig()
    fast, slow = rig.begin("fast", LARGE), rig.begin("slow", LARGE)
    fast.take(6 * MIB - 10, now=0.5)
    slow.take(10, now=0.5)
    with pytest.raises(TooSlow):
        slow.take(1, now=GRACE_S)
    assert rig.dropped == []
    assert rig.bodies.used == 6 * MIB - 10


def test_while_no_pace_is_known_the_newcomer_is_refused() -> None:
    rig = Rig()
    first, second = rig.begin("first", LARGE), rig.begin("second", LARGE)
    first.take(6 * MIB, now=0.1)
    with pytest.raises(Overloaded):
        second.take(1, now=0.2)
    with pytest.raises(Overloaded):
        rig.begin("third", LARGE, now=0.3)
    assert rig.dropped == []


def test_a_body_that_stalls_gives_way_to_a_newcomer_and_one_that_moves_does_not() -> None:
    rig = Rig()
    stalled, moving = rig.begin("stalled", LARGE), rig.begin("moving", LARGE)
    stalled.take(3 * MIB, now=0.0)
    moving.take(2 * MIB, now=0.0)
    later = 3 * MIB / SLOW + 1
    moving.take(1 * MIB, now=later)
    with pytest.raises(Overloaded):
        rig.begin("too early", LARGE, now=later - 2)
    newcomer = rig.begin("newcomer", LARGE, now=later)
    assert rig.dropped[0] == "stalled"
    newcomer.take(LARGE, now=later)


def test_a_body_that_is_here_whole_gives_way_to_nobody() -> None:
    rig = Rig()
    whole = rig.begin("whole", LARGE)
    whole.take(6 * MIB, now=0.0)
    whole.whole()
    with pytest.raises(Overloaded):
        rig.begin("newcomer", LARGE, now=60.0)
    whole.end()
    rig.begin("newcomer", LARGE, now=60.0)
    assert rig.dropped == []


def test_large_bodies_leave_a_quarter_to_small_ones_and_small_ones_the_rest() -> None:
    rig = Rig()
    rig.begin("large", LARGE).take(6 * MIB, now=0.0)
    small = rig.begin("small", SMALL)
    small.take(SMALL, now=0.0)
    for number in range(7):
        rig.begin(f"small {number}", SMALL).take(SMALL, now=0.0)
    with pytest.raises(Overloaded):
        rig.begin("one more", SMALL)


def test_a_body_of_unknown_length_is_small_until_it_is_not() -> None:
    rig = Rig()
    rig.begin("large", LARGE).take(6 * MIB, now=0.0)
    unknown = rig.begin("unknown", None)
    unknown.take(SMALL, now=0.0)
    with pytest.raises(Overloaded):
        unknown.take(1, now=0.0)
    assert rig.bodies.small.used == 0
    assert rig.bodies.large.used == 6 * MIB


def test_the_budget_follows_a_reload() -> None:
    limit = [8 * MIB]
    bodies = Bodies(lambda: limit[0])
    body = bodies.begin(LARGE, lambda: None, now=0.0)
    body.take(4 * MIB, now=0.0)
    limit[0] = 4 * MIB
    with pytest.raises(Overloaded):
        bodies.begin(LARGE, lambda: None, now=0.0)
