"""Whether stream and consumer still are what this process began with; what is found otherwise.

Others may delete, change or recreate them at any time: by hand, by a restore, by an empty NATS.
Owns the look at them, every two seconds while anybody uses the queue, and what follows:

- A missing consumer is made anew. Nothing is lost with it: the work queue keeps the messages, and
  the journal skips what is done. But it hands out everything again, also what relays have in work.
  So every relay gives up its leases once it sees that it is gone, or another one, and claims
  nothing for a moment, in which pushes in flight are journaled. It is made once all have seen that.
- A missing stream of dead messages or of marks is made anew: what it held is gone either way.
- A lost work stream is not made anew in silence, nor is one that another made anew taken for it:
  what waited is lost until a person queues it again. The store remembers which stream it was. Every
  relay gives up its leases: an acknowledgement names a message by its number, and would end the one
  that has it in the next stream. So a person's new stream stays empty until all have looked.
- A changed stream or consumer is not used: it may drop messages, or hand them out twice.

A relay that stood still, or was cut off, has seen nothing of that. So whoever is about to answer
for a message that came earlier asks `prove` first.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

from gateway.errors import ConfigurationError, StoreUnavailable
from gateway.events import Observer, StoreFailed
from gateway.ports import BrokeredJournal
from gateway.queue.nats.link import ANSWER_S, Link
from gateway.queue.nats.stream import Found, StreamSpec, ensure, look, mend
from gateway.tasks import end

#: seconds between two looks
LOOK_S = 2.0
#: seconds for which nothing is claimed once the consumer is gone or another one: what is in flight
#: is journaled meanwhile, and all relays have looked
QUIET_S = 3.5
#: seconds within which every relay has seen that a stream was lost
_SEEN_S = 2 * LOOK_S + 1.0
#: an acknowledgement may be on its way for this long, in seconds, behind the proof for it
_EMPTY_S = _SEEN_S + ANSWER_S

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
        self._is_gone = False
        self._trouble: str | None = None
        self._looking: asyncio.Task[None] | None = None

        self.era = 0
        """Counts what `lost` told of: a message of an earlier one is not ours any more."""

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
            if found.consumer is None:
                await asyncio.sleep(QUIET_S)
        await self._make()
        if self._known is None:
            await self._remember()

    async def make_anew(self) -> None:
        """Make what is missing, whatever was lost with it: a person said so. A work stream stays
        empty for some seconds, until all processes know that theirs is lost."""
        found = await look(self._link, self._spec)
        if found.created is None:
            self._give_up()
            await asyncio.sleep(_EMPTY_S)
        elif found.consumer is None:
            await asyncio.sleep(QUIET_S)
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
        self._begin_look()
        if self._trouble is not None:
            raise StoreUnavailable(self._trouble)

    async def seen(self) -> None:
        """Wait for the look that is due or under way, if any: a claim must not meet a consumer of
        which this process knows nothing."""
        if (looking := self._begin_look()) is not None:
            await asyncio.wait([looking])
        if self._trouble is not None:
            raise StoreUnavailable(self._trouble)

    async def prove(self) -> None:
        """Return if stream and consumer were seen within the last seconds: leases that were lost by
        then are gone. Else look, once for all who ask. Raises StoreUnavailable if nothing is seen.
        """
        self._begin_look()
        for _ in range(2):  # the first may have begun before this process stood still
            if self._is_proven:
                return
            await asyncio.wait([self._look_now()])
        if not self._is_proven:
            text = f"nobody knows whether the JetStream stream {self._spec.name} is still the same"
            raise StoreUnavailable(self._trouble or text)

    async def aclose(self) -> None:
        """Look no more."""
        await end(self._looking)

    # --- inside ---------------------------------------------------------------------------------

    @property
    def _is_proven(self) -> bool:
        return asyncio.get_running_loop().time() - self._seen_at <= _SEEN_S

    def _begin_look(self) -> asyncio.Task[None] | None:
        """The look that is under way; it begins, if one is due. None: the last one is fresh."""
        is_under_way = self._looking is not None and not self._looking.done()
        is_old = asyncio.get_running_loop().time() - self._looked_at > LOOK_S
        # a consumer that is gone is made as soon as all have seen it
        is_due = is_old or (self._is_gone and self.quiet_for_s == 0.0)
        return self._look_now() if is_under_way or is_due else None

    def _look_now(self) -> asyncio.Task[None]:
        """The look that is under way; else it begins."""
        if self._looking is None or self._looking.done():
            loop = asyncio.get_running_loop()
            self._looked_at = loop.time()
            self._looking = loop.create_task(self._look_again())
        return self._looking

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
            self._give_up()
            # a person may have queued again what was lost, from another process
            self._known = await self._journal.stream(self._spec.name)
            trouble = self._about_stream(found)
        if trouble is not None:
            self._seen_at = began
            return trouble
        self._compare(found)
        self._seen_at = began
        if found.problems:
            return "; ".join(found.problems)
        if found.missing and not (self._is_gone and self.quiet_for_s > 0.0):
            await mend(self._link, self._spec, found)
            self._compare(await look(self._link, self._spec))
        return None

    def _compare(self, found: Found) -> None:
        """Give up all leases if the consumer is not the one that they came from."""
        if found.consumer is not None and found.consumer == self._consumer:
            return
        had, self._consumer = self._consumer, found.consumer
        was_gone, self._is_gone = self._is_gone, found.consumer is None
        if (had is None and not self._is_gone) or was_gone:
            return  # none were taken since it was gone
        self._quiet_until = asyncio.get_running_loop().time() + QUIET_S
        self._observer(StoreFailed("leases", "the JetStream consumer was deleted, or made anew"))
        is_new = not self._is_gone and self._is_proven
        self._end_era(self._seen_at if is_new else math.inf)

    def _give_up(self) -> None:
        """The stream is lost, and with it what this process has in work."""
        if self._consumer is not None:
            self._consumer = None
            self._end_era(math.inf)

    def _end_era(self, since: float) -> None:
        self.era += 1
        self._lost(since)

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
