"""Whether stream and consumer still are what this process began with; what is found otherwise.

Others may delete, change or recreate them at any time: by hand, by a restore, by an empty NATS.
Owns the look at them, every two seconds while anybody uses the queue, and what follows:

- A missing consumer is made anew. Nothing is lost with it: the work queue keeps the messages, and
  the journal skips what is done. But it hands out everything again, also what relays have in work.
  So every relay gives up its leases once it sees another consumer, and claims nothing for a moment,
  in which pushes in flight are journaled.
- A missing stream of dead messages or of marks is made anew: what it held is gone either way.
- A lost work stream is not made anew in silence, nor is one that another made anew taken for it:
  what waited is lost until a person queues it again. The store remembers which stream it was. Every
  relay gives up its leases: an acknowledgement names a message by its number, and would end the one
  that has it in the next stream. So a person's new stream stays empty until all have looked.
- A changed stream or consumer is not used: it may drop messages, or hand them out twice.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

from gateway.errors import ConfigurationError, StoreUnavailable
from gateway.events import Observer, StoreFailed
from gateway.ports import BrokeredJournal
from gateway.queue.nats.link import Link
from gateway.queue.nats.stream import Found, StreamSpec, ensure, look, mend
from gateway.tasks import end

#: seconds between two looks
LOOK_S = 2.0
#: seconds for which nothing is claimed from a consumer that was made anew
QUIET_S = 3.0
#: seconds within which every relay has seen that a stream was lost
_SEEN_S = 2 * LOOK_S + 1.0

_LOST = (
    "the JetStream stream {name} is lost, with all that waited in it: `inkpush events requeue "
    "--since 24h` makes it anew, and queues again what has not ended"
)
_ANEW = (
    "the JetStream stream {name} was made anew by somebody else, and what waited in the old one is "
    "lost: `inkpush events requeue --since 24h` queues again what has not ended"
)


class Guard:
    """Guards the streams of one queue. `lost` is called when all leases of this process ended;
    those since that time (the loop's clock) may be a new consumer's, and have to go back to it."""

    def __init__(
        self,
        link: Link,
        spec: StreamSpec,
        journal: BrokeredJournal,
        *,
        lost: Callable[[float], None],
        observer: Observer,
    ) -> None:
        self._observer = observer
        self._link = link
        self._spec = spec
        self._journal = journal
        self._lost = lost
        self._known: str | None = None
        self._consumer: str | None = None
        self._looked_at = self._seen_at = float("-inf")
        self._quiet_until = float("-inf")
        self._trouble: str | None = None
        self._looking: asyncio.Task[None] | None = None

    @property
    def quiet_for_s(self) -> float:
        """Seconds for which nothing should be claimed."""
        return max(0.0, self._quiet_until - asyncio.get_running_loop().time())

    async def begin(self) -> None:
        """Make the streams, or check them. Raises StoreUnavailable for a stream that is lost, and
        ConfigurationError for one that is not as it must be."""
        self._known = await self._journal.stream(self._spec.name)
        if self._known is not None:
            found = await look(self._link, self._spec)
            if (trouble := self._about_stream(found)) is not None:
                raise StoreUnavailable(trouble)
        await self._make()
        if self._known is None:
            await self._remember()

    async def make_anew(self) -> None:
        """Make what is missing, whatever was lost with it: a person said so. A work stream stays
        empty for some seconds, until all processes know that theirs is lost."""
        if (await look(self._link, self._spec)).created is None:
            self._give_up()
            await asyncio.sleep(_SEEN_S)
        await self._make()

    async def accept_loss(self) -> None:
        """What was lost is queued again: the stream that is there now is the right one."""
        await self._remember()
        self._trouble = None

    def doubt(self) -> None:
        """Something failed: look again at once."""
        self._looked_at = float("-inf")

    def check(self) -> None:
        """Raise StoreUnavailable while the streams must not be used, as of the last look. If that
        is old, another one begins, for which nobody waits."""
        loop = asyncio.get_running_loop()
        is_looking = self._looking is not None and not self._looking.done()
        if loop.time() - self._looked_at > LOOK_S and not is_looking:
            self._looked_at = loop.time()
            self._looking = loop.create_task(self._look_again())
        if self._trouble is not None:
            raise StoreUnavailable(self._trouble)

    async def aclose(self) -> None:
        """Look no more."""
        await end(self._looking)

    # --- inside ---------------------------------------------------------------------------------

    async def _look_again(self) -> None:
        try:
            self._trouble = await self._look()
        except (StoreUnavailable, ConfigurationError):
            # While nodes elect their leaders nothing is known: whoever needs the stream will hear.
            self._looked_at -= LOOK_S / 2

    async def _look(self) -> str | None:
        began = asyncio.get_running_loop().time()
        found = await look(self._link, self._spec)
        if (trouble := self._about_stream(found)) is not None:
            # a person may have queued again what was lost, from another process
            self._known = await self._journal.stream(self._spec.name)
            trouble = self._about_stream(found)
        if trouble is not None:
            self._give_up()
            return trouble
        if found.problems:
            return "; ".join(found.problems)
        if found.missing:
            await mend(self._link, self._spec, found)
            found = await look(self._link, self._spec)
        if self._consumer is not None and found.consumer != self._consumer:
            self._observer(StoreFailed("leases", "the JetStream consumer was made anew"))
            self._quiet_until = asyncio.get_running_loop().time() + QUIET_S
            self._lost(self._seen_at)
        self._consumer, self._seen_at = found.consumer, began
        return None

    def _give_up(self) -> None:
        """The stream is lost, and with it what this process has in work."""
        if self._consumer is not None:
            self._consumer = None
            self._lost(math.inf)

    def _about_stream(self, found: Found) -> str | None:
        if found.created is None:
            return _LOST.format(name=self._spec.name)
        if self._known is not None and found.created != self._known:
            return _ANEW.format(name=self._spec.name)
        return None

    async def _make(self) -> None:
        await ensure(self._link, self._spec)
        self._seen_at = asyncio.get_running_loop().time()
        self._consumer = (await look(self._link, self._spec)).consumer

    async def _remember(self) -> None:
        found = await look(self._link, self._spec)
        if found.created is not None:
            await self._journal.remember_stream(self._spec.name, found.created)
        self._known = found.created
        self.doubt()
