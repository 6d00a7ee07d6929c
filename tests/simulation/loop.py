"""The event loop of a history: asyncio on a clock that jumps, with processes that can be killed.

Owns time, the order of what is due, and what becomes of a process' callbacks when it is killed or
stopped. Refuses to know the gateway, but for its patience, which is a part of its loop in life.
Ready callbacks run in the order they came, which is asyncio's promise; callbacks due at the same
moment run in an order drawn by lot, which is nobody's promise. A process that goes on after a stop
finds its timers first, and then what came to its sockets: the worst order that libuv has.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import heapq
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar
from itertools import count
from random import Random
from typing import Any

from gateway.app.patience import Patience

STEP_S = 1e-5
"""Virtual seconds that one callback takes, so that loops without a wait end."""
MOST_STEPS = 2_000_000
"""Callbacks of one history at most: more means that something goes round in circles."""

OWNER: ContextVar[Process | None] = ContextVar("owner", default=None)
"""The process that runs; None is the world, which nobody can kill."""


class StuckError(Exception):
    """The history cannot go on: nothing is due, or far too much is."""


class Process:
    """A process on the loop: everything that was scheduled in its context."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.alive = True
        self.frozen = False
        self.context = contextvars.copy_context()
        self.context.run(OWNER.set, self)
        self.parked: list[asyncio.Handle] = []
        #: what lay in its sockets when it went on, and was not read yet
        self.unread: dict[asyncio.Handle, None] = {}
        self.patience: Patience | None = None

    def __repr__(self) -> str:
        return f"<{self.name}>"


class Loop(asyncio.AbstractEventLoop):
    """See the module. `lots` orders what is due at one moment."""

    def __init__(self, lots: Random) -> None:
        self._lots = lots
        self._now = 0.0
        self._ready: deque[tuple[Process | None, asyncio.Handle]] = deque()
        self._timers: list[tuple[float, float, int, Process | None, asyncio.TimerHandle]] = []
        self._numbers = count()
        self._over = False
        self._running: Process | None = None
        #: kept, because a task that nobody holds is collected, and runs its `finally`
        self._tasks: dict[asyncio.Task[Any], None] = {}
        self.steps = 0
        #: called with the process and what went wrong when an exception reaches the loop
        self.on_fault: Callable[[Process | None, dict[str, Any]], None] = lambda _owner, _what: None
        #: what comes to a socket, of all that is due
        self._arrivals: set[asyncio.Handle] = set()
        #: callbacks of a process until it is killed; see `kill_after`
        self._kills: dict[Process, tuple[int, Callable[[], None]]] = {}

    # --- running ------------------------------------------------------------------------------

    def run(self, main: Coroutine[Any, Any, None], *, until: Callable[[], bool]) -> None:
        """Run the world's main task to its end, or until `until` says so after a callback."""
        asyncio._set_running_loop(self)  # what every event loop does
        try:
            task = self.create_task(main)
            while not task.done() and not until():
                self._step()
            if task.done():
                task.result()
        finally:
            asyncio._set_running_loop(None)

    def _step(self) -> None:
        if self.steps >= MOST_STEPS:
            raise StuckError(f"more than {MOST_STEPS} steps")
        timers = self._timers
        if not self._ready and timers and timers[0][0] > self._now:
            self._now = timers[0][0]
        while timers and timers[0][0] <= self._now:
            _, _, _, owner, timer = heapq.heappop(timers)
            self._ready.append((owner, timer))
        if not self._ready:
            raise StuckError("nothing is due any more")
        owner, handle = self._ready.popleft()
        if handle.cancelled() or (owner is not None and not owner.alive):
            return
        if owner is not None and owner.frozen:
            owner.parked.append(handle)
            return
        self._arrivals.discard(handle)
        if owner is not None and owner.unread:
            owner.unread.pop(handle, None)
        self.steps += 1
        self._now += STEP_S
        self._running = owner
        handle._run()  # what every event loop does
        if owner is not None and owner in self._kills:
            self._count_down(owner)

    def _count_down(self, owner: Process) -> None:
        left, kill = self._kills[owner]
        if left > 0:
            self._kills[owner] = left - 1, kill
            return
        del self._kills[owner]
        kill()

    # --- processes ----------------------------------------------------------------------------

    def kill(self, process: Process) -> None:
        """End a process as `kill -9` does: nothing of it runs any more, nothing is cancelled."""
        process.alive = False
        process.parked.clear()
        self._kills.pop(process, None)

    def kill_after(self, process: Process, steps: int, kill: Callable[[], None]) -> None:
        """Call `kill` once the process has run that many callbacks more."""
        self._kills[process] = steps, kill

    def freeze(self, process: Process) -> None:
        """SIGSTOP: the process stands still, and time goes on."""
        process.frozen = True

    def thaw(self, process: Process) -> None:
        """SIGCONT: what came due meanwhile runs, and then what came, each in its order."""
        process.frozen = False
        came = dict.fromkeys(one for one in process.parked if one in self._arrivals)
        due = [one for one in process.parked if one not in came]
        process.unread.update(came)
        self._ready.extend((process, handle) for handle in (*due, *came))
        process.parked.clear()

    def end(self) -> None:
        """The history is over: close what is left half way, with a loop that does nothing."""
        self._over = True
        self._ready.clear()
        self._timers.clear()
        for task in list(self._tasks):
            if not task.done():
                task._log_destroy_pending = False  # type: ignore[attr-defined]
                coroutine: Any = task.get_coro()
                with contextlib.suppress(BaseException):
                    coroutine.close()
        self._tasks.clear()

    # --- asyncio's interface ------------------------------------------------------------------

    def time(self) -> float:
        return self._now

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        if not self._over:
            owner = OWNER.get() if context is None else context.get(OWNER)
            self._ready.append((owner, handle))
        return handle

    call_soon_threadsafe = call_soon  # type: ignore[assignment]

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        owner = OWNER.get() if context is None else context.get(OWNER)
        if owner is None:
            return self._due(when, callback, args, context, owner)
        if owner.patience is None:
            owner.patience = Patience(self.call_soon, self.time, lambda: 0.0)
        patient = owner.patience.timer(when - self._now, callback, args)
        handle = self._due(when, patient, (), context, owner)
        patient.handle = handle
        return handle

    def come_at(self, when: float, callback: Callable[[], None], *, context: Context) -> None:
        """Something comes to a socket then."""
        self._arrivals.add(self._due(when, callback, (), context, context.get(OWNER)))

    def _due(
        self,
        when: float,
        callback: Callable[..., Any],
        args: tuple[Any, ...],
        context: Context | None,
        owner: Process | None,
    ) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        if not self._over:
            entry = (when, self._lots.random(), next(self._numbers), owner, timer)
            heapq.heappush(self._timers, entry)
        return timer

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Asyncio tells; the handle is passed over when its time comes."""

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(  # type: ignore[override]
        self,
        coro: Coroutine[Any, Any, Any],
        *,
        name: str | None = None,
        context: Context | None = None,
    ) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=self, name=name, context=context)
        self._tasks[task] = None
        # In the task's context: the tasks of a dead process stay here until the end.
        task.add_done_callback(self._forget)
        return task

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._tasks.pop(task, None)

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return not self._over

    def is_closed(self) -> bool:
        return self._over

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if not self._over:
            self.on_fault(self._running, context)

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        self.call_exception_handler(context)
