"""The budget of bodies under any order of events."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.bodies import SMALL, Bodies, Body, Overloaded, TooSlow

MIB = 2**20
LARGE = 2 * MIB

acts = st.lists(
    st.tuples(
        st.integers(0, 11),  # who
        st.sampled_from(["begin small", "begin large", "begin unknown", "take", "whole", "end"]),
        st.integers(1, SMALL * 2),
        st.floats(0, 3),
    ),
    max_size=200,
)


@given(acts)
def test_whatever_comes_the_budget_holds_and_all_of_it_comes_back(
    acts: list[tuple[int, str, int, float]],
) -> None:
    bodies, now = Bodies(lambda: 4 * MIB), 0.0
    held: dict[int | str, Body] = {}
    lengths = {"begin small": SMALL, "begin large": LARGE, "begin unknown": None}
    for who, act, size, passed in acts:
        now += passed
        try:
            if act in lengths:
                if who in held:
                    held.pop(who).end()
                held[who] = bodies.begin(lengths[act], lambda: None, now=now)
            elif who in held:
                body = held[who]
                if act == "take":
                    body.take(size, now=now)
                elif act == "whole":
                    body.whole()
                    held[f"whole {who} {now}"] = held.pop(who)
                else:
                    held.pop(who).end()
        except (Overloaded, TooSlow):
            held.pop(who, None)
        assert bodies.small.used <= MIB
        assert bodies.large.used <= 3 * MIB
    for body in held.values():
        body.end()
    assert bodies.used == 0
