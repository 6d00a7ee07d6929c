"""From a chunk to the deliveries that are still to be made."""

from __future__ import annotations

import pytest

from gateway.core.fanout import (
    CONTRADICTION,
    GONE,
    Send,
    Wait,
    begun,
    bury,
    expire,
    plan,
    supersede,
)
from gateway.core.model import Record, Remainder
from gateway.core.states import DeliveryState
from gateway.ports import Progress
from tests.kit.build import NOW, chunk, item, target

PENDING, DELIVERED = DeliveryState.PENDING, DeliveryState.DELIVERED
NO_DEVICE, EXPIRED, DEAD = DeliveryState.NO_DEVICE, DeliveryState.EXPIRED, DeliveryState.DEAD
TERMINAL = [state for state in DeliveryState if state.is_terminal]
UNFINISHED = "no process could finish its chunk"


def ended(device_id: int, state: DeliveryState, reason: str, *, attempts: int = 0) -> Record:
    return Record("msg_1", 0, device_id, state, attempts, NOW, user_id="mary", reason=reason)


def test_an_item_goes_to_every_device_of_its_user() -> None:
    todo = plan(chunk(), [[target(1), target(2)]], {}, now=NOW)
    assert todo.sends == [
        Send(item(), target(1), attempts=0),
        Send(item(), target(2), attempts=0),
    ]
    assert todo.ended == []


def test_an_item_whose_user_has_no_device_ends_as_no_device_under_device_0() -> None:
    todo = plan(chunk(), [[]], {}, now=NOW)
    assert todo.sends == []
    assert todo.ended == [ended(0, NO_DEVICE, "")]


@pytest.mark.parametrize("state", TERMINAL)
def test_what_the_journal_calls_terminal_is_skipped(state: DeliveryState) -> None:
    todo = plan(chunk(), [[target(1), target(2)]], {(0, 1): Progress(state, 1)}, now=NOW)
    assert [send.target.device_id for send in todo.sends] == [2]
    assert todo.ended == []


def test_a_repeated_chunk_leaves_what_an_earlier_claim_left_as_the_journal_has_it() -> None:
    known = {(0, 1): Progress(PENDING, 3, NOW + 60)}
    todo = plan(chunk(), [[target(1), target(2)]], known, now=NOW)
    assert todo.waits == [Wait(item(), target(1), attempts=3, due_at=NOW + 60)]
    assert [send.target.device_id for send in todo.sends] == [2]


def test_a_repeated_chunk_does_not_send_what_it_left_even_when_that_is_due() -> None:
    """The leftover may be on its way at this moment, in another process."""
    known = {(0, 1): Progress(PENDING, 3, NOW - 60)}
    todo = plan(chunk(), [[target(1)]], known, now=NOW)
    assert (todo.sends, [wait.due_at for wait in todo.waits]) == ([], [NOW - 60])


@pytest.mark.parametrize(
    ("made", "next_at"),
    [(2, NOW + 60), (2, NOW - 60), (3, NOW - 60), (1, NOW + 1)],
    ids=["tried since", "tried since, and due", "tried twice since", "put off since"],
)
def test_a_leftover_behind_the_journal_sends_nothing(made: int, next_at: float) -> None:
    left = chunk([(item(), [Remainder(1, attempts=1)])])
    todo = plan(left, [[target(1)]], {(0, 1): Progress(PENDING, made, next_at)}, now=NOW + 120)
    assert (todo.sends, todo.ended) == ([], [])
    assert todo.waits == [Wait(item(), target(1), made, next_at)]


@pytest.mark.parametrize(
    ("made", "next_at"),
    [(1, NOW), (1, NOW - 60), (0, NOW + 60), (1, None)],
    ids=["its own line", "before it was put off", "before its last try", "no time"],
)
def test_a_leftover_that_is_the_journals_last_word_is_sent(
    made: int, next_at: float | None
) -> None:
    left = chunk([(item(), [Remainder(1, attempts=1)])])
    todo = plan(left, [[target(1)]], {(0, 1): Progress(PENDING, made, next_at)}, now=NOW)
    assert [send.attempts for send in todo.sends] == [1]
    assert todo.waits == []


@pytest.mark.parametrize("state", [NO_DEVICE, EXPIRED, DEAD])
def test_a_repeated_chunk_does_not_begin_with_a_device_that_came_after_its_item_ended(
    state: DeliveryState,
) -> None:
    todo = plan(chunk(), [[target(1)]], {(0, 0): Progress(state, 0)}, now=NOW)
    assert (todo.sends, todo.ended) == ([], [])


def test_a_device_that_went_between_two_tries_ends_with_the_attempts_it_had() -> None:
    todo = plan(chunk(), [[target(2)]], {(0, 1): Progress(PENDING, 2)}, now=NOW)
    assert [send.target.device_id for send in todo.sends] == [2]
    assert todo.ended == [ended(1, NO_DEVICE, GONE, attempts=2)]


