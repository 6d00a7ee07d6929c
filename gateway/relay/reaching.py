"""Which devices pushes may reach, as this process is configured now.

Owns the stricter of what was stored with an event and what is configured, from when on a silent
device is stale, and the sources that this process does not know: their chunks wait, which is told
once in the log, and to whoever asks while the chunks come by. The rules are those of `core.reach`
and `core.staleness`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gateway.core.clocks import Clocks
from gateway.core.model import Item, Target
from gateway.core.reach import Reached, bar, reach
from gateway.core.sources import BUILT_IN, NOTHING, UNLIMITED, Limits, Word, stricter
from gateway.core.staleness import stale_before
from gateway.events import Observer, SourceKnown, SourceUnknown
from gateway.ports import Standing

#: a source is told of for so long after its last chunk came by, in naps of a chunk
_NAPS = 6


class Reaching:
    """Says what may be reached. `configured` has the limits of each source that the configuration
    names, with words made by `word`; chunks of others come by every `nap_s`. A device that is
    silent for over `stale_after_days` is stale; 0: none is."""

    def __init__(
        self,
        configured: Mapping[str, Limits],
        word: Word,
        *,
        observer: Observer,
        clocks: Clocks,
        nap_s: float,
        stale_after_days: float,
    ) -> None:
        self._configured = configured
        self._word = word
        self._observer = observer
        self._clocks = clocks
        self.nap_s = nap_s
        self._stale_after_days = stale_after_days
        #: since when (wall), and when the last chunk came by (monotonic), by source
        self._waiting: dict[str, tuple[float, float]] = {}

    def learn(self, configured: Mapping[str, Limits], stale_after_days: float) -> None:
        """Take over other limits; a source that is not named is not known any more."""
        self._configured = configured
        self._stale_after_days = stale_after_days
        for source in [one for one in self._waiting if self.knows(one)]:
            del self._waiting[source]
            self._observer(SourceKnown(source))

    def knows(self, source: str | None) -> bool:
        """Whether this process knows a source; None is LearnInk's."""
        return source is None or source in BUILT_IN or source in self._configured

    def of(self, items: Sequence[Item], found: Sequence[Sequence[Target]]) -> Reached:
        """Which of the devices that were found the items of a chunk, which have one source, may
        reach."""
        limits = self._limits(items[0]) if items else UNLIMITED
        return reach(items, found, limits, self._word) if limits.is_bound else Reached(found, {})

    def bar(self, item: Item, target: Target) -> str:
        """Why an item may not reach a device; "": it may."""
        limits = self._limits(item)
        return bar(item, target, limits, self._word) if limits.is_bound else ""

    def stale_before(self) -> float:
        """A device that was last seen before this is stale now."""
        clocks, days = self._clocks, self._stale_after_days
        return stale_before(clocks.wall(), after_days=days, doubted=clocks.doubted())

    def came(self, source: str) -> None:
        """A chunk of a source came by that is not known."""
        since, _ = self._waiting.get(source, (self._clocks.wall(), 0.0))
        if source not in self._waiting:
            self._observer(SourceUnknown(source, _hint(source)))
        self._waiting[source] = since, self._clocks.monotonic()

    def waiting(self) -> dict[str, Standing]:
        """The sources whose chunks wait here now, for people."""
        seen_since = self._clocks.monotonic() - _NAPS * self.nap_s
        reason = "its events wait: the configuration does not name it"
        return {
            f"source/{source}": Standing("held", reason, _hint(source), since)
            for source, (since, seen) in self._waiting.items()
            if seen >= seen_since
        }

    def _limits(self, item: Item) -> Limits:
        source, stored = item.source, item.limits
        if source is None or source in BUILT_IN:
            return UNLIMITED if stored is None else stored
        configured = self._configured.get(source, NOTHING)
        return configured if stored is None else stricter(stored, configured)


def _hint(source: str) -> str:
    return f'name it in the configuration of this relay: [[sources]] id = "{source}"'
