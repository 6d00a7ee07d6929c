"""What one process sent, it never sends a second time, whatever becomes of its leases."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import pytest

from gateway.core.model import Chunk, ChunkItem, Claim, Remainder
from gateway.core.pace import Pace
from gateway.errors import StoreUnavailable
from gateway.ports import Queue
from gateway.relay.gate import Gate
from gateway.relay.lane import Lane
from gateway.relay.leases import Leases
from gateway.relay.work import Work
from tests.kit.build import NOW, chunk, item
from tests.kit.clocks import both

LEASE_S = 60.0
FRESH = chunk([item(0), item(1)])
#: what another relay made of it: the same event and number, and fewer places
LEFTOVER = replace(FRESH, items=(ChunkItem(item(0), (Remainder(1, 1),)),), due_at=NOW + 10)


class AskedQueue:
    """A queue as far as leases are renewed there: it knows which are `lost`. `meanwhile` happens
    while it is asked."""

    def __init__(self) -> None:
        self.lost: set[int] = set()
        self.asked: list[list[int]] = []
        self.meanwhile: Callable[[], object] = lambda: None
        self.is_away = False

    async def extend(self, claims: Sequence[Claim], *, lease_s: float, now: float) -> set[int]:
        assert (lease_s, now) == (LEASE_S, Rig.now)
        self.asked.append([claim.queue_id for claim in claims])
        self.meanwhile()
        if self.is_away:
            raise StoreUnavailable("the test cut the cable")
        return {claim.queue_id for claim in claims} & self.lost


class Rig:
    """Leases on a clock that the test moves. `cleared` counts how often lost chunks were taken out
    of the lanes, `woken` how often the dispatcher was told to look."""

    now = NOW

    def __init__(self) -> None:
        Rig.now = NOW
        self.queue = AskedQueue()
        self.cleared = self.woken = self._claims = 0
        part = SimpleNamespace(forget_lost=self._clear)
        lanes = cast("dict[str, Lane]", {"agent/fcm": SimpleNamespace(parts={"android": part})})
        clocks = both(lambda: Rig.now)
        self.leases = Leases(
            cast("Queue", self.queue),
            lanes=lanes,
            gate=Gate({}, monotonic=clocks.monotonic),
            wake=self._wake,
            observer=lambda _event: None,
            clocks=clocks,
            lease_s=LEASE_S,
            pace=Pace(),
        )

    def _clear(self) -> None:
        self.cleared += 1

    def _wake(self) -> None:
        self.woken += 1

    def claim(self, queue_id: int, what: Chunk = FRESH) -> Claim:
        self._claims += 1
        return Claim(queue_id, f"lease-{self._claims}", what, 1)

    def take(self, queue_id: int, what: Chunk = FRESH) -> Work | None:
        """Claim a chunk now, and take it."""
        return self.leases.take(self.claim(queue_id, what), self.leases.proven_until())

    def begin(self, queue_id: int, what: Chunk = FRESH, *, pushes: int = 0) -> Work:
        """Take a chunk that may begin, and send this many pushes of it."""
        work = self.take(queue_id, what)
        assert work is not None
        work.open = pushes
        return work

    def stand_still(self) -> None:
        """The process slept, and each lease that it had has run out."""
        Rig.now += LEASE_S + 1.0


def end(work: Work) -> None:
    """The last verdicts of a chunk are in, and the writer put them on record."""
    work.open, work.finished = 0, True
    work.ended(work)


@pytest.fixture
def rig() -> Rig:
    return Rig()


# --- a chunk that comes again under its own id ---------------------------------------------------


def test_a_chunk_that_is_in_hand_begins_anew_behind_its_pushes(rig: Rig) -> None:
    """Another process may have had it meanwhile, and lost it, too: what is on record counts."""
    work = rig.begin(1, pushes=2)
    rig.stand_still()
    later = rig.claim(1, replace(FRESH, due_at=NOW + 5))
    assert rig.leases.take(later, Rig.now + LEASE_S) is None
    assert work.lost
    assert rig.cleared == 1
    assert rig.leases.ready() is None
    end(work)
    anew = rig.leases.ready()
    assert anew is not None
    assert (anew.claim, anew.proven_until, anew.lost) == (later, Rig.now + LEASE_S, False)
    assert rig.leases.works == {1: anew}


def test_a_chunk_in_hand_of_which_nothing_was_sent_begins_anew_at_once(rig: Rig) -> None:
    work = rig.begin(1)
    rig.stand_still()
    anew = rig.take(1)
    assert anew is not None
    assert (work.lost, rig.leases.works) == (True, {1: anew})


def test_another_chunk_under_a_used_id_is_begun_and_the_old_one_is_lost(rig: Rig) -> None:
    """A lost stream was made anew, and counts from one again."""
    old = rig.begin(1, pushes=2)
    new = rig.begin(1, chunk([item(0)], event_id="msg_2"))
    assert (old.lost, new.lost) == (True, False)
    assert rig.leases.works == {1: new}
    end(old)
    assert rig.leases.works == {1: new}


# --- a chunk whose pushes of an earlier claim are on their way -----------------------------------


@pytest.mark.parametrize(
    ("queue_id", "successor"),
    [(1, FRESH), (1, LEFTOVER), (9, LEFTOVER), (9, FRESH)],
    ids=["as it was", "a leftover, the same id", "a leftover", "as it was, another id"],
)
def test_a_lost_chunk_begins_again_only_when_its_earlier_pushes_have_ended(
    rig: Rig, queue_id: int, successor: Chunk
) -> None:
    earlier = rig.begin(1, pushes=1)
    rig.leases.drop(earlier)
    assert rig.take(queue_id, successor) is None
    assert rig.leases.ready() is None
    woken = rig.woken
    end(earlier)
    assert rig.woken == woken + 1
    back = rig.leases.ready()
    assert back is rig.leases.works[queue_id]
    assert back.chunk == successor


def test_verdicts_that_are_not_on_record_yet_are_waited_for_as_well(rig: Rig) -> None:
    earlier = rig.begin(1, pushes=1)
    earlier.open, earlier.finished = 0, True
    rig.leases.drop(earlier)
    assert rig.take(1) is None
    end(earlier)
    assert rig.leases.ready() is rig.leases.works[1]


def test_a_leftover_waits_for_a_chunk_whose_lease_ran_out_unnoticed(rig: Rig) -> None:
    """Nobody has asked the queue yet: the process stood still, and claims before it renews."""
    earlier = rig.begin(1, pushes=1)
    rig.stand_still()
    assert rig.take(9, LEFTOVER) is None
    rig.leases.drop(earlier)
    assert rig.leases.ready() is None
    end(earlier)
    assert rig.leases.ready() is rig.leases.works[9]


def test_a_chunk_waits_for_all_that_were_before_it(rig: Rig) -> None:
    first, second = rig.begin(1, pushes=1), rig.begin(2, LEFTOVER, pushes=1)
    rig.leases.drop(first)
    rig.leases.drop(second)
    assert rig.take(3) is None
    end(second)
    assert rig.leases.ready() is None
    end(first)
    assert rig.leases.ready() is rig.leases.works[3]


@pytest.mark.parametrize(
    "other",
    [replace(FRESH, event_id="msg_2"), replace(FRESH, number=1)],
    ids=["another event", "another number"],
)
def test_what_holds_other_deliveries_waits_for_nobody(rig: Rig, other: Chunk) -> None:
    rig.leases.drop(rig.begin(1, pushes=1))
    rig.begin(9, other)


def test_two_leftovers_of_a_chunk_are_worked_on_at_once(rig: Rig) -> None:
    """Under proven leases no other process can have taken one and left it in the other."""
    rig.begin(1, LEFTOVER, pushes=1)
    rig.begin(2, replace(LEFTOVER, due_at=NOW + 20), pushes=1)


def test_a_chunk_that_sent_nothing_is_dropped_without_a_trace(rig: Rig) -> None:
    rig.leases.drop(rig.begin(1))
    assert rig.leases.works == {}
    rig.begin(1)


# --- what may begin now --------------------------------------------------------------------------


def test_each_chunk_that_had_to_wait_is_given_once(rig: Rig) -> None:
    earlier = rig.begin(1, pushes=1)
    rig.leases.drop(earlier)
    assert [rig.take(1), rig.take(9, LEFTOVER)] == [None, None]
    end(earlier)
    given = [rig.leases.ready() for _ in range(3)]
    assert given == [rig.leases.works[1], rig.leases.works[9], None]


def test_a_chunk_that_was_lost_while_it_waited_is_never_begun(rig: Rig) -> None:
    earlier = rig.begin(1, pushes=1)
    rig.leases.drop(earlier)
    assert rig.take(1) is None
    rig.leases.drop(rig.leases.works[1])
    end(earlier)
    assert rig.leases.ready() is None
    assert rig.leases.works == {}


def test_a_chunk_that_waits_goes_on_waiting_under_its_new_lease(rig: Rig) -> None:
    earlier = rig.begin(1, pushes=1)
    rig.leases.drop(earlier)
    assert rig.take(1) is None
    waiting = rig.leases.works[1]
    rig.stand_still()
    assert rig.take(1) is None
    assert rig.leases.ready() is None
    end(earlier)
    assert waiting.lost
    assert rig.leases.ready() is rig.leases.works[1]


def test_nobody_waits_for_a_chunk_that_was_lost_while_it_waited_itself(rig: Rig) -> None:
    """It sent nothing, so nobody would tell that it ended."""
    earlier = rig.begin(1, pushes=1)
    rig.leases.drop(earlier)
    assert rig.take(1) is None
    waiting = rig.leases.works[1]
    rig.stand_still()
    assert rig.take(9, LEFTOVER) is None
    rig.leases.drop(waiting)
    end(earlier)
    assert rig.leases.ready() is rig.leases.works[9]


# --- dropping ------------------------------------------------------------------------------------


def test_what_a_lost_chunk_has_in_the_lanes_is_taken_out_once(rig: Rig) -> None:
    """Nothing would end it else: lanes start no push of a lost chunk."""
    work = rig.begin(1, pushes=1)
    rig.leases.drop(work)
    rig.leases.drop(work)
    assert rig.cleared == 1
    assert work.lost


@pytest.mark.parametrize("happens", [Leases.drop, Leases._ended], ids=["dropped", "ended"])
def test_whoever_waits_for_a_change_is_told(
    rig: Rig, happens: Callable[[Leases, Work], None]
) -> None:
    work = rig.begin(1)
    assert not rig.leases.changed.is_set()
    happens(rig.leases, work)
    assert rig.leases.changed.is_set()
    assert rig.woken == 1


# --- renewal -------------------------------------------------------------------------------------


async def test_proving_renews_what_is_not_proven_and_asks_for_nothing_else(rig: Rig) -> None:
    old = [rig.begin(1, pushes=1), rig.begin(2, replace(FRESH, number=1), pushes=1)]
    gone = rig.begin(3, replace(FRESH, number=2), pushes=1)
    rig.leases.drop(gone)
    rig.stand_still()
    young = rig.begin(4, replace(FRESH, number=3), pushes=1)
    rig.queue.lost = {2}
    await rig.leases.prove([*old, gone, young])
    assert rig.queue.asked == [[1, 2]]
    assert [work.lost for work in [*old, young]] == [False, True, False]
    assert old[0].proven_until == Rig.now + LEASE_S
    assert set(rig.leases.works) == {1, 4}
    await rig.leases.prove([*old, gone, young])
    assert rig.queue.asked == [[1, 2]]


async def test_what_cannot_be_proven_is_neither_lost_nor_proven(rig: Rig) -> None:
    work = rig.begin(1, pushes=1)
    rig.stand_still()
    rig.queue.is_away = True
    with pytest.raises(StoreUnavailable):
        await rig.leases.prove([work])
    assert not work.lost
    assert work.proven_until <= Rig.now


async def test_a_lease_is_counted_from_before_the_queue_was_asked(rig: Rig) -> None:
    work = rig.begin(1, pushes=1)
    rig.stand_still()
    asked_at = Rig.now
    rig.queue.meanwhile = rig.stand_still
    await rig.leases.prove([work])
    assert work.proven_until == asked_at + LEASE_S


async def test_an_answer_about_a_chunk_that_was_settled_meanwhile_drops_nothing(rig: Rig) -> None:
    work = rig.begin(1, pushes=1)
    rig.stand_still()
    rig.queue.lost = {1}
    rig.queue.meanwhile = lambda: end(work)
    await rig.leases.prove([work])
    assert not work.lost
    assert rig.cleared == 0
    rig.begin(1)


async def test_an_answer_about_the_earlier_lease_of_a_chunk_says_nothing_of_the_new_one(
    rig: Rig,
) -> None:
    work = rig.begin(1, pushes=1)
    rig.stand_still()
    rig.queue.lost = {1}
    rig.queue.meanwhile = lambda: rig.take(1)
    await rig.leases.prove([work])
    anew = rig.leases.works[1]
    assert anew is not work
    assert not anew.lost


async def test_an_answer_about_a_chunk_says_nothing_of_another_under_its_id(rig: Rig) -> None:
    work = rig.begin(1, pushes=1)
    rig.stand_still()
    rig.queue.lost = {1}
    rig.queue.meanwhile = lambda: rig.take(1, chunk([item(0)], event_id="msg_2"))
    await rig.leases.prove([work])
    assert rig.leases.works[1].chunk.event_id == "msg_2"
    assert not rig.leases.works[1].lost
