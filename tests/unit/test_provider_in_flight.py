"""Every push gets one verdict, whatever becomes of its task."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from uuid import uuid4

import pytest

from providers.contract import Address, Delivered, Message, Push, Unavailable, Verdict
from providers.http2.backoff import Backoff
from providers.transport.fair_waiters import FairWaiters
from providers.transport.in_flight import BROKEN, CUT_OFF, InFlight
from providers.transport.verdict_batcher import CLOSED, FULL

MESSAGE = Message("msg_1", "a", "b", None)


class Book:
    """Takes verdicts, in the batches in which they come. Cannot be a key of a dictionary."""

    __hash__ = None  # type: ignore[assignment]  # that is what it is for

    def __init__(self) -> None:
        self.batches: list[list[tuple[Push, Verdict]]] = []

    def __eq__(self, other: object) -> bool:
        return self is other

    def __call__(self, batch: Sequence[tuple[Push, Verdict]]) -> None:
        self.batches.append(list(batch))

    @property
    def verdicts(self) -> list[Verdict]:
        return [verdict for batch in self.batches for _, verdict in batch]


def pushes(count: int) -> list[Push]:
    return [Push(str(uuid4()), Address("ab"), MESSAGE, 0.0) for _ in range(count)]


async def deliver(push: Push) -> Verdict:
    return Delivered(str(push.delivery_id))


async def turn() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_verdicts_of_one_turn_come_in_one_batch() -> None:
    in_flight, book = InFlight(deliver), Book()

    in_flight.launch(pushes(10), book, free=10)
    assert len(in_flight) == 10
    await turn()

    assert [len(batch) for batch in book.batches] == [10]
    assert len(in_flight) == 0


async def test_what_does_not_fit_is_settled_as_surely_not_taken() -> None:
    in_flight, book = InFlight(deliver), Book()

    in_flight.launch(pushes(3), book, free=2)
    await turn()

    assert book.verdicts.count(FULL) == 1
    assert len(book.verdicts) == 3


async def test_a_task_that_is_cancelled_before_its_first_step_has_a_verdict() -> None:
    in_flight, book = InFlight(deliver), Book()

    in_flight.launch(pushes(2), book, free=2)
    for task in list(in_flight._tasks):
        task.cancel()
    await turn()

    assert book.verdicts == [CUT_OFF, CUT_OFF]


async def test_a_fault_of_the_transport_is_a_verdict_and_tells_no_secret(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fail(push: Push) -> Verdict:
        raise KeyError(push.address.value + "-secret")

    in_flight, book = InFlight(fail), Book()

    in_flight.launch(pushes(1), book, free=1)
    await turn()

    assert book.verdicts == [BROKEN]
    assert "KeyError" in caplog.text
    assert "secret" not in caplog.text


async def test_after_closing_nothing_is_started() -> None:
    in_flight, book = InFlight(deliver), Book()
    await in_flight.aclose()

    in_flight.launch(pushes(2), book, free=2)
    await turn()

    assert book.verdicts == [CLOSED, CLOSED]


async def test_turns_are_given_in_order_and_passed_on_by_who_leaves() -> None:
    passed_on: list[bool] = []
    waiters = FairWaiters(lambda: passed_on.append(True))
    first, second, third = (asyncio.ensure_future(waiters.wait()) for _ in range(3))
    await turn()
    assert len(waiters) == 3

    waiters.grant(1)
    first.cancel()  # in the very moment in which it was its turn
    await turn()
    assert first.cancelled()
    assert passed_on == [True]

    waiters.grant(1)
    await turn()
    assert second.done()
    assert not third.done()
    waiters.fail(Unreachable())
    with pytest.raises(Unreachable):
        await third


async def test_who_left_the_line_takes_nobodys_turn() -> None:
    waiters = FairWaiters(lambda: None)
    first, second = (asyncio.ensure_future(waiters.wait()) for _ in range(2))
    await turn()
    first.cancel()
    await turn()

    waiters.grant(1)
    await turn()

    assert second.done()


def test_waits_double_up_to_the_longest_and_a_success_ends_them() -> None:
    backoff = Backoff(longest_s=30.0)
    assert backoff.wait(0.0) == 0.0
    waits = []
    for _ in range(10):
        backoff.failed(now=100.0)
        waits.append(backoff.wait(100.0))

    assert 0.5 <= waits[0] <= 1.0
    assert 1.0 <= waits[1] <= 2.0
    assert all(15.0 <= wait <= 30.0 for wait in waits[6:])
    assert backoff.wait(200.0) == 0.0
    backoff.succeeded()
    assert backoff.wait(100.0) == 0.0


class Unreachable(Exception):
    """Stands for whatever a line is sent away with."""


def test_every_verdict_given_here_says_whether_the_push_was_taken() -> None:
    assert isinstance(FULL, Unavailable)
    assert (FULL.outcome_known, CLOSED.outcome_known) == (True, True)
    assert (CUT_OFF.outcome_known, BROKEN.outcome_known) == (False, False)
