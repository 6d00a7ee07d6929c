"""Who of a user's devices gets a push: the rule as a table over all combinations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.model import DENIED, Remainder, Target
from gateway.core.staleness import NEVER, recipients, seen_since, stale_before, without_stale
from tests.kit.build import NOW, chunk, item, target
from tests.unit.test_device_records import DEVICE

DAY = 86_400.0
BEFORE = NOW - 60 * DAY
#: the age in days of a device: fresh, just not stale, stale, longer so
AGES = (0.0, 60.0, 60.001, 90.0)


def device(
    number: int, days: float, *, app: str = "agent", denied: bool = False, unseen: bool = False
) -> Target:
    """Seen so many days ago; or imported then, and never seen."""
    stated, at = DENIED if denied else 0, NOW - days * DAY
    return target(number)._replace(app=app, met_at=-at if unseen else at, stated=stated)


def able(one: Target) -> bool:
    return not one.fault


def chosen(devices: Sequence[Target], before: float = BEFORE) -> list[int]:
    return [one.device_id for one in recipients(devices, before=before, able=able)]


# each kind of device beside another: age, app, denied, able
KINDS = list(product(AGES, ("agent", "field"), (False, True), ("", "of a later version")))


@pytest.mark.parametrize("mine", KINDS, ids=str)
def test_a_device_is_left_out_if_it_is_stale_and_another_one_is_fresher(
    mine: tuple[float, str, bool, str],
) -> None:
    days, app, denied, fault = mine
    one = device(1, days, app=app, denied=denied)._replace(fault=fault)
    assert chosen([one]) == [1], "a person's only phone is sent to"
    for its_days, its_app, its_denied, its_fault in KINDS:
        other = device(2, its_days, app=its_app, denied=its_denied)._replace(fault=its_fault)
        is_fresher = its_days < days and its_app == app and not its_denied and not its_fault
        for devices in ([one, other], [other, one]):
            assert (1 not in chosen(devices)) == (days > 60 and is_fresher), other


def seen_at(one: Target) -> float:
    return max(one.met_at, 0.0)


def by_the_words(devices: Sequence[Target]) -> list[int]:
    """A stale device gets no push while its user has a fresher one (same app, seen later, not
    denied), to which it can be sent."""
    return [
        one.device_id
        for one in devices
        if one.fresh_at >= BEFORE
        or not any(
            other.app == one.app
            and seen_at(other) > seen_at(one)
            and not other.is_denied
            and not other.fault
            for other in devices
        )
    ]


A_DEVICE = st.tuples(
    st.sampled_from([*AGES, 70.0, 400.0]),
    st.sampled_from(["agent", "field"]),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["", "", "of a later version"]),
)


@given(st.lists(A_DEVICE, min_size=1, max_size=6))
def test_any_number_of_devices_is_judged_by_the_words(
    kinds: list[tuple[float, str, bool, bool, str]],
) -> None:
    devices = [
        device(number, days, app=app, denied=denied, unseen=unseen)._replace(fault=fault)
        for number, (days, app, denied, unseen, fault) in enumerate(kinds)
    ]
    got = chosen(devices)
    assert got == by_the_words(devices)
    assert got, "somebody gets it"
    apps = {one.app for one in devices}
    assert {one.app for one in devices if one.device_id in got} == apps


@pytest.mark.parametrize(
    ("days", "unseen_days", "got"),
    [
        (1, 1, [1, 2]),
        (90, 1, [1, 2]),  # an import of which nobody knows takes no other's place
        (90, 70, [1]),  # and gives way to what was seen, once it was here for so long
        (1, 70, [1]),
    ],
)
def test_an_import_of_which_nobody_knows_was_never_seen(
    days: float, unseen_days: float, got: list[int]
) -> None:
    assert chosen([device(1, days), device(2, unseen_days, unseen=True)]) == got


def test_where_none_was_ever_seen_all_get_it() -> None:
    assert chosen([device(1, 90, unseen=True), device(2, 70, unseen=True)]) == [1, 2]


def test_no_device_is_stale_where_none_can_be() -> None:
    devices = [device(1, 400), device(2, 0)]
    assert chosen(devices, NEVER) == [1, 2]


@pytest.mark.parametrize(
    ("days", "doubted", "before"),
    [(60, False, BEFORE), (1, False, NOW - DAY), (0, False, NEVER), (60, True, NEVER)],
)
def test_nothing_is_stale_while_the_time_is_doubted_or_the_setting_is_0(
    days: int, doubted: bool, before: float
) -> None:
    assert stale_before(NOW, after_days=days, doubted=doubted) == before


def test_the_spans_that_are_counted_are_days() -> None:
    spans = {name: (NOW - since) / DAY for name, since in seen_since(NOW).items()}
    assert spans == {"1d": 1, "7d": 7, "30d": 30, "60d": 60, "270d": 270}


# --- in a chunk ---------------------------------------------------------------------------------

OLD, NEW = device(1, 90), device(2, 1)


def kept(
    *, remainders: tuple[Remainder, ...] | None = None, known: Sequence[tuple[int, int]] = ()
) -> list[int]:
    entry = item(0) if remainders is None else (item(0), remainders)
    (devices,) = without_stale(
        chunk([entry]), [item(0)], [[OLD, NEW]], known, before=BEFORE, able=able
    )
    return [one.device_id for one in devices]


def test_what_a_chunk_finds_at_first_is_without_stale_devices() -> None:
    assert kept() == [2]
    assert kept(known=[(0, 2), (1, 1)]) == [2]


def test_what_was_begun_goes_on() -> None:
    assert kept(known=[(0, 1)]) == [1, 2]
    assert kept(remainders=(Remainder(1),)) == [1, 2]


def test_each_item_of_a_chunk_is_judged_for_itself() -> None:
    items = [item(number) for number in range(4)]
    found = [[OLD], [OLD, NEW], [], [NEW, OLD]]
    devices = without_stale(chunk(items), items, found, {}, before=BEFORE, able=able)
    assert devices == [[OLD], [NEW], [], [NEW]]


# --- when a device was last seen ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("last_seen_at", "heard_at", "met_at", "fresh_at"),
    [
        (NOW + 0.5, 0.0, NOW + 0.5, NOW),
        (NOW, NOW + 9, NOW + 9, NOW + 9),
        (NOW + 9, NOW, NOW + 9, NOW + 9),
        (0.0, 0.0, 0.0, NOW - 1),  # an import of which nobody knows
        (0.0, NOW, NOW, NOW),
        (NOW - 9, 0.0, NOW - 9, NOW - 9),
    ],
)
def test_a_device_is_seen_by_a_registration_or_a_receipt(
    last_seen_at: float, heard_at: float, met_at: float, fresh_at: float
) -> None:
    seen = replace(DEVICE, last_seen_at=last_seen_at, heard_at=heard_at, registered_at=NOW - 1)
    assert (seen.met_at, seen.fresh_at) == (met_at, fresh_at)
