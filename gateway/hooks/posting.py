"""One hook: its batches are taken, posted, and done with.

Owns how many are on their way at once, how often, and what an answer comes to. A hook that fails is
left alone for ever longer, and then tried with one batch. Whatever it does, nobody else waits for
it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from gateway.core.clocks import Clocks, Monotonic
from gateway.core.hooks import FAILING, Hook, wait_s, whole
from gateway.core.ids import NewId
from gateway.core.pace import Pace
from gateway.errors import StoreUnavailable
from gateway.events import HookFailing, HookHeld, HookPosted, HooksBuried, Observer, StoreFailed
from gateway.ports import HookBatch, HookFailure, Hooks
from gateway.tasks import end

AT_ONCE = 4
"""Batches on their way to a hook that works: enough to hide the time of an answer."""


class Answer(Protocol):
    """What became of a post, as `providers.hook.sending` tells it."""

    @property
    def kind(self) -> Literal["taken", "gone", "throttled", "failed", "refused"]: ...

    @property
    def reason(self) -> str: ...

    @property
    def retry_after(self) -> float | None: ...

    @property
    def date(self) -> float | None: ...


class Poster(Protocol):
    """The way to one receiver."""

    async def post(self, message_id: str, body: bytes) -> Answer:
        """Post a body, once. Never raises for what the receiver does."""

    async def aclose(self) -> None:
        """Close the connections."""


@dataclass(frozen=True, slots=True)
class Way:
    """A hook and the way to it. `identity`: what the way is made of; `host`: who says what time it
    is there, "" where nobody proves it."""

    hook: Hook
    rate_per_s: float
    identity: object
    make: Callable[[], Poster]
    host: str = ""


@dataclass(frozen=True, slots=True)
class Process:
    """What a process lends to its hooks: its name, by which it holds leases; a maker of names;
    numbers in [0, 1) (`jitter`); who listens; what time it is; and its pace."""

    name: str
    new_id: NewId
    jitter: Callable[[], float]
    observer: Observer
    clocks: Clocks
    pace: Pace


class Posting:
    """Posts what waits for one hook, until cancelled."""

    def __init__(self, way: Way, hooks: Hooks, process: Process) -> None:
        self.way = way
        self._hooks = hooks
        self._name = process.name
        self._new_id = process.new_id
        self._jitter = process.jitter
        self._observer = process.observer
        self._clocks = process.clocks
        self._pace = process.pace
        self._poster = way.make()
        self._closing: list[Poster] = []
        self._busy: dict[int, asyncio.Task[None]] = {}
        self._freed = asyncio.Event()
        self._failures = 0
        self._next_at = Monotonic(float("-inf"))
        self._trim_at = Monotonic(float("-inf"))

    async def renew(self, way: Way) -> None:
        """Another configuration. The connections stay where they lead to the same place."""
        if way.identity != self.way.identity:
            self._closing.append(self._poster)
            self._poster = way.make()
            self._failures = 0
        self.way = way
        self._freed.set()

    async def run(self) -> None:
        """Post whenever there is something, until cancelled; failures are waited out."""
        while True:
            try:
                await self._trim()
                while len(self._busy) < (1 if self._failures else AT_ONCE):
                    if not await self._begin():
                        break
            except StoreUnavailable as error:
                self._observer(StoreFailed("hooks", str(error)))
            await self._rest()

    async def aclose(self) -> None:
        """Let what is on its way arrive, for some seconds, and leave the hook to others. What did
        not get through goes again, under the same id."""
        if self._busy:
            await asyncio.wait(list(self._busy.values()), timeout=self._pace.hook_end_s)
        for task in list(self._busy.values()):
            await end(task)
        for poster in (*self._closing, self._poster):
            await poster.aclose()
        with contextlib.suppress(StoreUnavailable):
            await self._hooks.let_go(self.way.hook.id, self._name)

    # --- inside -------------------------------------------------------------------------------

    async def _rest(self) -> None:
        """Wait until one has ended, or for a while."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._pace.hook_idle_s):
                await self._freed.wait()
        self._freed.clear()
        while self._closing and not self._busy:
            await self._closing.pop().aclose()

    async def _trim(self) -> None:
        """Make dead letters of what is too old or too much: of nothing while the time is
        doubted."""
        now = self._clocks.monotonic()
        if now < self._trim_at or self._clocks.doubted():
            return
        self._trim_at = Monotonic(now + self._pace.hook_trim_s)
        hook = self.way.hook.id
        buried = await self._hooks.trim(hook, now=self._clocks.wall())
        if buried:
            self._observer(HooksBuried(hook, buried))

    async def _begin(self) -> bool:
        """Take a batch, and post it. False: there is none."""
        hook = self.way.hook.id
        if not await self._hooks.due(hook, now=self._clocks.wall()):
            return False
        wait = self._next_at - self._clocks.monotonic()
        if wait > 0:
            await asyncio.sleep(wait)
        now = self._clocks.wall()
        batch = await self._hooks.take(
            hook,
            self._name,
            now=now,
            until=now + self._pace.hook_lease_s,
            name=f"msg_{self._new_id()}",
            busy=list(self._busy),
        )
        if batch is None:
            return False
        if self.way.rate_per_s:
            self._next_at = Monotonic(self._clocks.monotonic() + 1.0 / self.way.rate_per_s)
        task = asyncio.get_running_loop().create_task(self._post(batch))
        self._busy[batch.id] = task
        task.add_done_callback(lambda _task: self._ended(batch.id))
        return True

    def _ended(self, batch_id: int) -> None:
        self._busy.pop(batch_id, None)
        self._freed.set()

    async def _post(self, batch: HookBatch) -> None:
        way, asked_at = self.way, self._clocks.monotonic()
        answer = await self._poster.post(batch.name, whole(batch.hook, batch.lines))
        if answer.date is not None and way.host:
            took = self._clocks.monotonic() - asked_at
            self._clocks.told(way.host, answer.date, answer.date + 1.0 + took)
        self._observer(HookPosted(batch.hook, answer.kind, batch.size, answer.reason))
        try:
            if answer.kind == "taken":
                await self._hooks.taken(batch)
                if self._failures >= FAILING:
                    self._observer(HookFailing(batch.hook, ""))
                self._failures = 0
            else:
                await self._failed(batch, answer)
        except StoreUnavailable as error:
            # it stays where it is, and goes again under the same id
            self._observer(StoreFailed("hooks", str(error)))

    async def _failed(self, batch: HookBatch, answer: Answer) -> None:
        now, before = self._clocks.wall(), self._failures
        wait = wait_s(
            before + 1, answer.retry_after, self._jitter(), first_s=self._pace.hook_first_s
        )
        is_gone = answer.kind == "gone"
        failure = HookFailure(answer.reason, now, now + wait, is_gone)
        self._failures = max(1, await self._hooks.failed(batch, failure))
        if is_gone:
            self._observer(HookHeld(batch.hook, answer.reason))
        elif self._failures == FAILING:
            self._observer(HookFailing(batch.hook, answer.reason))
