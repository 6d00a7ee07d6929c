"""Watching whether vendors are reached: reports parts that fail or recover, and reconnects them.

A part connects by itself when the gateway starts and while it fails, and sends nothing. So a closed
firewall or a dead token endpoint shows before the first push, and a recovery shows without one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from gateway.core.clocks import MonotonicClock
from gateway.core.pace import Pace
from gateway.events import Observer, PartsFailing, PartsReached
from gateway.relay.lane import Lane
from gateway.relay.part import Part

_NEVER = float("inf")


class Watch:
    """Looks at the parts of `lanes`, which is shared with app, once a second."""

    def __init__(
        self,
        lanes: Mapping[str, Lane],
        *,
        observer: Observer,
        monotonic: MonotonicClock,
        pace: Pace,
    ) -> None:
        self._lanes = lanes
        self._observer = observer
        self._monotonic = monotonic
        self._pace = pace
        self._tries: dict[Part, asyncio.Task[bool]] = {}
        self._next_try: dict[Part, float] = {}

    async def run(self) -> None:
        """Look until cancelled."""
        try:
            while True:
                self.look()
                await asyncio.sleep(self._pace.watch_s)
        finally:
            for task in self._tries.values():
                task.cancel()

    def look(self) -> None:
        """Report what has changed, and connect the parts whose turn it is. What is told last of a
        part is how it is: one that was reached since the last look may fail anew by now."""
        lanes = list(self._lanes.values())
        ended = [part for lane in lanes for part in _reached_again(lane)]
        if ended:
            self._observer(PartsReached(_names(ended)))
        began = [part for lane in lanes for part in _began_to_fail(lane)]
        for (reason, hint), parts in _by_cause(began).items():
            self._observer(PartsFailing(_names(parts), reason, hint))
        now = self._monotonic()
        ways = {part: lane for lane in lanes for part in lane.parts.values()}
        self._next_try = {part: self._next_try.get(part, now) for part in ways}
        for part, lane in ways.items():
            if part in self._tries:
                continue
            if part.failing and self._next_try[part] == _NEVER:
                self._next_try[part] = now + self._pace.reach_s
            elif now >= self._next_try[part]:
                self._try(lane, part)

    # --- inside ---------------------------------------------------------------------------------

    def _try(self, lane: Lane, part: Part) -> None:
        """Connect in the background. Another try follows if this fails, or the part does."""
        task = asyncio.get_running_loop().create_task(part.reach(lane.transport))
        self._tries[part] = task
        self._next_try[part] = _NEVER

        def tried(task: asyncio.Task[bool]) -> None:
            del self._tries[part]
            if not task.cancelled() and not task.result() and not part.failing:
                self._next_try[part] = self._monotonic() + self._pace.reach_soon_s

        task.add_done_callback(tried)


def _began_to_fail(lane: Lane) -> list[Part]:
    """The parts that began to fail since the last look: those that noticed it themselves, and
    those that the transport reports trouble for."""
    parts, transport = lane.parts.values(), lane.transport
    began = [part for part in parts if part.look(transport)]
    if began:
        for part in parts:
            trouble = transport.trouble(part.name)
            if trouble is not None and not part.failing:
                part.fail_too(trouble)
                began.append(part)
    return began


def _reached_again(lane: Lane) -> list[Part]:
    """The parts that are reached again since the last look: those that noticed it themselves, and
    idle ones that the transport reports no trouble for."""
    parts, transport = lane.parts.values(), lane.transport
    ended = [part for part in parts if part.look_again()]
    if ended:
        for part in parts:
            if part.failing and part.is_idle() and transport.trouble(part.name) is None:
                part.reached_too()
                ended.append(part)
    return ended


def _by_cause(parts: Sequence[Part]) -> dict[tuple[str, str], list[Part]]:
    groups: dict[tuple[str, str], list[Part]] = {}
    for part in parts:
        if part.failure is not None:
            groups.setdefault((part.failure.reason, part.failure.hint), []).append(part)
    return groups


def _names(parts: Sequence[Part]) -> tuple[tuple[str, str, str], ...]:
    return tuple(sorted((part.app, part.vendor, part.name) for part in parts))
