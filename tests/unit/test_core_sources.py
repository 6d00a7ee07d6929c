"""Sources: ids that never become one, limits that only grow stricter, and who may be reached."""

from __future__ import annotations

from collections.abc import Collection

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.core.chunks import deadline_of
from gateway.core.fanout import GONE, plan
from gateway.core.model import Remainder, Target
from gateway.core.reach import bar, reach
from gateway.core.sources import (
    LEARNINK,
    NO_APP,
    NO_TESTER,
    NOTHING,
    UNLIMITED,
    Limits,
    corrected_by,
    correction_of,
    event_id_of,
    source_of,
    stricter,
)
from gateway.core.states import DeliveryState
from tests.kit.build import NOW, chunk, item, target

DAY = 86_400.0

# --- ids ---------------------------------------------------------------------------------------

message_ids = st.text("%:3A2517rab", max_size=9) | st.text(st.characters(codec="ascii"), max_size=9)
sources = st.sampled_from([LEARNINK, "api", "cli", "staging", "a", "3A"])


@pytest.mark.parametrize(
    ("source", "message_id", "event_id"),
    [
        ("learnink", "msg_2Lh9KR", "msg_2Lh9KR"),
        ("staging", "msg_2Lh9KR", "staging:msg_2Lh9KR"),
        ("learnink", "staging:msg_1", "staging%3Amsg_1"),
        ("learnink", "staging%3Amsg_1", "staging%253Amsg_1"),
        ("staging", "a:b%3Ac", "staging:a%3Ab%253Ac"),
        ("learnink", "100%25", "100%2525"),
        # a percent sign that nobody can take for the beginning of a mark stays
        ("learnink", "100%", "100%"),
        ("learnink", "%3a%41", "%3a%41"),
        # an id that would be a correction's of LearnInk's event `staging`
        ("staging", "r1", "staging:%721"),
        ("staging", "%721", "staging:%25721"),
        ("learnink", "r1", "r1"),
    ],
)
def test_an_event_is_named_after_its_source(source: str, message_id: str, event_id: str) -> None:
    assert event_id_of(source, message_id) == event_id
    assert source_of(event_id) == source


@given(sources, message_ids | st.just("r1"))
def test_a_correction_is_told_from_what_senders_name(source: str, message_id: str) -> None:
    event_id = event_id_of(source, message_id)
    assert corrected_by(event_id) is None
    for _ in range(2):
        assert corrected_by(correction_of(event_id)) == event_id
        assert source_of(correction_of(event_id)) == source
        event_id = correction_of(event_id)


@given(st.tuples(sources, message_ids), st.tuples(sources, message_ids))
@example((LEARNINK, "a:b"), (LEARNINK, "a%3Ab"))
@example((LEARNINK, "%:"), (LEARNINK, "%%3A"))
@example((LEARNINK, "%25:"), (LEARNINK, "%:"))
@example((LEARNINK, "staging:x"), ("staging", "x"))
def test_two_ids_never_become_one(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert (event_id_of(*one) == event_id_of(*other)) == (one == other)
    assert source_of(event_id_of(*one)) == one[0]


# --- limits ------------------------------------------------------------------------------------

names = st.none() | st.frozensets(st.sampled_from("abcd"), max_size=3)
limits = st.builds(Limits, names, names, st.none() | st.sampled_from([0.0, 60.0]))


def is_in(one: str, allowed: Collection[str] | None) -> bool:
    return allowed is None or one in allowed


@given(limits, limits)
def test_the_stricter_limits_allow_what_both_allow(one: Limits, other: Limits) -> None:
    both = stricter(one, other)
    for name in "abcd":
        assert is_in(name, both.apps) == (is_in(name, one.apps) and is_in(name, other.apps))
        assert is_in(name, both.users) == (is_in(name, one.users) and is_in(name, other.users))


def of_app(app: str, device_id: int = 1) -> Target:
    return target(device_id)._replace(app=app)


@pytest.mark.parametrize(
    ("given_", "user_id", "custom_id", "app", "why"),
    [
        (UNLIMITED, "u1", None, "agent", ""),
        (Limits(apps=frozenset({"agent"})), "u1", None, "agent", ""),
        (Limits(apps=frozenset({"staging"})), "u1", None, "agent", NO_APP),
        (Limits(users=frozenset({"u1"})), "u1", None, "agent", ""),
        (Limits(users=frozenset({"c1"})), "u1", "c1", "agent", ""),
        (Limits(users=frozenset({"u2"})), "u1", "c1", "agent", NO_TESTER),
        (Limits(users=frozenset({"u2"})), None, None, "agent", NO_TESTER),
        (Limits(frozenset({"agent"}), frozenset({"u2"})), "u1", "c1", "agent", NO_TESTER),
        (Limits(frozenset({"staging"}), frozenset({"u1"})), "u1", "c1", "agent", NO_APP),
        (Limits(apps=frozenset()), "u1", "c1", "agent", NO_APP),
        (NOTHING, "u1", "c1", "agent", NO_TESTER),
    ],
)
def test_who_may_be_reached(
    given_: Limits, user_id: str | None, custom_id: str | None, app: str, why: str
) -> None:
    one, device = item(user_id=user_id, custom_id=custom_id), of_app(app)
    assert bar(one, device, given_, str) == why
    reached = reach([one], [[device]], given_, str)
    assert reached.targets == [[] if why else [device]]
    assert reached.barred == ({(0, 1): why, (0, 0): why} if why else {})


def test_an_item_goes_to_those_of_its_devices_that_may_be_reached() -> None:
    agent, staging = of_app("agent", 1), of_app("staging", 2)
    reached = reach([item()], [[agent, staging]], Limits(apps=frozenset({"staging"})), str)
    assert reached.targets == [[staging]]
    assert (0, 0) not in reached.barred


def test_who_has_no_device_is_told_whether_they_are_a_test_user() -> None:
    tester = Limits(users=frozenset({"mary"}))
    reached = reach([item(0), item(1, user_id="zoe")], [[], []], tester, str)
    assert reached.barred == {(1, 0): NO_TESTER}


def test_what_may_not_be_reached_ends_with_the_reason_and_what_is_gone_with_its_own() -> None:
    """A leftover of three devices: one may be reached, one may not be any more, one is gone."""

    left = chunk([(item(), [Remainder(1), Remainder(2), Remainder(3)])])
    reached = reach(
        [item()], [[of_app("agent", 1), of_app("staging", 2)]], Limits(frozenset({"agent"})), str
    )
    todo = plan(left, reached.targets, {}, now=NOW, barred=reached.barred)
    assert [send.target.device_id for send in todo.sends] == [1]
    assert {(one.device_id, one.state, one.reason) for one in todo.ended} == {
        (2, DeliveryState.NO_DEVICE, NO_APP),
        (3, DeliveryState.NO_DEVICE, GONE),
    }


# --- age ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("own_s", "occurred_at", "deadline"),
    [
        (None, NOW - 10, NOW - 10 + DAY),
        (60.0, NOW - 10, NOW + 50),
        (60.0, None, NOW + 60),
        (7 * DAY, NOW - 2 * DAY, NOW + 5 * DAY),
        (0, NOW - 400 * DAY, NOW + DAY),
        (0, None, NOW + DAY),
    ],
)
def test_a_source_may_have_an_age_of_its_own(
    own_s: float | None, occurred_at: float | None, deadline: float
) -> None:
    assert deadline_of(occurred_at, NOW, DAY, own_s) == deadline