def test_a_leftover_goes_to_its_device_only_with_its_attempts_and_environment() -> None:
    left = chunk([(item(), [Remainder(2, attempts=4)])])
    todo = plan(left, [[target(1), target(2), target(3)]], {}, now=NOW)
    assert todo.sends == [Send(item(), target(2), attempts=4)]
    assert todo.ended == []


def test_a_leftover_of_a_device_that_moved_to_another_user_is_never_sent() -> None:
    # The registry no longer counts device 2 among Mary's: it is somebody else's phone now.
    left = chunk([(item(), [Remainder(2, attempts=1)])])
    todo = plan(left, [[target(1)]], {(0, 2): Progress(PENDING, 1)}, now=NOW)
    assert todo.sends == []
    assert todo.ended == [ended(2, NO_DEVICE, GONE, attempts=1)]


def test_a_leftover_that_the_journal_settled_is_not_sent_again() -> None:
    left = chunk([(item(), [Remainder(1, 1), Remainder(2, 1)])])
    todo = plan(left, [[target(1), target(2)]], {(0, 1): Progress(DELIVERED, 1)}, now=NOW)
    assert [send.target.device_id for send in todo.sends] == [2]


def test_items_are_not_confused_with_each_other() -> None:
    both = chunk([item(0, user_id="mary"), item(7, user_id="asha")])
    devices = [[target(1)], [target(2, user_id="asha")]]
    todo = plan(
        both, devices, {(0, 1): Progress(DELIVERED, 1), (3, 2): Progress(DELIVERED, 1)}, now=NOW
    )
    assert [(send.item.index, send.target.device_id) for send in todo.sends] == [(7, 2)]


def test_targets_that_do_not_belong_to_the_chunk_are_a_fault_not_a_guess() -> None:
    with pytest.raises(ValueError, match="zip"):
        plan(chunk([item(0), item(1)]), [[target(1)]], {}, now=NOW)


def test_a_chunk_that_comes_too_late_ends_as_expired_without_asking_who_has_a_device() -> None:
    assert expire(chunk(), {}, now=NOW) == [ended(0, EXPIRED, "too old")]


def test_what_began_before_the_deadline_expires_under_its_device() -> None:
    known = {(0, 1): Progress(DELIVERED, 1), (0, 2): Progress(PENDING, 5)}
    assert expire(chunk(), known, now=NOW) == [ended(2, EXPIRED, "too old", attempts=5)]


def test_leftovers_expire_one_by_one_unless_the_journal_settled_them() -> None:
    left = chunk([(item(), [Remainder(1, 2), Remainder(2, 3)])])
    assert expire(left, {(0, 2): Progress(DELIVERED, 3)}, now=NOW) == [
        ended(1, EXPIRED, "too old", attempts=2)
    ]


@pytest.mark.parametrize("state", TERMINAL)
def test_what_is_settled_does_not_expire_again(state: DeliveryState) -> None:
    assert expire(chunk(), {(0, 1): Progress(state, 1)}, now=NOW) == []
    assert expire(chunk(), {(0, 0): Progress(state, 0)}, now=NOW) == []


@pytest.mark.parametrize("state", DeliveryState)
def test_an_item_is_begun_when_the_journal_has_any_row_of_it(state: DeliveryState) -> None:
    both = chunk([item(0), item(1)])
    assert begun(both, {(1, 3): Progress(state, 1)}) == [item(1)]


def test_a_leftover_is_never_begun_for_it_names_its_devices() -> None:
    left = chunk([(item(), [Remainder(1, attempts=1)])])
    assert begun(left, {(0, 1): Progress(PENDING, 1)}) == []


def test_devices_that_an_item_had_not_reached_when_it_came_too_late_expire_too() -> None:
    known = {(0, 1): Progress(DELIVERED, 1), (0, 2): Progress(PENDING, 5)}
    devices = {0: [target(1), target(2), target(3)]}
    assert expire(chunk(), known, now=NOW, devices=devices) == [
        ended(2, EXPIRED, "too old", attempts=5),
        ended(3, EXPIRED, "too old"),
    ]


@pytest.mark.parametrize("state", TERMINAL)
def test_a_device_that_came_after_its_item_ended_does_not_expire(state: DeliveryState) -> None:
    known = {(0, 0): Progress(state, 0)}
    assert expire(chunk(), known, now=NOW, devices={0: [target(1)]}) == []


def test_a_delivery_that_waits_ends_although_its_item_was_erased() -> None:
    """Erasing a user ends the item as a whole, under device 0; a late relay wrote the other row."""
    known = {(0, 0): Progress(EXPIRED, 0), (0, 1): Progress(PENDING, 2)}
    assert plan(chunk(), [[]], known, now=NOW).ended == [ended(1, NO_DEVICE, GONE, attempts=2)]
    assert plan(chunk(), [[target(1)]], known, now=NOW).ended == [
        ended(1, NO_DEVICE, GONE, attempts=2)
    ]
    assert expire(chunk(), known, now=NOW) == [ended(1, EXPIRED, "too old", attempts=2)]


