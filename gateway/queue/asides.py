"""Chunks that a queue cannot read. The same for every queue.

Owns the choice: leave the chunk to a replica that reads it, or put it aside; and the promise that
neither delays the other chunks of the claim.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

from gateway.core.clocks import WallClock
from gateway.core.model import ChunkItem
from gateway.core.stored import Unreadable, read_items
from gateway.errors import GatewayError
from gateway.events import Fault, Observer, PutAside, StoreFailed
from gateway.ports import Aside, Held, HeldOf, Journal

AGAIN_S = 5.0
"""Seconds for which a chunk is left alone that another replica can read, or that could not be put
aside."""


class Asides:
    """Takes chunks that cannot be read out of a queue's way. They have `chunk_items` at most."""

    def __init__(
        self, journal: Journal, *, observer: Observer, clock: WallClock, chunk_items: int
    ) -> None:
        self._journal = journal
        self._observer = observer
        self._clock = clock
        self._chunk_items = chunk_items

    async def take(
        self,
        aside: Aside,
        *,
        held: HeldOf,
        end: Callable[[], Awaitable[object]],
        leave: Callable[[float], Awaitable[object]],
    ) -> None:
        """Handle a claimed chunk. `held` finds the deliveries that other chunks hold, `end` takes
        the chunk out of the queue, `leave` gives it back for this many seconds.

        Never raises: after a failure the chunk comes again, and meanwhile the others go out.
        """
        try:
            if Unreadable("", aside.form).too_new and (aside.form or 0) <= self._journal.forms.most:
                await leave(AGAIN_S)
                return
            await self._journal.put_aside(
                aside, held, now=self._clock(), chunk_items=self._chunk_items
            )
            await end()
        except GatewayError as error:
            self._observer(StoreFailed("put a chunk aside", str(error)))
            return
        except Exception as error:  # noqa: BLE001  # nobody foresaw what such a row may hold
            self._observer(Fault("put a chunk aside", type(error).__name__, ""))
            return
        self._observer(PutAside("chunk", aside.event_id, aside.why))


def held_by(chunks: Iterable[Iterable[ChunkItem]]) -> Held:
    """The deliveries that these chunks hold."""
    held: set[tuple[int, int | None]] = set()
    for items in chunks:
        for item, remainders in items:
            if remainders is None:
                held.add((item.index, None))
            else:
                held.update((item.index, left.device_id) for left in remainders)
    return held


def held_in(chunks: Iterable[bytes]) -> Held:
    """The same for chunks in their queued form; an unreadable one holds nothing."""
    return held_by(filter(None, map(_readable, chunks)))


def _readable(items: bytes) -> tuple[ChunkItem, ...]:
    try:
        return read_items(items)
    except Unreadable:
        return ()
