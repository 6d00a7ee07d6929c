"""The gateway's time: learned in one place, asked everywhere as the clock that is handed down.

Owns when the wall clock is looked at, who is asked what time it is, and what follows when the time
in force is moved. What is believed is `core.agreement`'s.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from functools import partial

from gateway.app.clocks import SYSTEM
from gateway.core.agreement import AGREE_S, Agreement, Correction, Doubt
from gateway.core.clocks import Clocks, Unsure, Wall
from gateway.errors import StoreUnavailable
from gateway.events import ClockCorrected, ClockDoubted, Observer, StoreFailed
from gateway.ports import PERSON, ClockRow, Standing, Times
from gateway.ports.times import REPORTED_S
from gateway.tasks import end

LOOK_S = 1.0
"""Seconds between two looks at the wall clock."""
_ASK_AFTER_S = 2.0
"""Seconds of doubt until hosts are asked: an answer to something else may come first."""
_ASK_AGAIN_S = 60.0
"""Seconds until hosts are asked again, while the time is still doubted."""
_TOLD_S = 5.0
"""An offset that people are told of; a smaller one is the witness' own."""

_ITSELF = "this machine's clock"
"""Who moved the time, where nobody has spoken yet: it was set."""
_NTP = "Set the machine's clock by NTP: timedatectl set-ntp true, or chronyc makestep."
_ACCEPT = "Look at it; if it is right, say so: inkpush clock accept."
_KILLED = ""
"""The name of a process that nothing is known of but its dates."""
_UNKNOWN: tuple[Doubt, ...] = ("unconfirmed", "contradicted")
"""Doubts of a time that may be wrong; one that runs on after a step was right before."""
_REASONS: dict[Doubt, str] = {
    "stepped": "this machine's clock was moved, and nobody has confirmed it since",
    "contradicted": "a witness contradicts this machine's clock, and nobody confirms it",
}