def test_a_chunk_that_is_buried_before_it_began_ends_as_a_whole() -> None:
    assert bury(chunk(), {}, now=NOW) == [ended(0, DEAD, UNFINISHED)]


def test_an_item_that_was_begun_is_buried_as_a_whole_besides() -> None:
    """Nobody looks up its devices any more, and one that was not reached must not be forgotten."""
    known = {(0, 1): Progress(DELIVERED, 1), (0, 2): Progress(PENDING, 5)}
    assert bury(chunk(), known, now=NOW) == [
        ended(2, DEAD, UNFINISHED, attempts=5),
        ended(0, DEAD, UNFINISHED),
    ]


def test_a_leftover_is_buried_device_by_device() -> None:
    left = chunk([(item(), [Remainder(1, 2), Remainder(2, 3)])])
    known = {(0, 1): Progress(DELIVERED, 2), (0, 2): Progress(PENDING, 3)}
    assert bury(left, known, now=NOW) == [ended(2, DEAD, UNFINISHED, attempts=3)]


@pytest.mark.parametrize("state", TERMINAL)
def test_what_ended_as_a_whole_is_not_buried_again(state: DeliveryState) -> None:
    assert bury(chunk(), {(0, 0): Progress(state, 0)}, now=NOW) == []


# --- ids that contradict each other ---------------------------------------------------------------


def test_an_item_of_which_nothing_is_left_says_that_its_ids_contradict() -> None:
    todo = plan(chunk(), [[]], {}, now=NOW, contradicting={0: [target(1)]})
    assert todo.ended == [ended(0, NO_DEVICE, CONTRADICTION)]
    assert (todo.sends, todo.contradicting) == ([], 1)


def test_an_item_of_which_something_is_left_tells_only_of_that() -> None:
    todo = plan(chunk(), [[target(1)]], {}, now=NOW, contradicting={0: [target(2), target(3)]})
    assert [send.target.device_id for send in todo.sends] == [1]
    assert (todo.ended, todo.contradicting) == ([], 1)


def test_each_item_with_a_device_left_out_is_counted_once() -> None:
    items = [item(index) for index in range(4)]
    left_out = {0: [target(1), target(2)], 2: [target(3)], 3: [target(4)]}
    todo = plan(chunk(items), [[], [], [target(9)], []], {}, now=NOW, contradicting=left_out)
    assert [(record.index, record.reason) for record in todo.ended] == [
        (0, CONTRADICTION),
        (1, ""),
        (3, CONTRADICTION),
    ]
    assert todo.contradicting == 3


@pytest.mark.parametrize("state", TERMINAL)
def test_a_repeated_chunk_counts_nothing_again(state: DeliveryState) -> None:
    for known in ({(0, 0): Progress(state, 0)}, {(0, 1): Progress(state, 1)}):
        todo = plan(chunk(), [[target(1)]], known, now=NOW, contradicting={0: [target(2)]})
        assert todo.contradicting == 0


def test_a_leftover_whose_phone_has_stated_another_id_since_ends_so() -> None:
    left = chunk([(item(), [Remainder(1, 1), Remainder(2, 1), Remainder(3, 1)])])
    known = {(0, device): Progress(PENDING, 1) for device in (1, 2, 3)}
    todo = plan(left, [[target(3)]], known, now=NOW, contradicting={0: [target(2)]})
    assert todo.ended == [
        ended(1, NO_DEVICE, GONE, attempts=1),
        ended(2, NO_DEVICE, CONTRADICTION, attempts=1),
    ]
    assert [send.target.device_id for send in todo.sends] == [3]
    assert todo.contradicting == 1


def test_what_is_done_ends_wherever_it_stands_and_nothing_else_does() -> None:
    """One is new, one was tried and waits, one has a device that was not tried; one is not done."""
    late = item(3)
    of = chunk([item(0), (item(1), [Remainder(1, 2)]), item(2), late])
    known = {(1, 1): Progress(PENDING, 2, NOW + 60), (2, 1): Progress(DELIVERED, 1)}
    devices = [[target(1)], [target(1)], [target(1), target(2)], [target(1)]]
    reasons = dict.fromkeys((0, 1, 2), "superseded by msg_e")
    todo = plan(of, devices, known, now=NOW)
    by_index = dict(enumerate(devices))
    todo.without(reasons, supersede(of, known, reasons, now=NOW, devices=by_index))
    assert todo.sends == [Send(late, target(1), attempts=0)]
    assert todo.waits == []
    assert sorted((one.index, one.device_id, one.attempts) for one in todo.ended) == [
        (0, 0, 0),
        (1, 1, 2),
        (2, 2, 0),
    ]
    assert {(one.state, one.reason) for one in todo.ended} == {
        (DeliveryState.CANCELLED, "superseded by msg_e")
    }
