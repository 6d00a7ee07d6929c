"""What a phone that was off wakes to, and what a phone shows to whom."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.sandbox.handset import Fate, Handset, Kind, Outcome, Parcel, Service

DAY = 86_400.0
FAR = 30 * DAY


def first(_count: int) -> int:
    return 0


def parcel(push: str, service: Service, kind: Kind = Kind.NOTIFICATION, **more: Any) -> Parcel[str]:
    return Parcel(push, service, kind, more.pop("until", FAR), **more)


def android(push: str, **more: Any) -> Parcel[str]:
    return parcel(push, Service.ANDROID, **more)


def data(push: str, key: str = "", **more: Any) -> Parcel[str]:
    return parcel(push, Service.ANDROID, Kind.DATA, collapse_key=key, **more)


def apns(push: str, **more: Any) -> Parcel[str]:
    return parcel(push, Service.APNS, **more)


def web(push: str, topic: str = "", **more: Any) -> Parcel[str]:
    return parcel(push, Service.WEB, collapse_key=topic, **more)


def shown(handset: Handset[str]) -> list[str]:
    return [outcome.parcel.push for outcome in handset.shade]


def fates(outcomes: list[Outcome[str]]) -> list[tuple[str, str]]:
    return [(outcome.parcel.push, outcome.fate.value) for outcome in outcomes]


def after_three_days(parcels: list[Parcel[str]], lot: Callable[[int], int] = first) -> list[str]:
    """What a phone shows that was off meanwhile."""
    handset = Handset[str](lot)
    handset.turn_off()
    for number, each in enumerate(parcels):
        handset.take(each, float(number))
    handset.turn_on(3 * DAY)
    return shown(handset)


# --- what is kept for a phone that is off -------------------------------------------------------

WAKES = {
    "Android notifications: the newest, whatever their keys": (
        [android("a", collapse_key="1"), android("b", collapse_key="2"), android("c")],
        ["c"],
    ),
    "Android data with a key each, up to four": (
        [data(key, key) for key in "abcd"],
        ["a", "b", "c", "d"],
    ),
    "Android data of one key: the newest": ([data("a", "k"), data("b", "k")], ["b"]),
    "Android data without keys: each": ([data("a"), data("b")], ["a", "b"]),
    "a notification and four keys are five keys; the lot fell on the first": (
        [android("n"), *(data(key, key) for key in "abcd")],
        ["a", "b", "c", "d"],
    ),
    "uncollapsed data takes no key's place": (
        [*(data(key, key) for key in "abcd"), data("e")],
        ["a", "b", "c", "d", "e"],
    ),
    "an iPhone: one for each app, the newest, whatever their collapse ids": (
        [apns("a", tag="1"), apns("b", tag="2"), apns("other app", app="other")],
        ["b", "other app"],
    ),
    "the web: the newest for each topic, and all without one": (
        [web("a", "t"), web("b"), web("c"), web("d", "t")],
        ["b", "c", "d"],
    ),
    "what is overdue is not shown": (
        [data("a", until=3 * DAY), data("b", until=3 * DAY + 1)],
        ["b"],
    ),
    "what came too late at the vendor's is nowhere": ([apns("a", until=0.0)], []),
    "now or never is never": ([apns("a", is_kept=False), data("b", is_kept=False)], []),
    "now or never takes no place": ([apns("a"), apns("b", is_kept=False)], ["a"]),
    "overdue takes the place all the same": (
        # it was stored in place of the other one before its time was over
        [apns("a"), apns("b", until=DAY)],
        [],
    ),
}


@pytest.mark.parametrize("name", WAKES)
def test_a_phone_wakes_to(name: str) -> None:
    parcels, expected = WAKES[name]
    assert after_three_days(parcels) == expected


def test_which_of_five_keys_goes_is_by_lot() -> None:
    asked = list[int]()

    def lot(count: int) -> int:
        asked.append(count)
        return 2

    assert after_three_days([data(key, key) for key in "abcde"], lot) == ["a", "b", "d", "e"]
    assert asked == [5]


def test_one_more_than_a_hundred_uncollapsed_is_nothing() -> None:
    hundred = [data(str(number)) for number in range(100)]
    assert len(after_three_days(hundred)) == 100

    handset = Handset[str](first)
    handset.turn_off()
    for each in [data("keyed", "k"), *hundred]:
        handset.take(each, 0.0)
    outcomes = handset.take(data("one more"), 1.0)
    assert Counter(outcome.fate for outcome in outcomes) == {Fate.KEPT: 1, Fate.DISCARDED: 102}
    handset.take(data("later"), 2.0)
    assert handset.told_of_discarded == 0
    handset.turn_on(3.0)
    assert (shown(handset), handset.told_of_discarded) == (["later"], 1)


def test_what_is_overdue_counts_to_no_limit() -> None:
    short = [data(str(number), until=DAY) for number in range(100)]
    handset = Handset[str](first)
    handset.turn_off()
    for each in short:
        handset.take(each, 0.0)
    handset.take(data("next"), DAY)
    assert [kept.push for kept in handset.kept(DAY)] == ["next"]


def test_a_phone_that_is_on_gets_all_at_once_and_nothing_twice() -> None:
    handset = Handset[str](first)
    assert fates(handset.take(apns("a", is_kept=False), 1.0)) == [("a", "shown")]
    assert fates(handset.take(android("late", until=1.0), 2.0)) == [("late", "expired")]
    handset.turn_off()
    assert fates(handset.take(apns("b"), 3.0)) == [("b", "kept")]
    assert fates(handset.turn_on(4.0)) == [("b", "shown")]
    assert handset.turn_on(5.0) == []
    assert shown(handset) == ["a", "b"]


# --- what a phone shows, and to whom ------------------------------------------------------------


def test_a_tag_replaces_what_is_shown() -> None:
    handset = Handset[str](first)
    for push, tag in (("a", "1"), ("b", "2"), ("c", ""), ("d", "1"), ("e", "")):
        handset.take(android(push, tag=tag), 1.0)
    assert shown(handset) == ["b", "c", "d", "e"]


LOOKS = [
    # kind, the app is open, who sees first
    (Kind.NOTIFICATION, False, "shown"),
    (Kind.NOTIFICATION, True, "dropped"),
    (Kind.MUTABLE, False, "dropped"),
    (Kind.MUTABLE, True, "dropped"),
    (Kind.DATA, False, "dropped"),
    (Kind.DATA, True, "dropped"),
    (Kind.BACKGROUND, False, "unseen"),
]


@pytest.mark.parametrize(("kind", "is_open", "fate"), LOOKS)
def test_a_shared_phone_drops_what_is_for_another_where_its_app_looks_first(
    kind: Kind, is_open: bool, fate: str
) -> None:
    handset = Handset[str](first)
    handset.log_in(["mary"])
    handset.log_in(["bob", "bob's other id"])
    handset.is_open = is_open
    [for_mary] = handset.take(parcel("for mary", Service.APNS, kind, word="mary"), 1.0)
    [for_bob] = handset.take(parcel("for bob", Service.APNS, kind, word="bob"), 2.0)
    assert (for_mary.fate, for_mary.is_theirs, for_bob.is_theirs) == (fate, False, True)
    if kind is not Kind.BACKGROUND:
        assert for_bob.fate is Fate.SHOWN
        assert ("for mary" in shown(handset)) == (fate == "shown")


def test_a_phone_without_a_word_of_anybody_shows_all() -> None:
    handset = Handset[str](first)
    [outcome] = handset.take(data("a", word="mary"), 1.0)
    assert (outcome.fate, outcome.is_theirs) == (Fate.SHOWN, None)
    handset.log_in([])
    [outcome] = handset.take(data("b", word="mary"), 1.0)
    assert outcome.fate is Fate.DROPPED


def test_whoever_is_logged_in_when_the_phone_wakes_counts() -> None:
    handset = Handset[str](first)
    handset.log_in(["mary"])
    handset.turn_off()
    handset.take(data("for mary", word="mary"), 1.0)
    handset.log_in(["bob"])
    assert fates(handset.turn_on(2.0)) == [("for mary", "dropped")]


@pytest.mark.parametrize("kind", Kind)
def test_a_phone_that_was_denied_shows_nothing(kind: Kind) -> None:
    handset = Handset[str](first)
    handset.take(parcel("before", Service.APNS, kind), 1.0)
    handset.deny()
    assert shown(handset) == []
    [outcome] = handset.take(parcel("meanwhile", Service.APNS, kind), 2.0)
    assert outcome.fate is (Fate.UNSEEN if kind is Kind.BACKGROUND else Fate.MUTED)
    assert outcome.reached_app == (kind in (Kind.DATA, Kind.BACKGROUND))
    handset.grant()
    assert shown(handset) == []


def test_a_new_installation_knows_of_nothing() -> None:
    handset = Handset[str](first)
    handset.log_in(["mary"])
    handset.take(data("before", word="mary"), 1.0)
    assert handset.reinstall(2.0) == []
    assert shown(handset) == []
    [outcome] = handset.take(data("for mary", word="mary"), 3.0)
    assert outcome.fate is Fate.DROPPED


# --- whatever happens ---------------------------------------------------------------------------

ACTS = st.one_of(
    st.tuples(
        st.just("take"),
        st.sampled_from(Service),
        st.sampled_from(Kind),
        st.sampled_from(["", "a", "b", "c", "d", "e", "f"]),  # key
        st.sampled_from(["", "x", "y"]),  # tag
        st.sampled_from([0.0, 1.0, 5.0, FAR]),  # life
        st.sampled_from([None, "mary", "bob"]),
    ),
    st.tuples(st.sampled_from(["off", "on", "deny", "grant", "open", "mary", "bob", "reinstall"])),
    st.tuples(st.just("many")),
)
UNCOLLAPSED = ("take", Service.ANDROID, Kind.DATA, "", "", FAR, "mary")
ENDS = set(Fate) - {Fate.KEPT}


def act(handset: Handset[int], what: tuple[Any, ...], now: float, number: int) -> list[Any]:
    match what:
        case ("take", service, kind, key, tag, life, word):
            return handset.take(
                Parcel(number, service, kind, now + life, life > 0, "", key, tag, word), now
            )
        case ("off",):
            handset.turn_off()
        case ("on",):
            return handset.turn_on(now)
        case ("deny",):
            handset.deny()
        case ("grant",):
            handset.grant()
        case ("open",):
            handset.is_open = handset.is_on
        case ("reinstall",):
            return handset.reinstall(now)
        case (word,):
            handset.log_in([word])
    return []


@given(st.lists(ACTS, max_size=60), st.integers())
def test_every_push_has_one_end(acts: list[tuple[Any, ...]], seed: int) -> None:
    """Each push that was taken ends once, or is still kept; and what is shown may be shown."""
    handset = Handset[int](Random(seed).randrange)
    now, sent, outcomes = 0.0, 0, list[Outcome[int]]()
    for what in acts:
        now += 1.0
        for one in [UNCOLLAPSED] * 101 if what == ("many",) else [what]:
            sent += one[0] == "take"
            outcomes += act(handset, one, now, sent)
        kept = [each for each in handset.kept(now) if each.service is Service.ANDROID]
        keys = [each for each in kept if each.kind is Kind.NOTIFICATION or each.collapse_key]
        assert len(keys) <= 4
        assert len(kept) - len(keys) <= 100
        if handset.is_on:
            assert handset.kept(now) == []
        if not handset.is_granted:
            assert handset.shade == []
    outcomes += handset.turn_on(now)
    ends = Counter(outcome.parcel.push for outcome in outcomes if outcome.fate in ENDS)
    assert ends == Counter(range(1, sent + 1))
    assert all(earlier.at <= later.at for earlier, later in pairwise(outcomes))
    for outcome in outcomes:
        if outcome.fate is Fate.SHOWN:
            assert outcome.parcel.until > outcome.at or not outcome.parcel.is_kept
            assert outcome.is_theirs is not False or not outcome.reached_app
        assert outcome.reached_app <= (outcome.fate in set(Fate) - {Fate.KEPT, Fate.LOST})
    tags = [one.parcel.tag for one in handset.shade if one.parcel.tag]
    assert len(tags) == len(set(tags))
