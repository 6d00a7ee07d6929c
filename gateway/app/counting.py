"""The background job that counts days: how far pushes came, which phones came and went, and what
the people of experiments did.

A day is counted first a day after it ended, when nearly all that becomes of its pushes has become
of them; and anew each night until three days after it, for phones tell late. Owns when that is, in
what slices the journal is read, and how long it rests between them. What is counted is
`gateway.core.effect_way`'s.

Any process may do it. Two that do it at once find the same, and the first one's count stays.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from datetime import tzinfo
from functools import partial
from typing import NamedTuple

from gateway.core.clocks import Clocks
from gateway.core.days import day_begins, day_ends
from gateway.core.effect_standing import Asked, Heard, terms_of
from gateway.core.effect_way import Cell, Counted, Counter, Name, Sums
from gateway.core.hashes import person_word
from gateway.core.pace import Pace
from gateway.core.seen import Asking
from gateway.errors import GatewayError
from gateway.events import Observer, StoreFailed
from gateway.ports import Effects
from gateway.ports.effect import EVERYBODY, WAY, Mark, Outcomes, SentEvent

_DAY_S = 86_400.0
_HOUR_S = 3_600.0
_FIRST_S, _SETTLE_S = _DAY_S, 3 * _DAY_S
LATE_S = 30 * _DAY_S
"""How long after a day of an experiment is settled what comes late is still added."""
_SILENT_S = 60 * _DAY_S
#: events of a page, deliveries read at once, and how much longer than its work a rest is
_PAGE, _SLICE, _REST = 512, 512, 3.0
#: people who are counted in one pass: some 40 MB
_PEOPLE = 250_000

Source = Callable[[], tuple[Asking, tzinfo]]
"""What phones are asked, and the zone that cuts days, as the process is configured now."""


class Running(NamedTuple):
    """An experiment as it is to be counted: `person` is the kind of its people's ids; a day is
    settled so many seconds after its last window; `last` is when the last person may have entered,
    None while it runs. What was heard, who was left out and who also got pushes is as of now."""

    asked: Asked
    person: str
    settle_s: float
    last: float | None
    heard: Mapping[str, Heard]
    left_out: Mapping[str, int]
    also_got: int


Experiments = Callable[[], Awaitable[Sequence[Running]]]
"""The experiments that run, or ended not long ago."""


async def no_experiments() -> Sequence[Running]:
    """There are none."""
    return ()


def people_words(secret: bytes) -> Callable[[str], Name]:
    """Makes the words by which people are told apart, by the kind of id that goes first: those of
    experiments."""

    def by(kind: str) -> Name:
        def name(user_id: str | None, custom_id: str | None) -> bytes | None:
            if user_id is not None and (kind == "user_id" or custom_id is None):
                return person_word(secret, "user_id", user_id)
            return None if custom_id is None else person_word(secret, "custom_id", custom_id)

        return name

    return by


class DayCounter:
    """Counts days as they end."""

    def __init__(
        self,
        effects: Effects,
        *,
        named: Callable[[str], Name],
        source: Source,
        experiments: Experiments = no_experiments,
        observer: Observer,
        clocks: Clocks,
        pace: Pace,
        most_people: int = _PEOPLE,
    ) -> None:
        self._effects = effects
        self._named = named
        self._source = source
        self._experiments = experiments
        self._observer = observer
        self._clocks = clocks
        self._pace = pace
        self._most_people = most_people

    async def run(self) -> None:
        """Count whenever a day is over, until cancelled; failures are waited out."""
        while True:
            await asyncio.sleep(self._pace.count_days_s)
            try:
                await self.count_due()
            except GatewayError as error:
                self._observer(StoreFailed("day count", str(error)))

    async def count_due(self) -> None:
        """Count what is due now; nothing while the time is doubted."""
        if self._clocks.doubted():
            return
        now = self._clocks.wall()
        _, zone = self._source()
        tonight = day_begins(now, zone)
        running = await self._experiments()
        for mark in await self._effects.unsettled(WAY):
            if mark.counted_at < tonight:
                await self._count(mark.begins, mark.ends, now, running, again=True)
        begins = await self._next(zone)
        while begins is not None:
            ends = day_ends(begins, zone)
            if ends + _FIRST_S > now:
                break
            await self._count(begins, ends, now, running)
            begins = ends
        for one in running:
            await self._outcomes(one, now, zone)

    # --- inside ---------------------------------------------------------------------------------

    async def _next(self, zone: tzinfo) -> float | None:
        """Where the first day begins that was not counted; None: nothing ever came."""
        last = await self._effects.last(WAY)
        if last is not None:
            return last.ends
        first = await self._effects.first_event_at()
        return None if first is None else day_begins(first, zone)

    async def _outcomes(self, one: Running, now: float, zone: tzinfo) -> None:
        """Count the days of an experiment whose outcomes are settled, and what came late of those
        before."""
        asked, effects = one.asked, self._effects
        window_s = asked.window_h * _HOUR_S
        types = asked.types
        outcomes = Outcomes(window_s, types.get("completed", ()), types.get("began", ()))

        async def keep(begins: float, ends: float) -> None:
            rows = await effects.entered(asked.id, begins, ends, outcomes)
            over = ends + window_s + one.settle_s + LATE_S <= now
            await effects.keep_entered(asked.id, Mark(begins, ends, now, over), rows)

        for mark in await effects.unsettled(asked.id):
            if mark.counted_at < day_begins(now, zone):
                await keep(mark.begins, mark.ends)
        newest = await effects.last(asked.id)
        first = await effects.first_entry(asked.id)
        begins = None if first is None else day_begins(first, zone)
        if newest is not None:
            begins = newest.ends
        while begins is not None and (one.last is None or begins <= one.last):
            ends = day_ends(begins, zone)
            if ends + window_s + one.settle_s > now:
                break
            await keep(begins, ends)
            begins = ends
        if begins is not None:
            ended = one.last is not None and begins > one.last
            terms = terms_of(one.asked._replace(ended=ended), one.heard, one.left_out, one.also_got)
            await effects.keep_terms(asked.id, terms)

    async def _count(
        self,
        begins: float,
        ends: float,
        now: float,
        running: Sequence[Running],
        *,
        again: bool = False,
    ) -> None:
        phones = []
        if not again:
            silent = now - _SILENT_S
            phones = [*await self._effects.phones(begins, ends, silent_before=silent)]
        mark = Mark(begins, ends, now, settled=ends + _SETTLE_S <= now)
        counted = {EVERYBODY: await self._people(begins, ends, "user_id", None)}
        for one in running:
            words = await self._effects.reminded_on(one.asked.id, begins, ends)
            if words:
                only = {bytes.fromhex(word) for word in words}
                counted[one.asked.id] = await self._people(begins, ends, one.person, only)
        await self._effects.keep(mark, counted, phones)

    async def _people(
        self, begins: float, ends: float, kind: str, only: Collection[bytes] | None
    ) -> Counted:
        """The people of a day, in as many passes as memory asks for; `only` some of them."""
        size = 0
        async for page in self._pages(begins, ends):
            size += sum(event.items for event in page)
        passes = size // self._most_people + 1
        cells: dict[Cell, Sums] = {}
        reasons: dict[tuple[Cell, str], int] = {}
        for turn in range(passes):
            name = partial(_share, self._named(kind), turn, passes, only)
            found = await self._pass(begins, ends, name)
            for cell, sums in found.cells.items():
                cells[cell] = cells[cell].plus(sums) if cell in cells else sums
            for key, people in found.reasons.items():
                reasons[key] = reasons.get(key, 0) + people
        return Counted(cells, reasons)

    async def _pass(self, begins: float, ends: float, name: Name) -> Counted:
        asking, _ = self._source()
        counter = Counter(name, asking.modes, asking.rule)
        async for page in self._pages(begins, ends):
            sources = {event.event_id: event.source for event in page}
            for events, low, high in slices(page):
                began = self._clocks.monotonic()
                for pushed in await self._effects.pushed(events, low=low, high=high):
                    counter.add(sources[pushed.event_id], pushed)
                await asyncio.sleep((self._clocks.monotonic() - began) * _REST)
        return counter.counted()

    async def _pages(self, begins: float, ends: float) -> AsyncIterator[list[SentEvent]]:
        after = (begins, "")
        while page := await self._effects.events(begins, ends, after=after, limit=_PAGE):
            yield [*page]
            after = page[-1][:2]


def _share(
    name: Name,
    turn: int,
    passes: int,
    only: Collection[bytes] | None,
    user_id: str | None,
    custom_id: str | None,
) -> bytes | None:
    """The person's word, where they are asked of and it is this pass's turn."""
    word = name(user_id, custom_id)
    if word is None or (only is not None and word not in only):
        return None
    return word if int.from_bytes(word[:4]) % passes == turn else None


def slices(page: list[SentEvent]) -> list[tuple[list[SentEvent], int, int]]:
    """How the deliveries of these events are read: small events together, large ones in parts, each
    as events and the first and the last number of their items."""
    found: list[tuple[list[SentEvent], int, int]] = []
    together: list[SentEvent] = []
    size = 0
    for event in page:
        if event.items >= _SLICE:
            starts = range(0, event.items, _SLICE)
            found += [([event], low, low + _SLICE - 1) for low in starts]
            continue
        if size + event.items > _SLICE:
            found.append((together, 0, _SLICE))
            together, size = [], 0
        together.append(event)
        size += event.items
    return [*found, (together, 0, _SLICE)] if together else found
