"""Fan-out loses nothing and doubles nothing, whatever the journal and the registry say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.fanout import Plan, begun, bury, expire, plan
from gateway.core.model import Chunk, ChunkItem, Record, Remainder, Target
from gateway.core.states import DeliveryState
from tests.kit.build import NOW, chunk, item, target

Key = tuple[int, int]
Known = dict[Key, tuple[DeliveryState, int, float | None]]

DEVICES = st.integers(1, 5)
DUE = st.none() | st.sampled_from([NOW - 60.0, NOW, NOW + 60.0])
TERMINAL = [state for state in DeliveryState if state.is_terminal]


@dataclass(frozen=True)
class Case:
    """A chunk, who has which device now, and what the journal holds."""

    chunk: Chunk
    targets: list[list[Target]]
    known: Known


@st.composite
def cases(draw: st.DrawFn) -> Case:
    indexes = draw(st.lists(st.integers(0, 20), min_size=1, max_size=6, unique=True))
    entries, targets, known = [], [], {}
    for index in indexes:
        left = draw(st.none() | st.lists(DEVICES, max_size=4, unique=True))
        remainders = [Remainder(device, draw(st.integers(0, 9))) for device in left or []]
        entries.append(item(index) if left is None else (item(index), remainders))
        targets.append([target(d) for d in draw(st.lists(DEVICES, max_size=4, unique=True))])
        for device in draw(st.lists(DEVICES, max_size=4, unique=True)):
            known[index, device] = draw(
                st.tuples(st.sampled_from(DeliveryState), st.integers(0, 9), DUE)
            )
        # Only a fresh item ends as a whole: it reached no device, or was erased, or buried.
        if left is None and draw(st.integers(0, 4)) == 0:
            known[index, 0] = (draw(st.sampled_from(TERMINAL)), 0, None)
    # The journal is asked for a range of indexes: rows of other chunks' items may come along.
    known[99, 1] = (DeliveryState.DELIVERED, 1, None)
    return Case(chunk(entries), targets, known)


def settled(known: Mapping[Key, tuple[DeliveryState, int, float | None]], key: Key) -> bool:
    return key in known and known[key][0].is_terminal


def owed(entry: ChunkItem, devices: list[Target], known: Known) -> set[Key]:
    """The deliveries an item owes by the rules, in plain words: of a leftover, its devices; else
    the user's devices and those an earlier try began with; device 0 when it reached none."""
    index = entry.item.index
    if entry.remainders is not None:
        keys = {(index, left.device_id) for left in entry.remainders}
    else:
        # What ended as a whole owes nothing to a device that came since.
        is_over = settled(known, (index, 0))
        keys = set() if is_over else {(index, one.device_id) for one in devices}
        keys |= {key for key in known if key[0] == index}
        keys = keys or {(index, 0)}
    return {key for key in keys if not settled(known, key)}


def owed_by(case: Case) -> set[Key]:
    return set().union(
        *(
            owed(entry, devices, case.known)
            for entry, devices in zip(case.chunk.items, case.targets, strict=True)
        )
    )


def fresh(case: Case) -> set[Key]:
    """The items that no try has begun with, each as a whole."""
    indexes = {entry.item.index for entry in case.chunk.items if entry.remainders is None}
    return {(index, 0) for index in indexes - {index for index, _ in case.known}}


def made(todo: Plan) -> list[Key]:
    sends = [(send.item.index, send.target.device_id) for send in todo.sends]
    waits = [(wait.item.index, wait.target.device_id) for wait in todo.waits]
    return sends + waits + [(record.index, record.device_id) for record in todo.ended]


@given(cases())
def test_each_delivery_is_settled_or_sent_or_ended_and_only_one_of_these(case: Case) -> None:
    todo = plan(case.chunk, case.targets, case.known, now=NOW)
    accounted = made(todo)
    assert len(accounted) == len(set(accounted))
    assert set(accounted) == owed_by(case)


