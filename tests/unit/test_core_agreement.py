"""Which time is believed, by whom, and from when on it is doubted."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from gateway.core.agreement import AGREE_S, DATABASE, FINE_S, KEEP_S, Agreement, Correction

TRUE = 1_800_000_000.0
STEPS = {"+2 d": 172_800.0, "+1 h": 3_600.0, "-1 h": -3_600.0, "1970": -TRUE}
OFF = pytest.mark.parametrize("off", STEPS.values(), ids=STEPS.keys())


@dataclass
class World:
    """A machine whose clock is `off`; its monotonic clock began at the truth's 1000."""

    off: float = 0.0
    passed: float = 1_000.0
    agreement: Agreement = field(init=False)

    def __post_init__(self) -> None:
        self.agreement = Agreement(self.wall, self.passed)

    @property
    def true(self) -> float:
        return TRUE + self.passed

    @property
    def wall(self) -> float:
        return self.true + self.off

    @property
    def time(self) -> float:
        """The time in force."""
        return self.passed + self.agreement.lead

    def step(self, by: float) -> Correction | None:
        """The wall clock is moved, and looked at."""
        self.off += by
        return self.look()

    def look(self, after: float = 1.0) -> Correction | None:
        self.passed += after
        return self.agreement.look(self.wall, self.passed)

    def wait(self, seconds: float) -> None:
        """Time passes, with a look now and then."""
        for _ in range(int(seconds / 50.0) + 1):
            self.look(50.0)

    def hear(self, witness: str, off: float = 0.0, width: float = 1.0) -> Correction | None:
        """A witness, whose own clock is so far off, tells the time."""
        low = self.true + off - width / 2
        return self.agreement.hear(witness, low, low + width, self.passed)

    def doubts(self) -> bool:
        return self.agreement.doubt != ""

    @property
    def is_right(self) -> bool:
        return abs(self.time - self.true) <= FINE_S


def agreed(off: float = 0.0) -> World:
    world = World(off)
    world.hear("one", off)
    assert not world.agreement.doubt
    return world


def test_at_the_start_nobody_is_believed() -> None:
    world = World()
    world.look()
    assert world.agreement.doubt == "unconfirmed"
    assert world.is_right


@OFF
def test_the_database_is_believed_at_once(off: float) -> None:
    world = World(off)
    world.hear(DATABASE)
    assert not world.agreement.doubt
    assert world.is_right
    assert world.agreement.offset == pytest.approx(-off, abs=FINE_S)


def test_one_witness_confirms_a_clock_that_says_the_same() -> None:
    world = World(off=AGREE_S / 2)
    world.hear("one")
    assert not world.agreement.doubt
    assert world.agreement.offset == 0


@OFF
def test_one_witness_does_not_move_the_time(off: float) -> None:
    world = World()
    world.hear("liar", off)
    assert world.agreement.doubt == "contradicted"
    assert world.agreement.offset == 0
    world.hear("liar", off)  # however often it says so
    assert world.agreement.offset == 0


@OFF
def test_two_witnesses_that_agree_move_it(off: float) -> None:
    world = World(off)
    assert world.hear("one") is None
    moved = world.hear("two", width=4.0)
    assert not world.agreement.doubt
    assert world.is_right
    assert moved is not None
    assert moved.by == pytest.approx(-off, abs=FINE_S)
    assert moved.since == pytest.approx(TRUE + 1_000.0 + off)


@OFF
def test_two_witnesses_that_disagree_do_not(off: float) -> None:
    world = World(off)
    world.hear("one")
    world.hear("two", off / 2 if abs(off) > 4 * AGREE_S else 2 * off)
    assert world.agreement.doubt == "contradicted"
    assert world.agreement.offset == 0


@OFF
def test_a_step_is_doubted_and_moves_nothing(off: float) -> None:
    world = agreed()
    world.step(off)
    assert world.agreement.doubt == "stepped"
    assert world.is_right
    for _ in range(5_000):
        world.look()
    assert world.agreement.doubt == "stepped"
    assert world.is_right


@OFF
def test_a_clock_that_is_set_before_anybody_spoke_is_followed_and_doubted(off: float) -> None:
    """A machine that starts: NTP sets its clock seconds later, and nobody speaks yet."""
    world = World(off)
    began = world.time
    world.look()
    moved = world.step(-off)
    assert moved is not None
    assert moved.since == pytest.approx(began)
    assert moved.by == pytest.approx(-off)
    assert moved.until == pytest.approx(world.time + off)
    assert world.agreement.doubt == "unconfirmed"
    assert world.is_right
    assert world.agreement.offset == 0
    assert world.agreement.since == pytest.approx(began - off)
    world.hear("one")
    assert not world.doubts()


