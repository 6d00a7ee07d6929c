"""After a standstill the loop reads before anything is timed out."""

from __future__ import annotations

import asyncio
import socket
import time
from collections import deque
from collections.abc import Callable
from contextvars import Context, ContextVar
from typing import Any

import pytest

from gateway.app import patience
from gateway.app.loop import PatientLoop
from gateway.app.patience import FEWEST, LATE_S, LONGEST_S, TURNS, Patience, Timer

WHO: ContextVar[str] = ContextVar("who", default="nobody")


class Handle:
    def __init__(self) -> None:
        self.is_cancelled = False

    def cancelled(self) -> bool:
        return self.is_cancelled


class Turns:
    """A loop that turns when it is told to, and a clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0
        self.spent = 7.0
        self.ran: list[str] = []
        self.stood_still: list[float] = []
        self._soon: deque[tuple[Callable[[], Any], Context | None]] = deque()
        self.patience = Patience(self._call_soon, lambda: self.now, lambda: self.spent)
        self.patience.tell(self.stood_still.append)

    def _call_soon(self, callback: Callable[[], Any], *, context: Context | None = None) -> None:
        self._soon.append((callback, context))

    def timer(self, name: str, delay_s: float) -> Timer:
        def ring() -> None:
            self.ran.append(f"{name} for {WHO.get()}")

        timer = self.patience.timer(delay_s, ring, ())
        timer.handle = Handle()
        return timer

    def come_late(self) -> None:
        """A timer "late" comes due in a standstill of 20 seconds."""
        timer = self.timer("late", 0.1)
        self.now += 20.0
        timer()

    def turn(self, times: int = 1) -> None:
        for _ in range(times):
            for _ in range(len(self._soon)):
                callback, context = self._soon.popleft()
                context.run(callback) if context is not None else callback()


@pytest.fixture
def loop() -> Turns:
    return Turns()


@pytest.mark.parametrize("late_s", [0.0, 0.01, LATE_S - 0.01])
def test_a_timer_that_is_hardly_late_runs_at_once(loop: Turns, late_s: float) -> None:
    timer = loop.timer("a", 5.0)
    loop.now += 5.0 + late_s
    timer()
    assert loop.ran == ["a for nobody"]
    assert not loop.stood_still


@pytest.mark.parametrize("stood_s", [1.0, 17.0, 86_400.0])
def test_what_came_due_in_a_standstill_waits_until_the_loop_has_turned(
    loop: Turns, stood_s: float
) -> None:
    early, late = loop.timer("early", 0.1), loop.timer("late", stood_s - 0.01)
    loop.now += stood_s
    early()
    late()  # itself hardly late: the standstill is what counts
    loop.turn(TURNS - 1)
    assert not loop.ran
    loop.turn(2)
    assert loop.ran == ["early for nobody", "late for nobody"]
    assert loop.stood_still == [pytest.approx(stood_s - 0.1)]


def test_a_loop_whose_turns_take_long_goes_round_less_often(loop: Turns) -> None:
    loop.come_late()
    for turn in range(FEWEST):
        assert not loop.ran, turn
        loop.now += 0.1
        loop.spent += 0.1
        loop.turn()
    loop.turn()
    assert loop.ran == ["late for nobody"]


def test_a_loop_that_the_machine_has_little_time_for_goes_round_as_often(loop: Turns) -> None:
    loop.come_late()
    for turn in range(TURNS):
        assert not loop.ran, turn
        loop.now += 0.1
        loop.turn()
    loop.turn()
    assert loop.ran == ["late for nobody"]


@pytest.mark.parametrize("turned", [0, 1, FEWEST, TURNS // 2, TURNS - 2 * FEWEST])
def test_a_standstill_while_the_loop_goes_round_begins_it_anew(loop: Turns, turned: int) -> None:
    loop.come_late()
    loop.turn(turned)
    loop.spent += LONGEST_S  # but for the second one, it would be enough
    loop.now += 60.0
    loop.turn(FEWEST)
    assert not loop.ran
    loop.spent += LONGEST_S
    loop.now += LONGEST_S
    loop.turn(2)
    assert loop.ran == ["late for nobody"]
    assert len(loop.stood_still) == 2


def test_a_standstill_just_before_what_was_put_off_runs_puts_it_off_again(loop: Turns) -> None:
    loop.come_late()
    loop.turn(TURNS)
    loop.now += 60.0
    loop.turn(FEWEST)
    assert not loop.ran
    loop.turn(TURNS)
    assert loop.ran == ["late for nobody"]
    assert len(loop.stood_still) == 2


def test_a_process_that_stands_still_at_every_turn_comes_to_its_timers(loop: Turns) -> None:
    loop.come_late()
    for _ in range(TURNS):
        loop.now += 2 * LATE_S
        loop.turn()
    loop.turn()
    assert loop.ran == ["late for nobody"]


def test_what_is_cancelled_by_an_answer_that_was_read_meanwhile_never_rings(loop: Turns) -> None:
    answered, silent = loop.timer("answered", 0.1), loop.timer("silent", 0.1)
    loop.now += 20.0
    answered()
    silent()
    assert isinstance(answered.handle, Handle)
    answered.handle.is_cancelled = True
    loop.turn(TURNS + 2)
    assert loop.ran == ["silent for nobody"]


def test_a_timer_keeps_its_context_and_one_that_fails_stops_no_other(loop: Turns) -> None:
    def broken() -> None:
        raise LookupError

    bad = loop.patience.timer(0.1, broken, ())
    bad.handle = Handle()
    mine = loop.timer("mine", 0.1)
    loop.now += 20.0
    context = Context()
    context.run(WHO.set, "me")
    bad()
    context.run(mine)
    loop.turn(TURNS)
    with pytest.raises(LookupError):
        loop.turn()
    loop.turn()
    assert loop.ran == ["mine for me"]


def test_each_standstill_is_told_once_and_before_what_came_due_in_it(loop: Turns) -> None:
    for number in range(3):
        timer = loop.timer(f"{number}", 1.0)
        loop.now += 10.0
        timer()
        assert len(loop.stood_still) == number + 1
        loop.turn(TURNS + 1)
    assert len(loop.ran) == 3


def test_a_time_that_is_past_already_is_no_standstill(loop: Turns) -> None:
    loop.timer("past", -30.0)()
    assert loop.ran == ["past for nobody"]


async def in_steps(answer: asyncio.Future[bytes], steps: int) -> bytes:
    """What a client library does: a task waits for a task that waits for the socket."""
    if steps == 0:
        return await asyncio.shield(answer)
    return await asyncio.create_task(in_steps(answer, steps - 1))


class Reader(asyncio.Protocol):
    def __init__(self) -> None:
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        self.answer.set_result(data)


async def waited(steps: int) -> bytes:
    """An answer that is there before its time is over, and a loop that stands still meanwhile."""
    loop = asyncio.get_running_loop()
    mine, theirs = socket.socketpair()
    with theirs:
        transport, reader = await loop.create_connection(Reader, sock=mine)
        try:

            def stand_still() -> None:
                theirs.send(b"the answer")
                time.sleep(LATE_S + 0.15)

            loop.call_later(0.01, stand_still)
            async with asyncio.timeout(0.05):
                return await in_steps(reader.answer, steps)
        finally:
            transport.close()


@pytest.mark.parametrize("steps", [0, 1, 8])
def test_an_answer_that_is_in_the_socket_counts(steps: int) -> None:
    with asyncio.Runner(loop_factory=PatientLoop) as runner:
        assert runner.run(waited(steps)) == b"the answer"


def test_without_patience_it_would_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the test above proves nothing."""
    monkeypatch.setattr(patience, "LATE_S", 1e9)
    with asyncio.Runner(loop_factory=PatientLoop) as runner, pytest.raises(TimeoutError):
        runner.run(waited(8))
