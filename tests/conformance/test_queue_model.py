"""Any sequence of calls, by two processes: the queue does what a dictionary would."""

from __future__ import annotations

import asyncio
import math
import tempfile
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from gateway.core.model import Claim, Trial
from gateway.core.suspects import Past
from tests.kit.build import NOW
from tests.kit.stores import BACKENDS, Handle, accept, batch, leftover, queued

LEASE_S = 10.0
LIFE_S = 25.0
LANES = st.sampled_from(["", "agent/fcm", "agent/apns"])
DELAYS = st.floats(0.0, 20.0)


@dataclass
class Row:
    """A chunk as the model knows it: who it is, when it is due, and under whose lease."""

    name: str
    due_at: float
    deadline: float
    lane: str
    lease_id: str | None = None
    past: Past = field(default_factory=Past)

    @property
    def tries(self) -> int:
        return self.past.tries


class QueueMachine(RuleBasedStateMachine):
    """`backend` is set by the subclass that a backend's test makes.

    Where leases end by a clock of the backend's own, they are so long here that none does; what
    comes back there is not in order, and a claim that left it for a moment finds it in the next.
    """

    backend: str

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.now = NOW
        self.stack = AsyncExitStack()
        self.handles = [self._open() for _ in range(2)]
        self.rows: list[Row] = []
        self.claims: list[Claim] = []
        self.owners: dict[str, Handle] = {}
        self.names = 0

    def _open(self) -> Handle:
        opened = BACKENDS[self.backend].open(Path(self.folder.name), lambda: self.now)
        return self.runner.run(self.stack.enter_async_context(opened))

    def teardown(self) -> None:
        self.runner.run(self.stack.aclose())
        self.runner.close()
        self.folder.cleanup()

    def _row(self, delay: float, lane: str) -> Row:
        self.names += 1
        row = Row(f"msg_{self.names}", self.now + delay, self.now + LIFE_S, lane)
        self.rows.append(row)
        return row

    def _holder(self, held: Claim) -> Row | None:
        return next((row for row in self.rows if row.lease_id == self._lease(held)), None)

    def _lease(self, held: Claim) -> str:
        return f"{held.lease_id}/{held.queue_id}"

    @rule()
    def accept_an_event(self) -> None:
        name = self._row(0.0, "").name
        self.rows[-1].deadline = self.now + 86_400.0
        self.runner.run(accept(self.handles[0], name, at=self.now))

    @precondition(lambda self: self.names)
    @rule()
    def accept_a_known_event(self) -> None:
        event, chunks = batch("msg_known")
        fresh = self.runner.run(self.handles[0].queue.accept(event, chunks))
        if fresh:
            self.names += 1
            self.rows.append(Row("msg_known", NOW, NOW + 86_400.0, ""))

    @rule(delay=DELAYS, lane=LANES)
    def publish(self, delay: float, lane: str) -> None:
        row = self._row(delay, lane)
        chunk = leftover(row.name, due_at=row.due_at, lane=lane, deadline=row.deadline)
        self.runner.run(self.handles[0].queue.publish([chunk]))

    @rule(limit=st.integers(1, 4), skip=st.sets(LANES.filter(bool)), who=st.integers(0, 1))
    def claim(self, limit: int, skip: set[str], who: int) -> None:
        due = [row for row in self.rows if self._is_due(row, skip) and not row.past.suspect]
        wanted = min(limit, len(due))
        claims = self._claims(self.handles[who], limit, skip)
        for _ in range(20 if self.own_clock else 0):
            if len(claims) >= wanted:
                break
            claims += self._claims(self.handles[who], limit - len(claims), skip)
        assert len(claims) == wanted
        taken = []
        for held in claims:
            row = next(row for row in due if row.name == held.chunk.event_id)
            assert held.chunk.lane == row.lane
            assert held.tries == row.tries + 1 or "tries" in BACKENDS[self.backend].cannot
            taken.append(row.due_at)
            due.remove(row)
            assert held.trial is None
            self._take(row, held)
        # whatever was left behind had not been due for longer than what was taken
        if "order" not in BACKENDS[self.backend].cannot:
            assert max(taken, default=0.0) <= min((row.due_at for row in due), default=self.now)
        self.claims += claims
        self.owners |= {self._lease(held): self.handles[who] for held in claims}

    def _is_due(self, row: Row, skip: set[str]) -> bool:
        return row.due_at <= self.now and (row.lane not in skip or row.deadline <= self.now)

    def _take(self, row: Row, held: Claim) -> None:
        row.lease_id, row.past = self._lease(held), row.past.claimed(self.now)
        row.due_at = self._lease_end()

    @precondition(lambda self: any(row.past.suspect for row in self.rows))
    @rule(skip=st.sets(LANES.filter(bool)), who=st.integers(0, 1))
    def claim_suspect(self, skip: set[str], who: int) -> None:
        due = [row for row in self.rows if row.past.suspect and self._is_due(row, skip)]
        queue, lanes = self.handles[who].queue, sorted(skip)
        assert self.runner.run(queue.has_suspect(now=self.now, skip_lanes=lanes)) == bool(due)
        held = self.runner.run(queue.claim_suspect(lease_s=LEASE_S, now=self.now, skip_lanes=lanes))
        assert (held is not None) == bool(due)
        if held is None:
            return
        row = next(row for row in due if row.name == held.chunk.event_id)
        lone_ends = row.past.lone_ends_by(self.now)
        assert held.trial == Trial(lone_ends, row.past.claimed_at)
        assert row.past.lone_ends + row.past.alone == min(
            one.past.lone_ends + one.past.alone for one in due
        )
        self._take(row, held)
        self.claims.append(held)
        self.owners[self._lease(held)] = self.handles[who]

    @precondition(lambda self: self.claims)
    @rule(data=st.data())
    def absolve(self, data: st.DataObject) -> None:
        held = data.draw(st.sampled_from(self.claims))
        self.runner.run(self.owners[self._lease(held)].queue.absolve(held))
        if (row := self._holder(held)) is not None:
            row.past = row.past._replace(tries=0, lone_ends=0, alone=False)

    @rule(who=st.integers(0, 1))
    def let_go(self, who: int) -> None:
        self.runner.run(self.handles[who].queue.let_go())
        theirs = {lease for lease, handle in self.owners.items() if handle is self.handles[who]}
        for row in self.rows:
            if row.lease_id in theirs:
                row.past, row.due_at, row.lease_id = row.past.given_back(), self.now, None

    def _extends(self, handle: Handle, held: Claim) -> bool:
        return not self.own_clock or self.owners[self._lease(held)] is handle

    def _claims(self, handle: Handle, limit: int, skip: set[str]) -> list[Claim]:
        return self.runner.run(
            handle.queue.claim(limit=limit, lease_s=LEASE_S, now=self.now, skip_lanes=sorted(skip))
        )

    @property
    def own_clock(self) -> bool:
        return BACKENDS[self.backend].own_clock

    def _lease_end(self) -> float:
        return math.inf if self.own_clock else self.now + LEASE_S

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), left=st.booleans(), delay=DELAYS, lane=LANES)
    def settle(self, data: st.DataObject, left: bool, delay: float, lane: str) -> None:
        held = data.draw(st.sampled_from(self.claims))
        row = self._holder(held)
        name, chunks = f"{held.chunk.event_id}+", []
        if left:
            chunks = [leftover(name, due_at=self.now + delay, lane=lane, deadline=self.now + 5)]
        # a broker's lease belongs to the process that has it; in a store, to whoever names it
        handle = self.owners[self._lease(held)] if self.own_clock else self.handles[1]
        done = self.runner.run(handle.queue.settle(held, chunks))
        assert done == (row is not None)
        if row is not None:
            self.rows.remove(row)
            if left:
                self.rows.append(Row(name, self.now + delay, self.now + 5, lane))

    @precondition(lambda self: self.claims)
    @rule(data=st.data())
    def extend(self, data: st.DataObject) -> None:
        held = data.draw(st.lists(st.sampled_from(self.claims), max_size=4))
        lost: set[int] = set()
        for handle in self.handles if self.own_clock else self.handles[:1]:
            theirs = [one for one in held if self._extends(handle, one)]
            lost |= self.runner.run(handle.queue.extend(theirs, lease_s=LEASE_S, now=self.now))
        expected = {one.queue_id for one in held if self._holder(one) is None}
        assert lost == expected
        for one in held:
            if (row := self._holder(one)) is not None:
                row.due_at = self._lease_end()
                if not row.past.alone:
                    row.past = row.past._replace(tries=0)

    @rule(seconds=st.floats(0.1, 15.0))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def nothing_is_lost(self) -> None:
        self.runner.run(queued(self.handles[1].queue, len(self.rows)))


@pytest.mark.parametrize("backend", sorted(BACKENDS))
def test_any_sequence_of_calls_leaves_the_queue_as_the_model_says(backend: str) -> None:
    machine = type("Machine", (QueueMachine,), {"backend": backend})
    size = settings(max_examples=60, stateful_step_count=30)
    if BACKENDS[backend].own_clock:
        # each look at an empty queue waits for it, so an example takes seconds: few, and no search
        # for a smaller one
        size = settings(max_examples=6, stateful_step_count=25, phases=[Phase.generate])
    run_state_machine_as_test(machine, settings=size)