@OFF
def test_a_clock_that_is_put_wrong_before_anybody_spoke_is_put_right_again(off: float) -> None:
    world = World()
    there = world.step(off)
    back = world.step(-off)
    assert there is not None
    assert back is not None
    assert back.by == pytest.approx(-there.by)
    assert back.since == pytest.approx(there.since + off)
    assert world.is_right
    assert world.agreement.doubt == "unconfirmed"


@OFF
def test_a_clock_that_was_contradicted_is_not_followed(off: float) -> None:
    world = World(off)
    world.hear("one")
    before = world.time
    assert world.step(3 * off) is None
    assert world.time == pytest.approx(before + 1.0)


@OFF
def test_a_clock_that_comes_back_needs_no_witness(off: float) -> None:
    world = agreed()
    world.step(off)
    world.look(5.0)
    assert world.step(-off) is None
    assert not world.agreement.doubt
    assert world.agreement.offset == 0
    assert world.is_right


@OFF
@pytest.mark.parametrize("mended", [False, True])
def test_witnesses_see_through_a_step(off: float, mended: bool) -> None:
    world = agreed()
    world.step(off)
    world.hear("one")
    world.hear("two")
    assert not world.agreement.doubt
    assert world.agreement.offset == pytest.approx(-off, abs=FINE_S)
    if mended:
        assert world.step(-off) is None
        assert not world.agreement.doubt
        assert world.agreement.offset == 0
    assert world.is_right


def test_what_was_said_before_a_step_does_not_count_after_it() -> None:
    """A machine that was paused: its monotonic clock stood still, and its wall clock is right."""
    world = agreed()
    world.hear("one")
    world.hear("two")
    world.off += 3_600.0  # the truth went on without the monotonic clock
    world.look()
    assert world.agreement.doubt == "stepped"
    world.agreement.hear("one", world.wall - 1, world.wall, world.passed)
    assert not world.doubts()
    assert world.time == pytest.approx(world.wall)


def test_a_process_that_stood_still_doubts_until_somebody_speaks() -> None:
    """Both clocks went on: it was stopped, or its machine was, or both were moved."""
    world = agreed()
    world.look(172_800.0)
    assert world.agreement.doubt == "stepped"
    for _ in range(10):
        world.look()
    assert world.agreement.doubt == "stepped"
    world.hear("one")
    assert not world.doubts()
    assert world.is_right


def test_small_corrections_are_followed_and_many_of_them_are_a_step() -> None:
    world = agreed()
    world.step(30.0)
    assert not world.doubts()
    assert world.time == pytest.approx(world.wall)
    world.step(31.0)
    assert world.doubts()


def test_a_witness_that_contradicts_alone_brings_doubt() -> None:
    world = agreed()
    world.wait(KEEP_S + 1)  # what the first one said is too old to count
    world.hear("two", 600.0)
    assert world.agreement.doubt == "contradicted"
    world.hear("one")
    assert not world.agreement.doubt


def test_a_word_of_hours_ago_contradicts_nobody() -> None:
    world = agreed()
    world.wait(KEEP_S + 1)
    assert not world.agreement.doubt


@OFF
def test_a_person_vouches_until_the_clock_moves(off: float) -> None:
    world = World(off)
    world.hear("one")
    world.agreement.accept(world.passed)
    assert not world.agreement.doubt
    assert world.time == world.wall
    world.look()
    assert not world.agreement.doubt
    world.step(-off)
    assert world.agreement.doubt


@OFF
def test_the_time_in_force_stays_where_it_is_while_witnesses_repeat_themselves(off: float) -> None:
    world = World(off)
    times = set()
    for turn in range(100):
        world.look()
        world.hear(DATABASE, off=(turn % 3 - 1) * 0.4)
        times.add(round(world.agreement.lead, 6))
    assert len(times) == 1


@OFF
def test_what_was_dated_before_the_start_cannot_be_compared_until_a_time_is_agreed(
    off: float,
) -> None:
    world = World(off)
    assert world.agreement.since == pytest.approx(world.time)
    world.hear(DATABASE)
    world.step(3 * off)
    assert world.agreement.since == -float("inf")