class Timekeeper:
    """What time it is (epoch seconds): call it. It is also told what time it is elsewhere.

    `machine` are the clocks of this machine. `listeners` are called at once when the time in force
    was moved by more than a minute, with the seconds; and when it is agreed on, and what a process
    before dated by a wrong clock is put right. `paused` are called when the wall clock was moved on
    its own: the machine may have been paused, with its monotonic clock.
    """

    def __init__(self, machine: Clocks = SYSTEM) -> None:
        self._machine = machine
        self._monotonic = machine.monotonic
        self._agreement = Agreement(machine.wall(), machine.monotonic())
        self._lead = self._agreement.lead
        self._began_at = machine.monotonic()
        self._observer: Observer | None = None
        self._owed: list[Correction] = []
        #: what processes told that ended while their clocks were wrong, as is known
        self._wrong: list[ClockRow] = []
        #: what others told that have ended, until the time is agreed on
        self._ended: list[ClockRow] = []
        self.newest: float | None = None
        """The newest date that the store had when this process began."""
        self._doubt: Doubt = ""
        self._since: float | None = None
        self._woken = asyncio.Event()
        self._duties: list[asyncio.Task[None]] = []
        self._leave: Callable[[], Awaitable[None]] = _nothing
        self.listeners: list[Callable[[float], None]] = []
        self.paused: list[Callable[[], None]] = []
        self.clocks = Clocks(self, machine.monotonic, self.doubt, self.told)
        """What is handed down."""

    def __call__(self) -> Wall:
        now = self._monotonic()
        if now - self._agreement.looked_at > AGREE_S:
            self.look()  # before anything is done by a time that nobody has looked at
        return Wall(now + self._lead)

    def doubt(self) -> Unsure | None:
        """Whether nothing may be done for the time's sake that cannot be undone."""
        agreement = self._agreement
        if not agreement.doubt and not self._owed and not self._wrong:
            return None
        contradicted = agreement.doubt == "contradicted" or bool(self._wrong)
        is_settling = bool(self._owed) or (not agreement.doubt and bool(self._wrong))
        return Unsure(agreement.since, contradicted, is_settling)

    @property
    def offset(self) -> float:
        """How far the time in force is ahead of the machine's clock."""
        return self._agreement.offset

    def told(self, witness: str, low: float, high: float) -> None:
        """A witness says that it is between these two times now."""
        self._took(self._agreement.hear(witness, low, high, self._monotonic()))

    def look(self) -> None:
        """Look at the machine's clock."""
        steps = self._agreement.steps
        self._took(self._agreement.look(self._machine.wall(), self._monotonic()))
        if self._agreement.steps != steps:
            for tell in self.paused:
                tell()

    @property
    def standing(self) -> Standing | None:
        """What is not well about the machine's clock, for people. A clock that nobody has confirmed
        yet, and nobody contradicts, is well as far as anybody knows."""
        agreement, offset = self._agreement, self.offset
        doubt = agreement.doubt
        if doubt in _REASONS:
            said = self._said()
            reason = _REASONS[doubt] + (f" ({said})" if said else "")
            return Standing("doubted", reason, f"{_NTP} {_ACCEPT}", self._since)
        if agreement.by and abs(offset) > _TOLD_S:
            ahead = "behind" if offset > 0 else "ahead of"
            reason = (
                f"this machine's clock is {abs(offset):.0f} s {ahead} {agreement.by}; "
                "the gateway goes by those"
            )
            return Standing("failing", reason, _NTP, self._since)
        return None

    # --- what goes on ---------------------------------------------------------------------------

    async def start(
        self,
        times: Times,
        name: str,
        *,
        ask: Callable[[], Awaitable[None]],
        observer: Observer,
        failed: Callable[[BaseException], None],
    ) -> None:
        """Keep the time until `stop`. `ask` asks the hosts that tell the time, for whom nothing
        that flows has answered soon. `failed` is called when a fault ends a duty."""
        self._observer = observer
        self._leave = partial(self._end, times, name)
        others = [row for row in await times.all() if row.name not in (name, PERSON)]
        self._wrong = [row for row in others if row.doubt == "contradicted"]
        self._ended = [row for row in others if row.doubt != "contradicted"]
        self.newest = await times.newest()
        if self.newest is not None:
            self._ended.append(ClockRow(_KILLED, self.newest))
        self._judge_ended()
        duties = (self._look_on(), self._ask_on(ask), self._keep(times, name))

        def look_at(task: asyncio.Task[None]) -> None:
            if not task.cancelled() and (error := task.exception()) is not None:
                failed(error)

        self._duties = [asyncio.get_running_loop().create_task(duty) for duty in duties]
        for task in self._duties:
            task.add_done_callback(look_at)

    async def stop(self) -> None:
        """Keep it no more. Who comes next learns of a clock that is wrong still."""
        for duty in self._duties:
            await end(duty)
        with contextlib.suppress(StoreUnavailable):
            await self._leave()

    async def _look_on(self) -> None:
        while True:
            self.look()
            await asyncio.sleep(LOOK_S)

    async def _ask_on(self, ask: Callable[[], Awaitable[None]]) -> None:
        """Ask the hosts soon after doubt begins, and again while it lasts."""
        ask_at, steps = float("inf"), -1
        while True:
            await asyncio.sleep(LOOK_S)
            now = self._monotonic()
            if not self._agreement.doubt:
                ask_at = float("inf")
            elif ask_at == float("inf") or steps != self._agreement.steps:
                ask_at, steps = now + _ASK_AFTER_S, self._agreement.steps
            if now >= ask_at:
                ask_at = now + _ASK_AGAIN_S
                await ask()

    async def _keep(self, times: Times, name: str) -> None:
        """Put the store right, hear what a person says there, and report to it."""
        reported_at = float("-inf")
        reported: tuple[float, str] | None = None
        while True:
            self._woken.clear()
            now = self._monotonic()
            try:
                was_moved = await self._settle(times)
                if self._agreement.doubt:
                    await self._hear_person(times)
                seen = float(round(self.offset)), self._agreement.doubt
                is_new = was_moved or reported is None or reported[1] != seen[1]
                if seen[1] in _UNKNOWN and is_new:
                    await times.rouse(now=self())
                if not seen[1] and (reported is None or reported[1] or self._wrong):
                    await self._recall(times)
                if seen != reported or now - reported_at >= REPORTED_S:
                    await times.report(self._row(name))
                    reported, reported_at = seen, now
            except StoreUnavailable as error:
                self._tell(StoreFailed("clock", str(error)))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._woken.wait()

    async def _settle(self, times: Times) -> bool:
        """Put right in the store what was dated while the time was wrong. Returns whether anything
        was."""
        is_owed = bool(self._owed)
        while self._owed:
            await times.redate(self._owed[0], now=self())
            del self._owed[0]
        return is_owed

    async def _recall(self, times: Times) -> None:
        """The time is agreed on: what others dated by a clock that was wrong is put right."""
        await self._settle(times)  # what this process dated is moved by as much as is known
        began = self._began_at + self._lead
        await times.recall(now=self(), began=began, wrong=self._wrong)
        for row in self._wrong:
            await times.leave(row.name)
        self._wrong = []

    async def _end(self, times: Times, name: str) -> None:
        if self._owed or self._agreement.doubt == "contradicted":
            await times.report(self._row(name))
        elif self._agreement.doubt != "unconfirmed":  # then the next one judges what it told
            await times.leave(name)

    async def _hear_person(self, times: Times) -> None:
        """A person vouches for the machine's clock by what it showed when they did."""
        for row in await times.all():
            if row.name == PERSON and abs(row.at - self._machine.wall()) <= AGREE_S:
                self._took(self._agreement.accept(self._monotonic()))

    # --- inside ---------------------------------------------------------------------------------

    def _took(self, correction: Correction | None) -> None:
        """Take over what the agreement came to."""
        agreement = self._agreement
        self._lead = agreement.lead
        self._judge_ended()
        if correction is not None:
            self._owed.append(correction)
            self._since = self()
            by = agreement.by or _ITSELF
            self._tell(ClockCorrected(correction.by, agreement.offset, by))
            self._woken.set()
        is_agreed = self._doubt and not agreement.doubt
        if correction is not None or (is_agreed and self._wrong):
            for moved in self.listeners:
                moved(0.0 if correction is None else correction.by)
        if agreement.doubt != self._doubt:
            if not self._doubt or not agreement.doubt:
                self._since = self()
                self._woken.set()
            self._doubt = agreement.doubt
            self._tell(ClockDoubted(agreement.doubt, agreement.by, self._said()))

    def _judge_ended(self) -> None:
        """Once the time is agreed on: who told a time of the future, or left a date of it, went by
        a clock that was ahead, and ended before anybody could tell."""
        if not self._agreement.doubt:
            latest = self._monotonic() + self._lead + AGREE_S
            self._wrong += [row for row in self._ended if row.at > latest]
            self._ended = []

    def _row(self, name: str) -> ClockRow:
        """What is told of this clock. What was dated wrongly, and is not put right yet, is told as
        that of a clock that is contradicted."""
        agreement, offset, said = self._agreement, float(round(self.offset)), self._said()
        if self._owed:
            return ClockRow(
                name, self._owed[-1].until, offset, "contradicted", said, self._owed[0].since
            )
        since = agreement.doubted_since if agreement.doubt else None
        return ClockRow(name, self(), offset, agreement.doubt, said, since)

    def _said(self) -> str:
        """What the witnesses say, for people."""
        said = sorted(self._agreement.said.items())
        return ", ".join(f"{who} is {ahead:+.0f} s from it" for who, ahead in said)

    def _tell(self, event: ClockCorrected | ClockDoubted | StoreFailed) -> None:
        if self._observer is not None:
            self._observer(event)


async def _nothing() -> None:
    """Nothing was told, so nothing is taken back."""
