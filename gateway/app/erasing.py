"""The background job of erases: what an erase leaves to do after its answer.

One process at a time works, for all erases that wait, in one pass over what is kept; any process
carries on where another one ended. Owns the order of the steps and their rests. Refuses to know
tables: the steps are `gateway.ports.Erasures`'.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from gateway.core.clocks import Clocks
from gateway.core.ids import Ids
from gateway.core.model import UserRef
from gateway.core.pace import Pace
from gateway.errors import GatewayError
from gateway.events import Observer, StoreFailed
from gateway.ports import KEPT, Asked, Erasures, Hooks
from gateway.store.erasing import needles, who_is_named

if TYPE_CHECKING:
    from gateway.app.storage import Stores

#: how long a holder may be silent before another process takes over, in seconds
_LEASE_S = 60.0
#: rows searched at once: from so few, to so many while they take no longer than this
_FEWEST, _MOST, _SLICE_S = 16, 4096, 0.02
#: how much longer than its work a rest is: the job never takes more than a quarter of the time
_REST = 3.0
#: seconds between two looks at what another process does
_WATCH_S = 0.5
#: seconds until the last step is tried again, which fails while somebody reads
_AGAIN_S = 0.05

Key = tuple[tuple[str, str], float]
"""An erase, and when it was asked."""
Progress = Callable[[str, int | None], AbstractContextManager[Callable[[int], None]]]
"""Shows the progress of a step, while it is entered."""
TextsOf = Callable[[str], Awaitable[Sequence[bytes]]]
"""What a broker holds of an event."""


class Eraser:
    """Carries out what erases left to do. `texts_of` is the broker's, None without one; `searched`
    is told how many rows were searched."""

    def __init__(
        self,
        erasures: Erasures,
        *,
        hooks: Hooks,
        texts_of: TextsOf | None,
        name: str,
        observer: Observer,
        clocks: Clocks,
        pace: Pace,
        searched: Callable[[int], None] = lambda _rows: None,
    ) -> None:
        self._erasures = erasures
        self._hooks = hooks
        self._texts_of = texts_of
        self._name = name
        self._observer = observer
        self._clocks = clocks
        self._pace = pace
        self._searched = searched
        self._wake = asyncio.Event()
        self._held_until = 0.0
        #: what was searched for by this process, and waits for the broker alone
        self._found: set[Key] = set()
        #: chunks that cannot be read and do not show anybody, by event
        self.unread: dict[str, int] = {}

    def wake(self) -> None:
        """An erase was asked."""
        self._wake.set()

    async def run(self) -> None:
        """Work whenever an erase waits, until cancelled; failures are waited out."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pace.erase_s):
                    await self._wake.wait()
            self._wake.clear()
            try:
                if await self._erasures.waiting():
                    await self.carry_on()
            except GatewayError as error:
                self._observer(StoreFailed("erase", str(error)))

    async def carry_on(self) -> bool:
        """Do what can be done now for all erases that wait. False: another process is at it."""
        now = self._clocks.wall()
        self._held_until = now + _LEASE_S
        taken = await self._erasures.take(self._name, now=now, until=self._held_until)
        try:
            wanted = [one for one in taken if _is_named(one) and _key(one) not in self._found]
            if wanted:
                later = await self._search(wanted)
                self._found.update(_key(one) for one in wanted if _key(one) not in later)
            over = [one for one in taken if await self._is_over(one)]
            for one in over:
                await self._erasures.unname(one)
                self._found.discard(_key(one))
            await self._finish(over)
        finally:
            if taken:
                with contextlib.suppress(GatewayError):
                    await self._erasures.let_go(self._name)
        return bool(taken)

    # --- inside ---------------------------------------------------------------------------------

    async def _search(self, wanted: Sequence[Asked]) -> set[Key]:
        """Erase these people from all that is kept. Returns those of whom something must be looked
        at again."""
        later: set[Key] = set()
        await self._erasures.settled()
        await self._hooks.empty([(*one.words, one.asked_at) for one in wanted])
        for one in wanted:
            for event_id in await self._erasures.indexed(one.user):
                await self._erase(event_id, one, later)
                await self._keep()
        people = [one.user for one in wanted]
        texts = needles(people)
        for what in KEPT:
            after, rows = None, _FEWEST
            while True:
                began = self._clocks.monotonic()
                found = await self._erasures.search(what, texts, after=after, rows=rows)
                if found.end is None:
                    break
                took = self._clocks.monotonic() - began
                for event_id in dict.fromkeys(found.events):
                    named = await self._erasures.named(event_id, people)
                    for one in wanted:
                        if one.user in named:
                            await self._erase(event_id, one, later)
                self._searched(rows)
                after = found.end
                rows = max(_FEWEST, rows // 2) if took > _SLICE_S else min(_MOST, rows * 2)
                await self._keep()
                await asyncio.sleep((self._clocks.monotonic() - began) * _REST)
        return later

    async def _erase(self, event_id: str, one: Asked, later: set[Key]) -> None:
        follow = self._texts_of is not None
        now = self._clocks.wall()
        cleared = await self._erasures.erase(event_id, one, now=now, follow=follow)
        if cleared.unread:
            self.unread[event_id] = cleared.unread
        if cleared.later:
            later.add(_key(one))

    async def _is_over(self, one: Asked) -> bool:
        """Whether nothing names the user. A broker's message cannot be rewritten; it ends in
        time."""
        if not _is_named(one):
            return True
        if _key(one) not in self._found:
            return False
        if self._texts_of is None:
            return True
        for event_id in await self._erasures.followed(one):
            texts = await self._texts_of(event_id)
            if any(who_is_named(text, [one.user]) for text in texts):
                return False
            await self._erasures.unfollow(one, event_id)
            await self._keep()
        return True

    async def _finish(self, over: Sequence[Asked]) -> None:
        if over:
            while not await self._erasures.swept():
                await self._keep()
                await asyncio.sleep(_AGAIN_S)
        for one in over:
            await self._erasures.done(one, now=self._clocks.wall())

    async def _keep(self) -> None:
        """Stay the holder."""
        now = self._clocks.wall()
        if now > self._held_until - _LEASE_S / 2:
            self._held_until = now + _LEASE_S
            await self._erasures.hold(self._name, until=self._held_until)


def eraser_of(
    stores: Stores,
    *,
    name: str,
    observer: Observer,
    clocks: Clocks,
    pace: Pace,
    searched: Callable[[int], None] = lambda _rows: None,
) -> Eraser:
    """The job of a process on these stores."""
    return Eraser(
        stores.store.erasures,
        hooks=stores.store.hooks,
        texts_of=None if stores.broker is None else stores.broker.texts_of,
        name=name,
        observer=observer,
        clocks=clocks,
        pace=pace,
        searched=searched,
    )


async def erase_whole(
    stores: Stores, user: UserRef, *, clocks: Clocks, ids: Ids, progress: Progress
) -> int:
    """Do the job until nothing names a user who was erased, or watch another process do it. Returns
    how many queued chunks could not be read."""
    with progress("Searching", None) as advance:
        eraser = eraser_of(
            stores,
            name=ids.process(),
            observer=lambda _event: None,
            clocks=clocks,
            pace=Pace(),
            searched=advance,
        )
        while True:
            await eraser.carry_on()
            standing = await stores.store.erasures.state(user)
            if standing is None or standing.done_at is not None:
                return sum(eraser.unread.values())
            await asyncio.sleep(_WATCH_S)


def _is_named(one: Asked) -> bool:
    return one.user != UserRef()


def _key(one: Asked) -> Key:
    return one.words, one.asked_at