@given(cases())
def test_nothing_is_sent_to_a_device_that_is_not_the_users_now(case: Case) -> None:
    todo = plan(case.chunk, case.targets, case.known, now=NOW)
    current = {
        entry.item.index: {one.device_id for one in devices}
        for entry, devices in zip(case.chunk.items, case.targets, strict=True)
    }
    assert all(send.target.device_id in current[send.item.index] for send in todo.sends)


@given(cases(), st.data())
def test_a_crash_after_any_part_was_journaled_repeats_none_of_it_and_loses_none(
    case: Case, data: st.DataObject
) -> None:
    first = plan(case.chunk, case.targets, case.known, now=NOW)
    outcomes = made(first)
    journaled = data.draw(st.sets(st.sampled_from(outcomes)) if outcomes else st.just(set()))
    known = case.known | dict.fromkeys(journaled, (DeliveryState.DELIVERED, 1, None))
    again = made(plan(case.chunk, case.targets, known, now=NOW))
    assert journaled.isdisjoint(again)
    assert journaled | set(again) == set(outcomes)


@given(cases())
def test_expiry_ends_what_is_open_once_and_leaves_what_is_settled(case: Case) -> None:
    records: list[Record] = expire(case.chunk, case.known, now=NOW)
    accounted = [(record.index, record.device_id) for record in records]
    assert len(accounted) == len(set(accounted))
    assert all(record.state is DeliveryState.EXPIRED for record in records)
    nobody: list[list[Target]] = [[] for _ in case.targets]
    expected = set(made(plan(case.chunk, nobody, case.known, now=NOW)))
    assert set(accounted) == expected


@given(cases())
def test_expiry_ends_all_that_items_owe_to_devices_once_any_was_begun(case: Case) -> None:
    """Items that were not begun end as a whole, and nobody looks up their devices."""
    begun_now = {one.index for one in begun(case.chunk, case.known)}
    by_index = {
        entry.item.index: devices
        for entry, devices in zip(case.chunk.items, case.targets, strict=True)
        if entry.item.index in begun_now
    }
    records = expire(case.chunk, case.known, now=NOW, devices=by_index)
    accounted = [(record.index, record.device_id) for record in records]
    assert len(accounted) == len(set(accounted))
    begins = {index for index, _ in fresh(case)}
    kept = {key for key in owed_by(case) if key[0] not in begins}
    assert set(accounted) == kept | fresh(case)


@given(cases())
def test_burial_forgets_nobody_and_touches_nothing_that_is_settled(case: Case) -> None:
    """What a delivery is owed to, ends: under its device, or as a part of its whole item."""
    records = bury(case.chunk, case.known, now=NOW)
    accounted = [(record.index, record.device_id) for record in records]
    assert len(accounted) == len(set(accounted))
    assert all(record.state is DeliveryState.DEAD for record in records)
    assert not any(settled(case.known, key) for key in accounted)
    wholes = {(one.index, 0) for one in begun(case.chunk, case.known)}
    assert set(accounted) <= owed_by(case) | wholes | fresh(case)
    for index, device_id in owed_by(case) - set(accounted):
        assert (index, device_id) not in case.known
        assert (index, 0) in accounted


@given(cases())
def test_nothing_is_sent_that_the_journal_knows_a_later_word_of(case: Case) -> None:
    todo = plan(case.chunk, case.targets, case.known, now=NOW)
    copies = {
        (entry.item.index, left.device_id): left.attempts
        for entry in case.chunk.items
        for left in entry.remainders or ()
    }
    for send in todo.sends:
        key = (send.item.index, send.target.device_id)
        _, made, next_at = case.known.get(key, (None, -1, None))
        assert key in copies or key not in case.known
        assert (made, next_at or 0.0) <= (send.attempts, case.chunk.due_at)
    for wait in todo.waits:
        _, made, next_at = case.known[wait.item.index, wait.target.device_id]
        assert (wait.attempts, wait.due_at) == (
            made,
            case.chunk.due_at if next_at is None else next_at,
        )
