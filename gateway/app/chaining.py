"""The chain of learning events beside a gateway: what comes in is chained, hours are sealed, and
what is over its time is removed.

Every process may do it; the store lets one at a time. Nothing is chained while the time is doubted:
a date that may yet be put right would be in a digest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping

from gateway.core.clocks import Clocks
from gateway.core.learning import SALT_BYTES, Head, Seal
from gateway.core.learning_audit import Audit
from gateway.core.pace import Pace
from gateway.errors import StoreUnavailable
from gateway.events import LearningSealed, Observer, StoreFailed
from gateway.ports import Learning

_ROWS = 500
"""Entries of a step: a writer beside it waits for some ten milliseconds."""
_SLICE = 2_000
_HOUR_S = 3_600.0
_DAY_S = 86_400.0


class Chainer:
    """Chains what came in. `keep_s` says for how long events are kept now; `outcomes` are the types
    of which rows for experiments are written."""

    def __init__(
        self,
        learning: Learning,
        *,
        secret: Callable[[int], bytes],
        keep_s: Callable[[], float],
        observer: Observer,
        clocks: Clocks,
        pace: Pace,
        outcomes: Callable[[], Collection[str]] = tuple,
    ) -> None:
        self._learning = learning
        self._secret = secret
        self._keep_s = keep_s
        self._outcomes = outcomes
        self._observer = observer
        self._clocks = clocks
        self._pace = pace
        self._retain_at = float("-inf")
        self._told_day: int | None = None

    async def run(self) -> None:
        """Look again and again, until cancelled; failures are waited out."""
        while True:
            await asyncio.sleep(self._pace.chain_s)
            if self._clocks.doubted():
                continue
            try:
                await self.step()
            except StoreUnavailable as error:
                self._observer(StoreFailed("learning events", str(error)))

    async def step(self) -> None:
        """Chain all that waits, seal what is over, and once an hour remove what is too old."""
        while True:
            chained = await self._learning.chain(
                now=self._clocks.wall(),
                limit=_ROWS,
                salt=lambda: self._secret(SALT_BYTES),
                outcomes=self._outcomes(),
            )
            for seal in chained.seals:
                self._sealed(seal)
            if chained.entries + chained.repeats < _ROWS:
                break
        closed = await self._learning.seal(now=self._clocks.wall())
        if closed is not None:
            self._sealed(closed)
        now = self._clocks.monotonic()
        if now >= self._retain_at:
            self._retain_at = now + _HOUR_S
            await self._learning.retain(before=self._clocks.wall() - self._keep_s())
            await self._tell()

    async def _tell(self) -> None:
        """Once a day the newest seal is told again, though no hour was closed since."""
        day = int(self._clocks.wall() // _DAY_S)
        if day != self._told_day and (seals := await self._learning.seals()):
            self._told_day = day
            self._sealed(seals[-1], again=True)

    def _sealed(self, seal: Seal, *, again: bool = False) -> None:
        began = int(seal.hour * _HOUR_S)
        self._observer(LearningSealed(began, seal.last, seal.events, seal.head.hex(), again))


async def audit_chain(learning: Learning, *, against: Mapping[int, bytes]) -> tuple[Audit, Head]:
    """Go through the whole chain. The head that is returned is of its end then."""
    end = await learning.head()
    days = await learning.days()
    audit = Audit(days=days, seals=await learning.seals(), end=end, against=against)
    while entries := await learning.entries(after=audit.number, limit=_SLICE):
        if entries[0].number != audit.number + 1:
            audit.skip(await learning.days())
            entries = [one for one in entries if one.number > audit.number]
        audit.take(entries)
    audit.finish()
    return audit, end
